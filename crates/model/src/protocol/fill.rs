//! A fill under way: what it may be joined by, and whether its outcome may be stored.

use super::copy::Provenance;
use super::now::Now;
use crate::ids::{Epoch, Seq};

/// Who delivers the bytes of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The origin itself.
    Origin,
    /// Another POP, which checked its copy at this watermark.
    Pop {
        /// The home POP's watermark, sent with its answer; before that, the one it must reach.
        checked: Seq,
        /// How far from the origin this POP counts itself for this object: it waits only for POPs that count less.
        level: Level,
    },
}

/// A POP's distance from the origin for one object: how many POPs of the tier come before it. Whoever waits for a POP waits
/// for what is of a lower level than his own, so that nobody waits in a circle, whatever lists of neighbours say.
pub type Level = u16;

impl Source {
    /// The level of what waits for it.
    pub fn level(self) -> Level {
        match self {
            Source::Origin => 0,
            Source::Pop { level, .. } => level,
        }
    }
}

/// What is fixed when a fill's upstream request starts; taken before the request is sent, never later.
///
/// Were fill_seq taken when the body has arrived, bytes that left the origin before a purge would pass for newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillStart {
    /// The POP's epoch.
    pub epoch: Epoch,
    /// The POP's watermark.
    pub seq: Seq,
    /// The clocks.
    pub at: Now,
    /// Who was asked.
    pub source: Source,
    /// Whether a copy's validators were sent along, so that the answer may be no more than a confirmation of it.
    pub conditional: bool,
}

impl FillStart {
    /// The same with a copy's validators sent along.
    pub fn with_validators(self) -> FillStart {
        FillStart { conditional: true, ..self }
    }

    /// fill_seq: for another POP's copy the smaller of both watermarks.
    pub fn fill_seq(&self) -> Seq {
        match self.source {
            Source::Origin => self.seq,
            Source::Pop { checked, .. } => self.seq.min(checked),
        }
    }

    /// The provenance of bytes that this fill delivered.
    pub fn delivered(&self) -> Provenance {
        let from_origin = (self.source == Source::Origin).then_some(self.at);
        Provenance {
            epoch: self.epoch,
            filled: self.fill_seq(),
            confirmed: self.fill_seq(),
            expired: false,
            delivered_at: from_origin,
            confirmed_at: from_origin,
            asked_at: Some(self.at),
        }
    }

    /// The provenance of a copy that was confirmed (304) in answer to this request, by the origin or by another POP.
    pub fn confirmed(&self, copy: &Provenance) -> Provenance {
        Provenance { filled: copy.filled, delivered_at: copy.delivered_at, ..self.delivered() }
    }
}
