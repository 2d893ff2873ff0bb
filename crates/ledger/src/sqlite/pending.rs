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

/// The tasks that are due at that time, the one due first in front; some of them, where they are many. What follows another
/// one is released with that.
pub(super) fn due(connection: &Connection, at_ms: i64) -> Result<Vec<TaskRecord>, Error> {
    let condition = "WHERE t.status = 'pending' AND t.after_task IS NULL AND t.not_before_ms <= ? ORDER BY t.not_before_ms, t.id LIMIT ?";
    tasks::select(connection, condition, &[&at_ms, &sql(DUE_MAX)])
}

/// When the next one is due.
pub(super) fn next_due_ms(connection: &Connection) -> Result<Option<i64>, Error> {
    let query = "SELECT not_before_ms FROM tasks WHERE status = 'pending' AND after_task IS NULL
                 ORDER BY not_before_ms LIMIT 1";
    Ok(connection.prepare_cached(query)?.query_row([], |row| row.get(0)).optional()?)
}

/// Gives a pending task its order, and behind it the one that follows it its own, where that is pending still.
pub(super) fn release(
    connection: &Connection,
    task: TaskId,
    mut submission: Submission,
) -> Result<Submitted, Error> {
    let then = submission.then.take();
    let follower = still_pending(connection, task)?.then;
    let mut released = release_one(connection, task, submission)?;
    if let (Some(then), Some(follower)) = (then, follower)
        && is_pending(connection, follower)?
    {
        match pops::scope(connection, &then) {
            Ok(_) => released.then = Some(Box::new(release_one(connection, follower, *then)?)),
            // A purge is not kept from anything by what follows it.
            Err(Error::Refused(why)) => {
                let at_ms = then.not_before_ms.unwrap_or(then.at_ms);
                end_one(connection, follower, &why.to_string(), at_ms)?;
            }
            Err(failed) => return Err(failed),
        }
    }
    Ok(released)
}

fn release_one(connection: &Connection, task: TaskId, submission: Submission) -> Result<Submitted, Error> {
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

/// Ends a pending task that will get no order, and with it the one that follows it.
pub(super) fn end(connection: &Connection, task: TaskId, reason: &str, at_ms: i64) -> Result<(), Error> {
    let follower = still_pending(connection, task)?.then;
    end_one(connection, task, reason, at_ms)?;
    match follower {
        Some(follower) if is_pending(connection, follower)? => {
            let reason = format!("task {task}, which it follows, did not begin: {reason}");
            end_one(connection, follower, &reason, at_ms)
        }
        _ => Ok(()),
    }
}

fn end_one(connection: &Connection, task: TaskId, reason: &str, at_ms: i64) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE tasks SET status = ?2, ended = 1, ended_ms = ?3, reason = ?4 WHERE id = ?1")?
        .execute(params![sql(task.0), Status::Failed.as_str(), at_ms, reason])?;
    notices::queue(connection, task)
}

fn is_pending(connection: &Connection, task: TaskId) -> Result<bool, Error> {
    Ok(tasks::one(connection, task, None)?.is_some_and(|task| task.status == Status::Pending))
}

fn still_pending(connection: &Connection, task: TaskId) -> Result<TaskRecord, Error> {
    let Some(record) = tasks::one(connection, task, None)? else {
        return Err(Refusal::NotFound { what: "task", name: task.to_string() }.into());
    };
    match record.status {
        Status::Pending => Ok(record),
        status => {
            Err(Refusal::Unfit(format!("task {task} is {}, not pending any more", status.as_str())).into())
        }
    }
}
