//! Daily quotas: how many lines an account may submit, by kind.

use serde::{Deserialize, Serialize};

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaKind {
    /// Lines of URL purges.
    Url,
    /// Lines of directory purges.
    Directory,
    /// Lines of prefetches.
    Prefetch,
}

impl QuotaKind {
    /// All kinds, in the order they are shown.
    pub const ALL: [QuotaKind; 3] = [QuotaKind::Url, QuotaKind::Directory, QuotaKind::Prefetch];

    /// The word used in the API, messages and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            QuotaKind::Url => "url",
            QuotaKind::Directory => "directory",
            QuotaKind::Prefetch => "prefetch",
        }
    }

    /// How many lines one submission may have.
    pub fn lines_max(self) -> usize {
        match self {
            QuotaKind::Url => 1_000,
            QuotaKind::Directory => 100,
            QuotaKind::Prefetch => 100,
        }
    }
}

/// How many lines of each kind an account may submit a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// URL purges.
    pub url: u64,
    /// Directory purges.
    pub directory: u64,
    /// Prefetches.
    pub prefetch: u64,
}

impl Default for Limits {
    /// The vendor's: 2,000 URLs, 100 directories, 500 prefetches.
    fn default() -> Limits {
        Limits { url: 2_000, directory: 100, prefetch: 500 }
    }
}

impl Limits {
    /// The limit of one kind.
    pub fn of(&self, kind: QuotaKind) -> u64 {
        match kind {
            QuotaKind::Url => self.url,
            QuotaKind::Directory => self.directory,
            QuotaKind::Prefetch => self.prefetch,
        }
    }
}

/// What is left of one kind today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// What is counted.
    pub kind: QuotaKind,
    /// Lines a day.
    pub limit: u64,
    /// Lines submitted today.
    pub used: u64,
}

impl Quota {
    /// Lines that may still be submitted today.
    pub fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// The number of the quota day at `unix_s`, in a zone `offset_s` east of UTC; it changes at that zone's midnight.
pub fn day(unix_s: i64, offset_s: i32) -> i64 {
    (unix_s + i64::from(offset_s)).div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_rolls_at_the_zones_midnight() {
        let east8 = 8 * 3600;
        // 2026-11-22T15:59:59Z is 23:59:59 in UTC+8.
        assert_eq!(day(1_795_363_199, east8) + 1, day(1_795_363_200, east8));
        assert_eq!(day(1_795_363_199, 0), day(1_795_363_200, 0));
    }
}
