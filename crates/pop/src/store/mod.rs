//! The store: a memory tier before a disk tier, and the one place where entries change.
//!
//! Whoever changes what is kept of a key (a commit, a slice, a promotion to memory, the sweep, an eviction) does so under
//! the key's stripe. So nothing is promoted from an entry that was read before a mark was set on it, and no slice is
//! recorded for a body that is not kept any more.

mod blocks;
pub mod body;
mod heat;
pub mod journal;
mod reclaim;
pub mod record;
pub mod run;
mod slice_file;
#[cfg(test)]
mod torn;

pub use blocks::Open;
pub use reclaim::Swept;
pub use slice_file::SliceFile;

use crate::metrics::Metrics;
use body::{BLOCK_BYTES, Body, BodyRecord, FillId};
use bytes::Bytes;
use freshen_model::key::Key;
use freshen_model::protocol::fill::FillStart;
use freshen_model::protocol::follower::Follower;
use freshen_model::tag::Tags;
use heat::{Heat, Queue};
use journal::{Change, Held, Journal, JournalError};
use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use record::{Head, Object, Queued, Variant};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

const STRIPES: usize = 256;
/// Variants of one object; the one stored first leaves for another.
const VARIANTS_MAX: usize = 64;

/// What a POP has cached.
pub struct Store {
    journal: Arc<Journal>,
    folder: Arc<Path>,
    boot_number: u64,
    objects: Cache<Key, Arc<Object>, ObjectWeight>,
    blocks: Cache<(FillId, u64), Bytes, BlockWeight>,
    stripes: Box<[Mutex<()>]>,
    hasher: RandomState,
    heat: Heat,
    /// Large bodies that somebody holds: their files stay until the last one lets go.
    open: Mutex<HashMap<FillId, Weak<Body>>>,
    /// Taken for reading while a fill is stored, for writing while the floor is raised: so a fill is either stored before
    /// the sweep walks, or sees the new floor.
    storing: RwLock<()>,
    /// Bytes of all slices' files, recorded or not.
    slice_bytes: Arc<AtomicU64>,
    /// What the journal speaks of; changed under some stripe, by differences.
    held: Mutex<Held>,
    disk_bytes_max: u64,
    disk_reserve_bytes: u64,
    making_room: Mutex<()>,
    /// When the disk may be written to again after it failed, milliseconds since the machine's start.
    writes_again_ms: AtomicU64,
    queue_end: AtomicU64,
    /// Bytes that runs may keep in memory together, and how many there are.
    growing_bytes_max: u64,
    runs: AtomicUsize,
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
struct BlockWeight;

impl Weighter<(FillId, u64), Bytes> for BlockWeight {
    fn weight(&self, _: &(FillId, u64), bytes: &Bytes) -> u64 {
        bytes.len() as u64 + 96
    }
}

/// What a store may take.
pub struct Room {
    /// Memory, bytes: half for blocks, a quarter each for objects and for what is being filled.
    pub memory_bytes: u64,
    /// Disk, bytes, journal included.
    pub disk_bytes: u64,
    /// Bytes that stay free on the disk.
    pub disk_reserve_bytes: u64,
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
        held: Held,
        room: &Room,
        metrics: Arc<Metrics>,
    ) -> Result<Store, JournalError> {
        body::make_folders(&folder).map_err(|error| JournalError::Engine(fjall::Error::Io(error)))?;
        let (quarter, half) = (room.memory_bytes / 4, room.memory_bytes / 2);
        Ok(Store {
            queue_end: AtomicU64::new(journal.newest_place()?),
            journal,
            folder: folder.into(),
            boot_number,
            objects: Cache::with_weighter((quarter / 2_048) as usize, quarter, ObjectWeight),
            blocks: Cache::with_weighter((half / BLOCK_BYTES) as usize + 16, half, BlockWeight),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            heat: Heat::default(),
            open: Mutex::default(),
            storing: RwLock::default(),
            slice_bytes: Arc::new(AtomicU64::new(held.slices)),
            held: Mutex::new(held),
            disk_bytes_max: room.disk_bytes,
            disk_reserve_bytes: room.disk_reserve_bytes,
            making_room: Mutex::default(),
            writes_again_ms: AtomicU64::new(0),
            growing_bytes_max: quarter,
            runs: AtomicUsize::new(0),
            metrics,
        })
    }

    // ---- looking up ----

    /// The object where it is in memory; counts as a use.
    pub fn look_up_in_memory(&self, key: &Key) -> Option<Arc<Object>> {
        let object = self.objects.get(key)?;
        self.heat.used(key);
        Some(object)
    }

