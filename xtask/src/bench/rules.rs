//! `cargo xtask bench rules`: what it costs to hold an object against the purge index.

use super::table::{self, Part, Section};
use crate::tools;
use anyhow::ensure;
use std::path::Path;

const TITLE: &str = "An object against the rules";

/// Runs the example `rules` of the model and writes its table into `docs/benchmarks.md`.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let arguments = ["run", "--quiet", "--release", "--package", "freshen-model", "--example", "rules"];
    let output = tools::cargo(root).args(arguments).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the measurement ended with {}", output.status);
    let rows = String::from_utf8(output.stdout)?;
    let text = format!("| | CPU ns |\n|---|--:|\n{rows}");
    eprintln!("{text}");
    let part = Part { bench: "rules", titles: vec![TITLE] };
    let sections = [Section { title: TITLE, text }];
    table::write(&root.join("docs/benchmarks.md"), &part, &sections, "`cargo xtask bench rules`")
}
