//! The journal: one ordered, atomic, recoverable index for watermark, rules, settings, prefetches and entries.
//!
//! All of them are keyspaces of one fjall database and so share one write-ahead log: what was written in one batch comes
//! back as one, and what was written later never comes back without what was written before.

mod owed;

pub use owed::{Moment, NewlyOwed, Owed, RestoredOwed};

use super::body::{FillId, SliceRecord};
use super::heat::Queue;
use super::record::{Object, ObjectRecord, Queued};
use crate::prefetcher::Spent;
use fjall::config::{PartitioningPolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use freshen_model::domain::Settings;
use freshen_model::ids::{DataId, Epoch, Seq};
use freshen_model::key::Key;
use freshen_model::order::{PrefetchOrder, Steer};
use freshen_model::protocol::follower::{Plan, Saved};
use freshen_model::rule::Rule;
use freshen_model::secret::SealingKey;
use freshen_model::task::{Failure, Progress};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes of write-ahead log before older parts must have reached the tables.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// Bytes of the newest entries that are kept in memory.
const NEWEST_BYTES_MAX: u64 = 16 << 20;
/// The same of small bodies: several times as much waits on disk to be merged.
const NEWEST_BODIES_BYTES_MAX: u64 = 4 << 20;
/// Bytes that the index may take beside what it holds: write-ahead log, and tables that are being merged.
pub const OVERHEAD_BYTES: u64 = JOURNAL_BYTES_MAX + 10 * NEWEST_BODIES_BYTES_MAX;
/// What lies in the index takes up to so many times its size there, until tables are merged.
pub const SPREAD: u64 = 3;

/// The journal of one POP.
pub struct Journal {
    db: Database,
    state: Keyspace,
    rules: Keyspace,
    domains: Keyspace,
    prefetches: Keyspace,
    costs: Keyspace,
    owed: Keyspace,
    objects: Keyspace,
    bodies: Keyspace,
    slices: Keyspace,
    queue: Keyspace,
    /// Seals what of the settings is secret.
    secrets: SealingKey,
}

/// How much the journal speaks of, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Entries and small bodies, without what the engine adds.
    pub index: u64,
    /// Files of recorded slices.
    pub slices: u64,
    /// What of both is on probation.
    pub probation: u64,
}

/// Why the journal failed. After a failed write nothing is known of what reached the disk, so the database refuses all
/// further writes until it is opened anew.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The engine failed.
    #[error("the index on disk failed: {0}")]
    Engine(#[from] fjall::Error),
    /// What was read cannot be understood.
    #[error("the index on disk holds something unreadable in {0}")]
    Unreadable(&'static str),
}

impl JournalError {
    /// Whether the files are not what was written, so that trying again is of no use; failures of the disk are not that.
    pub fn is_damage(&self) -> bool {
        let JournalError::Engine(error) = self else { return true };
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                return matches!(io.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData);
            }
            cause = error.source();
        }
        !matches!(error, fjall::Error::Locked | fjall::Error::Poisoned | fjall::Error::InvalidVersion(_))
    }
}

/// What a POP takes up at its start.
pub struct Restored {
    /// The follower's state.
    pub saved: Saved,
    /// The data folder's identity.
    pub data: DataId,
    /// How many times it was started, this start included.
    pub boot_number: u64,
    /// Live rules.
    pub rules: Vec<(Seq, Vec<Rule>)>,
    /// Domains.
    pub domains: Vec<(String, Settings)>,
    /// Whether their secrets could be opened; not where they were sealed under another token.
    pub secrets_open: bool,
    /// Prefetches that control has not noted yet.
    pub prefetches: Vec<(Seq, PrefetchJob)>,
    /// Purges of which control does not have every receipt yet.
    pub owed: RestoredOwed,
    /// How much there is.
    pub held: Held,
}

/// A prefetch as a POP keeps it until control has noted its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrefetchJob {
    /// What is to be done.
    pub order: PrefetchOrder,
    /// What it came to, once it ended.
    pub outcome: Option<(Progress, Vec<Failure>)>,
    /// What it has cost the origin while it had not ended.
    #[serde(skip)]
    pub cost: Spent,
}

