//! Runs seeds: `freshen-simulation FIRST COUNT`, or one of them with its trace: `freshen-simulation SEED trace`.

use freshen_simulation::sights::{SIGHTS, Sights};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let first = arguments.first().and_then(|text| text.parse().ok());
    let count = arguments.get(1).and_then(|text| text.parse().ok());
    match (first, count) {
        (Some(seed), None) => trace(seed),
        (Some(first), Some(count)) => run(first, count),
        _ => {
            eprintln!("freshen-simulation FIRST COUNT, or freshen-simulation SEED trace");
            ExitCode::from(2)
        }
    }
}

/// Runs seeds until one fails.
fn run(first: u64, count: u64) -> ExitCode {
    let began = Instant::now();
    let (mut steps, mut sights) = (0, Sights::default());
    for seed in first..first.saturating_add(count) {
        let outcome = freshen_simulation::run(seed, false);
        steps += outcome.steps;
        sights.add(&outcome.sights);
        if outcome.violation.is_some() {
            eprintln!("seed {seed} fails after {} steps:", outcome.steps);
            return trace(seed);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    for sight in SIGHTS {
        eprintln!("{:>12}  {sight:?}", sights.of(*sight));
    }
    let (a_second, each) = (count as f64 / seconds, steps / count.max(1));
    eprintln!(
        "{count} seeds from {first}, no violation: {seconds:.1} s, {a_second:.0} seeds/s, {each} steps each"
    );
    ExitCode::SUCCESS
}

/// Runs one seed and shows what happened.
fn trace(seed: u64) -> ExitCode {
    let outcome = freshen_simulation::run(seed, true);
    for line in &outcome.trace {
        eprintln!("{line}");
    }
    match outcome.violation {
        Some(violation) => {
            eprintln!(
                "seed {seed}, step {}: {} broken: {}",
                outcome.steps, violation.promise, violation.what
            );
            ExitCode::FAILURE
        }
        None => {
            eprintln!("seed {seed}: {} steps, no violation", outcome.steps);
            ExitCode::SUCCESS
        }
    }
}
