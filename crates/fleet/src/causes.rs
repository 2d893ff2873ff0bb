//! An error with its causes, since the outermost of an HTTP client's says little.

use std::error::Error;

/// The error's text and those of all that caused it.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
