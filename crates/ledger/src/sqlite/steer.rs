//! Steering: a running prefetch is held, goes on, or is cancelled; with the order that says so.

use super::{notices, orders, sql, tasks, to_json};
use crate::{Error, Refusal, Steering, TaskRecord};
use freshen_model::ids::TaskId;
use freshen_model::order::{Body, Steer};
use freshen_model::task::{Progress, Status, StepState};
use rusqlite::{Connection, params};

/// Why a cancelled task failed.
const CANCELLED: &str = "cancelled";

/// Notes how a running prefetch goes on, and tells the POPs where that changes anything for them.
pub(super) fn steer(
    connection: &Connection,
    task: TaskId,
    steering: Steering,
    at_ms: i64,
) -> Result<TaskRecord, Error> {
    let mut record = tasks::one(connection, task, None)?
        .ok_or_else(|| Refusal::NotFound { what: "task", name: task.to_string() })?;
    if record.status != Status::Running {
        return Err(Refusal::Unfit(format!("task {task} is {}, not running", record.status.as_str())).into());
    }
    if record.kind.is_purge() {
        return Err(
            Refusal::Unfit(format!("task {task} is a purge that has begun, it runs to its end")).into()
        );
    }
    let held = record.holds.any();
    let steer = match steering {
        Steering::Hold(holds) => {
            record.holds = holds;
            let steer = if holds.any() { Steer::Pause } else { Steer::Resume };
            (held != holds.any()).then_some(steer)
        }
        Steering::Cancel => {
            cancel(&mut record, at_ms);
            Some(Steer::Cancel)
        }
    };
    if let Some(steer) = steer {
        orders::append(connection, &Body::Steer { prefetch: record.seq, steer })?;
    }
    connection
        .prepare_cached(
            "UPDATE tasks SET status = ?2, ended = ?3, ended_ms = ?4, reason = ?5, steps = ?6, paused = ?7, outside = ?8
             WHERE id = ?1",
        )?
        .execute(params![
            sql(task.0),
            record.status.as_str(),
            record.status.ended(),
            record.ended_ms,
            record.reason,
            to_json(&record.steps)?,
            record.holds.paused,
            record.holds.outside_window,
        ])?;
    if record.status.ended() {
        notices::queue(connection, task)?;
    }
    Ok(record)
}

fn cancel(record: &mut TaskRecord, at_ms: i64) {
    for step in record.steps.iter_mut().filter(|step| !step.state.ended()) {
        let progress = match step.state {
            StepState::Fetching { progress } => progress,
            _ => Progress { files: record.lines, ..Progress::default() },
        };
        step.state = StepState::Cancelled { progress, at_ms };
    }
    (record.status, record.ended_ms) = (Status::Failed, Some(at_ms));
    record.reason = Some(CANCELLED.to_owned());
}
