//! A directory of very many objects is purged, while hits elsewhere go on: beside Varnish's bans and ngx_cache_purge, in
//! the same run.

use super::peers::Way;
use super::spread::Spread;
use super::{Bench, build_example};
use crate::bench::freshen::Freshen;
use crate::bench::load::{self, HOST, Run, Transport};
use crate::bench::process::pause;
use crate::bench::sides::{Others, Setup, Side, metric_value};
use crate::bench::store::ask_for_each;
use crate::tools;
use anyhow::{Context as _, bail};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What makes nginx purge.
const MODULE: &str = "libnginx-mod-http-cache-purge";
/// The directory, and what is elsewhere.
pub const PREFIX: &str = "/text/";
const ELSEWHERE: &str = "/1k/";
const URLS_ELSEWHERE: usize = 64;
/// Of nginx, so many parts of the directory are purged with nothing else to do; the others while hits go on.
const NGINX_PARTS: u64 = 10;
/// Purges of Freshen's whose counts are waited for.
const COUNTED_MAX: u64 = 30;
/// The same where there are [`super::Options::entries`].
const COUNTED_OF_ENTRIES_MAX: u64 = 5;
/// How long a server may need to come to rest.
const SETTLE_S_MAX: u64 = 600;
/// Between two purges while hits go on.
const PURGE_EVERY: Duration = Duration::from_millis(100);

/// What one side's purges came to.
struct Row {
    name: String,
    /// From an order's receipt to its publication; of Freshen only.
    applied_ms: Option<f64>,
    /// As [`Way::timed`] has it; of nginx, requests for all of the directory.
    takes: Spread,
    /// Of the server, for one purge of the directory, beyond what it takes when idle; counting what it matched included.
    cpu_ms: f64,
    quiet: Run,
    during: Run,
    quiet_cpu_us: f64,
    during_cpu_us: f64,
}

pub(super) fn measure(bench: &Bench<'_>, folder: &Path) -> anyhow::Result<String> {
    if !tools::succeeds(Command::new("dpkg").args(["-s", MODULE])) {
        tools::install_debian_package(MODULE)?;
    }
    let make_entries = build_example(bench.root, "freshen-pop", "entries")?;
    let setup = Setup { nginx: "purge-nginx.conf", varnish: "purge.vcl", memory: "16g" };
    let others = Others::start_with(bench.root, folder, &setup)?;
    let mut freshen = Freshen::set_up(&bench.program, folder.join("freshen"), others.origin_port)?;
    // A sweep is for itself; here purges are looked at.
    let settings = [("sweep_interval_ms", 1_000_000_000_i64), ("disk_bytes_max", 64 << 30)];
    freshen.start_pop(&settings.map(|(name, value)| (name, value.into())))?;
    let (mut nginx, mut varnish) = (others.nginx(), others.varnish());
    nginx.name = "ngx_cache_purge".into();
    varnish.name = "Varnish, ban".into();
    let objects = bench.options.objects;
    let sides = [
        (freshen.side("Freshen")?, Way::Freshen(&freshen)),
        (varnish, Way::Varnish(&others)),
        (nginx, Way::Nginx(others.nginx().port)),
    ];
    let mut rows = Vec::new();
    for (side, way) in &sides {
        let began = Instant::now();
        ask_for_each(side.port, PREFIX, 0, objects)?;
        eprintln!("    {}: {objects} objects after {:.0} s", side.name, began.elapsed().as_secs_f64());
        rows.push(row(bench, folder, side, way, COUNTED_MAX).with_context(|| side.name.clone())?);
        eprintln!("{}", text(objects, &rows));
    }

    let entries = bench.options.entries;
    // What is not counted yet would be counted again among so many.
    settle(&sides[0].0)?;
    let data = freshen.stop_pop()?;
    let mut command = Command::new(make_entries);
    tools::run(command.arg(data).args([HOST, &format!("{PREFIX}0"), &entries.to_string()]))?;
    let ready = freshen.start_pop(&[])?;
    eprintln!("    Freshen: {entries} entries more, ready after {} ms", ready.as_millis());
    let side = freshen.side(&format!("Freshen, {entries} entries more"))?;
    rows.insert(1, row(bench, folder, &side, &Way::Freshen(&freshen), COUNTED_OF_ENTRIES_MAX)?);
    Ok(text(objects, &rows))
}

