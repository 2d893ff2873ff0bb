//! The POP's clocks. CLOCK_BOOTTIME counts suspend too, which CLOCK_MONOTONIC (`Instant`) does not.

use freshen_model::protocol::now::Now;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// Reads both clocks.
pub fn now() -> Now {
    Now { boot: duration(clock_gettime(ClockId::Boottime)), wall: duration(clock_gettime(ClockId::Realtime)) }
}

/// The wall clock, milliseconds since 1970; for people.
pub fn wall_ms() -> i64 {
    i64::try_from(now().wall.as_millis()).unwrap_or(i64::MAX)
}

fn duration(time: Timespec) -> Duration {
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}
