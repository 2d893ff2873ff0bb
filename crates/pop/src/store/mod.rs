//! The store: a memory tier before a disk tier, and the one place where entries change.
//!
//! Whoever changes what is kept of a key (a commit, a promotion to memory, the sweep, an eviction) does so under the
//! key's stripe. So nothing is promoted from an entry that was read before a mark was set on it.

pub mod body;
pub mod journal;
mod reclaim;
pub mod record;

pub use reclaim::Swept;

use crate::metrics::Metrics;
use body::{Body, BodyRecord, FillId, SLICE_BYTES};
use bytes::Bytes;
use freshen_model::key::Key;
use freshen_model::protocol::fill::FillStart;
use freshen_model::protocol::follower::Follower;
use journal::{Journal, JournalError};
use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use record::{Head, Object, ObjectRecord, Selector, Variant};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

const STRIPES: usize = 256;

/// What a POP has cached.
pub struct Store {
    journal: Arc<Journal>,
    folder: PathBuf,
    boot_number: u64,
    objects: Cache<Key, Arc<Object>, ObjectWeight>,
    slices: Cache<(FillId, u32), Bytes, SliceWeight>,
    stripes: Box<[Mutex<()>]>,
    hasher: RandomState,
    /// Large bodies that somebody holds: their files stay until the last one lets go.
    held: Mutex<HashMap<FillId, Weak<Body>>>,
    /// Taken for reading while a fill is stored, for writing while the floor is raised: so a fill is either stored before
    /// the sweep walks, or sees the new floor.
    storing: RwLock<()>,
    disk_bytes: AtomicU64,
    disk_bytes_max: u64,
    disk_reserve_bytes: u64,
    /// Whether what was there at the start is in `disk_bytes`.
    counted: AtomicBool,
    making_room: Mutex<()>,
    queue_end: AtomicU64,
    metrics: Arc<Metrics>,
}

#[derive(Clone)]
struct ObjectWeight;

impl Weighter<Key, Arc<Object>> for ObjectWeight {
    fn weight(&self, key: &Key, object: &Arc<Object>) -> u64 {
        key.as_str().len() as u64 + object.memory_bytes()
    }
}

#[derive(Clone)]
struct SliceWeight;

impl Weighter<(FillId, u32), Bytes> for SliceWeight {
    fn weight(&self, _: &(FillId, u32), bytes: &Bytes) -> u64 {
        bytes.len() as u64 + 64
    }
}

/// What became of an attempt to store.
#[derive(Debug)]
pub enum Stored {
    /// It is kept.
    Kept,
    /// The protocol forbids it: the fill began too early, or something younger is there.
    TooEarly,
    /// The disk or the index failed; the viewer has his answer all the same.
    Failed(String),
}

impl Store {
    /// A store over an open journal; `folder` is for slices.
    pub fn new(
        journal: Arc<Journal>,
        folder: PathBuf,
        boot_number: u64,
        memory_bytes: u64,
        disk_bytes_max: u64,
        disk_reserve_bytes: u64,
        metrics: Arc<Metrics>,
    ) -> Result<Store, JournalError> {
        body::make_folders(&folder).map_err(|error| JournalError::Engine(fjall::Error::Io(error)))?;
        let half = memory_bytes / 2;
        Ok(Store {
            queue_end: AtomicU64::new(journal.newest_place()?),
            journal,
            folder,
            boot_number,
            objects: Cache::with_weighter((half / 4_096) as usize, half, ObjectWeight),
            slices: Cache::with_weighter((half / SLICE_BYTES) as usize + 16, half, SliceWeight),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            held: Mutex::default(),
            storing: RwLock::default(),
            disk_bytes: AtomicU64::new(0),
            disk_bytes_max,
            disk_reserve_bytes,
            counted: AtomicBool::new(false),
            making_room: Mutex::default(),
            metrics,
        })
    }

    // ---- looking up ----

    /// The object, from memory or disk. What comes from disk is promoted to memory.
    pub async fn look_up(self: &Arc<Self>, key: &Key) -> Option<Arc<Object>> {
        if let Some(object) = self.objects.get(key) {
            return Some(object);
        }
        let (store, key) = (self.clone(), key.clone());
        blocking(move || {
            let _stripe = store.stripe(&key).lock();
            if let Some(object) = store.objects.peek(&key) {
                return Some(object);
            }
            let object = Arc::new(store.read(&key)?);
            store.objects.insert(key, object.clone());
            Some(object)
        })
        .await
        .flatten()
    }

