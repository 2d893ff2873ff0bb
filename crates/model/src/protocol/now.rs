//! A reading of a machine's clocks.

use std::time::Duration;

/// Both clocks of a POP, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since the machine booted, suspend included (CLOCK_BOOTTIME); never goes back.
    pub boot: Duration,
    /// Wall-clock time since 1970; used only to notice a boot clock that stood still.
    pub wall: Duration,
}

/// How far the wall clock may run ahead of the boot clock before the boot clock is taken to have stood still.
pub const WALL_LEAD_MAX: Duration = Duration::from_secs(1);

impl Now {
    /// The time from `earlier` to this reading, counted so that doubt makes it longer, never shorter.
    pub fn since(&self, earlier: &Now) -> Duration {
        let boot = self.boot.saturating_sub(earlier.boot);
        let wall = self.wall.saturating_sub(earlier.wall);
        if wall > boot + WALL_LEAD_MAX { wall } else { boot }
    }
}
