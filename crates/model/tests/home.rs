//! Two POPs of one log, of which one asks the other: who may answer, and what of it counts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use freshen_model::area::Area;
use freshen_model::domain::NoLease;
use freshen_model::ids::{BootId, DataId, LogId, OrderId, Seq};
use freshen_model::key::Key;
use freshen_model::order::{Body, End, Order, Snapshot};
use freshen_model::protocol::copy::{Doubt, Verdict};
use freshen_model::protocol::fill::Source;
use freshen_model::protocol::follower::{Follower, Identity, Saved};
use freshen_model::protocol::heartbeat::{Answer, Standing};
use freshen_model::protocol::home::{self, Admission, Ask, Names, NotHome};
use freshen_model::protocol::now::Now;
use freshen_model::rule::{Matcher, Mode, Rule};
use freshen_model::tag::Tags;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const LOG: LogId = LogId([1; 16]);

fn at(seconds: u64) -> Now {
    Now { boot: Duration::from_secs(seconds), wall: Duration::from_secs(1_000_000 + seconds) }
}

fn key() -> Key {
    Key::from_parts("a.example", "/a", None)
}

fn order_id(seq: u64, life: u8) -> OrderId {
    let mut id = [life; 16];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    OrderId(id)
}

/// A member that holds a lease of ten seconds from second 100 on, at order 1.
fn member(name: &str) -> Follower {
    let boot = BootId([3; 16]);
    let identity = Identity { pop: name.parse().unwrap(), data: DataId([2; 16]), boot, boot_number: 1 };
    let mut follower = Follower::restore(identity, Saved::default(), [], [], 1_000);
    let snapshot = Snapshot {
        log: LOG,
        seq: Seq(1),
        id: order_id(1, 0),
        domains: BTreeMap::new(),
        member: Some(Area::Domestic),
        prefetches: Vec::new(),
    };
    follower.commit(&follower.plan_snapshot(&snapshot));
    renew(&mut follower, at(100));
    follower
}

fn renew(follower: &mut Follower, now: Now) {
    let beat = follower.heartbeat(now, Vec::new());
    let end = End { seq: follower.saved().watermark, id: follower.saved().watermark_id };
    let standing = Standing::Confirmed { end, lease_ms: 10_000, remembered: Seq(0), noted: Vec::new() };
    follower.answered(&Answer { boot: beat.boot, number: beat.number, standing });
}

fn apply(follower: &mut Follower, body: Body, life: u8) {
    let seq = follower.saved().watermark.next();
    let plan = follower.plan(LOG, &[Order { seq, id: order_id(seq.0, life), body }]).unwrap();
    follower.commit(&plan);
}

fn purge(mode: Mode) -> Body {
    Body::Purge { task: None, rules: vec![Rule::new(Matcher::Url { key: key() }, mode)], cut: false }
}

fn refused(admission: Admission) -> Option<NotHome> {
    match admission {
        Admission::Refused(why) => Some(why),
        _ => None,
    }
}

#[test]
fn p1_a_home_that_is_behind_does_not_answer() {
    let (mut asker, mut home) = (member("b"), member("a"));
    apply(&mut asker, purge(Mode::Evict), 0);
    let ask = asker.ask(at(101)).unwrap();
    assert_eq!(home.admit(&ask, at(101)), Admission::Behind);
    assert_eq!(ask.checked_in(&home.view(at(101))), None);
    apply(&mut home, purge(Mode::Evict), 0);
    assert!(matches!(home.admit(&ask, at(101)), Admission::Admitted(_)));
    assert_eq!(ask.checked_in(&home.view(at(101))), Some(Seq(2)));
}

#[test]
fn p3_without_a_lease_nobody_asks_and_nobody_answers() {
    let (asker, mut home) = (member("b"), member("a"));
    let ask = asker.ask(at(109)).unwrap();
    assert_eq!(asker.ask(at(110)), None);
    assert_eq!(refused(home.admit(&ask, at(110))), Some(NotHome::NoLease));
    assert_eq!(ask.checked_in(&home.view(at(110))), None);
    apply(&mut home, Body::Leave { pop: "a".parse().unwrap() }, 0);
    renew(&mut home, at(110));
    assert_eq!(refused(home.admit(&ask, at(110))), Some(NotHome::NoMember));
}

