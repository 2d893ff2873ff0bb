//! The follower: a POP's place in the log, the rules it has applied, and what they allow to be used, joined and stored.
//!
//! An order takes effect in two moves. [`Follower::plan`] works out, without changing anything, what the orders come to;
//! the caller makes that plan durable; [`Follower::commit`] then publishes rules and watermark together, inside the one
//! exclusive borrow. A reader therefore sees either nothing of an order or all of it.

use super::copy::{Doubt, Provenance, Verdict};
use super::fill::{FillStart, Source};
use super::heartbeat::{Answer, Heartbeat, PrefetchReport, Standing};
use super::home::Names;
use super::index::PurgeIndex;
use super::lease::{Lease, TERM_MIN};
use super::marks::Marks;
use super::now::Now;
use crate::area::Area;
use crate::domain::{NoLease, Settings};
use crate::ids::{BootId, DataId, Epoch, LogId, OrderId, PopId, Seq};
use crate::key::Key;
use crate::order::{Body, Order, PrefetchOrder, Snapshot, Steer};
use crate::rule::{Matcher, Mode, Rule};
use crate::tag::Tags;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Who this POP is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub pop: PopId,
    /// Its data folder.
    pub data: DataId,
    /// This run.
    pub boot: BootId,
    /// How many times the data folder was started.
    pub boot_number: u64,
}

/// The follower's own part of the POP's journal, written in one piece with the rules it speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The log it follows.
    pub log: Option<LogId>,
    /// Every order up to here is applied.
    pub watermark: Seq,
    /// The name of the order at the watermark.
    pub watermark_id: OrderId,
    /// Copies of older epochs are gone.
    pub epoch: Epoch,
    /// Fills that started below are neither joined nor stored.
    pub floor: Seq,
    /// Rules up to here have left the index; never above the floor.
    pub dropped: Seq,
    /// The area this POP joined in; absent before its own join order, and after its removal.
    pub member: Option<Area>,
}

/// A domain as a request meets it.
#[derive(Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: Settings,
}

/// What a run of orders comes to; to be made durable, then committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The follower's state after it.
    pub saved: Saved,
    /// The rules of each order that has some, those that settings and unknown orders imply included.
    pub rules: Vec<(Seq, Vec<Rule>)>,
    /// Those among them that break off answers under way.
    pub cuts: Vec<Seq>,
    /// Settings that changed; `None` for a domain that is removed.
    pub domains: Vec<(String, Option<Settings>)>,
    /// Prefetches that are for this POP.
    pub prefetches: Vec<(Seq, PrefetchOrder)>,
    /// How earlier prefetches go on, by their orders.
    pub steers: Vec<(Seq, Steer)>,
    /// The names of the orders, without gaps.
    pub names: Vec<(Seq, OrderId)>,
    /// Set where everything known before is void: rules and domains of before are to be forgotten.
    pub starts_over: bool,
    /// Set where this POP joins or leaves.
    pub changes_sides: bool,
}

impl Plan {
    /// Takes in how a prefetch goes on: one of this plan, or one from before.
    fn steer(&mut self, prefetch: Seq, steer: Steer) {
        match (self.prefetches.iter().position(|(seq, _)| *seq == prefetch), steer) {
            (None, _) => self.steers.push((prefetch, steer)),
            (Some(place), Steer::Pause) => self.prefetches[place].1.paused = true,
            (Some(place), Steer::Resume) => self.prefetches[place].1.paused = false,
            (Some(place), Steer::Cancel) => drop(self.prefetches.remove(place)),
        }
    }
}

/// Why orders cannot be applied here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// They do not begin right behind the watermark.
    #[error("order {found} came where {wanted} was due")]
    OutOfOrder {
        /// The order that came.
        found: Seq,
        /// The order that was due.
        wanted: Seq,
    },
    /// They are of another log, or none was adopted yet.
    #[error("orders of another log")]
    OtherLog,
}

