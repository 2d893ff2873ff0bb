//! The audit trail: what people did in the console.

use super::{sql, unsql};
use crate::Error;
use crate::people::{DEEDS_MAX, Deed};
use rusqlite::{Connection, Row, params};

/// Keeps a deed before it is done; gives its number.
pub(super) fn begin(connection: &Connection, deed: &Deed) -> Result<u64, Error> {
    connection
        .prepare_cached(
            "INSERT INTO deeds (at_ms, user, account, address, what, detail, outcome) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            deed.at_ms,
            deed.user,
            deed.account,
            deed.address,
            deed.what,
            deed.detail,
            deed.outcome
        ])?;
    let number = connection.last_insert_rowid();
    connection
        .prepare_cached("DELETE FROM deeds WHERE number <= ?")?
        .execute([number.saturating_sub(sql(DEEDS_MAX))])?;
    Ok(unsql(number))
}

/// Notes what came of it.
pub(super) fn end(connection: &Connection, number: u64, outcome: &str) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE deeds SET outcome = ?2 WHERE number = ?1")?
        .execute(params![sql(number), outcome])?;
    Ok(())
}

/// Deeds below a number, newest first; of one user where that is given.
pub(super) fn before(
    connection: &Connection,
    number: u64,
    user: Option<&str>,
    limit: u64,
) -> Result<Vec<Deed>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT number, at_ms, user, account, address, what, detail, outcome FROM deeds
         WHERE number < ?1 AND (?2 IS NULL OR user = ?2) ORDER BY number DESC LIMIT ?3",
    )?;
    statement.query_and_then(params![sql(number), user, sql(limit)], deed)?.collect()
}

fn deed(row: &Row<'_>) -> Result<Deed, Error> {
    Ok(Deed {
        number: unsql(row.get(0)?),
        at_ms: row.get(1)?,
        user: row.get(2)?,
        account: row.get(3)?,
        address: row.get(4)?,
        what: row.get(5)?,
        detail: row.get(6)?,
        outcome: row.get(7)?,
    })
}
