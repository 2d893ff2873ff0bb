//! The invariants: what really happened, kept beside the fleet by somebody who sees everything, and what must hold of it.
//!
//! Nothing here asks the state machines. Times are [steps](Step) of the whole run, matching is a comparison of texts.

use crate::disk::Content;
use crate::origin::TAGS;
use crate::world::Step;
use freshen_model::domain::NoLease;
use freshen_model::ids::{OrderId, PopId, Seq};
use freshen_model::key::Key;
use freshen_model::order::{Body, Order};
use freshen_model::protocol::follower::Saved;
use freshen_model::rule::{Matcher, Mode, Rule};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: &'static str,
    /// How.
    pub what: String,
}

/// What is true of the bytes of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// When the view was read in which they were asked for.
    pub viewed: Step,
    /// When the request to the origin that delivered them was sent.
    pub delivered: Step,
    /// By which machine.
    pub delivered_by: usize,
    /// The same of the last request that delivered or confirmed them.
    pub confirmed_view: Step,
    /// When that request was sent.
    pub confirmed: Step,
    /// By which machine.
    pub confirmed_by: usize,
    /// Whether they, or their confirmation, came by way of another POP.
    pub from_home: bool,
    /// Their version.
    pub version: u64,
    /// What the origin called them, with them or with a 304 for them.
    pub tagged: Tagged,
}

/// For each tag, when the first request was sent whose answer told it; a purge of a tag speaks of what has it by then.
pub type Tagged = [Option<Step>; TAGS.len()];

/// The tags of those bits, told in answer to a request sent at `step`.
pub fn tagged(bits: u8, step: Step) -> Tagged {
    std::array::from_fn(|place| (bits & (1 << place) != 0).then_some(step))
}

/// These tags and those.
pub fn both(these: Tagged, those: Tagged) -> Tagged {
    std::array::from_fn(|place| [these[place], those[place]].into_iter().flatten().min())
}

/// A request's moment: when it read its view, and by which settings.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The machine.
    pub machine: usize,
    /// The object.
    pub key: usize,
    /// When it read its view.
    pub step: Step,
    /// The same in true time.
    pub at: Duration,
    /// What the POP may do without a lease, as far as it knows.
    pub no_lease: NoLease,
}

/// How a POP's step in a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It confirmed.
    Confirmed,
    /// It is fenced.
    Fenced,
    /// It was removed, and nothing is waited for.
    Removed,
}

/// One rule that speaks of a key.
#[derive(Clone, Copy)]
struct Purged {
    /// The order's place.
    place: usize,
    mode: Mode,
    /// The place of the tag that it wants.
    tag: Option<usize>,
}

impl Purged {
    /// Whether it speaks of a copy, as that was called before `step`.
    fn speaks_of(&self, bytes: &Bytes, step: Step) -> bool {
        self.tag.is_none_or(|tag| bytes.tagged[tag].is_some_and(|since| since < step))
    }
}

impl Known {
    /// Whether bytes are from before this order at `machine`, where it was applied at that step. What another POP gave is
    /// from after the order if it is from after that POP applied it, or after nobody can have missed it.
    fn outdates(&self, purged: &Purged, machine: usize, applied: Step, bytes: &Bytes) -> bool {
        let (newest, by) = match purged.mode {
            Mode::Evict => (bytes.delivered, bytes.delivered_by),
            Mode::Expire => (bytes.confirmed, bytes.confirmed_by),
        };
        let there = self.first_applied[by].or(self.appended.map(|(appended, _)| appended));
        let since =
            if by == machine && !bytes.from_home { applied } else { there.unwrap_or(applied).min(applied) };
        // An order that was lost with its log may never have come to that POP.
        newest <= since && purged.speaks_of(bytes, since) && !(self.lost && bytes.from_home)
    }
}

/// All that is true.
pub struct Truth {
    /// The event that happens now.
    pub step: Step,
    /// The first violation.
    pub violation: Option<Violation>,
    /// Whether an origin's 304 says something about versions.
    pub honest: bool,
    /// Whether no rule is ever taken for a wider one, for want of places.
    pub precise: bool,
    /// The POP on each machine.
    pub names: Vec<PopId>,
    keys: Vec<Key>,
    orders: Vec<Known>,
    by_id: HashMap<OrderId, usize>,
    by_key: Vec<Vec<Purged>>,
    machines: Vec<Machine>,
    /// POPs that may be using their caches.
    members: BTreeSet<PopId>,
    /// POPs in whose name several processes ran, or which a restored ledger does not know: fenced by the lease alone.
    contested: BTreeSet<PopId>,
    /// Whether the ledger went back.
    pub restored: bool,
    pruned: bool,
}

