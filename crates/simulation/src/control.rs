//! Control: its ledger, and the process that answers heartbeats, pushes the log and decides when a purge is complete.

use crate::clock::Clock;
use crate::invariants::How;
use crate::ledger::Ledger;
use crate::network::Far;
use crate::pop::{self, Push};
use crate::sights::Sight;
use crate::world::{Event as Happening, World};
use freshen_model::ids::{BootId, LogId, OrderId, PopId, Seq};
use freshen_model::order::{Body, End};
use freshen_model::protocol::completion::{Completion, Fence};
use freshen_model::protocol::heartbeat::{Answer, Heartbeat, Standing};
use freshen_model::protocol::retention::Retention;
use freshen_model::protocol::roster::{Place, Seat, fence_after};
use freshen_model::rule::{Matcher, Mode, Rule};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// Orders pushed at once.
const PUSH_MAX: u64 = 8;
/// What is not pressing is written within this time.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Until a POP notices that its line is dead.
const LINE_PATIENCE: Duration = Duration::from_secs(2);

/// Something that happens to control's process.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody submits.
    Submit(Body),
    /// The transaction of it is durable.
    Committed(Body),
    /// The log's end moves over what is durable.
    Moved,
    /// The submission is watched from now on.
    Watched(Seq),
    /// A POP wants to follow.
    Follow {
        /// Its machine.
        machine: usize,
        /// Its run.
        run: u64,
        /// The line.
        line: u64,
        /// The log it follows.
        log: Option<LogId>,
        /// Its watermark.
        watermark: Seq,
        /// The order there.
        watermark_id: OrderId,
    },
    /// A POP says where it is.
    Heartbeat {
        /// Its machine.
        machine: usize,
        /// Its run.
        run: u64,
        /// What it says.
        beat: Box<Heartbeat>,
    },
    /// A heartbeat that counts is answered.
    Answer {
        /// To that machine.
        machine: usize,
        /// To that run.
        run: u64,
        /// The heartbeat's boot.
        boot: BootId,
        /// The heartbeat's number.
        number: u64,
        /// What its folder had confirmed before.
        remembered: Seq,
    },
    /// Time to look whom the clock fences.
    Tick,
    /// What is remembered of POPs is written.
    KeepSeats,
    /// How steps ended is written.
    KeepSteps(Vec<(Seq, PopId, How)>),
    /// Time to prune.
    Prune,
}

/// Control.
pub struct Control {
    /// Its clock.
    pub clock: Clock,
    /// What is durable.
    pub ledger: Ledger,
    /// A copy of it.
    pub copy: Option<Ledger>,
    /// The run of its process.
    pub run: u64,
    /// The process.
    pub process: Option<Process>,
    /// Until when it stands still.
    pub paused_until: Duration,
}

/// One run of it.
pub struct Process {
    end: End,
    seats: BTreeMap<PopId, Seat>,
    heard: BTreeMap<PopId, Seq>,
    reached: BTreeMap<PopId, Seq>,
    tasks: BTreeMap<Seq, Task>,
    streams: BTreeMap<PopId, Stream>,
    retention: Retention,
    keeping: bool,
    /// When the clock is looked at next.
    tick_at: Option<Duration>,
}

struct Task {
    completion: Completion,
    steps: BTreeMap<PopId, Option<How>>,
}

struct Stream {
    machine: usize,
    run: u64,
    line: u64,
    at: Seq,
    /// When the last line sent arrives; none overtakes it.
    arrives: Duration,
}

impl Control {
    /// Control with an empty ledger, not running.
    pub fn new(world: &mut World) -> Control {
        Control {
            clock: Clock::some(&mut world.chance),
            ledger: Ledger::new(LogId(world.chance.name())),
            copy: None,
            run: 0,
            process: None,
            paused_until: Duration::ZERO,
        }
    }

    fn now(&self, world: &World) -> Duration {
        self.clock.steady(world.at)
    }

    fn soon(&self, world: &mut World, delay: Duration, event: Event) {
        world.after(delay, Happening::Control(Some(self.run), event));
    }

