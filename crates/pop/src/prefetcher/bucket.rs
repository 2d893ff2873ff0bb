//! A token bucket on a clock that never goes back; the time comes in as a value.

use std::time::Duration;

/// So many units a second. It may be overdrawn: who spends more than is there makes the next one wait.
#[derive(Debug)]
pub struct Bucket {
    per_s: f64,
    /// What a rest fills it to.
    most: f64,
    level: f64,
    at: Duration,
}

impl Bucket {
    /// A full one, that saves up what `saves` brings at that rate, but at least one unit.
    pub fn new(per_s: u64, saves: Duration, now: Duration) -> Bucket {
        let per_s = per_s.max(1) as f64;
        let most = (per_s * saves.as_secs_f64()).max(1.0);
        Bucket { per_s, most, level: most, at: now }
    }

    /// Goes on at another rate.
    pub fn change(&mut self, per_s: u64, saves: Duration, now: Duration) {
        if per_s as f64 != self.per_s {
            self.fill(now);
            let level = self.level;
            *self = Bucket::new(per_s, saves, now);
            self.level = level.min(self.most);
        }
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_s).min(self.most);
        self.at = self.at.max(now);
    }

    /// Takes out what was spent, there or not.
    pub fn spend(&mut self, units: u64, now: Duration) {
        self.fill(now);
        self.level -= units as f64;
    }

    /// When so many units are there.
    pub fn has(&mut self, units: u64, now: Duration) -> Duration {
        self.fill(now);
        let missing = units as f64 - self.level;
        if missing <= 0.0 {
            return now;
        }
        // A day is longer than anybody waits without asking again.
        now + Duration::from_secs_f64((missing / self.per_s).min(86_400.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_is_spent_comes_back_at_the_rate_and_no_more_is_saved_than_allowed() {
        let mut bucket = Bucket::new(10, ms(1_000), ms(5_000));
        assert_eq!(bucket.has(10, ms(5_000)), ms(5_000));
        bucket.spend(30, ms(5_000));
        assert_eq!(bucket.has(0, ms(5_000)), ms(7_000), "overdrawn by twenty");
        assert_eq!(bucket.has(1, ms(6_000)), ms(7_100));
        assert_eq!(bucket.has(10, ms(100_000)), ms(100_000));
        bucket.spend(10, ms(100_000));
        assert_eq!(bucket.has(1, ms(100_000)), ms(100_100), "an hour's rest saves a second's worth");
        bucket.spend(1, ms(99_000));
        assert_eq!(bucket.has(1, ms(100_000)), ms(100_200), "a clock read late takes nothing back");
        bucket.change(1, ms(1_000), ms(100_000));
        assert_eq!(bucket.has(1, ms(100_000)), ms(102_000), "what is owed is owed at the new rate");
    }
}
