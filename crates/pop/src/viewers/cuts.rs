//! Cuts: what purges that say so break off of answers under way.
//!
//! Each request says what it is for, and in which view, before anything of its answer is made. A cut goes through all
//! connections and tells those whose requests it matches. A request that says so later, from an older view, finds the cut
//! itself. So, once [`Cuts::break_off`] has returned, no byte of what it matches is given to a socket any more.

use super::exchange::Exchange;
use freshen_model::ids::{Epoch, Seq};
use freshen_model::key::Key;
use freshen_model::protocol::index::PurgeIndex;
use freshen_model::protocol::marks::Marks;
use freshen_model::rule::Rule;
use freshen_model::tag::Tags;
use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Cuts that are remembered for requests which were slow to say what they are for; older ones count as matching.
const REMEMBERED: usize = 64;
/// How long a matched answer on HTTP/2 may take to end by itself, before its connection is closed.
const GRACE: Duration = Duration::from_millis(100);

/// The cuts of this process, and the connections that they have to reach.
#[derive(Default)]
pub struct Cuts {
    /// The newest cut of this epoch.
    newest: AtomicU64,
    epoch: AtomicU32,
    cuts: RwLock<Remembered>,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Remembered {
    recent: VecDeque<Cut>,
    /// The newest cut that is not remembered any more.
    forgotten: Seq,
}

struct Cut {
    seq: Seq,
    rules: PurgeIndex,
}

#[derive(Default)]
struct Connections {
    last: u64,
    open: HashMap<u64, Weak<Exchange>>,
}

/// What a request is for, and the view it was looked up in.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The object.
    pub key: Key,
    /// The tags of the copy, as far as they are known.
    pub tags: Tags,
    /// The epoch of the view.
    pub epoch: Epoch,
    /// Its watermark.
    pub seq: Seq,
}

impl Cuts {
    /// None so far; views are of that epoch or later.
    pub fn new(epoch: Epoch) -> Cuts {
        Cuts { epoch: AtomicU32::new(epoch.0), ..Cuts::default() }
    }

    /// Whether a cut forbids the answer to a request. What passes is good up to the newest cut, and is held against none of
    /// them again.
    pub fn forbid(&self, claim: &mut Claim) -> bool {
        // In this order: see `start_over`.
        let newest = self.newest.load(Ordering::SeqCst);
        if claim.epoch.0 == self.epoch.load(Ordering::SeqCst) && claim.seq.0 >= newest {
            return false;
        }
        let cuts = self.cuts.read();
        let forbidden = claim.epoch.0 < self.epoch.load(Ordering::SeqCst)
            || claim.seq < cuts.forgotten
            || cuts.recent.iter().any(|cut| cut.matches(claim));
        if !forbidden {
            // It changes only where the list does, and that is held.
            claim.seq = claim.seq.max(Seq(self.newest.load(Ordering::SeqCst)));
        }
        forbidden
    }

    /// Breaks off the answers under way that the rules of these orders match. Returns once nothing more of them is given to
    /// a socket; gives how many connections they were on.
    pub async fn break_off(&self, orders: &[(Seq, &[Rule])]) -> u64 {
        for (seq, rules) in orders {
            let mut index = PurgeIndex::new(rules.len());
            for rule in *rules {
                index.insert(rule, *seq);
            }
            let mut cuts = self.cuts.write();
            cuts.recent.push_back(Cut { seq: *seq, rules: index });
            if cuts.recent.len() > REMEMBERED
                && let Some(oldest) = cuts.recent.pop_front()
            {
                cuts.forgotten = oldest.seq;
            }
            self.newest.store(seq.0, Ordering::SeqCst);
        }
        self.reach_all().await
    }

    /// Everything held is void, and with it what cuts were missed is unknown: all answers under way are broken off.
    pub async fn start_over(&self, epoch: Epoch) -> u64 {
        {
            let mut cuts = self.cuts.write();
            *cuts = Remembered::default();
            // Nobody may find the new log's lower number beside the old epoch.
            self.newest.store(u64::MAX, Ordering::SeqCst);
            self.epoch.store(epoch.0, Ordering::SeqCst);
            self.newest.store(0, Ordering::SeqCst);
        }
        self.reach_all().await
    }

    async fn reach_all(&self) -> u64 {
        let open: Vec<_> = self.connections.lock().open.values().filter_map(Weak::upgrade).collect();
        let reached: Vec<_> = open.into_iter().filter(|exchange| exchange.heed_cuts()).collect();
        let ending = join_all(reached.iter().map(|exchange| exchange.nothing_cut_is_open()));
        if tokio::time::timeout(GRACE, ending).await.is_err() {
            for exchange in &reached {
                exchange.close_unless_ended();
            }
        }
        reached.len() as u64
    }

    /// Has cuts reach a connection as long as what is given lives.
    pub fn reach(self: &Arc<Self>, exchange: &Arc<Exchange>) -> Reached {
        let mut connections = self.connections.lock();
        connections.last += 1;
        let number = connections.last;
        connections.open.insert(number, Arc::downgrade(exchange));
        Reached { cuts: self.clone(), number }
    }
}

