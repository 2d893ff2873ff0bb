//! `cargo xtask`: the one door to everything done with this repository besides building it.
//!
//! Invariant: what a task needs is installed or named, never skipped;
//! a task that ends well has done all of its work.

mod bench;
mod ci;
mod fuzz;
mod mutate;
mod simulate;
mod soak;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::Parser;

/// Work on the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Run all tests, after installing what they need.
    Test {
        /// Run only tests whose name contains one of these.
        filters: Vec<String>,
    },
    /// Run everything a change has to pass: format, lints, tidy checks, licences, tests.
    Ci,
    /// Check the repository's own rules.
    Tidy,
    /// Mixed traffic while POPs are killed and paused, control is cut off and the origin fails and lies; nothing purged or
    /// mixed may be seen, and no disk may hold more than its budget.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: u64,
    },
    /// Requests changed at random, against the API's parser and signature.
    Fuzz {
        /// How long.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: u64,
    },
    /// A fleet in a deterministic simulation, seed by seed, until one breaks a promise.
    Simulate {
        /// How many seeds.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// The first of them.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// This one alone, to its end or its violation.
        #[arg(long, conflicts_with_all = ["seeds", "from"])]
        seed: Option<u64>,
        /// Shows all that happens in it.
        #[arg(long, requires = "seed")]
        trace: bool,
    },
    /// Measure.
    #[command(subcommand)]
    Bench(Bench),
    /// Break each promise on purpose, in a copy of the tree, and see its tests fail.
    Mutate {
        /// Only mutations whose name contains one of these.
        filters: Vec<String>,
    },
}

/// What can be measured.
#[derive(clap::Subcommand)]
enum Bench {
    /// The edge beside nginx and Varnish, all on this machine; writes docs/benchmarks.md.
    Edge(bench::Options),
    /// Purges: until every POP is new, how many a second, to a thousand POPs, of a directory of a million objects beside
    /// Varnish and nginx; writes docs/benchmarks.md.
    Purge(bench::purge::Options),
    /// Prefetches to three POPs beside bare transfers and a loop of curl over three caches of nginx, and hits beside a
    /// capped prefetch; writes docs/benchmarks.md.
    Prefetch(bench::prefetch::Options),
    /// The console's pages over loopback: the first one, lists of 10,000 records, progress at an open page.
    Console,
    /// Submissions of 20 accounts, 50 a second each, durable; writes docs/benchmarks.md.
    Api {
        /// How long.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
    },
    /// An object against 10⁵ live rules, and against 100 patterns; writes docs/benchmarks.md.
    Rules,
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Not by returning the error: its backtrace would hide what the runner said last.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let root = tools::workspace_root()?;
    match task {
        Task::Test { filters } => test::run(&root, &filters),
        Task::Ci => ci::run(&root),
        Task::Tidy => tidy::run(&root),
        Task::Fuzz { seconds } => fuzz::run(&root, seconds),
        Task::Soak { seconds } => soak::run(&root, seconds),
        Task::Simulate { seed: Some(seed), trace, .. } => simulate::one(&root, seed, trace),
        Task::Simulate { seeds, from, .. } => simulate::run(&root, from, seeds),
        Task::Bench(Bench::Edge(options)) => bench::run(&root, &options),
        Task::Bench(Bench::Purge(options)) => bench::purge::run(&root, &options),
        Task::Bench(Bench::Prefetch(options)) => bench::prefetch::run(&root, &options),
        Task::Bench(Bench::Console) => {
            let figures = ["run", "--release", "-q", "-p", "freshen-console", "--example", "figures"];
            tools::run(tools::cargo(&root).args(figures))
        }
        Task::Bench(Bench::Api { seconds }) => bench::api::run(&root, seconds),
        Task::Bench(Bench::Rules) => bench::rules::run(&root),
        Task::Mutate { filters } => mutate::run(&root, &filters),
    }
}
