//! A machine's clocks: one that runs a little fast or slow, and one that people set.

use crate::world::Chance;
use freshen_model::protocol::now::Now;
use std::time::Duration;

/// Rates lie within this of true, per mille: two machines then drift apart by less than the protocol allows for.
const DRIFT_PERMILLE: u32 = 45;
/// The wall clock's reading when a run begins.
const WALL_BEGINS: Duration = Duration::from_secs(1_000_000);

/// The clocks of one machine, as functions of true time.
#[derive(Clone, Debug)]
pub struct Clock {
    rate_permille: u32,
    booted_at: Duration,
    frozen: Duration,
    wall_ahead_ms: i64,
}

impl Clock {
    /// Clocks of a machine that has booted long ago; no two run alike.
    pub fn some(chance: &mut Chance) -> Clock {
        let rate_permille = 1_000 - DRIFT_PERMILLE + chance.below(2 * u64::from(DRIFT_PERMILLE) + 1) as u32;
        Clock { rate_permille, booted_at: Duration::ZERO, frozen: Duration::ZERO, wall_ahead_ms: 0 }
    }

    /// What they show at the true time `at`.
    pub fn at(&self, at: Duration) -> Now {
        let boot = self.steady(at);
        let wall = (WALL_BEGINS + at).as_millis() as i64 + self.wall_ahead_ms;
        Now { boot, wall: Duration::from_millis(wall.max(0) as u64) }
    }

    /// What the steady one shows at the true time `at`.
    pub fn steady(&self, at: Duration) -> Duration {
        (at.saturating_sub(self.booted_at) * self.rate_permille / 1_000).saturating_sub(self.frozen)
    }

    /// How much true time passes, at least, while the steady clock counts `span`.
    pub fn lasts(&self, span: Duration) -> Duration {
        span * 1_000 / self.rate_permille
    }

    /// The machine boots.
    pub fn reboot(&mut self, at: Duration) {
        self.booted_at = at;
        self.frozen = Duration::ZERO;
    }

    /// The boot clock stood still for `span`, and the wall clock was set right afterwards.
    pub fn freeze(&mut self, span: Duration) {
        self.frozen += span * self.rate_permille / 1_000;
    }

    /// Somebody sets the wall clock.
    pub fn set_wall_ahead(&mut self, ms: i64) {
        self.wall_ahead_ms = ms;
    }
}
