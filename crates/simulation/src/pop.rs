//! A POP: a machine with its clocks and its disk, and the process that runs on it.
//!
//! Here is the agent: the log, the journal's one writer, heartbeats. Every wait of the real process is an event of its own,
//! so that whatever may happen in between does.

pub mod fills;
pub mod peers;
pub mod requests;
pub mod store;
pub mod sweep;

use crate::clock::Clock;
use crate::control;
use crate::disk::{Batch, Disk};
use crate::network::Far;
use crate::origin;
use crate::sights::Sight;
use crate::world::{Event as Happening, World};
use fills::Fill;
use freshen_model::ids::{BootId, DataId, LogId, OrderId, PopId, Seq};
use freshen_model::order::{Order, Snapshot};
use freshen_model::protocol::follower::{Consequence, Follower, Identity, Plan, Saved};
use freshen_model::protocol::heartbeat::{Answer, Standing};
use peers::{Asked, Given};
use requests::{Asking, Request};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use store::{Object, Stripes};
use sweep::Sweep;

/// Until a line that broke is opened again.
const RETRY: Duration = Duration::from_millis(300);
/// Until somebody notices that a line is dead.
const LINE_PATIENCE: Duration = Duration::from_secs(2);
/// Heartbeats at least this often.
const BEAT_EVERY_MAX: Duration = Duration::from_secs(2);
/// Until a lock that somebody holds is tried again.
const LOCKED: Duration = Duration::from_millis(1);
/// Requests that begin when a POP has to start over, beside those that happen to be.
const OUTLASTING: usize = 8;

/// Something that happens to a POP's process.
#[derive(Clone, Debug)]
pub enum Event {
    /// It opens a line to control.
    Follow,
    /// It notices that this line is dead.
    LineBroke(u64),
    /// Something came on this line.
    Pushed(u64, Push),
    /// What the journal's writer wrote is durable up to that place.
    Synced(u64),
    /// A heartbeat is due; set where the clock says so.
    Beat(bool),
    /// An answer to one.
    Answered(Answer),
    /// Somebody asks.
    Ask(Asking),
    /// A request looks into the cache.
    LookUp(u64),
    /// A request holds what it found against the rules.
    Judge(u64),
    /// A request takes part in a fill.
    Fetch(u64),
    /// The origin's answer to a fill is there.
    Head(u64, origin::Answer),
    /// Another POP asks.
    AskedByPeer(Asked),
    /// The home POP's answer to a fill is there, or none comes.
    Given(u64, Option<Given>),
    /// A fill's body is whole and wants to be entered.
    Enter(u64),
    /// It is entered.
    Entered(u64),
    /// A sweep is due.
    Sweep,
    /// The sweep takes the next rule.
    SweepRule,
    /// The sweep takes the next key.
    SweepKey,
    /// The sweep treats a key.
    SweepTake(usize),
    /// Memory forgets an object, or the disk too.
    Forget(usize, bool),
}

/// What control pushes.
#[derive(Clone, Debug)]
pub enum Push {
    /// The state all orders led to, and which orders these are.
    Snapshot(Rc<Snapshot>, Rc<Vec<OrderId>>),
    /// Orders of a log.
    Orders(LogId, Vec<Order>),
}

/// A machine that is, or may be, a POP.
pub struct Pop {
    /// Its number.
    pub machine: usize,
    /// The POP's name.
    pub name: PopId,
    /// Its clocks.
    pub clock: Clock,
    /// Its disk.
    pub disk: Disk,
    /// A copy of it, and the boot it is from.
    pub copy: Option<(DataId, crate::disk::Content)>,
    /// The run of its process, counted; not written anywhere.
    pub run: u64,
    /// The process.
    pub process: Option<Process>,
    /// Until when it stands still.
    pub paused_until: Duration,
}

/// One run.
pub struct Process {
    /// The protocol's state.
    pub follower: Follower,
    line: Option<u64>,
    lines: u64,
    starting_over: bool,
    /// What waits for the journal's writer, and what it is at.
    jobs: VecDeque<Job>,
    work: Option<Work>,
    memory: BTreeMap<usize, Rc<Object>>,
    stripes: Stripes,
    /// Fills that are being stored: the floor is not published meanwhile.
    storing: usize,
    requests: BTreeMap<u64, Request>,
    fills: BTreeMap<u64, Fill>,
    shared: BTreeMap<(usize, bool), u64>,
    numbers: u64,
    sweep: Option<Sweep>,
}

