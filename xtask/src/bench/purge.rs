//! `cargo xtask bench purge`: what purges cost and how long they take, everything durable.

mod accepted;
mod directory;
mod fan_out;
mod floor;
mod peers;
mod spread;
mod three;
mod until_new;

pub use three::Three;

use super::process::Scratch;
use super::table::{self, Part, Section};
use crate::tools;
use anyhow::{Context as _, bail, ensure};
use std::path::{Path, PathBuf};

/// What the benchmark may be told.
#[derive(clap::Args)]
pub struct Options {
    /// Purges of each case that makes them one by one.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    rounds: u64,
    /// How long load is made, in each case that makes some.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Light POPs that follow one control.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    clients: u64,
    /// Objects in the directory that is purged.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    objects: u64,
    /// Entries in the directory, beyond objects that were fetched, when Freshen is measured once more.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    entries: u64,
    /// Only this case; may be given several times.
    #[arg(long)]
    only: Vec<Case>,
    /// Print the tables only, and leave docs/benchmarks.md.
    #[arg(long)]
    dry: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// Three POPs: from the sending of a purge until every POP gives the new object.
    UntilNew,
    /// URL purges accepted a second, in batches of 1,000.
    Accepted,
    /// Very many POPs that follow one control.
    FanOut,
    /// A directory of very many objects, beside Varnish and nginx.
    Directory,
}

impl Case {
    fn title(self) -> &'static str {
        match self {
            Case::UntilNew => "One URL, until every POP is new",
            Case::Accepted => "URLs a second",
            Case::FanOut => "To very many POPs",
            Case::Directory => "A directory of very many objects",
        }
    }
}

/// What all cases need.
struct Bench<'a> {
    root: &'a Path,
    scratch: PathBuf,
    program: PathBuf,
    options: &'a Options,
}

impl Bench<'_> {
    fn run(&self, case: Case) -> anyhow::Result<Section> {
        let folder = self.scratch.join(format!("{case:?}"));
        std::fs::create_dir(&folder)?;
        let text = match case {
            Case::UntilNew => until_new::measure(self, &folder),
            Case::Accepted => accepted::measure(self, &folder),
            Case::FanOut => fan_out::measure(self, &folder),
            Case::Directory => directory::measure(self, &folder),
        }?;
        Ok(Section { title: case.title(), text })
    }
}

/// Runs the cases and writes their tables into `docs/benchmarks.md`. Cases that fail are named at the end.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    super::install()?;
    ensure!(std::thread::available_parallelism()?.get() >= 2, "two cores at least");
    let program = super::build(root)?;
    let scratch = Scratch::new()?;
    let bench = Bench { root, scratch: scratch.path.clone(), program, options };
    let (mut sections, mut failed) = (Vec::new(), Vec::new());
    let cases = <Case as clap::ValueEnum>::value_variants();
    for case in cases.iter().filter(|case| options.only.is_empty() || options.only.contains(case)) {
        eprintln!("{}", case.title());
        match bench.run(*case) {
            Ok(section) => {
                eprintln!("\n{}", section.text);
                sections.push(section);
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                failed.push(case.title());
            }
        }
    }
    if !options.dry {
        let part = Part { bench: "purge", titles: cases.iter().map(|case| case.title()).collect() };
        let Options { rounds, seconds, clients, objects, entries, .. } = options;
        let measured = format!(
            "`cargo xtask bench purge --rounds {rounds} --seconds {seconds} --clients {clients} --objects {objects} \
             --entries {entries}`"
        );
        table::write(&root.join("docs/benchmarks.md"), &part, &sections, &measured)?;
    }
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join("; "));
    }
    Ok(())
}

/// An example of a package: what plays very many POPs, or makes very many entries.
fn build_example(root: &Path, package: &str, name: &str) -> anyhow::Result<PathBuf> {
    tools::run(tools::cargo(root).args(["build", "--release", "--package", package, "--example", name]))?;
    let program = tools::target(root).join("release/examples").join(name);
    program.canonicalize().with_context(|| program.display().to_string())
}
