//! Reading tasks: what the ledger has, with how far the running ones are right now.

use crate::control::Control;
use freshen_ledger::{Error, Found, Line, TaskFilter, TaskPage, TaskPlace, TaskRecord};
use freshen_model::ids::TaskId;
use freshen_model::task::{Failure, StepState, Task};

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

impl Control {
    /// One task; of `account` where that is given.
    pub async fn task(&self, account: Option<&str>, id: TaskId) -> Result<Option<Task>, Error> {
        // First the running ones: whatever is not among them any more has its end in the ledger.
        let running = self.progress.task(id);
        let record = match running {
            Some(record) => Some(record),
            None => self.ledger.task(id, account).await?,
        };
        let own = |record: &TaskRecord| account.is_none_or(|account| account == record.account);
        Ok(record.filter(own).map(view))
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
        reason: record.reason,
        pops: record.steps,
    }
}