    /// The object, without changing what is in memory.
    pub async fn peek(self: &Arc<Self>, key: &Key) -> Option<Arc<Object>> {
        if let Some(object) = self.objects.peek(key) {
            return Some(object);
        }
        let (store, key) = (self.clone(), key.clone());
        blocking(move || store.current(&key)).await.flatten()
    }

    /// A slice of a body, its checksum compared where it comes from disk.
    pub async fn slice(self: &Arc<Self>, body: &Arc<Body>, slice: u32) -> io::Result<Bytes> {
        if let Some(bytes) = body.at_hand() {
            return Ok(bytes.clone());
        }
        let name = (body.id(), slice);
        if let Some(bytes) = self.slices.get(&name) {
            return Ok(bytes);
        }
        let bytes = self.slice_from_disk(body, slice).await?;
        self.slices.insert(name, bytes.clone());
        Ok(bytes)
    }

    /// Reads a body of an object from disk, whatever is in memory, and compares its checksums.
    pub async fn read_back(self: &Arc<Self>, key: &Key, body: &Arc<Body>) -> io::Result<()> {
        for slice in 0..body.slice_count() {
            if body.at_hand().is_none() {
                self.slice_from_disk(body, slice).await?;
            }
        }
        // What the journal gives back has had its small bodies compared; the large ones are only named there.
        let (store, key, id) = (self.clone(), key.clone(), body.id());
        let found = blocking(move || store.read(&key)).await.flatten();
        let there = found.is_some_and(|object| object.variants.iter().any(|variant| variant.body.id() == id));
        there.then_some(()).ok_or_else(|| io::Error::other("not in the index on disk, or damaged there"))
    }

    async fn slice_from_disk(&self, body: &Arc<Body>, slice: u32) -> io::Result<Bytes> {
        let read = body.clone();
        let bytes = blocking(move || read.read_slice(slice))
            .await
            .unwrap_or_else(|| Err(io::Error::other("stopping")));
        if let Err(error) = &bytes {
            tracing::warn!(%error, slice, "a slice could not be read");
            self.metrics.disk_errors.increment(1);
        }
        bytes
    }

    // ---- storing ----

    /// Whether a body of that length may come; where not, room is made for the next one.
    pub fn has_room(self: &Arc<Self>, length: u64) -> bool {
        let fits = self.free_bytes() >= self.disk_reserve_bytes.saturating_add(length);
        if !fits {
            let store = self.clone();
            tokio::task::spawn_blocking(move || store.make_room());
        }
        fits
    }

    /// What the cache may take: what the configuration says, or less where the disk is smaller or others fill it.
    fn budget(&self) -> u64 {
        let held = self.disk_bytes.load(Ordering::Relaxed);
        self.disk_bytes_max.min((held + self.free_bytes()).saturating_sub(self.disk_reserve_bytes))
    }

