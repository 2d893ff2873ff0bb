//! The sweep, step by step: floor, walk, drop.

use super::{Event, Job, LOCKED, Pop, Process, Work};
use crate::pop::store::{Object, Variant};
use crate::sights::Sight;
use crate::world::World;
use freshen_model::ids::{Epoch, Seq};
use freshen_model::protocol::copy::Provenance;
use freshen_model::protocol::marks::Fate;
use freshen_model::rule::Rule;
use std::collections::VecDeque;
use std::rc::Rc;

/// A sweep under way.
pub struct Sweep {
    target: Seq,
    /// Read once the floor is raised.
    epoch: Epoch,
    rules: VecDeque<Rule>,
    keys: VecDeque<usize>,
}

impl Pop {
    pub(super) fn sweep(&mut self, process: &mut Process, world: &mut World) {
        let every = world.plan.sweep_every;
        self.soon(world, every, Event::Sweep);
        if process.sweep.is_some() {
            return;
        }
        let oldest = process.oldest_fill(&self.clock.at(world.at), world.plan.sweep_patience);
        let Some(target) = process.follower.sweep_target(oldest) else { return };
        process.sweep =
            Some(Sweep { target, epoch: Epoch(0), rules: VecDeque::new(), keys: VecDeque::new() });
        process.jobs.push_back(Job::RaiseFloor(target));
    }

    /// Fills that began below are stored no more: now the walk begins.
    pub(super) fn floor_raised(&mut self, process: &mut Process, world: &mut World) {
        let Some(sweep) = &mut process.sweep else { return };
        let target = sweep.target;
        sweep.epoch = process.follower.saved().epoch;
        sweep.rules = self.disk.content.rules.range(..=target).flat_map(|(_, rules)| rules.clone()).collect();
        world.note(&self.name, || format!("raised its floor to {target}"));
        self.turn(world, Event::SweepRule);
    }

    pub(super) fn sweep_rule(&mut self, process: &mut Process, world: &mut World) {
        let Some(sweep) = &mut process.sweep else { return };
        let Some(rule) = sweep.rules.pop_front() else {
            debug_assert!(!matches!(process.work, Some(Work::Drop(_))));
            process.jobs.push_back(Job::DropRules);
            return;
        };
        let prefix = rule.matcher.prefix();
        let keys = self.disk.content.objects.keys().copied();
        sweep.keys = keys.filter(|key| world.keys[*key].as_str().starts_with(&prefix)).collect();
        self.turn(world, Event::SweepKey);
    }

    pub(super) fn sweep_key(&mut self, process: &mut Process, world: &mut World) {
        let Some(sweep) = &mut process.sweep else { return };
        match sweep.keys.pop_front() {
            Some(key) => self.turn(world, Event::SweepTake(key)),
            None => self.turn(world, Event::SweepRule),
        }
    }

    pub(super) fn sweep_take(&mut self, process: &mut Process, world: &mut World, key: usize) {
        if !process.stripes.free(key) {
            return self.soon(world, LOCKED, Event::SweepTake(key));
        }
        if let Some(object) = process.current(&self.disk, key) {
            let epoch = process.sweep.as_ref().map_or(Epoch(0), |sweep| sweep.epoch);
            let mut variants = Vec::new();
            let mut changed = false;
            for variant in &object.variants {
                let copy = &variant.provenance;
                let marks = process.follower.marks(&world.keys[key], &variant.tags, variant.checked());
                let fate = marks.fate(copy, epoch);
                changed |= fate != Fate::Stays;
                if fate != Fate::Stays && copy.epoch == epoch {
                    world.truth.doubted(self.machine, key, &variant.bytes, "sweeps");
                }
                match fate {
                    Fate::Deleted => world.saw(Sight::SweptAway),
                    Fate::Marked => {
                        world.saw(Sight::SweptMarked);
                        let provenance = Provenance { expired: true, ..*copy };
                        let Variant { gzip, body, fresh_until, bytes, .. } = **variant;
                        variants.push(Rc::new(Variant::new(gzip, provenance, body, fresh_until, bytes)));
                    }
                    Fate::Stays => variants.push(variant.clone()),
                }
            }
            if changed {
                process.replace(&mut self.disk, key, Some(Object { variants }));
            }
        }
        self.turn(world, Event::SweepKey);
    }
}