    /// The process starts: running tasks go on, as if their orders had been appended now.
    pub fn start(&mut self, world: &mut World) {
        if self.process.is_some() {
            return;
        }
        self.run += 1;
        self.paused_until = Duration::ZERO;
        let now = self.now(world);
        let mut process = Process {
            end: End::default(),
            seats: BTreeMap::new(),
            heard: BTreeMap::new(),
            reached: BTreeMap::new(),
            tasks: BTreeMap::new(),
            streams: BTreeMap::new(),
            retention: Retention::new(world.plan.retention, now),
            keeping: false,
            tick_at: None,
        };
        for (name, pop) in self.ledger.pops.iter().filter(|(_, pop)| !pop.gone) {
            let mut seat = Seat::default();
            if let Some((data, boot_number, watermark)) = pop.remembered {
                seat = Seat::restored(data, boot_number, watermark, now);
                process.heard.insert(name.clone(), watermark);
            }
            process.seats.insert(name.clone(), seat);
            process.reached.insert(name.clone(), pop.reached());
        }
        let end = self.ledger.end().seq;
        world.note(&"control", || format!("starts, run {}, the log ends at {end}", self.run));
        self.move_end(&mut process, world);
        let open = |task: &crate::ledger::Task| task.steps.values().any(Option::is_none);
        let open: Vec<Seq> =
            self.ledger.tasks.iter().filter(|(_, task)| open(task)).map(|(seq, _)| *seq).collect();
        for seq in open {
            self.watch(&mut process, world, seq);
        }
        self.reconcile(&mut process, world);
        self.process = Some(process);
        self.soon(world, Duration::ZERO, Event::Prune);
    }

    /// The process dies, and its lines with it.
    pub fn kill(&mut self, world: &mut World) {
        let Some(process) = self.process.take() else { return };
        world.saw(Sight::ControlDied);
        world.note(&"control", || "dies".into());
        if self.ledger.tasks.iter().any(|(seq, _)| *seq > process.end.seq || !process.tasks.contains_key(seq))
        {
            world.saw(Sight::ControlDiedUnwatching);
        }
        for stream in process.streams.into_values() {
            let noticed = world.chance.up_to(LINE_PATIENCE);
            world.after(
                noticed,
                Happening::Pop(stream.machine, stream.run, pop::Event::LineBroke(stream.line)),
            );
        }
    }

    /// Something happens.
    pub fn handle(&mut self, world: &mut World, event: Event, versions: &[u64]) {
        let Some(mut process) = self.process.take() else { return };
        match event {
            Event::Submit(body) => {
                let sync = world.chance.up_to(world.plan.sync_max);
                self.soon(world, sync, Event::Committed(body));
            }
            Event::Committed(body) => self.committed(world, body, versions),
            Event::Moved => self.move_end(&mut process, world),
            Event::Watched(seq) => {
                self.watch(&mut process, world, seq);
                self.reconcile(&mut process, world);
            }
            Event::Follow { machine, run, line, log, watermark, watermark_id } => {
                let stands = log == Some(self.ledger.log)
                    && self.ledger.place(watermark) == Place::Order(watermark_id);
                self.follow(&mut process, world, (machine, run, line), watermark, stands);
            }
            Event::Heartbeat { machine, run, beat } => {
                self.heartbeat(&mut process, world, machine, run, &beat);
            }
            Event::Answer { machine, run, boot, number, remembered } => {
                // Read after the heartbeat came: when the POP sent it, the log ended no later than here.
                let lease_ms = world.plan.lease.as_millis() as u64;
                let noted = Vec::new();
                let standing = Standing::Confirmed { end: process.end, lease_ms, remembered, noted };
                answer(world, machine, run, Answer { boot, number, standing });
            }
            Event::Tick => self.tick(&mut process, world),
            Event::KeepSeats => self.keep_seats(&mut process, world),
            Event::KeepSteps(steps) => self.keep_steps(steps),
            Event::Prune => self.prune(&mut process, world),
        }
        self.process = Some(process);
    }

    // ---- submissions ----

    fn committed(&mut self, world: &mut World, body: Body, versions: &[u64]) {
        let id = OrderId(world.chance.name());
        let purge = matches!(body, Body::Purge { .. });
        let shown = format!("{body:?}");
        let implied = match &body {
            // The settings of a simulation change their origin with their port, and then the space is evicted.
            Body::Domain { name, settings: Some(settings) }
                if self.ledger.domains.get(name).is_some_and(|known| known.origin != settings.origin) =>
            {
                world.saw(Sight::Refetched);
                vec![Rule::new(Matcher::Space { space: name.clone() }, Mode::Evict)]
            }
            _ => Vec::new(),
        };
        let Some(seq) = self.ledger.append(body, id) else { return };
        if let Some(order) = self.ledger.orders.back() {
            world.truth.durable(order, &implied, versions);
        }
        world.note(&"control", || format!("has order {seq} durable: {shown}"));
        if purge {
            match self.ledger.tasks.get(&seq).and_then(|task| task.fence_from) {
                None => world.saw(Sight::Unfenced),
                Some(from) if from > Seq::ZERO => world.saw(Sight::Guarded),
                Some(_) => {}
            }
        }
        let turn = world.chance.turn(&world.plan);
        self.soon(world, turn, Event::Moved);
        let then = world.chance.turn(&world.plan);
        if purge {
            self.soon(world, turn + then, Event::Watched(seq));
        }
    }