#[derive(Clone, Copy, Default)]
struct Machine {
    rolled_back: bool,
    /// When its process heard from control for the first time.
    told: Option<Step>,
}

struct Known {
    order: Order,
    /// When the log's end moved over it, and when nobody may answer with what it purges any more: the lease time and the
    /// drift after that by control's clock, as true time.
    appended: Option<(Step, Duration)>,
    /// When each machine applied it, with the folder it has.
    applied: Vec<Option<Step>>,
    /// When each machine applied it first, whatever became of the folder.
    first_applied: Vec<Option<Step>>,
    /// POPs that applied it, whatever became of the folder.
    applied_by: BTreeSet<PopId>,
    lost: bool,
    complete: Option<Step>,
    scope: BTreeSet<PopId>,
    released: BTreeSet<PopId>,
    versions: Vec<u64>,
}

impl Truth {
    /// Nothing happened yet.
    pub fn new(keys: Vec<Key>, machines: usize) -> Truth {
        Truth {
            step: Step(0),
            violation: None,
            honest: true,
            precise: true,
            by_key: vec![Vec::new(); keys.len()],
            keys,
            names: Vec::new(),
            orders: Vec::new(),
            by_id: HashMap::new(),
            machines: vec![Machine::default(); machines],
            members: BTreeSet::new(),
            contested: BTreeSet::new(),
            restored: false,
            pruned: false,
        }
    }

    /// Notes a broken promise; the first one stays.
    pub fn broken(&mut self, promise: &'static str, what: String) {
        self.violation.get_or_insert(Violation { promise, what });
    }

    // ---- control ----

    /// This order is durable in the ledger; settings imply these rules.
    pub fn durable(&mut self, order: &Order, implied: &[Rule], versions: &[u64]) {
        if self.by_id.contains_key(&order.id) {
            return;
        }
        if let Body::Join { pop, .. } = &order.body {
            self.members.insert(pop.clone());
        }
        let place = self.orders.len();
        let rules = match &order.body {
            Body::Purge { rules, .. } => rules.as_slice(),
            _ => implied,
        };
        for (number, key) in self.keys.iter().enumerate() {
            for rule in rules.iter().filter(|rule| matches(&rule.matcher, key)) {
                let tag = match &rule.matcher {
                    Matcher::Tag { tag, .. } => TAGS.iter().position(|known| known == tag),
                    _ => None,
                };
                self.by_key[number].push(Purged { place, mode: rule.mode, tag });
            }
        }
        self.by_id.insert(order.id, place);
        self.orders.push(Known {
            order: order.clone(),
            appended: None,
            applied: vec![None; self.machines.len()],
            first_applied: vec![None; self.machines.len()],
            applied_by: BTreeSet::new(),
            lost: false,
            complete: None,
            scope: self.members.clone(),
            released: BTreeSet::new(),
            versions: versions.to_vec(),
        });
    }

    /// The log's end moved over that order; its bound is that true time.
    pub fn appended(&mut self, id: OrderId, bound: Duration) {
        if let Some(known) = self.by_id.get(&id).map(|place| &mut self.orders[*place]) {
            known.appended.get_or_insert((self.step, bound));
        }
    }

    /// Control calls a task complete.
    pub fn completed(&mut self, id: OrderId, at: Duration, steps: &BTreeMap<PopId, How>) {
        let Some(place) = self.by_id.get(&id).copied() else { return };
        let known = &mut self.orders[place];
        if known.complete.is_some() {
            return;
        }
        let seq = known.order.seq;
        let mut wrong = Vec::new();
        for pop in
            known.scope.iter().filter(|pop| !steps.contains_key(*pop) && !self.contested.contains(*pop))
        {
            wrong.push(format!("order {seq} complete without {pop}, which is in scope"));
        }
        for (pop, how) in steps {
            let applied = known.applied_by.contains(pop);
            match how {
                How::Confirmed if !applied => {
                    wrong.push(format!("order {seq} counts as confirmed by {pop}, which has not applied it"));
                }
                How::Fenced if known.appended.is_none_or(|(_, bound)| at < bound) => {
                    wrong.push(format!("{pop} counts as fenced for order {seq} before the bound"));
                }
                How::Removed => {
                    known.released.insert(pop.clone());
                }
                How::Confirmed | How::Fenced => {}
            }
        }
        known.complete = Some(self.step);
        for what in wrong {
            self.broken("P2", what);
        }
    }

    /// A removed POP is gone.
    pub fn gone(&mut self, pop: &PopId, left: OrderId) {
        let honest = self.by_id.get(&left).is_none_or(|place| self.orders[*place].applied_by.contains(pop));
        if !honest {
            self.broken("P2", format!("{pop} counts as gone, and has not applied its removal"));
        }
        self.members.remove(pop);
    }

