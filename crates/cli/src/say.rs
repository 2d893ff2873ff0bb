//! Standard output, line by line.

use std::io::Write;

/// Prints a line; a reader that went away is no error.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