    /// The log's end moves: from here on no lease is renewed by an answer that does not know of these orders.
    fn move_end(&mut self, process: &mut Process, world: &mut World) {
        // The lease time and a tenth of it: not asked of the model, which may be wrong.
        let bound = world.at + self.clock.lasts(world.plan.lease * 11 / 10);
        for order in self.ledger.orders.iter().filter(|order| order.seq > process.end.seq) {
            world.truth.appended(order.id, bound);
        }
        process.end = self.ledger.end();
        let names: Vec<PopId> = process.streams.keys().cloned().collect();
        for name in names {
            self.push(process, world, &name);
        }
    }

    fn watch(&mut self, process: &mut Process, world: &mut World, seq: Seq) {
        let Some(task) = self.ledger.tasks.get(&seq) else { return };
        let known_at = self.now(world);
        let open = task.steps.iter().filter(|(_, how)| how.is_none()).map(|(name, _)| name.clone());
        let scope = open.map(|name| {
            let reached = process.reached.get(&name).copied().unwrap_or_default();
            (name, reached)
        });
        let after = fence_after(world.plan.lease);
        let fence = task.fence_from.map(|from| Fence { from, after });
        let completion = Completion::new(seq, scope, known_at, fence);
        let steps = task.steps.clone();
        process.tasks.insert(seq, Task { completion, steps });
        // A POP may have been quicker.
        for (name, watermark) in process.heard.clone() {
            self.confirm_one(process, world, seq, &name, watermark);
        }
        self.settle(process, world);
    }

    // ---- lines ----

    fn follow(
        &mut self,
        process: &mut Process,
        world: &mut World,
        (machine, run, line): (usize, u64, u64),
        watermark: Seq,
        stands: bool,
    ) {
        let name = world.truth.names[machine].clone();
        let mut stream = Stream { machine, run, line, at: watermark, arrives: world.at };
        let mut sent = true;
        if !stands {
            if watermark > Seq::ZERO && watermark <= self.ledger.pruned {
                world.saw(Sight::Gap);
            }
            let snapshot = self.ledger.snapshot(&name);
            let names = Rc::new(world.truth.names_up_to(snapshot.seq));
            stream.at = snapshot.seq;
            sent = say(world, &mut stream, Push::Snapshot(Rc::new(snapshot), names));
        }
        // A POP has one line; a new one ends the old.
        if let Some(old) = process.streams.remove(&name) {
            let noticed = world.chance.up_to(LINE_PATIENCE);
            world.after(noticed, Happening::Pop(old.machine, old.run, pop::Event::LineBroke(old.line)));
        }
        if sent {
            process.streams.insert(name.clone(), stream);
            self.push(process, world, &name);
        }
    }

    fn push(&mut self, process: &mut Process, world: &mut World, name: &PopId) {
        let Some(stream) = process.streams.get_mut(name) else { return };
        while stream.at < process.end.seq {
            let max = 1 + world.chance.below(PUSH_MAX) as usize;
            let orders = self.ledger.orders_after(stream.at, max).unwrap_or_default();
            let orders: Vec<_> = orders.into_iter().filter(|order| order.seq <= process.end.seq).collect();
            let last = orders.last().map(|order| order.seq);
            let sent = match last {
                Some(last) => {
                    stream.at = last;
                    say(world, stream, Push::Orders(self.ledger.log, orders))
                }
                // Pruned behind the POP's back.
                None => {
                    hang_up(world, stream);
                    false
                }
            };
            if !sent {
                process.streams.remove(name);
                return;
            }
        }
    }

    // ---- heartbeats ----

