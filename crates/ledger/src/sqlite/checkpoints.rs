//! Checkpoints: what lies in the write-ahead log is brought into the database file, mostly beside the writer.
//!
//! SQLite would do so within a commit, whose callers then wait until as much as a thousand pages are written in no order and
//! synced. So a thread of its own does it, which does not keep the writer from committing meanwhile. It never gets quite
//! to the end while commits go on, and the log begins anew only where all of it was brought over: where it has become large,
//! the writer itself does the rest, once everybody is answered.

use crate::Error;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// Further pages in the log after which the thread is woken; SQLite's own number.
const PAGES_EVERY: u32 = 1_000;
/// Pages in the log from which on the writer does the rest: 64 MiB.
const PAGES_MAX: u32 = 16_384;

/// The writer's side.
pub(super) struct Checkpoints {
    /// Pages in the log after the last commit.
    pages: Arc<AtomicU32>,
    /// How many there were when the thread was last woken.
    woken_at: u32,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Takes checkpoints out of the commits of `writer`; `beside` is another connection to its file, which the thread has.
    pub(super) fn beside(writer: &mut Connection, beside: Connection) -> Result<Checkpoints, Error> {
        let pages = Arc::new(AtomicU32::new(0));
        let counter = pages.clone();
        // It takes the place of SQLite's own hook, the one that checkpoints.
        writer.wal_hook(Some(move |_: &mut _, pages| {
            counter.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let (wake, woken) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("ledger-checkpoints".into()).spawn(move || {
            for () in woken {
                checkpoint(&beside);
            }
        });
        let thread =
            thread.map_err(|error| Error::Engine(format!("cannot start the checkpoints: {error}")))?;
        Ok(Checkpoints { pages, woken_at: 0, wake: Some(wake), thread: Some(thread) })
    }

    /// After each commit, once its callers are answered.
    pub(super) fn committed(&mut self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        // The log began anew.
        self.woken_at = self.woken_at.min(pages);
        if pages - self.woken_at < PAGES_EVERY {
            return;
        }
        self.woken_at = pages;
        if pages >= PAGES_MAX {
            checkpoint(writer);
        } else if let Some(wake) = &self.wake {
            // One that is on its way is woken once more, and that is enough.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpoints {
    /// Waits for one that is on its way, so that the writer's connection is the last one and leaves no log behind.
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's checkpoints panicked");
        }
    }
}

/// Brings over what no reader stands in the way of, without waiting for anybody. Where it fails the log grows, and nothing
/// is lost: the next one brings all of it over.
fn checkpoint(connection: &Connection) {
    let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = done {
        tracing::warn!(%error, "what the ledger has written cannot be brought into its file yet");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_begins_anew_and_is_gone_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("ledger.sqlite"), folder.path().join("ledger.sqlite-wal"));
        let mut writer = Connection::open(&path).unwrap();
        let mode: String = writer.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        writer.execute_batch("CREATE TABLE t (x BLOB) STRICT").unwrap();
        let mut checkpoints = Checkpoints::beside(&mut writer, Connection::open(&path).unwrap()).unwrap();
        let (mut most, mut written) = (0, 0);
        loop {
            // About 500 pages.
            writer.execute("INSERT INTO t VALUES (zeroblob(2000000))", []).unwrap();
            written += 1;
            let pages = checkpoints.pages.load(Ordering::Relaxed);
            if pages < most {
                break;
            }
            assert!(pages < 4 * PAGES_MAX, "it never begins anew");
            most = pages;
            checkpoints.committed(&writer);
        }
        assert!(most >= PAGES_MAX, "{most}: only the writer gets to the end");
        let rows: i64 = writer.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, written);
        drop(checkpoints);
        drop(writer);
        assert!(!log.exists());
    }
}
