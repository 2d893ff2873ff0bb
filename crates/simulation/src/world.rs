//! The world: true time, what happens next, chance, and what everybody shares.

use crate::invariants::Truth;
use crate::network::{Far, Network};
use crate::plan::{Fault, Plan};
use crate::sights::{Sight, Sights};
use crate::{control, origin, pop, viewer};
use freshen_model::key::Key;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::time::Duration;

/// The number of an event; of two, the lower one happened before the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step(pub u64);

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// To control's process of that run, or of any.
    Control(Option<u64>, control::Event),
    /// To the process of that run on a machine.
    Pop(usize, u64, pop::Event),
    /// From a machine to whatever process runs on another one.
    Peer(usize, usize, pop::Event),
    /// To the origin.
    Origin(origin::Asked),
    /// People do something.
    People(viewer::Doing),
    /// A fault.
    Fault(Fault),
    /// The next fault is chosen.
    Trouble,
    /// Faults and traffic end.
    Mended,
}

/// One source of chance, made of the seed.
pub struct Chance(fastrand::Rng);

impl Chance {
    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.u64(..end)
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.0.u32(..100) < percent
    }

    /// A span up to `max`.
    pub fn up_to(&mut self, max: Duration) -> Duration {
        Duration::from_micros(self.0.u64(..=max.as_micros() as u64))
    }

    /// How long a message takes.
    pub fn latency(&mut self, plan: &Plan) -> Duration {
        let slow = self.percent(plan.sluggish_percent);
        self.up_to(if slow { plan.latency_max * 20 } else { plan.latency_max })
    }

    /// How long it takes until a thread goes on.
    pub fn turn(&mut self, plan: &Plan) -> Duration {
        match self.percent(plan.sluggish_percent) {
            true => self.long_turn(),
            false => self.up_to(Duration::from_micros(500)),
        }
    }

    /// The same where it waits for long.
    pub fn long_turn(&mut self) -> Duration {
        self.up_to(Duration::from_secs(2))
    }

    /// Sixteen bytes that nobody else has.
    pub fn name(&mut self) -> [u8; 16] {
        self.0.u128(..).to_be_bytes()
    }
}

struct Scheduled {
    at: Duration,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What everybody shares.
pub struct World {
    /// True time since the run began.
    pub at: Duration,
    /// The event that happens now.
    pub step: Step,
    /// How the run goes.
    pub plan: Plan,
    /// Chance.
    pub chance: Chance,
    /// Who reaches whom.
    pub network: Network,
    /// What is true, and what must be.
    pub truth: Truth,
    /// What was reached.
    pub sights: Sights,
    /// All keys that anybody asks for.
    pub keys: Vec<Key>,
    /// Whether faults and traffic have ended.
    pub mended: bool,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    digest: DefaultHasher,
    trace: Option<Vec<String>>,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, trace: bool, keys: Vec<Key>, machines: impl Fn(&Plan) -> usize) -> World {
        let mut chance = Chance(fastrand::Rng::with_seed(seed));
        let plan = Plan::of(&mut chance);
        let machines = machines(&plan);
        World {
            at: Duration::ZERO,
            step: Step(0),
            chance,
            network: Network::new(machines),
            truth: Truth::new(keys.clone(), machines),
            sights: Sights::default(),
            keys,
            mended: false,
            plan,
            queue: BinaryHeap::new(),
            scheduled: 0,
            digest: DefaultHasher::new(),
            trace: trace.then(Vec::new),
        }
    }

    /// Lets something happen later.
    pub fn after(&mut self, delay: Duration, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse(Scheduled { at: self.at + delay, number: self.scheduled, event }));
    }

    /// Lets something happen at that time, or now where it is over.
    pub fn once(&mut self, at: Duration, event: Event) {
        self.after(at.saturating_sub(self.at), event);
    }

    /// The next event; time goes on to it.
    pub fn next_event(&mut self) -> Option<Event> {
        let Reverse(next) = self.queue.pop()?;
        self.at = next.at;
        self.step.0 += 1;
        self.truth.step = self.step;
        self.digest.write_u64(next.number);
        self.digest.write_u64(next.at.as_micros() as u64);
        Some(next.event)
    }

    /// Lets a message arrive, or not; says whether it will.
    pub fn send(&mut self, machine: usize, far: Far, event: Event) -> bool {
        let delays = self.network.delays(&mut self.chance, &self.plan, machine, far);
        for delay in &delays {
            self.after(*delay, event.clone());
        }
        !delays.is_empty()
    }

    /// Hands an event to whatever process runs on another machine, over the network.
    pub fn ask_peer(&mut self, machine: usize, to: usize, event: pop::Event) {
        let delays = self.network.delays(&mut self.chance, &self.plan, machine, Far::Peer);
        if let Some(delay) = delays.first() {
            self.after(*delay, Event::Peer(machine, to, event));
        }
    }

    /// The same of a message that opens a connection, and so never comes twice.
    pub fn open(&mut self, machine: usize, far: Far, event: Event) -> bool {
        let delays = self.network.delays(&mut self.chance, &self.plan, machine, far);
        let Some(delay) = delays.first() else { return false };
        self.after(*delay, event);
        true
    }

    /// Counts what was reached.
    pub fn saw(&mut self, sight: Sight) {
        self.sights.saw(sight);
    }

    /// A line for the trace.
    pub fn note(&mut self, who: &dyn std::fmt::Display, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let at = self.at.as_micros();
            trace.push(format!(
                "{:>4}.{:06} {:>6} {who:<9} {}",
                at / 1_000_000,
                at % 1_000_000,
                self.step.0,
                what()
            ));
        }
    }

    /// What happened, so far.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }

    /// A number for all that happened.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }
}
