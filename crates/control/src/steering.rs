//! Steering prefetches that run: paused, resumed and cancelled by their accounts, held by their windows.
//!
//! Each change is an order, durable before anybody is told, so that every POP heeds it, however late it hears of it. Windows
//! open and close by control's wall clock: when something is fetched says nothing about what is true once it is complete.

use crate::control::Control;
use crate::submit::Entry;
use freshen_ledger::{Error, Refusal, Steering, TaskRecord};
use freshen_model::ids::TaskId;
use freshen_model::order::Steer;
use freshen_model::task::{Holds, Status};
use freshen_model::window::Window;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::error;

/// How often the wall clock is looked at, since it may be set.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a failure of the ledger.
const REST: Duration = Duration::from_secs(1);

/// Opens and closes the windows of prefetches.
pub(crate) struct Windows {
    entry: Entry,
    /// Taken from the look at a task's holds to their change.
    steering: tokio::sync::Mutex<()>,
}

impl Windows {
    pub(crate) fn new(entry: Entry) -> Windows {
        Windows { entry, steering: tokio::sync::Mutex::default() }
    }

    /// Works until `stop` says so.
    pub(crate) async fn keep(self: Arc<Windows>, mut stop: watch::Receiver<bool>) {
        loop {
            // From before the look: a clock that moves on meanwhile must not push the next one away.
            let began = self.entry.clock.now();
            let rest = match self.look().await {
                Ok(next) => next,
                Err(error) => {
                    error!(%error, "a prefetch could not be held, or go on, by its window; it is tried again");
                    REST
                }
            };
            let due = began + rest;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.entry.progress.windows_changed() => {}
                () = self.entry.clock.until(due) => {}
            }
        }
    }

    /// Brings all prefetches in line with their windows; gives how long none changes.
    async fn look(&self) -> Result<Duration, Error> {
        let mut next = LOOK_EVERY;
        for (task, window) in self.entry.progress.windows() {
            match self.heed(task, window).await {
                // Ended meanwhile.
                Ok(()) | Err(Error::Refused(_)) => {}
                Err(failed) => return Err(failed),
            }
            let now_ms = self.entry.clock.wall_ms();
            let away = u64::try_from(window.changes_ms(now_ms) - now_ms).unwrap_or(0);
            next = next.min(Duration::from_millis(away));
        }
        Ok(next)
    }

    /// Brings a running prefetch in line with its window, where it is not.
    async fn heed(&self, task: TaskId, window: Window) -> Result<(), Error> {
        let _steering = self.steering.lock().await;
        let Some(record) = self.entry.progress.task(task) else { return Ok(()) };
        let outside_window = !window.is_open(self.entry.clock.wall_ms());
        let holds = Holds { outside_window, ..record.holds };
        if holds == record.holds {
            return Ok(());
        }
        self.entry.steer(task, Steering::Hold(holds)).await
    }

    async fn steer_running(&self, task: &TaskRecord, steer: Steer) -> Result<(), Error> {
        let _steering = self.steering.lock().await;
        // What the ledger has is what counts: no two steer at a time.
        let now = self.entry.ledger.task(task.id, None).await?;
        let holds = now.as_ref().map_or(task.holds, |now| now.holds);
        // Between its becoming durable and its being watched: it would be watched as it was before.
        if now.is_some_and(|now| now.status == Status::Running) && self.entry.progress.task(task.id).is_none()
        {
            let why = format!("task {} has just been submitted, try again in a moment", task.id);
            return Err(Refusal::Unfit(why).into());
        }
        let steering = match steer {
            Steer::Pause => Steering::Hold(Holds { paused: true, ..holds }),
            Steer::Resume => Steering::Hold(Holds { paused: false, ..holds }),
            Steer::Cancel => Steering::Cancel,
        };
        self.entry.steer(task.id, steering).await
    }
}

impl Entry {
    async fn steer(&self, task: TaskId, steering: Steering) -> Result<(), Error> {
        let steered = self.ledger.steer(task, steering, self.clock.wall_ms()).await;
        let record = match &steered {
            Ok(record) => Some(record.clone()),
            Err(Error::Refused(_)) => None,
            // Whether it became durable, the ledger alone can say.
            Err(_) => self.ledger.task(task, None).await.ok().flatten(),
        };
        if let Some(record) = record {
            self.progress.steered(&record);
        }
        steered.map(drop)
    }
}

impl Control {
    /// Pauses, resumes or cancels a prefetch that runs, or cancels a task that has not begun; of `account` where that is
    /// given. [`Refusal::NotFound`] without it, [`Refusal::Unfit`] where it cannot be.
    pub async fn steer(&self, account: Option<&str>, id: TaskId, steer: Steer) -> Result<(), Error> {
        let Some(task) = self.ledger.task(id, account).await? else {
            return Err(Refusal::NotFound { what: "task", name: id.to_string() }.into());
        };
        if task.status == Status::Pending && steer == Steer::Cancel {
            return self.deferred.end(&task, "cancelled before it began").await;
        }
        let windows = self.windows.clone();
        // On a task of its own: who hangs up must not leave a change that is durable, and nobody knows of it here.
        let steered = tokio::spawn(async move { windows.steer_running(&task, steer).await }).await;
        steered.unwrap_or_else(|error| Err(Error::Engine(format!("the change was cut off: {error}"))))
    }
}
