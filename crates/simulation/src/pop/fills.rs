//! Fills: requests to the origin that several requests may share, and what becomes of their answers.

use super::store::{Object, Variant};
use super::{Event, LOCKED, Pop, Process};
use crate::invariants::{Bytes, both, tagged};
use crate::network::Far;
use crate::origin::{Answer, Asked};
use crate::sights::Sight;
use crate::world::{Event as Happening, Step, World};
use freshen_model::ids::Seq;
use freshen_model::protocol::fill::{FillStart, Level, Source};
use freshen_model::protocol::home::{self, Ask};
use freshen_model::protocol::now::Now;
use freshen_model::tag::Tags;
use std::rc::Rc;
use std::time::Duration;

/// Fills at one time.
const FILLS_MAX: usize = 100;
/// POPs that may wait for each other in a row.
const LEVELS: Level = 3;
/// Until the origin counts as dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// One request to the origin, or to a home POP first.
pub struct Fill {
    pub(super) start: FillStart,
    /// The start as its answer tells who gave it.
    pub(super) answered: FillStart,
    pub(super) viewed: Step,
    pub(super) sent: Step,
    pub(super) key: usize,
    pub(super) gzip: bool,
    /// What it told the home POP; absent once the origin is asked.
    pub(super) asks_home: Option<Ask>,
    /// The copy whose validators were sent.
    pub(super) stale: Option<Rc<Variant>>,
    waiting: Vec<u64>,
    /// What it brings, once the head of it is there.
    brings: Option<Rc<Variant>>,
}

impl Process {
    /// The lowest fill_seq of the fills that began less than `patience` ago.
    pub fn oldest_fill(&self, now: &Now, patience: Duration) -> Option<Seq> {
        let young = self.fills.values().filter(|fill| now.since(&fill.start.at) < patience);
        young.map(|fill| fill.start.fill_seq()).min()
    }
}

impl Pop {
    /// Joins a running fill where the protocol lets this request, else starts one.
    pub(super) fn take_part(&mut self, process: &mut Process, world: &mut World, id: u64) {
        let Some(request) = process.requests.get(&id) else { return };
        let name = (request.asking.key, request.asking.gzip);
        let running = process.shared.get(&name).and_then(|fill| process.fills.get_mut(fill));
        if let Some(fill) = running {
            let key = &world.keys[name.0];
            // Until its head is there, any tag may be meant.
            let tags = fill.brings.as_ref().map_or_else(Tags::unknown, |brings| brings.tags.clone());
            let (view, no_lease) = (&request.view, request.reading.no_lease);
            let joins = match request.asking.peer {
                None => process.follower.may_join(view, key, &tags, &fill.start, no_lease),
                Some(asked) => process.follower.may_join_for_peer(view, key, &tags, &fill.start, asked.level),
            };
            if joins {
                world.saw(Sight::Joined);
                match fill.brings.clone() {
                    Some(brings) => {
                        let fresh = brings.fresh_until.saturating_sub(self.clock.at(world.at).wall);
                        self.answer(process, world, id, &brings.bytes, fresh);
                    }
                    None => fill.waiting.push(id),
                }
                return;
            }
            world.saw(Sight::JoinRefused);
        }
        if process.fills.len() >= FILLS_MAX {
            let request = process.requests.remove(&id);
            if let Some(asked) = request.and_then(|request| request.asking.peer) {
                self.decline(world, &asked);
            }
            return;
        }
        let stale = request.found.clone().filter(|_| request.conditional);
        let (view, peer) = (request.view, request.asking.peer);
        let confirms = stale.as_ref().is_none_or(|stale| home::may_confirm(request.doubt, &stale.tags));
        let may = view.leased && view.member && confirms;
        // Another POP's request waits only for what is nearer to the origin than that one.
        let level = match peer {
            None => LEVELS,
            Some(asked) => world.chance.below(asked.level.into()) as Level,
        };
        let home = self.some_home(world).filter(|_| may && level > 0);
        if peer.is_some() && home.is_some() {
            world.saw(Sight::HomeAskedFurther);
        }
        let source = home.map_or(Source::Origin, |_| Source::Pop { checked: view.seq, level });
        let start = view.start_fill(source);
        let start = if stale.is_some() { start.with_validators() } else { start };
        let fill = Fill {
            start,
            answered: start,
            asks_home: None,
            viewed: request.reading.step,
            sent: world.step,
            key: name.0,
            gzip: name.1,
            waiting: vec![id],
            brings: None,
            stale,
        };
        process.numbers += 1;
        let number = process.numbers;
        process.shared.insert(name, number);
        process.fills.insert(number, fill);
        if !home.is_some_and(|home| self.ask_home(process, world, number, home)) {
            self.ask_origin(process, world, number);
        }
    }

