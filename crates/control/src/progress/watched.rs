//! One task on its way to its end.

use super::{Limit, Moment};
use crate::changes::Changes;
use freshen_ledger::{TaskRecord, TaskUpdate};
use freshen_model::ids::{PopId, Seq};
use freshen_model::protocol::completion::Completion;
use freshen_model::protocol::heartbeat::PrefetchReport;
use freshen_model::task::{FAILURES_MAX, Failure, Holds, Progress, Status, Step, StepState, TaskKind};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A task with its steps as they are now, and its status as the ledger has it.
pub(crate) struct Watched {
    /// Steps are sorted by POP and live; status and end are what is durable.
    pub(crate) record: TaskRecord,
    changes: Arc<Changes>,
    way: Way,
    /// Decided, maybe not yet durable.
    end: Option<(Status, i64)>,
    /// POPs whose step has ended, durably.
    kept: BTreeSet<PopId>,
}

/// What ends a task.
enum Way {
    Purge(Completion),
    Prefetch { deadline: Duration },
}

impl Watched {
    /// A task that control knows of since `known_at`, when its POPs were known to have `reached` those places.
    pub(crate) fn new(
        mut record: TaskRecord,
        limit: Limit,
        known_at: Duration,
        reached: impl Fn(&PopId) -> Seq,
        changes: Arc<Changes>,
    ) -> Watched {
        record.steps.sort_by(|one, other| one.pop.cmp(&other.pop));
        let ended = |step: &&Step| step.state.ended();
        let kept = record.steps.iter().filter(ended).map(|step| step.pop.clone()).collect();
        let open = record.steps.iter().filter(|step| !step.state.ended());
        let open = open.map(|step| (step.pop.clone(), reached(&step.pop)));
        let way = match limit {
            Limit::Fence(fence) => Way::Purge(Completion::new(record.seq, open, known_at, fence)),
            Limit::Deadline(deadline) => Way::Prefetch { deadline },
        };
        let end = record.status.ended().then(|| (record.status, record.ended_ms.unwrap_or_default()));
        Watched { record, changes, way, end, kept }
    }

    pub(crate) fn ended(&self) -> bool {
        self.end.is_some()
    }

    /// When the clock will end some of its steps.
    pub(crate) fn due(&self) -> Option<Duration> {
        match &self.way {
            _ if self.ended() => None,
            Way::Purge(completion) => completion.fence_due(),
            Way::Prefetch { deadline } => Some(*deadline),
        }
    }

    /// Whether how far a POP is decides if the clock fences it.
    pub(crate) fn guarded(&self) -> bool {
        matches!(&self.way, Way::Purge(completion) if completion.guarded())
    }

    /// Takes in how far a POP is at least, short of this task's order.
    pub(crate) fn reached(&mut self, pop: &PopId, place: Seq, now: Moment) {
        if let Way::Purge(completion) = &mut self.way {
            completion.reached(pop, place, now.steady);
        }
    }

    /// POPs that owe a confirmation: of purges, fenced ones too.
    pub(crate) fn owing(&self) -> impl Iterator<Item = &PopId> {
        let purge = matches!(self.way, Way::Purge(_));
        let owes = |step: &&Step| matches!(step.state, StepState::Waiting | StepState::Fenced { .. });
        self.record.steps.iter().filter(move |_| purge).filter(owes).map(|step| &step.pop)
    }

    /// Takes in that a POP has applied this task's order, durably.
    pub(crate) fn confirmed(&mut self, pop: &PopId, watermark: Seq, now: Moment) {
        let Way::Purge(completion) = &mut self.way else { return };
        completion.confirmed(pop, watermark);
        let Some(step) = step_of(&mut self.record, pop) else { return };
        let fenced_at_ms = match step.state {
            StepState::Waiting => None,
            StepState::Fenced { at_ms, .. } => Some(at_ms),
            _ => return,
        };
        step.state = StepState::Confirmed { at_ms: now.wall_ms, fenced_at_ms };
        self.changed(now);
    }

    /// Takes in how far a POP says it is; true where that changed anything.
    pub(crate) fn reported(&mut self, pop: &PopId, report: &PrefetchReport, now: Moment) -> bool {
        // What is refilled is chosen there.
        let lines = if self.record.refill.is_some() { 0 } else { self.record.lines };
        let variants = self.record.terms.headers.count();
        let Some(step) = step_of(&mut self.record, pop) else { return false };
        if step.state.ended() {
            return false;
        }
        let state = state_reported(report, (lines, variants), now.wall_ms);
        if step.state == state {
            return false;
        }
        step.state = state;
        self.changed(now);
        true
    }

    /// Takes in that a POP will not do anything for this task any more: it is gone, or it was removed and no clock or
    /// confirmation is to be waited for. A step that has ended stays what it is.
    pub(crate) fn removed(&mut self, pop: &PopId, now: Moment) -> bool {
        let Some(step) = step_of(&mut self.record, pop) else { return false };
        if step.state.ended() {
            return false;
        }
        step.state = StepState::Removed { at_ms: now.wall_ms };
        if let Way::Purge(completion) = &mut self.way {
            completion.removed(pop);
        }
        self.changed(now);
        true
    }

    /// Whether the step of this POP, once it was removed, still ends by a confirmation or the clock only: it may still
    /// serve, but a clock keeps it from that.
    pub(crate) fn waits_for_removed(&self, pop: &PopId) -> bool {
        matches!(&self.way, Way::Purge(completion) if completion.fence_due_of(pop).is_some())
    }

