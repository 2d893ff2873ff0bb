//! The scheduler: which file that waits may be fetched when, over all prefetches of a POP.
//!
//! A state machine without IO, locks or clocks: events and times come in as values, and it says who may begin and when to
//! ask again. Only prefetched files pass through it. Viewers' fetches, and orders of the log, know nothing of it.
//!
//! What an **origin** can bear is learned from it: each has a width, the files fetched from it at one time. The width grows
//! by one for each round of answers, and halves where the origin fails or becomes slow; where it is out of order, nothing
//! begins for a pause, and one file tries it first. What a **domain** may ask is set: so many requests and bytes a second.
//! Domains take turns; one whose origin is slow keeps its own files waiting, and no others.

use super::bucket::Bucket;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a rest saves up: of requests a second's worth, of bytes a tenth of that, so that no burst follows it.
const REQUESTS_SAVED: Duration = Duration::from_secs(1);
const BYTES_SAVED: Duration = Duration::from_millis(100);
/// The pause after the first failure of an origin, and the longest; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest that an origin is left alone because it said so (Retry-After, RFC 9110 §10.2.3).
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Times on end that an origin is out of order before nobody waits for it any more: over a minute of pauses.
pub const FAILURES_MAX: u32 = 8;
/// An answer is slow whose head takes so many times as long as usual, and this much longer.
const SLOW_TIMES: u32 = 4;
const SLOW_BY: Duration = Duration::from_millis(250);
/// Origins and domains that are remembered while nothing waits for them.
const REMEMBERED_MAX: usize = 1_024;

/// How much is fetched at one time, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files at one time, of all origins together.
    pub at_once: usize,
    /// Files at one time of one origin.
    pub at_once_per_origin: usize,
    /// Bytes a second, all together; `None` for no limit.
    pub bytes_per_s: Option<u64>,
}

/// What a file wants that is to be fetched.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The address of its origin.
    pub origin: Arc<str>,
    /// Its domain.
    pub domain: Arc<str>,
    /// Requests a second that the domain's prefetches may send.
    pub requests_per_s: Option<u32>,
    /// Bytes a second that they may fetch.
    pub bytes_per_s: Option<u64>,
}

/// A file that waits, or is being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What came of a fetch, as far as it tells of the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It answered; after this time, where it was asked for the head.
    Answered(Option<Duration>),
    /// It failed: this file, or (`out_of_order`) all that would be asked now.
    Failed {
        /// Whether others would fare no better.
        out_of_order: bool,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
        /// Why, in words.
        reason: String,
    },
    /// Nothing was asked of it.
    Unasked,
}

/// What happens next.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// These begin now.
    pub begin: Vec<Ticket>,
    /// These need not wait: their origin has failed too often, for this reason.
    pub give_up: Vec<(Ticket, String)>,
    /// When to ask again, if nothing happens before.
    pub again: Option<Duration>,
}

/// All prefetched files of a POP that wait or are being fetched.
pub struct Scheduler {
    limits: Limits,
    tickets: u64,
    /// Those that wait, by domain; the one whose turn it is in front.
    queues: VecDeque<Queue>,
    /// Those that are being fetched: from where.
    running: BTreeMap<Ticket, Arc<str>>,
    origins: HashMap<Arc<str>, Origin>,
    budgets: HashMap<Arc<str>, Budget>,
    bytes: Option<Bucket>,
}

struct Queue {
    origin: Arc<str>,
    domain: Arc<str>,
    files: VecDeque<Ticket>,
}

struct Budget {
    requests: Option<Bucket>,
    bytes: Option<Bucket>,
}

struct Origin {
    running: usize,
    /// Files at one time; grows by fractions.
    width: f64,
    /// A further failure or slow answer until then was asked for before the width was halved, and tells nothing new.
    halved_until: Duration,
    /// Nothing begins before.
    paused_until: Duration,
    /// Times on end that it was out of order.
    failures: u32,
    /// Why it was.
    reason: String,
    /// How long a head usually takes.
    usual: Option<Duration>,
}