impl Cut {
    fn matches(&self, claim: &Claim) -> bool {
        claim.seq < self.seq && self.rules.marks(&claim.key, &claim.tags, Seq::ZERO) != Marks::default()
    }
}

/// A connection that cuts reach.
pub struct Reached {
    cuts: Arc<Cuts>,
    number: u64,
}

impl Drop for Reached {
    fn drop(&mut self) {
        self.cuts.connections.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::rule::{Matcher, Mode};

    fn claim(path: &str, epoch: u32, seq: u64) -> Claim {
        Claim {
            key: Key::from_parts("s", path, None),
            tags: Tags::unknown(),
            epoch: Epoch(epoch),
            seq: Seq(seq),
        }
    }

    fn rule(path: &str) -> [Rule; 1] {
        [Rule::new(Matcher::Url { key: Key::from_parts("s", path, None) }, Mode::Evict)]
    }

    /// A connection on which that is asked for.
    fn asking(cuts: &Arc<Cuts>, claim: Claim) -> (Arc<Exchange>, Reached) {
        let exchange = Exchange::new(cuts.clone(), false);
        exchange.begin(false).claim(claim);
        let reached = cuts.reach(&exchange);
        (exchange, reached)
    }

    async fn cut(cuts: &Cuts, seq: u64, path: &str) -> u64 {
        cuts.break_off(&[(Seq(seq), &rule(path))]).await
    }

    fn writes(exchange: &Exchange) -> bool {
        exchange.write_begins().is_ok()
    }

    #[tokio::test]
    async fn nothing_is_written_of_what_is_cut_and_all_of_the_rest() {
        let cuts = Arc::new(Cuts::new(Epoch(1)));
        let (hit, _hit) = asking(&cuts, claim("/a", 1, 4));
        let (other, _other) = asking(&cuts, claim("/b", 1, 4));
        let (later, _later) = asking(&cuts, claim("/a", 1, 5));
        assert_eq!(cut(&cuts, 5, "/a").await, 1);
        assert!(!writes(&hit) && writes(&other) && writes(&later));
        hit.closing().await;
        // What is said late, from a view of before, is found as well.
        let (late, _late) = asking(&cuts, claim("/a", 1, 4));
        assert!(!writes(&late));
    }

    #[tokio::test]
    async fn an_answer_is_under_way_until_it_is_written() {
        let cuts = Arc::new(Cuts::new(Epoch(1)));
        let (handed, _handed) = asking(&cuts, claim("/a", 1, 4));
        drop(handed.write_begins().unwrap());
        handed.end(1);
        let (written, _written) = asking(&cuts, claim("/a", 1, 4));
        drop(written.write_begins().unwrap());
        written.end(1);
        written.flush_begins(true, std::task::Waker::noop());
        written.awaited();
        cut(&cuts, 5, "/a").await;
        assert!(!writes(&handed) && writes(&written));
    }

    #[tokio::test]
    async fn what_is_forgotten_counts_as_matching() {
        let cuts = Arc::new(Cuts::new(Epoch(1)));
        for seq in 1..=REMEMBERED as u64 + 1 {
            cut(&cuts, seq, "/a").await;
        }
        assert!(cuts.forbid(&mut claim("/b", 1, 0)), "the first is forgotten, it may have matched");
        assert!(!cuts.forbid(&mut claim("/b", 1, 1)));
        let exchange = Exchange::new(cuts.clone(), false);
        let _reached = cuts.reach(&exchange);
        for _ in 0..1_000 {
            exchange.begin(false).claim(claim("/b", 1, 100));
        }
        assert!(writes(&exchange));
        cut(&cuts, 101, "/a").await;
        assert!(!writes(&exchange), "what the first were for is forgotten");
    }

    #[tokio::test]
    async fn p9_what_no_cut_matches_runs_on_however_many_there_are() {
        let cuts = Arc::new(Cuts::new(Epoch(1)));
        let (old, _old) = asking(&cuts, claim("/b", 1, 0));
        for seq in 1..=3 * REMEMBERED as u64 {
            assert_eq!(cut(&cuts, seq, "/a").await, 0);
        }
        assert!(writes(&old));
        assert_eq!(cut(&cuts, 1_000, "/b").await, 1);
        assert!(!writes(&old));
    }

    #[tokio::test]
    async fn who_starts_over_ends_everything_of_before() {
        let cuts = Arc::new(Cuts::new(Epoch(1)));
        cut(&cuts, 500, "/a").await;
        let (before, _before) = asking(&cuts, claim("/b", 1, 500));
        cuts.start_over(Epoch(2)).await;
        assert!(!writes(&before));
        assert!(cuts.forbid(&mut claim("/b", 1, 500)));
        // The new log has lower numbers.
        assert!(!cuts.forbid(&mut claim("/a", 2, 20)));
        cut(&cuts, 21, "/a").await;
        assert!(cuts.forbid(&mut claim("/a", 2, 20)) && !cuts.forbid(&mut claim("/a", 2, 21)));
    }
}