enum Job {
    Take(u64, Push),
    RaiseFloor(Seq),
    DropRules,
}

enum Work {
    Publish(Box<Plan>, Vec<OrderId>),
    Floor(Saved),
    Drop(Saved),
}

impl Process {
    /// The line it has to control.
    pub fn line(&self) -> Option<u64> {
        self.line
    }
}

impl Pop {
    /// A machine with an empty disk, not running.
    pub fn new(machine: usize, name: PopId, world: &mut World) -> Pop {
        let clock = Clock::some(&mut world.chance);
        let disk = Disk::new(DataId(world.chance.name()));
        Pop { machine, name, clock, disk, copy: None, run: 0, process: None, paused_until: Duration::ZERO }
    }

    /// The process starts and takes up where the journal ends.
    pub fn start(&mut self, world: &mut World) {
        if self.process.is_some() {
            return;
        }
        self.run += 1;
        self.paused_until = Duration::ZERO;
        let place = self.disk.write(Batch::Opened);
        self.disk.sync(place);
        let content = &self.disk.content;
        world.truth.opened(self.machine, content);
        let identity = Identity {
            pop: self.name.clone(),
            data: self.disk.data,
            boot: BootId(world.chance.name()),
            boot_number: content.boot_number,
        };
        let rules = content.rules.iter().map(|(seq, rules)| (*seq, rules.clone()));
        let domains = content.domains.iter().map(|(name, settings)| (name.clone(), settings.clone()));
        let follower =
            Follower::restore(identity, content.saved, rules, domains, world.plan.index_places_max);
        let saved = content.saved;
        world.note(&self.name, || format!("starts, run {}, {saved:?}", self.run));
        self.process = Some(Process {
            follower,
            line: None,
            lines: 0,
            starting_over: false,
            jobs: VecDeque::new(),
            work: None,
            memory: BTreeMap::new(),
            stripes: Stripes::default(),
            storing: 0,
            requests: BTreeMap::new(),
            fills: BTreeMap::new(),
            shared: BTreeMap::new(),
            numbers: 0,
            sweep: None,
        });
        self.soon(world, Duration::ZERO, Event::Follow);
        self.soon(world, Duration::ZERO, Event::Beat(true));
        let sweep = world.plan.sweep_every;
        self.soon(world, sweep, Event::Sweep);
    }

    /// The process dies; with the machine's power, what was not synced may be lost.
    pub fn kill(&mut self, world: &mut World, power: bool) {
        if self.process.take().is_some() {
            world.saw(if power { Sight::PowerCut } else { Sight::Killed });
            world.note(&self.name, || if power { "loses its power".into() } else { "is killed".into() });
        }
        if power {
            self.disk.cut_power(&mut world.chance, &mut world.sights);
            self.clock.reboot(world.at);
        }
    }

    fn soon(&self, world: &mut World, delay: Duration, event: Event) {
        world.after(delay, Happening::Pop(self.machine, self.run, event));
    }

    fn turn(&self, world: &mut World, event: Event) {
        let delay = world.chance.turn(&world.plan);
        self.soon(world, delay, event);
    }

