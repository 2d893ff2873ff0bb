//! Bodies: small ones with their entries, larger ones in slices of 1 MiB, a file each, which may come in any order.

use super::run::Run;
use super::slice_file::{self, SliceFile};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Bytes that are read, kept in memory and summed together.
pub const BLOCK_BYTES: u64 = 64 << 10;
/// Bytes in a slice; the last one of a body may have fewer.
pub const SLICE_BYTES: u64 = 1 << 20;
/// Bodies up to this size lie in the journal, with their entries.
pub const SMALL_BYTES_MAX: u64 = BLOCK_BYTES;
/// A reader waits for a run that is this far before the byte he needs; farther, he has it fetched for himself.
const NEAR_BYTES: u64 = 4 * SLICE_BYTES;
/// How far a run that keeps to a pace is before another POP's prefetch, at least.
const AHEAD_OF_ASKER_BYTES: u64 = 4 * SLICE_BYTES;
/// How far a run may be before its readers, where it can be taken up again later.
const AHEAD_BYTES: u64 = 16 * SLICE_BYTES;

/// The name of one filled body, never used again: boot number and random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FillId {
    /// The start of the POP that filled it; what a start left unfinished is known by it.
    pub boot_number: u32,
    /// Random.
    pub random: u64,
}

impl FillId {
    /// A fresh one.
    pub fn fresh(boot_number: u64) -> io::Result<FillId> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        Ok(FillId { boot_number: boot_number as u32, random: u64::from_be_bytes(random) })
    }

    /// The file of a slice, within the folder of slices; 256 folders, so that none grows too long.
    pub fn slice_path(&self, folder: &Path, slice: u32) -> PathBuf {
        folder
            .join(format!("{:02x}", self.random >> 56))
            .join(format!("{:08x}-{:016x}-{slice}", self.boot_number, self.random))
    }

    /// Reads name and slice back from a file's name.
    pub fn of_file_name(name: &str) -> Option<(FillId, u32)> {
        let mut parts = name.split('-');
        let boot_number = u32::from_str_radix(parts.next()?, 16).ok()?;
        let random = u64::from_str_radix(parts.next()?, 16).ok()?;
        let slice = parts.next()?.parse().ok()?;
        Some((FillId { boot_number, random }, slice))
    }

    /// As a key of the journal.
    pub fn as_key(&self) -> [u8; 12] {
        let mut key = [0; 12];
        key[..4].copy_from_slice(&self.boot_number.to_be_bytes());
        key[4..].copy_from_slice(&self.random.to_be_bytes());
        key
    }

    /// The key of one of its slices.
    pub fn slice_key(&self, slice: u32) -> [u8; 16] {
        let mut key = [0; 16];
        key[..12].copy_from_slice(&self.as_key());
        key[12..].copy_from_slice(&slice.to_be_bytes());
        key
    }

    /// The slice that a key is of, as [`FillId::slice_key`] made it.
    pub fn slice_of(key: &[u8]) -> Option<u32> {
        Some(u32::from_be_bytes(key.get(12..16)?.try_into().ok()?))
    }
}

/// The body of a variant. What is there of it never changes; what is missing may still come.
#[derive(Debug)]
pub struct Body {
    id: FillId,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Small { bytes: Bytes, sum: u32 },
    Slices(Slices),
}

/// A body in slices. Dropping the last handle of a doomed one deletes its files.
#[derive(Debug)]
struct Slices {
    folder: Arc<Path>,
    /// Bytes of all bodies' files, this one's among them.
    held: Arc<AtomicU64>,
    /// `u64::MAX` while nobody knows.
    size: AtomicU64,
    /// Whether an entry speaks of it, so that its slices are to be recorded. Changed under the key's stripe.
    listed: AtomicBool,
    doomed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slices: Vec<Slice>,
    runs: Vec<Arc<Run>>,
    readers: Vec<Weak<Reading>>,
}

#[derive(Debug, Default, Clone)]
enum Slice {
    #[default]
    Absent,
    /// A run is writing it.
    Claimed,
    Here(SliceRecord),
}

/// A slice as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceRecord {
    /// The CRC-32 of each of its blocks.
    pub sums: Box<[u32]>,
    /// Bytes that its file takes on the disk.
    pub allocated: u32,
}

/// A body as its entry in the journal names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BodyRecord {
    /// Its name.
    pub id: FillId,
    /// Its length in bytes.
    pub size: u64,
    /// The CRC-32 of a small one; slices have theirs with them.
    pub sum: u32,
}

