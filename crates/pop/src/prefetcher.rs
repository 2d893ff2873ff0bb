//! The prefetcher: fetches what an order names, reads it back the way a viewer would get it, and reports how far it is.

mod bucket;
mod cost;
mod failure;
pub(crate) mod following;
mod places;
mod refill;
mod scheduler;
mod variants;
mod warming;

pub use cost::{Cost, Spent};
pub use places::Pace;

use crate::peers::Way;
use crate::store::journal::PrefetchJob;
use crate::{Config, Pop};
use freshen_model::follow::Follow;
use freshen_model::ids::Seq;
use freshen_model::order::{PrefetchItem, PrefetchOrder, Scope, Steer};
use freshen_model::protocol::heartbeat::PrefetchReport;
use freshen_model::task::{FAILURES_MAX, Failure, Progress};
use parking_lot::Mutex;
use places::Places;
use scheduler::Limits;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, watch};
use variants::AsViewer;

/// Files that are looked up, or read back from disk, at one time.
const READ_AT_ONCE: usize = 8;
/// Files of a job that are looked up once more at its end; those beyond are not.
const LOOKED_UP_AGAIN_MAX: usize = 100_000;
/// Reports in one heartbeat; the others wait for the next.
const REPORTS_MAX: usize = 64;

/// The prefetches of one POP.
pub struct Prefetcher {
    jobs: Mutex<BTreeMap<Seq, Arc<Job>>>,
    /// What is fetched at one time, and how fast.
    places: Arc<Places>,
    reading: Semaphore,
    /// Lines whose playlists are followed at one time.
    followed: Semaphore,
    revision: AtomicU64,
}

/// One prefetch order under way, or ended and not noted by control.
struct Job {
    seq: Seq,
    /// The POPs that it is for.
    scope: Arc<Scope>,
    /// As whom its files are asked for.
    viewers: Vec<AsViewer>,
    state: Mutex<JobState>,
    cost: Arc<Cost>,
    going: watch::Sender<Going>,
}

/// Whether a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    On,
    /// Nothing more is begun for the time being.
    Paused,
    /// Nothing more is done.
    Over,
}

#[derive(Default)]
struct JobState {
    progress: Progress,
    failures: Vec<Failure>,
    ended: bool,
    /// Whether it is yet to be chosen what is refilled.
    choosing: bool,
    /// What is warm, at most [`LOOKED_UP_AGAIN_MAX`] of it.
    warm: Vec<Warm>,
}

/// A file that was found warm.
struct Warm {
    line: u32,
    /// Set where it is not the line itself.
    url: Option<String>,
    item: PrefetchItem,
    /// Whether other viewers get other answers.
    varies: bool,
}

/// One line of a job.
#[derive(Clone, Copy)]
struct Line<'a> {
    job: &'a Arc<Job>,
    /// Its place, from 1.
    number: u32,
}

impl Prefetcher {
    /// None under way.
    pub fn new(config: &Config) -> Prefetcher {
        let limits = Limits {
            at_once: config.prefetches_at_once,
            at_once_per_origin: config.prefetches_at_once_per_origin,
            bytes_per_s: config.prefetch_bytes_per_s_max,
        };
        Prefetcher {
            jobs: Mutex::default(),
            places: Places::new(limits),
            reading: Semaphore::new(READ_AT_ONCE),
            followed: Semaphore::new(following::LINES_AT_ONCE),
            revision: AtomicU64::new(0),
        }
    }

    /// What to tell control: of those that ended first, and of those that are paused last.
    pub fn reports(&self) -> Vec<PrefetchReport> {
        let jobs = self.jobs.lock();
        let mut jobs: Vec<_> = jobs.iter().collect();
        // Each looked at once: they change meanwhile, and what is sorted must keep its place.
        jobs.sort_by_cached_key(|(_, job)| (!job.state.lock().ended, job.going() == Going::Paused));
        let report = |(seq, job): (&Seq, &Arc<Job>)| {
            let state = job.state.lock();
            let failures = if state.ended { state.failures.clone() } else { Vec::new() };
            let progress = job.cost.told_in(state.progress);
            let variants = job.viewers.iter().filter(|viewer| viewer.is_named()).count() as u32;
            PrefetchReport { seq: *seq, progress, ended: state.ended, variants, failures }
        };
        jobs.into_iter().take(REPORTS_MAX).map(report).collect()
    }

