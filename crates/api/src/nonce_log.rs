//! The nonces that went through, on disk: what was taken is taken once, also across a restart of control.
//!
//! A record is written before its request is answered. It is in the kernel's hands then, which a killed process does not
//! touch; the disk has it within a second, so a power cut may lose that second's. Two files take turns: one is written
//! until its first record is as old as any that still counts, then the other is emptied and written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tracing::warn;

use crate::signature::{Seen, WINDOW_SECONDS};

/// When it could be replayed last, key and nonce.
const RECORD_BYTES: usize = 8 + 16 + 16;
/// A timestamp may lie as far ahead as behind, so a record counts for twice the window at most.
const TURN_SECONDS: i64 = 2 * WINDOW_SECONDS + 1;
/// How long the disk may lag behind.
const SYNC_AFTER: Duration = Duration::from_secs(1);
const NAMES: [&str; 2] = ["nonces.0", "nonces.1"];

/// Both files.
pub(crate) struct NonceLog {
    turn: Mutex<Turn>,
    sync_waits: Arc<AtomicBool>,
}

struct Turn {
    files: [Arc<File>; 2],
    /// Which one is written.
    now: usize,
    /// When that began, in unix seconds.
    since: i64,
}

impl NonceLog {
    /// Opens or makes the files, and gives what they have that still counts at `now`, in unix seconds.
    pub(crate) fn open(folder: &Path, now: i64) -> io::Result<(NonceLog, Vec<Seen>)> {
        let mut kept = Vec::new();
        for name in NAMES {
            let mut bytes = Vec::new();
            open(&folder.join(name))?.read_to_end(&mut bytes)?;
            // The rest, if any, is a record that was cut off: its request was not answered.
            let records = bytes.chunks_exact(RECORD_BYTES).filter_map(record);
            kept.extend(records.filter(|seen| seen.until >= now));
        }
        // All of it goes into the first file, so that frequent starts do not let them grow.
        let whole: Vec<u8> = kept.iter().flat_map(bytes_of).collect();
        let path = folder.join("nonces.new");
        let mut first = open(&path)?;
        first.set_len(0)?;
        first.write_all(&whole)?;
        first.sync_all()?;
        std::fs::rename(&path, folder.join(NAMES[0]))?;
        File::open(folder)?.sync_all()?;
        let second = open(&folder.join(NAMES[1]))?;
        second.set_len(0)?;
        let turn = Turn { files: [Arc::new(first), Arc::new(second)], now: 0, since: now };
        Ok((NonceLog { turn: Mutex::new(turn), sync_waits: Arc::default() }, kept))
    }

    /// Keeps what went through, at `now` in unix seconds.
    pub(crate) fn keep(&self, seen: &Seen, now: i64) -> io::Result<()> {
        let mut turn = self.turn.lock();
        if now.saturating_sub(turn.since) >= TURN_SECONDS {
            // The other was written last before this turn began: nothing of it counts any more.
            (turn.now, turn.since) = (1 - turn.now, now);
            turn.files[turn.now].set_len(0)?;
        }
        let file = turn.files[turn.now].clone();
        (&*file).write_all(&bytes_of(seen))?;
        drop(turn);
        if !self.sync_waits.swap(true, Ordering::Relaxed) {
            let waits = self.sync_waits.clone();
            tokio::spawn(async move {
                tokio::time::sleep(SYNC_AFTER).await;
                waits.store(false, Ordering::Relaxed);
                let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
                if let Ok(Err(error)) = synced {
                    warn!(%error, "nonces could not be synced; a power cut might forget them");
                }
            });
        }
        Ok(())
    }
}

/// A file that is written at its end, readable by its owner only.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

fn bytes_of(seen: &Seen) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..8].copy_from_slice(&seen.until.to_le_bytes());
    bytes[8..24].copy_from_slice(&seen.key);
    bytes[24..].copy_from_slice(&seen.nonce);
    bytes
}

fn record(bytes: &[u8]) -> Option<Seen> {
    let (until, rest) = bytes.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    Some(Seen { until: i64::from_le_bytes(*until), key: *key, nonce: *rest.first_chunk()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn seen(number: u8, at: i64) -> Seen {
        Seen { until: at + WINDOW_SECONDS, key: [1; 16], nonce: [number; 16] }
    }

    #[tokio::test]
    async fn what_still_counts_is_there_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let (log, kept) = NonceLog::open(folder.path(), NOW).unwrap();
        assert_eq!(kept, []);
        for number in 1..=3 {
            log.keep(&seen(number, NOW + i64::from(number)), NOW).unwrap();
        }
        let later = NOW + WINDOW_SECONDS + 2;
        let (_, kept) = NonceLog::open(folder.path(), later).unwrap();
        assert_eq!(kept, [seen(2, NOW + 2), seen(3, NOW + 3)]);
    }

    #[tokio::test]
    async fn nothing_that_counts_is_lost_over_turns_and_starts_and_the_files_stay_small() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = NonceLog::open(folder.path(), NOW).unwrap();
        let mut sent: Vec<Seen> = Vec::new();
        for step in 0..200 {
            let now = NOW + step * 100;
            // Clients' clocks are ahead or behind by as much as they may.
            let ahead = if step % 2 == 0 { WINDOW_SECONDS } else { -WINDOW_SECONDS };
            let one = seen(u8::try_from(step).unwrap(), now + ahead);
            log.keep(&one, now).unwrap();
            sent.push(one);
            if step % 7 == 0 {
                let kept;
                (log, kept) = NonceLog::open(folder.path(), now).unwrap();
                let mut expected: Vec<Seen> = sent.iter().copied().filter(|seen| seen.until >= now).collect();
                let mut kept = kept;
                expected.sort_by_key(|seen| seen.nonce);
                kept.sort_by_key(|seen| seen.nonce);
                assert_eq!(kept, expected, "step {step}");
            }
        }
    }

    #[tokio::test]
    async fn a_torn_record_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = NonceLog::open(folder.path(), NOW).unwrap();
        log.keep(&seen(1, NOW), NOW).unwrap();
        let path = folder.path().join(NAMES[0]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend([7; RECORD_BYTES - 1]);
        std::fs::write(&path, bytes).unwrap();
        let (log, kept) = NonceLog::open(folder.path(), NOW).unwrap();
        assert_eq!(kept, [seen(1, NOW)]);
        log.keep(&seen(2, NOW), NOW).unwrap();
        assert_eq!(NonceLog::open(folder.path(), NOW).unwrap().1, [seen(1, NOW), seen(2, NOW)]);
    }
}
