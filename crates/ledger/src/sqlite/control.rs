//! What control remembers of itself: the log's name and the lease time.

use super::{random, sql, unsql};
use crate::Error;
use freshen_model::ids::LogId;
use rusqlite::Connection;

/// The log's name; a new ledger gets one.
pub(super) fn log_id(connection: &Connection) -> Result<LogId, Error> {
    let fresh: [u8; 16] = random()?;
    connection.execute("INSERT OR IGNORE INTO control (only_row, log_id) VALUES (1, ?)", [fresh])?;
    Ok(LogId(connection.query_row("SELECT log_id FROM control", [], |row| row.get(0))?))
}

/// The lease time that POPs may still hold leases of.
pub(super) fn lease_ms(connection: &Connection) -> Result<Option<u64>, Error> {
    let lease_ms: Option<i64> = connection.query_row("SELECT lease_ms FROM control", [], |row| row.get(0))?;
    Ok(lease_ms.map(unsql))
}

/// Changes it.
pub(super) fn set_lease_ms(connection: &Connection, lease_ms: u64) -> Result<(), Error> {
    connection.execute("UPDATE control SET lease_ms = ?", [sql(lease_ms)])?;
    Ok(())
}