    /// Asks the origin, at once or after the home POP gave no answer that counts.
    pub(super) fn ask_origin(&mut self, process: &mut Process, world: &mut World, number: u64) {
        let Some(fill) = process.fills.get_mut(&number) else { return };
        fill.asks_home = None;
        fill.answered = FillStart { source: Source::Origin, ..fill.start };
        fill.sent = world.step;
        let (key, version) = (fill.key, fill.stale.as_ref().map(|stale| stale.bytes.version));
        let asked = Asked { machine: self.machine, run: self.run, fill: number, key, version };
        let start = fill.start.seq;
        world.note(&self.name, || format!("asks the origin for key {key}, fill {number} of seq {start}"));
        if !world.open(self.machine, Far::Origin, Happening::Origin(asked)) {
            self.soon(world, PATIENCE, Event::Head(number, Answer::Failed));
        }
    }

    /// The head of the origin's answer is there.
    pub(super) fn head(&mut self, process: &mut Process, world: &mut World, id: u64, answer: Answer) {
        let Some(fill) = process.fills.get_mut(&id) else { return };
        let wall = self.clock.at(world.at).wall;
        let Fill { answered: start, viewed, sent, gzip, .. } = *fill;
        let by = self.machine;
        let variant = match (answer, &fill.stale) {
            (Answer::Full { version, fresh, tags }, _) => {
                let bytes = Bytes {
                    viewed,
                    delivered: sent,
                    delivered_by: by,
                    confirmed_view: viewed,
                    confirmed: sent,
                    confirmed_by: by,
                    from_home: false,
                    version,
                    tagged: tagged(tags, sent),
                };
                Variant::new(gzip, start.delivered(), id, wall + fresh, bytes)
            }
            (Answer::NotModified { fresh, tags }, Some(stale)) => {
                // The bytes are those that the old tags were given to.
                let called = both(stale.bytes.tagged, tagged(tags, sent));
                let confirmed =
                    Bytes { confirmed_view: viewed, confirmed: sent, confirmed_by: by, ..stale.bytes };
                let bytes = Bytes { tagged: called, ..confirmed };
                Variant::new(gzip, start.confirmed(&stale.provenance), stale.body, wall + fresh, bytes)
            }
            (Answer::NotModified { .. } | Answer::Failed, _) => {
                world.saw(Sight::OriginFailed);
                return self.over(process, world, id);
            }
        };
        self.bring(process, world, id, variant, matches!(answer, Answer::Full { .. }));
    }

    /// A fill's answer has begun. A 304 is taken in before anybody has it; a body is read while it comes.
    pub(super) fn bring(
        &mut self,
        process: &mut Process,
        world: &mut World,
        id: u64,
        variant: Variant,
        whole: bool,
    ) {
        let Some(fill) = process.fills.get_mut(&id) else { return };
        fill.brings = Some(Rc::new(variant));
        let body = match whole {
            true => {
                self.tell(process, world, id);
                world.chance.up_to(world.plan.origin_max)
            }
            false => Duration::ZERO,
        };
        let turn = world.chance.turn(&world.plan);
        self.soon(world, body + turn, Event::Enter(id));
    }

