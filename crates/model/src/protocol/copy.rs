//! The numbers by which a stored copy is held against the rules.

use super::now::Now;
use crate::ids::{Epoch, Seq};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a POP remembers of where a copy came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The epoch it was filled in.
    pub epoch: Epoch,
    /// fill_seq of its bytes: the watermark when the request that delivered them was about to start.
    pub filled: Seq,
    /// fill_seq of its last confirmation: of its bytes, or of the request that the origin answered 304.
    pub confirmed: Seq,
    /// Set by the sweep where an `expire` rule matched that is no longer in the index.
    pub expired: bool,
    /// When this process asked the origin for these bytes; lost in a restart, and never set by another POP's copy.
    #[serde(skip)]
    pub delivered_at: Option<Now>,
    /// When this process last asked the origin about these bytes and it delivered or confirmed them.
    #[serde(skip)]
    pub confirmed_at: Option<Now>,
    /// When this process last asked anybody about these bytes, the origin or another POP.
    #[serde(skip)]
    pub asked_at: Option<Now>,
}

impl Provenance {
    /// Where the mark «checked up to» of a copy with this provenance begins: its fill was started in a view in which no
    /// rule up to there matched what it brings.
    pub fn mark(&self) -> Seq {
        self.filled.min(self.confirmed)
    }

    /// Whether a copy with this provenance may take the place of one with `other`'s.
    ///
    /// Never over a younger fill_seq. Between equal ones (no order came in between) the later request wins.
    pub fn replaces(&self, other: &Provenance) -> bool {
        (self.epoch, self.confirmed) > (other.epoch, other.confirmed)
            || ((self.epoch, self.confirmed) == (other.epoch, other.confirmed)
                && self.asked_at.map(|at| at.boot) >= other.asked_at.map(|at| at.boot))
    }

    /// Whether the origin delivered the bytes to this process less than `term` ago.
    pub fn delivered_within(&self, term: Duration, now: &Now) -> bool {
        self.delivered_at.is_some_and(|at| now.since(&at) < term)
    }

    /// Whether the origin delivered or confirmed the bytes to this process less than `term` ago.
    pub fn confirmed_within(&self, term: Duration, now: &Now) -> bool {
        self.confirmed_at.is_some_and(|at| now.since(&at) < term)
    }
}

/// What the protocol says of a copy; how fresh the copy is by the origin's own word is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be used.
    Usable,
    /// It may be used after the origin has confirmed it.
    Revalidate(Doubt),
    /// It may never be used again, nor its validators.
    Gone,
    /// Rules were dropped since the copy was looked up: look it up again.
    Reread,
}

/// Why a copy must be confirmed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// An `expire` rule matches it.
    Purged,
    /// This POP holds no lease.
    NoLease,
}
