//! The prefetcher: fetches what an order names, reads it back the way a viewer would get it, and reports how far it is.

mod following;

use crate::Pop;
use crate::fill::Outcome;
use crate::fills::Part;
use crate::look_up::{Found, Looked, NoLookUp, Trace};
use crate::peers::Way;
use crate::policy::fields;
use crate::store::journal::PrefetchJob;
use crate::store::record::Variant;
use crate::store::run::Broken;
use freshen_model::follow::Follow;
use freshen_model::ids::Seq;
use freshen_model::order::{PrefetchItem, PrefetchOrder};
use freshen_model::protocol::heartbeat::PrefetchReport;
use freshen_model::task::{FAILURES_MAX, Failure, Progress};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Times a file is tried before it counts as failed.
const TRIES_MAX: u32 = 4;
/// The pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(500);
/// Reports in one heartbeat; the others wait for the next.
const REPORTS_MAX: usize = 64;

/// The prefetches of one POP.
pub struct Prefetcher {
    jobs: Mutex<BTreeMap<Seq, Arc<Job>>>,
    places: Semaphore,
    /// Lines whose playlists are followed at one time.
    followed: Semaphore,
    revision: AtomicU64,
}

/// One prefetch order under way, or ended and not noted by control.
struct Job {
    state: Mutex<JobState>,
}

#[derive(Default)]
struct JobState {
    progress: Progress,
    failures: Vec<Failure>,
    ended: bool,
}

/// One line of a job.
#[derive(Clone, Copy)]
struct Line<'a> {
    seq: Seq,
    job: &'a Arc<Job>,
    /// Its place, from 1.
    number: u32,
}

/// Why one file could not be made warm.
struct NotWarm {
    reason: String,
    /// Whether another try may help.
    again: bool,
}

/// What one file has added to its job's bytes; taken back unless it is kept.
struct Counted<'a> {
    job: &'a Job,
    bytes: u64,
    expected: u64,
}

impl Counted<'_> {
    fn expect(&mut self, bytes: u64) {
        self.job.change(|state| {
            state.progress.bytes_expected = state.progress.bytes_expected - self.expected + bytes;
        });
        self.expected = bytes;
    }

    fn there(&mut self, bytes: u64) {
        if bytes > self.expected {
            self.expect(bytes);
        }
        self.job.change(|state| state.progress.bytes = state.progress.bytes - self.bytes + bytes);
        self.bytes = bytes;
    }

    fn keep(mut self) {
        (self.bytes, self.expected) = (0, 0);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.job.change(|state| {
            state.progress.bytes -= self.bytes;
            state.progress.bytes_expected -= self.expected;
        });
    }
}

impl Prefetcher {
    /// At most `at_once` lines are fetched at one time.
    pub fn new(at_once: usize) -> Prefetcher {
        Prefetcher {
            jobs: Mutex::default(),
            places: Semaphore::new(at_once),
            followed: Semaphore::new(following::LINES_AT_ONCE),
            revision: AtomicU64::new(0),
        }
    }

    /// What to tell control.
    pub fn reports(&self) -> Vec<PrefetchReport> {
        let jobs = self.jobs.lock();
        let report = |(seq, job): (&Seq, &Arc<Job>)| {
            let state = job.state.lock();
            let failures = if state.ended { state.failures.clone() } else { Vec::new() };
            PrefetchReport { seq: *seq, progress: state.progress, ended: state.ended, failures }
        };
        jobs.iter().take(REPORTS_MAX).map(report).collect()
    }

    /// Changes with every line that is done.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// Whether something is under way or waits to be noted.
    pub fn busy(&self) -> bool {
        !self.jobs.lock().is_empty()
    }

    /// Forgets what control has noted.
    pub fn forget(&self, noted: &[Seq]) {
        let mut jobs = self.jobs.lock();
        for seq in noted {
            jobs.remove(seq);
        }
    }

    /// Forgets everything: the log is another one.
    pub fn forget_all(&self) {
        self.jobs.lock().clear();
    }

    fn known(&self, seq: Seq, job: &Arc<Job>) -> bool {
        self.jobs.lock().get(&seq).is_some_and(|known| Arc::ptr_eq(known, job))
    }
}

impl Job {
    fn change(&self, change: impl FnOnce(&mut JobState)) {
        change(&mut self.state.lock());
    }

    /// Notes that files of a line failed: itself, or what it led to.
    fn failed(&self, files: u64, failure: Failure) {
        self.change(|state| {
            state.progress.files_failed = state.progress.files_failed.saturating_add(files);
            if state.failures.len() < FAILURES_MAX {
                state.failures.push(failure);
            }
        });
    }
}

