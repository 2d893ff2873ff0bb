//! A check: what a POP would answer a viewer, if only from its cache.

use crate::domain::Settings;
use crate::ids::{PopId, Seq};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked of a POP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckQuestion {
    /// The domain.
    pub domain: String,
    /// Path and query.
    pub path_and_query: String,
    /// Whether the viewer accepts gzip.
    pub gzip: bool,
}

/// What the POP would answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckAnswer {
    /// `HIT`: it would answer from its cache; `EXPIRED`: it has a copy but would ask the origin first; `MISS`: it has
    /// none that it may use; `BYPASS`: it is not a member of the fleet yet, and uses no cache.
    pub x_cache: String,
    /// Why it is no HIT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of the copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Seconds since the origin made or confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// Its validator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Body bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The watermark when the request that delivered its bytes started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_seq: Option<Seq>,
    /// The POP's watermark.
    pub watermark: Seq,
    /// Whether the POP holds a lease.
    pub leased: bool,
}

/// One POP's part of a check of the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckRow {
    /// The POP.
    pub pop: PopId,
    /// What it would answer; absent where it could not be asked.
    #[serde(flatten)]
    pub answer: Option<CheckAnswer>,
    /// Why it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is asked of a POP before a domain is added: whether it reaches the origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryQuestion {
    /// The domain, which no order has brought yet.
    pub domain: String,
    /// Its settings.
    pub settings: Settings,
}

/// How the origin answered a request for the head of `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Milliseconds until the answer's head was there, or it was clear that none comes.
    pub tried_ms: u64,
    /// The answer's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One POP's part of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriedRow {
    /// The POP.
    pub pop: PopId,
    /// How the origin answered it; or why the POP could not be asked.
    pub tried: Result<Tried, String>,
}

impl TriedRow {
    /// Whether the origin answered, and not with a fault of its own.
    pub fn well(&self) -> bool {
        self.tried.as_ref().is_ok_and(|tried| tried.status.is_some_and(|status| status < 500))
    }
}
