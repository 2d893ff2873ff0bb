//! The ends of tasks, told to an address: the one of the submission, else the one of its account.
//!
//! What is to be told is queued as a callback in the transaction that writes the end, once.

use super::{accounts, callbacks, sql, tasks, to_json};
use crate::{Error, Refusal};
use freshen_model::callback::{NewCallback, check_url};
use freshen_model::ids::TaskId;
use rusqlite::{Connection, OptionalExtension, params};

/// Notes where the end of a new task is to be told.
pub(super) fn note(
    connection: &Connection,
    task: TaskId,
    account: &str,
    url: Option<&str>,
) -> Result<(), Error> {
    let url = match url {
        Some(url) => Some(fit(url)?.to_owned()),
        None => of_account(connection, account)?,
    };
    if let Some(url) = url {
        connection
            .prepare_cached("INSERT INTO task_notices (task, url) VALUES (?, ?)")?
            .execute(params![sql(task.0), url])?;
    }
    Ok(())
}

/// Queues what an ended task is to tell. What cannot be queued is told to the log, and holds up no task.
pub(super) fn queue(connection: &Connection, task: TaskId) -> Result<(), Error> {
    let url: Option<String> = connection
        .prepare_cached("DELETE FROM task_notices WHERE task = ? RETURNING url")?
        .query_row([sql(task.0)], |row| row.get(0))
        .optional()?;
    let Some(url) = url else { return Ok(()) };
    let Some(ended) = tasks::one(connection, task, None)? else { return Ok(()) };
    let event = "task.ended";
    let body = serde_json::json!({
        "event": event,
        "task": {
            "id": task.to_string(),
            "type": ended.kind,
            "status": ended.status,
            "lines": ended.lines,
            "submitted_ms": ended.submitted_ms,
            "ended_ms": ended.ended_ms,
            "reason": ended.reason,
        },
    });
    let callback = NewCallback {
        id: format!("task-{task}"),
        account: ended.account,
        event: event.into(),
        url,
        body: to_json(&body)?,
        at_ms: ended.ended_ms.unwrap_or(ended.submitted_ms),
    };
    connection.execute_batch("SAVEPOINT notice")?;
    match callbacks::queue(connection, &callback) {
        Ok(()) => {}
        Err(Error::Refused(why)) => {
            connection.execute_batch("ROLLBACK TO notice")?;
            tracing::warn!(%task, account = callback.account, %why, "the end of a task is not told");
        }
        Err(failed) => return Err(failed),
    }
    Ok(connection.execute_batch("RELEASE notice")?)
}

/// Where an account's tasks tell their ends, if their submission says nothing.
pub(super) fn of_account(connection: &Connection, account: &str) -> Result<Option<String>, Error> {
    let mut statement = connection.prepare_cached("SELECT url FROM account_notices WHERE account = ?")?;
    Ok(statement.query_row([account], |row| row.get(0)).optional()?)
}

/// Changes that; tasks that were submitted before keep what they have.
pub(super) fn set(connection: &Connection, account: &str, url: Option<&str>) -> Result<(), Error> {
    accounts::existing(connection, account)?;
    match url {
        None => {
            connection.prepare_cached("DELETE FROM account_notices WHERE account = ?")?.execute([account])?
        }
        Some(url) => connection
            .prepare_cached("INSERT OR REPLACE INTO account_notices (account, url) VALUES (?, ?)")?
            .execute([account, fit(url)?])?,
    };
    Ok(())
}

fn fit(url: &str) -> Result<&str, Error> {
    check_url(url).map_err(|why| Refusal::Unfit(format!("notify: {why}")))?;
    Ok(url)
}
