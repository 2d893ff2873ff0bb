//! As many URL purges a second as control accepts, in batches of 1,000 from several clients, with three POPs that apply them.

use super::Bench;
use super::spread::{HEAD, Spread};
use super::three::{DOMAIN, Three};
use anyhow::bail;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// As many lines as one submission may have.
const LINES: u64 = 1_000;
/// Clients at one time; each submission is a process of the command line.
const CLIENTS: u64 = 4;

pub(super) fn measure(bench: &Bench<'_>, folder: &Path) -> anyhow::Result<String> {
    let three = Three::start(&bench.program, folder)?;
    let during = Duration::from_secs(bench.options.seconds);
    let began = Instant::now();
    let client = |number: u64| -> anyhow::Result<Vec<Duration>> {
        let list = folder.join(format!("list-{number}"));
        let mut times = Vec::new();
        while began.elapsed() < during {
            let mut lines = String::new();
            for line in 0..LINES {
                writeln!(lines, "http://{DOMAIN}/purged/{number}/{}/{line}.html", times.len())?;
            }
            fs::write(&list, lines)?;
            let sent = Instant::now();
            three.client(&["purge", "--file", &list.display().to_string()])?;
            times.push(sent.elapsed());
        }
        Ok(times)
    };
    let mut times = Vec::new();
    thread::scope(|scope| -> anyhow::Result<()> {
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        for client in clients {
            match client.join() {
                Ok(client) => times.extend(client?),
                Err(_) => bail!("a client panicked"),
            }
        }
        Ok(())
    })?;
    let rate = times.len() as f64 * LINES as f64 / began.elapsed().as_secs_f64();
    let last = Instant::now();
    three.client(&["purge", "--wait", &format!("http://{DOMAIN}/the/last")])?;
    let batches = times.len();
    Ok([
        HEAD.to_owned(),
        Spread::of(times).row("a batch of 1,000, from the client's start to its end"),
        format!(
            "\n**{rate:.0} URLs a second** accepted, durable: {batches} batches by {CLIENTS} clients; one more, sent behind \
             them, was complete at all POPs after {:.0} ms.\n",
            last.elapsed().as_secs_f64() * 1_000.0
        ),
    ]
    .concat())
}
