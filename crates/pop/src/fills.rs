//! The fills under way, by key, so that concurrent misses share one.

use crate::Pop;
use crate::fill::{Fill, Question};
use crate::store::body::FillId;
use freshen_model::domain::NoLease;
use freshen_model::ids::Seq;
use freshen_model::key::Key;
use freshen_model::protocol::fill::Source;
use freshen_model::protocol::follower::View;
use freshen_model::protocol::now::Now;
use http::Response;
use hyper::body::Incoming;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Fills under way.
pub struct Fills {
    running: Mutex<Running>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Running {
    /// Those that may be joined, by what they ask for.
    shared: HashMap<(Key, bool), Arc<Fill>>,
    /// All: also those that ask for one request only, and those whose place a younger one took.
    all: HashMap<FillId, (Key, Arc<Fill>)>,
}

/// A request's part in a fill.
pub enum Part {
    /// It started the fill, and may get an answer of its own from it.
    Leads(Arc<Fill>, oneshot::Receiver<Response<Incoming>>),
    /// It waits for somebody else's.
    Joins(Arc<Fill>),
    /// There are too many fills.
    Refused,
}

impl Fills {
    /// At most `max` at one time.
    pub fn new(max: usize) -> Fills {
        Fills { running: Mutex::default(), places: Arc::new(Semaphore::new(max)) }
    }

    /// The lowest fill_seq of the fills that began less than `patience` ago.
    pub fn oldest(&self, now: &Now, patience: Duration) -> Option<Seq> {
        let running = self.running.lock();
        let fills = running.all.values().map(|(_, fill)| fill);
        let young = fills.filter(|fill| now.since(&fill.start.at) < patience);
        young.map(|fill| fill.start.fill_seq()).min()
    }

    /// Lets nobody join the fills of a key any more, and keeps nothing of them: what they fetch was changed at the origin.
    pub fn overtake(&self, key: &Key) {
        let mut running = self.running.lock();
        for gzip in [false, true] {
            running.shared.remove(&(key.clone(), gzip));
        }
        for (_, fill) in running.all.values().filter(|(of, _)| of == key) {
            fill.overtake();
        }
    }
}

impl Pop {
    /// Joins a running fill where the protocol lets this request, else starts one.
    ///
    /// `shared` is false for a request whose earlier fill turned out not to be shared: it asks for itself.
    pub fn take_part(
        self: &Arc<Pop>,
        view: &View,
        no_lease: NoLease,
        shared: bool,
        question: impl FnOnce() -> Question,
        key: &Key,
        gzip: bool,
    ) -> Part {
        let name = (key.clone(), gzip);
        let mut running = self.fills.running.lock();
        if shared
            && let Some(fill) = running.shared.get(&name)
            && self.follower.read().may_join(view, key, &fill.start, no_lease)
        {
            return Part::Joins(fill.clone());
        }
        let Ok(place) = self.fills.places.clone().try_acquire_owned() else { return Part::Refused };
        let Ok(id) = self.store.fresh_fill() else { return Part::Refused };
        let fill = Arc::new(Fill::new(view.start_fill(Source::Origin), id));
        if shared {
            // A fill that may not be joined any more runs on for those who wait for it.
            running.shared.insert(name.clone(), fill.clone());
        }
        running.all.insert(id, (key.clone(), fill.clone()));
        drop(running);
        let (alone, answer) = oneshot::channel();
        let (pop, question, run) = (self.clone(), question(), fill.clone());
        tokio::spawn(async move {
            pop.run_fill(&run, question, alone).await;
            let mut running = pop.fills.running.lock();
            running.all.remove(&id);
            if running.shared.get(&name).is_some_and(|current| Arc::ptr_eq(current, &run)) {
                running.shared.remove(&name);
            }
            drop(place);
        });
        Part::Leads(fill, answer)
    }
}
