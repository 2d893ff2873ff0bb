//! Everything a change has to pass, the quick checks first.

use std::path::Path;

use crate::{test, tidy, tools};

/// Stops at the first step that fails.
pub fn run(root: &Path) -> anyhow::Result<()> {
    tools::rustup_component("fmt", "rustfmt")?;
    tools::run(tools::cargo(root).args(["fmt", "--all", "--", "--check"]))?;
    tidy::run(root)?;
    tools::rustup_component("clippy", "clippy")?;
    tools::run(tools::cargo(root).args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    // Advisories are not among them: deny.toml says why.
    let deny = tools::cargo_deny(root)?;
    tools::run(
        std::process::Command::new(deny).current_dir(root).args(["check", "bans", "licenses", "sources"]),
    )?;
    test::run(root, &[])
}
