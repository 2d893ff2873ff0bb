//! Files that a command line names.

use super::connection::ClientError;
use std::io::Read;
use std::path::Path;

/// Reads a file of less than `bytes_max`; `-` is standard input.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ClientError> {
    let unreadable =
        |error: std::io::Error| ClientError::Usage(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(bytes_max).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).map_err(unreadable)?.take(bytes_max).read_to_end(&mut bytes)
    };
    read.map_err(unreadable)?;
    if bytes.len() as u64 == bytes_max {
        let mib = bytes_max >> 20;
        return Err(ClientError::Usage(format!("{} is longer than {mib} MiB", path.display())));
    }
    Ok(bytes)
}
