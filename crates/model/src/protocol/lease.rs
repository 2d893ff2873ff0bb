//! The lease: a POP's right to use any copy, as long as its view of the log is young enough.
//!
//! The POP sent a heartbeat at *x*; the answer named the log's end. Once the POP has applied all up to that end it knows
//! that at *x* nothing was in the log which it has not applied. Its view is the youngest such *x*. Counting from the
//! receipt of the answer instead would let a slow answer stretch the lease past the moment at which control may call
//! the POP fenced. The end is compared by its name, too: where control came back from a backup, orders of the log that
//! is lost may still arrive and take the places of others.

use super::home::Names;
use super::now::Now;
use crate::order::End;
use std::collections::VecDeque;
use std::time::Duration;

/// The shortest lease time that an installation may choose; what a POP reckons with before it was told.
pub const TERM_MIN: Duration = Duration::from_secs(1);

/// Proofs kept while the POP catches up; more are dropped, which can only shorten a lease.
const PROOFS_MAX: usize = 64;
/// Heartbeats that may wait for their answers.
const ASKED_MAX: usize = 16;

/// The state of one POP's lease.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    asked: VecDeque<(u64, Now)>,
    /// Oldest first, and later ones name later ends.
    proofs: VecDeque<Proof>,
    view: Option<Proof>,
}

#[derive(Clone, Copy, Debug)]
struct Proof {
    at: Now,
    end: End,
    term: Duration,
}

impl Lease {
    /// Notes that heartbeat `number` is sent now.
    pub fn asked(&mut self, number: u64, now: Now) {
        if self.asked.len() == ASKED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back((number, now));
    }

    /// Takes the answer to heartbeat `number`: the log ended at `end`, and a lease lasts `term`.
    ///
    /// An answer to a heartbeat that is not waiting (a duplicate, one of another boot) proves nothing.
    pub fn answered(&mut self, number: u64, end: End, term: Duration, applied: &Names) {
        let Some(place) = self.asked.iter().position(|(asked, _)| *asked == number) else { return };
        let Some((_, at)) = self.asked.remove(place) else { return };
        if self.proofs.back().is_some_and(|last| last.at.boot >= at.boot) {
            return;
        }
        // A younger proof that asks for no more makes an older one useless. Where the log went back, the older one may ask for
        // what will not be there for long, and must not stand in the way.
        while self.proofs.back().is_some_and(|last| last.end.seq >= end.seq) {
            self.proofs.pop_back();
        }
        if self.proofs.len() == PROOFS_MAX {
            self.proofs.pop_back();
        }
        self.proofs.push_back(Proof { at, end, term });
        self.advanced(applied);
    }

    /// Notes which orders are applied. An end that is behind all the names that are known proves nothing.
    pub fn advanced(&mut self, applied: &Names) {
        while let Some(proof) = self.proofs.front().copied()
            && proof.end.seq <= applied.newest()
        {
            self.proofs.pop_front();
            let younger = self.view.is_none_or(|view| view.at.boot < proof.at.boot);
            if younger && applied.at(proof.end.seq) == Some(proof.end.id) {
                self.view = Some(proof);
            }
        }
    }

    /// Gives the lease up: the log is another one, or this POP is refused.
    pub fn give_up(&mut self) {
        *self = Lease::default();
    }

    /// Whether the lease holds at `now`; to be asked at each use.
    pub fn holds(&self, now: &Now) -> bool {
        self.view.as_ref().is_some_and(|view| now.since(&view.at) < view.term)
    }

    /// How long a lease lasts, as control last said.
    pub fn term(&self) -> Option<Duration> {
        self.view.as_ref().or(self.proofs.back()).map(|proof| proof.term)
    }