impl BodyRecord {
    /// Whether it lies in the journal.
    pub fn is_small(&self) -> bool {
        self.size <= SMALL_BYTES_MAX
    }
}

/// Where a byte of a body is.
#[derive(Debug)]
pub enum Place {
    /// In a slice that is there.
    Here,
    /// On its way.
    Coming(Arc<Run>),
    /// Nowhere: it must be fetched.
    Missing,
}

/// Where somebody reads a body: it keeps runs going that he will need.
#[derive(Debug)]
pub struct Reading {
    at: AtomicU64,
    last: u64,
    reader: ReadBy,
}

/// Who reads a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBy {
    /// A viewer, here or at another POP: he is not kept waiting.
    Viewer,
    /// Another POP's prefetch: it takes bytes at its own pace, which a viewer there lifts, and finds some ahead of it.
    Asker,
    /// A prefetch of this POP.
    Prefetch,
}

impl Reading {
    /// Notes how far he is.
    pub fn moved(&self, at: u64) {
        self.at.store(at, Ordering::Relaxed);
    }
}

impl Body {
    /// A small body, at hand.
    pub fn small(id: FillId, bytes: Bytes) -> Body {
        let sum = crc32fast::hash(&bytes);
        Body { id, content: Content::Small { bytes, sum } }
    }

    /// A body in slices of which nothing is there yet; its files' bytes are counted in `held`.
    pub fn slices(id: FillId, size: Option<u64>, folder: Arc<Path>, held: Arc<AtomicU64>) -> Body {
        let slices = Slices {
            folder,
            held,
            size: AtomicU64::new(size.unwrap_or(u64::MAX)),
            listed: AtomicBool::new(false),
            doomed: AtomicBool::new(false),
            state: Mutex::default(),
        };
        Body { id, content: Content::Slices(slices) }
    }

    /// The same, as an entry names it, with the slices that are there.
    pub fn restored(
        record: &BodyRecord,
        there: Vec<(u32, SliceRecord)>,
        folder: Arc<Path>,
        held: Arc<AtomicU64>,
    ) -> Body {
        let body = Body::slices(record.id, Some(record.size), folder, held);
        if let Content::Slices(slices) = &body.content {
            slices.listed.store(true, Ordering::Relaxed);
            let mut state = slices.state.lock();
            for (slice, record) in there {
                *state.slice(slice) = Slice::Here(record);
            }
        }
        body
    }

    /// Its name.
    pub fn id(&self) -> FillId {
        self.id
    }

