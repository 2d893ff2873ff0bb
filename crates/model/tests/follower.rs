//! A POP's follower in conversation with its log: what it lets be used, joined and stored.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use freshen_model::area::Area;
use freshen_model::domain::{NoLease, QueryPolicy, Settings};
use freshen_model::ids::{BootId, DataId, LogId, OrderId, PopId, Seq, TaskId};
use freshen_model::key::Key;
use freshen_model::order::{Body, End, Order, PrefetchItem, Snapshot, Steer};
use freshen_model::protocol::copy::{Doubt, Provenance, Verdict};
use freshen_model::protocol::fill::{FillStart, Source};
use freshen_model::protocol::follower::{Consequence, Follower, Identity, Misfit, Plan, Saved, View};
use freshen_model::protocol::heartbeat::{Answer, Standing};
use freshen_model::protocol::now::Now;
use freshen_model::rule::{Matcher, Mode, Rule};
use freshen_model::tag::Tags;
use freshen_model::variants::Variants;
use std::collections::BTreeMap;
use std::time::Duration;

const LOG: LogId = LogId([1; 16]);
const BOOT: BootId = BootId([3; 16]);

fn pop() -> PopId {
    "pop-asia".parse().unwrap()
}

fn identity() -> Identity {
    Identity { pop: pop(), data: DataId([2; 16]), boot: BOOT, boot_number: 1 }
}

fn key(path: &str) -> Key {
    Key::from_parts("a.example", path, None)
}

fn at(seconds: u64) -> Now {
    Now { boot: Duration::from_secs(seconds), wall: Duration::from_secs(1_000_000 + seconds) }
}

fn settings(port: u16) -> Settings {
    Settings::of_origin(format!("http://origin:{port}").parse().unwrap())
}

/// A follower at the log's beginning, with the means to make it hear things.
struct Pop {
    follower: Follower,
    clock: Now,
    /// Those of every copy.
    tags: Tags,
}

impl Pop {
    /// A member, with the domain a.example, that holds a lease of ten seconds from second 100 on.
    fn member() -> Pop {
        let follower = Follower::restore(identity(), Saved::default(), [], [], 1_000);
        let mut pop = Pop { follower, clock: at(100), tags: Tags::default() };
        let plan = pop.follower.plan_snapshot(&Snapshot {
            log: LOG,
            seq: Seq(1),
            id: id(1),
            domains: BTreeMap::from([("a.example".to_owned(), settings(1))]),
            member: Some(Area::Domestic),
            prefetches: Vec::new(),
        });
        pop.follower.commit(&plan);
        pop.renew();
        pop
    }

    fn renew(&mut self) {
        let beat = self.follower.heartbeat(self.clock, Vec::new());
        let end = self.follower.saved().watermark;
        assert_eq!(self.answer(beat.number, end, Seq(0)), Consequence::Noted(Vec::new()));
    }

    fn answer(&mut self, number: u64, end: Seq, remembered: Seq) -> Consequence {
        let end = End { seq: end, id: id(end.0 as u8) };
        let standing = Standing::Confirmed { end, lease_ms: 10_000, remembered, noted: Vec::new() };
        self.follower.answered(&Answer { boot: BOOT, number, standing })
    }

    fn apply(&mut self, body: Body) -> Plan {
        let seq = self.follower.saved().watermark.next();
        let plan = self.follower.plan(LOG, &[Order { seq, id: id(seq.0 as u8), body }]).unwrap();
        self.follower.commit(&plan);
        plan
    }

    fn purge(&mut self, path: &str, mode: Mode) {
        let matcher = match path.ends_with('/') {
            true => Matcher::Directory { key: key(path) },
            false => Matcher::Url { key: key(path) },
        };
        self.apply(Body::Purge { task: None, rules: vec![Rule::new(matcher, mode)], cut: false });
    }

    fn view(&self) -> View {
        self.follower.view(self.clock)
    }

    fn start_fill(&self) -> FillStart {
        self.view().start_fill(Source::Origin)
    }

    fn judge(&self, path: &str, copy: &Provenance) -> Verdict {
        self.judge_as(path, copy, NoLease::Revalidate)
    }

    fn judge_as(&self, path: &str, copy: &Provenance, no_lease: NoLease) -> Verdict {
        let checked = copy.filled.min(copy.confirmed);
        self.follower.judge(&self.view(), &key(path), &self.tags, copy, checked, no_lease)
    }

    fn may_join(&self, path: &str, fill: &FillStart) -> bool {
        self.may_join_tagged(path, &self.tags, fill)
    }