/// Measures a side that has the objects. Of Freshen's purges it waits for so many counts at most.
fn row(
    bench: &Bench<'_>,
    folder: &Path,
    side: &Side<'_>,
    way: &Way<'_>,
    counted_max: u64,
) -> anyhow::Result<Row> {
    let (objects, seconds) = (bench.options.objects, bench.options.seconds);
    let elsewhere = || hits(folder, side, seconds);
    settle(side)?;
    elsewhere()?;
    let (quiet, quiet_cpu_us) = elsewhere()?;

    let idle = idle(side)?;
    let applied = applied(way)?;
    let (cpu, alone) = (side.process.cpu_us()?, Instant::now());
    let mut times = Vec::new();
    let (purges, part) = match way {
        Way::Nginx(_) => (1, objects / NGINX_PARTS),
        Way::Freshen(_) => (bench.options.rounds.min(counted_max), objects),
        Way::Varnish(_) => (bench.options.rounds, objects),
    };
    for _ in 0..purges {
        // What takes one request for each URL takes so much longer for all.
        times.push(way.timed(0, part)?.mul_f64(objects as f64 / part as f64));
    }
    let applied_ms = applied
        .zip(self::applied(way)?)
        .map(|((seconds, orders), (later, more))| (later - seconds) * 1e3 / (more - orders));
    // Counts may be behind.
    settle(side)?;
    let spent = (side.process.cpu_us()? - cpu) as f64 / 1e3 - idle * alone.elapsed().as_secs_f64();
    let cpu_ms = spent / purges as f64 * objects as f64 / part as f64;

    let over = AtomicBool::new(false);
    let (during, during_cpu_us) = thread::scope(|scope| {
        let purging = scope.spawn(|| purge_until(way, &over, part, objects));
        let measured = elsewhere();
        over.store(true, Ordering::Relaxed);
        match purging.join() {
            Ok(purged) => purged.and(measured),
            Err(_) => bail!("the purging thread panicked"),
        }
    })?;
    let name = side.name.clone();
    Ok(Row { name, applied_ms, takes: Spread::of(times), cpu_ms, quiet, during, quiet_cpu_us, during_cpu_us })
}

/// Purges again and again; of nginx, from one URL to another, a thousand at a time.
fn purge_until(way: &Way<'_>, over: &AtomicBool, from: u64, to: u64) -> anyhow::Result<()> {
    let mut at = from;
    while !over.load(Ordering::Relaxed) {
        match way {
            Way::Nginx(_) if at >= to => return Ok(()),
            Way::Nginx(_) => {
                way.purge(at, to.min(at + 1_000))?;
                at += 1_000;
            }
            Way::Freshen(_) | Way::Varnish(_) => {
                way.purge(from, to)?;
                pause(PURGE_EVERY);
            }
        }
    }
    Ok(())
}

/// A run of hits elsewhere, with the CPU of the server for each.
fn hits(folder: &Path, side: &Side<'_>, seconds: u64) -> anyhow::Result<(Run, f64)> {
    let cpu = side.process.cpu_us()?;
    let run = load::h2load(folder, Transport::Plain, side.port, ELSEWHERE, URLS_ELSEWHERE, seconds)?;
    Ok((run, (side.process.cpu_us()? - cpu) as f64 / run.requests as f64))
}

/// Waits until a server has ended what it does for itself after a fill or a start, and the disk has what was written.
fn settle(side: &Side<'_>) -> anyhow::Result<()> {
    tools::run(&mut Command::new("sync"))?;
    for _ in 0..SETTLE_S_MAX {
        let before = side.process.cpu_us()?;
        pause(Duration::from_secs(1));
        if side.process.cpu_us()? - before < 20_000 {
            return Ok(());
        }
    }
    bail!("{} is still at work after {SETTLE_S_MAX} s with nothing to do", side.name)
}

/// CPU that a server takes with nothing to do, milliseconds a second.
fn idle(side: &Side<'_>) -> anyhow::Result<f64> {
    let (cpu, began) = (side.process.cpu_us()?, Instant::now());
    pause(Duration::from_secs(10));
    Ok((side.process.cpu_us()? - cpu) as f64 / 1e3 / began.elapsed().as_secs_f64())
}

/// What a POP says of applying orders, its sync included: seconds in all, and how many times.
fn applied(way: &Way<'_>) -> anyhow::Result<Option<(f64, f64)>> {
    let Way::Freshen(freshen) = way else { return Ok(None) };
    let value = |which: &str| metric_value(freshen.admin_port, &format!("freshen_pop_apply_seconds_{which}"));
    Ok(Some((value("sum")?, value("count")?)))
}

fn text(objects: u64, rows: &[Row]) -> String {
    let mut text = format!(
        "| {objects} objects in the directory | applied after ms | a purge takes ms, p50 | longest | CPU ms of the server | \
         hits elsewhere: p50 µs, and while it purges | p99 µs, and | CPU µs a hit, and |\n|---|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for row in rows {
        let applied = row.applied_ms.map_or_else(String::new, |ms| format!("{ms:.2}"));
        let _ = writeln!(
            text,
            "| {} | {applied} | {:.1} | {:.1} | {:.2} | {}, {} | {}, {} | {:.1}, {:.1} |",
            row.name,
            row.takes.p50_ms,
            row.takes.max_ms,
            row.cpu_ms,
            row.quiet.p50_us,
            row.during.p50_us,
            row.quiet.p99_us,
            row.during.p99_us,
            row.quiet_cpu_us,
            row.during_cpu_us,
        );
    }
    text.push_str(
        "\n«Applied» is from an order's receipt to its publication at the POP, on average, most of it the sync of its \
         journal. Freshen's CPU is nearly all for counting what was matched, behind the purge, on a thread that gives way.\n",
    );
    text
}
