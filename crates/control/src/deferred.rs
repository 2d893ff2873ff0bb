//! Tasks for later: durable from their submission, and given to the log when their time has come.
//!
//! By control's wall clock, which is good enough: when a task begins says nothing about what is true once it is complete.
//! Everything else is as for a submission at that moment. Lines are read with the settings of then, and the fence counts
//! from the append.

use crate::callbacks::Callbacks;
use crate::lines::Named;
use crate::submit::{self, Entry, SubmitError, SubmitRequest, Then};
use freshen_ledger::{DomainRecord, Error, Line, Refusal, Submission, TaskRecord};
use freshen_model::ids::TaskId;
use freshen_model::location::Scheme;
use freshen_model::rule::Mode;
use freshen_model::task::{Status, TaskKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tracing::error;

/// How often the wall clock is looked at, since it may be set.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a failure of the ledger.
const REST: Duration = Duration::from_secs(1);
/// How often settings may change while a task is released, before it is left for later.
const ATTEMPTS_MAX: usize = 5;
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 1_000;

/// The release of tasks for later.
pub(crate) struct Deferred {
    entry: Entry,
    callbacks: Callbacks,
    wake: Notify,
}

impl Deferred {
    pub(crate) fn new(entry: Entry, callbacks: Callbacks) -> Deferred {
        Deferred { entry, callbacks, wake: Notify::new() }
    }

    /// A task for later came, or one of that account ended.
    pub(crate) fn changed(&self, task: TaskId, account: &str) {
        self.entry.progress.changes.tell(task, account);
        self.wake.notify_one();
    }

    /// Releases what is due until `stop` says so.
    pub(crate) async fn release_in_time(self: Arc<Deferred>, mut stop: watch::Receiver<bool>) {
        loop {
            let rest = match self.release_due().await {
                Ok(next) => next,
                Err(error) => {
                    error!(%error, "tasks for later cannot be released, it is tried again");
                    REST
                }
            };
            let due = self.entry.clock.now() + rest;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.wake.notified() => {}
                () = self.entry.clock.until(due) => {}
            }
        }
    }

    /// Releases what is due; gives how long nothing will be.
    async fn release_due(&self) -> Result<Duration, Error> {
        loop {
            let due = self.entry.ledger.due_tasks(self.entry.clock.wall_ms()).await?;
            if due.is_empty() {
                break;
            }
            for task in due {
                self.release(task).await?;
            }
        }
        let Some(next_ms) = self.entry.ledger.next_due_ms().await? else { return Ok(LOOK_EVERY) };
        let away = next_ms.saturating_sub(self.entry.clock.wall_ms());
        Ok(Duration::from_millis(u64::try_from(away).unwrap_or(0)).min(LOOK_EVERY))
    }

    /// Gives a task its order, or ends it where that cannot be.
    async fn release(&self, task: TaskRecord) -> Result<(), Error> {
        let ledger = &self.entry.ledger;
        let lines = ledger.task_lines(task.id).await?;
        for _ in 0..ATTEMPTS_MAX {
            let domains = ledger.domains(Some(&task.account)).await?;
            let request = request_of(&task, &lines, &domains);
            let named = match Named::read(&request, &domains) {
                Ok(named) => named,
                Err(bad) => return self.fail(&task, &bad.to_string()).await,
            };
            let then = self.follower(&task, (&request, &named), &domains).await?;
            let mut submission = Submission {
                not_before_ms: task.not_before_ms,
                cut: task.cut,
                terms: task.terms.clone(),
                holds: task.terms.holds_at(self.entry.clock.wall_ms()),
                then: then.map(Box::new),
                // Its quota is counted already.
                ..named.submission(&task.account, &request, &domains, (task.submitted_ms, 0))
            };
            // No farther than whoever submitted it reached.
            if let (Some(now), Some(then)) = (&mut submission.follow, &task.follow) {
                now.domains.retain(|name| then.domains.contains(name));
            }
            match self.entry.clone().make(submission, Some(&task)).await {
                Ok(_) => {
                    task.then.iter().for_each(|then| self.changed(*then, &task.account));
                    return Ok(());
                }
                // Read again: no other place may follow settings that are no more.
                Err(SubmitError::Ledger(Error::Refused(Refusal::SettingsChanged(_)))) => {}
                Err(SubmitError::Ledger(Error::Refused(refusal))) => {
                    return self.fail(&task, &refusal.to_string()).await;
                }
                Err(SubmitError::Ledger(failed)) => return Err(failed),
                Err(refused) => return self.fail(&task, &refused.to_string()).await,
            }
        }
        Err(Error::Engine(format!("settings change all the time that task {} names", task.id)))
    }

    /// What follows a task, read now. Where it cannot begin any more it ends, and the purge goes without it.
    async fn follower(
        &self,
        task: &TaskRecord,
        of: (&SubmitRequest, &Named),
        domains: &[DomainRecord],
    ) -> Result<Option<Submission>, Error> {
        let Some(then) = task.then else { return Ok(None) };
        let then = self.entry.ledger.task(then, None).await?;
        let Some(then) = then.filter(|then| then.status == Status::Pending) else { return Ok(None) };
        let what = then.refill.map_or(Then::Prefetch, Then::Refill);
        match submit::follower(what, &task.account, of, domains, (then.submitted_ms, 0)) {
            Ok(submission) => Ok(Some(Submission { not_before_ms: then.not_before_ms, ..submission })),
            Err(bad) => self.fail(&then, &bad.to_string()).await.map(|()| None),
        }
    }

    async fn fail(&self, task: &TaskRecord, why: &str) -> Result<(), Error> {
        let end = why.floor_char_boundary(REASON_BYTES_MAX);
        match self.end(task, &why[..end]).await {
            // Refused where somebody cancelled it.
            Ok(()) | Err(Error::Refused(_)) => Ok(()),
            Err(failed) => Err(failed),
        }
    }

    /// Ends a task that has not begun and will not; whoever watches it learns of that, and whoever is to be called.
    pub(crate) async fn end(&self, task: &TaskRecord, why: &str) -> Result<(), Error> {
        self.entry.ledger.end_pending(task.id, why, self.entry.clock.wall_ms()).await?;
        task.then.iter().chain([&task.id]).for_each(|ended| self.changed(*ended, &task.account));
        self.callbacks.changed();
        Ok(())
    }
}

/// What a pending task would be submitted as now.
fn request_of(task: &TaskRecord, lines: &[Line], domains: &[DomainRecord]) -> SubmitRequest {
    let mut request = SubmitRequest {
        kind: task.kind,
        force: task.mode == Some(Mode::Evict),
        soft: task.mode == Some(Mode::Expire),
        area: task.area,
        lines: lines.iter().map(|line| line.url.clone()).collect(),
        domains: Vec::new(),
        scheme: Scheme::Optional,
        follow: task.follow.clone(),
    };
    if task.kind == TaskKind::Tag {
        // A line for each tag in each domain. What a domain had that is gone is evicted already.
        let mut seen = BTreeSet::new();
        request.lines.retain(|tag| seen.insert(tag.clone()));
        let there = |name: &&String| domains.iter().any(|domain| domain.name == **name);
        request.domains = task.domains.iter().filter(there).cloned().collect();
        if request.domains.is_empty() {
            // Then all of them would be meant, which nobody said; this says why it cannot be.
            request.domains = task.domains.clone();
        }
    }
    request
}