    /// The ledger went back: orders behind that place of the new log that are not `kept` are lost.
    pub fn restored(&mut self, kept: impl Fn(&Order) -> bool, members: BTreeSet<PopId>) -> usize {
        self.restored = true;
        let mut lost = 0;
        for known in self.orders.iter_mut().filter(|known| !known.lost && !kept(&known.order)) {
            known.lost = true;
            lost += 1;
        }
        self.contested.extend(self.members.symmetric_difference(&members).cloned());
        self.members = members;
        lost
    }

    /// Some orders are not kept any more.
    pub fn pruned(&mut self) {
        self.pruned = true;
    }

    /// Another process runs in the name of that POP.
    pub fn contest(&mut self, pop: &PopId) {
        self.contested.insert(pop.clone());
    }

    /// The purges that are in the log and not complete.
    pub fn incomplete(&self) -> Vec<Seq> {
        let purge = |known: &&Known| matches!(known.order.body, Body::Purge { task: Some(_), .. });
        let open = |known: &&Known| known.complete.is_none() && !known.lost;
        self.orders.iter().filter(purge).filter(open).map(|known| known.order.seq).collect()
    }

    // ---- a POP's log ----

    /// The orders up to `seq` of the log as it is now.
    pub fn names_up_to(&self, seq: Seq) -> Vec<OrderId> {
        let orders = self.orders.iter().filter(|known| !known.lost && known.order.seq <= seq);
        orders.map(|known| known.order.id).collect()
    }

