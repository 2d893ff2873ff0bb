//! From what POPs answered, and when, to figures. Nothing here asks anybody.

use serde::Serialize;
use std::time::Duration;

/// One answer of a POP. Times count from the moment the purge was sent to control.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When the request was sent.
    pub sent: Duration,
    /// When the answer was there.
    pub came: Duration,
    /// Whether it is what the purge should have made unusable.
    pub old: bool,
}

/// What a POP's answers come to, of one object in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// When the first new answer came.
    pub new_at: Option<Duration>,
    /// Answers to requests that were sent once the purge was known to be complete.
    pub after_complete: u64,
    /// Of these, old ones: the purge was reported complete while the POP still served the old.
    pub false_completes: u64,
    /// Old answers to requests that were sent after a new one had come: what was purged came back.
    pub returned: u64,
}

impl Verdict {
    /// Judges the answers of a POP, in the order they came.
    pub fn of(seen: &[Seen], complete: Option<Duration>) -> Verdict {
        let mut verdict = Verdict::default();
        for answer in seen {
            if complete.is_some_and(|complete| answer.sent >= complete) {
                verdict.after_complete += 1;
                verdict.false_completes += u64::from(answer.old);
            }
            match verdict.new_at {
                Some(new_at) if answer.old && answer.sent >= new_at => verdict.returned += 1,
                None if !answer.old => verdict.new_at = Some(answer.came),
                _ => {}
            }
        }
        verdict
    }
}

/// Percentiles of times, milliseconds; by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// A quarter took no longer.
    pub p25_ms: f64,
    /// Half of them.
    pub median_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Spread {
    /// Of no times there is none.
    pub fn of(mut times: Vec<Duration>) -> Option<Spread> {
        times.sort_unstable();
        let ms = |time: &Duration| time.as_secs_f64() * 1_000.0;
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).map(ms)
        };
        Some(Spread {
            count: times.len(),
            p25_ms: at(25)?,
            median_ms: at(50)?,
            p90_ms: at(90)?,
            p99_ms: at(99)?,
            max_ms: times.last().map(ms)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as `(sent, came, old)`, in milliseconds.
    fn verdict(seen: &[(u64, u64, bool)], complete: Option<u64>) -> Verdict {
        let seen = seen.iter().map(|(sent, came, old)| Seen {
            sent: Duration::from_millis(*sent),
            came: Duration::from_millis(*came),
            old: *old,
        });
        Verdict::of(&seen.collect::<Vec<_>>(), complete.map(Duration::from_millis))
    }

    #[test]
    fn old_answers_before_completion_are_no_lie() {
        let honest = verdict(&[(0, 1, true), (2, 5, true), (6, 8, false), (9, 10, false)], Some(5));
        let new_at = Some(Duration::from_millis(8));
        assert_eq!(honest, Verdict { new_at, after_complete: 2, false_completes: 0, returned: 0 });
        // It was asked before the purge was known to be complete; nobody can tell when it was answered.
        assert_eq!(verdict(&[(4, 9, true), (9, 10, false)], Some(5)).false_completes, 0);
    }

    #[test]
    fn an_old_answer_asked_for_after_completion_is_a_false_complete() {
        let lied = verdict(&[(0, 1, true), (6, 7, true), (8, 9, true), (10, 11, false)], Some(5));
        assert_eq!((lied.after_complete, lied.false_completes, lied.returned), (3, 2, 0));
        let never = verdict(&[(6, 7, true)], Some(5));
        assert_eq!((never.new_at, never.false_completes), (None, 1));
    }

    #[test]
    fn what_comes_back_is_counted_also_where_completion_is_not_known() {
        let back = verdict(&[(0, 1, true), (2, 4, false), (3, 5, true), (6, 7, true), (8, 9, false)], None);
        assert_eq!((back.new_at, back.returned), (Some(Duration::from_millis(4)), 1));
        assert_eq!(back.after_complete, 0);
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let hundred = Spread::of((1..=100).rev().map(Duration::from_millis).collect()).unwrap();
        let figures = (hundred.p25_ms, hundred.median_ms, hundred.p90_ms, hundred.p99_ms, hundred.max_ms);
        assert_eq!((figures, hundred.count), ((25.0, 50.0, 90.0, 99.0, 100.0), 100));
        let one = Spread::of(vec![Duration::from_millis(7)]).unwrap();
        assert_eq!((one.p25_ms, one.p99_ms), (7.0, 7.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
