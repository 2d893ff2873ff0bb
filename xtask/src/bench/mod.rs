//! `cargo xtask bench edge`: the edge beside nginx and Varnish, on this machine, in one run.
//!
//! The server under test has a core of its own; load, origin and control share the other. Sides take turns in rounds, so
//! that what disturbs the machine disturbs all of them; ratios are those within a round.

pub mod api;
mod freshen;
mod get;
mod hits;
mod load;
mod misses;
pub mod prefetch;
mod process;
pub mod purge;
pub mod rules;
mod sides;
mod store;
mod table;

use crate::tools;
use anyhow::{Context as _, bail, ensure};
use load::Transport;
use process::Scratch;
use std::path::{Path, PathBuf};
use table::Section;

/// What the benchmark may be told.
#[derive(clap::Args)]
pub struct Options {
    /// How long each side is measured in each round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds; medians of them are told.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Objects of the store case, at its second step; the first has a tenth of them.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    objects: u64,
    /// Only this case; may be given several times.
    #[arg(long)]
    only: Vec<Case>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Case {
    /// Hits of 1 KiB.
    #[value(name = "hit-1k")]
    Hit1k,
    /// Hits of 64 KiB.
    #[value(name = "hit-64k")]
    Hit64k,
    /// Hits of 1 MiB that fit into memory.
    #[value(name = "hit-1m-memory")]
    Hit1mMemory,
    /// Hits of 1 MiB that do not: from disk, which the kernel has in its page cache.
    #[value(name = "hit-1m-disk")]
    Hit1mDisk,
    /// Hits of 1 KiB by TLS 1.3.
    #[value(name = "tls-1k")]
    Tls1k,
    /// Hits of 64 KiB by TLS 1.3.
    #[value(name = "tls-64k")]
    Tls64k,
    /// Hits of 1 KiB by HTTP/2.
    #[value(name = "h2-1k")]
    H21k,
    /// Misses of 1 MiB, each URL once.
    #[value(name = "miss-1m")]
    Miss1m,
    /// Hits of 1 KiB while 10⁵ purge rules live.
    #[value(name = "rules")]
    Rules,
    /// Look-ups among 10⁵ and 10⁶ objects on disk.
    #[value(name = "store")]
    Store,
}

/// What all cases need.
struct Bench {
    root: PathBuf,
    scratch: PathBuf,
    program: PathBuf,
    seconds: u64,
    rounds: u64,
    objects: u64,
}

impl Bench {
    /// A folder for one case's files.
    fn folder(&self, case: Case) -> anyhow::Result<PathBuf> {
        let folder = self.scratch.join(format!("{case:?}"));
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    fn run(&self, case: Case) -> anyhow::Result<Section> {
        match case {
            Case::Hit1k => hits::measure(self, case, "/1k/", 64, Transport::Plain),
            Case::Hit64k => hits::measure(self, case, "/64k/", 64, Transport::Plain),
            Case::Hit1mMemory => hits::measure(self, case, "/1m/", 32, Transport::Plain),
            Case::Hit1mDisk => hits::measure_from_disk(self),
            Case::Tls1k => hits::measure(self, case, "/1k/", 64, Transport::Tls),
            Case::Tls64k => hits::measure(self, case, "/64k/", 64, Transport::Tls),
            Case::H21k => hits::measure(self, case, "/1k/", 64, Transport::H2),
            Case::Rules => hits::measure_with_rules(self),
            Case::Miss1m => misses::measure(self),
            Case::Store => store::measure(self),
        }
    }
}

/// Runs the cases and writes their tables into `docs/benchmarks.md`. Cases that fail are named at the end.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    install()?;
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores >= 2, "the server under test needs a core of its own; this machine has {cores}");
    let program = build(root)?;
    let scratch = Scratch::new()?;
    let bench = Bench {
        root: root.to_owned(),
        scratch: scratch.path.clone(),
        program,
        seconds: options.seconds,
        rounds: options.rounds,
        objects: options.objects,
    };
    let (mut sections, mut failed) = (Vec::new(), Vec::new());
    for case in <Case as clap::ValueEnum>::value_variants() {
        if !options.only.is_empty() && !options.only.contains(case) {
            continue;
        }
        eprintln!("{}", table::title(*case));
        match bench.run(*case) {
            Ok(section) => {
                eprintln!("\n{}", section.text);
                sections.push(section);
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                failed.push(table::title(*case));
            }
        }
    }
    let measured =
        format!("`cargo xtask bench edge --seconds {} --rounds {}`", options.seconds, options.rounds);
    let titles = <Case as clap::ValueEnum>::value_variants().iter().map(|case| table::title(*case));
    let part = table::Part { bench: "edge", titles: titles.collect() };
    table::write(&root.join("docs/benchmarks.md"), &part, &sections, &measured)?;
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join("; "));
    }
    Ok(())
}

/// Makes sure of the programs that are compared, and of those that make the load.
fn install() -> anyhow::Result<()> {
    for (program, version, package) in [
        ("nginx", "-v", "nginx"),
        ("varnishd", "-V", "varnish"),
        ("h2load", "--version", "nghttp2-client"),
        ("openssl", "version", "openssl"),
        ("taskset", "--version", "util-linux"),
    ] {
        if !tools::succeeds(std::process::Command::new(program).arg(version)) {
            tools::install_debian_package(package)?;
        }
    }
    // wrk has no option that ends well: that it can be started is all that can be asked.
    if std::process::Command::new("wrk").arg("-v").output().is_err() {
        tools::install_debian_package("wrk")?;
    }
    Ok(())
}

fn build(root: &Path) -> anyhow::Result<PathBuf> {
    tools::run(tools::cargo(root).args(["build", "--release", "--package", "freshen-cli"]))?;
    let program = tools::target(root).join("release/freshen");
    program.canonicalize().with_context(|| program.display().to_string())
}