    /// Its length in bytes, where it is known.
    pub fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Small { bytes, .. } => Some(bytes.len() as u64),
            Content::Slices(slices) => slices.size(),
        }
    }

    /// Its length; 0 while nobody knows it.
    pub fn size_or_zero(&self) -> u64 {
        self.size().unwrap_or(0)
    }

    /// Its bytes, where it is small.
    pub fn at_hand(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Small { bytes, .. } => Some(bytes),
            Content::Slices(_) => None,
        }
    }

    /// How to name it in an entry.
    pub fn record(&self) -> BodyRecord {
        let sum = match &self.content {
            Content::Small { sum, .. } => *sum,
            Content::Slices(_) => 0,
        };
        BodyRecord { id: self.id, size: self.size_or_zero(), sum }
    }

    /// Bytes it takes in memory, roughly.
    pub fn memory_bytes(&self) -> u64 {
        match &self.content {
            Content::Small { bytes, .. } => bytes.len() as u64,
            Content::Slices(slices) => 256 + 112 * slices.size().map_or(1, |size| size.div_ceil(SLICE_BYTES)),
        }
    }

    fn in_slices(&self) -> Option<&Slices> {
        match &self.content {
            Content::Small { .. } => None,
            Content::Slices(slices) => Some(slices),
        }
    }

    // ---- what is there ----

    /// Where the byte `at` is.
    pub fn locate(&self, at: u64) -> Place {
        let Some(slices) = self.in_slices() else { return Place::Here };
        let state = slices.state.lock();
        let slice = (at / SLICE_BYTES) as u32;
        if matches!(state.slices.get(slice as usize), Some(Slice::Here(_))) {
            return Place::Here;
        }
        let coming = state.runs.iter().filter(|run| run.brings(at, NEAR_BYTES));
        // The one that is nearest to it.
        match coming.max_by_key(|run| run.arrived()) {
            Some(run) => Place::Coming(run.clone()),
            None => Place::Missing,
        }
    }

    /// Whether all of these bytes are there, in slices or in what runs have brought so far.
    pub fn has(&self, first: u64, last: u64) -> bool {
        let Some(slices) = self.in_slices() else { return true };
        let state = slices.state.lock();
        (first / SLICE_BYTES..=last / SLICE_BYTES).all(|slice| {
            let end = last.min((slice + 1) * SLICE_BYTES - 1);
            matches!(state.slices.get(slice as usize), Some(Slice::Here(_)))
                || state.runs.iter().any(|run| run.has_brought(slice as u32, end))
        })
    }

    /// Whether it is there from beginning to end, in slices that are written.
    pub fn is_whole(&self) -> bool {
        let Some(slices) = self.in_slices() else { return true };
        let state = slices.state.lock();
        let here = |slice| matches!(state.slices.get(slice as usize), Some(Slice::Here(_)));
        slices.size().is_some_and(|size| (0..size.div_ceil(SLICE_BYTES)).all(here))
    }

    /// The checksum of a block that is there.
    pub fn block_sum(&self, block: u64) -> Option<u32> {
        const BLOCKS: u64 = SLICE_BYTES / BLOCK_BYTES;
        match self.in_slices()?.state.lock().slices.get((block / BLOCKS) as usize) {
            Some(Slice::Here(record)) => record.sums.get((block % BLOCKS) as usize).copied(),
            _ => None,
        }
    }

    /// All slices that are there.
    pub fn slices_here(&self) -> Vec<(u32, SliceRecord)> {
        let Some(slices) = self.in_slices() else { return Vec::new() };
        let state = slices.state.lock();
        let here = |(number, slice): (usize, &Slice)| match slice {
            Slice::Here(record) => Some((number as u32, record.clone())),
            _ => None,
        };
        state.slices.iter().enumerate().filter_map(here).collect()
    }

    /// Bytes that its files take on the disk.
    pub fn allocated(&self) -> u64 {
        let Some(slices) = self.in_slices() else { return 0 };
        let state = slices.state.lock();
        state.slices.iter().map(Slice::allocated).sum()
    }

    /// The file of one of its slices.
    pub fn slice_path(&self, slice: u32) -> PathBuf {
        match self.in_slices() {
            Some(slices) => self.id.slice_path(&slices.folder, slice),
            None => PathBuf::new(),
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(&self, block: u64) -> u64 {
        self.size().map_or(BLOCK_BYTES, |size| BLOCK_BYTES.min(size.saturating_sub(block * BLOCK_BYTES)))
    }

    // ---- what comes ----

    /// Lets a run bring some of it.
    pub fn enter(&self, run: &Arc<Run>) {
        if let Some(slices) = self.in_slices() {
            slices.state.lock().runs.push(run.clone());
        }
    }

    /// The run ended.
    pub fn leave(&self, run: &Arc<Run>) {
        if let Some(slices) = self.in_slices() {
            slices.state.lock().runs.retain(|other| !Arc::ptr_eq(other, run));
        }
    }

    /// Takes a slice for writing; `false` where it is there or another run writes it.
    pub fn claim(&self, slice: u32) -> bool {
        let Some(slices) = self.in_slices() else { return false };
        let mut state = slices.state.lock();
        let place = state.slice(slice);
        let free = matches!(place, Slice::Absent);
        if free {
            *place = Slice::Claimed;
        }
        free
    }

    /// Gives a claimed slice back, unwritten.
    pub fn unclaim(&self, slice: u32) {
        if let Some(slices) = self.in_slices() {
            *slices.state.lock().slice(slice) = Slice::Absent;
        }
    }

    /// A claimed slice is written. Returns whether it must be recorded; to be called under the key's stripe.
    pub fn written(&self, slice: u32, record: SliceRecord) -> bool {
        let Some(slices) = self.in_slices() else { return false };
        *slices.state.lock().slice(slice) = Slice::Here(record);
        slices.listed.load(Ordering::Relaxed) && !slices.doomed.load(Ordering::Relaxed)
    }

    /// A slice is damaged: it counts as missing, and its file goes. Returns whether it was there.
    pub fn lose(&self, slice: u32) -> bool {
        let Some(slices) = self.in_slices() else { return false };
        let mut state = slices.state.lock();
        let place = state.slice(slice);
        let Slice::Here(record) = place else { return false };
        slices.gone(u64::from(record.allocated));
        *place = Slice::Absent;
        slice_file::remove(&self.id.slice_path(&slices.folder, slice));
        true
    }

    /// The whole length is known now.
    pub fn set_size(&self, size: u64) {
        if let Some(slices) = self.in_slices() {
            slices.size.store(size, Ordering::Release);
        }
    }

    /// An entry speaks of it; to be called under the key's stripe.
    pub fn list(&self) {
        if let Some(slices) = self.in_slices() {
            slices.listed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody reads it who would wait if no more came than the bytes before `at`.
    pub fn hurries(&self, at: u64) -> bool {
        let Some(slices) = self.in_slices() else { return false };
        let state = slices.state.lock();
        state.readers.iter().filter_map(Weak::upgrade).any(|reading| match reading.reader {
            ReadBy::Viewer => true,
            ReadBy::Asker => {
                let reads = reading.at.load(Ordering::Relaxed);
                at.min(reading.last) <= reads.saturating_add(AHEAD_OF_ASKER_BYTES)
            }
            ReadBy::Prefetch => false,
        })
    }

    /// Begins to read the bytes up to `last`, from `at`.
    pub fn reading(&self, reader: ReadBy, at: u64, last: u64) -> Arc<Reading> {
        let reading = Arc::new(Reading { at: AtomicU64::new(at), last, reader });
        if let Some(slices) = self.in_slices() {
            let mut state = slices.state.lock();
            state.readers.retain(|reader| reader.strong_count() > 0);
            state.readers.push(Arc::downgrade(&reading));
        }
        reading
    }

    /// Whether somebody will soon need what a run at `at` brings.
    pub fn needed(&self, at: u64) -> bool {
        let Some(slices) = self.in_slices() else { return false };
        let state = slices.state.lock();
        state.readers.iter().filter_map(Weak::upgrade).any(|reader| {
            let reads = reader.at.load(Ordering::Relaxed);
            reads <= at.saturating_add(NEAR_BYTES)
                && at <= reader.last
                && at.saturating_sub(reads) < AHEAD_BYTES
        })
    }

    /// The first slice from `slice` on that is there already, before `end`; else `end`.
    pub fn missing_until(&self, slice: u32, end: u32) -> u32 {
        let Some(slices) = self.in_slices() else { return slice };
        let state = slices.state.lock();
        (slice..end)
            .find(|at| !matches!(state.slices.get(*at as usize), None | Some(Slice::Absent)))
            .unwrap_or(end)
    }

    /// Lets the files go once nobody reads them any more.
    pub fn doom(&self) {
        if let Some(slices) = self.in_slices() {
            slices.doomed.store(true, Ordering::Release);
        }
    }

    /// Begins the file of a slice. Blocks.
    pub fn create_slice(&self, slice: u32) -> io::Result<SliceFile> {
        let slices = self.in_slices().ok_or_else(|| io::Error::other("a small body has no slices"))?;
        SliceFile::create(self.slice_path(slice), slices.held.clone())
    }
}

impl Slices {
    fn size(&self) -> Option<u64> {
        Some(self.size.load(Ordering::Acquire)).filter(|size| *size != u64::MAX)
    }

    fn gone(&self, bytes: u64) {
        let less = |held: u64| Some(held.saturating_sub(bytes));
        let _ = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

impl State {
    fn slice(&mut self, slice: u32) -> &mut Slice {
        let place = slice as usize;
        if self.slices.len() <= place {
            self.slices.resize(place + 1, Slice::Absent);
        }
        &mut self.slices[place]
    }
}

impl Slice {
    fn allocated(&self) -> u64 {
        match self {
            Slice::Here(record) => u64::from(record.allocated),
            _ => 0,
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let Content::Slices(slices) = &self.content else { return };
        if !slices.doomed.load(Ordering::Acquire) {
            return;
        }
        for (slice, record) in self.slices_here() {
            slice_file::remove(&self.id.slice_path(&slices.folder, slice));
            slices.gone(u64::from(record.allocated));
        }
    }
}

/// Makes the folder of slices with its 256 inner folders.
pub fn make_folders(folder: &Path) -> io::Result<()> {
    for first in 0..=255u8 {
        std::fs::create_dir_all(folder.join(format!("{first:02x}")))?;
    }
    Ok(())
}
