//! Misses: bodies of 1 MiB, each URL asked for once, streamed from the origin.

use super::freshen::Freshen;
use super::get::Connection;
use super::load::{self, HOST, Urls};
use super::sides::{Others, Side};
use super::table::{self, Round, Section, Turns, median};
use super::{Bench, Case};
use anyhow::ensure;
use std::fmt::Write as _;
use std::time::Duration;

/// Cold URLs asked for one after the other for the time to the first byte, by each side in each round.
const PROBES: u64 = 40;
const DISK_BYTES_MAX: i64 = 2 << 30;

/// CPU for a MiB, and what the cache adds to the time to the first byte.
pub fn measure(bench: &Bench) -> anyhow::Result<Section> {
    let case = Case::Miss1m;
    let scratch = bench.folder(case)?;
    let others = Others::start(&bench.root, &scratch)?;
    let mut freshen = Freshen::set_up(&bench.program, scratch.join("freshen"), others.origin_port)?;
    // As much disk as the others may take.
    freshen.start_pop(&[
        ("disk_bytes_max", DISK_BYTES_MAX.into()),
        ("object_bytes_max", (DISK_BYTES_MAX / 2).into()),
    ])?;
    let sides = [freshen.side("Freshen")?, others.nginx(), others.nginx_without_sendfile(), others.varnish()];
    // Both nginx share a cache: each turn has its own URLs.
    let mut turns = 0;
    let (mut rounds, mut firsts) = (Vec::new(), vec![Vec::new(); sides.len() + 1]);
    for _ in 0..bench.rounds {
        let mut round = Vec::new();
        for side in &sides {
            turns += 1;
            round.push(turn(bench, side, &others, turns)?);
        }
        rounds.push(round);
        for probe in 0..PROBES {
            let ports = std::iter::once(others.origin_port).chain(sides.iter().map(|side| side.port));
            for (place, port) in ports.enumerate() {
                turns += 1;
                firsts[place].push(first_byte(port, &format!("/1m/probe/{turns}/{probe}"))?);
            }
        }
    }
    Ok(Section { title: table::title(case), text: text(&sides, &rounds, &firsts) })
}

fn turn(bench: &Bench, side: &Side<'_>, others: &Others, turn: u64) -> anyhow::Result<Round> {
    let asked = others.origin_requests()?;
    let cpu_us = side.process.cpu_us()?;
    let run = load::wrk(&bench.root, side.port, &format!("/1m/{turn}/"), Urls::Each, bench.seconds)?;
    let cpu_us = side.process.cpu_us()? - cpu_us;
    let asked = others.origin_requests()? - asked - 1;
    ensure!(asked >= run.requests, "{}: {asked} misses, but {} requests", side.name, run.requests);
    eprintln!(
        "    {:<20} {:6.0} µs of CPU a MiB, {:.0} MiB/s",
        side.name,
        cpu_us as f64 / run.requests as f64,
        run.requests as f64 / run.seconds
    );
    Ok(Round { cpu_us, run })
}

fn first_byte(port: u16, path: &str) -> anyhow::Result<Duration> {
    let mut connection = Connection::open(port)?;
    let (_, body, first) = connection.get(HOST, path)?;
    ensure!(body.len() == 1 << 20, "{path}: {} bytes", body.len());
    Ok(first)
}

fn text(sides: &[Side<'_>], rounds: &[Vec<Round>], firsts: &[Vec<Duration>]) -> String {
    let first_us = |place: usize| median(firsts[place].iter().map(|time| time.as_secs_f64() * 1e6));
    let direct = first_us(0);
    let mut text =
        "| | CPU µs a MiB | Freshen takes | MiB/s | Freshen gives | first byte µs | of it added |\n\
                    |---|--:|--:|--:|--:|--:|--:|\n"
            .to_owned();
    let _ = writeln!(text, "| the origin itself | | | | | {direct:.0} | |");
    for (place, side) in sides.iter().enumerate() {
        let turns = Turns { rounds, place };
        let first = first_us(place + 1);
        let _ = writeln!(
            text,
            "| {} | {:.0} | {} | {:.0} | {} | {first:.0} | {:.0} |",
            side.name,
            turns.median(Round::cpu_us_a_request),
            turns.ratio(Round::cpu_us_a_request),
            turns.median(Round::requests_a_second),
            turns.ratio(Round::requests_a_second),
            first - direct,
        );
    }
    text
}
