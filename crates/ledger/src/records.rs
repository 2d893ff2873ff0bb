//! What the ledger keeps, as its callers see it.

use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::follow::Follow;
use freshen_model::ids::{DataId, OrderId, PopId, Seq, TaskId};
use freshen_model::media_job::{MediaJob, MediaRequest};
use freshen_model::order::{Order, PrefetchItem};
use freshen_model::quota::Limits;
use freshen_model::receipt::{Digest, PublicKey, Signed, Statement};
use freshen_model::refill::{Bound, Refill};
use freshen_model::rights::Rights;
use freshen_model::rule::{Mode, Rule};
use freshen_model::secret::Secret;
use freshen_model::task::{Holds, PrefetchTerms, Status, Step, TaskKind};
use freshen_model::traffic::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Orders behind a place.
#[derive(Debug, Clone, PartialEq)]
pub struct OrdersRead {
    /// Oldest first, without gaps.
    pub orders: Vec<Order>,
    /// False where orders between the asked place and the first are not kept any more.
    pub contiguous: bool,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Whether it may manage accounts, keys, domains and POPs.
    pub admin: bool,
    /// Its daily limits.
    pub limits: Limits,
    /// Wall-clock milliseconds since 1970.
    pub created_ms: i64,
}

/// An access key. Its secret stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id, public.
    pub id: String,
    /// Its secret; signatures are made with it.
    pub secret: String,
    /// The account it acts for.
    pub account: String,
    /// Whether that account is an admin.
    pub admin: bool,
    /// Requests a second that its account may send.
    pub requests_per_s: u64,
    /// What it may do.
    pub rights: Rights,
    /// Set once it may not be used any more.
    pub disabled: bool,
    /// Set of temporary credentials, and of bearer tokens.
    pub temporary: Option<Temporary>,
    /// Whether it is a bearer token: its token alone goes with each request, and it signs nothing.
    pub bearer: bool,
}

/// What temporary credentials and bearer tokens have besides a key's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Temporary {
    /// SHA-256 of the token that goes with each request.
    pub token_digest: [u8; 32],
    /// Until when they are good, wall-clock milliseconds since 1970.
    pub expires_ms: i64,
}

/// An access key that is to be made. Its secret stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NewAccessKey {
    /// The account it acts for.
    pub account: String,
    /// Its id, public.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// What it may do.
    pub rights: Rights,
    /// Set of temporary credentials, and of bearer tokens.
    pub temporary: Option<Temporary>,
    /// Whether it is a bearer token.
    pub bearer: bool,
}

impl NewAccessKey {
    /// A key that may do all that its account may.
    pub fn of(account: &str, id: &str, secret: &str) -> NewAccessKey {
        NewAccessKey {
            account: account.to_owned(),
            id: id.to_owned(),
            secret: secret.to_owned(),
            rights: Rights::default(),
            temporary: None,
            bearer: false,
        }
    }
}

impl fmt::Debug for NewAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewAccessKey({} of {})", self.id, self.account)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({} of {}, disabled: {})", self.id, self.account, self.disabled)
    }
}

/// A domain.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainRecord {
    /// Its name, lower case.
    pub name: String,
    /// The account that owns it.
    pub account: String,
    /// Its settings.
    pub settings: Settings,
    /// The order that brought these settings.
    pub seq: Seq,
}

/// The certificate that a domain's viewers are shown. Its key stays out of `Debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The domain.
    pub domain: String,
    /// What its owner calls it.
    pub title: Option<String>,
    /// With its chain, PEM.
    pub chain: String,
    /// Its key, PEM.
    pub key: Secret,
    /// Which one it is.
    pub digest: Digest,
    /// The DNS names it is for.
    pub names: Vec<String>,
    /// Until when it is valid, Unix seconds.
    pub until_s: u64,
    /// When it was set, wall-clock milliseconds since 1970.
    pub set_ms: i64,
}

/// A POP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PopRecord {
    /// Its name.
    pub id: PopId,
    /// Where it serves.
    pub area: Area,
    /// Its region, a free word.
    pub region: String,
    /// SHA-256 of the token it authenticates with.
    pub token_digest: [u8; 32],
    /// Its join order.
    pub joined: Seq,
    /// Its leave order, once removed.
    pub left: Option<Seq>,
    /// No process of this POP uses anything below: its join order, where it was new or gone then; less where a folder
    /// was heard since that is further back.
    pub usable_from: Seq,
    /// What is remembered of its data folder.
    pub remembered: Option<Remembered>,
}

impl PopRecord {
    /// How far a process that uses its cache as this POP is at least.
    pub fn reached(&self) -> Seq {
        let remembered = self.remembered.as_ref().map(|remembered| remembered.watermark);
        self.usable_from.max(remembered.unwrap_or_default())
    }
}

