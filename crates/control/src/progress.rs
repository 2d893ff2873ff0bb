//! The running tasks: what each POP has still to do, and when that ends.
//!
//! Kept in memory and changed by events: a submission, a heartbeat, the clock, a change of the fleet. What is decided here
//! becomes visible as ended only once the [keeper](crate::keeper) has it in the ledger.

mod state;
mod watched;

use crate::changes::Changes;
use crate::telemetry;
use freshen_ledger::{PopRecord, TaskRecord, TaskUpdate};
use freshen_model::ids::{PopId, Seq, TaskId};
use freshen_model::protocol::completion::Fence;
use freshen_model::protocol::heartbeat::PrefetchReport;
use freshen_model::window::Window;
use parking_lot::Mutex;
use state::State;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A moment on both of control's clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The steady clock, which decides.
    pub(crate) steady: Duration,
    /// The wall clock, for people.
    pub(crate) wall_ms: i64,
}

/// When a task's POPs are done without having said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A purge: POPs that have not confirmed are fenced by these terms; `None`: no clock fences them.
    Fence(Option<Fence>),
    /// A prefetch: POPs that have not finished by then are overdue, on the steady clock.
    Deadline(Duration),
}

/// What the ledger has to be asked, since something happened that memory alone cannot settle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// Some submission ended in an error of the engine: its task may be in the ledger nevertheless.
    pub(crate) tasks: bool,
    /// A POP was added, removed or is gone.
    pub(crate) pops: bool,
}

/// All running tasks, and ended ones in which a fenced POP has still to confirm.
pub(crate) struct Progress {
    state: Mutex<State>,
    /// Told of whatever changes of a task.
    pub(crate) changes: Arc<Changes>,
    /// Told whenever there may be something to write.
    wake: Notify,
    /// Told whenever a task with a window came.
    windowed: Notify,
}

impl Progress {
    pub(crate) fn new(changes: Arc<Changes>) -> Progress {
        let state = Mutex::new(State::telling(changes.clone()));
        Progress { state, changes, wake: Notify::new(), windowed: Notify::new() }
    }

