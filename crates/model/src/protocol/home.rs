//! Fills between POPs: what an asker says of itself, when its home POP may answer, and which answers count.
//!
//! The home answers in a view of its own that holds a lease and is not behind the asker's watermark, and says the
//! watermark of that view with its answer. What its look-up lets it use in that view, no rule up to there matches; so the
//! asker may use it in every view up to its own watermark. That watermark comes with the name of the order there: after a
//! restored backup two logs share their numbers, and a home of the other life must not pass for one that has caught up.

use super::copy::Doubt;
use super::fill::{FillStart, Level, Source};
use super::follower::{Follower, View};
use super::now::Now;
use crate::domain::NoLease;
use crate::ids::{LogId, OrderId, Seq};
use crate::key::Key;
use crate::tag::Tags;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a home POP waits to catch up with the one who asks; after that he had better ask the origin.
pub const CATCH_UP_MAX: Duration = Duration::from_millis(50);
/// The same for a prefetch, where no viewer waits and the origin is not to be asked twice.
pub const CATCH_UP_PREFETCH_MAX: Duration = Duration::from_secs(2);
/// Names of orders that a POP remembers, so that it can compare them with an asker's.
const NAMES_MAX: usize = 4_096;

/// What an asker says of where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The log it follows.
    pub log: LogId,
    /// Its watermark when it asks.
    pub watermark: Seq,
    /// The name of the order there.
    pub watermark_id: OrderId,
}

/// What a POP makes of being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may answer, in views not older than this one.
    Admitted(View),
    /// It is behind the asker, and may wait up to [`CATCH_UP_MAX`] for more orders.
    Behind,
    /// It may not.
    Refused(NotHome),
}

/// Why a POP may not answer another; also the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHome {
    /// It is no member of the fleet, or its disk went back.
    NoMember,
    /// It holds no lease.
    NoLease,
    /// It follows another log, or one that went on otherwise.
    OtherLog,
    /// The asker is so far behind that the name of its last order is forgotten here.
    OutOfSight,
    /// It did not catch up in time.
    Behind,
}

impl NotHome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            NotHome::NoMember => "no_member",
            NotHome::NoLease => "no_lease",
            NotHome::OtherLog => "other_log",
            NotHome::OutOfSight => "out_of_sight",
            NotHome::Behind => "behind",
        }
    }
}

impl Ask {
    /// The watermark to send with an answer from that view of the home's: no rule up to there matches what it lets be
    /// used. `None` where the view may answer nobody, or not this asker.
    pub fn checked_in(&self, view: &View) -> Option<Seq> {
        (view.leased && view.member && view.seq >= self.watermark).then_some(view.seq)
    }

    /// How the fill of the asker goes on with an answer that the home had checked at that watermark; `None` where the
    /// answer is nothing for this asker, which then asks the origin.
    pub fn accept(&self, start: &FillStart, checked: Seq) -> Option<FillStart> {
        (checked >= self.watermark && checked >= start.seq).then_some(FillStart {
            source: Source::Pop { checked, level: start.source.level().max(1) },
            ..*start
        })
    }
}

impl Follower {
    /// What to say to a home POP now; `None` where nobody but the origin may be asked: without a lease another POP's
    /// answer proves nothing, since both might renew each other for ever.
    pub fn ask(&self, now: Now) -> Option<Ask> {
        let view = self.view(now);
        let saved = self.saved();
        let log = saved.log.filter(|_| view.leased && view.member)?;
        Some(Ask { log, watermark: saved.watermark, watermark_id: saved.watermark_id })
    }

    /// Whether this POP may answer one who stands there.
    pub fn admit(&self, ask: &Ask, now: Now) -> Admission {
        let view = self.view(now);
        let saved = self.saved();
        if !view.member {
            return Admission::Refused(NotHome::NoMember);
        }
        if !view.leased {
            return Admission::Refused(NotHome::NoLease);
        }
        if saved.log != Some(ask.log) {
            return Admission::Refused(NotHome::OtherLog);
        }
        if saved.watermark < ask.watermark {
            return Admission::Behind;
        }
        match self.names().at(ask.watermark) {
            None => Admission::Refused(NotHome::OutOfSight),
            Some(name) if name != ask.watermark_id => Admission::Refused(NotHome::OtherLog),
            Some(_) => Admission::Admitted(view),
        }
    }

    /// Whether the request of an asker of that level may wait for a fill under way here: only for one that is nearer to
    /// the origin. Any other may be waiting for the asker.
    pub fn may_join_for_peer(
        &self,
        view: &View,
        key: &Key,
        tags: &Tags,
        fill: &FillStart,
        asker: Level,
    ) -> bool {
        fill.source.level() < asker && self.may_join(view, key, tags, fill, NoLease::Revalidate)
    }
}

/// Whether a home POP may confirm a copy that is in this doubt and has these tags.
///
/// Not where a purge of a tag may be the reason: the home's copy of the same version may be called otherwise, so that the
/// purge says nothing of it, and what it says of the version is from before the purge.
pub fn may_confirm(doubt: Option<Doubt>, tags: &Tags) -> bool {
    doubt != Some(Doubt::Purged) || Tags::default().covers(tags)
}

/// The names of the orders applied last, without gaps.
#[derive(Clone, Debug, Default)]
pub struct Names {
    newest: Seq,
    /// Oldest first; the last is that of `newest`.
    names: VecDeque<OrderId>,
}

impl Names {
    /// Knows one order only, as after a start.
    pub fn beginning_with(seq: Seq, id: OrderId) -> Names {
        Names { newest: seq, names: VecDeque::from([id]) }
    }

    /// The place of the last one.
    pub fn newest(&self) -> Seq {
        self.newest
    }

    /// Takes in the next order.
    pub fn push(&mut self, seq: Seq, id: OrderId) {
        if seq != self.newest.next() {
            self.names.clear();
        }
        if self.names.len() == NAMES_MAX {
            self.names.pop_front();
        }
        self.names.push_back(id);
        self.newest = seq;
    }

    /// The name of the order at `seq`; `None` where it is not known, or not any more.
    pub fn at(&self, seq: Seq) -> Option<OrderId> {
        let back = usize::try_from(self.newest.0.checked_sub(seq.0)?).ok()?;
        let place = self.names.len().checked_sub(back + 1)?;
        self.names.get(place).copied()
    }
}
