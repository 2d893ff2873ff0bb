//! Blocks out, slices in: how bodies are read from memory and disk, and written.

use super::body::{BLOCK_BYTES, Body, SLICE_BYTES, SliceRecord};
use super::slice_file::{self, SliceFile};
use super::{Store, blocking};
use bytes::Bytes;
use freshen_model::key::Key;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The file that a reader has open: the slice he is in.
#[derive(Default, Clone)]
pub struct Open(Option<(u32, Arc<File>)>);

impl Open {
    fn file(&self, slice: u32) -> Option<&Arc<File>> {
        self.0.as_ref().filter(|(number, _)| *number == slice).map(|(_, file)| file)
    }
}

/// A run that counts.
pub struct CountedRun<'a>(&'a AtomicUsize);

impl Drop for CountedRun<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where a block lies in the files.
fn place(block: u64) -> (u32, u64) {
    let start = block * BLOCK_BYTES;
    ((start / SLICE_BYTES) as u32, start % SLICE_BYTES)
}

impl Store {
    // ---- reading ----

    /// A block that is there, if it can be had without waiting: from memory, or from the page cache.
    pub fn block_now(&self, body: &Body, block: u64, open: &mut Open) -> Option<io::Result<Bytes>> {
        if let Some(bytes) = body.at_hand() {
            return Some(Ok(bytes.clone()));
        }
        let name = (body.id(), block);
        if let Some(bytes) = self.blocks.get(&name) {
            return Some(Ok(bytes));
        }
        let (slice, offset) = place(block);
        if open.file(slice).is_none() {
            *open = Open(Some((slice, Arc::new(slice_file::open_now(&body.slice_path(slice))?))));
        }
        let read = slice_file::read_now(open.file(slice)?, offset, body.block_bytes(block))?;
        Some(self.took(body, block, read))
    }

    /// The same, waiting for the disk where it has to be asked.
    pub async fn block(self: &Arc<Self>, body: &Arc<Body>, block: u64, open: &mut Open) -> io::Result<Bytes> {
        if let Some(bytes) = self.block_now(body, block, open) {
            return bytes;
        }
        let (slice, offset) = place(block);
        let (read, file) = (body.clone(), open.file(slice).cloned());
        let (file, bytes) = blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(slice_file::open(&read.slice_path(slice))?),
            };
            let bytes = slice_file::read(&file, offset, read.block_bytes(block))?;
            Ok::<_, io::Error>((file, bytes))
        })
        .await
        .unwrap_or_else(|| Err(io::Error::other("stopping")))
        .map_or_else(|error| (None, Err(error)), |(file, bytes)| (Some(file), Ok(bytes)));
        *open = Open(file.map(|file| (slice, file)));
        self.took(body, block, bytes)
    }

    fn took(&self, body: &Body, block: u64, read: io::Result<Bytes>) -> io::Result<Bytes> {
        let sum = body.block_sum(block).ok_or_else(|| io::Error::other("no such block"));
        let checked = read.and_then(|bytes| slice_file::checked(bytes, sum?));
        match &checked {
            Ok(bytes) => self.blocks.insert((body.id(), block), bytes.clone()),
            Err(error) => {
                tracing::warn!(%error, block, "a block could not be read");
                self.metrics.disk_errors.increment(1);
            }
        }
        checked
    }

    /// Reads a body of an object from disk, whatever is in memory, and compares its checksums. Slices that are damaged count
    /// as missing from now on.
    pub async fn read_back(self: &Arc<Self>, key: &Key, body: &Arc<Body>) -> io::Result<()> {
        let (store, key, body) = (self.clone(), key.clone(), body.clone());
        let read = blocking(move || {
            for (slice, record) in body.slices_here() {
                if let Err(error) = read_slice_back(&body, slice, &record) {
                    tracing::warn!(%error, slice, "a slice could not be read back");
                    store.metrics.disk_errors.increment(1);
                    store.lose(&key, &body, slice);
                }
            }
            // What the journal gives back has had its small bodies compared; the large ones are only named there.
            let found = store.read(&key);
            let there = found
                .is_some_and(|object| object.variants.iter().any(|variant| variant.body.id() == body.id()));
            match there && body.is_whole() {
                true => Ok(()),
                false => Err(io::Error::other("not in the index on disk, or damaged there")),
            }
        });
        read.await.unwrap_or_else(|| Err(io::Error::other("stopping")))
    }

    /// A slice is damaged: it counts as missing from now on.
    pub async fn lose_slice(self: &Arc<Self>, key: &Key, body: &Arc<Body>, slice: u32) {
        let (store, key, body) = (self.clone(), key.clone(), body.clone());
        blocking(move || store.lose(&key, &body, slice)).await;
    }

    fn lose(&self, key: &Key, body: &Body, slice: u32) {
        let _stripe = self.stripe(key).lock();
        if body.lose(slice)
            && let Err(error) = self.journal.remove_slice(body.id(), slice)
        {
            tracing::warn!(%error, "a damaged slice could not be forgotten");
        }
    }

    // ---- writing ----

    /// Bytes that a run may keep in memory before it writes them: the more runs there are, the fewer.
    pub fn run_bytes_max(&self) -> u64 {
        let runs = self.runs.load(Ordering::Relaxed).max(1) as u64;
        (self.growing_bytes_max / runs).clamp(BLOCK_BYTES, SLICE_BYTES)
    }

    /// Counts a run, as long as what is given lives.
    pub fn count_run(&self) -> CountedRun<'_> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        CountedRun(&self.runs)
    }

    /// Writes the next part of a claimed slice; `whole` with its last part. Gives the file back until then.
    pub async fn write_slice(
        self: &Arc<Self>,
        key: &Key,
        body: &Arc<Body>,
        slice: u32,
        file: Option<SliceFile>,
        chunks: Vec<Bytes>,
        whole: bool,
    ) -> io::Result<Option<SliceFile>> {
        let (store, key, body) = (self.clone(), key.clone(), body.clone());
        let written = blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => {
                    // Counted from now on, so that nobody else takes the same room.
                    let file = body.create_slice(slice)?;
                    if !store.fits(0) {
                        store.make_room(0);
                    }
                    if !store.fits(0) {
                        return Err(io::ErrorKind::StorageFull.into());
                    }
                    file
                }
            };
            file.append(&chunks)?;
            if !whole {
                return Ok(Some(file));
            }
            let record = file.finish()?;
            let _stripe = store.stripe(&key).lock();
            if body.written(slice, record.clone()) {
                let held = store.note_slice(&key, u64::from(record.allocated));
                let kept = store.journal.put_slice(body.id(), slice, &record, &held);
                // It is there, and serves; only a restart will miss it.
                if let Err(error) = kept {
                    tracing::warn!(%error, "a slice could not be recorded");
                    store.metrics.disk_errors.increment(1);
                }
            }
            Ok(None)
        });
        let written = written.await.unwrap_or_else(|| Err(io::Error::other("stopping")));
        if let Err(error) = &written {
            tracing::warn!(%error, slice, "a slice could not be written");
            // Where it is only full, room is being made.
            if error.kind() != io::ErrorKind::StorageFull {
                self.pause_writes();
            }
        }
        written
    }
}

fn read_slice_back(body: &Body, slice: u32, record: &SliceRecord) -> io::Result<()> {
    let file = slice_file::open(&body.slice_path(slice))?;
    let first = u64::from(slice) * SLICE_BYTES / BLOCK_BYTES;
    for (block, sum) in (first..).zip(&record.sums) {
        slice_file::checked(slice_file::read(&file, place(block).1, body.block_bytes(block))?, *sum)?;
    }
    Ok(())
}
