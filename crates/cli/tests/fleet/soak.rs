//! Mixed traffic while POPs are killed and paused and control is cut off: no viewer ever sees what a complete purge covers,
//! nor a body put together from two versions.

use crate::installation::{ACCOUNT, DOMAIN, Installation, Plan, task_when};
use crate::origin::{Origin, Page};
use crate::viewer::Viewer;
use freshen_control::{Control, SubmitRequest};
use freshen_model::location::Scheme;
use freshen_model::quota::Limits;
use freshen_model::task::{Status, TaskKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Seconds of traffic; `FRESHEN_SOAK_S` for longer runs (`cargo xtask soak`).
const SECONDS: u64 = 12;
const PATHS: usize = 8;
/// Bytes of the pages: in the journal, in one slice, in several.
const SIZES: [usize; 3] = [40, 90_000, 2_300_000];

/// What is known of each page.
#[derive(Default)]
struct Known {
    /// The oldest version that a request sent now may see.
    oldest: [AtomicU64; PATHS],
    stop: AtomicBool,
    answers: AtomicU64,
    hits: AtomicU64,
    purges: AtomicU64,
}

/// Small, reproducible and good enough to choose by.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

fn path(page: usize) -> String {
    format!("/s/{page}")
}

/// Every ten bytes name the version.
fn body(page: usize, version: u64) -> Vec<u8> {
    format!("v{version:08}\n").repeat(SIZES[page % SIZES.len()] / 10).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_nothing_purged_is_seen_again_whatever_happens_to_the_fleet() {
    let seconds = std::env::var("FRESHEN_SOAK_S").map_or(SECONDS, |text| text.parse().expect("seconds"));
    let plan =
        Plan { pops: 2, lease_ms: 1_000, sweep_interval_ms: 100, sweep_patience_ms: 500, ..Plan::default() };
    let mut fleet = Installation::start(plan).await;
    let plenty = Limits { url: 1 << 40, directory: 1 << 40, prefetch: 1 << 40 };
    fleet.control.set_limits(ACCOUNT, plenty).await.unwrap();
    let known = Arc::new(Known::default());
    for page in 0..PATHS {
        fleet.origin.set(&path(page), Page::new(body(page, 0)));
    }
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let viewers = [fleet.viewer(0), fleet.viewer(1)];
            tokio::spawn(read(known.clone(), viewers, Dice(reader)))
        })
        .collect();
    let writer = tokio::spawn(write(known.clone(), fleet.control.clone(), fleet.origin.clone()));

    disturb(&mut fleet, Instant::now() + Duration::from_secs(seconds)).await;
    known.stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    writer.await.unwrap();
    let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    let (answers, hits, purges) = (count(&known.answers), count(&known.hits), count(&known.purges));
    println!("{answers} answers, {hits} hits, {purges} purges, nothing old and nothing mixed");
    // Else the run showed nothing.
    assert!(hits > 100 && purges > 5, "{answers} answers, {hits} hits, {purges} purges");
}

/// A viewer of both POPs who compares what he gets with what he may get.
async fn read(known: Arc<Known>, viewers: [Viewer; 2], mut dice: Dice) {
    while !known.stop.load(Ordering::SeqCst) {
        let (page, pop) = (dice.roll(PATHS), dice.roll(2));
        let oldest = known.oldest[page].load(Ordering::SeqCst);
        let Some(got) = viewers[pop].try_get(&format!("{DOMAIN}{}", path(page))).await else {
            pause(20).await;
            continue;
        };
        let (200, Some(bytes)) = (got.status.as_u16(), &got.body) else { continue };
        let version: u64 = std::str::from_utf8(&bytes[1..9]).unwrap().parse().unwrap();
        let headers = &got.headers;
        assert!(version >= oldest, "page {page} of pop {pop}: {version}, purged up to {oldest}: {headers:?}");
        assert!(*bytes == body(page, version), "page {page} of pop {pop}: mixed or cut");
        known.answers.fetch_add(1, Ordering::SeqCst);
        known.hits.fetch_add(u64::from(got.x_cache() == Some("HIT")), Ordering::SeqCst);
    }
}

/// Changes pages and purges them, in every way there is; sometimes prefetches behind the purge.
async fn write(known: Arc<Known>, control: Arc<Control>, origin: Origin) {
    let mut dice = Dice(77);
    for version in 1.. {
        if known.stop.load(Ordering::SeqCst) {
            return;
        }
        let page = dice.roll(PATHS);
        origin.set(&path(page), Page::new(body(page, version)));
        let url = format!("http://{DOMAIN}{}", path(page));
        let (kind, force, line) = match dice.roll(4) {
            0 => (TaskKind::Directory, false, format!("http://{DOMAIN}/s/")),
            1 => (TaskKind::Directory, true, format!("http://{DOMAIN}/")),
            _ => (TaskKind::Url, false, url.clone()),
        };
        let submit = async |kind, force, line| {
            let request =
                SubmitRequest { kind, force, area: None, lines: vec![line], scheme: Scheme::Required };
            control.submit(ACCOUNT, request).await.unwrap().task
        };
        let task = submit(kind, force, line).await;
        if dice.roll(4) == 0 {
            submit(TaskKind::Prefetch, false, url).await;
        }
        let task = task_when(&control, task, |task| task.status.ended()).await;
        assert_eq!(task.status, Status::Complete);
        known.oldest[page].store(version, Ordering::SeqCst);
        known.purges.fetch_add(1, Ordering::SeqCst);
    }
}

/// Kills and pauses POPs, and cuts control off, until `end`.
async fn disturb(fleet: &mut Installation, end: Instant) {
    let mut dice = Dice(5);
    while Instant::now() < end {
        pause(200 + dice.roll(1_500)).await;
        let pop = dice.roll(2);
        match dice.roll(4) {
            0 | 1 => {
                fleet.pops[pop].kill();
                pause(dice.roll(300)).await;
                fleet.pops[pop].start();
            }
            2 => {
                fleet.pops[pop].pause();
                pause(100 + dice.roll(2_000)).await;
                fleet.pops[pop].resume();
            }
            _ => {
                fleet.cut_off_control().await;
                pause(dice.roll(2_500)).await;
                fleet.restore_control().await;
            }
        }
    }
}

async fn pause(ms: usize) {
    let time = Duration::from_millis(ms as u64);
    tokio::time::sleep(time).await; // tidy: allow-sleep, disturbances come at their own times
}
