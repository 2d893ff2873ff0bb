//! The ledger: accounts, keys, domains, POPs, tasks, quotas, and (embedded) the fleet log itself.
//!
//! **Invariant:** whatever a call returned `Ok` for is durable (fsynced), and what belongs together became so together:
//! a task's rows, its quota use and its order are one transaction, so a task without its order cannot exist. The ledger
//! never talks to a POP, and never decides when a task is done.

pub mod error;
pub mod people;
pub mod records;
pub mod sqlite;

pub use error::{Error, Refusal};
pub use people::{Deed, Pass, User};
pub use records::TrafficEntry;
pub use records::{
    AccessKey, Account, DomainRecord, DueCallback, Found, Line, MediaJobRecord, NewAccessKey, NewMediaJob,
    Once, OrdersRead, PartPlace, PopReceipt, PopRecord, ReceiptsKept, Remembered, ServerCertificate,
    Steering, StreamPlace, Submission, Submitted, TaskFilter, TaskLine, TaskPage, TaskPlace, TaskReceipts,
    TaskRecord, TaskUpdate, Temporary, Tried,
};
pub use sqlite::SqliteLedger;

use async_trait::async_trait;
use freshen_model::area::Area;
use freshen_model::callback::{Callback, NewCallback};
use freshen_model::certificate::PopKey;
use freshen_model::domain::Settings;
use freshen_model::ids::{LogId, PopId, Seq, TaskId};
use freshen_model::media::Stream;
use freshen_model::media_job::{MediaJob, PartState};
use freshen_model::order::{End, Snapshot};
use freshen_model::protocol::roster::Place;
use freshen_model::quota::{Limits, Quota};
use freshen_model::receipt::Digest;
use freshen_model::traffic::{Booked, Span};
use tokio::sync::watch;

/// Temporary credentials and bearer tokens of one account at one time.
pub const TEMPORARY_KEYS_MAX: u64 = 1_000;

/// How long it is remembered what was submitted once, milliseconds.
pub const ONCE_KEPT_MS: i64 = 86_400_000;
/// Keys of such submissions that one account may have at one time.
pub const ONCE_OF_ACCOUNT_MAX: u64 = 100_000;

/// Domains that one account may have.
pub const DOMAINS_OF_ACCOUNT_MAX: u64 = 10_000;

/// Certificates of domains in one installation.
pub const SERVER_CERTIFICATES_MAX: u64 = 10_000;

