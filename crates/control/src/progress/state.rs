//! What is kept of all running tasks, with the indexes that make each event cheap.

use super::watched::Watched;
use super::{Doubt, Limit, Moment};
use crate::changes::Changes;
use crate::telemetry;
use freshen_ledger::{PopRecord, TaskRecord, TaskUpdate};
use freshen_model::ids::{PopId, Seq, TaskId};
use freshen_model::protocol::heartbeat::PrefetchReport;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

#[derive(Default)]
pub(super) struct State {
    pub(super) tasks: HashMap<TaskId, Watched>,
    /// Purges that a POP has still to confirm, by the place of their order: a watermark takes a prefix off.
    owed: HashMap<PopId, BTreeMap<Seq, TaskId>>,
    /// Prefetches under way, by the place of their order, as reports name them.
    prefetches: HashMap<Seq, TaskId>,
    /// Running purges that can fence only POPs which have come far enough.
    guarded: BTreeSet<TaskId>,
    /// When the clock ends steps of which task.
    pub(super) due: BTreeSet<(Duration, TaskId)>,
    /// Tasks whose steps the ledger does not have as they are now.
    pub(super) dirty: BTreeSet<TaskId>,
    /// Whether some of those should be written at once.
    pub(super) urgent: bool,
    /// How many tasks have not ended, as the ledger has it.
    pub(super) running: usize,
    /// Submissions under way.
    pub(super) announced: usize,
    pub(super) doubt: Doubt,
    /// What each POP confirmed, and when it was heard; for tasks registered behind that.
    heard: HashMap<PopId, Heard>,
    /// How far the process that runs as each POP is at least. Goes back where the POP comes with an older folder.
    reached: HashMap<PopId, Seq>,
    /// The POPs as last read; one that is not here was not yet, or is not any more.
    pops: HashMap<PopId, Known>,
    changes: Arc<Changes>,
}

#[derive(Clone, Copy)]
struct Heard {
    watermark: Seq,
    at_ms: i64,
}

#[derive(Clone, Copy)]
struct Known {
    joined: Seq,
    removed: bool,
}

impl State {
    pub(super) fn telling(changes: Arc<Changes>) -> State {
        State { changes, ..State::default() }
    }

    pub(super) fn queued(&self, account: &str) -> u64 {
        let records = self.prefetches.values().filter_map(|id| Some(&self.tasks.get(id)?.record));
        records.filter(|record| record.account == account).map(|record| record.lines).sum()
    }

    pub(super) fn register(&mut self, record: TaskRecord, limit: Limit, known_at: Moment) {
        let id = record.id;
        if self.tasks.contains_key(&id) {
            return;
        }
        self.running += usize::from(!record.status.ended());
        let reached = |pop: &PopId| self.reached.get(pop).copied().unwrap_or_default();
        let mut task = Watched::new(record, limit, known_at.steady, reached, self.changes.clone());
        task.changed(known_at);
        let seq = task.record.seq;
        // Whoever is unknown may be new or gone; only the ledger can say.
        let settled = |pop: &PopId| self.pops.get(pop).is_some_and(|known| !known.removed);
        self.doubt.pops |= task.record.steps.iter().any(|step| !step.state.ended() && !settled(&step.pop));
        for pop in task.owing() {
            self.owed.entry(pop.clone()).or_default().insert(seq, id);
        }
        if task.is_prefetch() && !task.ended() {
            self.prefetches.insert(seq, id);
        }
        if task.guarded() && !task.ended() {
            self.guarded.insert(id);
        }
        let pops: Vec<PopId> = task.record.steps.iter().map(|step| step.pop.clone()).collect();
        self.tasks.insert(id, task);
        self.touched(id, None);
        // A POP may have been quicker than the registration.
        for pop in pops {
            if let Some(heard) = self.heard.get(&pop).copied() {
                self.take_confirmations(&pop, heard.watermark, known_at);
            }
        }
    }

    pub(super) fn confirm(&mut self, pop: &PopId, watermark: Seq, now: Moment) {
        let heard =
            self.heard.entry(pop.clone()).or_insert(Heard { watermark: Seq::ZERO, at_ms: now.wall_ms });
        heard.at_ms = now.wall_ms;
        heard.watermark = heard.watermark.max(watermark);
        self.take_confirmations(pop, watermark, now);
        self.reached(pop, watermark, now);
    }

    pub(super) fn reached(&mut self, pop: &PopId, place: Seq, now: Moment) {
        if self.reached.insert(pop.clone(), place) == Some(place) {
            return;
        }
        for id in self.guarded.clone() {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let due = task.due();
            task.reached(pop, place, now);
            self.touched(id, due);
        }
    }