    /// Announces a submission, before the ledger is asked; to be held until its task is registered.
    pub(crate) fn announce(&self) -> Announced<'_> {
        self.state.lock().announced += 1;
        Announced(self)
    }

    /// Takes in a task that is durable; one that is known already stays as it is.
    ///
    /// `known_at` is when control learned that the append was acknowledged (its own start, for a task it finds then).
    pub(crate) fn register(&self, record: TaskRecord, limit: Limit, known_at: Moment) {
        let windowed = record.terms.window.is_some();
        self.state.lock().register(record, limit, known_at);
        self.wake.notify_one();
        if windowed {
            self.windowed.notify_one();
        }
    }

    /// The running tasks that have a window.
    pub(crate) fn windows(&self) -> Vec<(TaskId, Window)> {
        let state = self.state.lock();
        let running = state.tasks.values().filter(|task| !task.ended());
        running.filter_map(|task| Some((task.record.id, task.record.terms.window?))).collect()
    }

    /// Resolves when a task with a window came.
    pub(crate) async fn windows_changed(&self) {
        self.windowed.notified().await;
    }

    /// Takes in how a task goes on, as the ledger has it.
    pub(crate) fn steered(&self, record: &TaskRecord) {
        self.state.lock().steered(record);
        self.wake.notify_one();
    }

    /// Lines of the account's prefetches that have not ended.
    pub(crate) fn queued(&self, account: &str) -> u64 {
        self.state.lock().queued(account)
    }

    /// Takes in tasks found in the ledger; false where a submission is under way, so that nobody can say which are new.
    pub(crate) fn adopt(&self, found: Vec<(TaskRecord, Limit)>, known_at: Moment) -> bool {
        let mut state = self.state.lock();
        if state.announced > 0 {
            return false;
        }
        state.doubt.tasks = false;
        for (record, limit) in found {
            state.register(record, limit, known_at);
        }
        true
    }

    /// Takes in that a POP has durably applied all up to `watermark`, and how far its prefetches are. Gives the ended
    /// prefetches that the ledger has.
    pub(crate) fn heard(
        &self,
        pop: &PopId,
        watermark: Seq,
        reports: &[PrefetchReport],
        now: Moment,
    ) -> Vec<Seq> {
        let mut state = self.state.lock();
        let due = state.due.first().copied();
        state.confirm(pop, watermark, now);
        let noted = reports.iter().filter(|report| state.report(pop, report, now)).map(|report| report.seq);
        let noted = noted.collect();
        let changed = !state.dirty.is_empty() || state.due.first().copied() != due;
        drop(state);
        if changed {
            self.wake.notify_one();
        }
        noted
    }

    /// Takes in what is remembered of a POP from before a restart.
    pub(crate) fn remembered(&self, pop: &PopId, watermark: Seq, heard_ms: i64) {
        let now = Moment { steady: Duration::ZERO, wall_ms: heard_ms };
        self.state.lock().confirm(pop, watermark, now);
    }

    /// Takes in how far a process that runs as this POP is at least, though it did not say so itself.
    pub(crate) fn reached(&self, pop: &PopId, place: Seq, now: Moment) {
        self.state.lock().reached(pop, place, now);
        self.wake.notify_one();
    }

    /// Takes in the POPs that are not gone, read from the ledger after every task registered so far.
    pub(crate) fn reconcile(&self, pops: &[PopRecord], now: Moment) {
        self.state.lock().reconcile(pops, now);
    }

    /// Takes in that time has passed.
    pub(crate) fn tick(&self, now: Moment) {
        let fenced = self.state.lock().tick(now);
        metrics::counter!(telemetry::STEPS_FENCED).increment(fenced);
    }

    /// When [`Progress::tick`] will have something to do.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.state.lock().due.first().map(|(at, _)| *at)
    }

    /// Resolves when there may be something to write or to ask.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// How many tasks have not ended.
    pub(crate) fn running(&self) -> usize {
        self.state.lock().running
    }

    /// Makes [`Progress::woken`] resolve: there is something to remember.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// What has to be asked of the ledger.
    pub(crate) fn doubt(&self) -> Doubt {
        self.state.lock().doubt
    }

    /// Notes that the POPs changed, before or while the ledger is asked.
    pub(crate) fn doubt_pops(&self) {
        self.state.lock().doubt.pops = true;
        self.wake.notify_one();
    }

    /// Takes the note of [`Progress::doubt_pops`] back, before the ledger is read.
    pub(crate) fn settle_pops(&self) {
        self.state.lock().doubt.pops = false;
    }

    /// Notes that the ledger could not be read; it is tried again after a rest, not at once.
    pub(crate) fn unsettle_pops(&self) {
        self.state.lock().doubt.pops = true;
    }

    /// Notes that a submission's fate is unknown.
    pub(crate) fn doubt_tasks(&self) {
        self.state.lock().doubt.tasks = true;
        self.wake.notify_one();
    }

    /// Whether something must be written at once (a task ended, a POP waits to hear that it is noted), or soon.
    pub(crate) fn pending(&self) -> Pending {
        let state = self.state.lock();
        match (state.dirty.is_empty(), state.urgent) {
            (true, _) => Pending::Nothing,
            (false, false) => Pending::Soon,
            (false, true) => Pending::Now,
        }
    }

    /// Takes what is to be written; to be given back by [`Progress::written`] or [`Progress::failed`].
    pub(crate) fn take_updates(&self) -> Vec<TaskUpdate> {
        self.state.lock().take_updates()
    }

    /// Notes that these updates are durable.
    pub(crate) fn written(&self, updates: &[TaskUpdate]) {
        self.state.lock().written(updates);
    }

    /// Notes that these updates have to be written again.
    pub(crate) fn failed(&self, updates: &[TaskUpdate]) {
        let mut state = self.state.lock();
        state.dirty.extend(updates.iter().map(|update| update.id));
        state.urgent = true;
    }

    /// A task as it is now; `None` for one the ledger alone knows.
    pub(crate) fn task(&self, id: TaskId) -> Option<TaskRecord> {
        self.state.lock().tasks.get(&id).map(|task| task.record.clone())
    }
}

/// How pressing a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Nothing,
    Soon,
    Now,
}