    /// The object that is not in memory, or was not a moment ago; counts as a use. It is promoted to memory.
    pub async fn look_up_on_disk(self: &Arc<Self>, key: &Key) -> Option<Arc<Object>> {
        let (store, key) = (self.clone(), key.clone());
        blocking(move || {
            let _stripe = store.stripe(&key).lock();
            if let Some(object) = store.objects.peek(&key) {
                return Some(object);
            }
            let object = Arc::new(store.read(&key)?);
            store.heat.used(&key);
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

    // ---- storing ----

    /// A name for a body about to be filled.
    pub fn fresh_fill(&self) -> io::Result<FillId> {
        FillId::fresh(self.boot_number)
    }

    /// A body of which nothing is there yet. Unless it is committed, it must be doomed.
    pub fn new_body(&self, id: FillId, size: Option<u64>) -> Arc<Body> {
        let body = Arc::new(Body::slices(id, size, self.folder.clone(), self.slice_bytes.clone()));
        self.note_open(&body);
        body
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
            let stays = |there: &&Arc<Variant>| !shares_slot(there, newest);
            let mut variants: Vec<_> = object.variants.iter().filter(stays).cloned().collect();
            if variants.len() >= VARIANTS_MAX {
                variants.remove(0);
            }
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
            // Another 304 may have brought tags since `stale` was looked up.
            variants[place] = kept.with_tags(&variants[place].head.tags).unwrap_or(kept);
            Some(variants)
        });
        (fresh, stored.await)
    }

    /// Notes that the origin calls the variant with this body by these tags too, as the answer with some of its slices said.
    pub async fn add_tags(self: &Arc<Self>, key: &Key, body: &Arc<Body>, tags: Tags) {
        let (store, key, id) = (self.clone(), key.clone(), body.id());
        blocking(move || {
            let _stripe = store.stripe(&key).lock();
            let Some(object) = store.current(&key) else { return };
            let Some(place) = object.variants.iter().position(|variant| variant.body.id() == id) else {
                return;
            };
            let Some(tagged) = object.variants[place].with_tags(&tags) else { return };
            let mut variants = object.variants.clone();
            variants[place] = tagged;
            let after = Arc::new(Object { variants, queued: object.queued });
            if let Err(error) = store.replace(&key, Some(&object), &after) {
                tracing::warn!(%error, "tags could not be kept on disk");
                // Known here at least: what is on disk would be passed over by a purge of these tags.
                store.objects.insert(key.clone(), after);
            }
        })
        .await;
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
            let queued =
                if before.is_some() { was.queued } else { store.next_place(store.heat.begins(&key)) };
            let object = Arc::new(Object { variants, queued });
            match store.replace(&key, before.as_deref(), &object) {
                Ok(()) => Stored::Kept,
                Err(error) => Stored::Failed(error.to_string()),
            }
        });
        let outcome = changed.await.unwrap_or_else(|| Stored::Failed("stopping".into()));
        if !self.fits(0) {
            let store = self.clone();
            tokio::task::spawn_blocking(move || store.make_room(0));
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

    /// Forgets the variant with this body: the origin has another version, or what is there is of no use.
    pub async fn forget_body(self: &Arc<Self>, key: &Key, body: &Arc<Body>) {
        let (store, key, id) = (self.clone(), key.clone(), body.id());
        blocking(move || {
            let _stripe = store.stripe(&key).lock();
            let Some(object) = store.current(&key) else { return };
            let variants: Vec<_> =
                object.variants.iter().filter(|variant| variant.body.id() != id).cloned().collect();
            let forgotten = match variants.len() {
                0 => store.delete(&key),
                same if same == object.variants.len() => Ok(()),
                _ => {
                    let after = Arc::new(Object { variants, queued: object.queued });
                    store.replace(&key, Some(&object), &after)
                }
            };
            if let Err(error) = forgotten {
                tracing::warn!(%error, "a variant could not be forgotten");
            }
        })
        .await;
    }

    // ---- how much it holds ----

    /// Bytes on disk, what the journal may take for its part included.
    pub fn disk_bytes(&self) -> u64 {
        let index = self.held.lock().index;
        self.slice_bytes.load(Ordering::Relaxed) + journal::SPREAD * index
    }

    /// Bytes of all that is stored: entries, small bodies, slices.
    pub fn content_bytes(&self) -> u64 {
        let held = *self.held.lock();
        held.index + held.slices
    }

    /// What is stored of a body, as the sweep would count it. Blocks.
    pub fn stored_bytes(&self, body: &BodyRecord) -> u64 {
        if body.is_small() {
            return body.size;
        }
        let slices = self.journal.slices(body.id).unwrap_or_default();
        slices.iter().map(|(_, slice)| u64::from(slice.allocated)).sum()
    }

    /// How often an object was used lately, estimated; and whether it was used since it came.
    pub fn uses(&self, key: &Key) -> (u64, bool) {
        self.heat.uses(key)
    }

    /// Halves what is counted of recent uses.
    pub fn cool(&self) {
        self.heat.cool();
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.objects.weight() + self.blocks.weight()
    }

    // ---- under a stripe ----

    fn stripe(&self, key: &Key) -> &Mutex<()> {
        &self.stripes[self.hasher.hash_one(key) as usize % STRIPES]
    }

    fn next_place(&self, queue: Queue) -> Queued {
        Queued::new(queue, self.queue_end.fetch_add(1, Ordering::Relaxed) + 1)
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
                _ => Bytes::copy_from_slice(&self.journal.body(record.id).ok()??),
            };
            let body = Body::small(record.id, bytes);
            if body.record() != record {
                tracing::warn!("a small body is damaged");
                self.metrics.disk_errors.increment(1);
                return None;
            }
            return Some(Arc::new(body));
        }
        if let Some(body) = self.open.lock().get(&record.id).and_then(Weak::upgrade) {
            return Some(body);
        }
        let there = self.journal.slices(record.id).ok()?;
        let body = Body::restored(&record, there, self.folder.clone(), self.slice_bytes.clone());
        let body = Arc::new(body);
        self.note_open(&body);
        Some(body)
    }

    fn is_open(&self, id: FillId) -> bool {
        self.open.lock().get(&id).is_some_and(|body| body.strong_count() > 0)
    }

    fn note_open(&self, body: &Arc<Body>) {
        let mut open = self.open.lock();
        if open.len() >= 1_024 && open.len().is_power_of_two() {
            open.retain(|_, body| body.strong_count() > 0);
        }
        open.insert(body.id(), Arc::downgrade(body));
    }

    fn replace(&self, key: &Key, before: Option<&Object>, after: &Arc<Object>) -> Result<(), JournalError> {
        self.exchange(key, before, Some(after))?;
        self.objects.insert(key.clone(), after.clone());
        Ok(())
    }

    fn delete(&self, key: &Key) -> Result<(), JournalError> {
        self.objects.remove(key);
        let object = self.read(key);
        self.exchange(key, object.as_ref(), None)
    }

    /// Puts `after` in the place of `before`, in the journal; what is not wanted any more goes.
    fn exchange(
        &self,
        key: &Key,
        before: Option<&Object>,
        after: Option<&Arc<Object>>,
    ) -> Result<(), JournalError> {
        let old = before.map_or(&[][..], |object| &object.variants);
        let new = after.map_or(&[][..], |object| &object.variants);
        let without = |there: &&Arc<Variant>, among: &[Arc<Variant>]| {
            !among.iter().any(|other| other.body.id() == there.body.id())
        };
        let came: Vec<_> = new.iter().filter(|variant| without(variant, old)).collect();
        let went: Vec<_> = old.iter().filter(|variant| without(variant, new)).collect();
        let is_small = |variant: &Variant| variant.body.at_hand().is_some();
        let mut change = Change {
            key,
            was_queued: before.map(|object| object.queued),
            after: after.map(|object| &**object),
            small_came: came
                .iter()
                .filter_map(|variant| Some((variant.body.id(), variant.body.at_hand()?.as_ref())))
                .collect(),
            small_went: went.iter().filter(|v| is_small(v)).map(|v| v.body.id()).collect(),
            slices_came: Vec::new(),
            large_went: went.iter().filter(|v| !is_small(v)).map(|v| v.body.id()).collect(),
            held: Held::default(),
        };
        for variant in &came {
            variant.body.list();
            let id = variant.body.id();
            change
                .slices_came
                .extend(variant.body.slices_here().into_iter().map(|(at, record)| (id, at, record)));
        }
        change.held = {
            let mut held = self.held.lock();
            if let Some(object) = before {
                held.less(object);
            }
            if let Some(object) = after {
                held.more(object);
            }
            *held
        };
        self.journal.change(&change)?;
        for variant in went {
            variant.body.doom();
        }
        Ok(())
    }
}

impl Held {
    fn more(&mut self, object: &Object) {
        let (index, slices) = (object.index_bytes(), object.slice_bytes());
        self.index += index;
        self.slices += slices;
        if object.queued.queue() == Queue::Probation {
            self.probation += index + slices;
        }
    }

    fn less(&mut self, object: &Object) {
        let (index, slices) = (object.index_bytes(), object.slice_bytes());
        self.index = self.index.saturating_sub(index);
        self.slices = self.slices.saturating_sub(slices);
        if object.queued.queue() == Queue::Probation {
            self.probation = self.probation.saturating_sub(index + slices);
        }
    }
}

/// Whether two variants cannot stand beside each other: they answer the same requests, or the origin has changed what it
/// varies by.
fn shares_slot(a: &Variant, b: &Variant) -> bool {
    a.head.vary != b.head.vary || a.head.selecting == b.head.selecting
}

/// Runs what blocks on its own thread; `None` where the runtime is stopping.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