/// What a request reads first, in one piece, and keeps to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The watermark.
    pub seq: Seq,
    /// The epoch.
    pub epoch: Epoch,
    /// Whether the lease holds.
    pub leased: bool,
    /// Whether the cache may be touched at all.
    pub member: bool,
    /// The clocks.
    pub now: Now,
    dropped: Seq,
}

impl View {
    /// The common case, without another look at the follower: nothing was published since the copy was last checked.
    pub fn settles(&self, copy: &Provenance, checked: Seq) -> bool {
        self.leased && checked >= self.seq && copy.epoch == self.epoch && !copy.expired
    }

    /// What is fixed when an upstream request starts in this view.
    pub fn start_fill(&self, source: Source) -> FillStart {
        FillStart { epoch: self.epoch, seq: self.seq, at: self.now, source, conditional: false }
    }
}

/// What an answer to a heartbeat asks of the POP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing; these prefetches are noted.
    Noted(Vec<Seq>),
    /// Follow anew, from a snapshot: everything held is void.
    StartOver,
    /// Stop: another process runs as this POP.
    Refused(String),
    /// An answer to another boot, or to a heartbeat from before this one started over; nothing.
    Stray,
}

/// The state of a POP in the protocol.
#[derive(Debug)]
pub struct Follower {
    identity: Identity,
    saved: Saved,
    index: PurgeIndex,
    domains: HashMap<String, Arc<Domain>>,
    lease: Lease,
    lease_term: Duration,
    heartbeats: u64,
    /// The last heartbeat before it started over: answers up to that one speak of what is given up.
    void_up_to: u64,
    /// Nothing is used below: the disk was rolled back behind what control remembers.
    usable_from: Seq,
    /// What the orders applied last are called.
    names: Names,
}

impl Follower {
    /// Takes up where the journal ends; no lease survives a restart.
    pub fn restore(
        identity: Identity,
        saved: Saved,
        rules: impl IntoIterator<Item = (Seq, Vec<Rule>)>,
        domains: impl IntoIterator<Item = (String, Settings)>,
        index_places_max: usize,
    ) -> Follower {
        let mut follower = Follower {
            identity,
            saved,
            index: PurgeIndex::new(index_places_max),
            domains: HashMap::new(),
            lease: Lease::default(),
            lease_term: TERM_MIN,
            heartbeats: 0,
            void_up_to: 0,
            usable_from: Seq::ZERO,
            names: Names::beginning_with(saved.watermark, saved.watermark_id),
        };
        for (seq, rules) in rules {
            for rule in &rules {
                follower.index.insert(rule, seq);
            }
        }
        for (name, settings) in domains {
            follower.domains.insert(name.clone(), Arc::new(Domain { name, settings }));
        }
        follower
    }

    // ---- the log ----

