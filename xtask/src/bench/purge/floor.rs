//! What nobody can be faster than here: a round trip over loopback, and a synced write beside it.

use super::spread::Spread;
use anyhow::bail;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// As long as an order of one URL, about.
const MESSAGE_BYTES: usize = 256;
const ROUNDS: usize = 1_000;

/// A round trip alone, a synced append alone, and one after the other.
pub struct Floor {
    pub round_trip: Spread,
    pub synced_write: Spread,
    pub both: Spread,
}

impl Floor {
    /// Measures in `folder`, on whose disk the installation is.
    pub fn measure(folder: &Path) -> anyhow::Result<Floor> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let mut near = TcpStream::connect(listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        for socket in [&near, &far] {
            socket.set_nodelay(true)?;
        }
        let echo = std::thread::spawn(move || -> std::io::Result<()> {
            let mut message = [0; MESSAGE_BYTES];
            loop {
                far.read_exact(&mut message)?;
                far.write_all(&message)?;
            }
        });
        let mut file = File::create(folder.join("floor"))?;
        let mut message = [7; MESSAGE_BYTES];
        let (mut trips, mut writes, mut both): (Vec<Duration>, Vec<_>, Vec<_>) = Default::default();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            near.write_all(&message)?;
            near.read_exact(&mut message)?;
            let trip = began.elapsed();
            file.write_all(&message)?;
            file.sync_data()?;
            trips.push(trip);
            writes.push(began.elapsed() - trip);
            both.push(began.elapsed());
        }
        drop(near);
        if echo.join().is_err() {
            bail!("the echo panicked");
        }
        Ok(Floor { round_trip: Spread::of(trips), synced_write: Spread::of(writes), both: Spread::of(both) })
    }
}
