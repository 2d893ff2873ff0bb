//! What changed of tasks, told to everybody who watches: one task, those of an account, or all.
//!
//! Each change gets a number, and a task is known under that of its newest one: who was away asks for all behind the last
//! number he saw. Numbers begin at the start's wall clock, so that those of an earlier run are lower. Nothing of it is
//! kept: the ledger has the tasks, this only says which to look at again.

use crate::control::Control;
use freshen_model::ids::TaskId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use tokio::sync::watch;

/// Tasks whose newest change is known; those that changed longest ago are forgotten.
const TASKS_MAX: usize = 10_000;
/// Tasks told at once.
const BATCH_MAX: usize = 100;
/// Streams of changes that one account may have open, and all together.
pub const STREAMS_OF_ACCOUNT_MAX: usize = 20;
/// As above: of all accounts together.
pub const STREAMS_MAX: usize = 1_000;

/// What changed of all tasks.
#[derive(Default)]
pub(crate) struct Changes(Mutex<State>);

#[derive(Default)]
struct State {
    /// The newest number.
    last: u64,
    /// Changes up to this number are not known.
    forgotten: u64,
    /// The newest change of each task.
    changes: BTreeMap<u64, TaskId>,
    tasks: HashMap<TaskId, (u64, Arc<str>)>,
    /// Who watches a task, an account, all.
    of_task: HashMap<TaskId, watch::Sender<u64>>,
    of_account: HashMap<Arc<str>, watch::Sender<u64>>,
    of_all: watch::Sender<u64>,
    /// Open streams by account.
    streams: HashMap<String, usize>,
}

impl Changes {
    /// None yet, at that time of the wall clock.
    pub(crate) fn begun_at(wall_ms: i64) -> Changes {
        // A thousand changes a millisecond would let two runs overlap; and programs read such numbers exactly.
        let first = u64::try_from(wall_ms).unwrap_or(0).saturating_mul(1_000);
        Changes(Mutex::new(State { last: first, forgotten: first, ..State::default() }))
    }

    /// Tells that a task of that account changed.
    pub(crate) fn tell(&self, task: TaskId, account: &str) {
        self.0.lock().tell(task, account);
    }

    fn task(self: &Arc<Changes>, task: TaskId) -> TaskWatch {
        let mut state = self.0.lock();
        let number = state.number(task);
        let changes = state.of_task.entry(task).or_insert_with(|| watch::Sender::new(number)).subscribe();
        TaskWatch { all: self.clone(), task, changes }
    }

    fn feed(self: &Arc<Changes>, account: Option<&str>, seen: Option<u64>) -> Feed {
        let mut state = self.0.lock();
        let account: Option<Arc<str>> = account.map(Into::into);
        let changes = match &account {
            None => state.of_all.subscribe(),
            Some(account) => state.of_account.entry(account.clone()).or_default().subscribe(),
        };
        Feed { all: self.clone(), account, changes, seen: seen.unwrap_or(state.last) }
    }

    fn stream(self: &Arc<Changes>, account: &str) -> Result<Stream, TooManyStreams> {
        let mut state = self.0.lock();
        if state.streams.values().sum::<usize>() >= STREAMS_MAX {
            return Err(TooManyStreams { whose: "everybody".into(), limit: STREAMS_MAX });
        }
        let open = state.streams.entry(account.to_owned()).or_default();
        if *open >= STREAMS_OF_ACCOUNT_MAX {
            return Err(TooManyStreams { whose: account.to_owned(), limit: STREAMS_OF_ACCOUNT_MAX });
        }
        *open += 1;
        Ok(Stream { all: self.clone(), account: account.to_owned() })
    }
}

impl State {
    fn number(&self, task: TaskId) -> u64 {
        self.tasks.get(&task).map_or(self.forgotten, |(number, _)| *number)
    }