impl Origin {
    fn new(width: usize) -> Origin {
        Origin {
            running: 0,
            width: width as f64,
            halved_until: Duration::ZERO,
            paused_until: Duration::ZERO,
            failures: 0,
            reason: String::new(),
            usual: None,
        }
    }

    fn ended(&mut self, ending: Ending, widest: usize, now: Duration) {
        match ending {
            Ending::Unasked => {}
            Ending::Answered(head) => {
                self.failures = 0;
                match head {
                    Some(head) if self.is_slow(head) => self.halve(head, now),
                    _ => self.width = (self.width + 1.0 / self.width).min(widest as f64),
                }
            }
            Ending::Failed { out_of_order, retry_after, reason } => {
                self.halve(PAUSE_MIN, now);
                if let Some(retry_after) = retry_after {
                    self.paused_until = self.paused_until.max(now + retry_after.min(RETRY_AFTER_MAX));
                }
                // Others that were under way when it failed tell nothing new.
                if out_of_order && (now >= self.paused_until || retry_after.is_some()) {
                    let pause = (PAUSE_MIN * 2_u32.pow(self.failures.min(10))).min(PAUSE_MAX);
                    self.paused_until = self.paused_until.max(now + pause);
                    self.failures += 1;
                    self.reason = reason;
                    self.width = 1.0;
                }
            }
        }
    }

    /// Whether a head took longer than what is usual; takes it in.
    fn is_slow(&mut self, head: Duration) -> bool {
        let Some(usual) = self.usual else {
            self.usual = Some(head);
            return false;
        };
        // Quickly down, slowly up: what is usual is what it can do.
        self.usual = Some(if head < usual { head } else { usual + (head - usual) / 128 });
        head > usual * SLOW_TIMES && head > usual + SLOW_BY
    }

    fn halve(&mut self, for_a_while: Duration, now: Duration) {
        if now >= self.halved_until {
            self.width = (self.width / 2.0).max(1.0);
            self.halved_until = now + for_a_while;
        }
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.running == 0 && now >= self.paused_until
    }
}

impl Scheduler {
    /// One for which nothing waits.
    pub fn new(limits: Limits) -> Scheduler {
        Scheduler {
            bytes: limits.bytes_per_s.map(|per_s| Bucket::new(per_s, BYTES_SAVED, Duration::ZERO)),
            limits,
            tickets: 0,
            queues: VecDeque::new(),
            running: BTreeMap::new(),
            origins: HashMap::new(),
            budgets: HashMap::new(),
        }
    }

