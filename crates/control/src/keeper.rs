//! The keeper: the one background task. It lets the clock act on running tasks, writes what became of them, and forgets
//! orders that nobody needs.

use crate::callbacks::Callbacks;
use crate::clock::Clock;
use crate::members::Members;
use crate::progress::{Doubt, Limit, Moment, Pending, Progress};
use crate::telemetry;
use crate::traffic::Booking;
use freshen_ledger::{Error, Ledger, TaskRecord};
use freshen_model::ids::Seq;
use freshen_model::protocol::completion::Fence;
use freshen_model::protocol::retention::Retention;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::error;

/// What does not end anything is written this often at most, and what failed is tried again after it.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How tasks end by the clock in this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long after an append a POP that has not confirmed is fenced.
    pub(crate) fence: Duration,
    /// How long after its submission an unfinished prefetch has failed.
    pub(crate) prefetch_deadline: Duration,
}

impl Limits {
    /// What ends `task` by the clock.
    pub(crate) fn of(&self, task: &TaskRecord, now: Moment) -> Limit {
        match task.kind.is_purge() {
            true => Limit::Fence(task.fence_from.map(|from| Fence { from, after: self.fence })),
            // Over a restart only the wall clock tells the age.
            false => {
                let begun_ms = task.not_before_ms.unwrap_or(task.submitted_ms);
                let age_ms = u64::try_from(now.wall_ms.saturating_sub(begun_ms)).unwrap_or(0);
                let deadline = task.terms.deadline_s.map(|seconds| Duration::from_secs(seconds.into()));
                let deadline = deadline.unwrap_or(self.prefetch_deadline);
                let left = deadline.saturating_sub(Duration::from_millis(age_ms));
                Limit::Deadline(now.steady + left)
            }
        }
    }
}

pub(crate) struct Keeper {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) members: Arc<Members>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) limits: Limits,
    pub(crate) retention: Retention,
    /// The books of traffic.
    pub(crate) books: Booking,
    /// The lease time to write into the ledger, once no longer one of an earlier run can be held.
    pub(crate) lease_change: Option<(Duration, u64)>,
    /// How far orders are pruned.
    pub(crate) pruned: Seq,
    /// When what is not pressing may be written.
    pub(crate) rest_until: Duration,
    /// Told when an end may have queued some.
    pub(crate) callbacks: Callbacks,
    /// Whether the ledger failed last time, so that nothing is so pressing as not to wait.
    pub(crate) failing: bool,
}

impl Keeper {
    /// Works until `stop` says so, then writes what is left.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let due = self.due();
            let stopped = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                () = self.progress.woken() => false,
                () = self.clock.until(due) => false,
            };
            self.round(stopped).await;
            if stopped {
                return;
            }
        }
    }

    /// When there is something to do, if nothing happens before.
    fn due(&self) -> Duration {
        let mut due = self.retention.due().min(self.books.due());
        due = due.min(self.progress.due().unwrap_or(due));
        due = due.min(self.lease_change.map_or(due, |(at, _)| at));
        let doubt = self.progress.doubt() != Doubt::default();
        if doubt || self.progress.pending() != Pending::Nothing || self.members.have_to_keep() {
            due = due.min(self.rest_until);
        }
        due
    }

    /// One look at everything there may be to do.
    async fn round(&mut self, last: bool) {
        let settled = self.settle(self.progress.doubt()).await;
        self.told(settled, "tasks and POPs could not be read");
        self.progress.tick(self.moment());
        let now = self.clock.now();
        let pressing = self.progress.pending() == Pending::Now && !self.failing;
        if last || pressing || now >= self.rest_until {
            let written = self.write().await;
            self.failing = written.is_err();
            self.rest_until = now + WRITE_EVERY;
            self.told(written, "what became of tasks could not be written");
        }
        metrics::gauge!(telemetry::TASKS_RUNNING).set(self.progress.running() as f64);
        metrics::gauge!(telemetry::LOG_END).set(self.ledger.end().borrow().seq.0 as f64);
        let booked = self.books.round(self.ledger.as_ref(), (now, self.clock.wall_ms()), last).await;
        self.told(booked, "traffic could not be booked");
        self.change_lease(now).await;
        if now >= self.retention.due() {
            self.prune(now).await;
        }
    }

    async fn change_lease(&mut self, now: Duration) {
        let Some((_, lease_ms)) = self.lease_change.filter(|(at, _)| now >= *at) else { return };
        let changed = self.ledger.set_lease_ms(lease_ms).await;
        self.lease_change = changed.is_err().then_some((now + WRITE_EVERY, lease_ms));
        self.told(changed, "the lease time could not be written");
    }

    async fn prune(&mut self, now: Duration) {
        let end = self.ledger.end().borrow().seq;
        let place = self.retention.round(end, self.members.confirmed_by_all(), now);
        if place > self.pruned {
            let pruned = self.ledger.prune(place).await;
            if pruned.is_ok() {
                self.pruned = place;
            }
            self.told(pruned, "orders could not be pruned");
        }
    }

    /// Asks the ledger what memory alone cannot settle.
    async fn settle(&self, doubt: Doubt) -> Result<(), Error> {
        if doubt.tasks {
            let found = self.ledger.running_tasks().await?;
            let now = self.moment();
            let limited = found.into_iter().map(|task| {
                let limit = self.limits.of(&task, now);
                (task, limit)
            });
            // Where a submission is under way, its end wakes this task again.
            self.progress.adopt(limited.collect(), now);
        }
        if doubt.pops {
            self.progress.settle_pops();
            match self.ledger.pops().await {
                Ok(pops) => self.progress.reconcile(&pops, self.moment()),
                Err(error) => {
                    self.progress.unsettle_pops();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes what there is; what was confirmed before what it ended, so that a restart never knows less of a POP than
    /// the tasks it completed say.
    async fn write(&self) -> Result<(), Error> {
        let updates = self.progress.take_updates();
        let seats = self.members.to_keep();
        if updates.is_empty() && seats.is_empty() {
            return Ok(());
        }
        if !seats.is_empty() {
            if let Err(error) = self.ledger.remember(seats.clone()).await {
                self.progress.failed(&updates);
                return Err(error);
            }
            self.members.kept(&seats);
        }
        if !updates.is_empty() {
            if let Err(error) = self.ledger.update_tasks(updates.clone()).await {
                self.progress.failed(&updates);
                return Err(error);
            }
            self.progress.written(&updates);
            if updates.iter().any(|update| update.status.ended()) {
                self.callbacks.changed();
            }
        }
        Ok(())
    }

    fn told(&self, outcome: Result<(), Error>, what: &str) {
        if let Err(error) = outcome {
            metrics::counter!(telemetry::LEDGER_FAILURES).increment(1);
            error!(%error, "{what}, it is tried again");
        }
    }

    fn moment(&self) -> Moment {
        Moment { steady: self.clock.now(), wall_ms: self.clock.wall_ms() }
    }
}
