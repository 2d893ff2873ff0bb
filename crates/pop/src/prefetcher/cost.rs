//! What a prefetch costs the origin, counted where its bytes come in.

use super::Prefetcher;
use crate::Pop;
use freshen_model::ids::Seq;
use freshen_model::task::Progress;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What was asked of the origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Bytes of bodies.
    pub bytes: u64,
    /// Requests.
    pub requests: u64,
}

impl Spent {
    /// As it was told with a progress.
    pub(super) fn of(progress: &Progress) -> Spent {
        Spent { bytes: progress.origin_bytes, requests: progress.origin_requests }
    }
}

/// What this POP has asked of the origin for one prefetch: for itself, and for the POPs that ask it.
#[derive(Default)]
pub struct Cost {
    bytes: AtomicU64,
    requests: AtomicU64,
    /// Whether something came since it was last kept.
    news: AtomicBool,
}

impl Cost {
    /// Goes on from what was kept before a restart.
    pub fn since(kept: Spent) -> Cost {
        let Spent { bytes, requests } = kept;
        Cost { bytes: bytes.into(), requests: requests.into(), news: AtomicBool::new(false) }
    }

    /// The origin is asked.
    pub fn requested(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.news.store(true, Ordering::Release);
    }

    /// Bytes of a body have come from it.
    pub fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.news.store(true, Ordering::Release);
    }

    /// All so far.
    pub fn so_far(&self) -> Spent {
        Spent { bytes: self.bytes.load(Ordering::Relaxed), requests: self.requests.load(Ordering::Relaxed) }
    }

    /// The progress of its prefetch with it.
    pub(super) fn told_in(&self, progress: Progress) -> Progress {
        let Spent { bytes, requests } = self.so_far();
        Progress { origin_bytes: bytes, origin_requests: requests, ..progress }
    }
}

impl Prefetcher {
    /// Where to count what is fetched for this prefetch; `None` where it is for none, or for one that this POP has not.
    pub fn cost_of(&self, order: Option<Seq>) -> Option<Arc<Cost>> {
        Some(self.jobs.lock().get(&order?)?.cost.clone())
    }

    fn costs_to_keep(&self) -> Vec<(Seq, Spent)> {
        let jobs = self.jobs.lock();
        let news = jobs.iter().filter(|(_, job)| job.cost.news.swap(false, Ordering::Acquire));
        news.map(|(seq, job)| (*seq, job.cost.so_far())).collect()
    }
}

impl Pop {
    /// Keeps what prefetches have cost so far: what control is told next is no more than a restart finds.
    pub async fn keep_costs(&self) {
        let costs = self.prefetcher.costs_to_keep();
        if costs.is_empty() {
            return;
        }
        let journal = self.journal.clone();
        let kept = tokio::task::spawn_blocking(move || journal.keep_costs(&costs)).await;
        if !matches!(kept, Ok(Ok(()))) {
            tracing::warn!(
                "what prefetches have cost the origin could not be kept; a restart forgets some of it"
            );
        }
    }
}