    fn free_bytes(&self) -> u64 {
        // A disk that does not tell is found out when it is written to.
        rustix::fs::statvfs(&self.folder)
            .map_or(u64::MAX / 2, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// A name for a body about to be filled.
    pub fn fresh_fill(&self) -> io::Result<FillId> {
        FillId::fresh(self.boot_number)
    }

    /// Writes one slice of a body under way and keeps it in memory; returns its checksum.
    pub async fn write_slice(
        self: &Arc<Self>,
        id: FillId,
        slice: u32,
        chunks: Vec<Bytes>,
    ) -> io::Result<u32> {
        let store = self.clone();
        let written = blocking(move || {
            let sum = body::write_slice(id, slice, &store.folder, &chunks)?;
            let bytes = match <[Bytes; 1]>::try_from(chunks) {
                Ok([only]) => only,
                Err(chunks) => chunks.concat().into(),
            };
            store.slices.insert((id, slice), bytes);
            Ok(sum)
        });
        written.await.unwrap_or_else(|| Err(io::Error::other("stopping")))
    }

    /// A slice of a body under way that is written already.
    pub async fn written_slice(self: &Arc<Self>, id: FillId, slice: u32) -> io::Result<Bytes> {
        if let Some(bytes) = self.slices.get(&(id, slice)) {
            return Ok(bytes);
        }
        let path = id.slice_path(&self.folder, slice);
        blocking(move || std::fs::read(path))
            .await
            .unwrap_or_else(|| Err(io::Error::other("stopping")))
            .map(Bytes::from)
    }

    /// The body whose slices are all written.
    pub fn finish_body(&self, id: FillId, size: u64, sums: Vec<u32>) -> Arc<Body> {
        let body = Arc::new(Body::slices(id, size, sums, self.folder.clone()));
        self.held.lock().insert(id, Arc::downgrade(&body));
        body
    }

    /// Deletes the slices of a body that will not be finished.
    pub fn abandon_body(&self, id: FillId, slices: u32) {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || body::remove_slices(id, slices, &folder));
    }

    /// Stores what a fill delivered.
    pub async fn commit(
        self: &Arc<Self>,
        follower: &Arc<RwLock<Follower>>,
        key: &Key,
        start: FillStart,
        head: Head,
        body: Arc<Body>,
    ) -> Stored {
        let variant = Arc::new(Variant::new(head, start.delivered(), body));
        let kept = variant.clone();
        let stored = self.change(follower, key, start, move |object| {
            let newest = &kept;
            for there in &object.variants {
                if !newest.provenance.replaces(&there.provenance) && shares_slot(there, newest) {
                    return None;
                }
            }
            // What answers everybody stands alone, and what does not stands beside no one who does.
            let stays = |there: &&Arc<Variant>| !shares_slot(there, newest);
            let mut variants: Vec<_> = object.variants.iter().filter(stays).cloned().collect();
            variants.push(newest.clone());
            Some(variants)
        });
        let stored = stored.await;
        if !matches!(stored, Stored::Kept) {
            variant.body.doom();
        }
        stored
    }

    /// Keeps a copy that the origin confirmed: the new fields, and the seq of the request that was answered 304. Only
    /// the version whose validator was sent is freshened. The confirmed copy serves those who asked in any case.
    pub async fn freshen(
        self: &Arc<Self>,
        follower: &Arc<RwLock<Follower>>,
        key: &Key,
        start: FillStart,
        stale: &Arc<Variant>,
        head: Head,
    ) -> (Arc<Variant>, Stored) {
        let fresh = Arc::new(Variant::new(head, start.confirmed(&stale.provenance), stale.body.clone()));
        let (kept, id) = (fresh.clone(), stale.body.id());
        let stored = self.change(follower, key, start, move |object| {
            let same =
                |there: &Arc<Variant>| there.body.id() == id && kept.provenance.replaces(&there.provenance);
            let place = object.variants.iter().position(same)?;
            let mut variants = object.variants.clone();
            variants[place] = kept.clone();
            Some(variants)
        });
        (fresh, stored.await)
    }

    /// Changes what is kept of a key as `make` says, if the protocol still admits what `start` began.
    async fn change(
        self: &Arc<Self>,
        follower: &Arc<RwLock<Follower>>,
        key: &Key,
        start: FillStart,
        make: impl FnOnce(&Object) -> Option<Vec<Arc<Variant>>> + Send + 'static,
    ) -> Stored {
        let (store, follower, key) = (self.clone(), follower.clone(), key.clone());
        let changed = blocking(move || {
            let _stripe = store.stripe(&key).lock();
            let before = store.current(&key);
            let _storing = store.storing.read();
            if !follower.read().may_store(&start) {
                return Stored::TooEarly;
            }
            let nothing = Object::default();
            let was = before.as_deref().unwrap_or(&nothing);
            let Some(variants) = make(was) else { return Stored::TooEarly };
            let queued = if before.is_some() { was.queued } else { store.next_place() };
            let object = Arc::new(Object { variants, queued });
            match store.replace(&key, before.as_deref(), &object) {
                Ok(()) => Stored::Kept,
                Err(error) => Stored::Failed(error.to_string()),
            }
        });
        let outcome = changed.await.unwrap_or_else(|| Stored::Failed("stopping".into()));
        if self.disk_bytes.load(Ordering::Relaxed) > self.budget() {
            let store = self.clone();
            tokio::task::spawn_blocking(move || store.make_room());
        }
        outcome
    }

    /// Forgets an object: the origin changed it (an unsafe request went through), or its bytes are damaged.
    pub async fn forget(self: &Arc<Self>, key: &Key) {
        let (store, key) = (self.clone(), key.clone());
        blocking(move || {
            let _stripe = store.stripe(&key).lock();
            if let Err(error) = store.delete(&key) {
                tracing::warn!(%error, "an object could not be forgotten");
            }
        })
        .await;
    }

    // ---- how much it holds ----

    /// Bytes on disk, as far as they are counted.
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.objects.weight() + self.slices.weight()
    }

