//! Callbacks: queued durably, sent at least once, remembered for a while.

use super::{accounts, cut_to, sql, unsql};
use crate::{DueCallback, Error, Found, Refusal, Tried};
use freshen_model::callback::{
    BODY_BYTES_MAX, Callback, CallbackState, ID_BYTES_MAX, KEPT_MAX, NewCallback, WAITING_MAX, check_url,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Callbacks that are sent at one time, of one account and of all.
const AT_ONCE_OF_ACCOUNT: u64 = 4;
const AT_ONCE: u64 = 64;

/// Queues one; where its id is there, nothing changes.
pub(super) fn queue(connection: &Connection, new: &NewCallback) -> Result<(), Error> {
    accounts::existing(connection, &new.account)?;
    if let Err(why) = check_url(&new.url) {
        return Err(Refusal::Unfit(format!("the callback's address: {why}")).into());
    }
    if new.id.len() > ID_BYTES_MAX || new.body.len() > BODY_BYTES_MAX {
        let why = format!("a callback of {} bytes, at most {BODY_BYTES_MAX} are sent", new.body.len());
        return Err(Refusal::Unfit(why).into());
    }
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO callbacks (account, id, event, url, body, created_ms, next_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![new.account, new.id, new.event, new.url, new.body, new.at_ms])?;
    if inserted == 0 {
        return Ok(());
    }
    let waiting: i64 = connection
        .prepare_cached("SELECT count(*) FROM callbacks WHERE account = ? AND next_ms IS NOT NULL")?
        .query_row([&new.account], |row| row.get(0))?;
    if unsql(waiting) > WAITING_MAX {
        let why = format!("{WAITING_MAX} callbacks of this account wait, no more are queued");
        return Err(Refusal::Unfit(why).into());
    }
    connection
        .prepare_cached(
            "DELETE FROM callbacks WHERE account = ?1 AND next_ms IS NULL AND number <=
             (SELECT number FROM callbacks WHERE account = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![new.account, sql(KEPT_MAX)])?;
    Ok(())
}

/// Those that are due at that time, the longest due in front; of each account only as many as are sent at one time, so
/// that those of one who does not answer hold up nobody else's.
pub(super) fn due(connection: &Connection, at_ms: i64) -> Result<Vec<DueCallback>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT number, account, id, url, body, tries FROM (
             SELECT *, row_number() OVER (PARTITION BY account ORDER BY next_ms, number) AS place
             FROM callbacks WHERE next_ms <= ?1)
         WHERE place <= ?2 ORDER BY next_ms, number LIMIT ?3",
    )?;
    let rows = statement.query_map(params![at_ms, sql(AT_ONCE_OF_ACCOUNT), sql(AT_ONCE)], |row| {
        Ok(DueCallback {
            number: row.get(0)?,
            account: row.get(1)?,
            id: row.get(2)?,
            url: row.get(3)?,
            body: row.get(4)?,
            tries: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the next one is due behind that time.
pub(super) fn next_due_ms(connection: &Connection, behind_ms: i64) -> Result<Option<i64>, Error> {
    let query = "SELECT min(next_ms) FROM callbacks WHERE next_ms > ?";
    Ok(connection.prepare_cached(query)?.query_row([behind_ms], |row| row.get(0)).optional()?.flatten())
}

/// Notes what came of a try.
pub(super) fn tried(connection: &Connection, number: i64, tried: &Tried) -> Result<(), Error> {
    let (at_ms, next_ms) = (tried.at_ms, tried.again_ms);
    connection
        .prepare_cached(
            "UPDATE callbacks SET tries = tries + 1, next_ms = ?2, ended_ms = ?3, delivered = ?4, outcome = ?5
             WHERE number = ?1 AND next_ms IS NOT NULL",
        )?
        .execute(params![
            number,
            next_ms,
            next_ms.is_none().then_some(at_ms),
            tried.delivered,
            tried.outcome
        ])?;
    Ok(())
}

/// Some of an account's callbacks, the newest first, behind the one of that number.
pub(super) fn behind(
    connection: &Connection,
    account: &str,
    number: Option<u64>,
    limit: u64,
) -> Result<Found<Callback, u64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, event, url, tries, created_ms, next_ms, ended_ms, delivered, outcome, number FROM callbacks
         WHERE account = ? AND number < ? ORDER BY number DESC LIMIT ?",
    )?;
    let values = params![account, sql(number.unwrap_or(u64::MAX)), sql(limit.saturating_add(1))];
    let rows = statement.query_map(values, |row| Ok((callback(row)?, unsql(row.get(9)?))))?;
    let found = cut_to(limit, rows.collect::<Result<Vec<_>, _>>()?, |(_, number)| *number);
    Ok(Found { rows: found.rows.into_iter().map(|(callback, _)| callback).collect(), next: found.next })
}

fn callback(row: &Row<'_>) -> rusqlite::Result<Callback> {
    let next_ms: Option<i64> = row.get(5)?;
    let state = match (next_ms, row.get(7)?) {
        (Some(_), _) => CallbackState::Waiting,
        (None, true) => CallbackState::Delivered,
        (None, false) => CallbackState::Failed,
    };
    Ok(Callback {
        id: row.get(0)?,
        event: row.get(1)?,
        url: row.get(2)?,
        state,
        tries: row.get(3)?,
        created_ms: row.get(4)?,
        next_ms,
        ended_ms: row.get(6)?,
        outcome: row.get(8)?,
    })
}
