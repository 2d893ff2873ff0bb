//! The mutations that the simulation must notice within its budget: about one for each rule of the protocol, each in the
//! code that production runs, or where that leaves the order of things to who drives it, in the simulation's driver.
//!
//! Not here, since no invariant of a fleet can see it: that a fill replaces nothing younger (`Provenance::replaces`), since
//! rules are held against whatever is there; and that a 304 leaves the bytes their number, since whoever sends validators
//! has held the copy against the rules in the same view. Tests of the model and of the fleet guard both.

use super::table::Mutation;

const fn noticed(
    promise: &'static str,
    name: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
) -> Mutation {
    Mutation { name, promise, file, find, replace, package: "freshen-simulation", tests: "p1_to_p9" }
}

/// All of them; their names begin with `simulated`.
pub const SIMULATED: &[Mutation] = &[
    noticed(
        "P1",
        "simulated: joining any running fill",
        "crates/model/src/protocol/follower.rs",
        "&& self.index.marks(key, tags, fill.fill_seq()).newest() <= fill.fill_seq()",
        "",
    ),
    noticed(
        "P1",
        "simulated: storing what began below the floor",
        "crates/model/src/protocol/follower.rs",
        "&& fill.fill_seq() >= self.saved.floor",
        "",
    ),
    noticed(
        "P1",
        "simulated: rules dropped between look-up and judgement missed",
        "crates/model/src/protocol/follower.rs",
        "other_log || (checked < self.saved.dropped && view.dropped < self.saved.dropped)",
        "other_log",
    ),
    noticed(
        "P1",
        "simulated: a mark in the numbers of another log",
        "crates/model/src/protocol/follower.rs",
        "let other_log = view.epoch != self.saved.epoch;",
        "let other_log = false;",
    ),
    noticed(
        "P1",
        "simulated: an evict taken for an expire",
        "crates/model/src/protocol/marks.rs",
        "Mode::Evict => &mut self.evict,",
        "Mode::Evict => &mut self.expire,",
    ),
    noticed(
        "P1",
        "simulated: starting over voids nothing",
        "crates/model/src/protocol/follower.rs",
        "epoch: self.saved.epoch.next(),",
        "epoch: self.saved.epoch,",
    ),
    noticed(
        "P1",
        "simulated: the mark moves to the watermark of its moment",
        "crates/simulation/src/pop/requests.rs",
        "copy.mark(view.seq);",
        "copy.mark(process.follower.saved().watermark);",
    ),
    noticed(
        "P1",
        "simulated: rules dropped with copies left",
        "crates/simulation/src/pop/sweep.rs",
        "            if changed {\n",
        "            if false {\n",
    ),
    noticed(
        "P2",
        "simulated: confirmed before it is durable",
        "crates/simulation/src/disk.rs",
        "let Some(batch) = self.unsynced.pop_front() else { return };\n            self.durable.take(&batch);",
        "let Some(_) = self.unsynced.pop_front() else { return };",
    ),
    noticed(
        "P2",
        "simulated: numbers without names",
        "crates/model/src/protocol/roster.rs",
        "(_, Place::Order(id)) if id != beat.watermark_id => return Some(Standing::ForeignLog),",
        "",
    ),
    noticed(
        "P2",
        "simulated: any heartbeat confirms",
        "crates/model/src/protocol/completion.rs",
        "watermark >= self.seq && self.waiting.remove(pop)",
        "self.waiting.remove(pop)",
    ),
    noticed(
        "P2",
        "simulated: fenced without the drift of clocks",
        "crates/model/src/protocol/roster.rs",
        "lease + lease * DRIFT_PERCENT / 100",
        "lease + lease * DRIFT_PERCENT / 1_000",
    ),
    noticed(
        "P2",
        "simulated: fenced while it may believe in serving",
        "crates/model/src/protocol/completion.rs",
        "if place < fence.from {",
        "if false {",
    ),
    noticed(
        "P2",
        "simulated: removed POPs are not waited for",
        "crates/model/src/protocol/roster.rs",
        "if removed { purge } else",
        "if removed { false } else",
    ),
    noticed(
        "P2",
        "simulated: another folder speaks for a POP at once",
        "crates/model/src/protocol/roster.rs",
        "if silent >= fence_after(lease) {",
        "if silent >= Duration::ZERO {",
    ),
    noticed(
        "P2",
        "simulated: a lease outlasts a removal",
        "crates/model/src/protocol/follower.rs",
        "if plan.changes_sides {",
        "if plan.starts_over {",
    ),
    noticed(
        "P2",
        "simulated: a disk that went back is used",
        "crates/model/src/protocol/follower.rs",
        "self.saved.watermark >= self.usable_from",
        "self.saved.watermark >= Seq::ZERO",
    ),
    noticed(
        "P3",
        "simulated: an end that is not applied yet renews the lease",
        "crates/model/src/protocol/lease.rs",
        "&& proof.end.seq <= applied.newest()\n        {\n            self.proofs.pop_front();\n            let younger = self.view.is_none_or(|view| view.at.boot < proof.at.boot);\n            if younger && applied.at(proof.end.seq) == Some(proof.end.id) {",
        "{\n            self.proofs.pop_front();\n            let younger = self.view.is_none_or(|view| view.at.boot < proof.at.boot);\n            if younger && applied.at(proof.end.seq).is_none_or(|id| id == proof.end.id) {",
    ),
    noticed(
        "P3",
        "simulated: a lease that never ends",
        "crates/model/src/protocol/lease.rs",
        "now.since(&view.at) < view.term",
        "now.since(&view.at) >= Duration::ZERO",
    ),
    noticed(
        "P3",
        "simulated: a boot clock that stood still goes unnoticed",
        "crates/model/src/protocol/now.rs",
        "if wall > boot + WALL_LEAD_MAX { wall } else { boot }",
        "if wall > boot + WALL_LEAD_MAX { boot } else { boot }",
    ),
    noticed(
        "P3",
        "simulated: used without a lease",
        "crates/model/src/protocol/follower.rs",
        "NoLease::Revalidate if !view.leased && !copy.confirmed_within(term, &view.now) => {",
        "NoLease::Revalidate if false && !copy.confirmed_within(term, &view.now) => {",
    ),
    noticed(
        "P3",
        "simulated: confirmed without a lease where only full fetches count",
        "crates/model/src/protocol/follower.rs",
        "NoLease::Refetch if !view.leased && !copy.delivered_within(term, &view.now) => Verdict::Gone,",
        "NoLease::Refetch if !purged && !view.leased && !copy.delivered_within(term, &view.now) => Verdict::Gone,",
    ),
    noticed(
        "P3",
        "simulated: joining an old fill without a lease",
        "crates/model/src/protocol/follower.rs",
        "counts && view.now.since(&fill.at) < self.lease_term",
        "counts",
    ),
    noticed(
        "P3",
        "simulated: joining a confirmation where only full fetches count",
        "crates/model/src/protocol/follower.rs",
        "let counts = no_lease != NoLease::Refetch || !fill.conditional;",
        "let counts = no_lease != NoLease::Refetch || fill.conditional || !fill.conditional;",
    ),
    noticed(
        "P5",
        "simulated: a prefetch takes a copy from before the purge",
        "crates/model/src/protocol/follower.rs",
        "            if marks.evict > copy.filled {\n                return Verdict::Gone;\n            }\n",
        "",
    ),
    noticed(
        "P9",
        "simulated: a directory matches its siblings",
        "crates/model/src/protocol/places.rs",
        "(1..).zip(self.directories(name)).last()?",
        "(1..).zip(self.directories(name.trim_end_matches('/'))).last()?",
    ),
    noticed(
        "P9",
        "simulated: starting over at each heartbeat that is behind",
        "crates/model/src/protocol/roster.rs",
        "(_, Place::Pruned) => return Some(Standing::Gap),\n",
        "(_, Place::Pruned) => return Some(Standing::Gap),\n            (_, Place::Order(_)) if beat.watermark < self.watermark => return Some(Standing::Gap),\n",
    ),
    noticed(
        "liveness",
        "simulated: a proof of a log that went back stands in the way",
        "crates/model/src/protocol/lease.rs",
        "while self.proofs.back().is_some_and(|last| last.end.seq >= end.seq) {",
        "while self.proofs.back().is_some_and(|last| last.end.seq == end.seq) {",
    ),
];
