//! Ports for one test, apart from those of all others that run now.

use std::net::TcpListener;

/// What `--port-base` may use, and one port to claim them by.
const BLOCK: u16 = 21;
/// Below the ports that the system hands out by itself.
const FIRST: u16 = 20_000;
const BLOCKS: u16 = 570;

/// A block of ports, held as long as this lives.
pub struct Ports {
    pub base: u16,
    /// The last port of the block: bound, it tells every other test that the block is taken.
    _claim: TcpListener,
}

impl Ports {
    pub fn claim() -> Ports {
        let start = std::process::id() % u32::from(BLOCKS);
        let blocks = (0..BLOCKS).map(|place| (place + start as u16) % BLOCKS);
        blocks.map(|block| FIRST + block * BLOCK).find_map(claim).expect("no free block of ports")
    }

    pub fn at(&self, offset: u16) -> String {
        format!("127.0.0.1:{}", self.base + offset)
    }
}

fn claim(base: u16) -> Option<Ports> {
    let bind = |port| TcpListener::bind(("127.0.0.1", port)).ok();
    let claim = bind(base + BLOCK - 1)?;
    // Probes only: each is free again once it is seen to be free.
    let free = (base..base + BLOCK - 1).all(|port| bind(port).is_some());
    free.then_some(Ports { base, _claim: claim })
}
