//! What the status page shows, read at most once a second however many look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use freshen_control::{Control, PopView, TaskFilter};
use freshen_model::ids::Seq;
use freshen_model::task::Status as TaskStatus;
use tracing::warn;

/// For how long a count is shown again: counting reads the ledger, and anybody may ask.
const SHOWN_FOR: Duration = Duration::from_secs(1);
/// How far back tasks are counted.
const COUNTED_MS: i64 = 86_400_000;

/// The fleet's health at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// The log's end.
    pub(crate) log_end: Seq,
    /// Every POP that is not gone.
    pub(crate) pops: Vec<PopView>,
    /// `None` where the ledger did not say.
    pub(crate) tasks: Option<Counts>,
    /// When, wall-clock milliseconds since 1970.
    pub(crate) at_ms: i64,
}

/// Tasks of the last day, by how they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) running: u64,
    pub(crate) complete: u64,
    pub(crate) failed: u64,
}

pub(crate) struct Statuses {
    control: Arc<Control>,
    counted: tokio::sync::Mutex<Option<(Instant, Option<Counts>)>>,
}

impl Statuses {
    pub(crate) fn new(control: Arc<Control>) -> Statuses {
        Statuses { control, counted: tokio::sync::Mutex::new(None) }
    }

    pub(crate) async fn now(&self) -> Status {
        Status {
            tasks: self.counts().await,
            log_end: self.control.log_end(),
            pops: self.control.pops(),
            at_ms: self.control.wall_ms(),
        }
    }

    async fn counts(&self) -> Option<Counts> {
        let mut counted = self.counted.lock().await;
        if let Some((at, counts)) = *counted
            && at.elapsed() < SHOWN_FOR
        {
            return counts;
        }
        let counts = self.count().await;
        *counted = Some((Instant::now(), counts));
        counts
    }

    async fn count(&self) -> Option<Counts> {
        let from_ms = Some(self.control.wall_ms() - COUNTED_MS);
        let count = async |statuses: &[TaskStatus]| {
            let filter = TaskFilter { statuses: statuses.to_vec(), from_ms, ..TaskFilter::default() };
            let page = self.control.tasks(&filter).await;
            page.inspect_err(|error| warn!(%error, "tasks could not be counted")).ok().map(|page| page.total)
        };
        Some(Counts {
            running: count(&[TaskStatus::Pending, TaskStatus::Running]).await?,
            complete: count(&[TaskStatus::Complete]).await?,
            failed: count(&[TaskStatus::Failed]).await?,
        })
    }
}
