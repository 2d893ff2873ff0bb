//! Tasks and their lines: submitted with their order, then kept up to date until they end.

use super::{
    accounts, domains, from_json, media_jobs, notices, once, orders, parsed, pending, pops, quotas, receipts,
    sql, to_json, unsql,
};
use crate::{Error, Line, Refusal, Submission, Submitted, TaskRecord, TaskUpdate};
use freshen_model::ids::{PopId, Seq, TaskId};
use freshen_model::location::{Location, Scheme};
use freshen_model::order::{Body, PrefetchItem, PrefetchOrder};
use freshen_model::refill::Refill;
use freshen_model::rule::Mode;
use freshen_model::task::{Holds, PrefetchTerms, Status, Step, StepState, TaskKind};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use std::collections::BTreeSet;

/// The columns that [`record`] reads.
pub(super) const COLUMNS: &str = "t.id, t.account, t.kind, t.mode, t.area, t.status, t.seq, t.lines, t.domains, t.submitted_ms, t.ended_ms, t.steps, t.fence_from, t.not_before_ms, t.cut, t.reason, t.follow, t.terms, t.then_task, t.after_task, t.refill, t.paused, t.outside";

/// Makes a task, its lines, its quota use and, unless it is for later, its order; and the same for what follows it.
pub(super) fn submit(connection: &Connection, mut submission: Submission) -> Result<Submitted, Error> {
    let then = submission.then.take();
    if then.as_ref().is_some_and(|then| then.not_before_ms != submission.not_before_ms) {
        return Err(Refusal::Unfit("what follows a task begins with it".into()).into());
    }
    let mut submitted = submit_one(connection, submission)?;
    if let Some(then) = then {
        let then = submit_one(connection, *then)?;
        let (first, second) = (sql(submitted.task.0), sql(then.task.0));
        connection.execute("UPDATE tasks SET then_task = ?2 WHERE id = ?1", [first, second])?;
        connection.execute("UPDATE tasks SET after_task = ?1 WHERE id = ?2", [first, second])?;
        submitted.then = Some(Box::new(then));
    }
    Ok(submitted)
}

fn submit_one(connection: &Connection, submission: Submission) -> Result<Submitted, Error> {
    let account = accounts::existing(connection, &submission.account)?;
    if let Some(once) = &submission.once {
        once::check(connection, &account.name, once, submission.at_ms)?;
    }
    check_domains(connection, &submission)?;
    let scope = pops::scope(connection, &submission)?;
    let lines = submission.lines.len() as u64;
    quotas::count(connection, &account, submission.day, submission.kind.quota(), lines)?;
    if submission.not_before_ms.is_some() {
        pending::check_room(connection, &submission.account)?;
        let task = insert(connection, &submission, Status::Pending, Seq::ZERO, None, &[])?;
        return Ok(Submitted { task, seq: Seq::ZERO, scope: Vec::new(), fence_from: None, then: None });
    }
    let fence_from = fence_from(connection, &submission)?;
    // The order names its task and the task its order; the one writer knows both numbers beforehand.
    let seq = orders::end(connection)?.seq.next();
    let task = insert(connection, &submission, Status::Running, seq, fence_from, &scope)?;
    if let Some(part) = submission.part {
        media_jobs::submitted(connection, part, task, submission.at_ms)?;
    }
    let appended = append(connection, task, submission, &scope)?;
    assert_eq!(appended, seq, "the transaction is the only writer");
    Ok(Submitted { task, seq, scope, fence_from, then: None })
}

/// From which place on POPs are fenced for a purge; see [`domains::fence_from`].
pub(super) fn fence_from(connection: &Connection, submission: &Submission) -> Result<Option<Seq>, Error> {
    match submission.kind.is_purge() {
        true => domains::fence_from(connection, submission.read.keys()),
        false => Ok(None),
    }
}

/// Appends a task's order. What a purge says is kept with the task, since certificates need it when the order is pruned.
pub(super) fn append(
    connection: &Connection,
    task: TaskId,
    submission: Submission,
    scope: &[PopId],
) -> Result<Seq, Error> {
    let body = body(task, submission, scope);
    let (seq, id) = orders::append_named(connection, &body)?;
    if let Body::Purge { rules, .. } = &body {
        receipts::keep_order(connection, task, id, rules)?;
    }
    Ok(seq)
}

pub(super) fn check_domains(connection: &Connection, submission: &Submission) -> Result<(), Error> {
    if submission.lines.is_empty() {
        return Err(Refusal::Unfit("a task has at least one line".into()).into());
    }
    let named = submission.lines.iter().map(|line| &line.domain);
    let named = named.chain(submission.items.iter().map(|item| &item.domain));
    for domain in named {
        if !submission.read.contains_key(domain) {
            return Err(Refusal::Unfit(format!("the settings of {domain} were not read")).into());
        }
    }
    domains::unchanged(connection, &submission.account, submission.read.iter())
}

