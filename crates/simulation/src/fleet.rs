//! The fleet: control, POPs and origin in their world, from the first event to rest.

use crate::Outcome;
use crate::control::{self, Control};
use crate::disk::Disk;
use crate::network::Far;
use crate::origin::Origin;
use crate::plan::Fault;
use crate::pop::{self, Pop};
use crate::sights::Sight;
use crate::viewer::Doing;
use crate::world::{Event, World};
use freshen_model::area::Area;
use freshen_model::domain::{NoLease, Settings};
use freshen_model::ids::{DataId, PopId};
use freshen_model::key::Key;
use freshen_model::order::Body;
use std::time::Duration;

const DOMAINS: [(&str, NoLease); 3] =
    [("a.example", NoLease::Revalidate), ("b.example", NoLease::Refetch), ("c.example", NoLease::Serve)];
const PATHS: [&str; 4] = ["/d/x", "/d/y", "/d/e/z", "/dd"];
/// Events of one run: more than any plan needs.
const STEPS_MAX: u64 = 2_000_000;

/// Everybody.
pub struct Fleet {
    /// What they share.
    pub world: World,
    /// Control.
    pub control: Control,
    /// The machines; the last one is for a second process in the first one's name.
    pub pops: Vec<Pop>,
    /// The origin.
    pub origin: Origin,
    seed: u64,
    settings: Vec<Settings>,
}

impl Fleet {
    /// The fleet of a seed, before its first event.
    pub fn new(seed: u64, trace: bool) -> Fleet {
        let keys: Vec<Key> = DOMAINS
            .iter()
            .flat_map(|(space, _)| PATHS.map(|path| Key::from_parts(space, path, None)))
            .collect();
        let objects = keys.len();
        let mut world = World::new(seed, trace, keys, |plan| plan.pops + 1);
        let lies = world.chance.percent(20);
        world.truth.honest = !lies;
        world.truth.precise = world.plan.index_places_max > PATHS.len() * DOMAINS.len() * 2;
        let control = Control::new(&mut world);
        let twin = world.plan.pops;
        world.truth.names = (0..=twin).map(|machine| name(machine % twin)).collect();
        let pops = (0..=twin).map(|machine| Pop::new(machine, name(machine % twin), &mut world)).collect();
        let settings = DOMAINS.map(|(_, no_lease)| Settings { no_lease, ..settings(80) }).to_vec();
        Fleet { world, control, pops, origin: Origin::new(objects, lies), seed, settings }
    }

    /// Lets everything happen.
    pub fn run(mut self) -> Outcome {
        self.begin();
        while let Some(event) = self.world.next_event() {
            self.handle(event);
            if self.world.truth.violation.is_some() {
                break;
            }
            if self.world.mended && self.world.at >= self.world.plan.lasts + self.rest() {
                self.at_rest();
                break;
            }
            if self.world.step.0 > STEPS_MAX {
                self.world.truth.broken("liveness", "it never comes to rest".into());
            }
        }
        Outcome {
            seed: self.seed,
            steps: self.world.step.0,
            digest: self.world.digest(),
            sights: self.world.sights.clone(),
            violation: self.world.truth.violation.clone(),
            trace: self.world.take_trace(),
        }
    }

    fn begin(&mut self) {
        let members = self.pops.len() - 1;
        let joins: Vec<Body> = (0..members).map(|machine| self.join(machine)).collect();
        let world = &mut self.world;
        self.control.start(world);
        for (place, settings) in self.settings.iter().enumerate() {
            let settings = Some(Box::new(settings.clone()));
            let body = Body::Domain { name: DOMAINS[place].0.to_owned(), settings };
            world.after(Duration::ZERO, Event::Control(None, control::Event::Submit(body)));
        }
        for (machine, body) in joins.into_iter().enumerate() {
            world.after(Duration::ZERO, Event::Control(None, control::Event::Submit(body)));
            let begins = world.chance.up_to(Duration::from_secs(1));
            world.after(begins, Event::Fault(Fault::Start(machine)));
            world.after(begins, Event::People(Doing::View(machine)));
        }
        world.after(Duration::from_secs(1), Event::People(Doing::View(members)));
        for doing in [Doing::Purge, Doing::Prefetch, Doing::Forget] {
            world.after(Duration::from_secs(2), Event::People(doing));
        }
        world.after(Duration::from_secs(2), Event::Trouble);
        let lasts = world.plan.lasts;
        world.after(lasts, Event::Mended);
    }