    /// Changes with every line that is done.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    /// Whether something goes on or waits to be noted.
    pub fn busy(&self) -> bool {
        self.jobs.lock().values().any(|job| job.going() != Going::Paused)
    }

    /// Forgets what control has noted; what is still under way of it, since it is overdue, is broken off.
    pub fn forget(&self, noted: &[Seq]) {
        noted.iter().for_each(|seq| self.end(*seq));
    }

    /// Has a job go on as an order says that is applied; nothing where it is none of this POP's, or ended.
    pub fn steer(&self, seq: Seq, steer: Steer) {
        let going = match steer {
            Steer::Pause => Going::Paused,
            Steer::Resume => Going::On,
            Steer::Cancel => return self.end(seq),
        };
        if let Some(job) = self.jobs.lock().get(&seq)
            && !job.state.lock().ended
        {
            job.going.send_replace(going);
        }
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self, seq: Seq) {
        if let Some(job) = self.jobs.lock().remove(&seq) {
            job.going.send_replace(Going::Over);
        }
    }

    /// How a prefetch goes on; one that is not known is over.
    fn going(&self, seq: Seq) -> Going {
        self.jobs.lock().get(&seq).map_or(Going::Over, |job| job.going())
    }

    /// Takes note of a prefetch, before other POPs can know that this one has its order and ask for what it names.
    pub fn enlist(&self, seq: Seq, order: &PrefetchOrder, cost: Spent) {
        let progress = Progress { files: order.items.len() as u64, ..Progress::default() };
        let choosing = order.refill.is_some() && order.items.is_empty();
        let state = JobState { progress, choosing, ..JobState::default() };
        self.jobs.lock().insert(seq, Job::new(seq, order, state, cost));
    }

    /// The POPs that a prefetch is for, of those that this POP has.
    pub fn scope_of(&self, order: Seq) -> Option<Arc<Scope>> {
        self.jobs.lock().get(&order).map(|job| job.scope.clone())
    }

    /// Forgets everything: the log is another one.
    pub fn forget_all(&self) {
        for job in std::mem::take(&mut *self.jobs.lock()).values() {
            job.going.send_replace(Going::Over);
        }
    }
}

impl Job {
    fn new(seq: Seq, order: &PrefetchOrder, state: JobState, cost: Spent) -> Arc<Job> {
        let going = if order.paused && !state.ended { Going::Paused } else { Going::On };
        Arc::new(Job {
            seq,
            scope: Arc::new(order.scope()),
            viewers: AsViewer::of(order),
            state: Mutex::new(state),
            cost: Arc::new(Cost::since(cost)),
            going: watch::Sender::new(going),
        })
    }

    fn going(&self) -> Going {
        *self.going.borrow()
    }

    /// Waits out a pause; false once it is over.
    async fn goes_on(&self) -> bool {
        let mut going = self.going.subscribe();
        let going = going.wait_for(|going| *going != Going::Paused).await;
        going.is_ok_and(|going| *going == Going::On)
    }

    /// Waits until it is paused or over.
    async fn stops(&self) {
        // The channel lives as long as the job.
        let _ = self.going.subscribe().wait_for(|going| *going != Going::On).await;
    }

    /// Waits until it is over.
    async fn is_over(&self) {
        let _ = self.going.subscribe().wait_for(|going| *going == Going::Over).await;
    }

    /// Who is asked for what is not here.
    fn way(&self) -> Way {
        Way::Tree(self.seq)
    }

    fn change(&self, change: impl FnOnce(&mut JobState)) {
        change(&mut self.state.lock());
    }

