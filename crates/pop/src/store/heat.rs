//! What is used, so that what is asked for once does not drive out what is asked for often.
//!
//! Two queues decide what leaves the disk (S3-FIFO, Yang et al., SOSP 2023): what is new is on probation and leaves first,
//! unless it was used meanwhile. Uses are counted in small numbers in a table of fixed size; so is who left lately, which
//! spares probation when it comes back.

use freshen_model::key::Key;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

/// Counters of uses; two objects that share one are both taken for as hot as the hotter.
const COUNTERS: usize = 1 << 20;
/// Counters of recent uses, of which one in so many is counted.
const RECENT: usize = 1 << 18;
const SAMPLE: u32 = 16;
/// Remembered leavers.
const GHOSTS: usize = 1 << 18;
/// Uses counted.
const USES_MAX: u8 = 3;
/// The share of the disk that is on probation.
const PROBATION_SHARE: u64 = 10;

/// How used objects are, in a fixed amount of memory.
pub struct Heat {
    uses: Box<[AtomicU8]>,
    ghosts: Box<[AtomicU32]>,
    recent: Box<[AtomicU16]>,
    hasher: RandomState,
}

/// Which queue an object waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// New here.
    Probation,
    /// Was used before.
    Main,
}

/// What becomes of the object at a queue's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes to the end of the main queue.
    Stays,
    /// It leaves.
    Leaves,
}

