//! Completion: when a purge may be called complete.

use crate::ids::{PopId, Seq};
use std::collections::BTreeSet;
use std::time::Duration;

/// One purge order on its way to completion.
#[derive(Clone, Debug)]
pub struct Completion {
    seq: Seq,
    waiting: BTreeSet<PopId>,
    fenced_at: Option<Duration>,
}

impl Completion {
    /// An order that `scope` must confirm.
    ///
    /// `known_at` is when control learned that the append was acknowledged (its own start, for an order it finds after
    /// a restart), by its own steady clock; `fence_after` is `None` where a domain lets POPs serve without a lease, so
    /// that no clock keeps them from it. The fence counts from the append, not from a POP's last heartbeat: a POP heard
    /// long ago may have taken a lease that control never saw it take.
    pub fn new(
        seq: Seq,
        scope: impl IntoIterator<Item = PopId>,
        known_at: Duration,
        fence_after: Option<Duration>,
    ) -> Completion {
        Completion {
            seq,
            waiting: scope.into_iter().collect(),
            fenced_at: fence_after.map(|fence| known_at + fence),
        }
    }

    /// Takes in that `pop` has durably applied all up to `watermark`; true where that is news.
    pub fn confirmed(&mut self, pop: &PopId, watermark: Seq) -> bool {
        watermark >= self.seq && self.waiting.remove(pop)
    }

    /// Takes in that `pop` is a member no more and has nothing left to confirm; true where that is news.
    pub fn removed(&mut self, pop: &PopId) -> bool {
        self.waiting.remove(pop)
    }

    /// The POPs that are fenced as of `now`, each told once.
    pub fn fenced(&mut self, now: Duration) -> BTreeSet<PopId> {
        match self.fenced_at {
            Some(at) if now >= at => std::mem::take(&mut self.waiting),
            _ => BTreeSet::new(),
        }
    }

    /// When the POPs that still wait will be fenced.
    pub fn fence_due(&self) -> Option<Duration> {
        self.fenced_at.filter(|_| !self.waiting.is_empty())
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

    #[test]
    fn p2_complete_needs_every_pop() {
        let mut completion = Completion::new(Seq(7), [pop("a"), pop("b")], at(100), Some(at(11)));
        assert!(!completion.confirmed(&pop("a"), Seq(6)));
        assert!(completion.confirmed(&pop("a"), Seq(8)));
        assert!(!completion.confirmed(&pop("a"), Seq(9)), "told once");
        assert!(!completion.complete());
        assert!(completion.confirmed(&pop("b"), Seq(7)));
        assert!(completion.complete());
    }

    #[test]
    fn p2_the_fence_counts_from_the_append() {
        // The POP was last heard at 50; that gives it no earlier fence.
        let mut completion = Completion::new(Seq(7), [pop("a")], at(100), Some(at(11)));
        assert!(completion.fenced(at(110)).is_empty());
        assert!(!completion.complete());
        assert_eq!(completion.fenced(at(111)).len(), 1);
        assert!(completion.complete());
    }

    #[test]
    fn p3_a_domain_that_serves_without_lease_waits_for_the_confirmation() {
        let mut completion = Completion::new(Seq(7), [pop("a")], at(100), None);
        assert!(completion.fenced(at(1_000_000)).is_empty());
        assert!(!completion.complete());
        assert!(completion.removed(&pop("a")));
        assert!(completion.complete());
    }
}
