//! The embedded ledger: one SQLite file, one thread that writes, a few connections that read.
//!
//! **Invariant:** this folder is the only place that knows SQL, and every change goes through the writer.

mod accounts;
mod callbacks;
mod checkpoints;
mod columns;
mod control;
mod deeds;
mod domains;
mod file;
mod filter;
mod media;
mod media_jobs;
mod notices;
mod once;
mod orders;
mod pending;
mod pops;
mod quotas;
mod readers;
mod receipts;
mod schema;
mod server_certificates;
mod snapshot;
mod steer;
mod tasks;
mod traffic;
mod users;
mod writer;

use crate::TrafficEntry;
use crate::{
    AccessKey, Account, Deed, DomainRecord, DueCallback, Error, Found, Ledger, Line, MediaJobRecord,
    NewAccessKey, NewMediaJob, Once, OrdersRead, PartPlace, Pass, PopRecord, ReceiptsKept, Remembered,
    ServerCertificate, Steering, StreamPlace, Submission, Submitted, TaskFilter, TaskLine, TaskPage,
    TaskPlace, TaskReceipts, TaskRecord, TaskUpdate, Tried, User,
};
use async_trait::async_trait;
use checkpoints::Checkpoints;
use columns::{cut_to, from_json, now_ms, parsed, random, sql, to_json, unsql};
use freshen_model::area::Area;
use freshen_model::callback::{Callback, NewCallback};
use freshen_model::certificate::PopKey;
use freshen_model::domain::Settings;
use freshen_model::ids::{LogId, PopId, Seq, TaskId};
use freshen_model::media::Stream;
use freshen_model::media_job::{MediaJob, PartState};
use freshen_model::order::{Body, End, Snapshot};
use freshen_model::protocol::roster::Place;
use freshen_model::quota::{Limits, Quota};
use freshen_model::receipt::Digest;
use freshen_model::secret::{SealingKey, Secret};
use freshen_model::traffic::{Booked, Span};
use readers::Readers;
use std::path::Path;
use tokio::sync::watch;
use writer::Writer;

/// The ledger in one SQLite file.
///
/// Dropping it waits until what was submitted is written; the file may then be opened again.
pub struct SqliteLedger {
    log: LogId,
    end: watch::Receiver<End>,
    readers: Readers,
    writer: Writer,
    /// Seals what of the settings is secret: it goes to the file sealed and comes back opened.
    secrets: SealingKey,
}

impl SqliteLedger {
    /// Opens the ledger at `path`, making file and folder where they are missing, readable by their owner only.
    ///
    /// [`crate::Refusal::Unfit`] where another process has it open, or where the file is no ledger that this program
    /// knows. Blocks while it reads; meant for a program's start. Secrets are sealed with the key in `secrets.key` beside
    /// it, which is made where it is missing.
    pub fn open(path: &Path) -> Result<SqliteLedger, Error> {
        let lock = file::prepare(path)?;
        let secrets = file::secrets_key(path)?;
        SqliteLedger::start(path, lock, secrets)
    }

    /// Opens the ledger at `path`, as [`SqliteLedger::open`] does, with a key for its secrets that is kept elsewhere.
    pub fn open_sealed(path: &Path, secrets: SealingKey) -> Result<SqliteLedger, Error> {
        SqliteLedger::start(path, file::prepare(path)?, secrets)
    }

    fn start(path: &Path, lock: file::Lock, secrets: SealingKey) -> Result<SqliteLedger, Error> {
        let mut connection = file::writer(path)?;
        schema::migrate(&mut connection)?;
        file::make_durable(&connection)?;
        let log = control::log_id(&connection)?;
        let (end, ends) = watch::channel(orders::end(&connection)?);
        let checkpoints = Checkpoints::beside(&mut connection, file::writer(path)?)?;
        let writer = Writer::start(connection, end, Some((checkpoints, lock)))?;
        Ok(SqliteLedger { log, end: ends, readers: Readers::new(path), writer, secrets })
    }

    fn sealed(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        settings.seal(&self.secrets);
        settings
    }

    fn open_settings(&self, domain: &str, settings: &mut Settings) {
        if !settings.open(&self.secrets) {
            tracing::error!(domain, "a secret cannot be opened with this key for secrets; set it anew");
        }
    }

