//! The roster: which process speaks for a POP, and which of its heartbeats count.

use super::heartbeat::{Heartbeat, Standing};
use crate::area::Area;
use crate::ids::{BootId, DataId, LogId, OrderId, Seq};
use std::time::Duration;

/// The share by which clocks may run apart: a POP is fenced after the lease time and this part of it more.
pub const DRIFT_PERCENT: u32 = 10;

/// How long after an order was appended no POP's own clock lets it use what the order forbids.
pub fn fence_after(lease: Duration) -> Duration {
    lease + lease * DRIFT_PERCENT / 100
}

/// Whether a task waits for a POP: a member in the task's area; and, for a purge, one that was removed and is not gone,
/// since it may still be using its cache.
pub fn in_scope(pop: Area, removed: bool, area: Option<Area>, purge: bool) -> bool {
    if removed { purge } else { area.is_none_or(|area| area == pop) }
}

/// What control's log has at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This order.
    Order(OrderId),
    /// Orders that far back are not kept.
    Pruned,
    /// The log does not reach that far.
    Beyond,
}

/// What control knows of the process that runs as one POP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seat {
    /// Its data folder; absent: never heard of.
    pub data: Option<DataId>,
    /// Its boot.
    pub boot: BootId,
    /// How many times the folder was started.
    pub boot_number: u64,
    /// The highest watermark of this boot.
    pub watermark: Seq,
    /// The highest watermark this data folder ever confirmed.
    pub remembered: Seq,
    /// When its last heartbeat came, by control's steady clock; control's start, where it is known from before; absent:
    /// never heard of.
    pub heard_at: Option<Duration>,
}

impl Seat {
    /// What control knows after its restart at `start` of a POP whose data folder it remembers.
    ///
    /// The process that runs may be the one heard before, so its boot is welcome again, but no earlier one; and it may
    /// hold a lease from just before the restart, so another folder has to wait as if it had been heard at `start`.
    pub fn restored(data: DataId, boot_number: u64, watermark: Seq, start: Duration) -> Seat {
        Seat {
            data: Some(data),
            boot: BootId::default(),
            boot_number: boot_number.saturating_sub(1),
            watermark: Seq::ZERO,
            remembered: watermark,
            heard_at: Some(start),
        }
    }

    /// Judges a heartbeat and takes it in where it counts.
    ///
    /// `log` is control's log, `place` what it has at the heartbeat's watermark, `lease` the lease time in force. An
    /// accepted heartbeat gives `None`; control then answers with its log's end.
    pub fn take(
        &mut self,
        beat: &Heartbeat,
        log: LogId,
        place: Place,
        lease: Duration,
        now: Duration,
    ) -> Option<Standing> {
        if let Some(why) = self.occupied_against(beat, lease, now) {
            return Some(Standing::Refused { why });
        }
        match (beat.log, place) {
            (None, _) => return Some(Standing::Gap),
            (Some(theirs), _) if theirs != log => return Some(Standing::ForeignLog),
            (_, Place::Beyond) => return Some(Standing::ForeignLog),
            (_, Place::Pruned) => return Some(Standing::Gap),
            (_, Place::Order(id)) if id != beat.watermark_id => return Some(Standing::ForeignLog),
            (_, Place::Order(_)) => {}
        }
        if self.data != Some(beat.data) {
            *self = Seat { data: Some(beat.data), ..Seat::default() };
        }
        if self.boot != beat.boot {
            self.boot = beat.boot;
            self.boot_number = beat.boot_number;
            self.watermark = Seq::ZERO;
        }
        // Heartbeats may overtake each other; within a boot a watermark never goes back.
        self.watermark = self.watermark.max(beat.watermark);
        self.heard_at = Some(now);
        None
    }

    /// Notes that the heartbeat's watermark is durable knowledge; returns what was remembered before.
    pub fn remember(&mut self) -> Seq {
        let before = self.remembered;
        self.remembered = before.max(self.watermark);
        before
    }

    /// The highest watermark of the process that was heard in this run of control, if one was; else of its data folder.
    pub fn known_watermark(&self) -> Seq {
        if self.watermark == Seq::ZERO { self.remembered } else { self.watermark }
    }

    /// The place up to which this POP will not need the log again, whatever folder or boot comes next in its name.
    pub fn settled(&self) -> Seq {
        self.remembered.min(self.known_watermark())
    }

