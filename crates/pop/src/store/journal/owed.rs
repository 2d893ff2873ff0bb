//! What the journal keeps of purge orders for which this POP still owes its receipts, and the count of what they matched.

use super::{Journal, JournalError, SAVED, json, parse_object, read, seq_of};
use crate::store::body::{BodyRecord, FillId, SLICE_BYTES};
use fjall::{OwnedWriteBatch, PersistMode, Readable, Snapshot};
use freshen_model::count::{Count, Counter, HeldCopy};
use freshen_model::ids::{LogId, OrderId, Seq, TaskId};
use freshen_model::key::Key;
use freshen_model::protocol::follower::{Plan, Saved};
use freshen_model::receipt::{Digest, StartedOver};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Entries walked before the count rests for as long as they took, so that it has at most half of a processor and of the
/// disk.
const WALK_ENTRIES: usize = 256;
/// The longest rest.
const REST_MAX: Duration = Duration::from_millis(100);

const STARTED_OVER: &str = "started_over";

/// A purge order that was applied, until control has every receipt for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Owed {
    /// The log.
    pub log: LogId,
    /// The order's random name.
    pub order: OrderId,
    /// Its task.
    pub task: TaskId,
    /// When it was applied, wall-clock milliseconds since 1970.
    pub applied_ms: i64,
    /// The watermark then.
    pub watermark: Seq,
    /// How many rules it has.
    pub rules: u64,
    /// What they are; computed behind the confirmation.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// What they matched and when that was counted; absent until then.
    #[serde(default)]
    pub counted: Option<(Count, i64)>,
}

/// What is owed from a plan on.
#[derive(Default)]
pub struct NewlyOwed {
    /// Purge orders.
    pub orders: Vec<(Seq, Owed)>,
    /// That everything is given up.
    pub started_over: Option<StartedOver>,
}

/// The cache as it was at one moment. What changes afterwards does not show; to be dropped soon, since it keeps what was
/// overwritten on the disk.
pub struct Moment(Snapshot);

/// What a start takes up of it.
#[derive(Default)]
pub struct RestoredOwed {
    /// Orders, oldest first.
    pub orders: Vec<(Seq, Owed)>,
    /// When everything was last given up.
    pub started_over: Option<StartedOver>,
}

impl Journal {
    pub(super) fn restore_owed(&self) -> Result<RestoredOwed, JournalError> {
        let started_over = read(self.state.get(STARTED_OVER)?, STARTED_OVER)?;
        let mut restored = RestoredOwed { orders: Vec::new(), started_over };
        for entry in self.owed.iter() {
            let (seq, owed) = entry.into_inner()?;
            if let Some(owed) = read(Some(owed), "owed")? {
                restored.orders.push((seq_of(&seq), owed));
            }
        }
        Ok(restored)
    }

    /// What a plan's batch says beside the plan itself: what is owed from now on.
    pub(super) fn owe(
        &self,
        batch: &mut OwnedWriteBatch,
        plan: &Plan,
        new: &NewlyOwed,
    ) -> Result<(), JournalError> {
        if plan.starts_over {
            for entry in self.owed.iter() {
                batch.remove(&self.owed, entry.key()?);
            }
        }
        if let Some(over) = &new.started_over {
            batch.insert(&self.state, STARTED_OVER, json(over));
        }
        for (seq, owed) in &new.orders {
            batch.insert(&self.owed, seq.0.to_be_bytes(), json(owed));
        }
        Ok(())
    }

    /// The cache as it is now.
    pub fn moment(&self) -> Moment {
        Moment(self.db.snapshot())
    }

    /// Keeps counts. In the same log as the sweep's drop of the rules, and before it.
    pub fn keep_counts(&self, owed: &[(Seq, Owed)]) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        let saved: Saved = read(self.state.get(SAVED)?, SAVED)?.unwrap_or_default();
        for (seq, owed) in owed.iter().filter(|(_, owed)| Some(owed.log) == saved.log) {
            batch.insert(&self.owed, seq.0.to_be_bytes(), json(owed));
        }
        Ok(batch.commit()?)
    }

    /// Forgets orders for which control has every receipt.
    pub fn forget_owed(&self, settled: &[Seq]) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        for seq in settled {
            batch.remove(&self.owed, seq.0.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    /// Shows the counter everything that was held at that moment and may match. Blocks, and rests in between.
    pub fn count(&self, moment: &Moment, counter: &mut Counter) -> Result<(), JournalError> {
        let mut pace = Pace::new();
        let ranges = counter.ranges();
        for range in &ranges {
            for entry in moment.0.prefix(&self.objects, range) {
                let (text, record) = entry.into_inner()?;
                if let Some(key) = std::str::from_utf8(&text).ok().and_then(Key::from_text) {
                    counter.see(&key, || self.copies(moment, &record))?;
                }
                pace.step();
            }
        }
        for key in counter.objects_beside(&ranges) {
            if let Some(record) = moment.0.get(&self.objects, key.as_str())? {
                counter.see(&key, || self.copies(moment, &record))?;
            }
            pace.step();
        }
        Ok(())
    }

    /// The copies that a record speaks of; none where it cannot be read, as a look-up has none then.
    fn copies(&self, moment: &Moment, record: &[u8]) -> Result<Vec<HeldCopy>, JournalError> {
        let Ok(object) = parse_object(record) else { return Ok(Vec::new()) };
        let copy = |variant: &crate::store::record::VariantRecord| {
            let bytes = self.bytes_there(moment, &variant.body)?;
            Ok(HeldCopy { provenance: variant.provenance, tags: variant.head.tags.clone(), bytes })
        };
        object.variants.iter().map(copy).collect()
    }

    /// How many bytes of a body were there.
    fn bytes_there(&self, moment: &Moment, body: &BodyRecord) -> Result<u64, JournalError> {
        if body.is_small() {
            return Ok(body.size);
        }
        let slices = moment.0.prefix(&self.slices, body.id.as_key());
        let slice_bytes = |key: &[u8]| {
            FillId::slice_of(key).map_or(0, |number| {
                body.size.saturating_sub(u64::from(number) * SLICE_BYTES).min(SLICE_BYTES)
            })
        };
        slices.map(|entry| Ok(slice_bytes(&entry.key()?))).sum()
    }
}

/// Lets a walk rest for as long as it works.
struct Pace {
    steps: usize,
    since: Instant,
}

impl Pace {
    fn new() -> Pace {
        Pace { steps: 0, since: Instant::now() }
    }

    #[expect(clippy::disallowed_methods, reason = "there is no event to await: the rest itself is wanted")]
    fn step(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(WALK_ENTRIES) {
            std::thread::sleep(self.since.elapsed().min(REST_MAX));
            self.since = Instant::now();
        }
    }
}
