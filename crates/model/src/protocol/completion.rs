//! Completion: when a purge may be called complete.

use crate::ids::{PopId, Seq};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// By which terms a purge's POPs are fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Only POPs that are this far: one behind may still believe that a domain lets it serve without a lease, so that no
    /// clock keeps it from that.
    pub from: Seq,
    /// How long a POP's own clock may take to fence it.
    pub after: Duration,
}

/// One purge order on its way to completion.
#[derive(Clone, Debug)]
pub struct Completion {
    seq: Seq,
    known_at: Duration,
    fence: Option<Fence>,
    /// When each POP that has not confirmed is fenced; `None`: no clock fences it.
    waiting: BTreeMap<PopId, Option<Duration>>,
}

impl Completion {
    /// An order that the POPs of `scope` must confirm, each given with the place it is known to have reached.
    ///
    /// `known_at` is when control learned that the append was acknowledged (its own start, for an order it finds after
    /// a restart), by its own steady clock; `fence` is `None` where a domain lets POPs serve without a lease. The fence
    /// counts from the append, not from a POP's last heartbeat: a POP heard long ago may have taken a lease that control
    /// never saw it take.
    pub fn new(
        seq: Seq,
        scope: impl IntoIterator<Item = (PopId, Seq)>,
        known_at: Duration,
        fence: Option<Fence>,
    ) -> Completion {
        let mut completion = Completion { seq, known_at, fence, waiting: BTreeMap::new() };
        for (pop, place) in scope {
            completion.waiting.insert(pop.clone(), None);
            completion.reached(&pop, place, known_at);
        }
        completion
    }

    /// Takes in that `pop` has durably applied all up to `watermark`; true where that is news.
    pub fn confirmed(&mut self, pop: &PopId, watermark: Seq) -> bool {
        watermark >= self.seq && self.waiting.remove(pop).is_some()
    }

    /// Takes in, heard at `now`, that `pop` is at `place`, which may be behind where it was with another data folder.
    ///
    /// Who comes far enough only after the append is fenced counting from then: until just before it may have begun
    /// answers without a lease.
    pub fn reached(&mut self, pop: &PopId, place: Seq, now: Duration) {
        let (Some(due), Some(fence)) = (self.waiting.get_mut(pop), self.fence) else { return };
        if place < fence.from {
            *due = None;
        } else {
            due.get_or_insert(self.known_at.max(now) + fence.after);
        }
    }

    /// Takes in that `pop` is a member no more and has nothing left to confirm; true where that is news.
    pub fn removed(&mut self, pop: &PopId) -> bool {
        self.waiting.remove(pop).is_some()
    }

    /// The POPs that are fenced as of `now`, each told once.
    pub fn fenced(&mut self, now: Duration) -> BTreeSet<PopId> {
        let over = |due: &Option<Duration>| due.is_some_and(|at| now >= at);
        let fenced = self.waiting.extract_if(.., |_, due| over(due));
        fenced.map(|(pop, _)| pop).collect()
    }

    /// When the next POP that still waits will be fenced.
    pub fn fence_due(&self) -> Option<Duration> {
        self.waiting.values().flatten().min().copied()
    }

    /// When this POP, which still waits, will be fenced.
    pub fn fence_due_of(&self, pop: &PopId) -> Option<Duration> {
        self.waiting.get(pop).copied().flatten()
    }

    /// Whether how far a POP is decides if it is fenced.
    pub fn guarded(&self) -> bool {
        self.fence.is_some_and(|fence| fence.from > Seq::ZERO)
    }

    /// Whether every POP in scope has confirmed or is fenced.
    pub fn complete(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The order's place.
    pub fn seq(&self) -> Seq {
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pop(name: &str) -> PopId {
        name.parse().unwrap()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Order 7, known at 100, fenced 11 s later where a POP has reached `from`.
    fn completion<const N: usize>(scope: [(&str, u64); N], from: u64) -> Completion {
        let scope = scope.map(|(name, place)| (pop(name), Seq(place)));
        Completion::new(Seq(7), scope, at(100), Some(Fence { from: Seq(from), after: at(11) }))
    }

    #[test]
    fn p2_complete_needs_every_pop() {
        let mut completion = completion([("a", 0), ("b", 0)], 0);
        assert!(!completion.confirmed(&pop("a"), Seq(6)));
        assert!(completion.confirmed(&pop("a"), Seq(8)));
        assert!(!completion.confirmed(&pop("a"), Seq(9)), "told once");
        assert!(!completion.complete());
        assert!(completion.confirmed(&pop("b"), Seq(7)));
        assert!(completion.complete());
    }

    #[test]
    fn p2_the_fence_counts_from_the_append() {
        // The POP was last heard at 50; that gives it no earlier fence. Heard again, it gets no later one.
        let mut completion = completion([("a", 0)], 0);
        completion.reached(&pop("a"), Seq(6), at(105));
        assert!(completion.fenced(at(110)).is_empty());
        assert!(!completion.complete());
        assert_eq!(completion.fenced(at(111)).len(), 1);
        assert!(completion.complete());
    }

    #[test]
    fn p2_who_may_still_believe_serve_is_not_fenced() {
        let mut completion = completion([("knows", 5), ("believes", 4)], 5);
        assert_eq!(completion.fence_due_of(&pop("believes")), None);
        assert_eq!(completion.fenced(at(1_000_000)), [pop("knows")].into());
        assert!(!completion.complete());
        assert!(completion.confirmed(&pop("believes"), Seq(7)));
        assert!(completion.complete());
    }

    #[test]
    fn p2_who_learns_late_that_serve_ended_is_fenced_counting_from_then() {
        let mut completion = completion([("a", 4)], 5);
        completion.reached(&pop("a"), Seq(4), at(150));
        assert_eq!(completion.fence_due(), None);
        completion.reached(&pop("a"), Seq(5), at(200));
        completion.reached(&pop("a"), Seq(6), at(205));
        assert!(completion.fenced(at(210)).is_empty());
        assert_eq!(completion.fenced(at(211)).len(), 1);
    }

    #[test]
    fn p2_who_comes_back_with_an_older_folder_is_not_fenced() {
        let mut completion = completion([("a", 6)], 5);
        completion.reached(&pop("a"), Seq(3), at(105));
        assert!(completion.fenced(at(1_000_000)).is_empty());
        assert!(!completion.complete());
    }

    #[test]
    fn p3_a_domain_that_serves_without_lease_waits_for_the_confirmation() {
        let mut completion = Completion::new(Seq(7), [(pop("a"), Seq(6))], at(100), None);
        assert!(completion.fenced(at(1_000_000)).is_empty());
        assert!(!completion.complete());
        assert!(completion.removed(&pop("a")));
        assert!(completion.complete());
    }
}