fn insert(
    connection: &Connection,
    submission: &Submission,
    status: Status,
    seq: Seq,
    fence_from: Option<Seq>,
    scope: &[PopId],
) -> Result<TaskId, Error> {
    let steps: Vec<Step> =
        scope.iter().map(|pop| Step { pop: pop.clone(), state: StepState::Waiting }).collect();
    let mut named: Vec<&str> = Vec::new();
    for line in &submission.lines {
        if !named.contains(&line.domain.as_str()) {
            named.push(&line.domain);
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO tasks
                 (account, kind, mode, area, status, seq, fence_from, lines, domains, submitted_ms, steps,
                  not_before_ms, cut, follow, terms, refill, paused, outside)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            submission.account,
            submission.kind.as_str(),
            submission.mode.map(mode_word),
            submission.area.map(|area| area.as_str()),
            status.as_str(),
            sql(seq.0),
            fence_from.map(|from| sql(from.0)),
            sql(submission.lines.len() as u64),
            to_json(&named)?,
            submission.at_ms,
            to_json(&steps)?,
            submission.not_before_ms,
            submission.cut,
            submission.follow.as_ref().map(to_json).transpose()?,
            said(&submission.terms)?,
            submission.refill.as_ref().map(|refill| to_json(&refill.bound)).transpose()?,
            submission.holds.paused,
            submission.holds.outside_window,
        ])?;
    let task = connection.last_insert_rowid();
    let mut statement =
        connection.prepare_cached("INSERT INTO task_lines (task, line, domain, url) VALUES (?, ?, ?, ?)")?;
    for (line, place) in submission.lines.iter().zip(1..) {
        statement.execute(params![task, place, line.domain, line.url])?;
    }
    let mut statement = connection
        .prepare_cached("INSERT INTO task_domains (domain, task, submitted_ms) VALUES (?, ?, ?)")?;
    for domain in named {
        statement.execute(params![domain, task, submission.at_ms])?;
    }
    let id = TaskId(unsql(task));
    notices::note(connection, id, &submission.account, submission.notify.as_deref())?;
    if let Some(once) = &submission.once {
        once::keep(connection, &submission.account, once, id, submission.at_ms)?;
    }
    Ok(id)
}

fn body(task: TaskId, submission: Submission, scope: &[PopId]) -> Body {
    match submission.kind.is_purge() {
        true => Body::Purge { task: Some(task), rules: submission.rules, cut: submission.cut },
        false => {
            let Submission { area, items, follow, refill, holds, terms, .. } = submission;
            let pops = pops_of(&terms, scope.iter().cloned());
            let (headers, paused) = (terms.headers, holds.any());
            Body::Prefetch { task, area, items, follow, refill, pops, headers, paused }
        }
    }
}

/// The POPs that an order names. Who is of a region is known here: a POP need not be asked what it is called.
fn pops_of(terms: &PrefetchTerms, scope: impl Iterator<Item = PopId>) -> Option<BTreeSet<PopId>> {
    (!terms.regions.is_empty()).then(|| scope.collect())
}

/// Keeps how far tasks have come.
pub(super) fn update(connection: &Connection, updates: &[TaskUpdate]) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "UPDATE tasks SET
             status = iif(ended, status, ?2), ended_ms = iif(ended, ended_ms, ?3), ended = max(ended, ?4), fenced = ?5, steps = ?6
         WHERE id = ?1",
    )?;
    for update in updates {
        let ended = update.status.ended();
        let fenced = ended && update.steps.iter().any(|step| matches!(step.state, StepState::Fenced { .. }));
        let (id, status, steps) = (sql(update.id.0), update.status.as_str(), to_json(&update.steps)?);
        let changed = statement.execute(params![id, status, update.ended_ms, ended, fenced, steps])?;
        if changed == 0 {
            return Err(Refusal::NotFound { what: "task", name: update.id.to_string() }.into());
        }
        if ended {
            notices::queue(connection, update.id)?;
        }
    }
    Ok(())
}

/// Tasks with an order that have not ended, oldest first.
pub(super) fn running(connection: &Connection) -> Result<Vec<TaskRecord>, Error> {
    select(connection, "WHERE t.ended = 0 AND t.seq > 0 ORDER BY t.id", &[])
}

