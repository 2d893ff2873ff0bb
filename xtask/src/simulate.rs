//! The simulation of the purge protocol, in release, with as many seeds as one likes.

use crate::tools;
use std::path::Path;

/// Runs seeds; the first one that breaks a promise ends it, with its trace.
pub fn run(root: &Path, from: u64, seeds: u64) -> anyhow::Result<()> {
    simulate(root, &[from.to_string(), seeds.to_string()])
}

/// Runs one seed.
pub fn one(root: &Path, seed: u64, trace: bool) -> anyhow::Result<()> {
    match trace {
        true => simulate(root, &[seed.to_string(), "trace".into()]),
        false => simulate(root, &[seed.to_string(), "1".into()]),
    }
}

fn simulate(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let mut simulation = tools::cargo(root);
    simulation.args(["run", "--quiet", "--release", "--package", "freshen-simulation", "--"]);
    tools::run(simulation.args(arguments))
}
