//! The origin: has a version of each object, the newest alone, and answers late or not at all.

use crate::network::Far;
use crate::pop;
use crate::world::{Event, World};
use std::time::Duration;

/// The content.
pub struct Origin {
    versions: Vec<u64>,
    /// Says 304 whatever it is asked, as some do; then a 304 proves nothing about versions.
    pub lies: bool,
}

/// A request to the origin.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who asks.
    pub machine: usize,
    /// Which run of its process.
    pub run: u64,
    /// For which fill.
    pub fill: u64,
    /// For which object.
    pub key: usize,
    /// The version whose validator is sent along.
    pub version: Option<u64>,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 with this version.
    Full {
        /// The version.
        version: u64,
        /// How long it is fresh.
        fresh: Duration,
    },
    /// 304.
    NotModified {
        /// How long it is fresh.
        fresh: Duration,
    },
    /// None.
    Failed,
}

impl Origin {
    /// Content of that many objects.
    pub fn new(objects: usize, lies: bool) -> Origin {
        Origin { versions: vec![1; objects], lies }
    }

    /// An object changes.
    pub fn publish(&mut self, key: usize) {
        self.versions[key] += 1;
    }

    /// The versions as they are.
    pub fn versions(&self) -> &[u64] {
        &self.versions
    }

    /// Answers by what the content is now.
    pub fn handle(&self, world: &mut World, asked: Asked) {
        let version = self.versions[asked.key];
        let fresh = match world.chance.percent(30) {
            true => world.chance.up_to(Duration::from_secs(3)),
            false => Duration::from_secs(3_600),
        };
        let answer = match asked.version {
            Some(known) if known == version || self.lies => Answer::NotModified { fresh },
            _ => Answer::Full { version, fresh },
        };
        let answer = if !world.mended && world.chance.percent(3) { Answer::Failed } else { answer };
        let body = world.chance.up_to(world.plan.origin_max);
        let event = |answer| Event::Pop(asked.machine, asked.run, pop::Event::Head(asked.fill, answer));
        let delays = world.network.delays(&mut world.chance, &world.plan, asked.machine, Far::Origin);
        match delays.first() {
            Some(delay) => world.after(*delay + body, event(answer)),
            None => world.after(Duration::from_secs(2), event(Answer::Failed)),
        }
    }
}