    fn tell(&mut self, task: TaskId, account: &str) {
        self.last += 1;
        let number = self.last;
        let known = self.tasks.entry(task).or_insert_with(|| (0, account.into()));
        let before = std::mem::replace(&mut known.0, number);
        self.changes.remove(&before);
        self.changes.insert(number, task);
        if self.changes.len() > TASKS_MAX
            && let Some((number, task)) = self.changes.pop_first()
        {
            self.forgotten = number;
            self.tasks.remove(&task);
        }
        let watchers = [self.of_task.get(&task), self.of_account.get(account), Some(&self.of_all)];
        for watchers in watchers.into_iter().flatten() {
            watchers.send_replace(number);
        }
    }

    /// What changed behind `seen`; `None` where that is not known.
    fn after(&self, seen: u64, account: Option<&str>) -> Option<(Vec<Change>, u64)> {
        if seen < self.forgotten || seen > self.last {
            return None;
        }
        let behind = self.changes.range((Excluded(seen), Unbounded));
        let changes = behind.filter(|(_, task)| {
            account.is_none_or(|account| self.tasks.get(task).is_some_and(|(_, whose)| **whose == *account))
        });
        let changes: Vec<Change> =
            changes.take(BATCH_MAX).map(|(number, task)| Change { number: *number, task: *task }).collect();
        let to = changes.last().filter(|_| changes.len() == BATCH_MAX).map_or(self.last, |last| last.number);
        Some((changes, to))
    }
}

/// A task that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The change's number; higher than any before.
    pub number: u64,
    /// The task.
    pub task: TaskId,
}

/// One task, watched.
pub struct TaskWatch {
    all: Arc<Changes>,
    task: TaskId,
    changes: watch::Receiver<u64>,
}

impl TaskWatch {
    /// The number of its newest change. Read it before the task: a change in between is then still to be seen.
    pub fn number(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Resolves once it has changed behind `seen`; its end is a change.
    pub async fn changed_after(&mut self, seen: u64) {
        // The sender lives as long as this.
        let _ = self.changes.wait_for(|number| *number > seen).await;
    }
}

impl Drop for TaskWatch {
    fn drop(&mut self) {
        let mut state = self.all.0.lock();
        // This one's own receiver still counts.
        if state.of_task.get(&self.task).is_some_and(|watchers| watchers.receiver_count() <= 1) {
            state.of_task.remove(&self.task);
        }
    }
}

/// What is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// These tasks changed, each once, the newest change last.
    Changed(Vec<Change>),
    /// What changed up to this number is not known any more: the tasks are to be listed anew.
    Missed(u64),
}

/// The tasks of an account, or all, watched.
pub struct Feed {
    all: Arc<Changes>,
    account: Option<Arc<str>>,
    changes: watch::Receiver<u64>,
    seen: u64,
}

impl Feed {
    /// Up to which number everything was told.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Resolves once there is something new; what changed several times since is told once.
    pub async fn next(&mut self) -> Told {
        loop {
            {
                let state = self.all.0.lock();
                self.changes.mark_unchanged();
                let Some((changes, to)) = state.after(self.seen, self.account.as_deref()) else {
                    self.seen = state.last;
                    return Told::Missed(state.last);
                };
                self.seen = to;
                if !changes.is_empty() {
                    return Told::Changed(changes);
                }
            }
            // The sender lives as long as this.
            let _ = self.changes.changed().await;
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let Some(account) = &self.account else { return };
        let mut state = self.all.0.lock();
        if state.of_account.get(account).is_some_and(|watchers| watchers.receiver_count() <= 1) {
            state.of_account.remove(account);
        }
    }
}

/// The right to one open stream of changes; given back when dropped.
pub struct Stream {
    all: Arc<Changes>,
    account: String,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.all.0.lock();
        if let Some(open) = state.streams.get_mut(&self.account) {
            *open -= 1;
            if *open == 0 {
                state.streams.remove(&self.account);
            }
        }
    }
}

/// No further stream of changes may be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{whose} has {limit} streams of events open, which is the most; close one, or watch all tasks with one of them"
)]
pub struct TooManyStreams {
    /// The account, or everybody.
    pub whose: String,
    /// How many there may be.
    pub limit: usize,
}

