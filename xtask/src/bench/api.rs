//! `cargo xtask bench api`: submissions of many accounts, each at the pace that it may have.

use super::table::{self, Part, Section};
use crate::tools;
use anyhow::ensure;
use std::path::Path;

const TITLE: &str = "Submissions at full pace";

/// Runs the example `pace` of the API and writes its table into `docs/benchmarks.md`.
pub fn run(root: &Path, seconds: u64) -> anyhow::Result<()> {
    let seconds = seconds.to_string();
    let example = ["run", "--quiet", "--release", "--package", "freshen-api", "--example", "pace", "--"];
    let mut cargo = tools::cargo(root);
    let output = cargo.args(example).arg(&seconds).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the measurement ended with {}", output.status);
    let rows = String::from_utf8(output.stdout)?;
    let head = "| | accepted | refused | a second | p50 ms | p90 ms | p99 ms | longest ms | commits |";
    let text = format!("{head}\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n{rows}");
    eprintln!("{text}");
    let part = Part { bench: "api", titles: vec![TITLE] };
    let sections = [Section { title: TITLE, text }];
    table::write(&root.join("docs/benchmarks.md"), &part, &sections, "`cargo xtask bench api`")
}
