//! The ledger as a simulation keeps it: what control has durable. A value, so that a backup is a copy of it.

use crate::invariants::How;
use freshen_model::area::Area;
use freshen_model::domain::{NoLease, Settings};
use freshen_model::ids::{DataId, LogId, OrderId, PopId, Seq};
use freshen_model::order::{Body, End, Order, Snapshot};
use freshen_model::protocol::roster::{Place, in_scope};
use freshen_model::rule::Rule;
use std::collections::{BTreeMap, VecDeque};

/// Where every POP of a simulation serves.
const AREA: Area = Area::Domestic;

/// What control has durable.
#[derive(Clone)]
pub struct Ledger {
    /// The log's name.
    pub log: LogId,
    /// The orders that are kept; the last one is the log's end.
    pub orders: VecDeque<Order>,
    /// The order before the first that is kept.
    pub pruned: Seq,
    /// Settings.
    pub domains: BTreeMap<String, Settings>,
    /// The order that last ended serving without a lease, by domain.
    serve_ended: BTreeMap<String, Seq>,
    /// POPs, gone ones included.
    pub pops: BTreeMap<PopId, Registered>,
    /// Purges.
    pub tasks: BTreeMap<Seq, Task>,
}

/// A POP.
#[derive(Clone)]
pub struct Registered {
    /// Its removal, where it was removed.
    pub left: Option<(Seq, OrderId)>,
    /// Set once it has confirmed that.
    pub gone: bool,
    /// No process of this POP uses anything below.
    usable_from: Seq,
    /// Its data folder, how often that was started, and the highest watermark it confirmed.
    pub remembered: Option<(DataId, u64, Seq)>,
}

impl Registered {
    /// How far a process that uses its cache as this POP is at least.
    pub fn reached(&self) -> Seq {
        self.usable_from.max(self.remembered.map(|(_, _, watermark)| watermark).unwrap_or_default())
    }
}

/// A purge.
#[derive(Clone)]
pub struct Task {
    /// Its order.
    pub id: OrderId,
    /// Which POPs can be fenced; `None`: none.
    pub fence_from: Option<Seq>,
    /// Whom it waits for, and how their steps ended.
    pub steps: BTreeMap<PopId, Option<How>>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new(log: LogId) -> Ledger {
        Ledger {
            log,
            orders: VecDeque::new(),
            pruned: Seq::ZERO,
            domains: BTreeMap::new(),
            serve_ended: BTreeMap::new(),
            pops: BTreeMap::new(),
            tasks: BTreeMap::new(),
        }
    }

    // ---- the log ----

    /// Its end.
    pub fn end(&self) -> End {
        self.orders.back().map_or(End::default(), |order| End { seq: order.seq, id: order.id })
    }

    /// What it has at a place.
    pub fn place(&self, seq: Seq) -> Place {
        if seq > self.end().seq {
            return Place::Beyond;
        }
        if seq == Seq::ZERO {
            let whole = self.pruned == Seq::ZERO;
            return if whole { Place::Order(OrderId::default()) } else { Place::Pruned };
        }
        let kept = seq.0.checked_sub(self.pruned.0 + 1).and_then(|place| self.orders.get(place as usize));
        kept.map_or(Place::Pruned, |order| Place::Order(order.id))
    }

    /// Orders behind `after`, at most `max`; `None` where some of them are not kept.
    pub fn orders_after(&self, after: Seq, max: usize) -> Option<Vec<Order>> {
        let first = after.0.checked_sub(self.pruned.0)?;
        Some(self.orders.range(first as usize..).take(max).cloned().collect())
    }

    /// Forgets orders up to `seq`, never the newest.
    pub fn prune(&mut self, seq: Seq) -> bool {
        let last = seq.min(self.end().seq.previous());
        let before = self.pruned;
        while self.orders.front().is_some_and(|order| order.seq <= last) {
            self.orders.pop_front();
            self.pruned = self.pruned.next();
        }
        self.pruned > before
    }