    /// Why another process speaks for the POP, for as long as that one may hold a lease. After that a folder that was put
    /// back to an earlier start is as welcome as any.
    fn occupied_against(&self, beat: &Heartbeat, lease: Duration, now: Duration) -> Option<String> {
        let data = self.data?;
        let silent = now.saturating_sub(self.heard_at?);
        if silent >= fence_after(lease) {
            return None;
        }
        if data == beat.data {
            let older = beat.boot != self.boot && beat.boot_number <= self.boot_number;
            return older.then(|| {
                format!(
                    "a later start (number {}) of this data folder runs as {}",
                    self.boot_number, beat.pop
                )
            });
        }
        Some(format!(
            "another process, with the data folder {data}, runs as {} and was heard {silent:?} ago",
            beat.pop
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PopId;

    const LEASE: Duration = Duration::from_secs(10);
    const LOG: LogId = LogId([1; 16]);

    fn beat(data: u8, boot: u8, boot_number: u64, watermark: u64) -> Heartbeat {
        Heartbeat {
            pop: "pop-asia".parse::<PopId>().unwrap(),
            data: DataId([data; 16]),
            boot: BootId([boot; 16]),
            boot_number,
            number: 1,
            log: Some(LOG),
            watermark: Seq(watermark),
            watermark_id: OrderId([watermark as u8; 16]),
            peer_address: None,
            prefetches: Vec::new(),
            traffic: Vec::new(),
            usage: None,
        }
    }

    fn take(seat: &mut Seat, beat: &Heartbeat, at_s: u64) -> Option<Standing> {
        let place = Place::Order(OrderId([beat.watermark.0 as u8; 16]));
        seat.take(beat, LOG, place, LEASE, Duration::from_secs(at_s))
    }

    #[test]
    fn p2_a_second_process_is_refused_until_the_first_is_fenced() {
        let mut seat = Seat::default();
        assert_eq!(take(&mut seat, &beat(1, 1, 1, 5), 100), None);
        assert!(matches!(take(&mut seat, &beat(2, 2, 1, 9), 105), Some(Standing::Refused { .. })));
        assert_eq!(seat.watermark, Seq(5), "a refused heartbeat confirms nothing");
        assert_eq!(take(&mut seat, &beat(2, 2, 1, 9), 111), None);
    }

    #[test]
    fn p2_a_restart_takes_over_and_the_older_boot_is_refused() {
        let mut seat = Seat::default();
        assert_eq!(take(&mut seat, &beat(1, 1, 1, 5), 100), None);
        assert_eq!(take(&mut seat, &beat(1, 2, 2, 4), 101), None);
        assert_eq!(seat.watermark, Seq(4), "the new boot speaks for itself");
        assert!(matches!(take(&mut seat, &beat(1, 1, 1, 6), 102), Some(Standing::Refused { .. })));
    }

    #[test]
    fn a_folder_put_back_to_an_earlier_start_is_let_in_once_the_later_one_is_fenced() {
        let mut seat = Seat::default();
        assert_eq!(take(&mut seat, &beat(1, 3, 3, 5), 100), None);
        assert!(matches!(take(&mut seat, &beat(1, 4, 2, 2), 110), Some(Standing::Refused { .. })));
        assert_eq!(take(&mut seat, &beat(1, 4, 2, 2), 111), None);
        assert_eq!(seat.watermark, Seq(2));
    }

    #[test]
    fn p2_a_watermark_counts_only_with_the_order_that_stands_there() {
        let mut seat = Seat::default();
        let judged = |seat: &mut Seat, place| seat.take(&beat(1, 1, 1, 5), LOG, place, LEASE, LEASE);
        let other = Place::Order(OrderId([9; 16]));
        assert_eq!(judged(&mut seat, other), Some(Standing::ForeignLog));
        assert_eq!(judged(&mut seat, Place::Beyond), Some(Standing::ForeignLog));
        assert_eq!(judged(&mut seat, Place::Pruned), Some(Standing::Gap));
        assert_eq!(seat.watermark, Seq(0));
        let mut foreign = beat(1, 1, 1, 5);
        foreign.log = Some(LogId([2; 16]));
        assert_eq!(take(&mut seat, &foreign, 1), Some(Standing::ForeignLog));
    }

    #[test]
    fn p2_a_restart_of_control_lets_in_who_was_there_and_nobody_else() {
        let restored = || Seat::restored(DataId([1; 16]), 2, Seq(5), Duration::from_secs(100));
        assert_eq!(take(&mut restored(), &beat(1, 9, 2, 5), 100), None, "the process of before");
        assert_eq!(take(&mut restored(), &beat(1, 9, 3, 5), 100), None, "its restart");
        assert!(matches!(take(&mut restored(), &beat(1, 9, 1, 5), 100), Some(Standing::Refused { .. })));
        assert!(matches!(take(&mut restored(), &beat(2, 9, 1, 5), 110), Some(Standing::Refused { .. })));
        assert_eq!(take(&mut restored(), &beat(2, 9, 1, 5), 111), None, "once the first is fenced");
    }

    #[test]
    fn a_rolled_back_folder_is_told_what_it_had_confirmed() {
        let mut seat = Seat::default();
        take(&mut seat, &beat(1, 1, 1, 5), 100);
        assert_eq!(seat.remember(), Seq(0));
        take(&mut seat, &beat(1, 2, 2, 3), 101);
        assert_eq!(seat.remember(), Seq(5));
        assert_eq!(seat.watermark, Seq(3));
    }
}