    fn take_confirmations(&mut self, pop: &PopId, watermark: Seq, now: Moment) {
        let Some(owed) = self.owed.get_mut(pop) else { return };
        let later = owed.split_off(&watermark.next());
        let confirmed = std::mem::replace(owed, later);
        for id in confirmed.into_values() {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let due = task.due();
            task.confirmed(pop, watermark, now);
            self.dirty.insert(id);
            self.touched(id, due);
        }
    }

    /// Takes in a report; true where the ledger has the end of that POP's step, or of the task, or knows of none: then the
    /// POP has nothing more to do for it, whatever it is about.
    pub(super) fn report(&mut self, pop: &PopId, report: &PrefetchReport, now: Moment) -> bool {
        let known = self.prefetches.get(&report.seq).copied();
        let Some(id) = known else { return self.announced == 0 && !self.doubt.tasks };
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let due = task.due();
        if task.reported(pop, report, now) {
            self.dirty.insert(id);
            self.urgent |= report.ended;
            self.touched(id, due);
            return false;
        }
        task.kept(pop)
    }

    pub(super) fn steered(&mut self, record: &TaskRecord) {
        let id = record.id;
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if !record.status.ended() {
            return task.held(record.holds);
        }
        let due = task.due();
        task.cancelled(record);
        // That it ended is durable; how far it was is written again.
        let update = task.update();
        self.dirty.insert(id);
        self.touched(id, due);
        self.written(&[update]);
    }

    pub(super) fn reconcile(&mut self, pops: &[PopRecord], now: Moment) {
        let known = |pop: &PopRecord| Known { joined: pop.joined, removed: pop.left.is_some() };
        self.pops = pops.iter().map(|pop| (pop.id.clone(), known(pop))).collect();
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in ids {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let due = task.due();
            let rejoins = task.is_prefetch();
            let seq = task.record.seq;
            let over = |pop: &PopId| match self.pops.get(pop) {
                None => true,
                Some(known) if known.removed => !task.waits_for_removed(pop),
                // It came back from a removal, starting from a snapshot that holds no prefetches of before.
                Some(known) => rejoins && known.joined > seq,
            };
            let over: Vec<PopId> =
                task.record.steps.iter().map(|step| &step.pop).filter(|pop| over(pop)).cloned().collect();
            let mut changed = false;
            for pop in &over {
                changed |= task.removed(pop, now);
            }
            if changed {
                self.dirty.insert(id);
                self.touched(id, due);
            }
        }
        // A fenced POP that is gone will not confirm; its steps stay «fenced».
        let gone: Vec<PopId> = self.owed.keys().filter(|pop| !self.pops.contains_key(pop)).cloned().collect();
        for pop in gone {
            self.heard.remove(&pop);
            for id in self.owed.remove(&pop).unwrap_or_default().into_values() {
                self.forget_if_settled(id);
            }
        }
    }

    pub(super) fn tick(&mut self, now: Moment) -> u64 {
        let mut fenced = 0;
        while let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= now.steady) {
            self.due.remove(&(at, id));
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            fenced += task.tick(now, |pop| self.heard.get(pop).map(|heard| heard.at_ms));
            self.dirty.insert(id);
            self.touched(id, Some(at));
        }
        fenced
    }

    /// Brings the indexes in line with a task that changed; `due` is when the clock would have ended steps of it before.
    fn touched(&mut self, id: TaskId, due: Option<Duration>) {
        let Some(task) = self.tasks.get(&id) else { return };
        if let Some(due) = due {
            self.due.remove(&(due, id));
        }
        if let Some(due) = task.due() {
            self.due.insert((due, id));
        }
        if task.ended() {
            let durable = task.record.status.ended();
            if !durable {
                self.dirty.insert(id);
                self.urgent = true;
            }
        }
    }

    pub(super) fn take_updates(&mut self) -> Vec<TaskUpdate> {
        self.urgent = false;
        let dirty = std::mem::take(&mut self.dirty);
        dirty.iter().filter_map(|id| self.tasks.get(id)).map(Watched::update).collect()
    }

    pub(super) fn written(&mut self, updates: &[TaskUpdate]) {
        for update in updates {
            let Some(task) = self.tasks.get_mut(&update.id) else { continue };
            if task.written(update) {
                self.running -= 1;
                let (kind, status) = (task.record.kind.as_str(), update.status.as_str());
                metrics::counter!(telemetry::TASKS_ENDED, "kind" => kind, "status" => status).increment(1);
                self.prefetches.remove(&task.record.seq);
                self.guarded.remove(&update.id);
            }
            self.forget_if_settled(update.id);
        }
    }

    /// Forgets a task about which nothing more will happen and of which the ledger has everything.
    fn forget_if_settled(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let seq = task.record.seq;
        let owed = |pop: &PopId| self.owed.get(pop).is_some_and(|owed| owed.contains_key(&seq));
        if task.record.status.ended() && !self.dirty.contains(&id) && !task.owing().any(owed) {
            self.tasks.remove(&id);
        }
    }
}
