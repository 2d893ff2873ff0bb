//! `cargo xtask bench prefetch`: what it takes to warm three POPs, beside what a transfer takes by itself, and a shell's loop
//! of curl over three caches of nginx.

mod capped;
mod fleet;
mod limited;
mod site;

use super::process::Scratch;
use super::table::{self, Part, Section, median};
use crate::tools;
use anyhow::{bail, ensure};
use fleet::Warmed;
use limited::Line;
use site::Site;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The domain of what is prefetched.
const DOMAIN: &str = "prefetch.test";
/// What warming three POPs may take, by one bare transfer from a limited origin; and by `curl | tee` from another.
const LIMITED_MOST: f64 = 1.2;
const UNLIMITED_MOST: f64 = 1.5;
/// What a POP's memory may grow by.
const MEMORY_MOST: u64 = 384 << 20;

/// What the benchmark may be told.
#[derive(clap::Args)]
pub struct Options {
    /// Files of 1 MiB.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    files: u64,
    /// The large file, MiB.
    #[arg(long, default_value_t = 4_096, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    large_mib: u64,
    /// What a limited origin sends, MB/s.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// Rounds; medians of them are told.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// How long hits are measured at a time.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
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
    /// Three POPs, and an origin that sends so many bytes a second.
    Limited,
    /// Three POPs, and an origin that sends as fast as it can.
    Unlimited,
    /// Hits while a prefetch runs at 20 MB/s.
    Capped,
}

impl Case {
    fn title(self) -> &'static str {
        match self {
            Case::Limited => "Prefetch from a limited origin",
            Case::Unlimited => "Prefetch from an unlimited origin",
            Case::Capped => "Hits beside a capped prefetch",
        }
    }
}

/// A table, and what of its bounds was missed.
struct Told {
    text: String,
    missed: Vec<String>,
}

/// Runs the cases and writes their tables into `docs/benchmarks.md`. Fails where a bound was missed.
pub fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    super::install()?;
    if !tools::succeeds(std::process::Command::new("curl").arg("--version")) {
        tools::install_debian_package("curl")?;
    }
    ensure!(std::thread::available_parallelism()?.get() >= 2, "two cores at least");
    let program = super::build(root)?;
    let scratch = Scratch::new()?;
    let mut site = Site::make(&scratch.path, options.large_mib << 20)?;
    let bench = Bench { root, folder: scratch.path.clone(), program, options };
    let (mut sections, mut missed) = (Vec::new(), Vec::new());
    let cases = <Case as clap::ValueEnum>::value_variants();
    for case in cases.iter().filter(|case| options.only.is_empty() || options.only.contains(case)) {
        eprintln!("{}", case.title());
        let told = bench.measure(*case, &mut site)?;
        eprintln!("\n{}", told.text);
        missed.extend(told.missed);
        sections.push(Section { title: case.title(), text: told.text });
    }
    let Options { files, large_mib, limit, rounds, seconds, .. } = options;
    if !options.dry {
        let part = Part { bench: "prefetch", titles: cases.iter().map(|case| case.title()).collect() };
        let measured = format!(
            "`cargo xtask bench prefetch --files {files} --large-mib {large_mib} --limit {limit} --rounds {rounds} --seconds {seconds}`"
        );
        table::write(&root.join("docs/benchmarks.md"), &part, &sections, &measured)?;
    }
    if !missed.is_empty() {
        bail!("missed: {}", missed.join("; "));
    }
    Ok(())
}

struct Bench<'a> {
    root: &'a Path,
    folder: PathBuf,
    program: PathBuf,
    options: &'a Options,
}

