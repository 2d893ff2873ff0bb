//! Daily quotas: how many lines an account may submit, by kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuotaKind {
    /// Lines of URL purges.
    Url,
    /// Lines of directory purges, and of purges of a host.
    Directory,
    /// Lines of prefetches.
    Prefetch,
    /// Lines of purges that ignore the query.
    Query,
    /// Lines of purges by pattern.
    Regex,
    /// Lines of purges by tag: a tag counts once for each domain it is purged in.
    Tag,
}

impl QuotaKind {
    /// All kinds, in the order they are shown.
    pub const ALL: [QuotaKind; 6] = [
        QuotaKind::Url,
        QuotaKind::Directory,
        QuotaKind::Prefetch,
        QuotaKind::Query,
        QuotaKind::Regex,
        QuotaKind::Tag,
    ];

    /// The word used in the API, messages and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            QuotaKind::Url => "url",
            QuotaKind::Directory => "directory",
            QuotaKind::Prefetch => "prefetch",
            QuotaKind::Query => "query",
            QuotaKind::Regex => "regex",
            QuotaKind::Tag => "tag",
        }
    }

    /// How many lines one submission may have.
    pub fn lines_max(self) -> usize {
        match self {
            QuotaKind::Url => 1_000,
            QuotaKind::Directory | QuotaKind::Prefetch | QuotaKind::Query => 100,
            QuotaKind::Regex => 20,
            QuotaKind::Tag => 1_000,
        }
    }
}

/// How much an account may do: lines of each kind a day, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// URL purges.
    pub url: u64,
    /// Directory purges.
    pub directory: u64,
    /// Prefetches.
    pub prefetch: u64,
    /// Purges that ignore the query.
    #[serde(default = "query")]
    pub query: u64,
    /// Purges by pattern.
    #[serde(default = "regex")]
    pub regex: u64,
    /// Purges by tag.
    #[serde(default = "tag")]
    pub tag: u64,
    /// Requests a second, to both APIs together. As many may come at once after a quiet second.
    #[serde(default = "requests_per_s")]
    pub requests_per_s: u64,
    /// URL purges of one domain a minute.
    #[serde(default = "urls_per_minute")]
    pub urls_per_minute: u64,
    /// Directory purges of one domain a minute.
    #[serde(default = "directories_per_minute")]
    pub directories_per_minute: u64,
    /// Lines of prefetches that have not ended.
    #[serde(default = "prefetch_queue")]
    pub prefetch_queue: u64,
}

fn requests_per_s() -> u64 {
    50
}

fn urls_per_minute() -> u64 {
    10_000
}

fn directories_per_minute() -> u64 {
    100
}

fn prefetch_queue() -> u64 {
    100_000
}

fn query() -> u64 {
    100
}

fn regex() -> u64 {
    20
}

fn tag() -> u64 {
    2_000
}

impl Default for Limits {
    /// The vendor's: 2,000 URLs, 100 directories, 500 prefetches, 100 without their query, 20 patterns. Tags, of which it
    /// names none, as URLs.
    fn default() -> Limits {
        Limits {
            url: 2_000,
            directory: 100,
            prefetch: 500,
            query: query(),
            regex: regex(),
            tag: tag(),
            requests_per_s: requests_per_s(),
            urls_per_minute: urls_per_minute(),
            directories_per_minute: directories_per_minute(),
            prefetch_queue: prefetch_queue(),
        }
    }
}

impl Limits {
    /// The same daily limit for each kind.
    pub fn all(limit: u64) -> Limits {
        Limits {
            url: limit,
            directory: limit,
            prefetch: limit,
            query: limit,
            regex: limit,
            tag: limit,
            ..Limits::default()
        }
    }

    /// The limit of one kind.
    pub fn of(&self, kind: QuotaKind) -> u64 {
        match kind {
            QuotaKind::Url => self.url,
            QuotaKind::Directory => self.directory,
            QuotaKind::Prefetch => self.prefetch,
            QuotaKind::Query => self.query,
            QuotaKind::Regex => self.regex,
            QuotaKind::Tag => self.tag,
        }
    }
}

/// What is left of one kind today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