    fn may_join_tagged(&self, path: &str, tags: &Tags, fill: &FillStart) -> bool {
        self.follower.may_join(&self.view(), &key(path), tags, fill, NoLease::Revalidate)
    }
}

fn id(byte: u8) -> OrderId {
    OrderId([byte; 16])
}

#[test]
fn p1_a_purge_takes_effect_on_copies_fills_and_joins() {
    let mut pop = Pop::member();
    let fill = pop.start_fill();
    let copy = fill.delivered();
    assert_eq!(pop.judge("/a", &copy), Verdict::Usable);
    assert!(pop.may_join("/a", &fill));
    pop.purge("/a", Mode::Evict);
    assert_eq!(pop.judge("/a", &copy), Verdict::Gone);
    assert!(!pop.may_join("/a", &fill));
    assert_eq!(pop.judge("/b", &copy), Verdict::Usable);
    assert!(pop.may_join("/b", &fill));
    assert_eq!(pop.judge("/a", &pop.start_fill().delivered()), Verdict::Usable);
}

/// Whether it has the tag is not known before its head is there, so that it is not waited for.
#[test]
fn p1_a_fill_whose_tags_are_not_known_is_not_joined_after_a_purge_by_tag() {
    let mut pop = Pop::member();
    let fill = pop.start_fill();
    let (ours, others) = (Tags::of(["t"]), Tags::of(["u"]));
    assert!(pop.may_join_tagged("/a", &Tags::unknown(), &fill));
    let matcher = Matcher::Tag { space: "a.example".into(), tag: "t".into() };
    pop.apply(Body::Purge { task: None, rules: vec![Rule::new(matcher, Mode::Expire)], cut: false });
    assert!(!pop.may_join_tagged("/a", &Tags::unknown(), &fill));
    assert!(!pop.may_join_tagged("/a", &ours, &fill));
    assert!(pop.may_join_tagged("/a", &others, &fill));
    assert!(pop.may_join_tagged("/a", &Tags::unknown(), &pop.start_fill()));
    for (tags, verdict) in [(others, Verdict::Usable), (ours, Verdict::Revalidate(Doubt::Purged))] {
        pop.tags = tags;
        assert_eq!(pop.judge("/a", &fill.delivered()), verdict);
    }
}

#[test]
fn p1_a_304_counts_from_the_request_it_answers() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    let asked_before = pop.start_fill();
    pop.purge("/d/", Mode::Expire);
    assert_eq!(pop.judge("/d/a", &copy), Verdict::Revalidate(Doubt::Purged));
    assert_eq!(pop.judge("/d/a", &asked_before.confirmed(&copy)), Verdict::Revalidate(Doubt::Purged));
    assert_eq!(pop.judge("/d/a", &pop.start_fill().confirmed(&copy)), Verdict::Usable);
}

#[test]
fn p1_no_304_revives_what_an_evict_forbade() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    pop.purge("/d/", Mode::Evict);
    pop.purge("/d/", Mode::Expire);
    assert_eq!(pop.judge("/d/a", &copy), Verdict::Gone);
    assert_eq!(pop.judge("/d/a", &pop.start_fill().confirmed(&copy)), Verdict::Gone);
}

#[test]
fn p1_behind_the_floor_nothing_is_joined_or_stored() {
    let mut pop = Pop::member();
    let slow = pop.start_fill();
    pop.purge("/a", Mode::Evict);
    let young = pop.start_fill();
    let floor = pop.follower.plan_floor(pop.follower.saved().watermark);
    pop.follower.commit_floor(&floor);
    assert!(!pop.follower.may_store(&slow));
    assert!(!pop.may_join("/b", &slow));
    assert!(pop.follower.may_store(&young));
    let dropped = pop.follower.plan_drop();
    pop.follower.commit_drop(&dropped);
    while pop.follower.drop_some() {}
    assert_eq!(pop.follower.sweep_target(None), None);
    assert!(!pop.follower.may_store(&slow));
}

/// The copy was looked up, then the sweep deleted it and dropped the rule, then the copy is held against the index.
#[test]
fn p1_rules_dropped_between_look_up_and_judgement_are_not_missed() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    pop.purge("/a", Mode::Evict);
    let view = pop.view();
    let floor = pop.follower.plan_floor(pop.follower.saved().watermark);
    pop.follower.commit_floor(&floor);
    let dropped = pop.follower.plan_drop();
    pop.follower.commit_drop(&dropped);
    while pop.follower.drop_some() {}
    let judged = |view: &View| {
        pop.follower.judge(view, &key("/a"), &pop.tags, &copy, copy.filled, NoLease::Revalidate)
    };
    assert_eq!(judged(&view), Verdict::Reread);
    // A view from after the drop goes with a copy that was read after it, so the sweep has seen that one.
    assert_eq!(judged(&pop.view()), Verdict::Usable);
}

