//! A dry run of a prefetch: what its lines lead to, without fetching that.

use crate::follow::Follow;
use crate::ids::PopId;
use crate::order::PrefetchItem;
use crate::quota::Quota;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Files of one dry run that are listed; all are counted.
pub const LISTED_MAX: usize = 5_000;
/// Bytes of their addresses.
pub const LISTED_BYTES_MAX: usize = 4 << 20;
/// Files of one dry run whose size the origin is asked for.
pub const SIZES_MAX: usize = 500;
/// Addresses of one line that are told though they are not fetched, and playlists of it that could not be read.
pub const TOLD_MAX: usize = 20;

/// What is asked of a POP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpandQuestion {
    /// The objects that would be the order's.
    pub items: Vec<PrefetchItem>,
    /// How playlists would be followed; absent: not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// Whether sizes are wanted, too.
    #[serde(default)]
    pub sizes: bool,
}

/// What one line leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpandedLine {
    /// Files that would be fetched, the line itself included.
    pub files: u64,
    /// Files whose size is known.
    pub sized: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Files that are named, and left out since a limit is reached.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub over: u64,
    /// Addresses that are named outside of the account's domains, and are not fetched.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outside: u64,
    /// Some of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside_urls: Vec<String>,
    /// Playlists that could not be read, some of them; what they name is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
    /// How many they are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unread_count: u64,
    /// Set where there was no time to read all playlists: every count is «at least».
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
    /// The files in the order in which they would be fetched; of all lines together at most [`LISTED_MAX`], and
    /// [`LISTED_BYTES_MAX`] of addresses.
    pub listed: Vec<ExpandedFile>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpandedFile {
    /// Where it is, without a scheme.
    pub url: String,
    /// Its size, where that is known: it is there already, or the origin tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// A playlist that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unread {
    /// Where it is, without a scheme.
    pub url: String,
    /// Why.
    pub reason: String,
}

/// What a prefetch would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrefetchDryRun {
    /// The POP that looked; absent: none could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pop: Option<PopId>,
    /// Why none could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Line by line.
    pub lines: Vec<ExpandedLine>,
    /// What is left of the account's prefetches today; a line counts, and what it leads to does not.
    pub quota: Quota,
    /// Lines of prefetches that have not ended, and how many there may be.
    pub queued: u64,
    /// See there.
    pub queue_limit: u64,
    /// What would be refused or left out, or is likely a mistake, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
