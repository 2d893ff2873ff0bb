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

impl Pace {
    /// Counts the lines of a submission at `now`, or says of which domain there would be too many.
    pub(crate) fn take(
        &self,
        kind: QuotaKind,
        lines: &[Line],
        limits: Limits,
        now: Duration,
    ) -> Result<(), SubmitError> {
        let limit = match kind {
            QuotaKind::Url => limits.urls_per_minute,
            QuotaKind::Directory => limits.directories_per_minute,
            QuotaKind::Prefetch | QuotaKind::Query | QuotaKind::Regex | QuotaKind::Tag => return Ok(()),
        };
        let mut submitted: BTreeMap<&str, u64> = BTreeMap::new();
        for line in lines {
            *submitted.entry(&line.domain).or_default() += 1;
        }
        let mut minute = self.0.lock();
        let number = now.as_secs() / 60;
        if minute.number != number {
            *minute = Minute { number, lines: BTreeMap::new() };
        }
        let purged = |domain: &str| minute.lines.get(&(domain.to_owned(), kind)).copied().unwrap_or_default();
        if let Some((domain, lines)) =
            submitted.iter().find(|(domain, lines)| purged(domain) + **lines > limit)
        {
            return Err(SubmitError::TooFast { kind, domain: (*domain).to_owned(), lines: *lines, limit });
        }
        for (domain, lines) in submitted {
            *minute.lines.entry((domain.to_owned(), kind)).or_default() += lines;
        }
        Ok(())
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
}