#[test]
fn p1_a_change_of_origin_evicts_the_space_and_other_changes_do_not() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    let domain = |settings| Body::Domain { name: "a.example".into(), settings: Some(Box::new(settings)) };
    pop.apply(domain(Settings { default_ttl_s: Some(60), ..settings(1) }));
    assert_eq!(pop.judge("/a", &copy), Verdict::Usable);
    pop.apply(domain(settings(2)));
    assert_eq!(pop.judge("/a", &copy), Verdict::Gone);
    let copy = pop.start_fill().delivered();
    pop.apply(domain(Settings { query: QueryPolicy::Ignore, ..settings(2) }));
    assert_eq!(pop.judge("/a", &copy), Verdict::Gone);
}

#[test]
fn p9_a_space_that_another_domain_shares_outlives_the_removal_of_one() {
    let mut pop = Pop::member();
    let shared = Settings { share_cache: Some("a.example".into()), ..settings(1) };
    pop.apply(Body::Domain { name: "b.example".into(), settings: Some(Box::new(shared)) });
    let copy = pop.start_fill().delivered();
    pop.apply(Body::Domain { name: "b.example".into(), settings: None });
    assert_eq!(pop.judge("/a", &copy), Verdict::Usable);
    pop.apply(Body::Domain { name: "a.example".into(), settings: None });
    assert_eq!(pop.judge("/a", &copy), Verdict::Gone);
}

#[test]
fn p1_orders_out_of_order_or_of_another_log_are_not_applied() {
    let pop = Pop::member();
    let order = |seq| Order { seq: Seq(seq), id: id(9), body: Body::Tick };
    let found = pop.follower.plan(LOG, &[order(3)]);
    assert_eq!(found, Err(Misfit::OutOfOrder { found: Seq(3), wanted: Seq(2) }));
    assert_eq!(pop.follower.plan(LogId([9; 16]), &[order(2)]), Err(Misfit::OtherLog));
}

#[test]
fn p1_an_order_that_is_not_understood_purges_everything() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    pop.apply(Body::Unknown);
    assert_eq!(pop.judge("/a", &copy), Verdict::Gone);
}

#[test]
fn p1_a_snapshot_voids_all_that_was_held_before() {
    let mut pop = Pop::member();
    let fill = pop.start_fill();
    let copy = fill.delivered();
    let snapshot = Snapshot {
        log: LogId([9; 16]),
        seq: Seq(0),
        id: OrderId::default(),
        domains: BTreeMap::from([("a.example".to_owned(), settings(1))]),
        member: Some(Area::Domestic),
        prefetches: Vec::new(),
    };
    let plan = pop.follower.plan_snapshot(&snapshot);
    pop.follower.commit(&plan);
    pop.renew();
    assert_eq!(pop.judge("/a", &copy), Verdict::Gone, "its numbers are of another log");
    assert!(!pop.follower.may_store(&fill));
    assert!(!pop.view().settles(&copy, Seq(100)));
}

#[test]
fn p1_a_pop_that_is_no_member_uses_and_stores_nothing() {
    let mut pop = Pop::member();
    let fill = pop.start_fill();
    pop.apply(Body::Leave { pop: pop_id_other() });
    assert!(pop.view().member);
    pop.apply(Body::Leave { pop: self::pop() });
    assert!(!pop.view().member);
    assert!(!pop.follower.may_store(&fill));
    assert_eq!(pop.judge("/a", &fill.delivered()), Verdict::Gone);
    pop.apply(Body::Join { pop: self::pop(), area: Area::Overseas, region: "r".into() });
    assert!(pop.view().member);
}

fn pop_id_other() -> PopId {
    "pop-europe".parse().unwrap()
}

