//! Giving space back: what rules match, what is over the budget, what a crash left behind.

use super::body::FillId;
use super::heat::{Fate, Queue};
use super::journal::{self, Held, JournalError};
use super::record::{Object, Queued, Variant};
use super::{Store, slice_file};
use crate::clock;
use freshen_model::ids::Epoch;
use freshen_model::key::Key;
use freshen_model::protocol::copy::Provenance;
use freshen_model::protocol::marks::{self, Marks};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Keys walked at a time by the sweep, so that it never holds much in memory.
const WALK_KEYS: usize = 512;

/// How long nothing new is stored after the disk failed.
const WRITES_PAUSE_MS: u64 = 5_000;

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
        marks: impl Fn(&Key, &Variant) -> Marks,
    ) -> Result<Swept, JournalError> {
        let mut swept = Swept::default();
        let mut after = None;
        loop {
            let keys = self.journal.keys(prefix, after.as_ref(), WALK_KEYS)?;
            for key in &keys {
                self.sweep_key(key, epoch, &marks, &mut swept)?;
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
        marks: impl Fn(&Key, &Variant) -> Marks,
        swept: &mut Swept,
    ) -> Result<(), JournalError> {
        let _stripe = self.stripe(key).lock();
        let Some(object) = self.current(key) else { return Ok(()) };
        let mut variants = Vec::with_capacity(object.variants.len());
        let mut changed = false;
        for variant in &object.variants {
            let copy = &variant.provenance;
            match marks(key, variant).fate(copy, epoch) {
                marks::Fate::Deleted => {
                    swept.deleted += 1;
                    swept.bytes +=
                        variant.body.allocated().max(variant.body.at_hand().map_or(0, |b| b.len() as u64));
                    changed = true;
                }
                marks::Fate::Marked => {
                    let provenance = Provenance { expired: true, ..*copy };
                    let (head, body) = (variant.head.clone(), variant.body.clone());
                    variants.push(Arc::new(Variant::new(head, provenance, body)));
                    swept.marked += 1;
                    changed = true;
                }
                marks::Fate::Stays => variants.push(variant.clone()),
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

    /// Whether so many bytes more are within the budget.
    pub fn fits(&self, more: u64) -> bool {
        self.disk_bytes().saturating_add(more) <= self.budget()
    }

    /// Whether a body of that length may come; where there is no room, some is made for the next one.
    pub fn has_room(self: &Arc<Self>, length: u64) -> bool {
        if self.writes_again_ms.load(Ordering::Relaxed) > boot_ms() {
            return false;
        }
        let fits = self.free_bytes() >= self.disk_reserve_bytes.saturating_add(length);
        if !fits {
            let store = self.clone();
            tokio::task::spawn_blocking(move || store.make_room(length));
        }
        fits
    }

    /// Leaves the disk alone for a while: it has just failed, and would break off more answers.
    pub(super) fn pause_writes(&self) {
        self.writes_again_ms.store(boot_ms() + WRITES_PAUSE_MS, Ordering::Relaxed);
    }

    /// What the cache may take without what the journal needs for itself: what the configuration says, or less where the
    /// disk is smaller or others fill it.
    pub fn budget(&self) -> u64 {
        let own = self.disk_bytes_max.saturating_sub(journal::OVERHEAD_BYTES.min(self.disk_bytes_max / 2));
        let disk = (self.disk_bytes() + self.free_bytes()).saturating_sub(self.disk_reserve_bytes);
        own.min(disk)
    }

    fn free_bytes(&self) -> u64 {
        // A disk that does not tell is found out when it is written to.
        rustix::fs::statvfs(&*self.folder)
            .map_or(u64::MAX / 2, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Lets objects go until so many bytes more, and some beside, are within the budget. Blocks.
    pub(super) fn make_room(&self, more: u64) {
        let _only = self.making_room.lock();
        let target = (self.budget() / 100 * 97).saturating_sub(more);
        while self.disk_bytes() > target {
            let held = *self.held.lock();
            let queue = self.heat.gives_up(held.probation, held.index + held.slices);
            match self.let_one_go(queue) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return tracing::warn!(%error, "no room could be made on disk"),
            }
        }
    }

    /// Takes the object at the head of a queue, or of the other one: it leaves, or goes to the end of the main queue. Says
    /// whether there was one.
    fn let_one_go(&self, queue: Queue) -> Result<bool, JournalError> {
        let other = if queue == Queue::Main { Queue::Probation } else { Queue::Main };
        let first = match self.journal.oldest(queue)? {
            None => self.journal.oldest(other)?,
            first => first,
        };
        let Some((place, key)) = first else { return Ok(false) };
        match key {
            Some(key) => self.let_go(place, &key)?,
            None => self.journal.unqueue(place)?,
        }
        Ok(true)
    }

    fn let_go(&self, place: Queued, key: &Key) -> Result<(), JournalError> {
        let _stripe = self.stripe(key).lock();
        let Some(object) = self.current(key).filter(|object| object.queued == place) else {
            return self.journal.unqueue(place);
        };
        match self.heat.judge(place.queue(), key) {
            Fate::Stays => {
                let queued = self.next_place(Queue::Main);
                let again = Arc::new(Object { variants: object.variants.clone(), queued });
                self.exchange(key, Some(&object), Some(&again))?;
                if self.objects.peek(key).is_some() {
                    self.objects.insert(key.clone(), again);
                }
                Ok(())
            }
            Fate::Leaves => {
                self.metrics.evicted.increment(object.variants.len() as u64);
                self.delete(key)
            }
        }
    }

    /// Counts a slice that came to a body of `key`; to be called under the key's stripe.
    pub(super) fn note_slice(&self, key: &Key, bytes: u64) -> Held {
        let new = self.current(key).is_none_or(|object| object.queued.queue() == Queue::Probation);
        let mut held = self.held.lock();
        held.slices += bytes;
        if new {
            held.probation += bytes;
        }
        *held
    }

    /// Deletes what no entry speaks of: slices of fills that a crash cut off, unreadable entries, copies of older epochs.
    /// Blocks; run after the start and after a change of epochs, beside the traffic. Entries are looked through once an epoch.
    pub fn tidy_up(&self, epoch: Epoch) -> Result<(), JournalError> {
        self.remove_orphans();
        if self.journal.tidied()? == Some(epoch) {
            return Ok(());
        }
        let mut unreadable = Vec::new();
        let mut old_epochs = false;
        self.journal.each_object(|key, record| match record {
            Some(record) => old_epochs |= record.oldest_epoch() < Some(epoch),
            None => unreadable.push(key),
        })?;
        for key in unreadable {
            self.metrics.disk_errors.increment(1);
            let _stripe = self.stripe(&key).lock();
            self.delete(&key)?;
        }
        if old_epochs {
            self.sweep("", epoch, |_, _| Marks::default())?;
        }
        self.journal.set_tidied(epoch)
    }

    fn remove_orphans(&self) {
        let Ok(folders) = std::fs::read_dir(&self.folder) else { return };
        let files =
            folders.flatten().filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().flatten();
        for file in files {
            let name = file.file_name();
            let Some((id, slice)) = name.to_str().and_then(FillId::of_file_name) else { continue };
            let earlier = u64::from(id.boot_number) < self.boot_number;
            // A body of an earlier start may be growing again; then its slice is recorded under the stripe of its key, and
            // until then its file is younger than this start.
            if earlier && matches!(self.journal.has_slice(id, slice), Ok(false)) && !self.is_open(id) {
                slice_file::remove(&file.path());
            }
        }
    }
}

fn boot_ms() -> u64 {
    clock::now().boot.as_millis() as u64
}