    /// Something happens.
    pub fn handle(&mut self, world: &mut World, event: Event) {
        let Some(mut process) = self.process.take() else { return };
        match event {
            Event::Follow => self.follow(&mut process, world),
            Event::LineBroke(line) if process.line == Some(line) => self.hang_up(&mut process, world),
            Event::LineBroke(_) => {}
            Event::Pushed(line, push) => {
                if process.line == Some(line) {
                    process.jobs.push_back(Job::Take(line, push));
                }
            }
            Event::Synced(place) => self.synced(&mut process, world, place),
            Event::Beat(due) => self.beat(&mut process, world, due),
            Event::Answered(answer) => self.answered(&mut process, world, &answer),
            Event::Ask(asking) => self.ask(&mut process, world, asking),
            Event::LookUp(id) => self.look_up(&mut process, world, id),
            Event::Judge(id) => self.judge(&mut process, world, id),
            Event::Fetch(id) => self.take_part(&mut process, world, id),
            Event::Head(id, answer) => self.head(&mut process, world, id, answer),
            Event::AskedByPeer(asked) => self.asked_by_peer(&mut process, world, asked),
            Event::Given(id, given) => self.given(&mut process, world, id, given),
            Event::Enter(id) => self.enter(&mut process, world, id),
            Event::Entered(id) => self.entered(&mut process, world, id),
            Event::Sweep => self.sweep(&mut process, world),
            Event::SweepRule => self.sweep_rule(&mut process, world),
            Event::SweepKey => self.sweep_key(&mut process, world),
            Event::SweepTake(key) => self.sweep_take(&mut process, world, key),
            Event::Forget(key, disk_too) => self.forget(&mut process, key, disk_too),
        }
        self.write_next(&mut process, world);
        world.truth.says(self.machine, process.follower.saved(), &self.disk.durable.saved);
        self.process = Some(process);
    }

    // ---- the line to control ----

    fn follow(&mut self, process: &mut Process, world: &mut World) {
        if process.line.is_some() {
            return;
        }
        // One thing after the other: what came on the line before is applied first.
        if matches!(process.work, Some(Work::Publish(..))) {
            return self.soon(world, LOCKED, Event::Follow);
        }
        process.lines += 1;
        let line = process.lines;
        process.line = Some(line);
        let saved = process.follower.saved();
        let asks = control::Event::Follow {
            machine: self.machine,
            run: self.run,
            line,
            log: saved.log.filter(|_| !process.starting_over),
            watermark: saved.watermark,
            watermark_id: saved.watermark_id,
        };
        if !world.open(self.machine, Far::Control, Happening::Control(None, asks)) {
            self.soon(world, LINE_PATIENCE, Event::LineBroke(line));
        }
    }

    fn hang_up(&mut self, process: &mut Process, world: &mut World) {
        process.line = None;
        process.jobs.retain(|job| !matches!(job, Job::Take(..)));
        self.soon(world, RETRY, Event::Follow);
    }

    fn start_over(&mut self, process: &mut Process, world: &mut World, why: &str) {
        world.note(&self.name, || format!("has to start over: {why}"));
        world.truth.starts_over(self.machine);
        process.starting_over = true;
        self.hang_up(process, world);
        // Some requests outlast it: when they look up, what they viewed is of another log.
        for _ in 0..OUTLASTING {
            let key = world.chance.below(world.keys.len() as u64) as usize;
            let gzip = world.chance.percent(50);
            self.ask(process, world, Asking { key, gzip, prefetch: None, peer: None });
        }
    }

    // ---- the journal's one writer ----

    /// Plans what waits, and writes it; one at a time, from the plan to its publication.
    fn write_next(&mut self, process: &mut Process, world: &mut World) {
        while process.work.is_none() {
            let Some(job) = process.jobs.pop_front() else { return };
            let (work, batch) = match job {
                Job::Take(line, _) if process.line != Some(line) => continue,
                Job::Take(_, Push::Orders(log, orders)) => match process.follower.plan(log, &orders) {
                    Ok(plan) => {
                        let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
                        let batch = Batch::Applied(Box::new(plan.clone()), ids.clone());
                        (Work::Publish(Box::new(plan), ids), batch)
                    }
                    Err(misfit) => {
                        self.start_over(process, world, &misfit.to_string());
                        continue;
                    }
                },
                Job::Take(_, Push::Snapshot(snapshot, ids)) => {
                    let plan = process.follower.plan_snapshot(&snapshot);
                    if process.follower.saved().log.is_some() {
                        world.saw(Sight::StartedOver);
                        world.truth.starts_over(self.machine);
                    }
                    let batch = Batch::Applied(Box::new(plan.clone()), ids.to_vec());
                    (Work::Publish(Box::new(plan), ids.to_vec()), batch)
                }
                Job::RaiseFloor(target) => {
                    let saved = process.follower.plan_floor(target);
                    (Work::Floor(saved), Batch::Saved(saved))
                }
                Job::DropRules => {
                    let saved = process.follower.plan_drop();
                    (Work::Drop(saved), Batch::Saved(saved))
                }
            };
            let place = self.disk.write(batch);
            process.work = Some(work);
            let sync = world.chance.up_to(world.plan.sync_max);
            self.soon(world, sync, Event::Synced(place));
        }
    }