    fn heartbeat(
        &mut self,
        process: &mut Process,
        world: &mut World,
        machine: usize,
        run: u64,
        beat: &Heartbeat,
    ) {
        let (boot, number) = (beat.boot, beat.number);
        let now = self.now(world);
        let place = self.ledger.place(beat.watermark);
        let registered = self.ledger.pops.get(&beat.pop).filter(|pop| !pop.gone);
        let Some(registered) = registered else {
            let why = "not a POP of this installation".to_owned();
            return answer(world, machine, run, Answer { boot, number, standing: Standing::Refused { why } });
        };
        let kept = registered.remembered;
        let left = registered.left;
        let seat = process.seats.entry(beat.pop.clone()).or_default();
        if let Some(standing) = seat.take(beat, self.ledger.log, place, world.plan.lease, now) {
            match &standing {
                Standing::ForeignLog => world.saw(Sight::ForeignLog),
                Standing::Gap => world.saw(Sight::Gap),
                Standing::Refused { .. } | Standing::Confirmed { .. } => {}
            }
            return answer(world, machine, run, Answer { boot, number, standing });
        }
        if beat.watermark < seat.watermark {
            world.saw(Sight::Overtaken);
        }
        let remembered = seat.remember();
        let (watermark, seat) = (seat.watermark, *seat);
        if kept.map(|(data, ..)| data) != seat.data {
            // Before the answer: a restart must not take a folder that went back for a new one.
            self.remember(&beat.pop, &seat);
        } else if !process.keeping {
            process.keeping = true;
            let rest = world.chance.up_to(WRITE_EVERY);
            self.soon(world, rest, Event::KeepSeats);
        }
        self.confirm(process, world, &beat.pop, watermark);
        if let Some((seq, id)) = left.filter(|(seq, _)| watermark >= *seq) {
            world.note(&"control", || format!("{} confirmed its removal {seq}", beat.pop));
            world.saw(Sight::GoneFromFleet);
            world.truth.gone(&beat.pop, id);
            self.ledger.gone(&beat.pop);
            process.seats.remove(&beat.pop);
            process.heard.remove(&beat.pop);
            self.reconcile(process, world);
        }
        let turn = world.chance.turn(&world.plan);
        self.soon(world, turn, Event::Answer { machine, run, boot, number, remembered });
    }

    fn remember(&mut self, name: &PopId, seat: &Seat) {
        let Some(data) = seat.data else { return };
        let kept = self.ledger.pops.get(name).and_then(|pop| pop.remembered);
        // A restored seat counts one less than is remembered until the process is heard again.
        let boot_number = match kept {
            Some((kept, boot_number, _)) if kept == data => seat.boot_number.max(boot_number),
            _ => seat.boot_number,
        };
        self.ledger.remember(name, data, boot_number, seat.remembered);
    }

    // ---- completion ----

    fn confirm(&mut self, process: &mut Process, world: &mut World, name: &PopId, watermark: Seq) {
        let heard = process.heard.entry(name.clone()).or_default();
        *heard = watermark.max(*heard);
        let tasks: Vec<Seq> = process.tasks.range(..=watermark).map(|(seq, _)| *seq).collect();
        for seq in tasks {
            self.confirm_one(process, world, seq, name, watermark);
        }
        if process.reached.insert(name.clone(), watermark) != Some(watermark) {
            let now = self.now(world);
            for task in process.tasks.values_mut().filter(|task| task.completion.guarded()) {
                task.completion.reached(name, watermark, now);
            }
        }
        self.settle(process, world);
    }

    fn confirm_one(
        &mut self,
        process: &mut Process,
        world: &mut World,
        seq: Seq,
        name: &PopId,
        watermark: Seq,
    ) {
        let Some(task) = process.tasks.get_mut(&seq) else { return };
        if task.completion.confirmed(name, watermark) {
            task.steps.insert(name.clone(), Some(How::Confirmed));
            world.note(&"control", || format!("{name} confirms {seq}"));
        }
    }

    /// POPs that are gone, or were removed and no clock or confirmation is to be waited for.
    fn reconcile(&mut self, process: &mut Process, world: &mut World) {
        for task in process.tasks.values_mut() {
            let waiting: Vec<PopId> =
                task.steps.iter().filter(|(_, how)| how.is_none()).map(|(name, _)| name.clone()).collect();
            for name in waiting {
                let over = match self.ledger.pops.get(&name).filter(|pop| !pop.gone) {
                    None => true,
                    Some(pop) => pop.left.is_some() && task.completion.fence_due_of(&name).is_none(),
                };
                if over && task.completion.removed(&name) {
                    task.steps.insert(name, Some(How::Removed));
                }
            }
        }
        self.settle(process, world);
    }

    fn tick(&mut self, process: &mut Process, world: &mut World) {
        let now = self.now(world);
        process.tick_at = None;
        for (seq, task) in &mut process.tasks {
            for name in task.completion.fenced(now) {
                world.note(&"control", || format!("{name} is fenced for {seq}"));
                task.steps.insert(name, Some(How::Fenced));
            }
        }
        self.settle(process, world);
    }

