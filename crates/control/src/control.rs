//! The control process as one thing: what it is made of, its start and its stop.

use crate::callbacks::Callbacks;
use crate::changes::Changes;
use crate::clock::{Clock, SteadyClock};
use crate::config::{BadConfig, Config};
use crate::deferred::Deferred;
use crate::keeper::{Keeper, Limits};
use crate::media_jobs::{self, MediaJobs};
use crate::members::{Members, Terms};
use crate::outbound::Outbound;
use crate::pace::Pace;
use crate::people::People;
use crate::progress::{Moment, Progress};
use crate::resolver::Resolver;
use crate::server_certificates::Handing;
use crate::steering::Windows;
use crate::submit::Entry;
use crate::telemetry;
use crate::traffic::{Booking, Books, Prices};
use freshen_fleet::{Host, Hub, LineKey};
use freshen_ledger::{Error, Ledger};
use freshen_model::ids::{LogId, Seq};
use freshen_model::protocol::retention::Retention;
use freshen_model::protocol::roster::fence_after;
use freshen_model::receipt::SigningKey;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

/// Control: one for an installation (embedded).
pub struct Control {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) members: Arc<Members>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) entry: Entry,
    pub(crate) deferred: Arc<Deferred>,
    pub(crate) callbacks: Callbacks,
    pub(crate) media_jobs: MediaJobs,
    pub(crate) resolver: Option<Resolver>,
    pub(crate) windows: Arc<Windows>,
    pub(crate) pace: Pace,
    pub(crate) people: People,
    pub(crate) quota_day_offset_s: i32,
    /// Held by whoever reads a domain's settings to change them.
    pub(crate) changing_domains: tokio::sync::Mutex<()>,
    pub(crate) prices: Prices,
    /// Signs certificates.
    pub(crate) receipt_key: SigningKey,
    line_key: LineKey,
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    /// The background work: the keeper, the release of tasks for later, callbacks and media jobs.
    work: Mutex<Vec<JoinHandle<()>>>,
}

/// Why control does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// The ledger refused or failed.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// The line to POPs cannot be TLS.
    #[error("{0}")]
    Line(String),
}

/// Why nothing should be submitted now.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The keeper does not run: control was stopped, or the keeper failed.
    #[error("the background work has ended")]
    Ended,
    /// The ledger does not answer a read.
    #[error(transparent)]
    Ledger(#[from] Error),
}

impl Control {
    /// Takes up where the ledger ends: running tasks go on, as if their orders had been appended now.
    ///
    /// Needs a tokio runtime, on which the keeper then runs until [`Control::stop`], or until the last handle is dropped.
    pub async fn start(ledger: Arc<dyn Ledger>, config: &Config) -> Result<Arc<Control>, StartError> {
        Control::start_with(ledger, config, Arc::new(SteadyClock::new())).await
    }