impl Default for Heat {
    fn default() -> Heat {
        Heat {
            uses: (0..COUNTERS).map(|_| AtomicU8::new(0)).collect(),
            ghosts: (0..GHOSTS).map(|_| AtomicU32::new(0)).collect(),
            recent: (0..RECENT).map(|_| AtomicU16::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Heat {
    /// Counts a use.
    pub fn used(&self, key: &Key) {
        let hash = self.hash(key);
        if is_sampled() {
            let recent = self.recent(hash);
            // Two at once may count as one: it is an estimate.
            recent.store(recent.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        }
        let counter = self.counter(hash);
        let uses = counter.load(Ordering::Relaxed);
        // The common case for what is hot writes nothing.
        if uses < USES_MAX {
            counter.store(uses + 1, Ordering::Relaxed);
        }
    }

    /// How often a key was used lately, estimated; and whether it was used since it came.
    pub fn uses(&self, key: &Key) -> (u64, bool) {
        let hash = self.hash(key);
        let recent = self.recent(hash).load(Ordering::Relaxed);
        let uses = u64::from(self.counter(hash).load(Ordering::Relaxed));
        ((u64::from(recent) * u64::from(SAMPLE)).max(uses), uses > 0)
    }

    /// Halves the counts of recent uses.
    pub fn cool(&self) {
        for recent in &self.recent {
            recent.store(recent.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
    }

    /// Where an object begins that comes (again).
    pub fn begins(&self, key: &Key) -> Queue {
        let hash = self.hash(key);
        self.counter(hash).store(0, Ordering::Relaxed);
        match self.ghost(hash).swap(0, Ordering::Relaxed) == fingerprint(hash) {
            true => Queue::Main,
            false => Queue::Probation,
        }
    }

    /// Which queue gives up an object next, by the bytes on probation and in all.
    pub fn gives_up(&self, probation: u64, all: u64) -> Queue {
        if probation > all / PROBATION_SHARE { Queue::Probation } else { Queue::Main }
    }

    /// What becomes of the object at the head of `queue`.
    pub fn judge(&self, queue: Queue, key: &Key) -> Fate {
        let hash = self.hash(key);
        let counter = self.counter(hash);
        let uses = counter.load(Ordering::Relaxed);
        if uses == 0 {
            if queue == Queue::Probation {
                self.ghost(hash).store(fingerprint(hash), Ordering::Relaxed);
            }
            return Fate::Leaves;
        }
        counter.store(if queue == Queue::Probation { 0 } else { uses - 1 }, Ordering::Relaxed);
        Fate::Stays
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    fn counter(&self, hash: u64) -> &AtomicU8 {
        &self.uses[hash as usize % COUNTERS]
    }

    fn recent(&self, hash: u64) -> &AtomicU16 {
        &self.recent[hash as usize % RECENT]
    }

    fn ghost(&self, hash: u64) -> &AtomicU32 {
        &self.ghosts[hash as usize % GHOSTS]
    }
}

/// Whether it is this use's turn to be counted, of all on this thread.
fn is_sampled() -> bool {
    thread_local!(static TURN: Cell<u32> = const { Cell::new(0) });
    TURN.with(|turn| {
        let next = turn.get().wrapping_add(1);
        turn.set(next);
        next.is_multiple_of(SAMPLE)
    })
}

/// Zero is nobody's.
fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet, VecDeque};

    /// Objects of one byte in a cache of `room`, with queues like the store's.
    struct Cache {
        heat: Heat,
        room: usize,
        here: HashSet<Key>,
        probation: VecDeque<Key>,
        main: VecDeque<Key>,
    }

    impl Cache {
        fn get(&mut self, key: &Key) -> bool {
            if self.here.contains(key) {
                self.heat.used(key);
                return true;
            }
            self.here.insert(key.clone());
            match self.heat.begins(key) {
                Queue::Probation => self.probation.push_back(key.clone()),
                Queue::Main => self.main.push_back(key.clone()),
            }
            while self.here.len() > self.room {
                let queue = self.heat.gives_up(self.probation.len() as u64, self.here.len() as u64);
                let line = match queue {
                    Queue::Main if !self.main.is_empty() => &mut self.main,
                    _ => &mut self.probation,
                };
                let Some(first) = line.pop_front() else { break };
                match self.heat.judge(queue, &first) {
                    Fate::Stays => self.main.push_back(first),
                    Fate::Leaves => drop(self.here.remove(&first)),
                }
            }
            false
        }
    }

    /// The same with «least recently used leaves».
    struct Lru {
        room: usize,
        clock: u64,
        used: HashMap<Key, u64>,
        order: std::collections::BTreeMap<u64, Key>,
    }

    impl Lru {
        fn get(&mut self, key: &Key) -> bool {
            self.clock += 1;
            let before = self.used.insert(key.clone(), self.clock);
            if let Some(before) = before {
                self.order.remove(&before);
            }
            self.order.insert(self.clock, key.clone());
            if self.used.len() > self.room
                && let Some((_, oldest)) = self.order.pop_first()
            {
                self.used.remove(&oldest);
            }
            before.is_some()
        }
    }

    fn key(name: String) -> Key {
        Key::from_parts("s", &format!("/{name}"), None)
    }

    /// Ten thousand objects, popular by Zipf's law (exponent 0.9), a cache for a tenth of them, and now and then one sweep
    /// over as many cold files as the cache holds.
    #[test]
    fn a_sweep_over_cold_files_does_not_drive_out_what_is_hot() {
        const OBJECTS: usize = 10_000;
        const ROOM: usize = OBJECTS / 10;
        let mut sums = vec![0.0];
        for rank in 1..=OBJECTS {
            sums.push(sums[rank - 1] + (rank as f64).powf(-0.9));
        }
        let keys: Vec<Key> = (0..OBJECTS).map(|rank| key(format!("hot/{rank}"))).collect();
        let mut dice = 42_u64;
        let mut roll = || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let point = (dice >> 11) as f64 / (1_u64 << 53) as f64 * sums[OBJECTS];
            keys[sums.partition_point(|sum| *sum <= point) - 1].clone()
        };
        let mut ours = Cache {
            heat: Heat::default(),
            room: ROOM,
            here: HashSet::new(),
            probation: VecDeque::new(),
            main: VecDeque::new(),
        };
        let mut lru =
            Lru { room: ROOM, clock: 0, used: HashMap::new(), order: std::collections::BTreeMap::new() };
        let (mut asked, mut our_hits, mut lru_hits) = (0_u32, 0_u32, 0_u32);
        for round in 0..20 {
            for _ in 0..10_000 {
                let key = roll();
                asked += 1;
                our_hits += u32::from(ours.get(&key));
                lru_hits += u32::from(lru.get(&key));
            }
            for file in 0..ROOM {
                let key = key(format!("cold/{round}/{file}"));
                ours.get(&key);
                lru.get(&key);
            }
        }
        let share = |hits: u32| f64::from(hits) / f64::from(asked);
        println!("hit ratio: {:.3}, least recently used: {:.3}", share(our_hits), share(lru_hits));
        assert!(share(our_hits) > share(lru_hits) + 0.05, "{our_hits} against {lru_hits} of {asked}");
    }
}
