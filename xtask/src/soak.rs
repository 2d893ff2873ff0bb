//! A long run of the promise tests' soak.

use crate::tools;
use std::path::Path;

/// Mixed traffic against a fleet that is killed, paused and cut off, with an origin that fails and lies and disks that are
/// too small, for so many seconds; the binary in release.
pub fn run(root: &Path, seconds: u64) -> anyhow::Result<()> {
    let mut soak = tools::cargo(root);
    soak.args([
        "test",
        "--release",
        "--package",
        "freshen-cli",
        "--test",
        "fleet",
        "soak",
        "--",
        "--nocapture",
    ]);
    tools::run(soak.env("FRESHEN_SOAK_S", seconds.to_string()))
}