    /// Ends the tasks that are complete, and sees to it that the clock is looked at in time.
    fn settle(&mut self, process: &mut Process, world: &mut World) {
        let mut ended = Vec::new();
        for (seq, task) in process.tasks.extract_if(.., |_, task| task.completion.complete()) {
            let steps: BTreeMap<PopId, How> =
                task.steps.iter().filter_map(|(name, how)| Some((name.clone(), (*how)?))).collect();
            let fenced = steps.values().any(|how| *how == How::Fenced);
            world.saw(if fenced { Sight::CompleteFenced } else { Sight::CompleteConfirmed });
            world.note(&"control", || format!("{seq} is complete: {steps:?}"));
            if let Some(kept) = self.ledger.tasks.get(&seq) {
                world.truth.completed(kept.id, world.at, &steps);
            }
            ended.extend(steps.into_iter().map(|(name, how)| (seq, name, how)));
        }
        if !ended.is_empty() {
            // What was confirmed before what it ended, so that a restart never knows less of a POP than its tasks say.
            self.keep_seats(process, world);
            let sync = world.chance.up_to(world.plan.sync_max);
            self.soon(world, sync, Event::KeepSteps(ended));
        }
        if let Some(due) = process.tasks.values().filter_map(|task| task.completion.fence_due()).min() {
            if process.tick_at.is_some_and(|at| at <= due) {
                return;
            }
            process.tick_at = Some(due);
            let left = due.saturating_sub(self.now(world));
            self.soon(world, self.clock.lasts(left) + Duration::from_millis(1), Event::Tick);
        }
    }

    fn keep_seats(&mut self, process: &mut Process, _: &mut World) {
        process.keeping = false;
        for (name, seat) in &process.seats {
            self.remember(name, seat);
        }
    }

    fn keep_steps(&mut self, steps: Vec<(Seq, PopId, How)>) {
        for (seq, name, how) in steps {
            if let Some(step) = self.ledger.tasks.get_mut(&seq).and_then(|task| task.steps.get_mut(&name)) {
                *step = Some(how);
            }
        }
    }

    fn prune(&mut self, process: &mut Process, world: &mut World) {
        let now = self.now(world);
        let confirmed = process.seats.values().map(Seat::settled).min();
        let place = process.retention.round(process.end.seq, confirmed, now);
        if self.ledger.prune(place) {
            world.saw(Sight::Pruned);
            world.truth.pruned();
            world.note(&"control", || format!("prunes up to {place}"));
        }
        let due = process.retention.due().saturating_sub(now);
        self.soon(world, self.clock.lasts(due) + Duration::from_millis(1), Event::Prune);
    }

    /// The ledger goes back to its copy.
    pub fn restore(&mut self, world: &mut World) {
        let Some(copy) = self.copy.clone().filter(|_| self.process.is_none()) else { return };
        self.ledger = copy;
        let members: BTreeSet<PopId> =
            self.ledger.pops.iter().filter(|(_, pop)| !pop.gone).map(|(name, _)| name.clone()).collect();
        let ids: BTreeSet<OrderId> = self.ledger.orders.iter().map(|order| order.id).collect();
        let pruned = self.ledger.pruned;
        let lost = world.truth.restored(|order| order.seq <= pruned || ids.contains(&order.id), members);
        world.saw(Sight::Restored);
        if lost > 0 {
            world.saw(Sight::OrdersLost);
        }
        world.note(&"control", || format!("goes back to {}, {lost} orders are lost", self.ledger.end().seq));
    }
}

fn answer(world: &mut World, machine: usize, run: u64, answer: Answer) {
    world.send(machine, Far::Control, Happening::Pop(machine, run, pop::Event::Answered(answer)));
}

/// One line of a stream: behind those before it, or the line is dead.
fn say(world: &mut World, stream: &mut Stream, push: Push) -> bool {
    let delays = world.network.delays(&mut world.chance, &world.plan, stream.machine, Far::Control);
    let Some(delay) = delays.first() else {
        hang_up(world, stream);
        return false;
    };
    stream.arrives = stream.arrives.max(world.at + *delay);
    let event = pop::Event::Pushed(stream.line, push);
    world.once(stream.arrives, Happening::Pop(stream.machine, stream.run, event));
    true
}

fn hang_up(world: &mut World, stream: &Stream) {
    let noticed = world.chance.up_to(LINE_PATIENCE);
    world.after(noticed, Happening::Pop(stream.machine, stream.run, pop::Event::LineBroke(stream.line)));
}
