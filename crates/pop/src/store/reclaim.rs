//! Giving space back: what rules match, what is over the budget, what a crash left behind.

use super::Store;
use super::body::FillId;
use super::journal::JournalError;
use super::record::{Object, Variant};
use freshen_model::ids::Epoch;
use freshen_model::key::Key;
use freshen_model::protocol::index::Marks;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Keys walked at a time by the sweep, so that it never holds much in memory.
const WALK_KEYS: usize = 512;

/// What a sweep did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Copies deleted.
    pub deleted: u64,
    /// Body bytes of these.
    pub bytes: u64,
    /// Copies marked as to be revalidated.
    pub marked: u64,
}

impl Swept {
    /// Adds what another part of the sweep did.
    pub fn add(&mut self, other: &Swept) {
        self.deleted += other.deleted;
        self.bytes += other.bytes;
        self.marked += other.marked;
    }
}

impl Store {
    /// Runs `raise` while no fill is being stored.
    pub fn while_nothing_is_stored<T>(&self, raise: impl FnOnce() -> T) -> T {
        let _storing = self.storing.write();
        raise()
    }

    /// Deletes or marks the copies of objects under `prefix` that rules match. Returns copies and bytes deleted, and
    /// copies marked. Blocks.
    pub fn sweep(
        &self,
        prefix: &str,
        epoch: Epoch,
        marks: impl Fn(&Key) -> Marks,
    ) -> Result<Swept, JournalError> {
        let mut swept = Swept::default();
        let mut after = None;
        loop {
            let keys = self.journal.keys(prefix, after.as_ref(), WALK_KEYS)?;
            for key in &keys {
                let _stripe = self.stripe(key).lock();
                self.sweep_one(key, epoch, marks(key), &mut swept)?;
            }
            match keys.last() {
                Some(last) if keys.len() == WALK_KEYS => after = Some(last.clone()),
                _ => return Ok(swept),
            }
        }
    }

    /// The same for one object. Blocks.
    pub fn sweep_key(
        &self,
        key: &Key,
        epoch: Epoch,
        marks: Marks,
        swept: &mut Swept,
    ) -> Result<(), JournalError> {
        let _stripe = self.stripe(key).lock();
        self.sweep_one(key, epoch, marks, swept)
    }

    fn sweep_one(
        &self,
        key: &Key,
        epoch: Epoch,
        marks: Marks,
        swept: &mut Swept,
    ) -> Result<(), JournalError> {
        let Some(object) = self.current(key) else { return Ok(()) };
        let mut variants = Vec::with_capacity(object.variants.len());
        let mut changed = false;
        for variant in &object.variants {
            let copy = &variant.provenance;
            if copy.epoch < epoch || marks.evict > copy.filled {
                swept.deleted += 1;
                swept.bytes += variant.body.size();
                changed = true;
            } else if marks.expire > copy.confirmed && !copy.expired {
                let mut provenance = *copy;
                provenance.expired = true;
                variants.push(Arc::new(Variant::new(variant.head.clone(), provenance, variant.body.clone())));
                swept.marked += 1;
                changed = true;
            } else {
                variants.push(variant.clone());
            }
        }
        if !changed {
            return Ok(());
        }
        if variants.is_empty() {
            return self.delete(key);
        }
        let after = Arc::new(Object { variants, queued: object.queued });
        self.replace(key, Some(&object), &after)
    }

    // ---- room ----

    /// Deletes the longest-queued objects until the disk budget fits; one that is in memory goes to the queue's end
    /// instead, once a round. Blocks.
    pub(super) fn make_room(&self) {
        let Some(_only) = self.making_room.try_lock() else { return };
        let spared_until = self.queue_end.load(Ordering::Relaxed);
        while self.disk_bytes.load(Ordering::Relaxed) > self.budget() / 100 * 95 {
            let Ok(Some((place, key))) = self.journal.oldest() else { return };
            let Some(key) = key else {
                let _ = self.journal.unqueue(place);
                continue;
            };
            let _stripe = self.stripe(&key).lock();
            let there = self.read(&key).filter(|object| object.queued == place);
            let moved = match (there, self.objects.peek(&key)) {
                (None, _) => self.journal.unqueue(place),
                (Some(_), Some(hot)) if place <= spared_until => {
                    let again =
                        Arc::new(Object { variants: hot.variants.clone(), queued: self.next_place() });
                    self.replace(&key, Some(&hot), &again)
                }
                (Some(object), _) => {
                    self.metrics.evicted.increment(object.variants.len() as u64);
                    self.delete(&key)
                }
            };
            if let Err(error) = moved {
                tracing::warn!(%error, "no room could be made on disk");
                return;
            }
        }
    }

    /// Counts what is on disk, and deletes what no entry speaks of: slices of fills that a crash cut off, copies of older
    /// epochs. Blocks; run once after the start, beside the traffic.
    pub fn take_stock(&self, epoch: Epoch) -> Result<(), JournalError> {
        let mut known = HashSet::new();
        let mut bytes = 0;
        let mut unreadable = Vec::new();
        let mut old_epochs = false;
        self.journal.each_object(|key, record| match record {
            Some(record) => {
                let before = |fill: &FillId| u64::from(fill.boot_number) < self.boot_number;
                known.extend(record.large_bodies().filter(before));
                // What this start has stored it has counted.
                if record.fills().all(|fill| before(&fill)) {
                    bytes += record.disk_bytes();
                }
                old_epochs |= record.oldest_epoch() < Some(epoch);
            }
            None => unreadable.push(key),
        })?;
        if !self.counted.swap(true, Ordering::Relaxed) {
            self.disk_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        for key in unreadable {
            self.metrics.disk_errors.increment(1);
            let _stripe = self.stripe(&key).lock();
            self.delete(&key)?;
        }
        self.remove_orphans(&known);
        if old_epochs {
            self.sweep("", epoch, |_| Marks::default())?;
        }
        Ok(())
    }

    fn remove_orphans(&self, known: &HashSet<FillId>) {
        let Ok(folders) = std::fs::read_dir(&self.folder) else { return };
        let files =
            folders.flatten().filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().flatten();
        for file in files {
            let id = file.file_name().to_str().and_then(FillId::of_file_name);
            if id.is_some_and(|id| u64::from(id.boot_number) < self.boot_number && !known.contains(&id)) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}