    fn opened(&self, mut domain: DomainRecord) -> DomainRecord {
        self.open_settings(&domain.name, &mut domain.settings);
        domain
    }

    /// A key as it is used; its secret comes sealed from the file.
    fn opened_key(&self, mut key: AccessKey) -> Result<AccessKey, Error> {
        let sealed: Secret = from_json(&key.secret)?;
        let opened = sealed.opened(&self.secrets, &owner_of_secret(&key.id));
        let plain = opened.plain().ok_or_else(|| {
            let why = "its secret cannot be opened with this key for secrets, make another";
            Error::Engine(format!("access key {}: {why}", key.id))
        })?;
        key.secret = plain.to_owned();
        Ok(key)
    }

    /// How many commits, each one wait for the disk, this process has made.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }
}

/// Whose secret it is, so that no row can be put in another's place.
fn owner_of_secret(access_key_id: &str) -> String {
    format!("access key {access_key_id}")
}

fn owner_of_certificate(domain: &str) -> String {
    format!("certificate of {domain}")
}

#[async_trait]
impl Ledger for SqliteLedger {
    fn log_id(&self) -> LogId {
        self.log
    }

    fn derived_secret(&self, purpose: &str) -> [u8; 32] {
        self.secrets.derive(&format!("{purpose} {}", self.log))
    }

    fn end(&self) -> watch::Receiver<End> {
        self.end.clone()
    }

    async fn orders_after(&self, after: Seq, bytes_max: usize) -> Result<OrdersRead, Error> {
        let read = self.readers.call(move |connection| orders::after(connection, after, bytes_max));
        let mut read = read.await?;
        for order in &mut read.orders {
            if let Body::Domain { name, settings: Some(settings) } = &mut order.body {
                self.open_settings(name, settings);
            }
        }
        Ok(read)
    }

    async fn place(&self, seq: Seq) -> Result<Place, Error> {
        self.readers.call(move |connection| orders::place(connection, seq)).await
    }

    async fn snapshot(&self, pop: &PopId) -> Result<Snapshot, Error> {
        let (log, pop) = (self.log, pop.clone());
        let snapshot = self.readers.call(move |connection| snapshot::of(connection, log, &pop));
        let mut snapshot = snapshot.await?;
        for (name, settings) in &mut snapshot.domains {
            self.open_settings(name, settings);
        }
        Ok(snapshot)
    }

    async fn prune(&self, seq: Seq) -> Result<(), Error> {
        self.writer.call(move |connection| orders::prune(connection, seq)).await
    }

    async fn tick(&self) -> Result<Seq, Error> {
        self.writer.call(|connection| orders::append(connection, &Body::Tick)).await
    }

    async fn add_account(&self, name: &str, admin: bool) -> Result<Account, Error> {
        let name = name.to_owned();
        self.writer.call(move |connection| accounts::add(connection, &name, admin)).await
    }

