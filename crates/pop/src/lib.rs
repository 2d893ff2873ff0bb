//! The POP: a caching edge that applies the fleet log and answers viewers.
//!
//! **Invariant:** nothing reaches a viewer from the cache but through [`look_up`], which holds it against the rules in the
//! view the request began with; and nothing reaches the cache but through the store's commit, which asks the protocol
//! first. The POP opens connections to control, to the origins of its domains and to the POPs that
//! control named, and to nobody else.

pub mod admin;
mod agent;
mod answer;
mod check;
mod clock;
pub mod config;
mod counting;
mod expand;
mod fill;
mod fills;
mod look_up;
mod metrics;
mod origin;
mod peers;
pub mod policy;
mod prefetcher;
mod preview;
mod pump;
mod reading;
mod receipts;
mod request;
#[cfg(test)]
mod stage;
mod store;
mod sweep;
mod traffic;
mod trial;
mod viewers;

pub use config::{CertificateFiles, Config};
pub use viewers::Viewing;

use fills::Fills;
use freshen_fleet::{HttpLink, JoinToken, Link};
use freshen_model::ids::{BootId, DataId, Seq};
use freshen_model::protocol::follower::{Follower, Identity};
use freshen_model::secret::SealingKey;
use metrics::Metrics;
use origin::OriginClient;
use parking_lot::RwLock;
use peers::Neighbours;
use prefetcher::Prefetcher;
use receipts::Receipts;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use store::journal::{Journal, JournalError};
use store::{Room, Store};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use viewers::{Certificates, Cuts};

/// How often counts of recent uses are halved.
const COOL_EVERY: Duration = Duration::from_secs(300);

/// One POP process.
pub struct Pop {
    config: Config,
    follower: Arc<RwLock<Follower>>,
    journal: Arc<Journal>,
    /// Taken from plan to publication, by the agent and by the sweep: each plan builds on the one before.
    journal_writing: tokio::sync::Mutex<()>,
    store: Arc<Store>,
    fills: Fills,
    /// Breaks off answers under way.
    cuts: Arc<Cuts>,
    origin: OriginClient,
    /// The other POPs.
    neighbours: Neighbours,
    prefetcher: Prefetcher,
    /// Taken by a dry run, of which there is one at a time.
    previewing: Arc<Semaphore>,
    receipts: Receipts,
    /// What the TLS listener shows, where there is one.
    certificates: Option<Arc<Certificates>>,
    metrics: Arc<Metrics>,
    /// Something was applied or done that control waits for.
    confirm: Notify,
    /// A heartbeat's answer voided what is held.
    start_over: Notify,
    starting_over: AtomicBool,
    /// The watermark; for waiting only.
    applied: watch::Sender<Seq>,
    /// Whether the lease held after the last heartbeat; for waiting only, every use asks the lease itself.
    leased: watch::Sender<bool>,
    signatures: answer::Signatures,
    /// Held as long as the process runs: one data folder, one process.
    _lock: File,
}

/// Why a POP does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A field of the configuration cannot be.
    #[error("configuration: {0}")]
    Config(String),
    /// The data folder cannot be used.
    #[error("data folder {folder}: {reason}")]
    Data {
        /// The folder.
        folder: String,
        /// Why.
        reason: String,
    },
    /// The index cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// The sockets of a POP, bound by the caller.
pub struct Listeners {
    /// For viewers.
    pub viewers: TcpListener,
    /// For viewers by TLS, where [`Config::tls_listen`] says so.
    pub viewers_tls: Option<TcpListener>,
    /// For other POPs, where [`Config::peer_listen`] says so.
    pub peers: Option<TcpListener>,
    /// For health and metrics.
    pub admin: TcpListener,
}