    /// The age of the view at `now`.
    pub fn view_age(&self, now: &Now) -> Option<Duration> {
        self.view.as_ref().map(|view| now.since(&view.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{OrderId, Seq};

    const TERM: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Now {
        Now { boot: Duration::from_secs(seconds), wall: Duration::from_secs(1_000 + seconds) }
    }

    /// The end of the log that is followed, whose orders are called by their places.
    fn end(seq: u64) -> End {
        End { seq: Seq(seq), id: OrderId([seq as u8; 16]) }
    }

    /// Its orders up to there are applied.
    fn applied(seq: u64) -> Names {
        let mut names = Names::default();
        for seq in 0..=seq {
            names.push(Seq(seq), OrderId([seq as u8; 16]));
        }
        names
    }

    #[test]
    fn p3_a_lease_counts_from_the_sending_of_the_heartbeat() {
        let mut lease = Lease::default();
        lease.asked(1, at(100));
        // The answer took nine seconds; none of them are given back.
        lease.answered(1, end(5), TERM, &applied(5));
        assert!(lease.holds(&at(109)));
        assert!(!lease.holds(&at(110)));
    }

    #[test]
    fn p3_an_end_not_yet_applied_proves_nothing() {
        let mut lease = Lease::default();
        lease.asked(1, at(100));
        lease.answered(1, end(5), TERM, &applied(4));
        assert!(!lease.holds(&at(100)));
        lease.asked(2, at(102));
        lease.answered(2, end(6), TERM, &applied(4));
        lease.advanced(&applied(5));
        assert!(lease.holds(&at(109)), "the older proof holds");
        assert!(!lease.holds(&at(110)), "the younger one waits for order 6");
        lease.advanced(&applied(6));
        assert!(lease.holds(&at(111)));
    }

    #[test]
    fn p3_orders_of_a_lost_log_do_not_pass_for_those_in_their_places() {
        let mut lease = Lease::default();
        lease.asked(1, at(100));
        let other = End { id: OrderId([99; 16]), ..end(5) };
        lease.answered(1, other, TERM, &applied(4));
        lease.advanced(&applied(5));
        assert!(!lease.holds(&at(100)));
        // As late, too, when more of them have come.
        lease.asked(2, at(101));
        lease.answered(2, other, TERM, &applied(7));
        assert!(!lease.holds(&at(101)));
        // Nor does a place whose name is not known any more.
        lease.asked(3, at(102));
        lease.answered(3, end(5), TERM, &Names::beginning_with(Seq(7), OrderId([7; 16])));
        assert!(!lease.holds(&at(102)));
        lease.asked(4, at(103));
        lease.answered(4, end(5), TERM, &applied(7));
        assert!(lease.holds(&at(103)));
    }

    #[test]
    fn a_log_that_went_back_gives_leases_again() {
        let mut lease = Lease::default();
        lease.asked(1, at(100));
        lease.answered(1, end(9), TERM, &applied(4));
        lease.asked(2, at(120));
        lease.answered(2, end(5), TERM, &applied(4));
        assert!(!lease.holds(&at(120)));
        lease.advanced(&applied(5));
        assert!(lease.holds(&at(129)));
        assert!(!lease.holds(&at(130)));
    }

    #[test]
    fn p3_duplicates_and_old_answers_prove_nothing() {
        let mut lease = Lease::default();
        lease.asked(1, at(100));
        lease.asked(2, at(105));
        lease.answered(2, end(0), TERM, &applied(0));
        lease.answered(1, end(0), TERM, &applied(0));
        lease.answered(2, end(0), TERM, &applied(0));
        lease.answered(9, end(0), TERM, &applied(0));
        assert!(lease.holds(&at(114)));
        assert!(!lease.holds(&at(115)));
    }

    #[test]
    fn p3_a_boot_clock_that_stood_still_ends_the_lease() {
        let mut lease = Lease::default();
        lease.asked(1, at(100));
        lease.answered(1, end(0), TERM, &applied(0));
        let mut later = at(101);
        later.wall += Duration::from_secs(60);
        assert!(!lease.holds(&later));
        // A wall clock set back never extends it.
        let mut set_back = at(110);
        set_back.wall -= Duration::from_secs(600);
        assert!(!lease.holds(&set_back));
    }
}
