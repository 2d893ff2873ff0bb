//! How far a prefetch follows the playlists it fetches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Domains that one order names; an account's further ones count as outside.
pub const DOMAINS_MAX: usize = 1_000;

/// What is fetched of that which a playlist names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Follow {
    /// Which of its renditions.
    #[serde(default)]
    pub renditions: Renditions,
    /// How much of each; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<First>,
    /// Where to: the account's domains as of the submission, filled in by control; what lies elsewhere is never fetched.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub domains: BTreeSet<String>,
}

/// Which renditions of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Renditions {
    /// Every one, that of the lowest bandwidth first.
    #[default]
    All,
    /// That of the lowest bandwidth, with the audio and subtitles that belong to it.
    Lowest,
}

/// How much of each rendition, from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum First {
    /// So many segments.
    Segments(u32),
    /// The segments that begin within so many seconds.
    Seconds(u32),
}

impl std::str::FromStr for Renditions {
    type Err = String;

    fn from_str(word: &str) -> Result<Renditions, String> {
        match word {
            "all" => Ok(Renditions::All),
            "lowest" => Ok(Renditions::Lowest),
            _ => Err(format!("{word:?} is no choice of renditions: write all or lowest")),
        }
    }
}