    /// Notes that a file which was warm is not.
    fn not_warm_after_all(&self, failure: Failure) {
        self.change(|state| {
            state.progress.files_warm = state.progress.files_warm.saturating_sub(1);
            state.warm.retain(|file| (file.line, &file.url) != (failure.line, &failure.url));
        });
        self.failed(1, failure);
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
                let state = JobState { progress, failures, ended: true, ..JobState::default() };
                let job = Job::new(seq, &job.order, state, Spent::of(&progress));
                self.prefetcher.jobs.lock().insert(seq, job);
            }
            None => {
                self.prefetcher.enlist(seq, &job.order, job.cost);
                self.start_prefetch(seq, job.order);
            }
        }
    }

    /// Begins a prefetch that is enlisted and whose order is applied: the watermark covers every purge before it.
    pub fn start_prefetch(self: Arc<Pop>, seq: Seq, order: PrefetchOrder) {
        let Some(job) = self.prefetcher.jobs.lock().get(&seq).cloned() else { return };
        tokio::spawn(async move {
            let order = self.chosen(seq, order).await;
            job.change(|state| {
                state.progress.files = order.items.len() as u64;
                state.choosing = false;
            });
            let lines = order.items.iter().zip(refill::lines_of(&order)).map(|(item, number)| {
                let line = Line { job: &job, number };
                self.warm_line(line, item, order.follow.as_ref())
            });
            futures_util::future::join_all(lines).await;
            self.look_up_again(&job).await;
            self.end_prefetch(seq, &job, order).await;
        });
    }

    async fn end_prefetch(self: &Arc<Pop>, seq: Seq, job: &Arc<Job>, order: PrefetchOrder) {
        if job.going() == Going::Over {
            return;
        }
        let outcome = {
            let state = job.state.lock();
            (job.cost.told_in(state.progress), state.failures.clone())
        };
        let kept = PrefetchJob { order, outcome: Some(outcome), cost: Spent::default() };
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::ids::TaskId;

    fn prefetcher() -> Prefetcher {
        let config = Config::new(
            "pop-1".parse().unwrap(),
            "data".into(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        );
        Prefetcher::new(&config)
    }

    fn order() -> PrefetchOrder {
        PrefetchOrder {
            task: TaskId(1),
            area: None,
            items: Vec::new(),
            follow: None,
            refill: None,
            pops: None,
            headers: Default::default(),
            paused: false,
        }
    }

    /// However many wait before them.
    #[test]
    fn p6_an_end_is_told_before_what_is_paused() {
        let prefetcher = prefetcher();
        for seq in 1..=200 {
            let (ended, going) = (seq == 200, if seq < 150 { Going::Paused } else { Going::On });
            let state = JobState { ended, ..JobState::default() };
            let job = Job::new(Seq(seq), &order(), state, Spent::default());
            job.going.send_replace(going);
            prefetcher.jobs.lock().insert(Seq(seq), job);
        }
        let told: Vec<u64> = prefetcher.reports().iter().map(|report| report.seq.0).collect();
        assert_eq!(told.len(), REPORTS_MAX);
        assert_eq!((told[0], told[1], told[51]), (200, 150, 1));
    }

    /// Orders come, and files are done, while a heartbeat is made.
    #[test]
    fn p6_prefetches_that_are_paused_while_they_are_told_of_break_no_heartbeat() {
        let prefetcher = prefetcher();
        for seq in 1..=500 {
            prefetcher.enlist(Seq(seq), &order(), Spent::default());
        }
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let jobs: Vec<_> = prefetcher.jobs.lock().values().cloned().collect();
                for (turn, job) in (0_usize..).zip(jobs.iter().cycle()) {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    job.change(|state| state.ended = turn.is_multiple_of(3));
                    job.going.send_replace(if turn.is_multiple_of(2) { Going::Paused } else { Going::On });
                }
            });
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                (0..300).all(|_| prefetcher.reports().len() == REPORTS_MAX)
            }));
            over.store(true, Ordering::Relaxed);
            assert!(told.is_ok_and(|all| all));
        });
    }
}
