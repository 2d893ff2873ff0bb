//! TOML files that configure processes. An error names the file, the line and the reason.

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Reads a configuration.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", path.display()))
}

/// Writes a configuration, for its owner's eyes only: tokens and secrets are in it.
pub fn write<T: Serialize>(path: &Path, heading: &str, config: &T) -> anyhow::Result<()> {
    let body = toml::to_string(config)?;
    let heading: String = heading.lines().map(|line| format!("# {line}\n")).collect();
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(format!("{heading}\n{body}").as_bytes())?;
    // A token or secret that control knows must not be lost with the power.
    file.sync_all()?;
    Ok(())
}

/// A data folder as written in `config`: relative to the file that names it.
pub fn beside(config: &Path, data: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new(".")).join(data)
}
