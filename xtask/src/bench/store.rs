//! Very many objects on disk: what a look-up costs, how long a start takes, and what memory an object takes.

use super::freshen::Freshen;
use super::get::{self, Connection};
use super::load::{self, HOST, Urls};
use super::sides::{Others, metric};
use super::table::{self, Round, Section, median};
use super::{Bench, Case};
use anyhow::{Context as _, bail, ensure};
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

const PREFIX: &str = "/text/";
/// Of memory there is the least that may be, so that look-ups go to disk.
const LITTLE_MEMORY: i64 = 8 << 20;
/// Connections that fill.
const FILLERS: u64 = 32;

/// A step: so many objects on disk.
struct Step {
    objects: u64,
    fills_a_second: f64,
    ready: Duration,
    rss_at_start: u64,
    rss_after: u64,
    rounds: Vec<Round>,
}

/// Two steps, ten times as many objects in the second.
pub fn measure(bench: &Bench) -> anyhow::Result<Section> {
    let case = Case::Store;
    let scratch = bench.folder(case)?;
    let others = Others::start(&bench.root, &scratch)?;
    let mut freshen = Freshen::set_up(&bench.program, scratch.join("freshen"), others.origin_port)?;
    freshen.start_pop(&[("memory_bytes_max", LITTLE_MEMORY.into())])?;
    let mut filled = 0;
    let mut steps = Vec::new();
    for objects in [bench.objects / 10, bench.objects] {
        steps.push(step(bench, &mut freshen, &others, filled, objects)?);
        filled = objects;
    }
    Ok(Section { title: table::title(case), text: text(&steps) })
}

fn step(
    bench: &Bench,
    freshen: &mut Freshen,
    others: &Others,
    filled: u64,
    objects: u64,
) -> anyhow::Result<Step> {
    let began = Instant::now();
    fill(freshen.port, filled, objects)?;
    let fills_a_second = (objects - filled) as f64 / began.elapsed().as_secs_f64();
    eprintln!("    {objects} objects, {fills_a_second:.0} fills/s");

    let ready = freshen.start_pop(&[])?;
    let pop = freshen.pop.as_ref().context("the POP does not run")?;
    let rss_at_start = pop.rss_bytes()?;
    let mut rounds = Vec::new();
    for _ in 0..bench.rounds {
        let asked = others.origin_requests()?;
        let hits = metric(freshen.admin_port, "freshen_pop_answers_total{x_cache=\"HIT\"}")?;
        let cpu_us = pop.cpu_us()?;
        let urls = Urls::Random(objects - 1);
        let run = load::wrk(&bench.root, freshen.port, PREFIX, urls, bench.seconds)?;
        let cpu_us = pop.cpu_us()? - cpu_us;
        let hits = metric(freshen.admin_port, "freshen_pop_answers_total{x_cache=\"HIT\"}")? - hits;
        let asked = others.origin_requests()? - asked - 1;
        ensure!(
            asked == 0 && hits >= run.requests,
            "of {} look-ups {hits} were hits, and {asked} reached the origin",
            run.requests
        );
        rounds.push(Round { cpu_us, run });
    }
    let rss_after = pop.rss_bytes()?;
    Ok(Step { objects, fills_a_second, ready, rss_at_start, rss_after, rounds })
}

fn fill(port: u16, from: u64, to: u64) -> anyhow::Result<()> {
    ask_for_each(port, PREFIX, from, to)
}

/// Asks for each number behind `prefix` once, on several connections; all answers are 200.
pub fn ask_for_each(port: u16, prefix: &str, from: u64, to: u64) -> anyhow::Result<()> {
    let part = |filler: u64| -> anyhow::Result<()> {
        let mut connection = Connection::open(port)?;
        for number in (from + filler..to).step_by(FILLERS as usize) {
            let (head, ..) = connection.get(HOST, &format!("{prefix}{number}"))?;
            ensure!(get::status(&head) == "200", "{prefix}{number}: {head}");
        }
        Ok(())
    };
    thread::scope(|scope| {
        let fillers: Vec<_> = (0..FILLERS).map(|filler| scope.spawn(move || part(filler))).collect();
        fillers
            .into_iter()
            .try_for_each(|filler| filler.join().unwrap_or_else(|_| bail!("a filler panicked")))
    })
}

fn text(steps: &[Step]) -> String {
    const MIB: f64 = (1 << 20) as f64;
    let mut text = "| objects | CPU µs a cold look-up | p50 µs | p99 µs | fills/s | ready after ms | RSS then | RSS after look-ups |\n\
                    |--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for step in steps {
        let median = |value: fn(&Round) -> f64| median(step.rounds.iter().map(value));
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:.0} | {:.0} | {:.0} | {} | {:.0} MiB | {:.0} MiB |",
            step.objects,
            median(Round::cpu_us_a_request),
            median(|round| round.run.p50_us as f64),
            median(|round| round.run.p99_us as f64),
            step.fills_a_second,
            step.ready.as_millis(),
            step.rss_at_start as f64 / MIB,
            step.rss_after as f64 / MIB,
        );
    }
    if let [few, many] = steps {
        let more = (many.objects - few.objects) as f64;
        let grown = |rss: fn(&Step) -> u64| (rss(many) as f64 - rss(few) as f64) / more;
        let _ = writeln!(
            text,
            "\nMemory for each further object: {:.0} bytes after the start, {:.0} bytes after the look-ups.",
            grown(|step| step.rss_at_start),
            grown(|step| step.rss_after),
        );
    }
    text
}