impl Pop {
    /// Opens the data folder and takes up where it ended.
    pub fn open(config: Config) -> Result<Arc<Pop>, StartError> {
        config.validate().map_err(StartError::Config)?;
        let data = |reason: String| StartError::Data { folder: config.data.display().to_string(), reason };
        std::fs::create_dir_all(&config.data).map_err(|error| data(error.to_string()))?;
        let lock = File::create(config.data.join("lock")).map_err(|error| data(error.to_string()))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => data("another process uses it; stop that one first".into()),
            TryLockError::Error(error) => data(error.to_string()),
        })?;
        let metrics = Arc::new(Metrics::default());
        // What was sealed before the token had a pin is opened still.
        let token: JoinToken =
            config.token.0.parse().map_err(|error| StartError::Config(format!("token: {error}")))?;
        let secrets = SealingKey::derived_from(&token.secret);
        let certificates = match &config.tls_listen {
            Some(_) => {
                Some(Arc::new(Certificates::open(&config, secrets.clone()).map_err(StartError::Config)?))
            }
            None => None,
        };
        let new_data = DataId(random().map_err(data)?);
        let (index, slices) = (config.data.join("index"), config.data.join("slices"));
        let (journal, restored) = match Journal::open(&index, new_data, secrets.clone()) {
            // Nothing is known any more of what lies here. As another data folder, the POP owes nothing and holds nothing.
            Err(error) if error.is_damage() => {
                tracing::error!(%error, "the index on disk is damaged: everything cached is given up");
                metrics.index_lost.increment(1);
                for folder in [&index, &slices] {
                    remove_folder(folder).map_err(|error| data(error.to_string()))?;
                }
                Journal::open(&index, new_data, secrets)?
            }
            opened => opened?,
        };
        let journal = Arc::new(journal);
        let identity = Identity {
            pop: config.id.clone(),
            data: restored.data,
            boot: BootId(random().map_err(data)?),
            boot_number: restored.boot_number,
        };
        let store = Store::new(
            journal.clone(),
            slices,
            restored.boot_number,
            restored.held,
            &Room {
                memory_bytes: config.memory_bytes_max,
                disk_bytes: config.disk_bytes_max,
                disk_reserve_bytes: config.disk_reserve_bytes,
            },
            metrics.clone(),
        )?;
        let key = receipts::key_in(&config.data.join("receipt.key"));
        let key = key.map_err(|error| data(format!("receipt.key: {error}")))?;
        let (epoch, dropped) = (restored.saved.epoch, restored.saved.dropped);
        let receipts = Receipts::new(key, restored.owed, &restored.rules, epoch, dropped);
        let follower =
            Follower::restore(identity, restored.saved, restored.rules, restored.domains, config.rules_max);
        let cuts = Arc::new(Cuts::new(follower.saved().epoch));
        let id = config.id.to_string();
        let pop = Arc::new(Pop {
            follower: Arc::new(RwLock::new(follower)),
            journal,
            journal_writing: tokio::sync::Mutex::default(),
            store: Arc::new(store),
            fills: Fills::new(config.fills_max),
            cuts,
            origin: OriginClient::new(&config, metrics.clone()).map_err(StartError::Config)?,
            neighbours: Neighbours::new(&config),
            prefetcher: Prefetcher::new(&config),
            previewing: Arc::new(Semaphore::new(1)),
            receipts,
            certificates,
            metrics,
            confirm: Notify::new(),
            start_over: Notify::new(),
            // Secrets that cannot be opened come anew with a snapshot.
            starting_over: AtomicBool::new(!restored.secrets_open),
            applied: watch::Sender::new(restored.saved.watermark),
            leased: watch::Sender::new(false),
            signatures: answer::Signatures::of(&id),
            config,
            _lock: lock,
        });
        for (seq, job) in restored.prefetches {
            pop.clone().resume_prefetch(seq, job);
        }
        Ok(pop)
    }

    /// Runs until `stop` resolves, or with an error when nothing can be applied any more.
    pub async fn run(
        self: Arc<Pop>,
        listeners: Listeners,
        admin: admin::Beside,
        stop: impl Future<Output = ()>,
    ) -> Result<(), String> {
        self.tidy_up();
        let link = Arc::new(HttpLink::new(self.config.control.clone(), &self.config.token.0)?);
        if !link.is_private() {
            tracing::warn!(
                "the line to control goes in the clear, its token included; write a dot and the pin that \
                 `freshen pop list` tells behind the token"
            );
        }
        let mut beside = tokio::task::JoinSet::new();
        beside.spawn(self.clone().beat(link.clone()));
        beside.spawn(self.clone().tell_receipts(link.clone()));
        beside.spawn(self.clone().count_what_is_applied());
        beside.spawn(self.clone().sweep_at_intervals());
        beside.spawn(self.clone().cool_at_intervals());
        beside.spawn(self.clone().serve_admin(listeners.admin, admin));
        if let Some(certificates) = &self.certificates {
            beside.spawn(self.clone().keep_handed_certificates(certificates.handed().clone(), link.clone()));
        }
        if let Some(listener) = listeners.peers {
            beside.spawn(self.clone().serve_peers(listener));
        }
        let tls = listeners.viewers_tls.map(|listener| self.begin_tls(listener, &mut beside)).transpose()?;
        let viewers = self.clone().serve_viewers(listeners.viewers, tls, stop);
        // A POP that cannot apply orders must not go on: its lease would end, but it would never come back either.
        tokio::select! {
            () = viewers => Ok(()),
            why = self.clone().follow(link) => Err(format!("the log cannot be applied any more: {why}")),
        }
    }

    /// Lets what is counted of recent uses fade.
    async fn cool_at_intervals(self: Arc<Pop>) {
        let mut interval = tokio::time::interval(COOL_EVERY);
        loop {
            interval.tick().await;
            self.store.cool();
        }
    }

    /// Tidies the store up, beside the traffic.
    fn tidy_up(self: &Arc<Pop>) {
        let pop = self.clone();
        tokio::task::spawn_blocking(move || {
            let epoch = pop.follower.read().saved().epoch;
            if let Err(error) = pop.store.tidy_up(epoch) {
                tracing::warn!(%error, "the store could not be tidied up");
            }
        });
    }
}

fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn random() -> Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