/// After a restored backup the numbers are used again.
#[test]
fn p1_a_home_of_another_life_of_the_log_does_not_answer() {
    let (mut asker, mut home) = (member("b"), member("a"));
    for life in [1, 1, 1] {
        apply(&mut home, Body::Tick, life);
    }
    apply(&mut asker, purge(Mode::Evict), 2);
    let ask = asker.ask(at(101)).unwrap();
    assert_eq!(refused(home.admit(&ask, at(101))), Some(NotHome::OtherLog));
    let foreign = Ask { log: LogId([9; 16]), ..ask };
    assert_eq!(refused(home.admit(&foreign, at(101))), Some(NotHome::OtherLog));
}

#[test]
fn what_a_home_has_forgotten_it_does_not_vouch_for() {
    let (asker, mut home) = (member("b"), member("a"));
    let ask = asker.ask(at(101)).unwrap();
    for _ in 0..4_096 {
        assert!(matches!(home.admit(&ask, at(101)), Admission::Admitted(_)));
        apply(&mut home, Body::Tick, 0);
    }
    assert_eq!(refused(home.admit(&ask, at(101))), Some(NotHome::OutOfSight));
}

#[test]
fn p1_an_answer_from_behind_the_asker_is_no_answer() {
    let mut asker = member("b");
    let start = asker.view(at(101)).start_fill(Source::Origin);
    apply(&mut asker, purge(Mode::Expire), 0);
    let ask = asker.ask(at(101)).unwrap();
    assert_eq!(ask.accept(&start, Seq(1)), None, "checked before the purge that the asker knows of");
    let fill = ask.accept(&start, Seq(7)).unwrap();
    assert_eq!(fill.fill_seq(), Seq(1), "no more than the asker knew when it began");
    let copy = fill.delivered();
    assert_eq!(
        asker.judge(&asker.view(at(102)), &key(), &Tags::default(), &copy, copy.filled, NoLease::Revalidate),
        Verdict::Revalidate(freshen_model::protocol::copy::Doubt::Purged)
    );
}

#[test]
fn p3_what_a_pop_delivered_or_confirmed_is_not_used_without_a_lease() {
    let asker = member("b");
    let ask = asker.ask(at(109)).unwrap();
    let start = ask.accept(&asker.view(at(109)).start_fill(Source::Origin), Seq(1)).unwrap();
    let from_origin = asker.view(at(101)).start_fill(Source::Origin).delivered();
    for copy in [start.delivered(), start.confirmed(&from_origin)] {
        assert_eq!((copy.confirmed_at, copy.filled), (None, Seq(1)));
        let judged = |seconds| {
            let view = asker.view(at(seconds));
            asker.judge(&view, &key(), &Tags::default(), &copy, copy.filled, NoLease::Revalidate)
        };
        assert_eq!(judged(109), Verdict::Usable);
        assert!(matches!(judged(110), Verdict::Revalidate(_)));
        assert!(copy.replaces(&from_origin), "asked for later, and nothing came in between");
    }
    let view = asker.view(at(111));
    assert!(!asker.may_join(&view, &key(), &Tags::default(), &start, NoLease::Revalidate));
}

#[test]
fn an_askers_request_joins_only_fills_that_are_nearer_to_the_origin() {
    let home = member("a");
    let view = home.view(at(101));
    let waits = view.start_fill(Source::Pop { checked: view.seq, level: 3 });
    assert!(
        home.may_join(&view, &key(), &Tags::default(), &waits, NoLease::Revalidate),
        "its own viewers may"
    );
    let joins = |fill, asker| home.may_join_for_peer(&view, &key(), &Tags::default(), &fill, asker);
    assert!(joins(waits, 4) && !joins(waits, 3) && !joins(waits, 1));
    let asks_origin = view.start_fill(Source::Origin);
    assert!(joins(asks_origin, 1) && !joins(asks_origin, 0));
    let accepted =
        Ask { watermark: view.seq, ..home.ask(at(101)).unwrap() }.accept(&waits, view.seq).unwrap();
    assert!(!joins(accepted, 3), "what has come from another POP keeps its level");
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Order(Option<Mode>),
    AskerApplies,
    HomeApplies,
    HomeFills,
    Asks,
}

