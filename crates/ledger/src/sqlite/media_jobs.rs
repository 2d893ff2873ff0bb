//! Media jobs, and what became of their parts.

use super::{accounts, callbacks, cut_to, from_json, sql, to_json, unsql};
use crate::{Error, Found, MediaJobRecord, NewMediaJob, PartPlace, Refusal};
use freshen_model::callback::NewCallback;
use freshen_model::ids::TaskId;
use freshen_model::media_job::{JOBS_KEPT_MAX, MediaJob, MediaPart, PARTS_WAITING_MAX, PartState};
use rusqlite::{Connection, Row, ToSql, params};

const COLUMNS: &str = "number, id, account, request, within, created_ms";

/// Adds a job whose parts wait; the oldest jobs of the account that have ended go where there are too many.
pub(super) fn add(connection: &Connection, new: &NewMediaJob) -> Result<i64, Error> {
    accounts::existing(connection, &new.account)?;
    connection
        .prepare_cached(
            "INSERT INTO media_jobs (id, account, request, within, created_ms) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![
            new.id,
            new.account,
            to_json(&new.request)?,
            new.within.as_ref().map(to_json).transpose()?,
            new.at_ms
        ])?;
    let job = connection.last_insert_rowid();
    let mut insert = connection.prepare_cached(
        "INSERT INTO media_parts (job, place, account, media, urls, state, waiting, changed_ms)
         VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
    )?;
    for ((media, urls), place) in new.parts.iter().zip(1..) {
        let (urls, state) = (to_json(urls)?, to_json(&PartState::Waiting)?);
        insert.execute(params![job, place, new.account, media, urls, state, new.at_ms])?;
    }
    let waiting: i64 = connection
        .prepare_cached("SELECT count(*) FROM media_parts WHERE account = ? AND waiting = 1")?
        .query_row([&new.account], |row| row.get(0))?;
    if unsql(waiting) > PARTS_WAITING_MAX {
        let why = format!("{PARTS_WAITING_MAX} media of this account's jobs wait, submit this one later");
        return Err(Refusal::Unfit(why).into());
    }
    connection
        .prepare_cached(
            "DELETE FROM media_jobs WHERE account = ?1 AND number <=
                 (SELECT number FROM media_jobs WHERE account = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
             AND NOT EXISTS (SELECT 1 FROM media_parts WHERE job = number AND (waiting = 1 OR untold = 1))",
        )?
        .execute(params![new.account, sql(JOBS_KEPT_MAX)])?;
    Ok(job)
}

/// Notes that a waiting part has its task.
pub(super) fn submitted(
    connection: &Connection,
    part: PartPlace,
    task: TaskId,
    at_ms: i64,
) -> Result<(), Error> {
    end(connection, part, &PartState::Submitted { task }, at_ms)
}

/// Ends a waiting part; refused where it does not wait any more.
pub(super) fn end(
    connection: &Connection,
    part: PartPlace,
    state: &PartState,
    at_ms: i64,
) -> Result<(), Error> {
    let changed = connection
        .prepare_cached(
            "UPDATE media_parts SET state = ?3, waiting = 0, changed_ms = ?4, untold =
                 (SELECT json_extract(request, '$.callback') IS NOT NULL FROM media_jobs WHERE number = job)
             WHERE job = ?1 AND place = ?2 AND waiting = 1",
        )?
        .execute(params![part.job, part.place, to_json(state)?, at_ms])?;
    match changed {
        0 => Err(Refusal::Unfit(format!("part {} of the job does not wait any more", part.place)).into()),
        _ => Ok(()),
    }
}

/// Queues what a job's parts are told by, all or none, and notes that.
pub(super) fn told(connection: &Connection, job: i64, callbacks: &[NewCallback]) -> Result<(), Error> {
    for callback in callbacks {
        callbacks::queue(connection, callback)?;
    }
    connection
        .prepare_cached("UPDATE media_parts SET untold = 0 WHERE job = ? AND waiting = 0")?
        .execute([job])?;
    Ok(())
}

/// Jobs with parts that wait, or that nobody was told of; the oldest first, some of them.
pub(super) fn unfinished(connection: &Connection) -> Result<Vec<MediaJobRecord>, Error> {
    let condition = "WHERE number IN (SELECT job FROM media_parts WHERE waiting = 1
                         UNION SELECT job FROM media_parts WHERE untold = 1) ORDER BY number LIMIT 100";
    select(connection, condition, &[])
}

/// One job, by its name; of an account where that is given.
pub(super) fn one(
    connection: &Connection,
    account: Option<&str>,
    id: &str,
) -> Result<Option<MediaJobRecord>, Error> {
    let condition = "WHERE id = ?1 AND (?2 IS NULL OR account = ?2)";
    Ok(select(connection, condition, &[&id, &account])?.pop())
}

/// Some of an account's jobs, the newest first, behind the one of that number.
pub(super) fn behind(
    connection: &Connection,
    account: &str,
    number: Option<u64>,
    limit: u64,
) -> Result<Found<MediaJob, u64>, Error> {
    let condition = "WHERE account = ? AND number < ? ORDER BY number DESC LIMIT ?";
    let (number, rows_max) = (sql(number.unwrap_or(u64::MAX)), sql(limit.saturating_add(1)));
    let jobs = select(connection, condition, &[&account, &number, &rows_max])?;
    let found = cut_to(limit, jobs, |record| unsql(record.number));
    Ok(Found { rows: found.rows.into_iter().map(|record| record.job).collect(), next: found.next })
}

fn select(
    connection: &Connection,
    condition: &str,
    params: &[&dyn ToSql],
) -> Result<Vec<MediaJobRecord>, Error> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM media_jobs {condition}"))?;
    let rows = statement.query_and_then(params, record)?;
    let mut records = rows.collect::<Result<Vec<_>, Error>>()?;
    let mut parts = connection.prepare_cached(
        "SELECT media, urls, state, changed_ms FROM media_parts WHERE job = ? ORDER BY place",
    )?;
    for record in &mut records {
        record.job.parts = parts.query_and_then([record.number], part)?.collect::<Result<_, Error>>()?;
    }
    Ok(records)
}

fn record(row: &Row<'_>) -> Result<MediaJobRecord, Error> {
    let (request, within): (String, Option<String>) = (row.get(3)?, row.get(4)?);
    Ok(MediaJobRecord {
        number: row.get(0)?,
        account: row.get(2)?,
        within: within.as_deref().map(from_json).transpose()?,
        job: MediaJob {
            id: row.get(1)?,
            request: from_json(&request)?,
            created_ms: row.get(5)?,
            parts: Vec::new(),
        },
    })
}

fn part(row: &Row<'_>) -> Result<MediaPart, Error> {
    let (urls, state): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(MediaPart {
        media: row.get(0)?,
        urls: from_json(&urls)?,
        state: from_json(&state)?,
        changed_ms: row.get(3)?,
    })
}
