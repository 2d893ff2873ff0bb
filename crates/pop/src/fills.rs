//! The fills under way, by key, so that concurrent misses share one.

use crate::Pop;
use crate::fill::{Fill, Question};
use crate::look_up::{Found, Looked};
use crate::peers::Way;
use crate::policy::fields;
use crate::store::body::FillId;
use freshen_model::ids::Seq;
use freshen_model::key::Key;
use freshen_model::protocol::fill::Source;
use freshen_model::protocol::home;
use freshen_model::protocol::now::Now;
use http::{HeaderMap, Response};
use hyper::body::Incoming;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Counters of ended fills; keys that share one look up once more than they need, now and then.
const COUNTERS: usize = 1_024;

/// Fills under way.
pub struct Fills {
    running: Mutex<Running>,
    /// How many fills have ended, for some keys each.
    ended: Box<[AtomicU64]>,
    hasher: RandomState,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Running {
    /// Those that may be joined.
    shared: HashMap<Name, Arc<Fill>>,
    /// All: also those that ask for one request only, and those whose place a younger one took.
    all: HashMap<FillId, (Name, Arc<Fill>)>,
}

/// What a fill asks for: the key, and whether gzip is welcome.
type Name = (Key, bool);

/// A request's part in a fill.
pub enum Part {
    /// It started the fill, and may get an answer of its own from it.
    Leads(Arc<Fill>, oneshot::Receiver<Response<Incoming>>),
    /// It waits for somebody else's.
    Joins(Arc<Fill>),
    /// A fill of this key has ended since the look-up: what it brought may be there.
    LooksAgain,
    /// There are too many fills.
    Refused,
}

impl Fills {
    /// At most `max` at one time.
    pub fn new(max: usize) -> Fills {
        Fills {
            running: Mutex::default(),
            ended: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            places: Arc::new(Semaphore::new(max)),
        }
    }

    /// How many fills have ended, of this key and of those that share its counter. To be read before a look-up.
    pub fn ended(&self, key: &Key) -> u64 {
        self.counter(key).load(Ordering::Acquire)
    }

    fn counter(&self, key: &Key) -> &AtomicU64 {
        &self.ended[self.hasher.hash_one(key) as usize % COUNTERS]
    }

    /// A place for one more upstream request, kept as long as it lasts; `None` where there are too many.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// The lowest fill_seq of the fills that began less than `patience` ago.
    pub fn oldest(&self, now: &Now, patience: Duration) -> Option<Seq> {
        let running = self.running.lock();
        let fills = running.all.values().map(|(_, fill)| fill);
        let young = fills.filter(|fill| now.since(&fill.start.at) < patience);
        young.map(|fill| fill.start.fill_seq()).min()
    }

    /// A fill is over: what it brings is entered, or will not be. To be called before anybody is told, so that who knows of it
    /// and asks again does not get the same outcome once more.
    pub fn over(&self, fill: &Fill) {
        let mut running = self.running.lock();
        let Some((name, _)) = running.all.remove(&fill.id) else { return };
        // Who looked up before what it brought was there, and finds it gone from here, sees that.
        self.counter(&name.0).fetch_add(1, Ordering::Release);
        if running.shared.get(&name).is_some_and(|current| current.id == fill.id) {
            running.shared.remove(&name);
        }
    }

    /// Lets nobody join the fills of a key any more, and keeps nothing of them: what they fetch was changed at the origin.
    pub fn overtake(&self, key: &Key) {
        let mut running = self.running.lock();
        for gzip in [false, true] {
            running.shared.remove(&(key.clone(), gzip));
        }
        for (_, fill) in running.all.values().filter(|((of, _), _)| of == key) {
            fill.overtake();
        }
    }
}

impl Pop {
    /// Joins a running fill where the protocol lets this request, else starts one.
    ///
    /// `viewer` are the fields of the request. `way` is its way: one of another POP waits only for what is nearer to the origin. `shared` is false for
    /// a request whose earlier fill turned out not to be shared: it asks for itself.
    pub fn take_part(
        self: &Arc<Pop>,
        looked: &Looked,
        (way, shared): (Way, bool),
        question: impl FnOnce() -> Question,
        viewer: &HeaderMap,
    ) -> Part {
        let Looked { view, key, .. } = looked;
        let no_lease = looked.domain.settings.no_lease;
        let name = (key.clone(), fields::accepts_gzip(viewer));
        let mut running = self.fills.running.lock();
        if shared
            && let Some(fill) = running.shared.get(&name)
            && match way {
                Way::Below(asker, _) => {
                    let follower = self.follower.read();
                    follower.may_join_for_peer(view, key, &fill.tags(), &fill.start, asker)
                }
                _ => self.follower.read().may_join(view, key, &fill.tags(), &fill.start, no_lease),
            }
        {
            return Part::Joins(fill.clone());
        }
        if shared && self.fills.ended(key) != looked.fills_ended {
            return Part::LooksAgain;
        }
        let Some(place) = self.fills.place() else { return Part::Refused };
        let Ok(id) = self.store.fresh_fill() else { return Part::Refused };
        let source = match &looked.found {
            Found::Stale { copy, doubt } if !home::may_confirm(*doubt, &copy.head.tags) => Source::Origin,
            _ => self.source(view, &looked.domain, key, viewer, way),
        };
        let start = view.start_fill(source);
        let start = match looked.found {
            Found::Stale { .. } => start.with_validators(),
            _ => start,
        };
        let fill = Arc::new(Fill::new(start, id));
        if shared {
            // A fill that may not be joined any more runs on for those who wait for it.
            running.shared.insert(name.clone(), fill.clone());
        }
        running.all.insert(id, (name, fill.clone()));
        drop(running);
        let question = question();
        let (alone, answer) = oneshot::channel();
        let (pop, run) = (self.clone(), fill.clone());
        tokio::spawn(async move {
            if let Some(rest) = pop.run_fill(&run, question, alone).await {
                pop.run_rest(rest).await;
            }
            drop(place);
        });
        Part::Leads(fill, answer)
    }
}
