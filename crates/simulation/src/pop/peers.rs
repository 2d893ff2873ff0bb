//! Fills between POPs: the side that asks and the side that answers.
//!
//! Who is asked is anybody: lists of neighbours may be old or wrong, and then the protocol has to see to it.

use super::requests::Asking;
use super::store::Variant;
use super::{Event, Pop, Process};
use crate::invariants::{Bytes, both};
use crate::network::Far;
use crate::sights::Sight;
use crate::world::{Event as Happening, World};
use freshen_model::ids::Seq;
use freshen_model::protocol::fill::Level;
use freshen_model::protocol::home::{Admission, Ask, CATCH_UP_MAX};
use std::time::Duration;

/// Until a home POP counts as silent.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a home POP that is behind looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A request of another POP.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its machine.
    pub machine: usize,
    /// Its run.
    pub run: u64,
    /// Its fill.
    pub fill: u64,
    /// Where it stands.
    pub ask: Ask,
    /// How far from the origin it counts itself.
    pub level: Level,
    /// The object.
    pub key: usize,
    /// The variant.
    pub gzip: bool,
    /// The version whose validator is sent along.
    pub version: Option<u64>,
    /// Until when it is waited for, in true time.
    pub until: Duration,
}

/// What a home POP gives.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// Its watermark.
    pub checked: Seq,
    /// What is true of the bytes.
    pub bytes: Bytes,
    /// How long they are fresh yet.
    pub fresh: Duration,
    /// Whether it says 304.
    pub not_modified: bool,
}

impl Pop {
    /// Another machine, where POPs ask each other at all.
    pub(super) fn some_home(&self, world: &mut World) -> Option<usize> {
        let share = world.plan.home_percent;
        if share == 0 || !world.chance.percent(share) {
            return None;
        }
        let home = world.chance.below(world.truth.names.len() as u64) as usize;
        (world.truth.names[home] != self.name).then_some(home)
    }

    /// Asks that machine; false where this POP may not.
    pub(super) fn ask_home(
        &mut self,
        process: &mut Process,
        world: &mut World,
        id: u64,
        home: usize,
    ) -> bool {
        let Some(ask) = process.follower.ask(self.clock.at(world.at)) else { return false };
        let Some(fill) = process.fills.get_mut(&id) else { return false };
        fill.asks_home = Some(ask);
        let version = fill.stale.as_ref().map(|stale| stale.bytes.version);
        let until = world.at + CATCH_UP_MAX;
        let (machine, run, key, gzip) = (self.machine, self.run, fill.key, fill.gzip);
        let level = fill.start.source.level();
        let asked = Asked { machine, run, fill: id, ask, level, key, gzip, version, until };
        world.note(&self.name, || format!("asks machine {home} for key {key}, fill {id}"));
        world.ask_peer(self.machine, home, Event::AskedByPeer(asked));
        self.soon(world, PATIENCE, Event::Given(id, None));
        true
    }

    /// The home POP's answer, or none.
    pub(super) fn given(&mut self, process: &mut Process, world: &mut World, id: u64, given: Option<Given>) {
        let Some(fill) = process.fills.get_mut(&id) else { return };
        let Some(ask) = fill.asks_home else { return };
        let accepted = given.and_then(|given| Some((ask.accept(&fill.start, given.checked)?, given)));
        let Some((start, given)) = accepted else {
            world.saw(Sight::HomeGaveNothing);
            return self.ask_origin(process, world, id);
        };
        let (viewed, until) = (fill.viewed, self.clock.at(world.at).wall + given.fresh);
        let variant = match &fill.stale {
            Some(stale) if given.not_modified => {
                let Bytes { confirmed, confirmed_by, tagged, .. } = given.bytes;
                // Whatever the home POP knew before, here it is known from this answer on.
                let tagged = both(stale.bytes.tagged, tagged.map(|since| since.map(|_| fill.sent)));
                let (confirmed_view, from_home) = (viewed, true);
                let bytes =
                    Bytes { confirmed_view, confirmed, confirmed_by, from_home, tagged, ..stale.bytes };
                Variant::new(fill.gzip, start.confirmed(&stale.provenance), stale.body, until, bytes)
            }
            _ if given.not_modified => return self.ask_origin(process, world, id),
            _ => {
                let bytes = Bytes { viewed, confirmed_view: viewed, from_home: true, ..given.bytes };
                Variant::new(fill.gzip, start.delivered(), id, until, bytes)
            }
        };
        fill.asks_home = None;
        fill.answered = start;
        world.saw(Sight::FilledFromHome);
        self.bring(process, world, id, variant, !given.not_modified);
    }

    /// Another POP asks.
    pub(super) fn asked_by_peer(&mut self, process: &mut Process, world: &mut World, asked: Asked) {
        match process.follower.admit(&asked.ask, self.clock.at(world.at)) {
            Admission::Admitted(_) => {
                let Asked { key, gzip, .. } = asked;
                self.ask(process, world, Asking { key, gzip, prefetch: None, peer: Some(asked) });
            }
            Admission::Behind if world.at < asked.until => {
                world.saw(Sight::HomeWaited);
                self.soon(world, LOOK_AGAIN, Event::AskedByPeer(asked));
            }
            Admission::Behind | Admission::Refused(_) => self.decline(world, &asked),
        }
    }

    /// Says that the origin is to be asked.
    pub(super) fn decline(&self, world: &mut World, asked: &Asked) {
        world.ask_peer(asked.machine, asked.machine, Event::Given(asked.fill, None));
    }

    /// Gives a copy, as looked up in a view that allows it.
    pub(super) fn give(
        &self,
        world: &mut World,
        asked: &Asked,
        checked: Seq,
        bytes: &Bytes,
        fresh: Duration,
    ) {
        let not_modified = asked.version == Some(bytes.version);
        let given = Given { checked, bytes: *bytes, fresh, not_modified };
        let event = Happening::Pop(asked.machine, asked.run, Event::Given(asked.fill, Some(given)));
        world.send(asked.machine, Far::Peer, event);
    }
}