/// What control remembers of a POP's data folder over a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The POP.
    pub pop: PopId,
    /// The folder.
    pub data: DataId,
    /// The highest boot number heard of.
    pub boot_number: u64,
    /// The highest watermark it confirmed.
    pub watermark: Seq,
    /// When it was last heard, wall-clock milliseconds since 1970, for people.
    pub heard_ms: i64,
}

/// What a user submits, parsed and authorised.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// Who submits.
    pub account: String,
    /// What.
    pub kind: TaskKind,
    /// Expire or evict; absent for prefetches.
    pub mode: Option<Mode>,
    /// The POPs it is for; absent: all. Prefetches only.
    pub area: Option<Area>,
    /// Every line, as submitted.
    pub lines: Vec<Line>,
    /// A purge's rules.
    pub rules: Vec<Rule>,
    /// A prefetch's objects.
    pub items: Vec<PrefetchItem>,
    /// How a prefetch follows playlists; absent: it doesn't.
    pub follow: Option<Follow>,
    /// The domains whose settings made the keys, with the orders that brought those settings.
    pub read: BTreeMap<String, Seq>,
    /// When, wall-clock milliseconds since 1970.
    pub at_ms: i64,
    /// The quota day it counts on.
    pub day: i64,
    /// When it is to begin, wall-clock milliseconds since 1970; absent: now.
    pub not_before_ms: Option<i64>,
    /// Whether a purge breaks off answers under way.
    pub cut: bool,
    /// On what terms a prefetch is done.
    pub terms: PrefetchTerms,
    /// What keeps it from beginning at once.
    pub holds: Holds,
    /// Set where it is to be submitted once.
    pub once: Option<Once>,
    /// Where its end is told; absent: where the account says.
    pub notify: Option<String>,
    /// The part of a media job that this is the task of; refused where that does not wait any more.
    pub part: Option<PartPlace>,
    /// A prefetch whose objects the POPs choose; its lines are those of the purge.
    pub refill: Option<Refill>,
    /// A prefetch that follows a purge: made durable with it, and behind it in the log.
    pub then: Option<Box<Submission>>,
}

/// What is to be submitted once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The sender's name for it.
    pub key: String,
    /// SHA-256 of what was sent under that name.
    pub digest: [u8; 32],
}

/// A part of a media job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartPlace {
    /// The job's number.
    pub job: i64,
    /// The part's place in it, from 1.
    pub place: u32,
}

/// A media job that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMediaJob {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// What is wanted.
    pub request: MediaRequest,
    /// The domains that the submitter reaches; absent: all of the account's.
    pub within: Option<BTreeSet<String>>,
    /// Its media with the addresses of each.
    pub parts: Vec<(String, Vec<String>)>,
    /// When, wall-clock milliseconds since 1970.
    pub at_ms: i64,
}

/// A media job as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaJobRecord {
    /// Its number, within the ledger only.
    pub number: i64,
    /// Whose it is.
    pub account: String,
    /// The domains that its submitter reaches.
    pub within: Option<BTreeSet<String>>,
    /// The job.
    pub job: MediaJob,
}

/// One line of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The URL or directory, as submitted.
    pub url: String,
    /// The domain it belongs to.
    pub domain: String,
}

/// A task that is durable, with its order; of a pending one the place is 0 and the scope empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// Its number.
    pub task: TaskId,
    /// Its order's place.
    pub seq: Seq,
    /// The POPs that must do it: members as of `seq` in its area; for purges also removed ones that are not gone.
    pub scope: Vec<PopId>,
    /// As in [`TaskRecord::fence_from`].
    pub fence_from: Option<Seq>,
    /// The prefetch that follows it.
    pub then: Option<Box<Submitted>>,
}

/// A task as kept.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRecord {
    /// Its number.
    pub id: TaskId,
    /// Whose it is.
    pub account: String,
    /// What it does.
    pub kind: TaskKind,
    /// Expire or evict.
    pub mode: Option<Mode>,
    /// The POPs it is for.
    pub area: Option<Area>,
    /// How far it was when last kept.
    pub status: Status,
    /// Its order's place.
    pub seq: Seq,
    /// POPs that are this far need a lease to use what a purge names, so that a clock can fence them. Absent: no clock
    /// does, since a domain said `no_lease = serve` as of `seq`; and for prefetches.
    pub fence_from: Option<Seq>,
    /// How many lines it has.
    pub lines: u64,
    /// The domains its lines name, each once.
    pub domains: Vec<String>,
    /// How a prefetch follows playlists.
    pub follow: Option<Follow>,
    /// Wall-clock milliseconds since 1970.
    pub submitted_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Its scope, and how far each POP was when last kept.
    pub steps: Vec<Step>,
    /// When it was to begin, wall-clock milliseconds since 1970; absent: at once.
    pub not_before_ms: Option<i64>,
    /// Whether it breaks off answers under way.
    pub cut: bool,
    /// On what terms a prefetch is done.
    pub terms: PrefetchTerms,
    /// What keeps a prefetch that runs from beginning anything.
    pub holds: Holds,
    /// Why it failed, where it did so before it had an order.
    pub reason: Option<String>,
    /// The prefetch that was submitted with it, to follow it.
    pub then: Option<TaskId>,
    /// The purge that it follows.
    pub after: Option<TaskId>,
    /// Set of a prefetch whose objects the POPs choose: how many.
    pub refill: Option<Bound>,
}

