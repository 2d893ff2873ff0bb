//! Some hundred seeds, as everybody runs them with all other tests; `cargo xtask simulate` runs more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use freshen_simulation::invariants::Violation;
use freshen_simulation::sights::Sights;

/// Enough to reach every state worth reaching, and for every mutation to be noticed.
const SEEDS: u64 = 700;

/// The promises hold, and what they are held against did happen.
#[test]
fn p1_to_p9_hold_in_every_seed() {
    let mut sights = Sights::default();
    for seed in 0..SEEDS {
        let outcome = freshen_simulation::run(seed, false);
        if let Some(Violation { promise, what }) = outcome.violation {
            panic!(
                "seed {seed}, step {}: {promise} broken: {what}; cargo xtask simulate --seed {seed} --trace shows how",
                outcome.steps
            );
        }
        sights.add(&outcome.sights);
    }
    assert_eq!(sights.missing(), [], "not reached in {SEEDS} seeds");
}

/// One seed is one run, always the same: what fails can be looked at again.
#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in [3, 5, 8] {
        let (one, two) = (freshen_simulation::run(seed, false), freshen_simulation::run(seed, true));
        assert_eq!((one.steps, one.digest), (two.steps, two.digest), "seed {seed}");
        assert!(!two.trace.is_empty());
    }
}