fn happens() -> impl Strategy<Value = Happens> {
    let modes = prop_oneof![Just(None), Just(Some(Mode::Evict)), Just(Some(Mode::Expire))];
    prop_oneof![
        modes.prop_map(Happens::Order),
        Just(Happens::AskerApplies),
        Just(Happens::HomeApplies),
        Just(Happens::HomeFills),
        Just(Happens::Asks),
    ]
}

proptest! {
    /// Whatever the two have applied of the log: what the asker uses of the home's left the origin after every purge that
    /// the asker had applied.
    #[test]
    fn p1_no_older_bytes_come_by_way_of_a_home(script in proptest::collection::vec(happens(), 1..60)) {
        let (mut asker, mut home) = (member("b"), member("a"));
        let mut log: Vec<Body> = vec![Body::Tick, Body::Tick];
        let mut copy = None;
        for step in script {
            match step {
                Happens::Order(mode) => log.push(mode.map_or(Body::Tick, purge)),
                Happens::AskerApplies | Happens::HomeApplies => {
                    let follower = if matches!(step, Happens::AskerApplies) { &mut asker } else { &mut home };
                    let next = follower.saved().watermark.next().0 as usize;
                    if let Some(body) = log.get(next) {
                        apply(follower, body.clone(), 0);
                    }
                }
                // How long the log was when the bytes left the origin.
                Happens::HomeFills => {
                    copy = Some((home.view(at(101)).start_fill(Source::Origin).delivered(), log.len()));
                }
                Happens::Asks => {
                    let (Some((copy, left)), Some(ask)) = (&copy, asker.ask(at(101))) else { continue };
                    let start = asker.view(at(101)).start_fill(Source::Origin);
                    let Admission::Admitted(view) = home.admit(&ask, at(101)) else { continue };
                    let verdict = home.judge(&view, &key(), &Tags::default(), copy, copy.filled, NoLease::Revalidate);
                    let fill = ask.checked_in(&view).and_then(|checked| ask.accept(&start, checked));
                    let (Verdict::Usable, Some(fill)) = (verdict, fill) else { continue };
                    let applied = asker.saved().watermark.0 as usize;
                    let purges = log[..=applied].iter().rposition(|body| !matches!(body, Body::Tick));
                    prop_assert!(purges.is_none_or(|purge| purge < *left));
                    let taken = fill.delivered();
                    let judged = asker.judge(&start_view(&asker), &key(), &Tags::default(), &taken, taken.filled, NoLease::Revalidate);
                    prop_assert_eq!(judged, Verdict::Usable);
                }
            }
        }
    }

    #[test]
    fn names_are_those_of_the_orders(steps in proptest::collection::vec(0..3u64, 1..200)) {
        let (mut names, mut newest, mut known) = (Names::beginning_with(Seq(5), order_id(5, 0)), 5, 5);
        for step in steps {
            // Now and then the log goes on elsewhere.
            newest += if step == 0 { 2 } else { 1 };
            if step == 0 {
                known = newest;
            }
            names.push(Seq(newest), order_id(newest, 0));
            for seq in 0..newest + 3 {
                let there = (known..=newest).contains(&seq).then(|| order_id(seq, 0));
                prop_assert_eq!(names.at(Seq(seq)), there);
            }
        }
    }
}

fn start_view(follower: &Follower) -> freshen_model::protocol::follower::View {
    follower.view(at(101))
}

#[test]
fn p1_a_home_confirms_nothing_that_a_tag_may_have_purged() {
    let (none, red) = (Tags::default(), Tags::of(["red"]));
    assert!(home::may_confirm(None, &red), "it is only too old");
    assert!(home::may_confirm(Some(Doubt::Purged), &none), "the rule matches the home's copy as well");
    assert!(!home::may_confirm(Some(Doubt::Purged), &red));
    assert!(!home::may_confirm(Some(Doubt::Purged), &Tags::unknown()));
}
