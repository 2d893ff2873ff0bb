//! A request, step by step: view, look-up, judgement, part in a fill.

use super::peers::Asked;
use super::store::{Variant, read};
use super::{Event, LOCKED, Pop, Process};
use crate::invariants::{Bytes, Reading};
use crate::sights::Sight;
use crate::world::{Step, World};
use freshen_model::domain::NoLease;
use freshen_model::protocol::copy::{Doubt, Verdict};
use freshen_model::protocol::follower::View;
use std::rc::Rc;
use std::time::Duration;

/// Times that a look-up starts over.
const REREADS_MAX: u8 = 8;
/// Requests at one time.
const REQUESTS_MAX: usize = 200;

/// What somebody asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// The object.
    pub key: usize,
    /// Which variant.
    pub gzip: bool,
    /// When the order of the prefetch was published, where it is one.
    pub prefetch: Option<Step>,
    /// Who asks, where it is another POP.
    pub peer: Option<Asked>,
}

/// A request under way.
pub struct Request {
    /// What it asks for.
    pub asking: Asking,
    /// Its view.
    pub view: View,
    /// When it read that, and by which settings.
    pub reading: Reading,
    /// What it found.
    pub found: Option<Rc<Variant>>,
    /// Whether that copy's validators may be sent.
    pub conditional: bool,
    /// Why the protocol doubts it.
    pub doubt: Option<Doubt>,
    rereads: u8,
}

impl Pop {
    pub(super) fn ask(&mut self, process: &mut Process, world: &mut World, asking: Asking) {
        if process.requests.len() >= REQUESTS_MAX {
            if let Some(asked) = &asking.peer {
                self.decline(world, asked);
            }
            return;
        }
        process.numbers += 1;
        let id = process.numbers;
        self.read_view(process, world, id, asking, 0);
    }

    /// Under one borrow of the follower: the view, then the domain.
    fn read_view(&mut self, process: &mut Process, world: &mut World, id: u64, asking: Asking, rereads: u8) {
        let view = process.follower.view(self.clock.at(world.at));
        let space = world.keys[asking.key].space();
        // A home POP answers in a view that holds a lease and is not behind the asker's.
        let may = asking.peer.is_none_or(|asked| asked.ask.checked_in(&view).is_some());
        let Some(domain) = process.follower.domain(space).filter(|_| view.member && may) else {
            process.requests.remove(&id);
            if let Some(asked) = &asking.peer {
                self.decline(world, asked);
            }
            return;
        };
        let no_lease = domain.settings.no_lease;
        let reading =
            Reading { machine: self.machine, key: asking.key, step: world.step, at: world.at, no_lease };
        let request =
            Request { asking, view, reading, found: None, conditional: false, doubt: None, rereads };
        process.requests.insert(id, request);
        if process.starting_over {
            let delay = world.chance.long_turn();
            return self.soon(world, delay, Event::LookUp(id));
        }
        self.turn(world, Event::LookUp(id));
    }

    pub(super) fn look_up(&mut self, process: &mut Process, world: &mut World, id: u64) {
        let Some(asking) = process.requests.get(&id).map(|request| request.asking) else { return };
        let object = match process.memory.get(&asking.key) {
            Some(object) => Some(object.clone()),
            // From disk under the stripe, and into memory.
            None if !process.stripes.free(asking.key) => return self.soon(world, LOCKED, Event::LookUp(id)),
            None => {
                let object = read(&self.disk, asking.key);
                if let Some(object) = &object {
                    process.memory.insert(asking.key, object.clone());
                    world.saw(Sight::Promoted);
                }
                object
            }
        };
        if let Some(request) = process.requests.get_mut(&id) {
            request.found = object.as_ref().and_then(|object| object.select(asking.gzip)).cloned();
            self.turn(world, Event::Judge(id));
        }
    }

    pub(super) fn judge(&mut self, process: &mut Process, world: &mut World, id: u64) {
        let Some(request) = process.requests.get_mut(&id) else { return };
        let Some(copy) = request.found.clone() else {
            world.saw(Sight::Absent);
            return self.turn(world, Event::Fetch(id));
        };
        let (view, reading) = (request.view, request.reading);
        let (checked, key) = (copy.checked(), &world.keys[reading.key]);
        let follower = &process.follower;
        let verdict = if view.settles(&copy.provenance, checked) {
            Verdict::Usable
        } else {
            follower.judge(&view, key, &copy.tags, &copy.provenance, checked, reading.no_lease)
        };
        let current = copy.provenance.epoch == follower.saved().epoch;
        if view.leased && current && !matches!(verdict, Verdict::Usable | Verdict::Reread) {
            world.truth.doubted(self.machine, reading.key, &copy.bytes, "doubts");
        }
        match verdict {
            Verdict::Usable => {
                copy.mark(view.seq);
                if copy.fresh(&view.now) {
                    world.saw(match (view.leased, reading.no_lease) {
                        (true, _) => Sight::Hit,
                        (false, NoLease::Serve) => Sight::ServedWithoutLease,
                        (false, _) => Sight::UsedWithoutLease,
                    });
                    let fresh = copy.fresh_until.saturating_sub(view.now.wall);
                    return self.answer(process, world, id, &copy.bytes, fresh);
                }
                request.conditional = true;
            }
            Verdict::Revalidate(doubt) => {
                world.saw(if doubt == Doubt::Purged { Sight::Purged } else { Sight::NoLease });
                request.doubt = Some(doubt);
                request.conditional = true;
            }
            Verdict::Reread if request.rereads < REREADS_MAX => {
                world.saw(Sight::Reread);
                let (asking, rereads) = (request.asking, request.rereads + 1);
                return self.read_view(process, world, id, asking, rereads);
            }
            Verdict::Gone | Verdict::Reread => world.saw(Sight::Gone),
        }
        self.turn(world, Event::Fetch(id));
    }

    /// The viewer gets these bytes.
    pub(super) fn answer(
        &mut self,
        process: &mut Process,
        world: &mut World,
        id: u64,
        bytes: &Bytes,
        fresh: Duration,
    ) {
        let Some(request) = process.requests.remove(&id) else { return };
        if let Some(asked) = &request.asking.peer {
            if let Some(checked) = asked.ask.checked_in(&request.view) {
                self.give(world, asked, checked, bytes, fresh);
            }
            return;
        }
        let Reading { key, step, .. } = request.reading;
        world.note(&self.name, || format!("answers for key {key}, view of step {}, with {bytes:?}", step.0));
        world.truth.answered(&request.reading, &self.name, bytes);
        if let Some(order) = request.asking.prefetch {
            world.truth.prefetched(self.machine, key, order, bytes);
        }
    }
}