    /// Works out what `orders` of `log` come to; changes nothing.
    pub fn plan(&self, log: LogId, orders: &[Order]) -> Result<Plan, Misfit> {
        if self.saved.log != Some(log) {
            return Err(Misfit::OtherLog);
        }
        let mut plan = Plan {
            saved: self.saved,
            rules: Vec::new(),
            cuts: Vec::new(),
            domains: Vec::new(),
            prefetches: Vec::new(),
            steers: Vec::new(),
            names: Vec::with_capacity(orders.len()),
            starts_over: false,
            changes_sides: false,
        };
        let mut changed: BTreeMap<&str, Option<&Settings>> = BTreeMap::new();
        for order in orders {
            let wanted = plan.saved.watermark.next();
            if order.seq != wanted {
                return Err(Misfit::OutOfOrder { found: order.seq, wanted });
            }
            plan.saved.watermark = order.seq;
            plan.saved.watermark_id = order.id;
            plan.names.push((order.seq, order.id));
            let rules = match &order.body {
                Body::Purge { rules, cut, .. } => {
                    if *cut {
                        plan.cuts.push(order.seq);
                    }
                    rules.clone()
                }
                Body::Prefetch { task, area, items, follow, refill, pops, headers, paused } => {
                    let (items, follow, refill) = (items.clone(), follow.clone(), refill.clone());
                    let (task, area, paused) = (*task, *area, *paused);
                    let (pops, headers) = (pops.clone(), headers.clone());
                    let order_of = PrefetchOrder { task, area, items, follow, refill, pops, headers, paused };
                    let (me, mine) = (&self.identity.pop, plan.saved.member);
                    if mine.is_some() && order_of.scope().has(me, mine) {
                        plan.prefetches.push((order.seq, order_of));
                    }
                    Vec::new()
                }
                Body::Steer { prefetch, steer } => {
                    plan.steer(*prefetch, *steer);
                    Vec::new()
                }
                Body::Domain { name, settings } => {
                    let after = settings.as_deref();
                    let rules = self.rules_of_settings(name, after, &changed);
                    changed.insert(name, after);
                    rules
                }
                Body::Join { pop, area, .. } => {
                    if *pop == self.identity.pop {
                        plan.saved.member = Some(*area);
                        plan.changes_sides = true;
                    }
                    Vec::new()
                }
                Body::Leave { pop } => {
                    if *pop == self.identity.pop {
                        plan.saved.member = None;
                        plan.changes_sides = true;
                    }
                    Vec::new()
                }
                Body::Tick => Vec::new(),
                Body::Unknown => {
                    vec![Rule { matcher: Matcher::Everything, mode: Mode::Evict, understood: false }]
                }
            };
            if !rules.is_empty() {
                plan.rules.push((order.seq, rules));
            }
        }
        plan.domains =
            changed.into_iter().map(|(name, settings)| (name.to_owned(), settings.cloned())).collect();
        Ok(plan)
    }

    /// What a change of settings purges: a space whose content would now be fetched otherwise, or that nobody uses.
    fn rules_of_settings(
        &self,
        name: &str,
        after: Option<&Settings>,
        changed: &BTreeMap<&str, Option<&Settings>>,
    ) -> Vec<Rule> {
        let known = |name: &str| match changed.get(name) {
            Some(settings) => *settings,
            None => self.domains.get(name).map(|domain| &domain.settings),
        };
        let Some(before) = known(name) else { return Vec::new() };
        let mut spaces = Vec::new();
        match after {
            Some(after) if after.fetches_otherwise_than(before) => {
                spaces.push(before.space(name));
                if after.space(name) != before.space(name) {
                    spaces.push(after.space(name));
                }
            }
            Some(_) => {}
            None => {
                let names = self.domains.keys().map(String::as_str).chain(changed.keys().copied());
                let shared = names
                    .filter(|other| *other != name)
                    .any(|other| known(other).is_some_and(|used| used.space(other) == before.space(name)));
                if !shared {
                    spaces.push(before.space(name));
                }
            }
        }
        let evict = |space: &str| Rule::new(Matcher::Space { space: space.to_owned() }, Mode::Evict);
        spaces.into_iter().map(evict).collect()
    }

    /// Works out what taking up `snapshot` comes to: everything held is void.
    pub fn plan_snapshot(&self, snapshot: &Snapshot) -> Plan {
        Plan {
            saved: Saved {
                log: Some(snapshot.log),
                watermark: snapshot.seq,
                watermark_id: snapshot.id,
                epoch: self.saved.epoch.next(),
                floor: snapshot.seq,
                dropped: snapshot.seq,
                member: snapshot.member,
            },
            rules: Vec::new(),
            cuts: Vec::new(),
            domains: snapshot
                .domains
                .iter()
                .map(|(name, settings)| (name.clone(), Some(settings.clone())))
                .collect(),
            prefetches: snapshot.prefetches.clone(),
            steers: Vec::new(),
            names: vec![(snapshot.seq, snapshot.id)],
            starts_over: true,
            changes_sides: true,
        }
    }