    // ---- under a stripe ----

    fn stripe(&self, key: &Key) -> &Mutex<()> {
        &self.stripes[self.hasher.hash_one(key) as usize % STRIPES]
    }

    fn next_place(&self) -> u64 {
        self.queue_end.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The object as it is now: in memory, else on disk.
    fn current(&self, key: &Key) -> Option<Arc<Object>> {
        self.objects.peek(key).or_else(|| self.read(key).map(Arc::new))
    }

    fn read(&self, key: &Key) -> Option<Object> {
        match self.journal.object(key) {
            Ok(record) => {
                let object = record?.restore(|body| self.body_of(body));
                (!object.variants.is_empty()).then_some(object)
            }
            Err(error) => {
                tracing::warn!(%error, %key, "an entry could not be read");
                self.metrics.disk_errors.increment(1);
                None
            }
        }
    }

    /// The body that a record speaks of; `None` where its bytes are lost or damaged.
    fn body_of(&self, record: BodyRecord) -> Option<Arc<Body>> {
        if record.is_small() {
            let bytes = match record.size {
                0 => Bytes::new(),
                _ => Bytes::copy_from_slice(&self.journal.body(record.id.as_key()).ok()??),
            };
            let body = Body::small(record.id, bytes);
            if body.record() != record {
                tracing::warn!("a small body is damaged");
                self.metrics.disk_errors.increment(1);
                return None;
            }
            return Some(Arc::new(body));
        }
        let mut held = self.held.lock();
        if let Some(body) = held.get(&record.id).and_then(Weak::upgrade) {
            return Some(body);
        }
        if held.len() > 1_024 {
            held.retain(|_, body| body.strong_count() > 0);
        }
        let body = Arc::new(Body::slices(record.id, record.size, record.sums, self.folder.clone()));
        held.insert(record.id, Arc::downgrade(&body));
        Some(body)
    }

    fn replace(&self, key: &Key, before: Option<&Object>, after: &Arc<Object>) -> Result<(), JournalError> {
        let none = Vec::new();
        let old = before.map_or(&none, |object| &object.variants);
        let without = |there: &Arc<Variant>, among: &[Arc<Variant>]| {
            !among.iter().any(|other| other.body.id() == there.body.id())
        };
        let came: Vec<_> = after
            .variants
            .iter()
            .filter(|variant| without(variant, old))
            .filter_map(|variant| Some((variant.body.id().as_key(), variant.body.at_hand()?.as_ref())))
            .collect();
        let went: Vec<_> = old.iter().filter(|variant| without(variant, &after.variants)).collect();
        let small: Vec<_> =
            went.iter().filter(|v| v.body.at_hand().is_some()).map(|v| v.body.id().as_key()).collect();
        self.journal.put(key, after, before.map(|object| object.queued), &came, &small)?;
        self.disk_bytes.fetch_add(after.disk_bytes(), Ordering::Relaxed);
        self.subtract(before.map_or(0, Object::disk_bytes));
        for variant in went {
            variant.body.doom();
        }
        self.objects.insert(key.clone(), after.clone());
        Ok(())
    }

    fn delete(&self, key: &Key) -> Result<(), JournalError> {
        self.objects.remove(key);
        let Ok(Some(record)) = self.journal.object(key) else {
            return self.journal.remove(key, &ObjectRecord { variants: Vec::new(), queued: 0 });
        };
        self.journal.remove(key, &record)?;
        let object = record.restore(|body| self.body_of(body));
        self.subtract(object.disk_bytes());
        for variant in &object.variants {
            variant.body.doom();
        }
        Ok(())
    }

    fn subtract(&self, bytes: u64) {
        let _ = self
            .disk_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| Some(all.saturating_sub(bytes)));
    }
}

/// Whether two variants cannot stand beside each other.
fn shares_slot(a: &Variant, b: &Variant) -> bool {
    a.head.selector == b.head.selector
        || a.head.selector == Selector::Everybody
        || b.head.selector == Selector::Everybody
}

/// Runs what blocks on its own thread; `None` where the runtime is stopping.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
