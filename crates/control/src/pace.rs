//! How many lines of one domain are purged in a minute.

use crate::submit::SubmitError;
use freshen_ledger::Line;
use freshen_model::quota::{Limits, QuotaKind};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// Lines purged in the minute that runs, by domain and kind; minutes are those of control's steady clock.
#[derive(Default)]
pub(crate) struct Pace(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: u64,
    lines: BTreeMap<(String, QuotaKind), u64>,
}

/// Lines that were counted.
pub(crate) struct Taken {
    minute: u64,
    lines: BTreeMap<(String, QuotaKind), u64>,
}

impl Pace {
    /// Counts the lines of a submission at `now`, or says of which domain there would be too many.
    pub(crate) fn take(
        &self,
        kind: QuotaKind,
        lines: &[Line],
        limits: Limits,
        now: Duration,
    ) -> Result<Taken, SubmitError> {
        let limit = match kind {
            QuotaKind::Url => limits.urls_per_minute,
            QuotaKind::Directory => limits.directories_per_minute,
            QuotaKind::Prefetch | QuotaKind::Query | QuotaKind::Regex | QuotaKind::Tag => u64::MAX,
        };
        let number = now.as_secs() / 60;
        let mut taken = Taken { minute: number, lines: BTreeMap::new() };
        if limit == u64::MAX {
            return Ok(taken);
        }
        for line in lines {
            *taken.lines.entry((line.domain.clone(), kind)).or_default() += 1;
        }
        let mut minute = self.0.lock();
        if minute.number != number {
            *minute = Minute { number, lines: BTreeMap::new() };
        }
        let purged = |name| minute.lines.get(name).copied().unwrap_or_default();
        if let Some(((domain, _), lines)) =
            taken.lines.iter().find(|(name, lines)| purged(name) + **lines > limit)
        {
            return Err(SubmitError::TooFast { kind, domain: domain.clone(), lines: *lines, limit });
        }
        for (name, lines) in &taken.lines {
            *minute.lines.entry(name.clone()).or_default() += lines;
        }
        Ok(taken)
    }

    /// Lines that came to nothing were not purged.
    pub(crate) fn give_back(&self, taken: &Taken) {
        let mut minute = self.0.lock();
        if minute.number != taken.minute {
            return;
        }
        for (name, lines) in &taken.lines {
            if let Some(counted) = minute.lines.get_mut(name) {
                *counted = counted.saturating_sub(*lines);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_so_many_lines_of_a_kind_a_minute() {
        let pace = Pace::default();
        let limits = Limits { urls_per_minute: 3, directories_per_minute: 1, ..Limits::default() };
        let line = |domain: &str| Line { url: String::new(), domain: domain.to_owned() };
        let take = |kind, domains: &[&str], second| {
            let lines: Vec<Line> = domains.iter().copied().map(line).collect();
            pace.take(kind, &lines, limits, Duration::from_secs(second)).is_ok()
        };
        assert!(take(QuotaKind::Url, &["a", "a", "b"], 60));
        assert!(!take(QuotaKind::Url, &["b", "a", "a"], 61), "one too many of a");
        assert!(take(QuotaKind::Url, &["a", "b", "b"], 119), "what was refused does not count");
        assert!(take(QuotaKind::Directory, &["a"], 119) && !take(QuotaKind::Directory, &["a"], 119));
        assert!(take(QuotaKind::Prefetch, &["a"; 9], 119));
        assert!(take(QuotaKind::Url, &["a"; 3], 120));
    }

    #[test]
    fn what_came_to_nothing_is_given_back_within_its_minute() {
        let pace = Pace::default();
        let limits = Limits { urls_per_minute: 2, ..Limits::default() };
        let lines = [
            Line { url: String::new(), domain: "a".into() },
            Line { url: String::new(), domain: "a".into() },
        ];
        let take = |second| pace.take(QuotaKind::Url, &lines, limits, Duration::from_secs(second));
        let first = take(60).unwrap();
        assert!(take(61).is_err());
        pace.give_back(&first);
        let second = take(62).unwrap();
        let third = take(120).unwrap();
        pace.give_back(&second);
        assert!(take(121).is_err(), "another minute's lines are not given back in this one");
        pace.give_back(&third);
        assert!(take(122).is_ok());
    }
}