/// What control keeps, whatever engine keeps it.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    // ---- the fleet log ----

    /// The random name of the log, made with the ledger.
    fn log_id(&self) -> LogId;

    /// The log's end; changes once an order is durable.
    fn end(&self) -> watch::Receiver<End>;

    /// Orders behind `after`, oldest first: at least one if there is any, then as many as fit into `bytes_max` of JSON.
    async fn orders_after(&self, after: Seq, bytes_max: usize) -> Result<OrdersRead, Error>;

    /// What the log has at `seq`. Place 0 is an order with an all-zero id, while order 1 is kept (or the log is empty).
    async fn place(&self, seq: Seq) -> Result<Place, Error>;

    /// The state that all orders so far led to, as `pop` needs it, read as of one moment.
    async fn snapshot(&self, pop: &PopId) -> Result<Snapshot, Error>;

    /// Forgets orders up to `seq`, but never the newest.
    async fn prune(&self, seq: Seq) -> Result<(), Error>;

    /// Appends a tick.
    async fn tick(&self) -> Result<Seq, Error>;

    // ---- accounts and keys ----

    /// Adds an account with default limits. [`Refusal::Exists`] where it is there.
    async fn add_account(&self, name: &str, admin: bool) -> Result<Account, Error>;

    /// Changes an account's daily limits.
    async fn set_limits(&self, account: &str, limits: Limits) -> Result<(), Error>;

    /// All accounts, by name.
    async fn accounts(&self) -> Result<Vec<Account>, Error>;

    /// Some of these, behind a name.
    async fn accounts_behind(&self, name: Option<&str>, limit: u64) -> Result<Found<Account, String>, Error>;

    /// One account.
    async fn account(&self, name: &str) -> Result<Option<Account>, Error>;

    /// Adds an access key. [`Refusal::Exists`] where the id is taken, [`Refusal::NotFound`] without the account.
    async fn add_key(&self, account: &str, id: &str, secret: &str) -> Result<(), Error> {
        self.put_key(NewAccessKey::of(account, id, secret)).await
    }

    /// As [`Ledger::add_key`], with rights, or as temporary credentials: expired ones are forgotten then, an hour after
    /// their end. [`Refusal::Unfit`] where the account has [`TEMPORARY_KEYS_MAX`] of them.
    async fn put_key(&self, key: NewAccessKey) -> Result<(), Error>;

    /// Disables an access key for good.
    async fn disable_key(&self, id: &str) -> Result<(), Error>;

    /// One access key, disabled or not.
    async fn key(&self, id: &str) -> Result<Option<AccessKey>, Error>;

    /// An account's keys.
    async fn keys(&self, account: &str) -> Result<Vec<AccessKey>, Error>;

    /// Some of these, or of all, behind an id; without their secrets.
    async fn keys_behind(
        &self,
        account: Option<&str>,
        id: Option<&str>,
        limit: u64,
    ) -> Result<Found<AccessKey, String>, Error>;

    // ---- domains ----

    /// Adds a domain and appends its settings order. [`Refusal::Exists`] where any account has it, [`Refusal::Unfit`] where
    /// the account has [`DOMAINS_OF_ACCOUNT_MAX`].
    ///
    /// With `share_cache` the other domain must exist, belong to the same account and not share itself
    /// ([`Refusal::Unfit`] says which); origin and query policy are taken from it.
    async fn add_domain(&self, account: &str, name: &str, settings: &Settings)
    -> Result<DomainRecord, Error>;

    /// Changes a domain's settings; domains that share its cache follow in origin and query policy, one order each, in
    /// the same transaction. `share_cache` may not be given to a domain that others share.
    async fn set_domain(&self, name: &str, settings: &Settings) -> Result<DomainRecord, Error>;

    /// Removes a domain and appends the order. [`Refusal::Unfit`] while others share its cache.
    async fn remove_domain(&self, name: &str) -> Result<(), Error>;

    /// One domain.
    async fn domain(&self, name: &str) -> Result<Option<DomainRecord>, Error>;

    /// All domains by name, or an account's.
    async fn domains(&self, account: Option<&str>) -> Result<Vec<DomainRecord>, Error>;

    /// Some of these, behind a name; those whose name has `text` in it, where that is given.
    async fn domains_behind(
        &self,
        account: Option<&str>,
        text: Option<&str>,
        name: Option<&str>,
        limit: u64,
    ) -> Result<Found<DomainRecord, String>, Error>;

    /// Sets the certificate that a domain's viewers are shown, in place of the one before. [`Refusal::NotFound`] without the
    /// domain, [`Refusal::Unfit`] where there are [`SERVER_CERTIFICATES_MAX`]. A domain that is removed loses it.
    async fn set_server_certificate(&self, certificate: ServerCertificate) -> Result<(), Error>;

    /// Removes it; says whether there was one.
    async fn remove_server_certificate(&self, domain: &str) -> Result<bool, Error>;

    /// A domain's certificate with its key; sealed still, where the key for secrets is another than when it was set.
    async fn server_certificate(&self, domain: &str) -> Result<Option<ServerCertificate>, Error>;

    /// Which domains have a certificate, by name, and the certificates' digests.
    async fn server_certificates(&self) -> Result<Vec<(String, Digest)>, Error>;

    // ---- POPs ----

    /// Registers a POP and appends its join order; one that was removed may come back under its id with a new token.
    async fn add_pop(
        &self,
        id: &PopId,
        area: Area,
        region: &str,
        token_digest: [u8; 32],
    ) -> Result<PopRecord, Error>;

    /// Removes a POP: appends its leave order. It stays in the scope of later purges until it confirmed its removal.
    /// [`Refusal::Unfit`] where it is removed already.
    async fn remove_pop(&self, id: &PopId) -> Result<PopRecord, Error>;

    /// Notes that a removed POP confirmed its removal, or that an operator declared its machine destroyed.
    /// [`Refusal::Unfit`] while it is a member. What is remembered of its data folder is kept, should it come back.
    async fn pop_gone(&self, id: &PopId) -> Result<(), Error>;

    /// All POPs that are not gone, by id.
    async fn pops(&self) -> Result<Vec<PopRecord>, Error>;

    /// Keeps what control must remember of POPs' data folders over a restart; unknown POPs are passed over.
    async fn remember(&self, seats: Vec<Remembered>) -> Result<(), Error>;

    // ---- tasks ----

    /// Makes a task, its lines, its quota use and its order durable together.
    ///
    /// Refused whole, counting nothing: [`Refusal::OverQuota`]; [`Refusal::SettingsChanged`] where a domain's settings
    /// are not those of `submission.read` any more, so that keys made with them would miss (read again and retry);
    /// [`Refusal::NotFound`] where a domain is gone or another account's; [`Refusal::Unfit`] where the scope is empty.
    /// From which place on POPs can be fenced is decided here too, by all domains' settings as of the order.
    ///
    /// A prefetch that follows (`then`) is made with it, in the same transaction and behind it in the log, or neither is.
    ///
    /// With `once`, [`Refusal::Repeated`] where the same was submitted within [`ONCE_KEPT_MS`] under that key, and
    /// [`Refusal::KeyReused`] where something else was; [`Refusal::Unfit`] where the account has too many keys.
    ///
    /// One that says `not_before_ms` becomes a pending task instead: without an order, for [`Ledger::release`].
    /// [`Refusal::Unfit`] where the account has a thousand of these. What follows it says the same time, and waits with it.
    async fn submit(&self, submission: Submission) -> Result<Submitted, Error>;

    /// What an account submitted under that key at `since_ms` or later, and as which task.
    async fn once(&self, account: &str, key: &str, since_ms: i64) -> Result<Option<(Once, TaskId)>, Error>;

    /// Pending tasks that are due at that time, wall-clock milliseconds since 1970, the one due first in front; at most a
    /// hundred of them. What follows another one is not among them.
    async fn due_tasks(&self, at_ms: i64) -> Result<Vec<TaskRecord>, Error>;

    /// When the next pending task is due; `None` where there is none.
    async fn next_due_ms(&self) -> Result<Option<i64>, Error>;

    /// Gives a pending task its order, which is of `submission`, read now; quotas were counted when it was submitted. With
    /// what follows it (`then`) likewise, in the same transaction and behind it in the log, unless that has ended meanwhile.
    ///
    /// Refused as [`Ledger::submit`] is, and [`Refusal::Unfit`] where the task is not pending any more.
    async fn release(&self, task: TaskId, submission: Submission) -> Result<Submitted, Error>;

    /// Ends a pending task as failed, for that reason, and what follows it for that. [`Refusal::Unfit`] where it is not pending any more,
    /// [`Refusal::NotFound`] where there is none.
    async fn end_pending(&self, task: TaskId, reason: &str, at_ms: i64) -> Result<(), Error>;

    /// Has a running prefetch go on otherwise; where that changes anything for the POPs, an order tells them, appended in the
    /// same transaction. Gives the task as it is now: cancelled it has ended, for that reason.
    ///
    /// [`Refusal::NotFound`] where there is none, [`Refusal::Unfit`] for a purge, and where it does not run.
    async fn steer(&self, task: TaskId, steering: Steering, at_ms: i64) -> Result<TaskRecord, Error>;

    /// Where the ends of an account's tasks are told, if their submission says nothing.
    async fn notify(&self, account: &str) -> Result<Option<String>, Error>;

    /// Changes that, for tasks to come. [`Refusal::Unfit`] where it is no address.
    async fn set_notify(&self, account: &str, url: Option<&str>) -> Result<(), Error>;

    /// Keeps how far tasks have come, all or none. What has ended stays as it ended. Steps replace those before. The end of one
    /// that is to be told is queued as a callback with it.
    async fn update_tasks(&self, updates: Vec<TaskUpdate>) -> Result<(), Error>;

    /// Tasks with an order that have not ended, oldest first.
    async fn running_tasks(&self) -> Result<Vec<TaskRecord>, Error>;

    /// Ended tasks in which some POP is still fenced and has not confirmed since, oldest first.
    async fn fenced_tasks(&self) -> Result<Vec<TaskRecord>, Error>;

    /// One task; of `account` where that is given.
    async fn task(&self, id: TaskId, account: Option<&str>) -> Result<Option<TaskRecord>, Error>;

    /// The first line of each of these tasks, in no order.
    async fn first_lines(&self, ids: Vec<TaskId>) -> Result<Vec<(TaskId, String)>, Error>;

    /// A task's lines, in order.
    async fn task_lines(&self, id: TaskId) -> Result<Vec<Line>, Error>;

    /// Tasks that fit, newest first.
    async fn tasks(&self, filter: &TaskFilter) -> Result<TaskPage<TaskRecord>, Error>;

    /// Tasks that fit behind a place, newest first: what comes in front meanwhile moves nothing. Counts nothing either, and
    /// takes no offset.
    async fn tasks_behind(
        &self,
        filter: &TaskFilter,
        place: Option<TaskPlace>,
    ) -> Result<Found<TaskRecord, TaskPlace>, Error>;

    /// Lines of tasks that fit, newest task first, lines in their order; where the filter names a URL or a domain, only
    /// the lines that have it.
    async fn lines(&self, filter: &TaskFilter) -> Result<TaskPage<TaskLine>, Error>;

    /// What an account has used on the quota day, of every kind.
    async fn quota(&self, account: &str, day: i64) -> Result<Vec<Quota>, Error>;

    // ---- traffic ----

    /// Adds entries to the books, and notes how far POPs' counts are booked with them, all or none. What is of no domain is
    /// passed over.
    async fn add_traffic(&self, entries: Vec<TrafficEntry>, booked: Vec<Booked>) -> Result<(), Error>;

    /// How far POPs' counts are booked.
    async fn traffic_booked(&self) -> Result<Vec<Booked>, Error>;

    /// The traffic of these domains together, from the first to before the second of these unix seconds, in spans that begin
    /// at multiples of `span_s`; where there was any, the oldest first. That of a domain that was removed is forgotten.
    async fn traffic(
        &self,
        domains: Vec<String>,
        between_s: (i64, i64),
        span_s: i64,
    ) -> Result<Vec<Span>, Error>;

    /// Forgets traffic before that time, in unix seconds; says whether there may be more of it.
    async fn forget_traffic(&self, before_s: i64) -> Result<bool, Error>;

    // ---- receipts ----

    /// The seed of the key that control signs with, made with the ledger.
    async fn receipt_seed(&self) -> Result<[u8; 32], Error>;

    /// Keeps what a POP has signed, and its key: none is ever replaced. What speaks of another log or of no task is passed
    /// over. Gives the tasks it speaks of, and whether the key is new and the POP had another before.
    async fn keep_receipts(&self, receipts: ReceiptsKept) -> Result<(Vec<TaskId>, bool), Error>;

    /// What POPs have signed of the task whose order is at `seq`.
    async fn receipts(&self, task: TaskId, seq: Seq) -> Result<TaskReceipts, Error>;

    /// Every key that POPs have signed with, the oldest first.
    async fn receipt_keys(&self) -> Result<Vec<PopKey>, Error>;

    // ---- the media library ----

    /// Adds streams to an account's library, all or none; one whose address its medium has already takes the place of that.
    /// [`Refusal::Unfit`] where there would be too many.
    async fn add_streams(&self, account: &str, streams: Vec<Stream>) -> Result<(), Error>;

    /// An account's streams by medium, those of one the newest first; of one medium where that is given, and behind a place
    /// that this gave.
    async fn streams(
        &self,
        account: &str,
        media: Option<&str>,
        place: Option<StreamPlace>,
        limit: u64,
    ) -> Result<Found<Stream, StreamPlace>, Error>;

    /// Removes a medium with all its streams. [`Refusal::NotFound`] where it has none.
    async fn remove_media(&self, account: &str, media: &str) -> Result<(), Error>;

    // ---- people of the console ----

    /// Adds a user. [`Refusal::Exists`] where the name is taken, [`Refusal::NotFound`] without the account,
    /// [`Refusal::Unfit`] where there are [`people::USERS_MAX`].
    async fn add_user(&self, user: User) -> Result<(), Error>;

    /// Changes the hash of a user's password, and ends all the user's sessions and links.
    async fn set_password(&self, user: &str, password: &str) -> Result<(), Error>;

    /// Removes a user with all sessions and links; the deeds stay.
    async fn remove_user(&self, user: &str) -> Result<(), Error>;

    /// One user.
    async fn user(&self, name: &str) -> Result<Option<User>, Error>;

    /// All users, by name.
    async fn users(&self) -> Result<Vec<User>, Error>;

    /// Opens a session at that time, wall-clock milliseconds since 1970: those that have expired by then are forgotten, and
    /// of a user's the newest [`people::SESSIONS_OF_USER_MAX`] are kept.
    async fn open_session(&self, session: Pass, at_ms: i64) -> Result<(), Error>;

    /// Whose session it is; `None` where there is none of that digest, or not at that time any more.
    async fn user_of_session(&self, digest: [u8; 32], at_ms: i64) -> Result<Option<User>, Error>;

    /// Ends a session; one that is not there is no error.
    async fn end_session(&self, digest: [u8; 32]) -> Result<(), Error>;

    /// Keeps a link to sign in, in place of the user's former ones.
    async fn put_sign_in_link(&self, link: Pass) -> Result<(), Error>;

    /// Uses a link up; gives its user where it was good at that time.
    async fn take_sign_in_link(&self, digest: [u8; 32], at_ms: i64) -> Result<Option<User>, Error>;

    /// Keeps a deed, and gives its number. The newest [`people::DEEDS_MAX`] are kept.
    async fn begin_deed(&self, deed: Deed) -> Result<u64, Error>;

    /// Notes what came of a deed.
    async fn end_deed(&self, number: u64, outcome: &str) -> Result<(), Error>;

    /// Deeds with numbers below `before`, the newest first; of one user where that is given.
    async fn deeds(&self, before: u64, user: Option<&str>, limit: u64) -> Result<Vec<Deed>, Error>;

    /// The streams of these media, those of each the newest first; media that have none are left out.
    async fn media_of(&self, account: &str, media: Vec<String>) -> Result<Vec<(String, Vec<Stream>)>, Error>;

    // ---- media jobs ----

    /// Adds a job whose parts all wait; gives its number. A submission that names a part gives it its task.
    /// [`Refusal::Unfit`] where too many of the account's parts wait.
    async fn add_media_job(&self, new: NewMediaJob) -> Result<i64, Error>;

    /// Ends a waiting part without a task. [`Refusal::Unfit`] where it does not wait any more.
    async fn end_media_part(&self, part: PartPlace, state: PartState, at_ms: i64) -> Result<(), Error>;

    /// Queues callbacks for a job's ended parts, all or none, after which nobody is to be told of these any more.
    async fn media_job_told(&self, job: i64, callbacks: Vec<NewCallback>) -> Result<(), Error>;

    /// Jobs with parts that wait or are to be told of, the oldest first; some of them, where they are many.
    async fn unfinished_media_jobs(&self) -> Result<Vec<MediaJobRecord>, Error>;

    /// One job; of `account` where that is given.
    async fn media_job(&self, account: Option<&str>, id: &str) -> Result<Option<MediaJobRecord>, Error>;

    /// Some of an account's jobs, the newest first, behind a place.
    async fn media_jobs(
        &self,
        account: &str,
        behind: Option<u64>,
        limit: u64,
    ) -> Result<Found<MediaJob, u64>, Error>;

    // ---- callbacks ----

    /// Queues callbacks, all or none; one whose id is there changes nothing. [`Refusal::Unfit`] where one is too long, its
    /// address cannot be, or too many of the account wait.
    async fn queue_callbacks(&self, new: Vec<NewCallback>) -> Result<(), Error>;

    /// Callbacks that are due at that time, some of them where they are many: of each account those due longest. One is
    /// due until [`Ledger::callback_tried`] says otherwise.
    async fn due_callbacks(&self, at_ms: i64) -> Result<Vec<DueCallback>, Error>;

    /// When the next callback is due, of those that are due behind that time.
    async fn next_callback_ms(&self, behind_ms: i64) -> Result<Option<i64>, Error>;

    /// Notes what came of sending a callback; of one that has ended nothing changes.
    async fn callback_tried(&self, number: i64, tried: Tried) -> Result<(), Error>;

    /// Some of an account's callbacks, the newest first, behind a place.
    async fn callbacks(
        &self,
        account: &str,
        behind: Option<u64>,
        limit: u64,
    ) -> Result<Found<Callback, u64>, Error>;

    // ---- what control remembers of itself ----

    /// A secret of this installation for that purpose, the same for as long as the log and the key for secrets are.
    fn derived_secret(&self, purpose: &str) -> [u8; 32];

    /// The lease time that POPs may still hold leases of, milliseconds; `None` on a new ledger.
    async fn lease_ms(&self) -> Result<Option<u64>, Error>;

    /// Changes it.
    async fn set_lease_ms(&self, lease_ms: u64) -> Result<(), Error>;
}