    /// [`Control::start`] by that clock.
    pub async fn start_with(
        ledger: Arc<dyn Ledger>,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Control>, StartError> {
        config.validate()?;
        let outbound = Outbound::new(&config.outbound)
            .map_err(|reason| BadConfig { field: "outbound.ca_file", reason })?;
        let outbound = Arc::new(outbound);
        telemetry::describe();
        let (terms, lease_change) = agree_on_lease(ledger.as_ref(), config, clock.now()).await?;
        let limits = Limits {
            fence: fence_after(terms.in_force),
            prefetch_deadline: Duration::from_secs(config.prefetch_deadline_s),
        };
        let receipt_key = SigningKey::from_seed(&ledger.receipt_seed().await?);
        // Made of the key for secrets, it is kept with that, and a copy of the ledger alone cannot pass for control.
        let line_key =
            LineKey::from_seed(&ledger.derived_secret("the line to POPs")).map_err(StartError::Line)?;
        let pops = ledger.pops().await?;
        let progress = Arc::new(Progress::new(Arc::new(Changes::begun_at(clock.wall_ms()))));
        let books = Arc::new(Books::restored(ledger.traffic_booked().await?));
        let handing = Handing::begin(ledger.as_ref()).await?;
        let (by_clock, to_progress, to_books) = (clock.clone(), progress.clone(), books.clone());
        let members =
            Members::new(ledger.clone(), by_clock, to_progress, to_books, terms, handing, pops.clone());
        let members = Arc::new(members);

        // The start is when this run learns of the orders: POPs may have taken leases up to the end of the last run.
        let start = Moment { steady: clock.now(), wall_ms: clock.wall_ms() };
        for task in ledger.fenced_tasks().await?.into_iter().chain(ledger.running_tasks().await?) {
            let limit = limits.of(&task, start);
            progress.register(task, limit, start);
        }
        progress.reconcile(&pops, start);

        let (stop, stopped) = watch::channel(false);
        let callbacks = Callbacks::new(ledger.clone(), clock.clone(), outbound.clone(), &config.outbound);
        let keeper = Keeper {
            callbacks: callbacks.clone(),
            ledger: ledger.clone(),
            clock: clock.clone(),
            members: members.clone(),
            progress: progress.clone(),
            limits,
            retention: Retention::new(Duration::from_secs(config.log_retention_s), start.steady),
            books: Booking::new(books, config.traffic_retention_days, start.steady),
            lease_change,
            pruned: Seq::ZERO,
            rest_until: start.steady,
            failing: false,
        };
        let entry =
            Entry { ledger: ledger.clone(), clock: clock.clone(), progress: progress.clone(), limits };
        let deferred = Arc::new(Deferred::new(entry.clone(), callbacks.clone()));
        let resolver = config.media_resolver.as_ref();
        let resolver = resolver.map(|config| Resolver::new(config, outbound.clone(), clock.clone()));
        let windows = Arc::new(Windows::new(entry.clone()));
        let work = vec![
            tokio::spawn(keeper.run(stopped.clone())),
            tokio::spawn(deferred.clone().release_in_time(stopped.clone())),
            tokio::spawn(callbacks.clone().send_in_time(stopped.clone())),
            tokio::spawn(windows.clone().keep(stopped.clone())),
        ];
        let control = Arc::new(Control {
            hub: Hub::new(members.clone(), &line_key, config.fleet_tls_required),
            line_key,
            ledger,
            clock,
            members,
            progress,
            entry,
            deferred,
            callbacks,
            media_jobs: MediaJobs::default(),
            resolver,
            windows,
            pace: Pace::default(),
            people: People::new(config),
            quota_day_offset_s: config.quota_day_offset_minutes * 60,
            changing_domains: tokio::sync::Mutex::default(),
            prices: config.prices(),
            receipt_key,
            stop,
            work: Mutex::new(work),
        });
        let finishing = media_jobs::finish_in_time(Arc::downgrade(&control), stopped);
        control.work.lock().push(tokio::spawn(finishing));
        Ok(control)
    }

    /// The side that POPs connect to, to be served on the fleet's listener.
    pub fn hub(&self) -> Arc<Hub> {
        self.hub.clone()
    }

    /// What that side asks of control, for one who serves it otherwise.
    pub fn host(&self) -> Arc<dyn Host> {
        self.members.clone()
    }

    /// What that side proves itself with.
    pub fn line_key(&self) -> &LineKey {
        &self.line_key
    }

    /// The log's name.
    pub fn log_id(&self) -> LogId {
        self.ledger.log_id()
    }

    /// The log's end.
    pub fn log_end(&self) -> Seq {
        self.ledger.end().borrow().seq
    }

    /// Checks that the ledger answers a read and that the background work runs.
    pub async fn ready(&self) -> Result<(), NotReady> {
        {
            let work = self.work.lock();
            if work.is_empty() || work.iter().any(JoinHandle::is_finished) {
                return Err(NotReady::Ended);
            }
        }
        self.ledger.lease_ms().await?;
        Ok(())
    }

    /// Control's wall clock, milliseconds since 1970: whoever compares times with a task's must read this one.
    pub fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Control's steady clock: whoever counts within a second or a minute reads this one.
    pub fn steady(&self) -> Duration {
        self.clock.now()
    }

    /// Ends the background work after a last write. What was accepted is durable with or without it.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let work = std::mem::take(&mut *self.work.lock());
        for work in work {
            if let Err(error) = work.await {
                warn!(%error, "the background work did not end well");
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        for work in self.work.lock().iter() {
            work.abort();
        }
    }
}

/// Agrees with the ledger on the lease time: the longer of what was granted before and what is granted now is in force
/// for the whole run, and the ledger always says the longest that any POP may hold.
///
/// Gives the terms, and, where leases get shorter, when the ledger may be told so.
async fn agree_on_lease(
    ledger: &dyn Ledger,
    config: &Config,
    start: Duration,
) -> Result<(Terms, Option<(Duration, u64)>), Error> {
    let granted = config.lease();
    let before = ledger.lease_ms().await?.map(Duration::from_millis);
    match before {
        Some(before) if before > granted => {
            let terms = Terms { granted, in_force: before };
            Ok((terms, Some((start + fence_after(before), config.lease_ms))))
        }
        _ => {
            if before != Some(granted) {
                ledger.set_lease_ms(config.lease_ms).await?;
            }
            Ok((Terms { granted, in_force: granted }, None))
        }
    }
}
