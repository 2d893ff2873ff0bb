//! The sweep: reclaims what rules match, and retires the rules behind a durable floor.
//!
//! First the floor rises, durably: from then on no fill that started below it is stored. Then every copy that the rules
//! up to the floor match is deleted or marked. Only when that is on disk are the rules dropped. A crash in between
//! leaves the rules where they are.

use crate::Pop;
use crate::clock;
use crate::store::Swept;
use crate::store::journal::JournalError;
use crate::store::record::Variant;
use freshen_model::ids::Seq;
use freshen_model::key::{Key, space_prefix};
use freshen_model::rule::Matcher;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Directories and paths with queries that a sweep remembers to have walked.
const WALKED_MAX: usize = 10_000;

impl Pop {
    /// Sweeps at intervals until the process stops.
    pub async fn sweep_at_intervals(self: Arc<Pop>) {
        let mut interval = tokio::time::interval(Duration::from_millis(self.config.sweep_interval_ms));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let began = std::time::Instant::now();
            match self.sweep().await {
                Ok(swept) if swept != Swept::default() => tracing::info!(?swept, "swept"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the sweep failed; the rules stay"),
            }
            // A walk through all of a large cache space is to take no more than a tenth of the time.
            let pause = began.elapsed() * 9;
            if pause > interval.period() {
                interval.reset_after(pause);
            }
        }
    }

    /// One sweep of all rules that no fill under way still needs.
    pub async fn sweep(self: &Arc<Pop>) -> Result<Swept, JournalError> {
        let patience = Duration::from_millis(self.config.sweep_patience_ms);
        let oldest = self.fills.oldest(&clock::now(), patience);
        let target = {
            // Between two plans: an order that is published is also known as uncounted.
            let _writing = self.journal_writing.lock().await;
            // What an order matched is counted by its rules, so they stay until then.
            let counted = self.receipts.first_uncounted().map(Seq::previous);
            // Nor is it known without them what of it was hot.
            let chosen = self.prefetcher.first_unchosen().map(Seq::previous);
            let needed = oldest.into_iter().chain(counted).chain(chosen).min();
            self.follower.read().sweep_target(needed)
        };
        let Some(target) = target else { return Ok(Swept::default()) };
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
        let marks =
            |key: &Key, copy: &Variant| self.follower.read().marks(key, &copy.head.tags, copy.checked());
        // However many rules a space has of those that tell no place in it, it is walked once.
        let mut spaces = BTreeSet::new();
        self.journal.each_rule(floor, |rule| {
            match &rule.matcher {
                Matcher::Space { space } | Matcher::Regex { space, .. } | Matcher::Tag { space, .. } => {
                    spaces.insert(space_prefix(space));
                }
                Matcher::Everything => {
                    spaces.insert(String::new());
                }
                Matcher::Url { .. } | Matcher::Directory { .. } | Matcher::Query { .. } => {}
            }
            Ok(())
        })?;
        let all = spaces.contains("");
        let mut swept = Swept::default();
        for prefix in spaces.iter().filter(|prefix| !all || prefix.is_empty()) {
            swept.add(&self.store.sweep(prefix, epoch, marks)?);
        }
        // Nor is a part of a space walked for each purge of it.
        let mut walked = BTreeSet::new();
        let mut walk = |prefix: &str| -> Result<Swept, JournalError> {
            if walked.contains(prefix) {
                return Ok(Swept::default());
            }
            if walked.len() < WALKED_MAX {
                walked.insert(prefix.to_owned());
            }
            self.store.sweep(prefix, epoch, marks)
        };
        self.journal.each_rule(floor, |rule| {
            let (Matcher::Url { key } | Matcher::Directory { key } | Matcher::Query { key }) = &rule.matcher
            else {
                return Ok(());
            };
            if all || spaces.contains(&space_prefix(key.space())) {
                return Ok(());
            }
            match &rule.matcher {
                Matcher::Directory { .. } => swept.add(&walk(key.as_str())?),
                Matcher::Query { .. } => {
                    self.store.sweep_key(key, epoch, marks, &mut swept)?;
                    swept.add(&walk(&format!("{}?", key.as_str()))?);
                }
                _ => self.store.sweep_key(key, epoch, marks, &mut swept)?,
            }
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
            // Viewers get their turn in between.
            while pop.follower.write().drop_some() {}
            pop.receipts.swept(saved.dropped);
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
