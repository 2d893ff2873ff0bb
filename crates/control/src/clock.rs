//! The clocks of control: a steady one that decides, and the wall clock for people.

use async_trait::async_trait;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Where control's time comes from.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Steady time since some fixed moment; never goes back. One that stands still in suspend only fences later.
    fn now(&self) -> Duration;

    /// Resolves once [`Clock::now`] has reached `at`.
    async fn until(&self, at: Duration);

    /// Wall-clock milliseconds since 1970: shown to people and counted into quota days, never used to fence.
    fn wall_ms(&self) -> i64;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SteadyClock {
    start: Instant,
}

impl SteadyClock {
    /// A clock that shows zero now.
    pub fn new() -> SteadyClock {
        SteadyClock { start: Instant::now() }
    }
}

impl Default for SteadyClock {
    fn default() -> SteadyClock {
        SteadyClock::new()
    }
}

#[async_trait]
impl Clock for SteadyClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    async fn until(&self, at: Duration) {
        tokio::time::sleep_until((self.start + at).into()).await;
    }

    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A clock that moves only when told to, for tests and simulation.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Duration>,
    wall_start_ms: i64,
}

impl ManualClock {
    /// A clock that shows zero, at that wall-clock time.
    pub fn new(wall_start_ms: i64) -> ManualClock {
        ManualClock { now: watch::Sender::new(Duration::ZERO), wall_start_ms }
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.now.borrow()
    }

    async fn until(&self, at: Duration) {
        // The sender lives as long as this clock, so that waiting cannot fail.
        let _ = self.now.subscribe().wait_for(|now| *now >= at).await;
    }

    fn wall_ms(&self) -> i64 {
        self.wall_start_ms + i64::try_from(self.now().as_millis()).unwrap_or(i64::MAX)
    }
}
