//! Mixed traffic while POPs are killed and paused, control is cut off and the origin fails and lies: no viewer ever sees
//! what a complete purge covers, nor a body put together from two versions, and no POP takes more of its disk than it may.

use crate::installation::{ACCOUNT, DOMAIN, Installation, Plan, metric, task_when};
use crate::part_origin::{Ask, File, PartOrigin, Reply};
use crate::viewer::{Got, Viewer};
use bytes::Bytes;
use freshen_control::{Control, SubmitRequest};
use freshen_model::domain::Settings;
use freshen_model::location::Scheme;
use freshen_model::quota::Limits;
use freshen_model::task::{Status, TaskKind};
use http::Method;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Seconds of traffic; `FRESHEN_SOAK_S` for longer runs (`cargo xtask soak`).
const SECONDS: u64 = 12;
const PAGES: usize = 60;
/// Bytes of the pages: in the journal, in one slice, in several.
const SIZES: [usize; 5] = [40, 90_000, 700_000, 2_300_000, 5_000_000];
/// Less than all pages together take.
const DISK_BYTES_MAX: u64 = 192 << 20;
/// One request in so many gets no honest answer from the origin.
const FAULTS: usize = 8;

/// What is known of each page.
struct Known {
    /// What the origin has.
    current: [AtomicU64; PAGES],
    /// The oldest version that a request sent now may see.
    oldest: [AtomicU64; PAGES],
    stop: AtomicBool,
    /// How often each thing happened, so that the end can tell whether the run showed anything.
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Known {
    fn count(&self, what: &str) {
        *self.counts.lock().entry(what.to_owned()).or_default() += 1;
    }

    fn at_most(&self, what: &str, value: u64) {
        let mut counts = self.counts.lock();
        let most = counts.entry(what.to_owned()).or_default();
        *most = value.max(*most);
    }
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

fn size(page: usize) -> usize {
    SIZES[page % SIZES.len()]
}

/// Which answer of a page a request gets: some vary by coding, some by language.
fn variant(page: usize, coding: &str, language: &str) -> char {
    match page % 7 {
        1 | 3 if coding == "gzip" => 'g',
        2 | 4 if language == "de" => 'd',
        _ => 'v',
    }
}

/// Every ten bytes name variant, version and place.
fn body(page: usize, variant: char, version: u64) -> Bytes {
    let stamps: String = (0..4_096).map(|place| format!("{variant}{version:05x}{place:03x}\n")).collect();
    let mut bytes = stamps.into_bytes().repeat(size(page).div_ceil(40_960));
    bytes.truncate(size(page));
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_nothing_purged_is_seen_again_whatever_happens_to_the_fleet() {
    let seconds = std::env::var("FRESHEN_SOAK_S").map_or(SECONDS, |text| text.parse().expect("seconds"));
    let none = || std::array::from_fn(|_| AtomicU64::new(0));
    let known = Arc::new(Known {
        current: none(),
        oldest: none(),
        stop: AtomicBool::new(false),
        counts: Mutex::default(),
    });
    let (has, dice) = (known.clone(), Mutex::new(Dice(99)));
    let origin = PartOrigin::start(move |ask| answer(&has, &dice, ask)).await;
    let at = format!("http://{}", origin.address).parse().unwrap();
    let plan = Plan {
        pops: 2,
        lease_ms: 1_000,
        sweep_interval_ms: 100,
        sweep_patience_ms: 500,
        disk_bytes_max: Some(DISK_BYTES_MAX),
        homes: true,
        settings: Box::new(|settings: Settings| Settings { origin: at, ..settings }),
        ..Plan::default()
    };
    let mut fleet = Installation::start(plan).await;
    let much = 1 << 40;
    let plenty = Limits {
        requests_per_s: much,
        urls_per_minute: much,
        directories_per_minute: much,
        prefetch_queue: much,
        ..Limits::all(much)
    };
    fleet.control.set_limits(ACCOUNT, plenty).await.unwrap();
    let mut tasks: Vec<_> = (0..4)
        .map(|reader| {
            let viewers = [fleet.viewer(0), fleet.viewer(1)];
            tokio::spawn(read(known.clone(), viewers, Dice(reader)))
        })
        .collect();
    tasks.push(tokio::spawn(write(known.clone(), fleet.control.clone())));
    for pop in &fleet.pops {
        tasks.push(tokio::spawn(watch(known.clone(), pop.folder(), pop.admin())));
    }

    disturb(&mut fleet, Instant::now() + Duration::from_secs(seconds)).await;
    known.stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let counts = known.counts.lock();
    println!("{counts:?}: nothing old, nothing mixed, and no disk above its budget");
    // Else the run showed nothing.
    for (what, least) in [
        ("HIT", 100),
        ("MISS", 10),
        ("parts", 30),
        ("heads", 10),
        ("other variants", 10),
        ("purges", 5),
        ("faults", 20),
        ("evictions seen", 1),
        ("looks at the disk", 10),
    ] {
        assert!(counts.get(what).is_some_and(|count| *count >= least), "{what}: {counts:?}");
    }
}

/// What the origin says: most often the truth.
fn answer(known: &Known, dice: &Mutex<Dice>, ask: &Ask) -> Reply {
    let page: usize = ask.path[3..].parse().unwrap();
    let version = known.current[page].load(Ordering::SeqCst);
    let variant = variant(page, ask.field("accept-encoding"), ask.field("accept-language"));
    let file = File { bytes: body(page, variant, version), tag: format!("\"{version}-{variant}\"") };
    let (fault, chance) = {
        let mut dice = dice.lock();
        (if dice.roll(FAULTS) == 0 { dice.roll(11) } else { usize::MAX }, dice.roll(1 << 20))
    };
    if fault != usize::MAX {
        known.count("faults");
    }
    let honest = file.honest(ask);
    let end = size(page) - 1;
    let reply = match (fault, ask.range()) {
        (0, _) => honest.cut(0),
        (1 | 2, _) => honest.cut(1 + chance % size(page)),
        (3, _) => Reply::new(500, Bytes::from("failing")),
        (4, _) => Reply::new(503, Bytes::from("too busy")),
        (5, _) => honest.late(Duration::from_millis(chance as u64 % 400)),
        (6, Some(_)) => file.whole(),
        (7, Some((first, _))) => file.part(first.saturating_sub(10), end),
        (7, None) => honest.with("Content-Length", (2 * size(page)).to_string()).cut(size(page)),
        // More than it says: the rest is no answer to anything.
        (8, _) => honest.trailed_by(Bytes::from("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")),
        // More than a part has.
        (9, Some((first, Some(last)))) if first < last && last < end => {
            let longer: Bytes = [&file.bytes[first..=last], &file.bytes[..]].concat().into();
            file.part(first, last).body(longer)
        }
        (10, _) => honest.without("ETag"),
        _ => honest,
    };
    match page % 7 {
        1 | 3 => reply.with("Vary", "Accept-Encoding"),
        2 | 4 => reply.with("Vary", "Accept-Language"),
        _ => reply,
    }
}

/// A viewer of both POPs who compares what he gets with what he may get.
async fn read(known: Arc<Known>, viewers: [Viewer; 2], mut dice: Dice) {
    while !known.stop.load(Ordering::SeqCst) {
        // Some are asked for more often than others.
        let page = dice.roll(PAGES).min(dice.roll(PAGES));
        let pop = dice.roll(2);
        let coding = ["gzip", "identity"][dice.roll(2)];
        let language = ["de", "en"][dice.roll(2)];
        let first = dice.roll(size(page) - 20);
        let range = format!("bytes={first}-{}", first + 20 + dice.roll(1_500_000));
        let mut fields = vec![("accept-encoding", coding), ("accept-language", language)];
        let method = match dice.roll(8) {
            0 => Method::HEAD,
            1..=3 => {
                fields.push(("range", range.as_str()));
                Method::GET
            }
            _ => Method::GET,
        };
        let oldest = known.oldest[page].load(Ordering::SeqCst);
        let url = format!("{DOMAIN}{}", path(page));
        let Some(got) = viewers[pop].try_send(method.clone(), &url, &fields).await else {
            pause(20).await;
            continue;
        };
        let Some(body) = &got.body else { continue };
        let told = format!(
            "{method} page {page} of pop {pop}, {fields:?}, purged up to {oldest}: {:?}",
            got.headers
        );
        let asked = Asked { page, variant: variant(page, coding, language), oldest };
        match (got.status.as_u16(), method == Method::HEAD) {
            (200, true) => {
                asked.check_head(&got, &told);
                known.count("heads");
            }
            (200, false) => asked.check(body, 0..size(page), &told),
            (206, false) => {
                let (first, last) = part_of(&got);
                asked.check(body, first..last + 1, &told);
                known.count("parts");
            }
            // A POP that is not ready, or an origin that failed.
            (404 | 500.., _) => continue,
            _ => panic!("{} for {told}", got.status),
        }
        known.count(got.x_cache().unwrap());
        if asked.variant != 'v' {
            known.count("other variants");
        }
    }
}

/// First and last byte of a part.
fn part_of(got: &Got) -> (usize, usize) {
    let (range, _) = got.header("content-range").unwrap()[6..].split_once('/').unwrap();
    let (first, last) = range.split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}

/// What a viewer may get.
struct Asked {
    page: usize,
    variant: char,
    oldest: u64,
}

impl Asked {
    fn check(&self, got: &[u8], place: std::ops::Range<usize>, told: &str) {
        assert_eq!(got.len(), place.len(), "{told}");
        // The first stamp that is there as a whole.
        let stamp = place.start.next_multiple_of(10) - place.start;
        let version = std::str::from_utf8(&got[stamp + 1..stamp + 6]).unwrap();
        let version = u64::from_str_radix(version, 16).unwrap_or_else(|_| panic!("no version: {told}"));
        assert!(version >= self.oldest, "{version} is old: {told}");
        assert!(
            *got == body(self.page, self.variant, version)[place],
            "version {version}, mixed or cut: {told}"
        );
    }

    fn check_head(&self, got: &Got, told: &str) {
        // Its length may be a lie of the origin's that has not come out yet.
        let Some(tag) = got.header("etag") else { return };
        let (version, variant) = tag.trim_matches('"').split_once('-').unwrap();
        assert!(version.parse::<u64>().unwrap() >= self.oldest, "{version} is old: {told}");
        assert_eq!(variant, self.variant.to_string(), "{told}");
    }
}

/// Looks all the time what a POP's folder takes of the disk, and whether anything had to leave it.
async fn watch(known: Arc<Known>, folder: PathBuf, admin: Viewer) {
    while !known.stop.load(Ordering::SeqCst) {
        let data = folder.clone();
        let taken = tokio::task::spawn_blocking(move || disk_bytes(&data)).await.unwrap();
        known.at_most("most bytes on a disk", taken);
        assert!(taken <= DISK_BYTES_MAX, "{} takes {taken} bytes of {DISK_BYTES_MAX}", folder.display());
        known.count("looks at the disk");
        let metrics = admin.try_get("pop/-/metrics").await;
        let evicted = metrics
            .filter(|got| got.status == 200)
            .and_then(|got| metric(got.text(), "freshen_pop_evicted_total"));
        if evicted.is_some_and(|count| count > 0.0) {
            known.count("evictions seen");
        }
        pause(50).await;
    }
}

/// Bytes that a folder takes on its disk.
pub fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes_of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // Deleted meanwhile.
        Err(_) => 0,
    };
    entries.flatten().map(bytes_of).sum()
}

/// Changes pages and purges them, in every way there is; sometimes prefetches behind the purge.
async fn write(known: Arc<Known>, control: Arc<Control>) {
    let mut dice = Dice(77);
    for version in 1.. {
        if known.stop.load(Ordering::SeqCst) {
            return;
        }
        let page = dice.roll(PAGES).min(dice.roll(PAGES));
        known.current[page].store(version, Ordering::SeqCst);
        let url = format!("http://{DOMAIN}{}", path(page));
        let (kind, force, line) = match dice.roll(4) {
            0 => (TaskKind::Directory, false, format!("http://{DOMAIN}/s/")),
            1 => (TaskKind::Directory, true, format!("http://{DOMAIN}/")),
            _ => (TaskKind::Url, false, url.clone()),
        };
        let submit = async |kind, force, line| {
            let request = SubmitRequest {
                kind,
                force,
                soft: false,
                area: None,
                lines: vec![line],
                domains: Vec::new(),
                scheme: Scheme::Required,
                follow: None,
            };
            control.submit(ACCOUNT, request).await.unwrap().task
        };
        let task = submit(kind, force, line).await;
        if dice.roll(4) == 0 {
            submit(TaskKind::Prefetch, false, url).await;
        }
        let task = task_when(&control, task, |task| task.status.ended()).await;
        assert_eq!(task.status, Status::Complete);
        known.oldest[page].store(version, Ordering::SeqCst);
        known.count("purges");
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
