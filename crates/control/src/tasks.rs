//! Reading tasks: what the ledger has, with how far the running ones are right now.

use crate::control::Control;
use freshen_ledger::{Error, Found, Line, TaskFilter, TaskPage, TaskPlace, TaskRecord};
use freshen_model::area::Area;
use freshen_model::follow::Follow;
use freshen_model::ids::TaskId;
use freshen_model::task::{Failure, StepState, Task};
use std::collections::HashMap;

/// A line with its task.
#[derive(Clone, Debug, PartialEq)]
pub struct LineView {
    /// The task it belongs to.
    pub task: Task,
    /// Its place there, from 1.
    pub line: u32,
    /// The URL or directory, as submitted.
    pub url: String,
}

impl LineView {
    /// Why this line is not warm where it failed, POP by POP.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.task.pops.iter().flat_map(|step| {
            let failures = match &step.state {
                StepState::Failed { failures, .. } => failures.as_slice(),
                _ => &[],
            };
            let here = failures.iter().filter(|failure| failure.line == self.line);
            here.map(|failure| (step.pop.as_str(), failure))
        })
    }
}

/// A task with what only people look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The task.
    pub task: Task,
    /// Whose it is.
    pub account: String,
    /// The POPs it is for; absent: all.
    pub area: Option<Area>,
    /// How a prefetch follows playlists; absent: it doesn't.
    pub follow: Option<Follow>,
    /// The domains its lines name, each once.
    pub domains: Vec<String>,
}

impl Operation {
    fn of(record: TaskRecord) -> Operation {
        let (account, domains) = (record.account.clone(), record.domains.clone());
        let (area, follow) = (record.area, record.follow.clone());
        Operation { task: view(record), account, area, follow, domains }
    }
}

impl Control {
    /// One operation; of `account` where that is given.
    pub async fn operation(&self, account: Option<&str>, id: TaskId) -> Result<Option<Operation>, Error> {
        Ok(self.record(account, id).await?.map(Operation::of))
    }

    /// Operations, as [`Control::tasks_behind`] gives tasks; each with its first line.
    pub async fn operations_behind(
        &self,
        filter: &TaskFilter,
        place: Option<TaskPlace>,
    ) -> Result<Found<(Operation, String), TaskPlace>, Error> {
        let found = self.ledger.tasks_behind(filter, place).await?;
        let ids = found.rows.iter().map(|record| record.id).collect();
        let mut first: HashMap<TaskId, String> = self.ledger.first_lines(ids).await?.into_iter().collect();
        let rows = found.rows.into_iter().map(|record| {
            let line = first.remove(&record.id).unwrap_or_default();
            (Operation::of(self.progress.task(record.id).unwrap_or(record)), line)
        });
        Ok(Found { rows: rows.collect(), next: found.next })
    }

    async fn record(&self, account: Option<&str>, id: TaskId) -> Result<Option<TaskRecord>, Error> {
        // First the running ones: whatever is not among them any more has its end in the ledger.
        let record = match self.progress.task(id) {
            Some(record) => Some(record),
            None => self.ledger.task(id, account).await?,
        };
        Ok(record.filter(|record| account.is_none_or(|account| account == record.account)))
    }

    /// One task; of `account` where that is given.
    pub async fn task(&self, account: Option<&str>, id: TaskId) -> Result<Option<Task>, Error> {
        Ok(self.record(account, id).await?.map(view))
    }

    /// Tasks that fit, newest first.
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<TaskPage<Task>, Error> {
        let page = self.ledger.tasks(filter).await?;
        let rows = page.rows.into_iter().map(|record| self.now(record)).collect();
        Ok(TaskPage { rows, total: page.total })
    }

    /// Tasks that fit behind a place, newest first, without an offset and uncounted: each page costs the same, however many
    /// tasks there are. A search of texts may give fewer than asked and more behind.
    pub async fn tasks_behind(
        &self,
        filter: &TaskFilter,
        place: Option<TaskPlace>,
    ) -> Result<Found<Task, TaskPlace>, Error> {
        let found = self.ledger.tasks_behind(filter, place).await?;
        let rows = found.rows.into_iter().map(|record| self.now(record)).collect();
        Ok(Found { rows, next: found.next })
    }

    /// Lines of tasks that fit, newest task first, lines in their order.
    pub async fn lines(&self, filter: &TaskFilter) -> Result<TaskPage<LineView>, Error> {
        let page = self.ledger.lines(filter).await?;
        let rows = page.rows.into_iter().map(|row| LineView {
            task: self.now(row.task),
            line: row.line,
            url: row.url,
        });
        Ok(TaskPage { rows: rows.collect(), total: page.total })
    }

    /// A task's lines, in their order; `None` where `account` has no such task.
    pub async fn task_lines(&self, account: Option<&str>, id: TaskId) -> Result<Option<Vec<Line>>, Error> {
        match self.ledger.task(id, account).await? {
            Some(_) => Ok(Some(self.ledger.task_lines(id).await?)),
            None => Ok(None),
        }
    }

    fn now(&self, record: TaskRecord) -> Task {
        view(self.progress.task(record.id).unwrap_or(record))
    }
}

fn view(record: TaskRecord) -> Task {
    Task {
        percent: Task::percent_of(record.status, &record.steps),
        id: record.id,
        kind: record.kind,
        mode: record.mode,
        status: record.status,
        seq: record.seq,
        lines: record.lines,
        submitted_ms: record.submitted_ms,
        ended_ms: record.ended_ms,
        not_before_ms: record.not_before_ms,
        cut: record.cut,
        terms: record.terms,
        holds: record.holds,
        reason: record.reason,
        then: record.then,
        after: record.after,
        refill: record.refill,
        pops: record.steps,
    }
}