const SAVED: &str = "follower";
const DATA: &str = "data";
const BOOT_NUMBER: &str = "boot_number";
const HELD: &str = "held";
const TIDIED: &str = "tidied";

impl Journal {
    /// Opens or makes the journal in `folder`, and counts this start. Secrets are sealed with `secrets`.
    pub fn open(
        folder: &Path,
        new_data: DataId,
        secrets: SealingKey,
    ) -> Result<(Journal, Restored), JournalError> {
        let db = Database::builder(folder)
            .worker_threads(2)
            .cache_size(32 << 20)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .open()?;
        let options = |newest| {
            KeyspaceCreateOptions::default()
                .max_memtable_size(newest)
                // One block of data is read for a cold look-up, however many objects there are.
                .index_block_partitioning_policy(PartitioningPolicy::all(false))
                .index_block_pinning_policy(PinningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(false))
                .filter_block_pinning_policy(PinningPolicy::all(true))
        };
        let keyspace = |name| db.keyspace(name, || options(NEWEST_BYTES_MAX));
        // Only what an entry names is asked for there.
        let named = |name, newest| db.keyspace(name, || options(newest).expect_point_read_hits(true));
        let journal = Journal {
            state: keyspace("state")?,
            rules: keyspace("rules")?,
            domains: keyspace("domains")?,
            prefetches: keyspace("prefetches")?,
            costs: keyspace("costs")?,
            owed: keyspace("owed")?,
            objects: keyspace("objects")?,
            bodies: named("bodies", NEWEST_BODIES_BYTES_MAX)?,
            slices: named("slices", NEWEST_BYTES_MAX)?,
            queue: keyspace("queue")?,
            secrets,
            db,
        };
        let restored = journal.restore(new_data)?;
        Ok((journal, restored))
    }