    /// Publishes a durable plan. Returns how many rules had to be taken for something wider.
    pub fn commit(&mut self, plan: &Plan) -> usize {
        if plan.starts_over {
            self.index.drop_up_to(Seq(u64::MAX));
            self.domains.clear();
            self.void_up_to = self.heartbeats;
            self.usable_from = Seq::ZERO;
            self.names = Names::default();
        }
        for (seq, id) in &plan.names {
            self.names.push(*seq, *id);
        }
        // A removed POP's name is free for another process: who comes back has to be heard as the POP's one process first.
        if plan.changes_sides {
            self.lease.give_up();
        }
        let mut widened = 0;
        for (seq, rules) in &plan.rules {
            for rule in rules {
                let fitted = self.index.insert(rule, *seq);
                widened += usize::from(!fitted || !rule.understood);
            }
        }
        for (name, settings) in &plan.domains {
            match settings {
                Some(settings) => {
                    let domain = Domain { name: name.clone(), settings: settings.clone() };
                    self.domains.insert(name.clone(), Arc::new(domain));
                }
                None => {
                    self.domains.remove(name);
                }
            }
        }
        self.saved = plan.saved;
        self.lease.advanced(&self.names);
        widened
    }

    // ---- a request ----

    /// What a request reads first: lease, then watermark; object and index come after.
    pub fn view(&self, now: Now) -> View {
        View {
            leased: self.lease.holds(&now),
            seq: self.saved.watermark,
            epoch: self.saved.epoch,
            member: self.saved.member.is_some() && self.saved.watermark >= self.usable_from,
            dropped: self.saved.dropped,
            now,
        }
    }

    /// The domain of that (lower-case) name; to be read after the view, so that its settings are never older.
    pub fn domain(&self, name: &str) -> Option<Arc<Domain>> {
        self.domains.get(name).cloned()
    }

    /// Holds a copy, looked up after `view` was read, against the rules.
    ///
    /// `checked` is the copy's mark: no rule up to there matches it.
    pub fn judge(
        &self,
        view: &View,
        key: &Key,
        tags: &Tags,
        copy: &Provenance,
        checked: Seq,
        no_lease: NoLease,
    ) -> Verdict {
        if copy.epoch != self.saved.epoch || !view.member {
            return Verdict::Gone;
        }
        // A view of before this POP started over names places of another log: as a mark they would hide orders to come.
        let other_log = view.epoch != self.saved.epoch;
        if other_log || (checked < self.saved.dropped && view.dropped < self.saved.dropped) {
            return Verdict::Reread;
        }
        let mut purged = copy.expired;
        if checked < self.saved.watermark {
            let marks = self.index.marks(key, tags, checked);
            if marks.evict > copy.filled {
                return Verdict::Gone;
            }
            purged |= marks.expire > copy.confirmed;
        }
        let term = self.lease_term;
        match no_lease {
            // First: what it may not use without a lease it may not have confirmed either.
            NoLease::Refetch if !view.leased && !copy.delivered_within(term, &view.now) => Verdict::Gone,
            _ if purged => Verdict::Revalidate(Doubt::Purged),
            NoLease::Revalidate if !view.leased && !copy.confirmed_within(term, &view.now) => {
                Verdict::Revalidate(Doubt::NoLease)
            }
            NoLease::Revalidate | NoLease::Refetch | NoLease::Serve => Verdict::Usable,
        }
    }

    /// Whether a request may wait for a fill under way instead of asking upstream itself.
    ///
    /// `tags` are those of what the fill brings; [`Tags::unknown`] until its head is there, so that any tag may be meant.
    pub fn may_join(&self, view: &View, key: &Key, tags: &Tags, fill: &FillStart, no_lease: NoLease) -> bool {
        // Where only full fetches count, the bytes that a confirmation keeps may be older than any lease.
        let counts = no_lease != NoLease::Refetch || !fill.conditional;
        let young = || fill.source == Source::Origin && counts && view.now.since(&fill.at) < self.lease_term;
        view.member
            && self.may_store(fill)
            && self.index.marks(key, tags, fill.fill_seq()).newest() <= fill.fill_seq()
            && (view.leased || no_lease == NoLease::Serve || young())
    }

    /// Whether the outcome of a fill may be stored; to be asked in one piece with the storing.
    pub fn may_store(&self, fill: &FillStart) -> bool {
        self.saved.member.is_some() && fill.epoch == self.saved.epoch && fill.fill_seq() >= self.saved.floor
    }