#[test]
fn p3_without_a_lease_only_what_the_origin_lately_said_is_used() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    pop.clock = at(109);
    let late = pop.start_fill();
    pop.clock = at(111);
    assert!(!pop.view().leased);
    assert_eq!(pop.judge("/a", &copy), Verdict::Revalidate(Doubt::NoLease));
    let confirmed = late.confirmed(&copy);
    assert_eq!(pop.judge("/a", &confirmed), Verdict::Usable);
    assert_eq!(pop.judge_as("/a", &confirmed, NoLease::Refetch), Verdict::Gone, "no 304 counts");
    assert_eq!(pop.judge_as("/a", &late.delivered(), NoLease::Refetch), Verdict::Usable);
    assert_eq!(pop.judge_as("/a", &copy, NoLease::Serve), Verdict::Usable);
    assert!(pop.may_join("/a", &late));
    pop.clock = at(119);
    assert!(!pop.may_join("/a", &late), "it began a lease time ago");
    assert_eq!(pop.judge("/a", &confirmed), Verdict::Revalidate(Doubt::NoLease));
}

#[test]
fn p3_another_pops_copy_never_counts_as_the_origins_word() {
    let mut pop = Pop::member();
    let fill = pop.view().start_fill(Source::Pop { checked: Seq(0), level: 1 });
    assert_eq!(fill.fill_seq(), Seq(0), "the smaller of both watermarks");
    pop.clock = at(111);
    assert_eq!(pop.judge("/a", &fill.delivered()), Verdict::Revalidate(Doubt::NoLease));
    assert!(!pop.may_join("/a", &fill));
}

#[test]
fn p1_a_disk_that_was_rolled_back_is_not_used_until_caught_up() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    let beat = pop.follower.heartbeat(pop.clock, Vec::new());
    pop.answer(beat.number, Seq(1), Seq(3));
    assert!(!pop.view().member);
    assert_eq!(pop.judge_as("/a", &copy, NoLease::Serve), Verdict::Gone);
    pop.apply(Body::Tick);
    assert!(!pop.view().member);
    pop.apply(Body::Tick);
    assert!(pop.view().member);
}

#[test]
fn answers_to_another_boot_or_refusals_end_the_lease_or_say_nothing() {
    let mut pop = Pop::member();
    let beat = pop.follower.heartbeat(pop.clock, Vec::new());
    let stray = Answer { boot: BootId([8; 16]), number: beat.number, standing: Standing::Gap };
    assert_eq!(pop.follower.answered(&stray), Consequence::Stray);
    assert!(pop.view().leased);
    let foreign = Answer { boot: BOOT, number: beat.number, standing: Standing::ForeignLog };
    assert_eq!(pop.follower.answered(&foreign), Consequence::StartOver);
    assert!(!pop.view().leased);
}

#[test]
fn a_prefetch_is_for_the_pops_of_its_area() {
    let mut pop = Pop::member();
    let prefetch = |area| {
        let items = vec![PrefetchItem { domain: "a.example".into(), path_and_query: "/a".into() }];
        let (follow, refill, pops, headers) = (None, None, None, Variants::default());
        Body::Prefetch { task: TaskId(1), area, items, follow, refill, pops, headers, paused: false }
    };
    assert_eq!(pop.apply(prefetch(None)).prefetches.len(), 1);
    assert_eq!(pop.apply(prefetch(Some(Area::Domestic))).prefetches.len(), 1);
    assert_eq!(pop.apply(prefetch(Some(Area::Overseas))).prefetches.len(), 0);
    for (name, mine) in [(pop.follower.identity().pop.as_str().to_owned(), 1), ("another".into(), 0)] {
        let Body::Prefetch { task, area, items, follow, refill, headers, .. } = prefetch(None) else {
            panic!()
        };
        let pops = Some([name.parse().unwrap()].into());
        let chosen = Body::Prefetch { task, area, items, follow, refill, pops, headers, paused: false };
        assert_eq!(pop.apply(chosen).prefetches.len(), mine);
    }
}

/// Told in one batch with the prefetch it means, or behind it.
#[test]
fn a_prefetch_goes_on_as_it_is_steered() {
    let pop = Pop::member();
    let first = pop.follower.saved().watermark.next();
    let prefetch = Body::Prefetch {
        task: TaskId(1),
        area: None,
        items: Vec::new(),
        follow: None,
        refill: None,
        pops: None,
        headers: Variants::default(),
        paused: false,
    };
    let steer = |prefetch, steer| Body::Steer { prefetch, steer };
    let planned = |bodies: &[Body]| {
        let mut seq = first;
        let orders = bodies.iter().map(|body| {
            let order = Order { seq, id: id(7), body: body.clone() };
            seq = seq.next();
            order
        });
        let orders: Vec<Order> = orders.collect();
        let plan = pop.follower.plan(pop.follower.saved().log.unwrap(), &orders).unwrap();
        (plan.prefetches.iter().map(|(_, order)| order.paused).collect::<Vec<_>>(), plan.steers)
    };
    let before = Seq(first.0 - 1);
    let other = (vec![false], vec![(before, Steer::Pause)]);
    assert_eq!(planned(&[prefetch.clone(), steer(before, Steer::Pause)]), other);
    assert_eq!(planned(&[prefetch.clone(), steer(first, Steer::Pause)]), (vec![true], vec![]));
    let and_back = [prefetch.clone(), steer(first, Steer::Pause), steer(first, Steer::Resume)];
    assert_eq!(planned(&and_back), (vec![false], vec![]));
    assert_eq!(planned(&[prefetch, steer(first, Steer::Cancel)]), (vec![], vec![]));
}

