//! Counting: what purge orders matched of what was held when they were applied. One count at a time, beside the traffic.

use crate::Pop;
use crate::receipts::Applied;
use freshen_model::count::Counter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Before a count is tried again that the disk made fail.
const RETRY: Duration = Duration::from_secs(1);
/// How a count gives way: beside a thread that has work it gets a tenth of the processor (setpriority(2)). It reads a
/// snapshot of the index, so that nobody waits for what it holds.
const NICENESS: i32 = 10;
/// Tries of the walk; then the order's count is told as «at least» what was found, lest its rules stay for ever.
const TRIES: u32 = 5;

impl Pop {
    /// Counts what is applied until the process stops.
    pub(crate) async fn count_what_is_applied(self: Arc<Pop>) {
        loop {
            let Some(applied) = self.receipts.to_count() else {
                self.receipts.work.notified().await;
                continue;
            };
            let applied = Arc::new(applied);
            let mut tries = 0;
            loop {
                tries += 1;
                let (pop, applied) = (self.clone(), applied.clone());
                match giving_way(move || pop.count(&applied, tries >= TRIES)).await {
                    Ok(Ok(())) => break,
                    // Without an end: a disk that keeps no count takes no order either, and what is not counted stays.
                    Ok(Err(error)) => tracing::warn!(%error, "what purges matched could not be counted"),
                    Err(error) if tries < TRIES => tracing::error!(%error, "a count broke off"),
                    Err(_) => break,
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    fn count(&self, applied: &Applied, last_try: bool) -> Result<(), crate::store::journal::JournalError> {
        let began = std::time::Instant::now();
        let orders = applied.orders.iter().map(|(seq, rules)| (*seq, rules.as_ref()));
        let mut counter = Counter::new(applied.epoch, orders);
        let now;
        let moment = match &applied.moment {
            Some(moment) => moment,
            None => {
                now = self.journal.moment();
                &now
            }
        };
        let walked = self.journal.count(moment, &mut counter);
        let whole = walked.is_ok();
        if !last_try {
            walked?;
        }
        let mut counts = counter.finish();
        for (_, count) in &mut counts {
            count.exact &= applied.exact && whole;
        }
        let owed = self.receipts.with_counts(counts);
        self.journal.keep_counts(&owed)?;
        self.receipts.counted(owed);
        self.metrics.count_seconds.record(began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Work on a thread of its own, behind all others; an error where there is no thread, or it panics.
async fn giving_way<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, oneshot::error::RecvError> {
    let (done, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("counting".into()).spawn(move || {
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%error, "a count goes on as everything else");
        }
        // Nobody waits at a stop.
        let _ = done.send(work());
    });
    if let Err(error) = thread {
        tracing::error!(%error, "no thread for a count");
    }
    ended.await
}