    /// A machine has published these orders, or found them on its disk.
    pub fn applied<'a>(&mut self, machine: usize, ids: impl Iterator<Item = &'a OrderId>) {
        for id in ids {
            if let Some(place) = self.by_id.get(id) {
                let known = &mut self.orders[*place];
                known.applied[machine].get_or_insert(self.step);
                known.first_applied[machine].get_or_insert(self.step);
                known.applied_by.insert(self.names[machine].clone());
            }
        }
    }

    /// A POP that held something starts over.
    pub fn starts_over(&mut self, machine: usize) {
        if !self.restored && !self.machines[machine].rolled_back && !self.pruned {
            self.broken("P9", format!("machine {machine} starts over, and the log lost nothing"));
        }
    }

    /// A machine's disk went back to a copy, which these orders led to. What it is told anew of the others counts anew;
    /// until then it is a POP that has not applied them.
    pub fn rolled_back(&mut self, machine: usize, names: &BTreeSet<OrderId>) {
        self.machines[machine] = Machine { rolled_back: true, told: None };
        for known in self.orders.iter_mut().filter(|known| !names.contains(&known.order.id)) {
            known.applied[machine] = None;
        }
    }

    /// A machine's heartbeat was answered.
    pub fn told(&mut self, machine: usize) {
        self.machines[machine].told.get_or_insert(self.step);
    }

    /// A machine got an empty folder.
    pub fn emptied(&mut self, machine: usize) {
        self.machines[machine] = Machine::default();
        for known in &mut self.orders {
            known.applied[machine] = None;
        }
    }

    /// What a POP says of itself must be durable there.
    pub fn says(&mut self, machine: usize, saved: &Saved, durable: &Saved) {
        if saved.epoch == durable.epoch && saved.watermark > durable.watermark {
            let what =
                format!("machine {machine} is at {}, its disk at {}", saved.watermark, durable.watermark);
            self.broken("P2", what);
        }
        let ordered = saved.dropped <= saved.floor && saved.floor <= saved.watermark;
        let durably = saved.epoch != durable.epoch
            || (saved.floor <= durable.floor && saved.dropped <= durable.dropped);
        if !ordered || !durably {
            self.broken("P1", format!("machine {machine}: {saved:?} with {durable:?} on disk"));
        }
    }

    /// What a machine finds on its disk at a start: each rule that was applied and not dropped.
    pub fn opened(&mut self, machine: usize, content: &Content) {
        let Content { saved, rules, names, .. } = content;
        self.applied(machine, names.iter());
        self.machines[machine].told = None;
        let mut wrong = None;
        for known in self.orders.iter().filter(|known| !known.lost && known.applied[machine].is_some()) {
            let Order { seq, body, .. } = &known.order;
            let live = *seq > saved.dropped && *seq <= saved.watermark;
            let live = live && names.contains(&known.order.id);
            if live && matches!(body, Body::Purge { .. }) && !rules.contains_key(seq) {
                wrong =
                    Some(format!("machine {machine} is at {}, the rules of {seq} are lost", saved.watermark));
            }
            if *seq > saved.watermark && !self.machines[machine].rolled_back {
                wrong = Some(format!("machine {machine} is at {}, and had applied {seq}", saved.watermark));
            }
        }
        if let Some(what) = wrong {
            self.broken("P1", what);
        }
    }

    // ---- a viewer ----

    /// A viewer gets these bytes.
    pub fn answered(&mut self, reading: &Reading, pop: &PopId, bytes: &Bytes) {
        let Reading { machine, key, step, at, no_lease } = *reading;
        let Machine { rolled_back, told } = self.machines[machine];
        let unaware = rolled_back && told.is_none_or(|told| step <= told);
        let mut wrong = None;
        for purged in &self.by_key[key] {
            let known = &self.orders[purged.place];
            let seq = known.order.seq;
            if let Some(applied) = known.applied[machine].filter(|applied| step > *applied) {
                if known.outdates(purged, machine, applied, bytes) && !(known.lost && rolled_back) {
                    wrong = Some(("P1", format!("applied at step {}", applied.0), seq));
                }
                continue;
            }
            let Some((appended, bound)) = known.appended.filter(|_| !known.lost) else { continue };
            let bound_by_the_lease_alone = self.contested.contains(pop)
                || known.released.contains(pop)
                || (rolled_back && !known.scope.contains(pop))
                // It serves without asking, and nobody has told it yet that its disk, or the log with that setting, went back.
                || (no_lease == NoLease::Serve && (unaware || self.restored));
            let complete =
                !bound_by_the_lease_alone && known.complete.is_some_and(|complete| step > complete);
            let bound = at >= bound && no_lease != NoLease::Serve;
            let newest = if no_lease == NoLease::Refetch { bytes.delivered } else { bytes.confirmed };
            let old = purged.speaks_of(bytes, appended) && newest <= appended
                || (purged.tag.is_none() && self.honest && bytes.version < known.versions[key]);
            if old && (complete || bound) {
                let promise = if complete { "P2" } else { "P3" };
                wrong = Some((promise, format!("appended at step {}", appended.0), seq));
            }
        }
        if let Some((promise, why, seq)) = wrong {
            let what = format!(
                "{pop} answers a request that read its view at step {} for {} ({no_lease}) with {bytes:?}; order {seq}, {why}, purges it",
                step.0, self.keys[key]
            );
            self.broken(promise, what);
        }
    }

    /// A copy is doubted or deleted, though a lease is held and the epoch is right.
    pub fn doubted(&mut self, machine: usize, key: usize, bytes: &Bytes, what: &str) {
        let Machine { rolled_back, .. } = self.machines[machine];
        let since = |mode: &Mode| if *mode == Mode::Evict { bytes.viewed } else { bytes.confirmed_view };
        let reason = |purged: &Purged| {
            let applied = self.orders[purged.place].applied[machine];
            purged.speaks_of(bytes, self.step) && applied.is_some_and(|applied| applied > since(&purged.mode))
        };
        if self.precise && !rolled_back && !self.by_key[key].iter().any(reason) {
            let what =
                format!("machine {machine}: {what} {}, {bytes:?}, and no rule matches", self.keys[key]);
            self.broken("P9", what);
        }
    }

    /// A prefetch behind an order found or fetched these bytes.
    pub fn prefetched(&mut self, machine: usize, key: usize, order: Step, bytes: &Bytes) {
        let mut wrong = None;
        for purged in &self.by_key[key] {
            let known = &self.orders[purged.place];
            let Some(applied) = known.applied[machine].filter(|applied| *applied <= order) else {
                continue;
            };
            if known.outdates(purged, machine, applied, bytes) {
                wrong = Some(format!(
                    "the prefetch of step {} took {bytes:?}, which order {} purges",
                    order.0, known.order.seq
                ));
            }
        }
        if let Some(what) = wrong {
            self.broken("P5", what);
        }
    }
}

/// Whether a rule speaks of an object, by its text.
fn matches(matcher: &Matcher, key: &Key) -> bool {
    match matcher {
        Matcher::Url { key: url } => url.as_str() == key.as_str(),
        Matcher::Directory { key: directory } => key.as_str().starts_with(directory.as_str()),
        Matcher::Query { key: path } => (path.space(), path.path()) == (key.space(), key.path()),
        // The patterns of a simulation are `…/.*`.
        Matcher::Regex { space, pattern } => {
            space == key.space() && key.path().starts_with(pattern.as_str().trim_end_matches(".*"))
        }
        Matcher::Space { space } | Matcher::Tag { space, .. } => key.space() == space,
        Matcher::Everything => true,
    }
}