impl Pop {
    /// Takes up a prefetch from the journal: shows how it ended, or begins it anew (what is present is not fetched again).
    pub fn resume_prefetch(self: Arc<Pop>, seq: Seq, job: PrefetchJob) {
        match job.outcome {
            Some((progress, failures)) => {
                let state = Mutex::new(JobState { progress, failures, ended: true });
                self.prefetcher.jobs.lock().insert(seq, Arc::new(Job { state }));
            }
            None => self.start_prefetch(seq, job.order),
        }
    }

    /// Begins a prefetch whose order is applied: the watermark covers every purge before it.
    pub fn start_prefetch(self: Arc<Pop>, seq: Seq, order: PrefetchOrder) {
        let progress = Progress { files: order.items.len() as u64, ..Progress::default() };
        let job = Arc::new(Job { state: Mutex::new(JobState { progress, ..JobState::default() }) });
        self.prefetcher.jobs.lock().insert(seq, job.clone());
        tokio::spawn(async move {
            let lines = order.items.iter().zip(1..).map(|(item, number)| {
                let line = Line { seq, job: &job, number };
                self.warm_line(line, item, order.follow.as_ref())
            });
            futures_util::future::join_all(lines).await;
            self.end_prefetch(seq, &job, order).await;
        });
    }

    async fn end_prefetch(self: &Arc<Pop>, seq: Seq, job: &Arc<Job>, order: PrefetchOrder) {
        if !self.prefetcher.known(seq, job) {
            return;
        }
        let outcome = {
            let state = job.state.lock();
            (state.progress, state.failures.clone())
        };
        let kept = PrefetchJob { order, outcome: Some(outcome) };
        let journal = self.journal.clone();
        let written = tokio::task::spawn_blocking(move || journal.keep_prefetch(seq, &kept)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!(%seq, "the outcome of a prefetch could not be kept; it begins anew after a restart");
        }
        job.change(|state| state.ended = true);
        self.prefetcher.revision.fetch_add(1, Ordering::Relaxed);
        self.confirm.notify_one();
    }

    /// Warms one line, and what it leads to.
    async fn warm_line(self: &Arc<Pop>, line: Line<'_>, item: &PrefetchItem, follow: Option<&Follow>) {
        let warm = self.warm_file(line, item, None).await;
        if let Some(follow) = follow.filter(|_| warm) {
            self.follow_line(line, item, follow).await;
        }
    }

    /// Warms one file, with every variant the origin has for it; `url` where it is not the line itself. Tells whether it is
    /// warm.
    async fn warm_file(self: &Arc<Pop>, line: Line<'_>, item: &PrefetchItem, url: Option<String>) -> bool {
        let Line { seq, job, number } = line;
        let Ok(_place) = self.prefetcher.places.acquire().await else { return false };
        let mut pause = PAUSE;
        let mut tries = 0;
        let outcome = loop {
            if !self.prefetcher.known(seq, job) {
                return false;
            }
            self.wait_for_lease().await;
            tries += 1;
            match self.warm_variants(job, item).await {
                Err(not_warm) if not_warm.again && tries < TRIES_MAX => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                outcome => break outcome,
            }
        };
        let warm = outcome.is_ok();
        match outcome {
            Ok(()) => job.change(|state| state.progress.files_warm += 1),
            Err(not_warm) => job.failed(1, Failure { line: number, url, reason: not_warm.reason }),
        }
        self.prefetcher.revision.fetch_add(1, Ordering::Relaxed);
        self.confirm.notify_one();
        warm
    }

    async fn warm_variants(self: &Arc<Pop>, job: &Arc<Job>, item: &PrefetchItem) -> Result<(), NotWarm> {
        let copy = self.warm(job, item, true).await?;
        if !copy.head.vary.is_nothing() {
            self.warm(job, item, false).await?;
        }
        Ok(())
    }

    /// Makes sure that a viewer would get a HIT: looks up, fetches where needed, looks up again, and reads it back.
    async fn warm(
        self: &Arc<Pop>,
        job: &Arc<Job>,
        item: &PrefetchItem,
        gzip: bool,
    ) -> Result<Arc<Variant>, NotWarm> {
        let mut looked = self.look_up_item(item, gzip).await?;
        let mut counted = Counted { job, bytes: 0, expected: 0 };
        if !matches!(looked.found, Found::Fresh(_)) {
            self.fetch_for_prefetch(&mut counted, &looked, gzip).await?;
            looked = self.look_up_item(item, gzip).await?;
        }
        match &looked.found {
            Found::Fresh(copy) => {
                self.bring(&looked, copy, gzip, &mut counted).await?;
                self.read_back(&looked, copy).await?;
                counted.keep();
                Ok(copy.clone())
            }
            Found::Stale { .. } => {
                Err(not_warm("not fresh any more once it had arrived", looked.view.leased))
            }
            Found::Gone(_) => Err(not_warm("purged again while it was fetched", true)),
            Found::Absent { .. } => Err(not_warm("evicted again before completion", true)),
        }
    }