impl Bench<'_> {
    fn measure(&self, case: Case, site: &mut Site) -> anyhow::Result<Told> {
        if case == Case::Capped {
            site.start(self.root, site.origin_port)?;
            return capped::measure(&self.program, &self.folder, site.origin_port, self.options);
        }
        let Options { files, large_mib, limit, rounds, .. } = self.options;
        let line = match case {
            Case::Limited => Some(Line::open(site.origin_port, limit * 1_000_000)?),
            _ => None,
        };
        let mut told = Told { text: head(case), missed: Vec::new() };
        let many = (0..*files).map(|file| format!("/1m/{file}")).collect();
        let sets: [(String, Vec<String>, String, u64); 2] = [
            (format!("{files} × 1 MiB"), many, format!("/1m/[0-{}]", files - 1), files << 20),
            (format!("1 × {large_mib} MiB"), vec!["/large/0".into()], "/large/0".into(), large_mib << 20),
        ];
        for (name, paths, globbed, bytes) in sets {
            let mut turns = Vec::new();
            for _ in 0..*rounds {
                turns.push(self.turn(site, line.as_ref(), &paths, &globbed, bytes)?);
            }
            told.add(case, &name, bytes, &turns);
        }
        Ok(told)
    }

    /// All sides once, each with everything cold.
    fn turn(
        &self,
        site: &mut Site,
        line: Option<&Line>,
        paths: &[String],
        globbed: &str,
        bytes: u64,
    ) -> anyhow::Result<Turn> {
        let upstream = line.map_or(site.origin_port, |line| line.port);
        site.start(self.root, upstream)?;
        let alone = match line {
            Some(line) => site.bare(line.port, globbed)?,
            None => site.tee(globbed)?,
        };
        let carried = line.map(Line::carried);
        let looped = site.loop_of_curl(globbed)?;
        let looped_bytes = line.map(Line::carried).zip(carried).map(|(now, before)| now - before);
        // Its files are given back before the next.
        site.start(self.root, upstream)?;
        let carried = line.map(Line::carried);
        let warmed = fleet::prefetch(&self.program, &self.folder.join("fleet"), upstream, paths)?;
        if let Some((now, before)) = line.map(Line::carried).zip(carried) {
            let heads = 2_048 * (paths.len() as u64 + warmed.origin_requests);
            let told = warmed.origin_bytes;
            ensure!((told..=told + heads).contains(&(now - before)), "{told} told, {} sent", now - before);
        }
        eprintln!(
            "    {:.2} s by itself, {:.2} s with a loop, {:.2} s with Freshen, origin {:.3}×",
            alone.as_secs_f64(),
            looped.as_secs_f64(),
            warmed.took.as_secs_f64(),
            warmed.origin_bytes as f64 / bytes as f64
        );
        Ok(Turn { alone, looped, looped_bytes, warmed })
    }
}

/// What each side took.
struct Turn {
    alone: Duration,
    looped: Duration,
    looped_bytes: Option<u64>,
    warmed: Warmed,
}

fn head(case: Case) -> String {
    let alone = if case == Case::Limited { "one bare transfer" } else { "curl \\| tee ×3, synced" };
    format!(
        "| | {alone}, s | Freshen to 3 POPs, s | of that | origin bytes ÷ object bytes | loop of curl over 3 nginx, s | its origin bytes | memory of a POP, MiB more |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n"
    )
}

impl Told {
    fn add(&mut self, case: Case, name: &str, bytes: u64, turns: &[Turn]) {
        let seconds = |of: fn(&Turn) -> Duration| median(turns.iter().map(|turn| of(turn).as_secs_f64()));
        let ratio =
            median(turns.iter().map(|turn| turn.warmed.took.as_secs_f64() / turn.alone.as_secs_f64()));
        let share = |bytes_of: u64| bytes_of as f64 / bytes as f64;
        let origin = turns.iter().map(|turn| share(turn.warmed.origin_bytes)).fold(0.0, f64::max);
        let looped = turns.iter().filter_map(|turn| turn.looped_bytes).map(share).fold(0.0, f64::max);
        let looped = if looped > 0.0 { format!("{looped:.2}×") } else { String::new() };
        let more = |turn: &Turn| turn.warmed.memory.saturating_sub(turn.warmed.memory_before);
        let memory = turns.iter().map(more).max().unwrap_or(0);
        let _ = writeln!(
            self.text,
            "| {name} | {:.2} | {:.2} | **{ratio:.2}×** | {origin:.2}× | {:.2} | {looped} | {} |",
            seconds(|turn| turn.alone),
            seconds(|turn| turn.warmed.took),
            seconds(|turn| turn.looped),
            memory >> 20
        );
        let most = if case == Case::Limited { LIMITED_MOST } else { UNLIMITED_MOST };
        if ratio > most {
            self.missed.push(format!("{}, {name}: {ratio:.2}×, not {most}×", case.title()));
        }
        if (origin - 1.0).abs() > 0.005 {
            self.missed.push(format!("{}, {name}: origin bytes {origin:.3}×", case.title()));
        }
        if memory > MEMORY_MOST {
            self.missed.push(format!("{}, {name}: {} MiB of memory", case.title(), memory >> 20));
        }
    }
}
