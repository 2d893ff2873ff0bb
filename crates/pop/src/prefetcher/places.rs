//! Places at the origins: the scheduler with a clock, a lock and those who wait for it.

use super::scheduler::{Ending, Limits, Scheduler, Ticket, Wish};
use crate::clock;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Less than this is not waited for: it is owed, and waited for together with what comes next.
const WAIT_MIN: Duration = Duration::from_millis(5);
/// How often somebody who waits looks whether one has come who needs the same bytes and shall not wait.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The places of all prefetches.
pub struct Places(Mutex<State>);

struct State {
    scheduler: Scheduler,
    waiting: HashMap<Ticket, oneshot::Sender<Result<(), String>>>,
    /// When a timer will ask the scheduler again.
    timer: Option<Duration>,
}

/// A file's place, kept while it is fetched; before it has one, what it waits with.
pub struct Place {
    places: Arc<Places>,
    ticket: Ticket,
    ending: Ending,
}

impl Place {
    /// The fetch is over.
    pub fn ended(mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut state = self.places.0.lock();
            if state.waiting.remove(&self.ticket).is_some() {
                state.scheduler.leave(self.ticket);
            }
            let ending = std::mem::replace(&mut self.ending, Ending::Unasked);
            state.scheduler.ended(self.ticket, ending, clock::now().boot);
        }
        self.places.turn();
    }
}

impl Places {
    /// None of which is taken.
    pub fn new(limits: Limits) -> Arc<Places> {
        let scheduler = Scheduler::new(limits);
        Arc::new(Places(Mutex::new(State { scheduler, waiting: HashMap::new(), timer: None })))
    }

    /// Waits for a place; an error says why there is no use in waiting.
    pub async fn take(self: &Arc<Places>, wish: &Wish) -> Result<Place, String> {
        let (grant, granted) = oneshot::channel();
        let ticket = {
            let mut state = self.0.lock();
            let ticket = state.scheduler.wait(wish, clock::now().boot);
            state.waiting.insert(ticket, grant);
            ticket
        };
        let place = Place { places: self.clone(), ticket, ending: Ending::Unasked };
        self.turn();
        // The other end lives as long as the place waits.
        granted.await.unwrap_or_else(|_| Err("this POP is stopping".into())).map(|()| place)
    }

    /// Lets begin who may.
    fn turn(self: &Arc<Places>) {
        let mut state = self.0.lock();
        let now = clock::now().boot;
        let turn = state.scheduler.turn(now);
        let outcomes = turn.begin.into_iter().map(|ticket| (ticket, Ok(())));
        let outcomes = outcomes.chain(turn.give_up.into_iter().map(|(ticket, reason)| (ticket, Err(reason))));
        for (ticket, outcome) in outcomes {
            if let Some(grant) = state.waiting.remove(&ticket) {
                // Who waits no more gives the place back when he is dropped.
                let _ = grant.send(outcome);
            }
        }
        let Some(again) = turn.again.filter(|again| state.timer.is_none_or(|timer| *again < timer)) else {
            return;
        };
        state.timer = Some(again);
        drop(state);
        // Places are given back while the process stops, too.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let places = self.clone();
        runtime.spawn(async move {
            tokio::time::sleep(again.saturating_sub(now)).await;
            places.0.lock().timer.take_if(|timer| *timer == again);
            places.turn();
        });
    }
}

/// How fast a prefetch takes bytes.
#[derive(Clone)]
pub struct Pace {
    places: Arc<Places>,
    domain: Arc<str>,
}

impl Pace {
    /// That of a domain's prefetches.
    pub fn new(places: &Arc<Places>, domain: Arc<str>) -> Pace {
        Pace { places: places.clone(), domain }
    }

    /// Notes that bytes came, and waits until more may be taken, unless somebody needs them who shall not wait.
    pub async fn came(&self, bytes: u64, somebody_waits: impl Fn() -> bool) {
        let now = clock::now().boot;
        let until = self.places.0.lock().scheduler.spend(&self.domain, bytes, now);
        if until < now + WAIT_MIN {
            return;
        }
        loop {
            let left = until.saturating_sub(clock::now().boot);
            if left.is_zero() || somebody_waits() {
                return;
            }
            tokio::time::sleep(left.min(LOOK_EVERY)).await;
        }
    }
}