    async fn look_up_item(&self, item: &PrefetchItem, gzip: bool) -> Result<Looked, NotWarm> {
        let looked =
            self.look_up(&item.domain, &item.path_and_query, &fields::asking(gzip), Trace::Promote).await;
        looked.map_err(|no| match no {
            NoLookUp::UnknownHost => not_warm("the domain was removed", false),
            NoLookUp::BadPath(why) => not_warm(&why.to_string(), false),
        })
    }

    /// Has what is missing of a copy fetched.
    async fn bring(
        self: &Arc<Pop>,
        looked: &Looked,
        copy: &Variant,
        gzip: bool,
        counted: &mut Counted<'_>,
    ) -> Result<(), NotWarm> {
        counted.expect(copy.body.size().unwrap_or(0));
        if copy.body.is_whole() {
            counted.there(copy.body.size().unwrap_or(0));
            return Ok(());
        }
        let supply = Arc::new(self.supply(looked, &fields::asking(gzip), &copy.head, Way::Home));
        let brought = self.bring_whole(&supply, &copy.body, |bytes| counted.there(bytes)).await;
        if matches!(brought, Err(Broken::Lost | Broken::Changed)) {
            self.store.forget_body(&looked.key, &copy.body).await;
        }
        brought.map_err(|broken| not_warm(&broken.to_string(), true))
    }

    async fn fetch_for_prefetch(
        self: &Arc<Pop>,
        counted: &mut Counted<'_>,
        looked: &Looked,
        gzip: bool,
    ) -> Result<(), NotWarm> {
        if !looked.view.member {
            return Err(not_warm("this POP is not a member of the fleet", false));
        }
        let viewer = fields::asking(gzip);
        let question = || self.question(looked, &viewer);
        let (fill, own) = match self.take_part(looked, (Way::Home, true), question, &viewer) {
            Part::Leads(fill, own) => (fill, Some(own)),
            Part::Joins(fill) => (fill, None),
            Part::LooksAgain => return Ok(()),
            Part::Refused => return Err(not_warm("too many fetches at this moment", true)),
        };
        let (outcome, mut progress) = fill.outcome().await;
        match outcome {
            Some(Outcome::Streaming(head, body)) => {
                if !head.status.is_success() {
                    return Err(refused_status(head.status));
                }
                counted.expect(head.length().unwrap_or(0));
                let supply = Arc::new(self.supply(looked, &viewer, &head, Way::Home));
                let brought = self.bring_whole(&supply, &body, |bytes| counted.there(bytes)).await;
                brought.map_err(|broken| not_warm(&broken.to_string(), true))?;
                // Only now is it entered, where it is no body that can be completed later.
                let ended = progress.wait_for(|progress| progress.ended).await;
                ended.map(drop).map_err(|_| not_warm("this POP is stopping", true))
            }
            Some(Outcome::Kept(copy)) => self.bring(looked, &copy, gzip, counted).await,
            Some(Outcome::Failed(error)) => {
                let reason = if error.timed_out() {
                    "Origin Timeout".into()
                } else {
                    format!("Internal Error: {error}")
                };
                Err(NotWarm { reason, again: true })
            }
            Some(Outcome::Alone(why)) => {
                let answer = match own {
                    Some(own) => own.await.ok(),
                    None => None,
                };
                Err(match answer {
                    Some(answer) if !answer.status().is_success() => refused_status(answer.status()),
                    Some(answer) => {
                        not_warm(&format!("not cacheable: {}", why.explain(answer.headers())), false)
                    }
                    None => not_warm(&format!("not cacheable: {}", why.as_str()), false),
                })
            }
            Some(Outcome::StaleServes(_)) => Err(not_warm("the origin fails", true)),
            None => Err(not_warm("this POP is stopping", true)),
        }
    }

    /// Reads the whole body from disk and compares its checksums; a damaged one is forgotten.
    async fn read_back(&self, looked: &Looked, copy: &Arc<Variant>) -> Result<(), NotWarm> {
        if !copy.head.status.is_success() {
            return Err(refused_status(copy.head.status));
        }
        if let Err(error) = self.store.read_back(&looked.key, &copy.body).await {
            // What is missing of one in slices is fetched again.
            if copy.body.at_hand().is_some() {
                self.store.forget_body(&looked.key, &copy.body).await;
            }
            return Err(not_warm(&format!("read back from disk: {error}"), true));
        }
        Ok(())
    }

    /// Without a lease nothing counts as a HIT, and what is here would be asked for once more.
    async fn wait_for_lease(&self) {
        let mut leased = self.leased.subscribe();
        // The channel lives as long as the POP.
        let _ = leased.wait_for(|leased| *leased).await;
    }
}

fn not_warm(reason: &str, again: bool) -> NotWarm {
    NotWarm { reason: reason.to_owned(), again }
}

fn refused_status(status: http::StatusCode) -> NotWarm {
    let reason = format!("Origin Return StatusCode {}", status.as_u16());
    NotWarm { reason, again: status.is_server_error() }
}