    fn synced(&mut self, process: &mut Process, world: &mut World, place: u64) {
        self.disk.sync(place);
        match process.work.take() {
            Some(Work::Publish(plan, ids)) => self.publish(process, world, &plan, &ids),
            // A floor is published while nothing is being stored.
            Some(Work::Floor(saved)) if process.storing > 0 => {
                process.work = Some(Work::Floor(saved));
                self.soon(world, LOCKED, Event::Synced(place));
            }
            Some(Work::Floor(saved)) => {
                process.follower.commit_floor(&saved);
                self.floor_raised(process, world);
            }
            Some(Work::Drop(saved)) => {
                process.follower.commit_drop(&saved);
                while process.follower.drop_some() {}
                process.sweep = None;
                world.saw(Sight::Dropped);
                world.note(&self.name, || format!("dropped its rules up to {}", saved.dropped));
            }
            None => {}
        }
    }

    fn publish(&mut self, process: &mut Process, world: &mut World, plan: &Plan, ids: &[OrderId]) {
        let widened = process.follower.commit(plan);
        if widened > 0 {
            world.saw(Sight::Widened);
        }
        let watermark = plan.saved.watermark;
        world.truth.applied(self.machine, ids.iter());
        if plan.starts_over {
            process.starting_over = false;
            world.note(&self.name, || format!("took up the snapshot of {watermark}"));
        } else {
            world.note(&self.name, || format!("applied all up to {watermark}"));
        }
        for (_, order) in &plan.prefetches {
            for item in &order.items {
                let named = |key: &freshen_model::key::Key| {
                    key.space() == item.domain && key.path() == item.path_and_query
                };
                let Some(key) = world.keys.iter().position(named) else { continue };
                world.saw(Sight::Prefetched);
                let asking = Asking { key, gzip: false, prefetch: Some(world.step), peer: None };
                self.turn(world, Event::Ask(asking));
            }
        }
        self.soon(world, Duration::ZERO, Event::Beat(false));
    }

    // ---- heartbeats ----

    fn beat(&mut self, process: &mut Process, world: &mut World, due: bool) {
        if due {
            let every = (process.follower.lease_term() / 5).min(BEAT_EVERY_MAX);
            self.soon(world, self.clock.lasts(every), Event::Beat(true));
        }
        if process.follower.saved().log.is_none() || process.starting_over {
            return;
        }
        let beat = process.follower.heartbeat(self.clock.at(world.at), Vec::new());
        let says = control::Event::Heartbeat { machine: self.machine, run: self.run, beat: Box::new(beat) };
        world.send(self.machine, Far::Control, Happening::Control(None, says));
    }

    fn answered(&mut self, process: &mut Process, world: &mut World, answer: &Answer) {
        let number = answer.number;
        match process.follower.answered(answer) {
            Consequence::Noted(_) => {
                world.truth.told(self.machine);
                let age = process.follower.view_age(&self.clock.at(world.at));
                world.note(&self.name, || format!("heartbeat {number} counts; its view is {age:?} old"));
                if let Standing::Confirmed { remembered, .. } = &answer.standing
                    && *remembered > process.follower.saved().watermark
                {
                    world.saw(Sight::RollbackNoticed);
                    world.note(&self.name, || {
                        format!("was at {remembered} once, and uses nothing until it is there")
                    });
                }
            }
            Consequence::StartOver => self.start_over(process, world, "control says so"),
            Consequence::Refused(why) => {
                world.saw(Sight::Refused);
                world.note(&self.name, || format!("is refused: {why}"));
            }
            Consequence::Stray => {
                world.saw(Sight::Stray);
                world.note(&self.name, || format!("has a stray answer to heartbeat {number}"));
            }
        }
    }

    fn forget(&mut self, process: &mut Process, key: usize, disk_too: bool) {
        if !disk_too {
            process.memory.remove(&key);
        } else if process.stripes.free(key) {
            process.replace(&mut self.disk, key, None);
        }
    }
}