#[test]
fn p1_what_a_plan_says_is_what_a_restart_finds() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    let rules = vec![Rule::new(Matcher::Url { key: key("/a") }, Mode::Evict)];
    let plan = pop.apply(Body::Purge { task: None, rules, cut: false });
    let mut again =
        Follower::restore(identity(), plan.saved, plan.rules, [("a.example".into(), settings(1))], 1_000);
    let beat = again.heartbeat(pop.clock, Vec::new());
    assert_eq!(beat.watermark, Seq(2));
    assert!(!again.view(pop.clock).leased, "no lease survives a restart");
    let view = again.view(pop.clock);
    let verdict = again.judge(&view, &key("/a"), &pop.tags, &copy, copy.filled, NoLease::Serve);
    assert_eq!(verdict, Verdict::Gone);
}

#[test]
fn p1_an_answer_to_what_was_given_up_says_nothing() {
    let mut pop = Pop::member();
    let late = pop.follower.heartbeat(pop.clock, Vec::new()).number;
    let snapshot = Snapshot {
        log: LogId([7; 16]),
        seq: Seq(1),
        id: id(1),
        domains: BTreeMap::new(),
        member: Some(Area::Domestic),
        prefetches: Vec::new(),
    };
    let plan = pop.follower.plan_snapshot(&snapshot);
    pop.follower.commit(&plan);
    let void = Answer { boot: BOOT, number: late, standing: Standing::ForeignLog };
    assert_eq!(pop.follower.answered(&void), Consequence::Stray);
    assert_eq!(pop.answer(late, Seq(1), Seq(9)), Consequence::Stray);
    assert!(!pop.view().leased);
    pop.renew();
    assert!(pop.view().leased);
}

#[test]
fn p1_a_view_of_another_log_marks_nothing() {
    let mut pop = Pop::member();
    pop.purge("/other", Mode::Evict);
    let before = pop.view();
    let plan = pop.follower.plan_snapshot(&Snapshot {
        log: LOG,
        seq: Seq(1),
        id: id(9),
        domains: BTreeMap::new(),
        member: Some(Area::Domestic),
        prefetches: Vec::new(),
    });
    pop.follower.commit(&plan);
    let copy = pop.start_fill().delivered();
    let judged =
        pop.follower.judge(&before, &key("/a"), &Tags::default(), &copy, copy.mark(), NoLease::Revalidate);
    assert_eq!(judged, Verdict::Reread);
}

#[test]
fn p3_where_only_full_fetches_count_no_confirmation_does() {
    let mut pop = Pop::member();
    let copy = pop.start_fill().delivered();
    pop.purge("/a", Mode::Expire);
    pop.clock = at(111);
    assert_eq!(pop.judge_as("/a", &copy, NoLease::Refetch), Verdict::Gone);
    let (full, confirms) = (pop.start_fill(), pop.start_fill().with_validators());
    let joins =
        |fill, no_lease| pop.follower.may_join(&pop.view(), &key("/a"), &Tags::default(), fill, no_lease);
    assert!(joins(&full, NoLease::Refetch));
    assert!(joins(&confirms, NoLease::Revalidate));
    assert!(!joins(&confirms, NoLease::Refetch));
}

#[test]
fn p2_who_was_removed_and_comes_back_has_no_lease() {
    let mut pop = Pop::member();
    pop.apply(Body::Leave { pop: self::pop() });
    pop.renew();
    assert!(pop.view().leased && !pop.view().member);
    pop.apply(Body::Join { pop: self::pop(), area: Area::Domestic, region: "here".into() });
    assert!(pop.view().member && !pop.view().leased);
    pop.renew();
    assert!(pop.view().leased);
}
