//! Pending tasks: durable, and without an order until their time has come.

use super::{notices, pops, sql, tasks, to_json};
use crate::{Error, Refusal, Submission, Submitted, TaskRecord};
use freshen_model::ids::{Seq, TaskId};
use freshen_model::task::{Holds, Status, Step, StepState};
use rusqlite::{Connection, OptionalExtension, params};

/// Tasks of one account that may be pending at a time.
const PENDING_MAX: i64 = 1_000;
/// Due tasks that are given at once.
const DUE_MAX: u64 = 100;

/// Refuses one more pending task where the account has too many.
pub(super) fn check_room(connection: &Connection, account: &str) -> Result<(), Error> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM tasks WHERE status = 'pending' AND account = ?")?
        .query_row([account], |row| row.get(0))?;
    if count >= PENDING_MAX {
        let text =
            format!("{PENDING_MAX} tasks of this account are pending, cancel some or submit this one later");
        return Err(Refusal::Unfit(text).into());
    }
    Ok(())
}

/// The tasks that are due at that time, the one due first in front; some of them, where they are many.
pub(super) fn due(connection: &Connection, at_ms: i64) -> Result<Vec<TaskRecord>, Error> {
    let condition =
        "WHERE t.status = 'pending' AND t.not_before_ms <= ? ORDER BY t.not_before_ms, t.id LIMIT ?";
    tasks::select(connection, condition, &[&at_ms, &sql(DUE_MAX)])
}

/// When the next one is due.
pub(super) fn next_due_ms(connection: &Connection) -> Result<Option<i64>, Error> {
    let query = "SELECT not_before_ms FROM tasks WHERE status = 'pending' ORDER BY not_before_ms LIMIT 1";
    Ok(connection.prepare_cached(query)?.query_row([], |row| row.get(0)).optional()?)
}

/// Gives a pending task its order.
pub(super) fn release(
    connection: &Connection,
    task: TaskId,
    submission: Submission,
) -> Result<Submitted, Error> {
    still_pending(connection, task)?;
    tasks::check_domains(connection, &submission)?;
    let scope = pops::scope(connection, &submission)?;
    let fence_from = tasks::fence_from(connection, &submission)?;
    let waiting = |pop: &_| Step { pop: Clone::clone(pop), state: StepState::Waiting };
    let steps: Vec<Step> = scope.iter().map(waiting).collect();
    let follow = submission.follow.as_ref().map(to_json).transpose()?;
    let Holds { paused, outside_window } = submission.holds;
    let seq = tasks::append(connection, task, submission, &scope)?;
    connection
        .prepare_cached(
            "UPDATE tasks SET status = ?2, seq = ?3, fence_from = ?4, steps = ?5, follow = ?6, paused = ?7, outside = ?8
             WHERE id = ?1",
        )?
        .execute(params![
            sql(task.0),
            Status::Running.as_str(),
            sql(seq.0),
            fence_from.map(|from: Seq| sql(from.0)),
            to_json(&steps)?,
            follow,
            paused,
            outside_window,
        ])?;
    Ok(Submitted { task, seq, scope, fence_from, then: None })
}

/// Ends a pending task that will get no order.
pub(super) fn end(connection: &Connection, task: TaskId, reason: &str, at_ms: i64) -> Result<(), Error> {
    still_pending(connection, task)?;
    connection
        .prepare_cached("UPDATE tasks SET status = ?2, ended = 1, ended_ms = ?3, reason = ?4 WHERE id = ?1")?
        .execute(params![sql(task.0), Status::Failed.as_str(), at_ms, reason])?;
    notices::queue(connection, task)
}

fn still_pending(connection: &Connection, task: TaskId) -> Result<(), Error> {
    let Some(record) = tasks::one(connection, task, None)? else {
        return Err(Refusal::NotFound { what: "task", name: task.to_string() }.into());
    };
    match record.status {
        Status::Pending => Ok(()),
        status => {
            Err(Refusal::Unfit(format!("task {task} is {}, not pending any more", status.as_str())).into())
        }
    }
}
