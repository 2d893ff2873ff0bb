//! Three POPs that prefetch: the demo's, with a domain of the bench's origin.

use crate::bench::purge::Three;
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::DOMAIN;
use crate::bench::process::{empty, pause};

/// As many lines as one submission may have.
const LINES: usize = 100;
/// Between two questions after a task.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a prefetch came to.
pub struct Warmed {
    pub took: Duration,
    pub origin_bytes: u64,
    pub origin_requests: u64,
    /// The longest that any POP's memory was, resident; and the longest before.
    pub memory: u64,
    pub memory_before: u64,
}

/// Prefetches these paths to three new POPs before that origin, and waits until every POP is warm.
pub fn prefetch(program: &Path, folder: &Path, origin: u16, paths: &[String]) -> anyhow::Result<Warmed> {
    fs::create_dir_all(folder)?;
    let mut three = Three::start(program, folder)?;
    three.know_each_other()?;
    let lines = paths.len().to_string();
    three.client(&["account", "limits", "demo", "--prefetch", &lines, "--prefetch-queue", &lines])?;
    three.client(&[
        "domain",
        "add",
        DOMAIN,
        "--account",
        "demo",
        "--origin",
        &format!("http://127.0.0.1:{origin}"),
    ])?;
    let memory_before = three.peak_memory()?;
    let began = Instant::now();
    let mut tasks = Vec::new();
    for (number, paths) in paths.chunks(LINES).enumerate() {
        let list = folder.join(format!("list-{number}"));
        let lines: Vec<_> = paths.iter().map(|path| format!("http://{DOMAIN}{path}\n")).collect();
        fs::write(&list, lines.concat())?;
        let list = list.to_str().context("the folder's name is UTF-8")?;
        let task: Value = serde_json::from_str(&three.client(&["prefetch", "--json", "--file", list])?)?;
        tasks.push(task["id"].as_str().context("a task has a number")?.to_owned());
    }
    let (mut origin_bytes, mut origin_requests) = (0, 0);
    for task in tasks {
        let task = loop {
            let task: Value = serde_json::from_str(&three.client(&["task", "show", "--json", &task])?)?;
            match task["status"].as_str() {
                Some("running") => pause(LOOK_EVERY),
                _ => break task,
            }
        };
        ensure!(task["status"] == "complete", "a prefetch failed: {task}");
        origin_bytes += task["origin"]["origin_bytes"].as_u64().context("no origin_bytes")?;
        origin_requests += task["origin"]["origin_requests"].as_u64().context("no origin_requests")?;
    }
    let took = began.elapsed();
    let memory = three.peak_memory()?;
    drop(three);
    empty(folder)?;
    Ok(Warmed { took, origin_bytes, origin_requests, memory, memory_before })
}