/// How a running prefetch goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// With these holds, or none.
    Hold(Holds),
    /// Not at all: what has not ended is cancelled.
    Cancel,
}

/// How far a task has come.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskUpdate {
    /// The task.
    pub id: TaskId,
    /// Its status now.
    pub status: Status,
    /// When it ended, once it did.
    pub ended_ms: Option<i64>,
    /// Its steps now.
    pub steps: Vec<Step>,
}

/// What a POP has signed, verified.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiptsKept {
    /// The POP.
    pub pop: PopId,
    /// Its data folder.
    pub data: DataId,
    /// What it signed with.
    pub key: PublicKey,
    /// When that came, wall-clock milliseconds since 1970.
    pub at_ms: i64,
    /// What it says, and how that was signed.
    pub statements: Vec<(Statement, Signed)>,
}

/// What POPs have signed of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskReceipts {
    /// The order's name and its rules as text; absent for prefetches, and for tasks from before there were receipts.
    pub order: Option<(OrderId, Vec<String>)>,
    /// By POP.
    pub pops: Vec<PopReceipt>,
    /// The POPs that gave up everything behind the order, with the first time they did.
    pub starts_over: Vec<(PopId, PublicKey, Signed)>,
}

/// What one POP has signed of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct PopReceipt {
    /// The POP.
    pub pop: PopId,
    /// What it signed with.
    pub key: PublicKey,
    /// That it applied the order.
    pub confirmed: Option<Signed>,
    /// What the order matched there.
    pub accounted: Option<Signed>,
}

/// A domain's traffic in one span, to be added to what is booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficEntry {
    /// The domain.
    pub domain: String,
    /// Of five minutes.
    pub span: Span,
}

/// Which tasks are wanted; absent fields want all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskFilter {
    /// Whose.
    pub account: Option<String>,
    /// This one only.
    pub id: Option<TaskId>,
    /// Of this kind.
    pub kind: Option<TaskKind>,
    /// In one of these statuses; empty: any.
    pub statuses: Vec<Status>,
    /// With a line of this domain.
    pub domain: Option<String>,
    /// With a line of one of these domains; absent: of any.
    pub within: Option<BTreeSet<String>>,
    /// With exactly this line.
    pub url: Option<String>,
    /// With a line that has this in it, letters of ASCII in either case; only of [`crate::Ledger::tasks_behind`].
    pub text: Option<String>,
    /// Submitted at this time or later, wall-clock milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Submitted before this time.
    pub to_ms: Option<i64>,
    /// How many to pass over.
    pub offset: u64,
    /// How many to give at most.
    pub limit: u64,
}

/// Some of the tasks or lines that fit.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskPage<T> {
    /// These.
    pub rows: Vec<T>,
    /// How many fit in all.
    pub total: u64,
}

/// A task's place in lists, which are sorted by it, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskPlace {
    /// When it was submitted, wall-clock milliseconds since 1970.
    pub submitted_ms: i64,
    /// Its number.
    pub id: TaskId,
}

/// A stream's place in an account's library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPlace {
    /// Its medium.
    pub media: String,
    /// Higher for streams that came later.
    pub number: u64,
}

/// Some of the things that fit, and behind which place there may be more.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<T, P> {
    /// These.
    pub rows: Vec<T>,
    /// Where to go on; absent: there are no more. A search of texts gives fewer rows than asked where it has looked at much.
    pub next: Option<P>,
}

/// A line with the task it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLine {
    /// The task.
    pub task: TaskRecord,
    /// The line's place in it, from 1.
    pub line: u32,
    /// The URL or directory, as submitted.
    pub url: String,
}

/// A callback that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueCallback {
    /// Its place in the queue.
    pub number: i64,
    /// Whose it is.
    pub account: String,
    /// Its name.
    pub id: String,
    /// Where to.
    pub url: String,
    /// What is told.
    pub body: String,
    /// How often it was sent.
    pub tries: u32,
}

/// What came of sending a callback once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// When, wall-clock milliseconds since 1970.
    pub at_ms: i64,
    /// Whether it was taken.
    pub delivered: bool,
    /// When it is sent again; absent: never.
    pub again_ms: Option<i64>,
    /// What came of it, in words.
    pub outcome: String,
}