    async fn set_limits(&self, account: &str, limits: Limits) -> Result<(), Error> {
        let account = account.to_owned();
        self.writer.call(move |connection| accounts::set_limits(connection, &account, limits)).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, Error> {
        self.readers.call(accounts::all).await
    }

    async fn accounts_behind(&self, name: Option<&str>, limit: u64) -> Result<Found<Account, String>, Error> {
        let name = name.map(str::to_owned);
        self.readers.call(move |connection| accounts::behind(connection, name.as_deref(), limit)).await
    }

    async fn account(&self, name: &str) -> Result<Option<Account>, Error> {
        let name = name.to_owned();
        self.readers.call(move |connection| accounts::one(connection, &name)).await
    }

    async fn put_key(&self, key: NewAccessKey) -> Result<(), Error> {
        let sealed = Secret::Plain(key.secret.clone()).sealed(&self.secrets, &owner_of_secret(&key.id));
        let secret = to_json(&sealed)?;
        self.writer.call(move |connection| accounts::put_key(connection, &key, &secret)).await
    }

    async fn disable_key(&self, id: &str) -> Result<(), Error> {
        let id = id.to_owned();
        self.writer.call(move |connection| accounts::disable_key(connection, &id)).await
    }

    async fn key(&self, id: &str) -> Result<Option<AccessKey>, Error> {
        let id = id.to_owned();
        let key = self.readers.call(move |connection| accounts::key(connection, &id)).await?;
        key.map(|key| self.opened_key(key)).transpose()
    }

    async fn keys(&self, account: &str) -> Result<Vec<AccessKey>, Error> {
        let account = account.to_owned();
        let keys = self.readers.call(move |connection| accounts::keys(connection, &account)).await?;
        keys.into_iter().map(|key| self.opened_key(key)).collect()
    }

    async fn keys_behind(
        &self,
        account: Option<&str>,
        id: Option<&str>,
        limit: u64,
    ) -> Result<Found<AccessKey, String>, Error> {
        let [account, id] = [account, id].map(|given| given.map(str::to_owned));
        let some =
            move |connection: &_| accounts::keys_behind(connection, account.as_deref(), id.as_deref(), limit);
        let mut found = self.readers.call(some).await?;
        found.rows.iter_mut().for_each(|key| key.secret.clear());
        Ok(found)
    }

    async fn add_domain(
        &self,
        account: &str,
        name: &str,
        settings: &Settings,
    ) -> Result<DomainRecord, Error> {
        let (account, name, settings) = (account.to_owned(), name.to_owned(), self.sealed(settings));
        let added = self.writer.call(move |connection| domains::add(connection, &account, &name, &settings));
        Ok(self.opened(added.await?))
    }

    async fn set_domain(&self, name: &str, settings: &Settings) -> Result<DomainRecord, Error> {
        let (name, settings) = (name.to_owned(), self.sealed(settings));
        let set = self.writer.call(move |connection| domains::set(connection, &name, &settings)).await?;
        Ok(self.opened(set))
    }

    async fn remove_domain(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.writer.call(move |connection| domains::remove(connection, &name)).await
    }

    async fn domain(&self, name: &str) -> Result<Option<DomainRecord>, Error> {
        let name = name.to_owned();
        let domain = self.readers.call(move |connection| domains::one(connection, &name)).await?;
        Ok(domain.map(|domain| self.opened(domain)))
    }

    async fn domains(&self, account: Option<&str>) -> Result<Vec<DomainRecord>, Error> {
        let account = account.map(str::to_owned);
        let domains = self.readers.call(move |connection| domains::all(connection, account.as_deref()));
        Ok(domains.await?.into_iter().map(|domain| self.opened(domain)).collect())
    }

    async fn domains_behind(
        &self,
        account: Option<&str>,
        text: Option<&str>,
        name: Option<&str>,
        limit: u64,
    ) -> Result<Found<DomainRecord, String>, Error> {
        let [account, text, name] = [account, text, name].map(|given| given.map(str::to_owned));
        let some = move |connection: &_| {
            domains::behind(connection, account.as_deref(), text.as_deref(), name.as_deref(), limit)
        };
        let found = self.readers.call(some).await?;
        let rows = found.rows.into_iter().map(|domain| self.opened(domain)).collect();
        Ok(Found { rows, next: found.next })
    }

    async fn set_server_certificate(&self, mut certificate: ServerCertificate) -> Result<(), Error> {
        let owner = owner_of_certificate(&certificate.domain);
        certificate.key = certificate.key.sealed(&self.secrets, &owner);
        self.writer.call(move |connection| server_certificates::set(connection, &certificate)).await
    }

    async fn remove_server_certificate(&self, domain: &str) -> Result<bool, Error> {
        let domain = domain.to_owned();
        self.writer.call(move |connection| server_certificates::remove(connection, &domain)).await
    }

    async fn server_certificate(&self, domain: &str) -> Result<Option<ServerCertificate>, Error> {
        let domain = domain.to_owned();
        let found =
            self.readers.call(move |connection| server_certificates::one(connection, &domain)).await?;
        Ok(found.map(|mut certificate| {
            let owner = owner_of_certificate(&certificate.domain);
            certificate.key = certificate.key.opened(&self.secrets, &owner);
            certificate
        }))
    }

    async fn server_certificates(&self) -> Result<Vec<(String, Digest)>, Error> {
        self.readers.call(server_certificates::all).await
    }

    async fn add_pop(
        &self,
        id: &PopId,
        area: Area,
        region: &str,
        token_digest: [u8; 32],
    ) -> Result<PopRecord, Error> {
        let (id, region) = (id.clone(), region.to_owned());
        self.writer.call(move |connection| pops::add(connection, &id, area, &region, token_digest)).await
    }

    async fn remove_pop(&self, id: &PopId) -> Result<PopRecord, Error> {
        let id = id.clone();
        self.writer.call(move |connection| pops::remove(connection, &id)).await
    }

    async fn pop_gone(&self, id: &PopId) -> Result<(), Error> {
        let id = id.clone();
        self.writer.call(move |connection| pops::set_gone(connection, &id)).await
    }

    async fn pops(&self) -> Result<Vec<PopRecord>, Error> {
        self.readers.call(pops::all).await
    }

    async fn remember(&self, seats: Vec<Remembered>) -> Result<(), Error> {
        self.writer.call(move |connection| pops::remember(connection, &seats)).await
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, Error> {
        self.writer.call(move |connection| tasks::submit(connection, submission)).await
    }

    async fn once(&self, account: &str, key: &str, since_ms: i64) -> Result<Option<(Once, TaskId)>, Error> {
        let (account, key) = (account.to_owned(), key.to_owned());
        self.readers.call(move |connection| once::find(connection, &account, &key, since_ms)).await
    }

    async fn due_tasks(&self, at_ms: i64) -> Result<Vec<TaskRecord>, Error> {
        self.readers.call(move |connection| pending::due(connection, at_ms)).await
    }

    async fn next_due_ms(&self) -> Result<Option<i64>, Error> {
        self.readers.call(pending::next_due_ms).await
    }

    async fn release(&self, task: TaskId, submission: Submission) -> Result<Submitted, Error> {
        self.writer.call(move |connection| pending::release(connection, task, submission)).await
    }

    async fn end_pending(&self, task: TaskId, reason: &str, at_ms: i64) -> Result<(), Error> {
        let reason = reason.to_owned();
        self.writer.call(move |connection| pending::end(connection, task, &reason, at_ms)).await
    }

    async fn add_traffic(&self, entries: Vec<TrafficEntry>, booked: Vec<Booked>) -> Result<(), Error> {
        self.writer.call(move |connection| traffic::add(connection, &entries, &booked)).await
    }

    async fn traffic_booked(&self) -> Result<Vec<Booked>, Error> {
        self.readers.call(traffic::booked).await
    }

    async fn traffic(
        &self,
        domains: Vec<String>,
        between_s: (i64, i64),
        span_s: i64,
    ) -> Result<Vec<Span>, Error> {
        self.readers.call(move |connection| traffic::spans(connection, &domains, between_s, span_s)).await
    }

    async fn forget_traffic(&self, before_s: i64) -> Result<bool, Error> {
        self.writer.call(move |connection| traffic::forget(connection, before_s)).await
    }

    async fn steer(&self, task: TaskId, steering: Steering, at_ms: i64) -> Result<TaskRecord, Error> {
        self.writer.call(move |connection| steer::steer(connection, task, steering, at_ms)).await
    }

    async fn notify(&self, account: &str) -> Result<Option<String>, Error> {
        let account = account.to_owned();
        self.readers.call(move |connection| notices::of_account(connection, &account)).await
    }

    async fn set_notify(&self, account: &str, url: Option<&str>) -> Result<(), Error> {
        let (account, url) = (account.to_owned(), url.map(str::to_owned));
        self.writer.call(move |connection| notices::set(connection, &account, url.as_deref())).await
    }

    async fn update_tasks(&self, updates: Vec<TaskUpdate>) -> Result<(), Error> {
        self.writer.call(move |connection| tasks::update(connection, &updates)).await
    }

    async fn running_tasks(&self) -> Result<Vec<TaskRecord>, Error> {
        self.readers.call(tasks::running).await
    }

    async fn fenced_tasks(&self) -> Result<Vec<TaskRecord>, Error> {
        self.readers.call(tasks::fenced).await
    }

    async fn task(&self, id: TaskId, account: Option<&str>) -> Result<Option<TaskRecord>, Error> {
        let account = account.map(str::to_owned);
        self.readers.call(move |connection| tasks::one(connection, id, account.as_deref())).await
    }

    async fn first_lines(&self, ids: Vec<TaskId>) -> Result<Vec<(TaskId, String)>, Error> {
        self.readers.call(move |connection| tasks::first_lines(connection, &ids)).await
    }

    async fn task_lines(&self, id: TaskId) -> Result<Vec<Line>, Error> {
        self.readers.call(move |connection| tasks::lines(connection, id)).await
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<TaskPage<TaskRecord>, Error> {
        let filter = filter.clone();
        self.readers.call(move |connection| filter::tasks(connection, &filter)).await
    }

    async fn tasks_behind(
        &self,
        filter: &TaskFilter,
        place: Option<TaskPlace>,
    ) -> Result<Found<TaskRecord, TaskPlace>, Error> {
        let filter = filter.clone();
        self.readers.call(move |connection| filter::tasks_behind(connection, &filter, place)).await
    }

    async fn lines(&self, filter: &TaskFilter) -> Result<TaskPage<TaskLine>, Error> {
        let filter = filter.clone();
        self.readers.call(move |connection| filter::lines(connection, &filter)).await
    }

    async fn quota(&self, account: &str, day: i64) -> Result<Vec<Quota>, Error> {
        let account = account.to_owned();
        self.readers.call(move |connection| quotas::all(connection, &account, day)).await
    }

    async fn receipt_seed(&self) -> Result<[u8; 32], Error> {
        self.writer.call(receipts::seed).await
    }

    async fn keep_receipts(&self, kept: ReceiptsKept) -> Result<(Vec<TaskId>, bool), Error> {
        let log = self.log;
        self.writer.call(move |connection| receipts::keep(connection, log, &kept)).await
    }

    async fn receipts(&self, task: TaskId, seq: Seq) -> Result<TaskReceipts, Error> {
        self.readers.call(move |connection| receipts::of_task(connection, task, seq)).await
    }

    async fn receipt_keys(&self) -> Result<Vec<PopKey>, Error> {
        self.readers.call(receipts::keys).await
    }

    async fn add_streams(&self, account: &str, streams: Vec<Stream>) -> Result<(), Error> {
        let account = account.to_owned();
        self.writer.call(move |connection| media::add(connection, &account, &streams)).await
    }

    async fn streams(
        &self,
        account: &str,
        media: Option<&str>,
        place: Option<StreamPlace>,
        limit: u64,
    ) -> Result<Found<Stream, StreamPlace>, Error> {
        let (account, id) = (account.to_owned(), media.map(str::to_owned));
        let some = move |connection: &_| media::behind(connection, &account, id.as_deref(), place, limit);
        self.readers.call(some).await
    }

    async fn remove_media(&self, account: &str, media: &str) -> Result<(), Error> {
        let (account, id) = (account.to_owned(), media.to_owned());
        self.writer.call(move |connection| media::remove(connection, &account, &id)).await
    }

    async fn add_user(&self, user: User) -> Result<(), Error> {
        self.writer.call(move |connection| users::add(connection, &user)).await
    }

    async fn set_password(&self, user: &str, password: &str) -> Result<(), Error> {
        let (user, password) = (user.to_owned(), password.to_owned());
        self.writer.call(move |connection| users::set_password(connection, &user, &password)).await
    }

    async fn remove_user(&self, user: &str) -> Result<(), Error> {
        let user = user.to_owned();
        self.writer.call(move |connection| users::remove(connection, &user)).await
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Error> {
        let name = name.to_owned();
        self.readers.call(move |connection| users::one(connection, &name)).await
    }

    async fn users(&self) -> Result<Vec<User>, Error> {
        self.readers.call(users::all).await
    }

    async fn open_session(&self, session: Pass, at_ms: i64) -> Result<(), Error> {
        self.writer.call(move |connection| users::open_session(connection, &session, at_ms)).await
    }

    async fn user_of_session(&self, digest: [u8; 32], at_ms: i64) -> Result<Option<User>, Error> {
        self.readers.call(move |connection| users::of_session(connection, digest, at_ms)).await
    }

    async fn end_session(&self, digest: [u8; 32]) -> Result<(), Error> {
        self.writer.call(move |connection| users::end_session(connection, digest)).await
    }

    async fn put_sign_in_link(&self, link: Pass) -> Result<(), Error> {
        self.writer.call(move |connection| users::put_link(connection, &link)).await
    }

    async fn take_sign_in_link(&self, digest: [u8; 32], at_ms: i64) -> Result<Option<User>, Error> {
        self.writer.call(move |connection| users::take_link(connection, digest, at_ms)).await
    }

    async fn begin_deed(&self, deed: Deed) -> Result<u64, Error> {
        self.writer.call(move |connection| deeds::begin(connection, &deed)).await
    }

    async fn end_deed(&self, number: u64, outcome: &str) -> Result<(), Error> {
        let outcome = outcome.to_owned();
        self.writer.call(move |connection| deeds::end(connection, number, &outcome)).await
    }

    async fn deeds(&self, before: u64, user: Option<&str>, limit: u64) -> Result<Vec<Deed>, Error> {
        let user = user.map(str::to_owned);
        self.readers.call(move |connection| deeds::before(connection, before, user.as_deref(), limit)).await
    }

    async fn media_of(&self, account: &str, media: Vec<String>) -> Result<Vec<(String, Vec<Stream>)>, Error> {
        let account = account.to_owned();
        self.readers.call(move |connection| media::of(connection, &account, media)).await
    }

    async fn add_media_job(&self, new: NewMediaJob) -> Result<i64, Error> {
        self.writer.call(move |connection| media_jobs::add(connection, &new)).await
    }

    async fn end_media_part(&self, part: PartPlace, state: PartState, at_ms: i64) -> Result<(), Error> {
        self.writer.call(move |connection| media_jobs::end(connection, part, &state, at_ms)).await
    }

    async fn media_job_told(&self, job: i64, callbacks: Vec<NewCallback>) -> Result<(), Error> {
        self.writer.call(move |connection| media_jobs::told(connection, job, &callbacks)).await
    }

    async fn unfinished_media_jobs(&self) -> Result<Vec<MediaJobRecord>, Error> {
        self.readers.call(media_jobs::unfinished).await
    }

    async fn media_job(&self, account: Option<&str>, id: &str) -> Result<Option<MediaJobRecord>, Error> {
        let (account, id) = (account.map(str::to_owned), id.to_owned());
        self.readers.call(move |connection| media_jobs::one(connection, account.as_deref(), &id)).await
    }

    async fn media_jobs(
        &self,
        account: &str,
        behind: Option<u64>,
        limit: u64,
    ) -> Result<Found<MediaJob, u64>, Error> {
        let account = account.to_owned();
        self.readers.call(move |connection| media_jobs::behind(connection, &account, behind, limit)).await
    }

    async fn queue_callbacks(&self, new: Vec<NewCallback>) -> Result<(), Error> {
        let queue = move |connection: &_| new.iter().try_for_each(|new| callbacks::queue(connection, new));
        self.writer.call(queue).await
    }

    async fn due_callbacks(&self, at_ms: i64) -> Result<Vec<DueCallback>, Error> {
        self.readers.call(move |connection| callbacks::due(connection, at_ms)).await
    }

    async fn next_callback_ms(&self, behind_ms: i64) -> Result<Option<i64>, Error> {
        self.readers.call(move |connection| callbacks::next_due_ms(connection, behind_ms)).await
    }

    async fn callback_tried(&self, number: i64, tried: Tried) -> Result<(), Error> {
        self.writer.call(move |connection| callbacks::tried(connection, number, &tried)).await
    }

    async fn callbacks(
        &self,
        account: &str,
        behind: Option<u64>,
        limit: u64,
    ) -> Result<Found<Callback, u64>, Error> {
        let account = account.to_owned();
        self.readers.call(move |connection| callbacks::behind(connection, &account, behind, limit)).await
    }

    async fn lease_ms(&self) -> Result<Option<u64>, Error> {
        self.readers.call(control::lease_ms).await
    }

    async fn set_lease_ms(&self, lease_ms: u64) -> Result<(), Error> {
        self.writer.call(move |connection| control::set_lease_ms(connection, lease_ms)).await
    }
}
