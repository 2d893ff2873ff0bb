//! Hits: what every side has in its cache before it is measured, proven by its own counter and by the origin's.

use super::freshen::Freshen;
use super::get::{self, Connection};
use super::load::{self, HOST, Run, Transport, Urls};
use super::sides::{Others, Side, metric};
use super::table::{self, Round, Section};
use super::{Bench, Case};
use anyhow::ensure;

/// Bodies of 1 MiB in the disk case, of which no more than a few fit into the POP's memory then.
const DISK_URLS: usize = 256;
/// The least that `memory_bytes_max` may be.
const LITTLE_MEMORY: i64 = 8 << 20;
const RULES: u64 = 100_000;

/// One of the cases with h2load.
pub fn measure(
    bench: &Bench,
    case: Case,
    prefix: &str,
    urls: usize,
    transport: Transport,
) -> anyhow::Result<Section> {
    let scratch = bench.folder(case)?;
    let others = Others::start(&bench.root, &scratch)?;
    let mut freshen = Freshen::set_up(&bench.program, scratch.join("freshen"), others.origin_port)?;
    match transport {
        Transport::Plain => drop(freshen.start_pop(&[])?),
        Transport::Tls | Transport::H2 => freshen.start_pop_with_tls(&scratch)?,
    }
    let mut sides = vec![freshen.side("Freshen")?, others.nginx(), others.nginx_without_sendfile()];
    // Varnish leaves TLS to others.
    if transport == Transport::Plain {
        sides.push(others.varnish());
    }
    let rounds = rounds(bench, &sides, &others, prefix, urls, |side| {
        let port = side.port(transport).unwrap_or(side.port);
        load::h2load(&scratch, transport, port, prefix, urls, bench.seconds)
    })?;
    Ok(Section { title: table::title(case), text: table::of_hits(&sides, &rounds) })
}

/// More bodies of 1 MiB than fit into the POP's memory, in random order.
pub fn measure_from_disk(bench: &Bench) -> anyhow::Result<Section> {
    let (case, prefix) = (Case::Hit1mDisk, "/1m/");
    let scratch = bench.folder(case)?;
    let others = Others::start(&bench.root, &scratch)?;
    let mut freshen = Freshen::set_up(&bench.program, scratch.join("freshen"), others.origin_port)?;
    freshen.start_pop(&[("memory_bytes_max", LITTLE_MEMORY.into())])?;
    let sides = [freshen.side("Freshen")?, others.nginx(), others.nginx_without_sendfile()];
    let rounds = rounds(bench, &sides, &others, prefix, DISK_URLS, |side| {
        load::wrk(&bench.root, side.port, prefix, Urls::Random(DISK_URLS as u64 - 1), bench.seconds)
    })?;
    Ok(Section { title: table::title(case), text: table::of_hits(&sides, &rounds) })
}

/// Two POPs, of which one has purge rules.
pub fn measure_with_rules(bench: &Bench) -> anyhow::Result<Section> {
    let (case, prefix, urls) = (Case::Rules, "/1k/", 64);
    let scratch = bench.folder(case)?;
    let others = Others::start(&bench.root, &scratch)?;
    // Rules live until a sweep retires them.
    let no_sweep = [("sweep_interval_ms", toml::Value::from(1_000_000_000))];
    let mut without = Freshen::set_up(&bench.program, scratch.join("without"), others.origin_port)?;
    without.start_pop(&no_sweep)?;
    let mut with = Freshen::set_up(&bench.program, scratch.join("with"), others.origin_port)?;
    with.start_pop(&no_sweep)?;
    with.purge(RULES)?;
    let rules = metric(with.admin_port, "freshen_pop_rules")?;
    ensure!(rules == RULES, "{rules} purge rules live");
    let sides = [with.side("10⁵ rules")?, without.side("no rules")?];
    let rounds = rounds(bench, &sides, &others, prefix, urls, |side| {
        load::h2load(&scratch, Transport::Plain, side.port, prefix, urls, bench.seconds)
    })?;
    Ok(Section { title: table::title(case), text: table::of_hits(&sides, &rounds) })
}

/// Warms every side, then lets them take turns.
fn rounds(
    bench: &Bench,
    sides: &[Side<'_>],
    others: &Others,
    prefix: &str,
    urls: usize,
    run: impl Fn(&Side<'_>) -> anyhow::Result<Run>,
) -> anyhow::Result<Vec<Vec<Round>>> {
    for side in sides {
        warm(side, prefix, urls)?;
    }
    (0..bench.rounds)
        .map(|_| sides.iter().map(|side| round(side, others, &run)).collect::<anyhow::Result<Vec<_>>>())
        .collect()
}

/// Asks for each URL twice; all sides give the same bytes.
fn warm(side: &Side<'_>, prefix: &str, urls: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(side.port)?;
    for number in (0..urls).chain(0..urls) {
        let path = format!("{prefix}{number}");
        let (head, body, _) = connection.get(HOST, &path)?;
        ensure!(get::status(&head) == "200", "{}: {path}: {head}", side.name);
        let right = body.iter().zip(0_u32..).all(|(byte, at)| *byte == (at % 251) as u8);
        ensure!(right && !body.is_empty(), "{}: {path}: another body", side.name);
    }
    Ok(())
}

/// One side's turn; an error unless its counter says that all were hits, and the origin's that nobody asked it.
fn round(
    side: &Side<'_>,
    others: &Others,
    run: &impl Fn(&Side<'_>) -> anyhow::Result<Run>,
) -> anyhow::Result<Round> {
    let (hits, asked) = (side.hits()?, others.origin_requests()?);
    let cpu_us = side.process.cpu_us()?;
    let run = run(side)?;
    let cpu_us = side.process.cpu_us()? - cpu_us;
    let (hits, asked) = (side.hits()? - hits, others.origin_requests()? - asked);
    ensure!(hits >= run.requests, "{}: {hits} hits, but {} requests", side.name, run.requests);
    // The question how many there were is one itself.
    ensure!(asked == 1, "{}: {} requests reached the origin", side.name, asked - 1);
    eprintln!(
        "    {:<20} {:6.2} µs of CPU a request, {:.0} requests/s",
        side.name,
        cpu_us as f64 / run.requests as f64,
        run.requests as f64 / run.seconds
    );
    Ok(Round { cpu_us, run })
}
