//! Submissions that are made once, however often they are sent: under a key of the sender's choice.

use super::{sql, unsql};
use crate::{Error, ONCE_KEPT_MS, ONCE_OF_ACCOUNT_MAX, Once, Refusal};
use freshen_model::ids::TaskId;
use rusqlite::{Connection, OptionalExtension, params};

/// What was submitted under that key, and as which task, at `since_ms` or later.
pub(super) fn find(
    connection: &Connection,
    account: &str,
    key: &str,
    since_ms: i64,
) -> Result<Option<(Once, TaskId)>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT digest, task FROM once WHERE account = ? AND key = ? AND at_ms >= ?")?;
    let found = statement.query_row(params![account, key, since_ms], |row| {
        let once = Once { key: key.to_owned(), digest: row.get(0)? };
        Ok((once, TaskId(unsql(row.get(1)?))))
    });
    Ok(found.optional()?)
}

/// Refuses what was submitted before; to be asked in the transaction that submits.
pub(super) fn check(connection: &Connection, account: &str, once: &Once, at_ms: i64) -> Result<(), Error> {
    match find(connection, account, &once.key, at_ms.saturating_sub(ONCE_KEPT_MS))? {
        None => Ok(()),
        Some((before, task)) if before.digest == once.digest => Err(Refusal::Repeated(task).into()),
        Some(_) => Err(Refusal::KeyReused(once.key.clone()).into()),
    }
}

/// Keeps what was submitted, and forgets what is kept long enough.
pub(super) fn keep(
    connection: &Connection,
    account: &str,
    once: &Once,
    task: TaskId,
    at_ms: i64,
) -> Result<(), Error> {
    let forgotten = connection
        .prepare_cached("DELETE FROM once WHERE account = ? AND at_ms < ?")?
        .execute(params![account, at_ms.saturating_sub(ONCE_KEPT_MS)])?;
    let kept: u64 = connection
        .prepare_cached(
            "INSERT INTO once_kept (account, count) VALUES (?1, 1)
             ON CONFLICT (account) DO UPDATE SET count = count + 1 - ?2 RETURNING count",
        )?
        .query_row(params![account, sql(forgotten as u64)], |row| Ok(unsql(row.get(0)?)))?;
    if kept > ONCE_OF_ACCOUNT_MAX {
        let why = format!(
            "{account} has {ONCE_OF_ACCOUNT_MAX} idempotency keys of the last 24 hours, which is the most; submit without one"
        );
        return Err(Refusal::Unfit(why).into());
    }
    connection
        .prepare_cached("INSERT INTO once (account, key, digest, task, at_ms) VALUES (?, ?, ?, ?, ?)")?
        .execute(params![account, once.key, once.digest, sql(task.0), at_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{accounts, schema};

    #[test]
    fn an_account_has_so_many_and_what_is_forgotten_makes_room() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        accounts::add(&connection, "acme", false).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        let keep = |key: &str, at_ms| {
            let once = Once { key: key.into(), digest: [0; 32] };
            super::keep(&connection, "acme", &once, TaskId(1), at_ms)
        };
        keep("a", 0).unwrap();
        keep("b", 5).unwrap();
        let many = format!("UPDATE once_kept SET count = {ONCE_OF_ACCOUNT_MAX}");
        connection.execute_batch(&many).unwrap();
        assert!(matches!(keep("c", 6), Err(Error::Refused(Refusal::Unfit(_)))));
        connection.execute_batch(&many).unwrap();
        keep("d", ONCE_KEPT_MS + 1).unwrap();
        let kept = |key| find(&connection, "acme", key, 0).unwrap().is_some();
        assert_eq!([kept("a"), kept("b"), kept("c"), kept("d")], [false, true, false, true]);
    }
}
