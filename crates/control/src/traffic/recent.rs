//! What one POP counted in the last hour.

use freshen_model::traffic::Traffic;
use std::collections::VecDeque;

const MINUTE_MS: i64 = 60_000;
/// Minutes that are kept.
const MINUTES: i64 = 60;

/// By the minute in which control heard of it, the oldest first; [`MINUTES`] at most.
#[derive(Default)]
pub(crate) struct Recent(VecDeque<(i64, Traffic)>);

impl Recent {
    /// Takes in what came, by control's wall clock.
    pub(crate) fn add(&mut self, wall_ms: i64, more: &Traffic) {
        let minute = wall_ms.div_euclid(MINUTE_MS);
        // A clock that was set back: what is of a time to come would never go.
        self.0.retain(|(at, _)| *at <= minute && *at > minute - MINUTES);
        match self.0.back_mut() {
            Some((at, traffic)) if *at == minute => *traffic = traffic.plus(more),
            _ => self.0.push_back((minute, *more)),
        }
    }

    /// All of the last hour.
    pub(crate) fn total(&self, wall_ms: i64) -> Traffic {
        let minute = wall_ms.div_euclid(MINUTE_MS);
        let fresh = self.0.iter().filter(|(at, _)| *at <= minute && *at > minute - MINUTES);
        fresh.fold(Traffic::default(), |total, (_, traffic)| total.plus(traffic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_told_and_no_more_is_kept() {
        let mut recent = Recent::default();
        let one = Traffic { requests: 1, ..Traffic::default() };
        let requests = |recent: &Recent, minute: i64| recent.total(minute * MINUTE_MS).requests;
        for minute in 0..200 {
            recent.add(minute * MINUTE_MS, &one);
            recent.add(minute * MINUTE_MS + 59_999, &one);
        }
        assert_eq!(recent.0.len(), 60);
        assert_eq!([199, 229, 258, 259].map(|minute| requests(&recent, minute)), [120, 60, 2, 0]);
        // The clock is set back: what seems to be to come does not count, nor stay.
        recent.add(100 * MINUTE_MS, &one);
        assert_eq!((recent.0.len(), requests(&recent, 100)), (1, 1));
    }
}
