//! The vendor's own Python SDK against us, with both of its signature schemes.
//!
//! `tests/sdk/vod.py` is the caller and judges every answer it gets. Where it wants a task to end it says so on a line, and
//! goes on once it is told on its standard input that the task has.

use crate::stage::{ANN, Stage, within};
use freshen_model::ids::TaskId;
use freshen_model::task::TaskKind;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/vod.py");

#[tokio::test]
async fn the_python_sdk_works_with_its_default_signature() {
    run("").await;
}

#[tokio::test]
async fn the_python_sdk_works_with_signature_v2() {
    run("v2").await;
}

async fn run(signature: &str) {
    let python = std::env::var_os("FRESHEN_TEST_PYTHON")
        .expect("the tests of the SDK need a Python that has it: run them with `cargo xtask test`");
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let mut script = Command::new(python)
        .args(["-W", "error::ResourceWarning", SCRIPT])
        .env("FRESHEN_ENDPOINT", &stage.address)
        .env("FRESHEN_KEY_ID", ANN.0)
        .env("FRESHEN_KEY_SECRET", ANN.secret())
        .env("FRESHEN_SIGNATURE", signature)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("FRESHEN_TEST_PYTHON starts");
    let mut told = script.stdin.take().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut ended = 0;
    while let Some(line) = within(lines.next_line()).await.unwrap() {
        let id = line.strip_prefix("end ").unwrap_or_else(|| panic!("the script says {line:?}"));
        let task = stage.control.task(None, TaskId(id.parse().unwrap())).await.unwrap().expect("a task");
        match task.kind {
            TaskKind::Prefetch => pop.prefetched(task.seq, task.lines, &[(2, "Origin Timeout")]).await,
            _ => pop.confirm(task.seq).await,
        }
        stage.ended(id).await;
        told.write_all(b"ended\n").await.unwrap();
        ended += 1;
    }
    let status = within(script.wait()).await.unwrap();
    assert!(status.success(), "{status}; the script's own words are above");
    assert_eq!(ended, 2, "tasks that the script awaited");
}