    /// A file waits to be fetched.
    pub fn wait(&mut self, wish: &Wish, now: Duration) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.keep_budget(wish, now);
        let same = |queue: &&mut Queue| queue.domain == wish.domain && queue.origin == wish.origin;
        match self.queues.iter_mut().find(same) {
            Some(queue) => queue.files.push_back(ticket),
            None => self.queues.push_back(Queue {
                origin: wish.origin.clone(),
                domain: wish.domain.clone(),
                files: VecDeque::from([ticket]),
            }),
        }
        ticket
    }

    /// Takes in what a domain may spend, as its settings say now.
    fn keep_budget(&mut self, wish: &Wish, now: Duration) {
        if self.budgets.len() >= REMEMBERED_MAX {
            let queues = &self.queues;
            self.budgets.retain(|domain, _| queues.iter().any(|queue| queue.domain == *domain));
        }
        let budget =
            self.budgets.entry(wish.domain.clone()).or_insert(Budget { requests: None, bytes: None });
        let keep = |bucket: &mut Option<Bucket>, per_s: Option<u64>, saves| match (bucket.as_mut(), per_s) {
            (Some(bucket), Some(per_s)) => bucket.change(per_s, saves, now),
            (None, Some(per_s)) => *bucket = Some(Bucket::new(per_s, saves, now)),
            (_, None) => *bucket = None,
        };
        keep(&mut budget.requests, wish.requests_per_s.map(u64::from), REQUESTS_SAVED);
        keep(&mut budget.bytes, wish.bytes_per_s, BYTES_SAVED);
    }

    /// A file waits no more; nothing where it has begun or is unknown.
    pub fn leave(&mut self, ticket: Ticket) {
        for queue in &mut self.queues {
            queue.files.retain(|file| *file != ticket);
        }
        self.queues.retain(|queue| !queue.files.is_empty());
    }

    /// Lets begin what may begin now.
    pub fn turn(&mut self, now: Duration) -> Turn {
        let mut turn = Turn::default();
        let again =
            |at: Duration, turn: &mut Turn| turn.again = Some(turn.again.map_or(at, |other| other.min(at)));
        if let Some(at) = self.bytes.as_mut().map(|bytes| bytes.has(0, now)).filter(|at| *at > now) {
            // Bytes are owed: nothing more begins before these are paid, whoever waits.
            if !self.queues.is_empty() {
                turn.again = Some(at);
            }
            return turn;
        }
        // One file of each queue in turn, until none has one that may begin.
        let mut passed = 0;
        while passed < self.queues.len() {
            let Some(mut queue) = self.queues.pop_front() else { break };
            match self.look_at(&queue, now) {
                Place::Free => {
                    passed = 0;
                    if let Some(ticket) = queue.files.pop_front() {
                        self.begin(&queue, ticket, now);
                        turn.begin.push(ticket);
                    }
                }
                Place::Later(at) => {
                    passed += 1;
                    again(at, &mut turn);
                }
                Place::Taken => passed += 1,
                Place::Never(reason) => {
                    let files = queue.files.drain(..);
                    turn.give_up.extend(files.map(|ticket| (ticket, reason.clone())));
                }
            }
            if !queue.files.is_empty() {
                self.queues.push_back(queue);
            }
        }
        turn
    }

    fn look_at(&mut self, queue: &Queue, now: Duration) -> Place {
        if self.origins.len() >= REMEMBERED_MAX {
            self.origins.retain(|_, origin| !origin.is_idle(now));
        }
        let widest = self.limits.at_once_per_origin;
        let origin = self.origins.entry(queue.origin.clone()).or_insert_with(|| Origin::new(widest));
        if now < origin.paused_until {
            return match origin.failures >= FAILURES_MAX {
                true => Place::Never(origin.reason.clone()),
                false => Place::Later(origin.paused_until),
            };
        }
        if self.running.len() >= self.limits.at_once || origin.running >= origin.width as usize {
            return Place::Taken;
        }
        let Some(budget) = self.budgets.get_mut(&queue.domain) else { return Place::Free };
        let requests = budget.requests.as_mut().map_or(now, |bucket| bucket.has(1, now));
        let bytes = budget.bytes.as_mut().map_or(now, |bucket| bucket.has(0, now));
        match requests.max(bytes) {
            at if at > now => Place::Later(at),
            _ => Place::Free,
        }
    }

    fn begin(&mut self, queue: &Queue, ticket: Ticket, now: Duration) {
        if let Some(origin) = self.origins.get_mut(&queue.origin) {
            origin.running += 1;
        }
        if let Some(bucket) = self.budgets.get_mut(&queue.domain).and_then(|budget| budget.requests.as_mut())
        {
            bucket.spend(1, now);
        }
        self.running.insert(ticket, queue.origin.clone());
    }

    /// A fetch is over.
    pub fn ended(&mut self, ticket: Ticket, ending: Ending, now: Duration) {
        let Some(origin) = self.running.remove(&ticket) else { return };
        if let Some(origin) = self.origins.get_mut(&origin) {
            origin.running = origin.running.saturating_sub(1);
            origin.ended(ending, self.limits.at_once_per_origin, now);
        }
    }

    /// Bytes of a domain came; gives when more may be taken.
    pub fn spend(&mut self, domain: &str, bytes: u64, now: Duration) -> Duration {
        let own = self.budgets.get_mut(domain).and_then(|budget| budget.bytes.as_mut());
        let buckets = own.into_iter().chain(self.bytes.as_mut());
        buckets.fold(now, |at, bucket| {
            bucket.spend(bytes, now);
            at.max(bucket.has(0, now))
        })
    }
}

/// Whether a queue's first file may begin.
enum Place {
    Free,
    /// Not before this time.
    Later(Duration),
    /// Not before another ends.
    Taken,
    /// Its origin is given up.
    Never(String),
}

#[cfg(test)]
mod tests;
