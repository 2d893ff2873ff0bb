//! A bar that tells people how far it is.

use super::connection::Connection;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// A bar on a terminal, with its place in `unit` behind it; elsewhere nothing.
pub fn of(connection: &Connection, length: u64, unit: &str) -> ProgressBar {
    if connection.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos:>3}} {unit}  {{wide_msg}}"));
    ProgressBar::new(length).with_style(style.unwrap_or(ProgressStyle::default_bar()))
}
