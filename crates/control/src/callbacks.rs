//! Callbacks: what users asked to be told, queued in the ledger and sent at least once.
//!
//! A callback is sent until its receiver answers 2xx, or as often as the configuration says; between two tries there is
//! more and more time. Every try has the same id and a new signature. What came of it stands in the ledger, where its
//! account reads it.

use crate::clock::Clock;
use crate::config::Outbound as Config;
use crate::control::Control;
use crate::outbound::{Outbound, OutboundError};
use freshen_ledger::{DueCallback, Error, Found, Ledger, Tried};
use freshen_model::callback::{Callback, CallbackSecret, NewCallback};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinSet};
use tracing::{debug, error, warn};

/// How often the wall clock is looked at, since it may be set.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a failure of the ledger.
const REST: Duration = Duration::from_secs(1);
/// Between two tries there is three times as long as before, up to this.
const WAIT_MAX_MS: i64 = 3_600_000;
/// Bytes of an outcome that are kept.
const OUTCOME_BYTES_MAX: usize = 300;

/// The queue of callbacks. A handle: clones are of the same one.
#[derive(Clone)]
pub(crate) struct Callbacks {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    outbound: Arc<Outbound>,
    time_max: Duration,
    tries_max: u32,
    retry_after_ms: i64,
    wake: Arc<Notify>,
}

impl Callbacks {
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        outbound: Arc<Outbound>,
        config: &Config,
    ) -> Callbacks {
        let retry_after_ms = i64::try_from(config.retry_after_ms).unwrap_or(WAIT_MAX_MS);
        let (tries_max, wake) = (config.tries_max, Arc::default());
        let time_max = Duration::from_millis(config.time_ms_max);
        Callbacks { ledger, clock, outbound, time_max, tries_max, retry_after_ms, wake }
    }

    /// Queues callbacks, all or none. Once this returns `Ok` they are durable.
    pub(crate) async fn queue(&self, new: Vec<NewCallback>) -> Result<(), Error> {
        self.ledger.queue_callbacks(new).await?;
        self.changed();
        Ok(())
    }

    /// There are new ones in the ledger.
    pub(crate) fn changed(&self) {
        self.wake.notify_one();
    }

    /// What an account's callbacks are signed with.
    pub(crate) fn secret(&self, account: &str) -> CallbackSecret {
        CallbackSecret::new(self.ledger.derived_secret(&format!("callbacks of {account}")))
    }

    /// Sends what is due until `stop` says so. What is under way then is sent again at the next start.
    pub(crate) async fn send_in_time(self, mut stop: watch::Receiver<bool>) {
        let mut sending = JoinSet::new();
        let mut under_way = HashMap::new();
        loop {
            let rest = match self.send_due(&mut sending, &mut under_way).await {
                Ok(rest) => rest,
                Err(error) => {
                    error!(%error, "callbacks cannot be read, it is tried again");
                    REST
                }
            };
            let due = self.clock.now() + rest;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                Some(ended) = sending.join_next_with_id() => {
                    under_way.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
                }
                () = self.wake.notified() => {}
                () = self.clock.until(due) => {}
            }
        }
    }

    /// Begins to send what is due and not under way; gives how long nothing more will be.
    async fn send_due(
        &self,
        sending: &mut JoinSet<()>,
        under_way: &mut HashMap<Id, i64>,
    ) -> Result<Duration, Error> {
        let now_ms = self.clock.wall_ms();
        for due in self.ledger.due_callbacks(now_ms).await? {
            if !under_way.values().any(|number| *number == due.number) {
                let number = due.number;
                under_way.insert(sending.spawn(self.clone().send(due)).id(), number);
            }
        }
        let Some(next_ms) = self.ledger.next_callback_ms(now_ms).await? else { return Ok(LOOK_EVERY) };
        let away = next_ms.saturating_sub(self.clock.wall_ms());
        Ok(Duration::from_millis(u64::try_from(away).unwrap_or(0)).min(LOOK_EVERY))
    }

    /// Sends one once, and notes what came of it.
    async fn send(self, due: DueCallback) {
        let at_s = self.clock.wall_ms().div_euclid(1_000);
        let headers = signed(&self.secret(&due.account), &due.id, at_s, &due.body);
        let sent = self.outbound.post(&due.url, headers, due.body.clone(), self.time_max, 0).await;
        let tried = self.tried(&due, sent.map(|answer| answer.status));
        if let Err(error) = self.ledger.callback_tried(due.number, tried).await {
            error!(id = due.id, %error, "what came of a callback could not be written, it is sent again");
            self.clock.until(self.clock.now() + REST).await;
        }
    }

    fn tried(&self, due: &DueCallback, sent: Result<http::StatusCode, OutboundError>) -> Tried {
        let at_ms = self.clock.wall_ms();
        let delivered = sent.as_ref().is_ok_and(|status| status.is_success());
        let tries = due.tries.saturating_add(1);
        let again = !delivered && tries < self.tries_max;
        let mut outcome = match sent {
            Ok(status) if status.is_redirection() => {
                format!("answered {}, and redirects are not followed", status.as_u16())
            }
            Ok(status) => format!("answered {}", status.as_u16()),
            Err(error) => error.to_string(),
        };
        outcome.truncate(outcome.floor_char_boundary(OUTCOME_BYTES_MAX));
        match (delivered, again) {
            (true, _) => debug!(id = due.id, url = due.url, "a callback was taken"),
            (false, true) => debug!(id = due.id, url = due.url, outcome, "a callback was not taken"),
            (false, false) => warn!(id = due.id, url = due.url, outcome, tries, "a callback is given up"),
        }
        let again_ms = again.then(|| at_ms.saturating_add(self.wait_ms(tries)));
        Tried { at_ms, delivered, again_ms, outcome }
    }

    /// The time behind that many tries.
    fn wait_ms(&self, tries: u32) -> i64 {
        let growth = 3_i64.saturating_pow(tries.saturating_sub(1));
        self.retry_after_ms.saturating_mul(growth).min(WAIT_MAX_MS)
    }
}

/// The fields that say of a call which one it is, when it was sent, and by whom.
pub(crate) fn signed(secret: &CallbackSecret, id: &str, at_s: i64, body: &str) -> HeaderMap {
    let fields = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", at_s.to_string()),
        ("webhook-signature", secret.sign(id, at_s, body)),
    ];
    let field = |(name, value): (&'static str, String)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
    };
    fields.into_iter().filter_map(field).collect()
}

impl Control {
    /// Some of an account's callbacks, the newest first, behind a place.
    pub async fn callbacks(
        &self,
        account: &str,
        behind: Option<u64>,
        limit: u64,
    ) -> Result<Found<Callback, u64>, Error> {
        self.ledger.callbacks(account, behind, limit).await
    }

    /// What an account's callbacks are signed with.
    pub fn callback_secret(&self, account: &str) -> CallbackSecret {
        self.callbacks.secret(account)
    }

    /// Queues callbacks, all or none. Once this returns `Ok` they are durable, and sent at least once.
    pub async fn queue_callbacks(&self, new: Vec<NewCallback>) -> Result<(), Error> {
        self.callbacks.queue(new).await
    }
}
