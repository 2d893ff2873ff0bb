//! The vendor's own SDKs against us: Python and Node, newer and older, with nothing changed but endpoint and keys.
//!
//! The scripts make the calls of the scenarios and say what their SDK makes of the answers.
//!
//! `tests/sdk/vod.py` is the caller and judges every answer it gets. Where it wants a task to end it says so on a line, and
//! goes on once it is told on its standard input that the task has.

use crate::scenario::{self, Caller, Outcome};
use crate::stage::{ANN, Stage, within};
use freshen_model::ids::TaskId;
use freshen_model::rights::Rights;
use freshen_model::task::TaskKind;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

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

const VOD: &str = include_str!("../scenarios/vod.json");
const CDN: &str = include_str!("../scenarios/cdn.json");
const MEDIA: &str = include_str!("../scenarios/media.json");

#[tokio::test]
async fn the_newer_python_sdks_make_every_call() {
    play_all("FRESHEN_TEST_PYTHON", "new.py", &[]).await;
}

#[tokio::test]
async fn the_newer_python_sdks_make_every_call_with_signature_v2() {
    play_all("FRESHEN_TEST_PYTHON", "new.py", &[("FRESHEN_SIGNATURE", "v2")]).await;
}

#[tokio::test]
async fn the_older_python_sdks_make_every_call() {
    play_all("FRESHEN_TEST_PYTHON", "old.py", &[]).await;
}

#[tokio::test]
async fn the_newer_node_sdks_make_every_call() {
    play_all("FRESHEN_TEST_NODE", "node/new.js", &[]).await;
}

#[tokio::test]
async fn the_older_node_sdk_makes_every_call_by_post() {
    play_all("FRESHEN_TEST_NODE", "node/old.js", &[("FRESHEN_METHOD", "POST")]).await;
}

#[tokio::test]
async fn the_older_node_sdk_makes_every_call_by_get() {
    play_all("FRESHEN_TEST_NODE", "node/old.js", &[("FRESHEN_METHOD", "GET")]).await;
}

/// All scenarios, each on a stage of its own, through the SDK that the script speaks for.
async fn play_all(runtime: &str, script: &str, environment: &[(&str, &str)]) {
    for scenario in [VOD, CDN, MEDIA] {
        let stage = Stage::set().await;
        stage.library().await;
        let mut pop = stage.pop("pop-asia").await;
        let mut sdk = Sdk::start(&stage, runtime, script, environment);
        scenario::play(scenario, &stage, &mut pop, &mut sdk).await;
        drop(sdk.told);
        assert!(within(sdk.process.wait()).await.unwrap().success());
    }
}

/// An SDK in a process of its own, told by line which call to make.
struct Sdk {
    process: Child,
    told: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Sdk {
    fn start(stage: &Stage, runtime: &str, script: &str, environment: &[(&str, &str)]) -> Sdk {
        let program = std::env::var_os(runtime).unwrap_or_else(|| {
            panic!("{runtime} is not set; the tests of the SDKs run with `cargo xtask test`")
        });
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
        // Node looks for packages beside the script, so it is told the folder that has both.
        let mut command = match runtime {
            "FRESHEN_TEST_NODE" => {
                let mut node = Command::new("node");
                node.arg(folder.join(script)).env("NODE_PATH", Path::new(&program).join("node_modules"));
                node
            }
            _ => {
                let mut python = Command::new(program);
                python.arg(folder.join(script));
                python
            }
        };
        let mut process = command
            .env("FRESHEN_ENDPOINT", &stage.address)
            .env("FRESHEN_KEY_ID", ANN.0)
            .env("FRESHEN_KEY_SECRET", ANN.secret())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the SDK's runtime starts");
        let told = process.stdin.take().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Sdk { process, told, said }
    }
}

impl Caller for Sdk {
    async fn call(
        &mut self,
        _stage: &Stage,
        version: &str,
        action: &str,
        params: &Map<String, Value>,
    ) -> Outcome {
        let line = json!({ "version": version, "action": action, "params": params }).to_string() + "\n";
        self.told.write_all(line.as_bytes()).await.unwrap();
        let answer =
            within(self.said.next_line()).await.unwrap().expect("an answer; the SDK's own words are above");
        serde_json::from_str(&answer).unwrap()
    }
}

#[tokio::test]
async fn a_batch_of_a_thousand_lines_says_which_line_to_every_sdk() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let mut lines: Vec<String> =
        (1..=1_000).map(|number| format!("http://a.example/{}/{number}.mp4", "d".repeat(80))).collect();
    lines[499] = "http://a.example/a b.mp4".into();
    let params = json!({ "ObjectPath": lines.join("\n") });
    for (runtime, script, environment) in [
        ("FRESHEN_TEST_PYTHON", "new.py", &[][..]),
        ("FRESHEN_TEST_PYTHON", "old.py", &[]),
        ("FRESHEN_TEST_NODE", "node/new.js", &[]),
        ("FRESHEN_TEST_NODE", "node/old.js", &[("FRESHEN_METHOD", "POST")]),
    ] {
        let mut sdk = Sdk::start(&stage, runtime, script, environment);
        let action = "RefreshVodObjectCaches";
        let outcome = sdk.call(&stage, "2017-03-21", action, params.as_object().unwrap()).await;
        assert_eq!(outcome.code.as_deref(), Some("InvalidObjectPath.Malformed"), "{script}: {outcome:?}");
        assert!(
            outcome.message.as_deref().is_some_and(|said| said.contains("line 500: raw space")),
            "{script}"
        );
    }
}

#[tokio::test]
async fn every_sdk_sends_the_token_of_temporary_credentials() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let hour = std::time::Duration::from_secs(3_600);
    let made = stage.control.issue("ann", Rights::default(), hour).await.unwrap();
    let credentials = [
        ("FRESHEN_KEY_ID", made.key.id.as_str()),
        ("FRESHEN_KEY_SECRET", made.key.secret.as_str()),
        ("FRESHEN_TOKEN", made.token.as_str()),
        ("FRESHEN_METHOD", "GET"),
    ];
    for (runtime, script) in [
        ("FRESHEN_TEST_PYTHON", "new.py"),
        ("FRESHEN_TEST_PYTHON", "old.py"),
        ("FRESHEN_TEST_NODE", "node/new.js"),
        ("FRESHEN_TEST_NODE", "node/old.js"),
    ] {
        for (version, action) in
            [("2017-03-21", "DescribeVodRefreshQuota"), ("2018-05-10", "DescribeRefreshQuota")]
        {
            let mut sdk = Sdk::start(&stage, runtime, script, &credentials);
            let outcome = sdk.call(&stage, version, action, &Map::new()).await;
            assert_eq!(outcome.body["UrlQuota"], "2000", "{script}: {outcome:?}");
        }
    }
}

/// The document is held against a validator that knows nothing of us, and answers against the document.
#[tokio::test]
async fn what_v1_answers_is_what_its_document_says() {
    let python = std::env::var_os("FRESHEN_TEST_PYTHON")
        .expect("the document's validator needs a Python that has it: run this with `cargo xtask test`");
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let made = stage.control.issue_bearer("ann", Rights::default(), Duration::from_secs(600)).await.unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/openapi.py");
    let mut reading = Command::new(python);
    reading.arg(script).arg(format!("http://{}", stage.address)).arg(made.token).kill_on_drop(true);
    assert!(within(reading.status()).await.unwrap().success());
}