    /// Takes the stripe and asks the protocol; then it is stored.
    pub(super) fn enter(&mut self, process: &mut Process, world: &mut World, id: u64) {
        let Some(fill) = process.fills.get(&id) else { return };
        if !process.stripes.take(fill.key) {
            return self.soon(world, LOCKED, Event::Enter(id));
        }
        if process.follower.may_store(&fill.answered) {
            process.storing += 1;
            return self.turn(world, Event::Entered(id));
        }
        world.saw(Sight::TooEarly);
        process.stripes.give(fill.key);
        self.tell(process, world, id);
        self.over(process, world, id);
    }

    pub(super) fn entered(&mut self, process: &mut Process, world: &mut World, id: u64) {
        let Some(fill) = process.fills.get(&id) else { return };
        let (key, confirms) = (fill.key, fill.stale.as_ref().map(|stale| stale.body));
        let Some(kept) = fill.brings.clone() else { return };
        let object = process.current(&self.disk, key).map(|object| (*object).clone()).unwrap_or_default();
        let confirmed = confirms == Some(kept.body);
        let after = if confirmed { confirm(&object, kept) } else { commit(&object, kept) };
        match after {
            Some(variants) => {
                world.saw(if confirmed { Sight::Kept } else { Sight::Stored });
                process.replace(&mut self.disk, key, Some(Object { variants }));
            }
            None => world.saw(if confirmed { Sight::KeptNothing } else { Sight::TooEarly }),
        }
        process.storing -= 1;
        process.stripes.give(key);
        self.tell(process, world, id);
        self.over(process, world, id);
    }

    /// Those who wait get what it brings.
    fn tell(&mut self, process: &mut Process, world: &mut World, id: u64) {
        let Some(fill) = process.fills.get_mut(&id) else { return };
        let waiting = std::mem::take(&mut fill.waiting);
        let Some(brings) = fill.brings.clone() else { return };
        let fresh = brings.fresh_until.saturating_sub(self.clock.at(world.at).wall);
        for request in waiting {
            self.answer(process, world, request, &brings.bytes, fresh);
        }
    }

    fn over(&mut self, process: &mut Process, world: &mut World, id: u64) {
        let Some(fill) = process.fills.remove(&id) else { return };
        for request in fill.waiting {
            let request = process.requests.remove(&request);
            if let Some(asked) = request.and_then(|request| request.asking.peer) {
                self.decline(world, &asked);
            }
        }
        let name = (fill.key, fill.gzip);
        if process.shared.get(&name) == Some(&id) {
            process.shared.remove(&name);
        }
    }
}

/// What is kept once new bytes are there; `None` where something younger is.
fn commit(object: &Object, kept: Rc<Variant>) -> Option<Vec<Rc<Variant>>> {
    let slot = |there: &&Rc<Variant>| there.gzip == kept.gzip;
    if object.variants.iter().filter(slot).any(|there| !kept.provenance.replaces(&there.provenance)) {
        return None;
    }
    let mut variants: Vec<_> = object.variants.iter().filter(|there| !slot(there)).cloned().collect();
    variants.push(kept);
    Some(variants)
}

/// What is kept once the origin has confirmed a copy; `None` where that version is not there any more.
fn confirm(object: &Object, kept: Rc<Variant>) -> Option<Vec<Rc<Variant>>> {
    let same = |there: &Rc<Variant>| there.body == kept.body && kept.provenance.replaces(&there.provenance);
    let place = object.variants.iter().position(same)?;
    let mut variants = object.variants.clone();
    // Another 304 may have brought tags meanwhile.
    let there = &variants[place];
    variants[place] = if kept.tags.covers(&there.tags) { kept } else { Rc::new(kept.with_tags(there)) };
    Some(variants)
}
