//! Bodies: small ones with their entries, large ones in slices of 1 MiB, a file each.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes in a slice; the last one of a body may have fewer.
pub const SLICE_BYTES: u64 = 1 << 20;
/// Bodies up to this size lie in the journal, with their entries.
pub const SMALL_BYTES_MAX: u64 = 64 << 10;

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

    /// Reads the name back from a slice's file name.
    pub fn of_file_name(name: &str) -> Option<FillId> {
        let mut parts = name.split('-');
        let boot_number = u32::from_str_radix(parts.next()?, 16).ok()?;
        let random = u64::from_str_radix(parts.next()?, 16).ok()?;
        Some(FillId { boot_number, random })
    }

    /// As a key of the journal.
    pub fn as_key(&self) -> [u8; 12] {
        let mut key = [0; 12];
        key[..4].copy_from_slice(&self.boot_number.to_be_bytes());
        key[4..].copy_from_slice(&self.random.to_be_bytes());
        key
    }
}

/// The body of a variant. Its bytes never change; dropping the last handle of a doomed one deletes its files.
#[derive(Debug)]
pub struct Body {
    id: FillId,
    size: u64,
    sums: Box<[u32]>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Small(Bytes),
    Slices { folder: PathBuf, doomed: AtomicBool },
}

/// A body as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BodyRecord {
    /// Its name.
    pub id: FillId,
    /// Its length in bytes.
    pub size: u64,
    /// The CRC-32 of every slice.
    pub sums: Vec<u32>,
}

impl BodyRecord {
    /// Whether it lies in the journal.
    pub fn is_small(&self) -> bool {
        self.size <= SMALL_BYTES_MAX
    }
}

impl Body {
    /// A small body, at hand.
    pub fn small(id: FillId, bytes: Bytes) -> Body {
        let sums = if bytes.is_empty() { Box::default() } else { [crc32fast::hash(&bytes)].into() };
        Body { id, size: bytes.len() as u64, sums, content: Content::Small(bytes) }
    }

    /// A body in slices that are all written under `folder`.
    pub fn slices(id: FillId, size: u64, sums: Vec<u32>, folder: PathBuf) -> Body {
        let content = Content::Slices { folder, doomed: AtomicBool::new(false) };
        Body { id, size, sums: sums.into(), content }
    }

    /// Its name.
    pub fn id(&self) -> FillId {
        self.id
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its bytes, where it is small.
    pub fn at_hand(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Small(bytes) => Some(bytes),
            Content::Slices { .. } => None,
        }
    }

    /// How many slices it has.
    pub fn slice_count(&self) -> u32 {
        self.sums.len() as u32
    }

    /// What to keep of it.
    pub fn record(&self) -> BodyRecord {
        BodyRecord { id: self.id, size: self.size, sums: self.sums.to_vec() }
    }

    /// Bytes it takes in memory beside its entry.
    pub fn small_bytes(&self) -> u64 {
        self.at_hand().map_or(0, |bytes| bytes.len() as u64)
    }

    /// Reads a slice from disk and compares its checksum. Blocks.
    pub fn read_slice(&self, slice: u32) -> io::Result<Bytes> {
        let folder = match &self.content {
            Content::Small(bytes) => return Ok(bytes.clone()),
            Content::Slices { folder, .. } => folder,
        };
        let sum = self.sums.get(slice as usize).ok_or_else(|| io::Error::other("no such slice"))?;
        let start = u64::from(slice) * SLICE_BYTES;
        let length = SLICE_BYTES.min(self.size - start) as usize;
        let mut bytes = vec![0; length];
        File::open(self.id.slice_path(folder, slice))?.read_exact(&mut bytes)?;
        if crc32fast::hash(&bytes) != *sum {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "checksum does not match"));
        }
        Ok(bytes.into())
    }

    /// Lets the files go once nobody reads them any more.
    pub fn doom(&self) {
        if let Content::Slices { doomed, .. } = &self.content {
            doomed.store(true, Ordering::Release);
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Content::Slices { folder, doomed } = &self.content
            && doomed.load(Ordering::Acquire)
        {
            remove_slices(self.id, self.sums.len() as u32, folder);
        }
    }
}

/// Deletes the files of slices 0 to `count` (exclusive). What cannot be deleted is found again at the next start.
pub fn remove_slices(id: FillId, count: u32, folder: &Path) {
    for slice in 0..count {
        if let Err(error) = std::fs::remove_file(id.slice_path(folder, slice))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, slice, "a slice's file could not be deleted");
        }
    }
}

/// Writes a slice's file; returns its checksum. Blocks.
pub fn write_slice(id: FillId, slice: u32, folder: &Path, chunks: &[Bytes]) -> io::Result<u32> {
    let mut file = File::create_new(id.slice_path(folder, slice))?;
    let mut sum = crc32fast::Hasher::new();
    for chunk in chunks {
        sum.update(chunk);
        file.write_all(chunk)?;
    }
    Ok(sum.finalize())
}

/// Makes the folder of slices with its 256 inner folders.
pub fn make_folders(folder: &Path) -> io::Result<()> {
    for first in 0..=255u8 {
        std::fs::create_dir_all(folder.join(format!("{first:02x}")))?;
    }
    Ok(())
}
