//! A slice's file: written once from front to end, read by the block, each block against its checksum.

use super::body::{BLOCK_BYTES, SLICE_BYTES, SliceRecord};
use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A slice's file while it is written; it goes with its handle unless it is finished.
#[derive(Debug)]
pub struct SliceFile {
    path: PathBuf,
    file: Arc<File>,
    sums: Vec<u32>,
    /// The checksum of the block that grows, and how much of it there is.
    growing: (crc32fast::Hasher, u64),
    finished: bool,
    /// Bytes of all slices' files; a growing one counts as whole.
    held: Arc<AtomicU64>,
}

impl SliceFile {
    /// Makes the file, over one that a crash left behind; its bytes are counted in `held`. Blocks.
    pub fn create(path: PathBuf, held: Arc<AtomicU64>) -> io::Result<SliceFile> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        held.fetch_add(SLICE_BYTES, Ordering::Relaxed);
        Ok(SliceFile {
            path,
            file: Arc::new(file),
            sums: Vec::new(),
            growing: (crc32fast::Hasher::new(), 0),
            finished: false,
            held,
        })
    }

    /// For reading what has been written so far.
    pub fn handle(&self) -> Arc<File> {
        self.file.clone()
    }

    /// Writes behind what is there. Blocks.
    pub fn append(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        for chunk in chunks {
            self.sum(chunk);
        }
        let mut slices: Vec<IoSlice> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            // No more at once than the system takes.
            let batch = rest.len().min(1_024);
            let written = (&*self.file).write_vectored(&rest[..batch])?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    fn sum(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let room = (BLOCK_BYTES - self.growing.1) as usize;
            let (piece, rest) = chunk.split_at(room.min(chunk.len()));
            self.growing.0.update(piece);
            self.growing.1 += piece.len() as u64;
            if self.growing.1 == BLOCK_BYTES {
                self.end_block();
            }
            chunk = rest;
        }
    }

    fn end_block(&mut self) {
        let (hasher, _) = std::mem::replace(&mut self.growing, (crc32fast::Hasher::new(), 0));
        self.sums.push(hasher.finalize());
    }

    /// The slice is whole.
    pub fn finish(mut self) -> io::Result<SliceRecord> {
        if self.growing.1 > 0 {
            self.end_block();
        }
        let allocated = (self.file.metadata()?.blocks() * 512) as u32;
        self.finished = true;
        self.held.fetch_add(u64::from(allocated), Ordering::Relaxed);
        self.held.fetch_sub(SLICE_BYTES, Ordering::Relaxed);
        Ok(SliceRecord { sums: std::mem::take(&mut self.sums).into(), allocated })
    }
}

impl Drop for SliceFile {
    fn drop(&mut self) {
        if !self.finished {
            self.held.fetch_sub(SLICE_BYTES, Ordering::Relaxed);
            remove(&self.path);
        }
    }
}

/// Deletes a slice's file. What cannot be deleted is found again at the next start.
pub fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "a slice's file could not be deleted");
    }
}

/// Opens a slice's file where that takes no wait; `None` where it might.
pub fn open_now(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
}

/// Opens a slice's file. Blocks.
pub fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Reads `length` bytes at `offset` if they are in the page cache; `None` where the disk would have to be asked.
pub fn read_now(file: &File, offset: u64, length: u64) -> Option<io::Result<Bytes>> {
    let mut bytes = vec![0; length as usize];
    let mut slice = [IoSliceMut::new(&mut bytes)];
    match rustix::io::preadv2(file, &mut slice, offset, ReadWriteFlags::NOWAIT) {
        Ok(read) if read as u64 == length => Some(Ok(bytes.into())),
        // Not all of it is at hand, the file system cannot tell, or the file ends before.
        Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => None,
        Err(error) => Some(Err(error.into())),
    }
}

/// Reads `length` bytes at `offset`. Blocks.
pub fn read(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

/// The bytes, if they are what was written.
pub fn checked(bytes: Bytes, sum: u32) -> io::Result<Bytes> {
    match crc32fast::hash(&bytes) == sum {
        true => Ok(bytes),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "checksum does not match")),
    }
}