    fn handle(&mut self, event: Event) {
        let world = &mut self.world;
        match event {
            Event::Control(run, event) => {
                if self.control.process.is_none() || run.is_some_and(|run| run != self.control.run) {
                    // Nobody listens.
                    if let control::Event::Follow { machine, run, line, .. } = event {
                        world.after(
                            Duration::from_millis(1),
                            Event::Pop(machine, run, pop::Event::LineBroke(line)),
                        );
                    }
                    return;
                }
                if world.at < self.control.paused_until {
                    return world.once(self.control.paused_until, Event::Control(run, event));
                }
                self.control.handle(world, event, self.origin.versions());
            }
            Event::Pop(machine, run, event) => {
                let pop = &mut self.pops[machine];
                if pop.process.is_none() || run != pop.run {
                    return;
                }
                if world.at < pop.paused_until {
                    return world.once(pop.paused_until, Event::Pop(machine, run, event));
                }
                pop.handle(world, event);
                self.one_lease_a_name(machine);
            }
            Event::Peer(from, machine, event) => {
                let reached =
                    self.world.network.reaches_peers(from) && self.world.network.reaches_peers(machine);
                if reached {
                    let run = self.pops[machine].run;
                    self.world.after(Duration::ZERO, Event::Pop(machine, run, event));
                }
            }
            Event::Origin(asked) => self.origin.handle(world, asked),
            Event::People(doing) => self.people(doing),
            Event::Fault(fault) => self.fault(fault),
            Event::Trouble => self.trouble(),
            Event::Mended => self.mend(),
        }
    }

    /// At no time do two processes use their caches by a lease as one POP; unless a restored ledger has forgotten the first.
    fn one_lease_a_name(&mut self, machine: usize) {
        let twin = self.pops.len() - 1;
        if (machine != 0 && machine != twin) || self.world.truth.restored {
            return;
        }
        let at = self.world.at;
        let leased = |pop: &Pop| {
            let view = pop.process.as_ref().map(|process| process.follower.view(pop.clock.at(at)));
            view.is_some_and(|view| view.leased && view.member)
        };
        if leased(&self.pops[0]) && leased(&self.pops[twin]) {
            self.world.truth.broken("P2", format!("two processes use a lease as {}", self.pops[0].name));
        }
    }

    // ---- faults ----

