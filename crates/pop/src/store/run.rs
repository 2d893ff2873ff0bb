//! A run: consecutive bytes of one body on their way from the origin, as those who read along see it.

use super::body::SLICE_BYTES;
use bytes::Bytes;
use freshen_model::protocol::fill::Level;
use parking_lot::Mutex;
use std::fs::File;
use std::sync::Arc;
use tokio::sync::watch;

/// One upstream answer that fills slices, one after the other.
#[derive(Debug)]
pub struct Run {
    progress: watch::Sender<Progress>,
    growing: Mutex<Growing>,
    /// Above zero where its bytes may come from another POP.
    level: Level,
}

/// How far a run is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// One behind the last byte that may be read.
    pub arrived: u64,
    /// Set at the end.
    pub ended: Option<Result<(), Broken>>,
}

/// Why a run ended before it had brought all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The origin has another version now.
    #[error("the origin has another version now")]
    Changed,
    /// What is missing cannot be asked for: there is no telling which version it would be of.
    #[error("the rest is lost")]
    Lost,
    /// The disk took no more.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// Its answer was cut off, or was none.
    #[error("the origin's answer broke off: {0}")]
    Origin(String),
}

/// The slice that is being written.
#[derive(Debug)]
struct Growing {
    /// One behind the last byte that the run is to bring; `u64::MAX` where it goes to the end.
    until: u64,
    /// Whether it can be ended early and what is missing be asked for later.
    stops: bool,
    /// The number of the slice.
    slice: u32,
    /// Whether it only passes by: the slice is there, or another run writes it.
    passes: bool,
    /// Its file, with as many bytes as are written.
    file: Option<(Arc<File>, u64)>,
    /// What came behind them.
    chunks: Vec<Bytes>,
    /// Bytes of these.
    waiting: u64,
}

/// Bytes of a run that are there.
pub enum Arrived {
    /// In memory.
    Bytes(Bytes),
    /// In the file, at this offset, so many.
    InFile(Arc<File>, u64, u64),
}

impl Run {
    /// A run that begins at byte `from` and is to end before `until`; `level` is that of its source.
    pub fn new(from: u64, until: u64, stops: bool, level: Level) -> Arc<Run> {
        let growing = Growing::new(until, stops, (from / SLICE_BYTES) as u32, false);
        let progress = watch::Sender::new(Progress { arrived: from, ended: None });
        Arc::new(Run { progress, growing: Mutex::new(growing), level })
    }

    /// How far from the origin what comes by it is: another POP waits only for what is nearer than itself.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Follows how far it is.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// One behind the last byte that may be read.
    pub fn arrived(&self) -> u64 {
        self.progress.borrow().arrived
    }

    /// One behind the last byte it is to bring.
    pub fn until(&self) -> u64 {
        self.growing.lock().until
    }

    /// Whether it can be ended early.
    pub fn stops(&self) -> bool {
        self.growing.lock().stops
    }

    /// Whether it has the byte `at`, or will soon: within `near` bytes, or ever where it cannot be asked for otherwise.
    pub fn brings(&self, at: u64, near: u64) -> bool {
        let growing = self.growing.lock();
        let progress = self.progress.borrow();
        let slice = at / SLICE_BYTES;
        let passed =
            slice < u64::from(growing.slice) || (slice == u64::from(growing.slice) && growing.passes);
        let comes = progress.ended.is_none()
            && at < growing.until
            && (!growing.stops || at < progress.arrived.saturating_add(near));
        !passed && (at < progress.arrived || comes)
    }

    /// Whether it writes this slice, and has all of it up to byte `last`.
    pub fn has_brought(&self, slice: u32, last: u64) -> bool {
        let growing = self.growing.lock();
        growing.slice == slice && !growing.passes && last < self.arrived()
    }

    /// What there is of the growing slice from byte `at` on; `None` where it lies elsewhere or has not come.
    pub fn read(&self, at: u64) -> Option<Arrived> {
        let growing = self.growing.lock();
        if at / SLICE_BYTES != u64::from(growing.slice) || at >= self.arrived() {
            return None;
        }
        let within = at % SLICE_BYTES;
        let mut start = 0;
        if let Some((file, written)) = &growing.file {
            if within < *written {
                return Some(Arrived::InFile(file.clone(), within, written - within));
            }
            start = *written;
        }
        for chunk in &growing.chunks {
            let end = start + chunk.len() as u64;
            if within < end {
                return Some(Arrived::Bytes(chunk.slice((within - start) as usize..)));
            }
            start = end;
        }
        None
    }

    // ---- for the one who fills ----

    /// A piece of the growing slice has come; returns how many bytes wait to be written.
    pub fn push(&self, piece: Bytes) -> u64 {
        let mut growing = self.growing.lock();
        growing.waiting += piece.len() as u64;
        growing.chunks.push(piece);
        growing.waiting
    }

    /// What waits to be written. It stays readable until [`Run::wrote`].
    pub fn waiting(&self) -> Vec<Bytes> {
        self.growing.lock().chunks.clone()
    }

    /// What waited is in the file.
    pub fn wrote(&self, file: Arc<File>) {
        let mut growing = self.growing.lock();
        let written = growing.file.as_ref().map_or(0, |(_, written)| *written) + growing.waiting;
        growing.file = Some((file, written));
        growing.chunks.clear();
        growing.waiting = 0;
    }

    /// The next slice begins; `passes` where it is not for this run to write.
    pub fn next_slice(&self, slice: u32, passes: bool) {
        let mut growing = self.growing.lock();
        *growing = Growing::new(growing.until, growing.stops, slice, passes);
    }

    /// The origin sends everything from the beginning, whatever it was asked for.
    pub fn goes_all_the_way(&self) {
        *self.growing.lock() = Growing::new(u64::MAX, false, 0, false);
        self.show(0);
    }

    /// Lets readers have all bytes before `arrived`.
    pub fn show(&self, arrived: u64) {
        self.progress.send_modify(|progress| progress.arrived = arrived);
    }

    /// Ends it, with all bytes before `arrived` readable.
    pub fn end(&self, arrived: u64, ended: Result<(), Broken>) {
        self.progress.send_modify(|progress| {
            progress.arrived = arrived;
            progress.ended = Some(ended);
        });
    }
}

impl Growing {
    fn new(until: u64, stops: bool, slice: u32, passes: bool) -> Growing {
        Growing { until, stops, slice, passes, file: None, chunks: Vec::new(), waiting: 0 }
    }
}
