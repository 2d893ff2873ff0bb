//! Marks: what the live rules say of an object, and what becomes of its copies by that.

use super::copy::Provenance;
use crate::ids::{Epoch, Seq};
use crate::rule::Mode;

/// The newest orders that match something, one number for each mode.
///
/// Two numbers, since an `expire` that comes after an `evict` must not hide it: a 304 would revive what the evict
/// forbade for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The newest `expire`.
    pub expire: Seq,
    /// The newest `evict`.
    pub evict: Seq,
}

impl Marks {
    /// The newest of either mode.
    pub fn newest(&self) -> Seq {
        self.expire.max(self.evict)
    }

    /// Takes in what another place of the index says.
    pub fn merge(&mut self, other: &Marks) {
        self.expire = self.expire.max(other.expire);
        self.evict = self.evict.max(other.evict);
    }

    /// What a sweep that began to walk in the epoch `epoch` makes of a copy, before the rules that these marks speak of are
    /// dropped. To be asked under the key's stripe, with marks read there.
    pub fn fate(&self, copy: &Provenance, epoch: Epoch) -> Fate {
        if copy.epoch < epoch || self.evict > copy.filled {
            Fate::Deleted
        } else if self.expire > copy.confirmed && !copy.expired {
            Fate::Marked
        } else {
            Fate::Stays
        }
    }

    pub(super) fn raise(&mut self, mode: Mode, seq: Seq) {
        let number = match mode {
            Mode::Expire => &mut self.expire,
            Mode::Evict => &mut self.evict,
        };
        *number = (*number).max(seq);
    }

    /// Forgets orders up to `seq`; true where nothing is left.
    pub(super) fn drop_up_to(&mut self, seq: Seq) -> bool {
        for number in [&mut self.expire, &mut self.evict] {
            if *number <= seq {
                *number = Seq::ZERO;
            }
        }
        *self == Marks::default()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Marks::default()
    }
}

/// What becomes of a copy that a sweep comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: no rule matches it.
    Stays,
    /// It keeps the mark `expired`, which outlives the rule.
    Marked,
    /// It goes.
    Deleted,
}
