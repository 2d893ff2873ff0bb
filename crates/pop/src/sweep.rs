//! The sweep: reclaims what rules match, and retires the rules behind a durable floor.
//!
//! First the floor rises, durably: from then on no fill that started below it is stored. Then every copy that the rules
//! up to the floor match is deleted or marked. Only when that is on disk are the rules dropped. A crash in between
//! leaves the rules where they are.

use crate::Pop;
use crate::clock;
use crate::store::Swept;
use crate::store::journal::JournalError;
use freshen_model::ids::Seq;
use freshen_model::key::space_prefix;
use freshen_model::rule::Matcher;
use std::sync::Arc;
use std::time::Duration;

impl Pop {
    /// Sweeps at intervals until the process stops.
    pub async fn sweep_at_intervals(self: Arc<Pop>) {
        let mut interval = tokio::time::interval(Duration::from_millis(self.config.sweep_interval_ms));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            match self.sweep().await {
                Ok(swept) if swept != Swept::default() => tracing::info!(?swept, "swept"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the sweep failed; the rules stay"),
            }
        }
    }

    /// One sweep of all rules that no fill under way still needs.
    pub async fn sweep(self: &Arc<Pop>) -> Result<Swept, JournalError> {
        let patience = Duration::from_millis(self.config.sweep_patience_ms);
        let oldest = self.fills.oldest(&clock::now(), patience);
        let Some(target) = self.follower.read().sweep_target(oldest) else { return Ok(Swept::default()) };
        self.raise_floor(target).await?;
        let pop = self.clone();
        let swept = on_disk(move || pop.reclaim(target)).await?;
        self.metrics.swept.increment(swept.deleted + swept.marked);
        self.drop_rules().await?;
        Ok(swept)
    }

    async fn raise_floor(self: &Arc<Pop>, target: Seq) -> Result<(), JournalError> {
        let _writing = self.journal_writing.lock().await;
        let saved = self.follower.read().plan_floor(target);
        let pop = self.clone();
        on_disk(move || {
            pop.journal.save(&saved)?;
            pop.store.while_nothing_is_stored(|| pop.follower.write().commit_floor(&saved));
            Ok(())
        })
        .await
    }

    fn reclaim(&self, floor: Seq) -> Result<Swept, JournalError> {
        let epoch = self.follower.read().saved().epoch;
        let marks = |key: &_| self.follower.read().marks(key);
        let mut swept = Swept::default();
        self.journal.each_rule(floor, |rule| {
            let walked = match &rule.matcher {
                Matcher::Url { key } => {
                    return self.store.sweep_key(key, epoch, marks(key), &mut swept);
                }
                Matcher::Directory { key } => self.store.sweep(key.as_str(), epoch, marks)?,
                Matcher::Space { space } => self.store.sweep(&space_prefix(space), epoch, marks)?,
                Matcher::Everything => self.store.sweep("", epoch, marks)?,
            };
            swept.add(&walked);
            Ok(())
        })?;
        Ok(swept)
    }

    async fn drop_rules(self: &Arc<Pop>) -> Result<(), JournalError> {
        let _writing = self.journal_writing.lock().await;
        let saved = self.follower.read().plan_drop();
        let pop = self.clone();
        on_disk(move || {
            // One journal: this sync carries the deletions and marks before it to disk with it.
            pop.journal.save(&saved)?;
            pop.follower.write().commit_drop(&saved);
            Ok(())
        })
        .await
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(JournalError::Engine(fjall::Error::Io(std::io::Error::other(error)))))
}