impl Control {
    /// Watches one task, whatever its state. Whether the caller may see it is not asked here.
    pub fn watch(&self, task: TaskId) -> TaskWatch {
        self.progress.changes.task(task)
    }

    /// Watches the tasks of an account, or all: from now on, or behind a number that was `seen`.
    pub fn feed(&self, account: Option<&str>, seen: Option<u64>) -> Feed {
        self.progress.changes.feed(account, seen)
    }

    /// A place for one more stream of changes to somebody of that account, to be held as long as it is open.
    pub fn open_stream(&self, account: &str) -> Result<Stream, TooManyStreams> {
        self.progress.changes.stream(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Arc<Changes> {
        Arc::new(Changes::begun_at(1))
    }

    fn ids(told: Told) -> Vec<u64> {
        let Told::Changed(changes) = told else { panic!("{told:?}") };
        changes.into_iter().map(|change| change.task.0).collect()
    }

    #[tokio::test]
    async fn a_feed_tells_each_task_once_and_only_the_accounts() {
        let changes = begun();
        let (mut ann, mut all) = (changes.feed(Some("ann"), None), changes.feed(None, None));
        for (task, account) in [(1, "ann"), (2, "bob"), (1, "ann"), (3, "ann"), (1, "ann")] {
            changes.tell(TaskId(task), account);
        }
        assert_eq!(ids(ann.next().await), [3, 1]);
        assert_eq!(ids(all.next().await), [2, 3, 1]);
        let seen = ann.seen();
        changes.tell(TaskId(2), "bob");
        changes.tell(TaskId(4), "ann");
        assert_eq!(ids(changes.feed(Some("ann"), Some(seen)).next().await), [4], "who was away");
        assert_eq!(ids(ann.next().await), [4]);
    }

    #[tokio::test]
    async fn who_was_away_too_long_is_told_so() {
        let changes = begun();
        let earlier_run = 999;
        let mut feed = changes.feed(None, Some(earlier_run));
        assert_eq!(feed.next().await, Told::Missed(1_000));
        for task in 0..=TASKS_MAX as u64 {
            changes.tell(TaskId(task), "ann");
        }
        assert_eq!(changes.0.lock().tasks.len(), TASKS_MAX);
        assert_eq!(feed.next().await, Told::Missed(1_001 + TASKS_MAX as u64), "one was forgotten");
        let of_the_future = u64::MAX;
        assert!(matches!(changes.feed(None, Some(of_the_future)).next().await, Told::Missed(_)));
    }

    #[tokio::test]
    async fn much_news_come_in_batches() {
        let changes = begun();
        let mut feed = changes.feed(None, None);
        for task in 0..250 {
            changes.tell(TaskId(task), "ann");
        }
        let mut told = Vec::new();
        while told.len() < 250 {
            told.extend(ids(feed.next().await));
        }
        assert!(told.into_iter().eq(0..250));
    }

    #[tokio::test]
    async fn a_task_is_watched_from_a_number_on_and_forgotten_when_nobody_does() {
        let changes = begun();
        let (mut one, mut other) = (changes.task(TaskId(7)), changes.task(TaskId(7)));
        let seen = one.number();
        changes.tell(TaskId(8), "ann");
        assert_eq!(one.number(), seen);
        changes.tell(TaskId(7), "ann");
        one.changed_after(seen).await;
        assert!(one.number() > seen);
        drop(one);
        other.changed_after(seen).await;
        drop((other, changes.feed(Some("ann"), None)));
        let state = changes.0.lock();
        assert!(state.of_task.is_empty() && state.of_account.is_empty());
    }

    #[test]
    fn streams_are_bounded_by_account() {
        let changes = begun();
        let open: Vec<_> = (0..STREAMS_OF_ACCOUNT_MAX).map(|_| changes.stream("ann").unwrap()).collect();
        assert_eq!(changes.stream("ann").err().map(|refused| refused.limit), Some(STREAMS_OF_ACCOUNT_MAX));
        assert!(changes.stream("bob").is_ok());
        drop(open);
        assert!(changes.stream("ann").is_ok());
        assert!(changes.0.lock().streams.is_empty());
    }
}
