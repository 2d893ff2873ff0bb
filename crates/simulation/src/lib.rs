//! The purge protocol under everything we can throw at it: a fleet in a deterministic simulation.
//!
//! The state machines are production's own (`freshen_model::protocol`). Around them, network, disks, clocks, origin and
//! viewers are played: they lose, delay, double, reorder, tear, drift, jump and stand still as a seed says. After each
//! step the [invariants] look. One seed is one run, always the same; a seed that fails shows what happened with its trace.
//!
//! **Invariant:** nothing here reads a clock, a disk, a socket or a source of chance but the seed; and nothing here decides
//! what the protocol decides.

pub mod clock;
pub mod control;
pub mod disk;
pub mod fleet;
pub mod invariants;
pub mod ledger;
pub mod network;
pub mod origin;
pub mod plan;
pub mod pop;
pub mod sights;
pub mod viewer;
pub mod world;

use invariants::Violation;
use sights::Sights;

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// How many events happened.
    pub steps: u64,
    /// A number that two runs share only if the same happened in both.
    pub digest: u64,
    /// What states it reached, and how often.
    pub sights: Sights,
    /// What was broken first, if something was.
    pub violation: Option<Violation>,
    /// What happened, line by line; empty unless asked for.
    pub trace: Vec<String>,
}

/// Runs one seed to its end, or to the first violation.
pub fn run(seed: u64, trace: bool) -> Outcome {
    fleet::Fleet::new(seed, trace).run()
}