    fn restore(&self, new_data: DataId) -> Result<Restored, JournalError> {
        let data = read(self.state.get(DATA)?, DATA)?.unwrap_or(new_data);
        let boot_number = read(self.state.get(BOOT_NUMBER)?, BOOT_NUMBER)?.unwrap_or(0) + 1;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.state, DATA, json(&data));
        batch.insert(&self.state, BOOT_NUMBER, json(&boot_number));
        batch.commit()?;
        let mut restored = Restored {
            saved: read(self.state.get(SAVED)?, SAVED)?.unwrap_or_default(),
            data,
            boot_number,
            rules: Vec::new(),
            domains: Vec::new(),
            secrets_open: true,
            prefetches: Vec::new(),
            owed: self.restore_owed()?,
            held: read(self.state.get(HELD)?, HELD)?.unwrap_or_default(),
        };
        for entry in self.rules.iter() {
            let (seq, rules) = entry.into_inner()?;
            restored.rules.push((seq_of(&seq), read(Some(rules), "rules")?.unwrap_or_default()));
        }
        for entry in self.domains.iter() {
            let (name, settings) = entry.into_inner()?;
            if let Some(mut settings) = read::<Settings>(Some(settings), "domains")? {
                restored.secrets_open &= settings.open(&self.secrets);
                restored.domains.push((String::from_utf8_lossy(&name).into_owned(), settings));
            }
        }
        for entry in self.prefetches.iter() {
            let (seq, job) = entry.into_inner()?;
            if let Some(mut job) = read::<PrefetchJob>(Some(job), "prefetches")? {
                job.cost = read(self.costs.get(&seq)?, "costs")?.unwrap_or_default();
                restored.prefetches.push((seq_of(&seq), job));
            }
        }
        Ok(restored)
    }

    // ---- the log ----

    /// Makes a plan durable: rules, settings, prefetches and watermark in one batch, synced; with what is owed from now
    /// on.
    pub fn apply(&self, plan: &Plan, owed: &NewlyOwed) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        if plan.starts_over {
            for keyspace in [&self.rules, &self.domains, &self.prefetches, &self.costs] {
                for entry in keyspace.iter() {
                    batch.remove(keyspace, entry.key()?);
                }
            }
        }
        for (seq, rules) in &plan.rules {
            batch.insert(&self.rules, seq.0.to_be_bytes(), json(rules));
        }
        for (name, settings) in &plan.domains {
            match settings {
                Some(settings) => {
                    let mut sealed = settings.clone();
                    sealed.seal(&self.secrets);
                    batch.insert(&self.domains, name.as_str(), json(&sealed));
                }
                None => batch.remove(&self.domains, name.as_str()),
            }
        }
        for (seq, order) in &plan.prefetches {
            let job = PrefetchJob { order: order.clone(), outcome: None, cost: Spent::default() };
            batch.insert(&self.prefetches, seq.0.to_be_bytes(), json(&job));
        }
        for (seq, job) in self.steered(&plan.steers)? {
            match job {
                Some(job) => batch.insert(&self.prefetches, seq.0.to_be_bytes(), json(&job)),
                None => batch.remove(&self.prefetches, seq.0.to_be_bytes()),
            }
        }
        self.owe(&mut batch, plan, owed)?;
        batch.insert(&self.state, SAVED, json(&plan.saved));
        Ok(batch.commit()?)
    }

    /// Makes the follower's state durable by itself, and forgets the rules up to `dropped`.
    ///
    /// Everything written before is synced with it, marks and deletions of the sweep included.
    pub fn save(&self, saved: &Saved) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        for entry in self.rules.range(..=saved.dropped.0.to_be_bytes()) {
            batch.remove(&self.rules, entry.key()?);
        }
        batch.insert(&self.state, SAVED, json(saved));
        Ok(batch.commit()?)
    }

    /// The rules of orders up to `seq`, oldest first, one order at a time. Nothing is open while they are seen: what a reader
    /// may still read is kept in all its versions, and `see` may write for long.
    pub fn each_rule(
        &self,
        seq: Seq,
        mut see: impl FnMut(&Rule) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let mut from = Seq::ZERO;
        while from <= seq {
            let next = self.rules.range(from.0.to_be_bytes()..=seq.0.to_be_bytes()).next();
            let Some((at, rules)) = next.map(|entry| entry.into_inner()).transpose()? else { break };
            let rules: Vec<Rule> = read(Some(rules), "rules")?.unwrap_or_default();
            rules.iter().try_for_each(&mut see)?;
            from = Seq(seq_of(&at).0 + 1);
        }
        Ok(())
    }

    /// The epoch whose entries have been looked through.
    pub fn tidied(&self) -> Result<Option<Epoch>, JournalError> {
        read(self.state.get(TIDIED)?, TIDIED)
    }

    /// Notes that no entry of an older epoch is left; after the deletions, in the same log.
    pub fn set_tidied(&self, epoch: Epoch) -> Result<(), JournalError> {
        Ok(self.state.insert(TIDIED, json(&epoch))?)
    }

    // ---- prefetches ----

    /// What becomes of prefetches that are steered: as they are to be kept, or gone.
    fn steered(&self, steers: &[(Seq, Steer)]) -> Result<BTreeMap<Seq, Option<PrefetchJob>>, JournalError> {
        let mut jobs: BTreeMap<Seq, Option<PrefetchJob>> = BTreeMap::new();
        for (seq, steer) in steers {
            let job = match jobs.entry(*seq) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    new.insert(read(self.prefetches.get(seq.0.to_be_bytes())?, "prefetches")?)
                }
            };
            match steer {
                Steer::Cancel => *job = None,
                Steer::Pause | Steer::Resume => {
                    if let Some(job) = job {
                        job.order.paused = *steer == Steer::Pause;
                    }
                }
            }
        }
        Ok(jobs)
    }

    /// Keeps what a prefetch came to.
    pub fn keep_prefetch(&self, seq: Seq, job: &PrefetchJob) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.prefetches, seq.0.to_be_bytes(), json(job));
        Ok(batch.commit()?)
    }

    /// Keeps what prefetches have cost so far; a power cut may take the last of it.
    pub fn keep_costs(&self, costs: &[(Seq, Spent)]) -> Result<(), JournalError> {
        let mut batch = self.db.batch();
        for (seq, cost) in costs {
            batch.insert(&self.costs, seq.0.to_be_bytes(), json(cost));
        }
        Ok(batch.commit()?)
    }

    /// Forgets prefetches that control has noted.
    pub fn forget_prefetches(&self, noted: &[Seq]) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        for seq in noted {
            batch.remove(&self.prefetches, seq.0.to_be_bytes());
            batch.remove(&self.costs, seq.0.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    // ---- entries ----

    /// The record of an object.
    pub fn object(&self, key: &Key) -> Result<Option<ObjectRecord>, JournalError> {
        self.objects.get(key.as_str())?.map(|bytes| parse_object(&bytes)).transpose()
    }

    /// The bytes of a small body.
    pub fn body(&self, id: FillId) -> Result<Option<fjall::UserValue>, JournalError> {
        Ok(self.bodies.get(id.as_key())?)
    }

    /// Makes a change of the cache. In the operating system's hands when this returns, so that it survives the process;
    /// synced with the next order.
    pub fn change(&self, change: &Change<'_>) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        let queued = change.after.map(|object| object.queued);
        if change.was_queued != queued {
            if let Some(place) = change.was_queued {
                batch.remove(&self.queue, place.0.to_be_bytes());
            }
            if let Some(place) = queued {
                batch.insert(&self.queue, place.0.to_be_bytes(), change.key.as_str());
            }
        }
        match change.after {
            Some(object) => {
                let record = postcard::to_stdvec(&ObjectRecord::of(object))
                    .map_err(|_| JournalError::Unreadable("objects"))?;
                batch.insert(&self.objects, change.key.as_str(), record);
            }
            None => batch.remove(&self.objects, change.key.as_str()),
        }
        for (id, bytes) in &change.small_came {
            batch.insert(&self.bodies, id.as_key(), *bytes);
        }
        for id in &change.small_went {
            batch.remove(&self.bodies, id.as_key());
        }
        for (id, slice, record) in &change.slices_came {
            batch.insert(&self.slices, id.slice_key(*slice), slice_record(record)?);
        }
        for id in &change.large_went {
            for entry in self.slices.prefix(id.as_key()) {
                batch.remove(&self.slices, entry.key()?);
            }
        }
        batch.insert(&self.state, HELD, json(&change.held));
        Ok(batch.commit()?)
    }

    /// Records a slice of a body that an entry speaks of.
    pub fn put_slice(
        &self,
        id: FillId,
        slice: u32,
        record: &SliceRecord,
        held: &Held,
    ) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        batch.insert(&self.slices, id.slice_key(slice), slice_record(record)?);
        batch.insert(&self.state, HELD, json(held));
        Ok(batch.commit()?)
    }

    /// Forgets a slice that is damaged.
    pub fn remove_slice(&self, id: FillId, slice: u32) -> Result<(), JournalError> {
        Ok(self.slices.remove(id.slice_key(slice))?)
    }

    /// The recorded slices of a body.
    pub fn slices(&self, id: FillId) -> Result<Vec<(u32, SliceRecord)>, JournalError> {
        let mut slices = Vec::new();
        for entry in self.slices.prefix(id.as_key()) {
            let (key, record) = entry.into_inner()?;
            if let (Some(number), Ok(record)) = (FillId::slice_of(&key), postcard::from_bytes(&record)) {
                slices.push((number, record));
            }
        }
        Ok(slices)
    }

    /// Whether a slice is recorded.
    pub fn has_slice(&self, id: FillId, slice: u32) -> Result<bool, JournalError> {
        Ok(self.slices.contains_key(id.slice_key(slice))?)
    }

    /// Keys of objects whose text begins with `prefix`, in order, behind `after`; at most `limit`.
    pub fn keys(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<Key>, JournalError> {
        let from = match after {
            // The next text behind `after` in byte order.
            Some(key) => format!("{}\0", key.as_str()),
            None => prefix.to_owned(),
        };
        let mut keys = Vec::new();
        for entry in self.objects.range(from.as_bytes()..) {
            let text = entry.key()?;
            if !text.starts_with(prefix.as_bytes()) || keys.len() == limit {
                break;
            }
            keys.extend(std::str::from_utf8(&text).ok().and_then(Key::from_text));
        }
        Ok(keys)
    }

    /// Reads the objects whose text begins with `prefix`, in order, until `see` has enough; says whether it had. What cannot
    /// be read is passed over, as a look-up passes it over.
    pub fn walk(
        &self,
        prefix: &str,
        mut see: impl FnMut(Key, ObjectRecord) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, JournalError> {
        for entry in self.objects.prefix(prefix.as_bytes()) {
            let (text, record) = entry.into_inner()?;
            let key = std::str::from_utf8(&text).ok().and_then(Key::from_text);
            if let (Some(key), Ok(record)) = (key, parse_object(&record))
                && see(key, record).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The longest-queued object of a queue, with its place.
    pub fn oldest(&self, queue: Queue) -> Result<Option<(Queued, Option<Key>)>, JournalError> {
        let range = Queued::new(queue, 0).0.to_be_bytes()..=Queued::new(queue, u64::MAX >> 1).0.to_be_bytes();
        let Some(entry) = self.queue.range(range).next() else { return Ok(None) };
        let (place, text) = entry.into_inner()?;
        let key = std::str::from_utf8(&text).ok().and_then(Key::from_text);
        Ok(Some((Queued(seq_of(&place).0), key)))
    }

    /// The last number given out in a queue.
    pub fn newest_place(&self) -> Result<u64, JournalError> {
        let mut newest = 0;
        for queue in [Queue::Probation, Queue::Main] {
            let range =
                Queued::new(queue, 0).0.to_be_bytes()..=Queued::new(queue, u64::MAX >> 1).0.to_be_bytes();
            if let Some(entry) = self.queue.range(range).next_back() {
                newest = newest.max(Queued(seq_of(&entry.key()?).0).number());
            }
        }
        Ok(newest)
    }

    /// Takes a place out of the queue whose object is gone.
    pub fn unqueue(&self, place: Queued) -> Result<(), JournalError> {
        Ok(self.queue.remove(place.0.to_be_bytes())?)
    }

    /// Reads every object, in order; unreadable ones are given as `None`.
    pub fn each_object(&self, mut see: impl FnMut(Key, Option<ObjectRecord>)) -> Result<(), JournalError> {
        for entry in self.objects.iter() {
            let (text, record) = entry.into_inner()?;
            if let Some(key) = std::str::from_utf8(&text).ok().and_then(Key::from_text) {
                see(key, parse_object(&record).ok());
            }
        }
        Ok(())
    }
}

/// A change of what is kept of one key.
pub struct Change<'a> {
    /// The key.
    pub key: &'a Key,
    /// Where it waited before.
    pub was_queued: Option<Queued>,
    /// What is kept from now on; `None` for nothing.
    pub after: Option<&'a Object>,
    /// Small bodies that are new.
    pub small_came: Vec<(FillId, &'a [u8])>,
    /// Small bodies that are not wanted any more.
    pub small_went: Vec<FillId>,
    /// Slices of bodies that are new.
    pub slices_came: Vec<(FillId, u32, SliceRecord)>,
    /// Bodies in slices that are not wanted any more.
    pub large_went: Vec<FillId>,
    /// How much there is afterwards.
    pub held: Held,
}

fn slice_record(record: &SliceRecord) -> Result<Vec<u8>, JournalError> {
    postcard::to_stdvec(record).map_err(|_| JournalError::Unreadable("slices"))
}

fn parse_object(bytes: &[u8]) -> Result<ObjectRecord, JournalError> {
    postcard::from_bytes(bytes).map_err(|_| JournalError::Unreadable("objects"))
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Only maps with keys that are no strings could fail, and there are none.
    serde_json::to_vec(value).unwrap_or_default()
}

fn read<T: DeserializeOwned>(
    bytes: Option<fjall::UserValue>,
    what: &'static str,
) -> Result<Option<T>, JournalError> {
    bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(|_| JournalError::Unreadable(what))).transpose()
}

fn seq_of(key: &[u8]) -> Seq {
    key.try_into().map_or(Seq::ZERO, |bytes| Seq(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::super::torn::{open, order};
    use super::*;

    /// An open reader would still see what is gone, and keep the engine from forgetting any of it.
    #[test]
    fn nothing_is_open_while_a_rule_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(folder.path()).unwrap();
        for seq in 1..=5 {
            journal.apply(&order(seq), &Default::default()).unwrap();
        }
        let mut seen = 0;
        let see = |_: &Rule| {
            seen += 1;
            journal.save(&Saved { dropped: Seq(3), ..Saved::default() })
        };
        journal.each_rule(Seq(4), see).unwrap();
        assert_eq!(seen, 2, "the first, and the one behind those that went meanwhile");
    }
}