/// The running prefetches that this POP is not done with, as it was when last kept.
pub(super) fn prefetches_open(
    connection: &Connection,
    pop: &PopId,
) -> Result<Vec<(Seq, PrefetchOrder)>, Error> {
    let waits = |task: &TaskRecord| {
        task.kind == TaskKind::Prefetch
            && task.steps.iter().any(|step| step.pop == *pop && !step.state.ended())
    };
    let mut open = Vec::new();
    for task in running(connection)?.into_iter().filter(waits) {
        let item = |line: Line| {
            let location = Location::parse(&line.url, Scheme::Optional).ok()?;
            Some(PrefetchItem { domain: line.domain, path_and_query: location.path_and_query })
        };
        let items = match task.refill {
            None => lines(connection, task.id)?.into_iter().filter_map(item).collect(),
            Some(_) => Vec::new(),
        };
        // Who starts over has nothing that was hot.
        let refill = task.refill.map(|bound| Refill { bound, rules: Vec::new() });
        let TaskRecord { id, seq, area, follow, terms, holds, steps, .. } = task;
        let pops = pops_of(&terms, steps.into_iter().map(|step| step.pop));
        let (headers, paused) = (terms.headers, holds.any());
        open.push((seq, PrefetchOrder { task: id, area, items, follow, refill, pops, headers, paused }));
    }
    Ok(open)
}

/// Ended tasks in which some POP is still fenced, oldest first.
pub(super) fn fenced(connection: &Connection) -> Result<Vec<TaskRecord>, Error> {
    select(connection, "WHERE t.fenced = 1 ORDER BY t.id", &[])
}

/// One task; of `account` where that is given.
pub(super) fn one(
    connection: &Connection,
    id: TaskId,
    account: Option<&str>,
) -> Result<Option<TaskRecord>, Error> {
    let task = select(connection, "WHERE t.id = ?", &[&sql(id.0)])?.pop();
    Ok(task.filter(|task| account.is_none_or(|account| account == task.account)))
}

/// A task's lines, in order.
/// The first line of each of these tasks.
pub(super) fn first_lines(connection: &Connection, ids: &[TaskId]) -> Result<Vec<(TaskId, String)>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT url FROM task_lines WHERE task = ? AND line = 1")?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let line = statement.query_row([sql(id.0)], |row| row.get(0)).optional()?;
        found.extend(line.map(|line| (*id, line)));
    }
    Ok(found)
}

pub(super) fn lines(connection: &Connection, id: TaskId) -> Result<Vec<Line>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT url, domain FROM task_lines WHERE task = ? ORDER BY line")?;
    let lines = statement.query_map([sql(id.0)], |row| Ok(Line { url: row.get(0)?, domain: row.get(1)? }))?;
    Ok(lines.collect::<Result<_, _>>()?)
}

pub(super) fn select(
    connection: &Connection,
    condition: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<TaskRecord>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM tasks t {condition}"))?;
    statement.query_and_then(values, record)?.collect()
}

/// Reads a row that begins with [`COLUMNS`].
pub(super) fn record(row: &Row<'_>) -> Result<TaskRecord, Error> {
    let word = |column| row.get::<_, String>(column);
    let known = |column, what: &str| rusqlite::Error::InvalidColumnType(column, what.into(), Type::Text);
    let area: Option<String> = row.get(4)?;
    Ok(TaskRecord {
        id: TaskId(unsql(row.get(0)?)),
        account: row.get(1)?,
        kind: TaskKind::from_word(&word(2)?).ok_or_else(|| known(2, "kind"))?,
        mode: match row.get::<_, Option<String>>(3)? {
            None => None,
            Some(mode) => Some(mode_from_word(&mode).ok_or_else(|| known(3, "mode"))?),
        },
        area: area.map(|_| parsed(row.get_ref(4)?)).transpose()?,
        status: Status::from_word(&word(5)?).ok_or_else(|| known(5, "status"))?,
        seq: Seq(unsql(row.get(6)?)),
        lines: unsql(row.get(7)?),
        domains: from_json(&word(8)?)?,
        submitted_ms: row.get(9)?,
        ended_ms: row.get(10)?,
        steps: from_json(&word(11)?)?,
        fence_from: row.get::<_, Option<i64>>(12)?.map(|from| Seq(unsql(from))),
        not_before_ms: row.get(13)?,
        cut: row.get(14)?,
        reason: row.get(15)?,
        follow: row.get::<_, Option<String>>(16)?.map(|text| from_json(&text)).transpose()?,
        terms: row
            .get::<_, Option<String>>(17)?
            .map(|text| from_json(&text))
            .transpose()?
            .unwrap_or_default(),
        then: row.get::<_, Option<i64>>(18)?.map(|id| TaskId(unsql(id))),
        after: row.get::<_, Option<i64>>(19)?.map(|id| TaskId(unsql(id))),
        refill: row.get::<_, Option<String>>(20)?.map(|text| from_json(&text)).transpose()?,
        holds: Holds { paused: row.get(21)?, outside_window: row.get(22)? },
    })
}

/// Terms as a column; null where they say nothing.
fn said(terms: &PrefetchTerms) -> Result<Option<String>, Error> {
    (*terms != PrefetchTerms::default()).then(|| to_json(terms)).transpose()
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Expire => "expire",
        Mode::Evict => "evict",
    }
}

fn mode_from_word(word: &str) -> Option<Mode> {
    [Mode::Expire, Mode::Evict].into_iter().find(|mode| mode_word(*mode) == word)
}
