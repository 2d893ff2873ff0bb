//! The journal: one ordered, atomic, recoverable index for watermark, rules, settings, prefetches and entries.
//!
//! All of them are keyspaces of one fjall database and so share one write-ahead log: what was written in one batch comes
//! back as one, and what was written later never comes back without what was written before.

use super::record::{Object, ObjectRecord};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use freshen_model::domain::Settings;
use freshen_model::ids::{DataId, Seq};
use freshen_model::key::Key;
use freshen_model::order::PrefetchOrder;
use freshen_model::protocol::follower::{Plan, Saved};
use freshen_model::rule::Rule;
use freshen_model::secret::SealingKey;
use freshen_model::task::{Failure, Progress};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;

/// Bytes of write-ahead log before older parts must have reached the tables.
const JOURNAL_BYTES_MAX: u64 = 128 << 20;

/// The journal of one POP.
pub struct Journal {
    db: Database,
    state: Keyspace,
    rules: Keyspace,
    domains: Keyspace,
    prefetches: Keyspace,
    objects: Keyspace,
    bodies: Keyspace,
    queue: Keyspace,
    /// Seals what of the settings is secret.
    secrets: SealingKey,
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
}

/// A prefetch as a POP keeps it until control has noted its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrefetchJob {
    /// What is to be done.
    pub order: PrefetchOrder,
    /// What it came to, once it ended.
    pub outcome: Option<(Progress, Vec<Failure>)>,
}

const SAVED: &str = "follower";
const DATA: &str = "data";
const BOOT_NUMBER: &str = "boot_number";

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
        let keyspace = |name| db.keyspace(name, KeyspaceCreateOptions::default);
        let journal = Journal {
            state: keyspace("state")?,
            rules: keyspace("rules")?,
            domains: keyspace("domains")?,
            prefetches: keyspace("prefetches")?,
            objects: keyspace("objects")?,
            bodies: keyspace("bodies")?,
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
            if let Some(job) = read(Some(job), "prefetches")? {
                restored.prefetches.push((seq_of(&seq), job));
            }
        }
        Ok(restored)
    }

    // ---- the log ----

    /// Makes a plan durable: rules, settings, prefetches and watermark in one batch, synced.
    pub fn apply(&self, plan: &Plan) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        if plan.starts_over {
            for keyspace in [&self.rules, &self.domains, &self.prefetches] {
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
            let job = PrefetchJob { order: order.clone(), outcome: None };
            batch.insert(&self.prefetches, seq.0.to_be_bytes(), json(&job));
        }
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

    /// The rules of orders up to `seq`, oldest first, one order at a time.
    pub fn each_rule(
        &self,
        seq: Seq,
        mut see: impl FnMut(&Rule) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        for entry in self.rules.range(..=seq.0.to_be_bytes()) {
            let rules: Vec<Rule> = read(Some(entry.value()?), "rules")?.unwrap_or_default();
            rules.iter().try_for_each(&mut see)?;
        }
        Ok(())
    }

    // ---- prefetches ----

    /// Keeps what a prefetch came to.
    pub fn keep_prefetch(&self, seq: Seq, job: &PrefetchJob) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.prefetches, seq.0.to_be_bytes(), json(job));
        Ok(batch.commit()?)
    }

    /// Forgets prefetches that control has noted.
    pub fn forget_prefetches(&self, noted: &[Seq]) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        for seq in noted {
            batch.remove(&self.prefetches, seq.0.to_be_bytes());
        }
        Ok(batch.commit()?)
    }

    // ---- entries ----

    /// The record of an object.
    pub fn object(&self, key: &Key) -> Result<Option<ObjectRecord>, JournalError> {
        self.objects.get(key.as_str())?.map(|bytes| parse_object(&bytes)).transpose()
    }

    /// The bytes of a small body.
    pub fn body(&self, id: [u8; 12]) -> Result<Option<fjall::UserValue>, JournalError> {
        Ok(self.bodies.get(id)?)
    }

    /// Writes an object with the small bodies that are new, and removes those that are not wanted any more. In the
    /// operating system's hands when this returns, so that it survives the process; synced with the next order.
    pub fn put(
        &self,
        key: &Key,
        object: &Object,
        was_queued: Option<u64>,
        new: &[([u8; 12], &[u8])],
        old: &[[u8; 12]],
    ) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        if was_queued != Some(object.queued) {
            if let Some(place) = was_queued {
                batch.remove(&self.queue, place.to_be_bytes());
            }
            batch.insert(&self.queue, object.queued.to_be_bytes(), key.as_str());
        }
        let record = postcard::to_stdvec(&ObjectRecord::of(object))
            .map_err(|_| JournalError::Unreadable("objects"))?;
        batch.insert(&self.objects, key.as_str(), record);
        for (id, bytes) in new {
            batch.insert(&self.bodies, *id, *bytes);
        }
        for id in old {
            batch.remove(&self.bodies, *id);
        }
        Ok(batch.commit()?)
    }

    /// Removes an object and its small bodies.
    pub fn remove(&self, key: &Key, record: &ObjectRecord) -> Result<(), JournalError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
        batch.remove(&self.objects, key.as_str());
        batch.remove(&self.queue, record.queued.to_be_bytes());
        for variant in &record.variants {
            if variant.body.is_small() {
                batch.remove(&self.bodies, variant.body.id.as_key());
            }
        }
        Ok(batch.commit()?)
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

    /// The longest-queued object, with its place.
    pub fn oldest(&self) -> Result<Option<(u64, Option<Key>)>, JournalError> {
        let Some(entry) = self.queue.first_key_value() else { return Ok(None) };
        let (place, text) = entry.into_inner()?;
        let key = std::str::from_utf8(&text).ok().and_then(Key::from_text);
        Ok(Some((seq_of(&place).0, key)))
    }

    /// The last place given out in the queue.
    pub fn newest_place(&self) -> Result<u64, JournalError> {
        self.queue.last_key_value().map_or(Ok(0), |entry| Ok(seq_of(&entry.key()?).0))
    }

    /// Takes a place out of the queue whose object is gone.
    pub fn unqueue(&self, place: u64) -> Result<(), JournalError> {
        Ok(self.queue.remove(place.to_be_bytes())?)
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
