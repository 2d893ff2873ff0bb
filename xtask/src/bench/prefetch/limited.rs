//! A line to an origin that carries so many bytes a second, all connections together, and counts them.

use anyhow::Context as _;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::process::pause;

/// What is carried at once.
const PIECE_BYTES: usize = 128 << 10;
/// How far ahead of the clock bytes may be promised before one waits.
const AHEAD: Duration = Duration::from_millis(2);

pub struct Line {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    to: u16,
    bytes_per_s: u64,
    carried: AtomicU64,
    /// When the bytes promised so far will have gone.
    until: Mutex<Instant>,
}

impl Line {
    /// To a port of this machine, until this process ends.
    pub fn open(to: u16, bytes_per_s: u64) -> anyhow::Result<Line> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let until = Mutex::new(Instant::now());
        let state = Arc::new(State { to, bytes_per_s, carried: AtomicU64::new(0), until });
        let shared = state.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || {
                    // A side that breaks off ends the connection.
                    let _ = state.carry(near);
                });
            }
        });
        Ok(Line { port, state })
    }

    /// Bytes that came from the origin so far, heads included.
    pub fn carried(&self) -> u64 {
        self.state.carried.load(Ordering::Relaxed)
    }
}

impl State {
    fn carry(&self, mut near: TcpStream) -> anyhow::Result<()> {
        let mut far = TcpStream::connect(("127.0.0.1", self.to)).context("the origin is away")?;
        for socket in [&near, &far] {
            socket.set_nodelay(true)?;
        }
        let (mut from, mut to) = (near.try_clone()?, far.try_clone()?);
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = far.read(&mut piece)?;
            if count == 0 {
                let _ = near.shutdown(Shutdown::Both);
                return Ok(());
            }
            self.wait_for(count as u64);
            self.carried.fetch_add(count as u64, Ordering::Relaxed);
            if let Err(gone) = near.write_all(&piece[..count]) {
                let _ = far.shutdown(Shutdown::Both);
                return Err(gone.into());
            }
        }
    }

    /// Waits until there is room for so many bytes.
    fn wait_for(&self, bytes: u64) {
        let takes = Duration::from_nanos(bytes * 1_000_000_000 / self.bytes_per_s);
        let at = {
            let Ok(mut until) = self.until.lock() else { return };
            let now = Instant::now();
            let at = (*until).max(now);
            *until = at + takes;
            at
        };
        let wait = at.saturating_duration_since(Instant::now());
        if wait > AHEAD {
            pause(wait);
        }
    }
}
