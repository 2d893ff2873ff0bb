//! What a viewer's hit costs a POP while it prefetches, capped, beside what it costs without.

use super::{Options, Told};
use crate::bench::freshen::Freshen;
use crate::bench::load::{self, HOST, Transport};
use crate::bench::table::median;
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Bytes a second for prefetches.
const CAP: u64 = 20_000_000;
/// Files of a MiB that take so long at that rate, and some more, for each second.
const FILES_A_SECOND: u64 = 22;
const URLS: usize = 64;
/// What a hit may cost at most, by what it costs without.
const MOST: f64 = 1.1;

pub(super) fn measure(program: &Path, folder: &Path, origin: u16, options: &Options) -> anyhow::Result<Told> {
    let mut freshen = Freshen::set_up(program, folder.join("freshen"), origin)?;
    let lines = "1000000";
    freshen.client(&["account", "limits", "admin", "--prefetch", lines, "--prefetch-queue", lines])?;
    freshen.start_pop(&[("prefetch_bytes_per_s_max", (CAP as i64).into())])?;
    let side = freshen.side("Freshen")?;
    let mut rows = Vec::new();
    let hits = || -> anyhow::Result<(f64, u64)> {
        let cpu = side.process.cpu_us()?;
        let run = load::h2load(folder, Transport::Plain, side.port, "/1k/", URLS, options.seconds)?;
        Ok(((side.process.cpu_us()? - cpu) as f64 / run.requests as f64, run.p99_us))
    };
    hits()?;
    for round in 0..options.rounds {
        let quiet = hits()?;
        let mut tasks = Vec::new();
        let mut lines =
            (0..options.seconds * FILES_A_SECOND).map(|file| format!("http://{HOST}/1m/{round}/{file}\n"));
        while let Some(first) = lines.next() {
            let list = folder.join("list");
            let lines: Vec<_> = std::iter::once(first).chain(lines.by_ref().take(99)).collect();
            fs::write(&list, lines.concat())?;
            let list = list.to_str().context("the folder's name is UTF-8")?;
            let task: Value =
                serde_json::from_str(&freshen.client(&["prefetch", "--json", "--file", list])?)?;
            tasks.push(task["id"].as_str().context("a task has a number")?.to_owned());
        }
        let during = hits()?;
        let last = tasks.last().context("there is a task")?;
        let task: Value = serde_json::from_str(&freshen.client(&["task", "show", "--json", last])?)?;
        ensure!(task["status"] == "running", "the prefetch had ended before the hits: {task}");
        for task in tasks {
            while freshen.client(&["task", "show", "--json", &task])?.contains("\"running\"") {
                crate::bench::process::pause(std::time::Duration::from_millis(100));
            }
        }
        rows.push((quiet, during));
    }
    let ratio = median(rows.iter().map(|(quiet, during)| during.0 / quiet.0));
    let of = |value: fn(&((f64, u64), (f64, u64))) -> f64| median(rows.iter().map(value));
    let mut text = "| | CPU µs a hit | p99 µs |\n|---|--:|--:|\n".to_owned();
    let (quiet, during) = (of(|row| row.0.0), of(|row| row.1.0));
    let _ = writeln!(text, "| without a prefetch | {quiet:.2} | {:.0} |", of(|row| row.0.1 as f64));
    let _ = writeln!(text, "| with one at 20 MB/s | {during:.2} | {:.0} |", of(|row| row.1.1 as f64));
    let _ = writeln!(
        text,
        "\nRound by round **{ratio:.2}×** of the CPU, the prefetch's own included; at most {MOST} is promised."
    );
    Ok(Told {
        text,
        missed: (ratio > MOST)
            .then(|| format!("a hit costs {ratio:.2}× while it prefetches"))
            .into_iter()
            .collect(),
    })
}
