//! Requests changed at random against the API's parser and signature, for as long as one likes.

use crate::tools;
use std::path::Path;

/// Tries requests for so many seconds; the first that breaks something ends it, and is shown.
pub fn run(root: &Path, seconds: u64) -> anyhow::Result<()> {
    let mut fuzz = tools::cargo(root);
    fuzz.args(["test", "--release", "--package", "freshen-api", "--test", "fuzz", "--", "--nocapture"]);
    tools::run(fuzz.env("FRESHEN_FUZZ_S", seconds.to_string()))
}
