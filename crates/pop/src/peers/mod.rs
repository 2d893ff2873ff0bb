//! The other POPs: an object's home asks the origin for all of them.
//!
//! `credential.rs` is how they know each other, `asking.rs` the side that asks, `home.rs` the side that answers. Whom to
//! ask and when an answer counts is decided in the model; a request of a POP waits only for what is nearer to the origin
//! than that POP.

mod asking;
mod credential;
mod home;

pub use asking::Asking;

use crate::config::Config;
use credential::Seen;
use freshen_model::ids::{PopId, Seq};
use freshen_model::key::Key;
use freshen_model::peers::Peers;
use freshen_model::protocol::fill::Level;
use freshen_model::protocol::now::Now;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// For connecting to another POP; an origin that is farther away is asked before that has passed.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long a POP that was not reached is asked nothing.
const AVOIDED: Duration = Duration::from_secs(2);
/// How long an idle connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Times of changes that are remembered, each for some keys.
const CHANGES: usize = 4_096;

/// For whom something is fetched, and so who is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// For a viewer: the object's home POP, else the origin.
    Home,
    /// For a prefetch, by its order: the POP above this one in the object's tree, else the origin.
    Tree(Seq),
    /// For another POP, of that level and maybe for a prefetch: the POP above this one only where that is nearer to the
    /// origin than the one who asks, else the origin.
    Below(Level, Option<Seq>),
    /// The origin.
    Origin,
}

impl Way {
    /// Whether another POP asks.
    pub fn is_of_pop(self) -> bool {
        matches!(self, Way::Below(..))
    }

    /// Whether another POP asks for a prefetch of its own.
    pub fn is_of_prefetching_pop(self) -> bool {
        matches!(self, Way::Below(_, Some(_)))
    }

    /// Whether something on its way here may be waited for, by its level.
    pub fn may_wait_for(self, level: Level) -> bool {
        match self {
            Way::Below(asker, _) => level < asker,
            Way::Home | Way::Tree(_) | Way::Origin => true,
        }
    }

    /// The prefetch that it is for.
    pub fn order(self) -> Option<Seq> {
        match self {
            Way::Tree(order) => Some(order),
            Way::Below(_, order) => order,
            Way::Home | Way::Origin => None,
        }
    }
}

/// The other POPs as this one knows them.
pub struct Neighbours {
    list: RwLock<Arc<Peers>>,
    /// Until when those are asked nothing that could not be reached.
    avoided: Mutex<HashMap<PopId, Instant>>,
    /// The numbers of requests, so that each is answered once.
    number: AtomicU64,
    /// The numbers that askers have used.
    seen: Mutex<HashMap<PopId, Seen>>,
    client: Client<HttpConnector, Empty<bytes::Bytes>>,
    /// When something was changed through this POP, milliseconds since the machine's boot; for some keys each.
    changes: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Neighbours {
    /// None yet.
    pub fn new(config: &Config) -> Neighbours {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let connect_max = Duration::from_millis(config.origin_connect_ms_max).min(CONNECT_MAX);
        connector.set_connect_timeout(Some(connect_max));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(256)
            .http1_max_buf_size(config.head_bytes_max)
            .http1_max_headers(200)
            .build(connector);
        Neighbours {
            list: RwLock::default(),
            avoided: Mutex::default(),
            number: AtomicU64::new(0),
            seen: Mutex::default(),
            client,
            changes: (0..CHANGES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Takes in what control says.
    pub fn replace(&self, mut peers: Peers) {
        // They come in order; a search relies on it.
        peers.peers.sort_by(|a, b| a.pop.cmp(&b.pop));
        self.seen.lock().retain(|pop, _| peers.get(pop).is_some());
        self.avoided.lock().retain(|pop, _| peers.get(pop).is_some());
        tracing::info!(peers = peers.peers.len(), asked = peers.asked, "control named the other POPs");
        *self.list.write() = Arc::new(peers);
    }

    /// The list as it is now.
    pub fn list(&self) -> Arc<Peers> {
        self.list.read().clone()
    }

    /// How many can be asked now.
    pub fn askable(&self) -> usize {
        let list = self.list();
        list.peers.iter().filter(|peer| peer.alive && peer.address.is_some()).count()
    }

    fn is_avoided(&self, pop: &PopId) -> bool {
        self.avoided.lock().get(pop).is_some_and(|until| Instant::now() < *until)
    }

    fn avoid(&self, pop: &PopId) {
        self.avoided.lock().insert(pop.clone(), Instant::now() + AVOIDED);
    }

    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes that an object was changed at the origin through this POP: copies from before are no answer for it any more,
    /// here or elsewhere.
    pub fn note_change(&self, key: &Key, now: &Now) {
        let moment = u64::try_from(now.boot.as_millis()).unwrap_or(u64::MAX).max(1);
        self.change(key).fetch_max(moment, Ordering::AcqRel);
    }

    /// How long ago this object, or one that shares its place, was changed through this POP; `None`: never in this run.
    fn changed_ago(&self, key: &Key, now: &Now) -> Option<Duration> {
        let moment = self.change(key).load(Ordering::Acquire);
        (moment > 0).then(|| now.boot.saturating_sub(Duration::from_millis(moment)))
    }

    fn change(&self, key: &Key) -> &AtomicU64 {
        &self.changes[self.hasher.hash_one(key) as usize % CHANGES]
    }
}
