//! Percentiles of times.

use std::time::Duration;

/// Of some times, milliseconds; by nearest rank.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Spread {
    pub fn of(mut times: Vec<Duration>) -> Spread {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1) - 1;
            times.get(rank).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
        };
        Spread { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }

    /// From an object with `median_ms`, `p99_ms` and `max_ms`, or the same in microseconds with `p50_us`.
    pub fn read(value: &serde_json::Value) -> Option<Spread> {
        let ms = |name: &str| value.get(name)?.as_f64();
        let us = |name: &str| Some(ms(name)? / 1_000.0);
        Some(Spread {
            p50_ms: ms("median_ms").or_else(|| us("p50_us"))?,
            p99_ms: ms("p99_ms").or_else(|| us("p99_us"))?,
            max_ms: ms("max_ms").or_else(|| us("max_us"))?,
        })
    }

    /// A row of a table.
    pub fn row(&self, what: &str) -> String {
        format!("| {what} | {:.2} | {:.2} | {:.2} |\n", self.p50_ms, self.p99_ms, self.max_ms)
    }
}

/// The head of a table of such rows.
pub const HEAD: &str = "| ms | p50 | p99 | longest |\n|---|--:|--:|--:|\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let spread = Spread::of((1..=200).map(Duration::from_millis).collect());
        assert_eq!((spread.p50_ms, spread.p99_ms, spread.max_ms), (100.0, 198.0, 200.0));
        let read = Spread::read(&serde_json::json!({ "p50_us": 1, "p99_us": 2000, "max_us": 3000 })).unwrap();
        assert_eq!((read.p50_ms, read.p99_ms, read.max_ms), (0.001, 2.0, 3.0));
    }
}