/// A submission under way. While there is one, a prefetch nobody knows may be one that is about to be registered, so its
/// report is not noted.
pub(crate) struct Announced<'a>(&'a Progress);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.state.lock().announced -= 1;
        self.0.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::task::{Holds, PrefetchTerms, Progress as Files, Status, Step, StepState, TaskKind};

    const NOW: Moment = Moment { steady: Duration::from_secs(100), wall_ms: 1 };

    fn task(kind: TaskKind, seq: u64) -> TaskRecord {
        TaskRecord {
            id: TaskId(seq),
            account: "ann".into(),
            kind,
            mode: None,
            area: None,
            status: Status::Running,
            seq: Seq(seq),
            fence_from: Some(Seq::ZERO),
            lines: 1,
            domains: vec!["a.example".into()],
            submitted_ms: 0,
            ended_ms: None,
            steps: vec![Step { pop: pop(), state: StepState::Waiting }],
            not_before_ms: None,
            cut: false,
            terms: PrefetchTerms::default(),
            holds: Holds::default(),
            follow: None,
            reason: None,
            then: None,
            after: None,
            refill: None,
        }
    }

    fn pop() -> PopId {
        "pop-a".parse().unwrap()
    }

    fn report(seq: u64) -> PrefetchReport {
        let progress = Files { files: 1, files_warm: 1, ..Files::default() };
        PrefetchReport { seq: Seq(seq), progress, ended: true, variants: 0, failures: Vec::new() }
    }

    const FENCE: Limit = Limit::Fence(Some(Fence { from: Seq::ZERO, after: Duration::from_secs(11) }));

    #[test]
    fn p2_a_pop_that_confirms_before_the_registration_is_counted() {
        let progress = Progress::new(Arc::default());
        progress.heard(&pop(), Seq(6), &[], NOW);
        progress.register(task(TaskKind::Url, 7), FENCE, NOW);
        progress.register(task(TaskKind::Url, 6), FENCE, NOW);
        let ended: Vec<_> =
            progress.take_updates().into_iter().map(|update| (update.id, update.status)).collect();
        assert_eq!(ended, [(TaskId(6), Status::Complete)]);
    }

    #[tokio::test]
    async fn p2_a_fence_that_begins_to_count_wakes_the_keeper() {
        let progress = Progress::new(Arc::default());
        let fence = Fence { from: Seq(5), after: Duration::from_secs(11) };
        progress.register(task(TaskKind::Url, 7), Limit::Fence(Some(fence)), NOW);
        progress.woken().await;
        assert_eq!(progress.due(), None);
        progress.heard(&pop(), Seq(5), &[], NOW);
        assert_eq!(progress.due(), Some(Duration::from_secs(111)));
        tokio::time::timeout(Duration::ZERO, progress.woken()).await.unwrap();
    }

    #[test]
    fn p6_a_report_that_comes_before_the_registration_is_not_noted_away() {
        let progress = Progress::new(Arc::default());
        let announced = progress.announce();
        assert_eq!(progress.heard(&pop(), Seq(7), &[report(7)], NOW), []);
        assert!(!progress.adopt(vec![], NOW), "nobody can say what is new");
        progress.register(task(TaskKind::Prefetch, 7), Limit::Deadline(Duration::from_secs(200)), NOW);
        drop(announced);
        assert_eq!(progress.heard(&pop(), Seq(7), &[report(7)], NOW), [], "taken, not yet durable");
        let updates = progress.take_updates();
        assert_eq!(updates[0].status, Status::Complete);
        progress.written(&updates);
        assert_eq!(progress.heard(&pop(), Seq(7), &[report(7)], NOW), [Seq(7)]);
    }

    /// It learns so that there is nothing more to do.
    #[test]
    fn p6_what_an_overdue_pop_reports_is_noted_once_the_deadline_is_durable() {
        let progress = Progress::new(Arc::default());
        progress.register(task(TaskKind::Prefetch, 7), Limit::Deadline(Duration::from_secs(200)), NOW);
        let under_way = [PrefetchReport { ended: false, ..report(7) }];
        assert_eq!(progress.heard(&pop(), Seq(7), &under_way, NOW), []);
        progress.tick(Moment { steady: Duration::from_secs(200), ..NOW });
        assert_eq!(progress.heard(&pop(), Seq(7), &under_way, NOW), [], "not durable");
        let updates = progress.take_updates();
        assert!(matches!(updates[0].steps[0].state, StepState::Overdue { .. }), "{updates:?}");
        progress.written(&updates);
        assert_eq!(progress.heard(&pop(), Seq(7), &under_way, NOW), [Seq(7)]);
    }

    /// The engine failed, yet the order may stand in the log: until the ledger was asked nothing is noted.
    #[test]
    fn p4_a_submission_of_unknown_fate_is_found_again() {
        let progress = Progress::new(Arc::default());
        progress.doubt_tasks();
        assert_eq!(progress.heard(&pop(), Seq(7), &[report(7)], NOW), []);
        let found = vec![(task(TaskKind::Prefetch, 7), Limit::Deadline(Duration::from_secs(200)))];
        assert!(progress.adopt(found, NOW));
        progress.heard(&pop(), Seq(7), &[report(7)], NOW);
        assert_eq!(progress.take_updates()[0].status, Status::Complete);
    }

    #[test]
    fn a_write_that_failed_is_made_again() {
        let progress = Progress::new(Arc::default());
        progress.register(task(TaskKind::Url, 7), FENCE, NOW);
        assert_eq!(progress.due(), Some(Duration::from_secs(111)));
        progress.heard(&pop(), Seq(7), &[], NOW);
        let updates = progress.take_updates();
        assert_eq!(progress.pending(), Pending::Nothing);
        progress.failed(&updates);
        assert_eq!(progress.pending(), Pending::Now);
        assert_eq!(progress.task(TaskId(7)).unwrap().status, Status::Running, "not durable, not shown");
        assert_eq!(progress.take_updates(), updates);
        progress.written(&updates);
        assert_eq!((progress.task(TaskId(7)), progress.due()), (None, None));
    }
}
