//! Measures durable submissions: how many a second, and how long one waits, with 1 and with 64 submitters.
//!
//! `cargo run --release -p freshen-ledger --example submissions -- FOLDER [SECONDS]`; the folder must be on the disk that is meant.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement, run by hand")]

use freshen_ledger::{Ledger, Line, SqliteLedger, Submission, TaskFilter};
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::key::Key;
use freshen_model::quota::Limits;
use freshen_model::rule::{Matcher, Mode, Rule};
use freshen_model::task::{Status, TaskKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder to measure in"));
    let seconds = arguments.next().map_or(10, |seconds| seconds.parse().unwrap());
    let path = folder.join(format!("submissions-{}.db", std::process::id()));
    let ledger = Arc::new(SqliteLedger::open(&path).unwrap());
    let submission = prepare(&*ledger).await;
    for submitters in [1, 8, 64] {
        measure(&ledger, &submission, submitters, Duration::from_secs(seconds)).await;
    }
    lists(&*ledger).await;
    drop(ledger);
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

async fn prepare(ledger: &dyn Ledger) -> Submission {
    ledger.add_account("acme", false).await.unwrap();
    let limits = Limits { url: u64::MAX, ..Limits::all(0) };
    ledger.set_limits("acme", limits).await.unwrap();
    let settings = Settings::of_origin("http://origin.example".parse().unwrap());
    let domain = ledger.add_domain("acme", "a.example", &settings).await.unwrap();
    for pop in ["asia", "europe", "america"] {
        ledger.add_pop(&pop.parse().unwrap(), Area::Overseas, pop, [0; 32]).await.unwrap();
    }
    Submission {
        account: "acme".into(),
        kind: TaskKind::Url,
        mode: Some(Mode::Evict),
        area: None,
        lines: Vec::new(),
        rules: Vec::new(),
        items: Vec::new(),
        follow: None,
        read: [(domain.name, domain.seq)].into(),
        at_ms: 0,
        day: 20_000,
        not_before_ms: None,
        cut: false,
        terms: Default::default(),
        once: None,
        notify: None,
        part: None,
        refill: None,
        then: None,
        holds: Default::default(),
    }
}

async fn measure(ledger: &Arc<SqliteLedger>, submission: &Submission, submitters: usize, during: Duration) {
    let (started, commits) = (Instant::now(), ledger.commits());
    let submitting = (0..submitters).map(|submitter| {
        let (ledger, submission) = (ledger.clone(), submission.clone());
        tokio::spawn(async move {
            let mut waits = Vec::new();
            while started.elapsed() < during {
                let submission = one_url(&submission, submitters, submitter, waits.len());
                let asked = Instant::now();
                ledger.submit(submission).await.unwrap();
                waits.push(asked.elapsed());
            }
            waits
        })
    });
    let mut waits = Vec::new();
    for submitter in submitting.collect::<Vec<_>>() {
        waits.extend(submitter.await.unwrap());
    }
    let rate = waits.len() as f64 / started.elapsed().as_secs_f64();
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    println!(
        "{submitters:>3} submitters: {rate:>6.0}/s, median {:.2} ms, p99 {:.2} ms, {} submissions in {} commits",
        at(0.5),
        at(0.99),
        waits.len(),
        ledger.commits() - commits
    );
}

fn one_url(submission: &Submission, submitters: usize, submitter: usize, number: usize) -> Submission {
    let path = format!("/{submitters}/{submitter}/{number}.html");
    let key = Key::from_parts("a.example", &path, None);
    Submission {
        lines: vec![Line { url: format!("http://a.example{path}"), domain: "a.example".into() }],
        rules: vec![Rule::new(Matcher::Url { key }, Mode::Evict)],
        at_ms: number as i64,
        ..submission.clone()
    }
}

/// How long lists take with as many tasks as there are now.
async fn lists(ledger: &dyn Ledger) {
    let page = TaskFilter { account: Some("acme".into()), limit: 20, ..TaskFilter::default() };
    let url = Some("http://a.example/1/0/7.html".to_owned());
    for (what, filter) in [
        ("newest", page.clone()),
        ("of a URL", TaskFilter { url, ..page.clone() }),
        ("of a domain", TaskFilter { domain: Some("a.example".into()), ..page.clone() }),
        ("of no domain", TaskFilter { domain: Some("b.example".into()), ..page.clone() }),
        ("failed", TaskFilter { statuses: vec![Status::Failed], ..page.clone() }),
        ("before all", TaskFilter { to_ms: Some(0), ..page }),
    ] {
        let asked = Instant::now();
        let tasks = ledger.tasks(&filter).await.unwrap().total;
        let tasks_took = asked.elapsed();
        let asked = Instant::now();
        let lines = ledger.lines(&filter).await.unwrap().total;
        println!("list {what}: {tasks} tasks {tasks_took:.1?}, {lines} lines {:.1?}", asked.elapsed());
        pages(ledger, what, &filter).await;
        if what == "newest" {
            pages(ledger, "with /7.", &TaskFilter { text: Some("/7.".into()), ..filter.clone() }).await;
            pages(ledger, "with moon", &TaskFilter { text: Some("moon".into()), ..filter }).await;
        }
    }
}

/// How long each page takes, from the newest to the oldest.
async fn pages(ledger: &dyn Ledger, what: &str, filter: &TaskFilter) {
    let (mut place, mut count, mut longest, started) = (None, 0, Duration::ZERO, Instant::now());
    loop {
        let asked = Instant::now();
        let page = ledger.tasks_behind(filter, place).await.unwrap();
        longest = longest.max(asked.elapsed());
        count += 1;
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    println!("pages {what}: {count} in {:.1?}, the longest {longest:.1?}", started.elapsed());
}
