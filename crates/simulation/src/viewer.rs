//! People: viewers who ask, publishers who change content and purge, operators.

use crate::control;
use crate::fleet::Fleet;
use crate::origin::TAGS;
use crate::pop::Event as AtPop;
use crate::pop::requests::Asking;
use crate::world::Event;
use freshen_model::ids::TaskId;
use freshen_model::key::Key;
use freshen_model::order::{Body, PrefetchItem};
use freshen_model::pattern::Pattern;
use freshen_model::rule::{Matcher, Mode, Rule};
use freshen_model::variants::Variants;

/// What somebody does, again and again.
#[derive(Clone, Debug)]
pub enum Doing {
    /// Viewers ask the POP on that machine.
    View(usize),
    /// Somebody changes something and purges it.
    Purge,
    /// Somebody prefetches.
    Prefetch,
    /// A POP's memory, or disk, gives something up.
    Forget,
}

impl Fleet {
    /// Does it, and lets it be done again.
    pub fn people(&mut self, doing: Doing) {
        let world = &mut self.world;
        if world.mended {
            return;
        }
        let every = match doing {
            Doing::View(_) => world.plan.viewer_every_max,
            Doing::Purge => world.plan.purge_every_max,
            Doing::Prefetch => world.plan.purge_every_max * 4,
            Doing::Forget => world.plan.viewer_every_max * 8,
        };
        let next = world.chance.up_to(every);
        world.after(next, Event::People(doing.clone()));
        match doing {
            Doing::View(machine) => {
                let (key, gzip) = (self.some_key(), self.world.chance.percent(30));
                let run = self.pops[machine].run;
                let asking = Asking { key, gzip, prefetch: None, peer: None };
                self.world.after(std::time::Duration::ZERO, Event::Pop(machine, run, AtPop::Ask(asking)));
            }
            Doing::Purge => {
                let key = self.some_key();
                if self.world.chance.percent(70) {
                    self.origin.publish(key);
                }
                if self.world.chance.percent(30) {
                    let tags = 1 + self.world.chance.below(7) as u8;
                    self.origin.call(key, tags);
                }
                let rules = self.some_rules(key);
                let task = Some(TaskId(self.world.step.0));
                self.submit(Body::Purge { task, rules, cut: false });
            }
            Doing::Prefetch => {
                let key = self.some_key();
                let key = &self.world.keys[key];
                let item =
                    PrefetchItem { domain: key.space().to_owned(), path_and_query: key.path().to_owned() };
                let task = TaskId(self.world.step.0);
                self.submit(Body::Prefetch {
                    task,
                    area: None,
                    items: vec![item],
                    follow: None,
                    refill: None,
                    pops: None,
                    headers: Variants::default(),
                    paused: false,
                });
            }
            Doing::Forget => {
                let (key, disk_too) = (self.some_key(), self.world.chance.percent(10));
                let machine = self.world.chance.below(self.pops.len() as u64) as usize;
                let run = self.pops[machine].run;
                let event = AtPop::Forget(key, disk_too);
                self.world.after(std::time::Duration::ZERO, Event::Pop(machine, run, event));
            }
        }
    }

    /// Hands something in, if control is there.
    pub fn submit(&mut self, body: Body) {
        let event = Event::Control(None, control::Event::Submit(body));
        self.world.after(std::time::Duration::ZERO, event);
    }

    /// A key; some are asked for more than others.
    fn some_key(&mut self) -> usize {
        let keys = self.world.keys.len() as u64;
        let hot = self.world.chance.percent(50);
        self.world.chance.below(if hot { 3 } else { keys }) as usize
    }

    fn some_rules(&mut self, key: usize) -> Vec<Rule> {
        let mode = if self.world.chance.percent(50) { Mode::Evict } else { Mode::Expire };
        let key = self.world.keys[key].clone();
        let space = key.space().to_owned();
        let matcher = match self.world.chance.below(14) {
            0..6 => Matcher::Url { key },
            6..9 => {
                let path = key.path();
                let end = path.rfind('/').map_or(1, |end| end + 1);
                Matcher::Directory { key: Key::from_parts(key.space(), &path[..end], None) }
            }
            9 => Matcher::Query { key },
            10 => Matcher::Regex { space, pattern: Pattern::new("/d/.*") },
            11..13 => {
                let tag = TAGS[self.world.chance.below(TAGS.len() as u64) as usize].to_owned();
                Matcher::Tag { space, tag }
            }
            _ => Matcher::Space { space },
        };
        vec![Rule::new(matcher, mode)]
    }
}