    // ---- the sweep ----

    /// Up to where a sweep can retire rules now: what is applied, but no further than `oldest`, the lowest fill_seq of the
    /// fills that are still waited for. `None` where there is nothing to retire.
    pub fn sweep_target(&self, oldest: Option<Seq>) -> Option<Seq> {
        let target = self.saved.watermark.min(oldest.unwrap_or(self.saved.watermark));
        (!self.index.is_empty() && target > self.saved.dropped).then_some(target)
    }

    /// The state to make durable before the sweep begins: fills that started below `floor` are not stored any more, so
    /// that none of them can bring back what the sweep is about to delete.
    pub fn plan_floor(&self, floor: Seq) -> Saved {
        Saved { floor: self.saved.floor.max(floor.min(self.saved.watermark)), ..self.saved }
    }

    /// Publishes a durable floor.
    pub fn commit_floor(&mut self, saved: &Saved) {
        self.saved.floor = self.saved.floor.max(saved.floor);
    }

    /// The state to make durable once every copy that the rules up to the floor match is deleted or marked on disk.
    pub fn plan_drop(&self) -> Saved {
        Saved { dropped: self.saved.floor, ..self.saved }
    }

    /// Begins to drop the rules up to the durable `saved.dropped` from the index: [`Follower::drop_some`] does it. A rule that
    /// is there a little longer says of every copy what the sweep has done to it already.
    pub fn commit_drop(&mut self, saved: &Saved) {
        self.saved.dropped = self.saved.dropped.max(saved.dropped);
        self.index.begin_drop(self.saved.dropped);
    }

    /// Drops some of them; true where there are more.
    pub fn drop_some(&mut self) -> bool {
        self.index.drop_some()
    }

    /// How many places the rules of the index take.
    pub fn rules_live(&self) -> usize {
        self.index.len()
    }

    /// The newest rules that match an object's copy with these tags; see [`PurgeIndex::marks`].
    pub fn marks(&self, key: &Key, tags: &Tags, checked: Seq) -> Marks {
        self.index.marks(key, tags, checked)
    }

    // ---- heartbeats ----

    /// The heartbeat to send now. The caller sends it after this returns: the lease counts from `now`.
    pub fn heartbeat(&mut self, now: Now, prefetches: Vec<PrefetchReport>) -> Heartbeat {
        self.heartbeats += 1;
        self.lease.asked(self.heartbeats, now);
        Heartbeat {
            pop: self.identity.pop.clone(),
            data: self.identity.data,
            boot: self.identity.boot,
            boot_number: self.identity.boot_number,
            number: self.heartbeats,
            log: self.saved.log,
            watermark: self.saved.watermark,
            watermark_id: self.saved.watermark_id,
            peer_address: None,
            prefetches,
            traffic: Vec::new(),
            usage: None,
        }
    }

    /// Takes control's answer.
    pub fn answered(&mut self, answer: &Answer) -> Consequence {
        if answer.boot != self.identity.boot || answer.number <= self.void_up_to {
            return Consequence::Stray;
        }
        match &answer.standing {
            Standing::Confirmed { end, lease_ms, remembered, noted } => {
                self.lease_term = Duration::from_millis(*lease_ms);
                self.usable_from = self.usable_from.max(*remembered);
                self.lease.answered(answer.number, *end, self.lease_term, &self.names);
                Consequence::Noted(noted.clone())
            }
            Standing::ForeignLog | Standing::Gap => {
                self.lease.give_up();
                Consequence::StartOver
            }
            Standing::Refused { why } => {
                self.lease.give_up();
                Consequence::Refused(why.clone())
            }
        }
    }

    /// The follower's state as the journal holds it.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// What the orders applied last are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Who this POP is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How long a lease lasts, as control last said; before it said anything, the shortest there is.
    pub fn lease_term(&self) -> Duration {
        self.lease_term
    }

    /// The age of this POP's view of the log; `None` without any.
    pub fn view_age(&self, now: &Now) -> Option<Duration> {
        self.lease.view_age(now)
    }
}