    /// The state that all orders led to.
    pub fn snapshot(&self, pop: &PopId) -> Snapshot {
        let End { seq, id } = self.end();
        Snapshot {
            log: self.log,
            seq,
            id,
            domains: self.domains.clone(),
            member: self.pops.get(pop).filter(|pop| pop.left.is_none()).map(|_| AREA),
            prefetches: Vec::new(),
        }
    }

    // ---- transactions ----

    /// Appends an order, with all that goes with it; `None` where that makes no sense.
    pub fn append(&mut self, body: Body, id: OrderId) -> Option<Seq> {
        let seq = self.end().seq.next();
        match &body {
            Body::Purge { rules, .. } => {
                let scope = self.scope();
                if scope.is_empty() {
                    return None;
                }
                let task = Task {
                    id,
                    fence_from: self.fence_from(rules),
                    steps: scope.into_iter().map(|pop| (pop, None)).collect(),
                };
                self.tasks.insert(seq, task);
            }
            Body::Domain { name, settings } => self.set_domain(name, settings.as_deref(), seq),
            Body::Join { pop, .. } => self.join(pop, seq)?,
            Body::Leave { pop } => {
                let pop = self.pops.get_mut(pop).filter(|pop| pop.left.is_none())?;
                pop.left = Some((seq, id));
            }
            Body::Prefetch { .. } | Body::Steer { .. } | Body::Tick | Body::Unknown => {}
        }
        self.orders.push_back(Order { seq, id, body });
        Some(seq)
    }

    /// A removed POP is gone.
    pub fn gone(&mut self, pop: &PopId) {
        if let Some(pop) = self.pops.get_mut(pop).filter(|pop| pop.left.is_some()) {
            pop.gone = true;
        }
    }

    /// Remembers a data folder.
    pub fn remember(&mut self, pop: &PopId, data: DataId, boot_number: u64, watermark: Seq) {
        if let Some(pop) = self.pops.get_mut(pop) {
            pop.remembered = Some((data, boot_number, watermark));
            pop.usable_from = pop.usable_from.min(watermark);
        }
    }

    fn join(&mut self, pop: &PopId, seq: Seq) -> Option<()> {
        match self.pops.get_mut(pop) {
            Some(pop) if pop.left.is_none() => return None,
            Some(pop) => {
                if pop.gone {
                    pop.usable_from = seq;
                }
                (pop.left, pop.gone) = (None, false);
            }
            None => {
                let new = Registered { left: None, gone: false, usable_from: seq, remembered: None };
                self.pops.insert(pop.clone(), new);
            }
        }
        Some(())
    }

    fn set_domain(&mut self, name: &str, settings: Option<&Settings>, seq: Seq) {
        let before = self.domains.get(name);
        let serves = |settings: Option<&Settings>| settings.is_some_and(|s| s.no_lease == NoLease::Serve);
        if serves(before) && !serves(settings) {
            self.serve_ended.insert(name.to_owned(), seq);
        }
        match settings {
            Some(settings) => self.domains.insert(name.to_owned(), settings.clone()),
            None => self.domains.remove(name),
        };
    }

    fn scope(&self) -> Vec<PopId> {
        let there = self.pops.iter().filter(|(_, pop)| !pop.gone);
        let scope = there.filter(|(_, pop)| in_scope(AREA, pop.left.is_some(), None, true));
        scope.map(|(name, _)| name.clone()).collect()
    }

    /// How far a POP must be so that it uses nothing of these spaces without a lease; `None` where it may do so now.
    fn fence_from(&self, rules: &[Rule]) -> Option<Seq> {
        let mut from = Seq::ZERO;
        for rule in rules {
            let Some(space) = rule.matcher.space() else { continue };
            if self.domains.get(space).is_some_and(|settings| settings.no_lease == NoLease::Serve) {
                return None;
            }
            from = from.max(self.serve_ended.get(space).copied().unwrap_or_default());
        }
        Some(from)
    }
}
