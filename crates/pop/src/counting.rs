//! Counting: what purge orders matched of what was held when they were applied. One count at a time, beside the traffic.

use crate::Pop;
use crate::receipts::Applied;
use freshen_model::count::Counter;
use std::sync::Arc;
use std::time::Duration;

/// Before a count is tried again that the disk made fail.
const RETRY: Duration = Duration::from_secs(1);
/// Tries; then the order's count is told as «at least» what was found, lest its rules stay for ever.
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
            for tries_left in (0..TRIES).rev() {
                let (pop, applied) = (self.clone(), applied.clone());
                let done = tokio::task::spawn_blocking(move || pop.count(&applied, tries_left == 0)).await;
                match done {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) => tracing::warn!(%error, "what purges matched could not be counted"),
                    Err(error) => tracing::error!(%error, "a count broke off"),
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