    fn trouble(&mut self) {
        if self.world.mended {
            return;
        }
        let every = self.world.plan.fault_every_max;
        let next = self.world.chance.up_to(every);
        self.world.after(next, Event::Trouble);
        let twin = self.pops.len() - 1;
        let plan = self.world.plan.clone();
        for (after, fault) in plan.fault(&mut self.world.chance, twin, twin) {
            self.world.after(after, Event::Fault(fault));
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.world.mended {
            return;
        }
        self.world.note(&"fault", || format!("{fault:?}"));
        let world = &mut self.world;
        match fault {
            Fault::Line(machine, far, cut) => self.cut(machine, far, cut),
            Fault::Kill(machine, power) => self.pops[machine].kill(world, power),
            Fault::Start(machine) => {
                if machine == self.pops.len() - 1 {
                    world.saw(Sight::Twin);
                    world.truth.contest(&self.pops[machine].name);
                }
                self.pops[machine].start(world);
            }
            Fault::Pause(machine, span, frozen) => {
                let pop = &mut self.pops[machine];
                if pop.process.is_some() && pop.paused_until <= world.at {
                    world.saw(if frozen { Sight::Froze } else { Sight::Paused });
                    pop.paused_until = world.at + span;
                    if frozen {
                        pop.clock.freeze(span);
                    }
                }
            }
            Fault::SetWall(machine, ms) => {
                world.saw(Sight::WallJumped);
                self.pops[machine].clock.set_wall_ahead(ms);
            }
            Fault::CopyFolder(machine) => {
                let pop = &mut self.pops[machine];
                pop.copy = Some((pop.disk.data, pop.disk.durable.clone()));
            }
            Fault::RollBack(machine) => self.roll_back(machine),
            Fault::NewFolder(machine) => {
                let pop = &mut self.pops[machine];
                pop.disk = Disk::new(DataId(world.chance.name()));
                pop.copy = None;
                world.saw(Sight::NewFolder);
                world.truth.emptied(machine);
            }
            Fault::KillControl => self.control.kill(world),
            Fault::StartControl => self.control.start(world),
            Fault::PauseControl(span) => {
                if self.control.paused_until <= world.at {
                    self.control.paused_until = world.at + span;
                }
            }
            Fault::CopyLedger => self.control.copy = Some(self.control.ledger.clone()),
            Fault::RestoreLedger => self.control.restore(world),
            Fault::Leave(machine) => {
                world.saw(Sight::Left);
                let pop = self.pops[machine].name.clone();
                self.submit(Body::Leave { pop });
            }
            Fault::Join(machine) => {
                world.saw(Sight::JoinedFleet);
                let body = self.join(machine);
                self.submit(body);
            }
            Fault::ChangeSettings => self.change_settings(),
        }
    }

    fn cut(&mut self, machine: usize, far: Far, cut: bool) {
        self.world.network.cut(machine, far, cut);
        let pop = &self.pops[machine];
        if let Some(line) = pop.process.as_ref().and_then(|process| process.line()).filter(|_| cut) {
            let noticed = self.world.chance.up_to(Duration::from_secs(2));
            self.world.after(noticed, Event::Pop(machine, pop.run, pop::Event::LineBroke(line)));
        }
    }

    fn roll_back(&mut self, machine: usize) {
        let pop = &mut self.pops[machine];
        let Some((data, content)) = pop.copy.take().filter(|_| pop.process.is_none()) else { return };
        if data == pop.disk.data {
            self.world.truth.rolled_back(machine, &content.names);
            pop.disk.roll_back(content);
            self.world.saw(Sight::RolledBack);
        }
    }

    fn join(&self, machine: usize) -> Body {
        let pop = self.pops[machine].name.clone();
        Body::Join { pop, area: Area::Domestic, region: "here".into() }
    }

    fn change_settings(&mut self) {
        let place = self.world.chance.below(DOMAINS.len() as u64) as usize;
        let chosen = self.world.chance.below(4) as u16;
        let settings = &mut self.settings[place];
        match chosen {
            0 => {
                let port = 81 + self.world.chance.below(1_000) as u16;
                *settings = Settings { no_lease: settings.no_lease, ..self::settings(port) };
            }
            1 => settings.no_lease = NoLease::Serve,
            2 => settings.no_lease = NoLease::Refetch,
            _ => settings.no_lease = NoLease::Revalidate,
        }
        let settings = Some(Box::new(settings.clone()));
        self.submit(Body::Domain { name: DOMAINS[place].0.to_owned(), settings });
    }

    // ---- the end ----

    /// Everything works again.
    fn mend(&mut self) {
        self.world.note(&"fault", || "none from now on".into());
        self.world.mended = true;
        self.world.network.mend();
        self.world.plan.loss_percent = 0;
        self.world.plan.sluggish_percent = 0;
        self.world.plan.sync_max = Duration::from_millis(2);
        let world = &mut self.world;
        self.control.start(world);
        let twin = self.pops.len() - 1;
        self.pops[twin].kill(world, true);
        for pop in &mut self.pops[..twin] {
            pop.start(world);
        }
        // Behind whatever was submitted before.
        let settled = self.world.plan.lease * 4;
        for machine in 0..twin {
            let body = self.join(machine);
            self.world.after(settled, Event::Control(None, control::Event::Submit(body)));
        }
    }

    /// How long it may take from there until everything is done.
    fn rest(&self) -> Duration {
        self.world.plan.lease * 8 + Duration::from_secs(20)
    }

    /// Nothing hinders anybody: everything must be done.
    fn at_rest(&mut self) {
        let end = self.control.ledger.end().seq;
        let open = self.world.truth.incomplete();
        if !open.is_empty() {
            self.world.truth.broken("liveness", format!("not complete: {open:?}"));
        }
        for machine in 0..self.pops.len() - 1 {
            let pop = &self.pops[machine];
            let Some(process) = &pop.process else { continue };
            let view = process.follower.view(pop.clock.at(self.world.at));
            if !(view.leased && view.member && view.seq == end) {
                let what = format!("{} ends with {view:?} where the log ends at {end}", pop.name);
                self.world.truth.broken("liveness", what);
            }
        }
    }
}

fn name(machine: usize) -> PopId {
    // Always of the alphabet of names.
    format!("pop-{machine}").parse().unwrap_or_else(|error| unreachable!("{error}"))
}

fn settings(port: u16) -> Settings {
    let origin = format!("http://origin:{port}").parse().unwrap_or_else(|error| unreachable!("{error}"));
    Settings::of_origin(origin)
}