    /// Takes in what keeps it from beginning anything.
    pub(crate) fn held(&mut self, holds: Holds) {
        self.record.holds = holds;
        self.tell();
    }

    /// Takes in that it was cancelled, as the ledger has it.
    pub(crate) fn cancelled(&mut self, record: &TaskRecord) {
        let at_ms = record.ended_ms.unwrap_or_default();
        for step in self.record.steps.iter_mut().filter(|step| !step.state.ended()) {
            step.state =
                StepState::Cancelled { progress: progress_of(&step.state, self.record.lines), at_ms };
        }
        self.record.reason = record.reason.clone();
        self.end = Some((record.status, at_ms));
    }

    /// Ends the steps whose time is over; gives how many were fenced.
    pub(crate) fn tick(&mut self, now: Moment, heard_ms: impl Fn(&PopId) -> Option<i64>) -> u64 {
        let at_ms = now.wall_ms;
        let mut fenced_count = 0;
        match &mut self.way {
            Way::Purge(completion) => {
                for pop in completion.fenced(now.steady) {
                    if let Some(step) = step_of(&mut self.record, &pop) {
                        step.state = StepState::Fenced { at_ms, last_contact_ms: heard_ms(&pop) };
                        fenced_count += 1;
                    }
                }
            }
            Way::Prefetch { deadline } if now.steady >= *deadline => {
                for step in self.record.steps.iter_mut().filter(|step| !step.state.ended()) {
                    let progress = progress_of(&step.state, self.record.lines);
                    let last_contact_ms = heard_ms(&step.pop);
                    step.state = StepState::Overdue { progress, at_ms, last_contact_ms };
                }
            }
            Way::Prefetch { .. } => return 0,
        }
        self.changed(now);
        fenced_count
    }

    /// Decides whether the task has ended, and tells who watches.
    pub(crate) fn changed(&mut self, now: Moment) {
        if self.end.is_none() {
            self.end = self.outcome().map(|status| (status, now.wall_ms));
        }
        self.tell();
    }

    fn tell(&self) {
        self.changes.tell(self.record.id, &self.record.account);
    }

    fn outcome(&self) -> Option<Status> {
        match &self.way {
            Way::Purge(completion) => completion.complete().then_some(Status::Complete),
            Way::Prefetch { .. } if self.record.steps.iter().any(|step| !step.state.ended()) => None,
            // With every POP removed nothing is warm anywhere, and saying «complete» would be a lie.
            Way::Prefetch { .. } => {
                let warm = |step: &Step| matches!(step.state, StepState::Warm { .. });
                let removed = |step: &Step| matches!(step.state, StepState::Removed { .. });
                let steps = &self.record.steps;
                let complete = steps.iter().all(|step| warm(step) || removed(step)) && steps.iter().any(warm);
                Some(if complete { Status::Complete } else { Status::Failed })
            }
        }
    }

    /// Whether the ledger has the end of this POP's step.
    pub(crate) fn kept(&self, pop: &PopId) -> bool {
        self.kept.contains(pop) || self.record.steps.iter().all(|step| step.pop != *pop)
    }

    pub(crate) fn update(&self) -> TaskUpdate {
        let (status, ended_ms) = match self.end {
            Some((status, at_ms)) => (status, Some(at_ms)),
            None => (Status::Running, None),
        };
        TaskUpdate { id: self.record.id, status, ended_ms, steps: self.record.steps.clone() }
    }

    /// Takes in what the ledger has now; true where that brought the task's end.
    pub(crate) fn written(&mut self, update: &TaskUpdate) -> bool {
        let ends = update.status.ended() && !self.record.status.ended();
        self.record.status = update.status;
        self.record.ended_ms = update.ended_ms;
        let ended = update.steps.iter().filter(|step| step.state.ended());
        self.kept.extend(ended.map(|step| step.pop.clone()));
        if ends {
            self.tell();
        }
        ends
    }

    pub(crate) fn is_prefetch(&self) -> bool {
        self.record.kind == TaskKind::Prefetch
    }
}

fn step_of<'a>(record: &'a mut TaskRecord, pop: &PopId) -> Option<&'a mut Step> {
    let at = record.steps.binary_search_by(|step| step.pop.cmp(pop)).ok()?;
    record.steps.get_mut(at)
}

/// How far a POP is that has not ended a prefetch of so many lines.
fn progress_of(state: &StepState, lines: u64) -> Progress {
    match state {
        StepState::Fetching { progress } => *progress,
        _ => Progress { files: lines, ..Progress::default() },
    }
}

/// What a report comes to; a POP that says «ended» is warm only if it accounts for every line, for every file that these
/// led to, and for every variant that was named.
fn state_reported(report: &PrefetchReport, (lines, variants): (u64, usize), at_ms: i64) -> StepState {
    let progress = report.progress;
    let all_warm = progress.files_warm == progress.files && progress.files_failed == 0;
    let whole = progress.files >= lines && all_warm;
    let other_variants = report.variants as usize != variants;
    match report.ended {
        false => StepState::Fetching { progress },
        true if whole && report.failures.is_empty() && !other_variants => StepState::Warm { progress, at_ms },
        true => {
            let mut failures: Vec<_> = report.failures.iter().take(FAILURES_MAX).cloned().collect();
            if other_variants && failures.is_empty() {
                let reason = format!(
                    "this POP warmed {} of {variants} variants, upgrade it: its version does not know headers of prefetches",
                    report.variants
                );
                failures.push(Failure { line: 1, url: None, reason });
            }
            StepState::Failed { progress, failures, at_ms }
        }
    }
}
