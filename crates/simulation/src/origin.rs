//! The origin: has a version of each object, the newest alone, and answers late or not at all.

use crate::invariants::Tagged;
use crate::network::Far;
use crate::pop;
use crate::world::{Event, World};
use freshen_model::tag::Tags;
use std::time::Duration;

/// What an origin may call its objects.
pub const TAGS: [&str; 3] = ["red", "green", "blue"];

/// The tags that a copy has.
pub fn tags_of(tagged: Tagged) -> Tags {
    Tags::of(TAGS.iter().zip(tagged).filter(|(_, since)| since.is_some()).map(|(tag, _)| *tag))
}

/// The content.
pub struct Origin {
    versions: Vec<u64>,
    /// What it calls them: a bit for each of [`TAGS`].
    tags: Vec<u8>,
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
        /// What the origin calls it.
        tags: u8,
    },
    /// 304.
    NotModified {
        /// How long it is fresh.
        fresh: Duration,
        /// What the origin calls it now.
        tags: u8,
    },
    /// None.
    Failed,
}

impl Origin {
    /// Content of that many objects.
    pub fn new(objects: usize, lies: bool) -> Origin {
        let tags = (0..objects).map(|object| 1 << (object % TAGS.len())).collect();
        Origin { versions: vec![1; objects], tags, lies }
    }

    /// An object changes.
    pub fn publish(&mut self, key: usize) {
        self.versions[key] += 1;
    }

    /// An object is called something else, and stays what it is.
    pub fn call(&mut self, key: usize, tags: u8) {
        self.tags[key] = tags;
    }

    /// The versions as they are.
    pub fn versions(&self) -> &[u64] {
        &self.versions
    }

    /// Answers by what the content is now.
    pub fn handle(&self, world: &mut World, asked: Asked) {
        let (version, tags) = (self.versions[asked.key], self.tags[asked.key]);
        let fresh = match world.chance.percent(30) {
            true => world.chance.up_to(Duration::from_secs(3)),
            false => Duration::from_secs(3_600),
        };
        let answer = match asked.version {
            Some(known) if known == version || self.lies => Answer::NotModified { fresh, tags },
            _ => Answer::Full { version, fresh, tags },
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
