//! Retention: which orders of the log nobody needs any more.

use crate::ids::Seq;
use std::collections::VecDeque;
use std::time::Duration;

/// How often orders are pruned, at most.
const EVERY: Duration = Duration::from_secs(60);
/// Samples of the log's end that are kept; their spacing grows with the retention.
const SAMPLES_MAX: u32 = 1_000;

/// Remembers when the log ended where, since orders carry no time. After a restart every order counts as new.
#[derive(Debug)]
pub struct Retention {
    keep: Duration,
    every: Duration,
    samples: VecDeque<(Duration, Seq)>,
    /// The place that every POP had confirmed a round ago.
    confirmed_before: Seq,
    due: Duration,
}

impl Retention {
    /// Keeps orders for `keep` where POPs have not confirmed them.
    pub fn new(keep: Duration, now: Duration) -> Retention {
        Retention {
            keep,
            every: EVERY.min(keep),
            samples: VecDeque::new(),
            confirmed_before: Seq::ZERO,
            due: now,
        }
    }

    /// When [`Retention::round`] wants to be called.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// Takes in where the log ends now and which place every POP has confirmed (`None` without POPs); gives the place
    /// up to which orders may be forgotten.
    ///
    /// The order at a POP's watermark is kept, since its name is what the next heartbeat is held against; and what was
    /// confirmed must have been so for a round, since a heartbeat may arrive behind a later one.
    pub fn round(&mut self, end: Seq, confirmed: Option<Seq>, now: Duration) -> Seq {
        self.due = now + self.every;
        let spacing = self.every.max(self.keep / SAMPLES_MAX);
        let last = self.samples.back();
        if last.is_none_or(|(at, seq)| now >= *at + spacing && *seq != end) {
            self.samples.push_back((now, end));
        }
        let mut aged = Seq::ZERO;
        while let Some((_, seq)) = self.samples.front().filter(|(at, _)| now >= *at + self.keep) {
            aged = *seq;
            self.samples.pop_front();
        }
        let confirmed = confirmed.unwrap_or_default();
        let settled = self.confirmed_before.min(confirmed).previous();
        self.confirmed_before = confirmed;
        settled.max(aged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn the_order_at_the_lowest_watermark_is_kept() {
        let mut retention = Retention::new(minutes(60), minutes(0));
        assert_eq!(retention.round(Seq(9), Some(Seq(5)), minutes(0)), Seq(0), "not yet settled");
        assert_eq!(retention.round(Seq(9), Some(Seq(9)), minutes(1)), Seq(4));
        assert_eq!(retention.round(Seq(9), Some(Seq(9)), minutes(2)), Seq(8));
        assert_eq!(retention.round(Seq(9), None, minutes(3)), Seq(0), "without POPs nothing is confirmed");
    }

    #[test]
    fn an_order_that_a_dead_pop_holds_back_is_kept_for_the_retention() {
        let mut retention = Retention::new(minutes(60), minutes(0));
        assert_eq!(retention.round(Seq(7), Some(Seq(1)), minutes(0)), Seq(0));
        assert_eq!(retention.round(Seq(9), Some(Seq(1)), minutes(59)), Seq(0));
        assert_eq!(retention.round(Seq(9), Some(Seq(1)), minutes(60)), Seq(7));
        assert_eq!(retention.round(Seq(9), Some(Seq(1)), minutes(119)), Seq(9));
    }
}
