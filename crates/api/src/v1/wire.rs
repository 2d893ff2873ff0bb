//! The messages of `/v1`, as control answers them and the command line reads them.

mod certificate;

pub use certificate::{ServerCertificateRequest, ServerCertificateView};

use freshen_model::area::Area;
use freshen_model::callback::Callback;
use freshen_model::check::CheckRow;
use freshen_model::count::Counts;
use freshen_model::domain::Settings;
use freshen_model::follow::Follow;
use freshen_model::ids::{PopId, Seq};
use freshen_model::media::Stream;
use freshen_model::media_job::MediaJob;
use freshen_model::preview::{Preview, PreviewRow};
use freshen_model::quota::{Limits, QuotaKind};
use freshen_model::receipt::Digest;
use freshen_model::refill::Bound;
use freshen_model::rights::Rights;
use freshen_model::role::Role;
use freshen_model::task::{OriginCost, Task, TaskKind};
use freshen_model::traffic::{Price, Traffic};
use freshen_model::variants::Variants;
use freshen_model::window::Window;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What `POST /v1/purge` and `POST /v1/prefetch` submit with a field `Idempotency-Key` (1 to 255 visible characters of ASCII)
/// is submitted once: the same key and body give the same task for 24 hours, another body is refused as `key_reused`.
/// What makes a secret takes no such key, since a secret is told once.
///
/// `POST /v1/purge`, answered by a [`TaskView`]; `POST /v1/purge/dry-run`, answered by a [`DryRunView`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// What the lines are: `url`, `directory`, `query`, `regex`, `tag` or `host`.
    #[serde(default = "url", rename = "type")]
    pub kind: TaskKind,
    /// Evict instead of expiring; URLs are evicted unless `soft`.
    #[serde(default)]
    pub force: bool,
    /// Expire URLs instead of evicting them; refused together with `force`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub soft: bool,
    /// In which of the account's domains tags are purged; none: in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Break off answers under way of what is matched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Not before this time, wall-clock milliseconds since 1970, at most 31 days away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<i64>,
    /// Prefetch the URLs behind the purge, in a task of its own: `then` of the answer. Needs the right to prefetch, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub then_prefetch: bool,
    /// Have each POP fetch the hottest of what it matched again, likewise: `{"objects": N}`, `{"bytes": N}`, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill: Option<Bound>,
    /// Where its end is told, a callback `task.ended`; absent: where the account says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
    /// URLs, directories, tags and so on, one each.
    pub lines: Vec<String>,
}

impl PurgeRequest {
    /// These lines, in the kind's own mode.
    pub fn of(kind: TaskKind, lines: Vec<String>) -> PurgeRequest {
        let (domains, not_before_ms) = (Vec::new(), None);
        let (force, soft, cut, then_prefetch, refill) = (false, false, false, false, None);
        let notify = None;
        PurgeRequest { kind, force, soft, domains, cut, not_before_ms, then_prefetch, refill, notify, lines }
    }
}

fn url() -> TaskKind {
    TaskKind::Url
}

/// What a purge would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRunView {
    /// Every POP's part.
    pub pops: Vec<PreviewRow>,
    /// All POPs together.
    pub all: Preview,
    /// What is likely a mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST /v1/prefetch`, answered by a [`TaskView`]; `POST /v1/prefetch/dry-run`, answered by a
/// [`PrefetchDryRun`](freshen_model::expand::PrefetchDryRun).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefetchRequest {
    /// Only the POPs there.
    #[serde(default)]
    pub area: Option<Area>,
    /// As of a purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<i64>,
    /// Where its end is told, a callback `task.ended`; absent: where the account says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
    /// URLs, one each.
    pub lines: Vec<String>,
    /// Fetch what playlists among them name, too: `{"renditions": "all"}` or `"lowest"`, and, to have only the beginning of
    /// each, `"first": {"segments": N}` or `{"seconds": N}`. Its `domains` are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// Seconds after its beginning when a POP that has not finished makes it failed, 1 to 2,678,400; absent: as control is
    /// configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<u32>,
    /// The hours of each day in which something may be begun, as `02:00-06:00+08:00`; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Only the POPs of these regions, at most 100; none: of all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<String>,
    /// The variants to warm: fields of requests with their values, `{"Accept-Language": ["de", "en"]}`; each combination is
    /// one, at most 8. Where Accept-Encoding is not named it is gzip and identity.
    #[serde(default, skip_serializing_if = "Variants::is_empty")]
    pub headers: Variants,
}

/// `POST /v1/tasks/{id}/cancel`, for a task that is pending, or a prefetch that runs: what is there stays. `POST
/// /v1/tasks/{id}/pause` and `…/resume`, for a prefetch that runs: what is being fetched is finished, nothing more is begun.
///
/// `GET /v1/tasks/{id}`; with `?wait_ms=N&seen=R` (`N` at most 30,000) answered once the revision is above `R` (absent:
/// above what it is now), the task ended, or `N` passed; with `&counted=true` an ended purge is answered once it is counted, or `N` passed.
///
/// `GET /v1/tasks/{id}/receipt?wait_ms=N` answers a [`freshen_model::certificate::CertificateFile`], once all is signed
/// and counted or `N` passed; `GET /v1/receipt-keys` the [`freshen_model::certificate::Keys`] it is verified with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// Grows with every change while the task runs; 0 once it ended.
    pub revision: u64,
    /// What in a submission is likely a mistake; in the answer to it only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What a purge matched; goes on after the task's end until it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// What a prefetch has cost the origin; that of each POP is in its progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginView>,
}

/// What a prefetch has cost the origin, and what that comes to by the prices that are configured now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OriginView {
    /// What it took.
    #[serde(flatten)]
    pub cost: OriginCost,
    /// What that comes to.
    #[serde(flatten)]
    pub price: Price,
}

/// The first event, `ready`, of `GET /v1/events`: what changes from here on follows as `task` events, each a [`TaskView`]
/// with the number of the change as its id. `GET /v1/tasks/{id}/events` is the same for one task and begins with how it is;
/// the last event, of the ended task, has the id `end`. With `?counted=true` that one waits for a purge's counts. Both go on
/// from `Last-Event-ID`; an event `error` has an [`ErrorView`] and is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsReady {}

/// The event `missed`: what changed in between is not known, the list is to be read anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsMissed {
    /// For people.
    pub message: String,
}

/// `GET /v1/tasks?type=&status=&domain=&url=&text=&from_ms=&to_ms=&limit=&cursor=`, newest first: those with exactly the line
/// `url`, or with a line that has `text` in it, submitted from `from_ms` until before `to_ms`.
///
/// As of every list, `limit` is 1 to 100, 20 if not said, and `cursor` is `next` of the page before. A search of texts may give
/// pages that are short or empty, with a `next` behind which there is more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskList {
    /// Some of them.
    pub tasks: Vec<Task>,
    /// The `cursor` of the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/quota`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaView {
    /// Each kind.
    pub quotas: Vec<QuotaRow>,
}

/// What is left of one kind today.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuotaRow {
    /// What is counted.
    pub kind: QuotaKind,
    /// Lines a day.
    pub limit: u64,
    /// Lines submitted today.
    pub used: u64,
    /// Lines left today.
    pub remaining: u64,
}

/// `GET /v1/check?url=&gzip=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckView {
    /// What was asked for.
    pub url: String,
    /// Every POP's answer.
    pub pops: Vec<CheckRow>,
}

/// `POST /v1/media`, answered by status 204: adds streams to the library of the caller's account, 1 to 1,000, all or none.
/// `DELETE /v1/media/{id}`, answered by status 204, removes a medium.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamsRequest {
    /// The streams.
    pub streams: Vec<Stream>,
}

/// `GET /v1/media?media=&limit=&cursor=`, by medium, those of one the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StreamList {
    /// Some of them.
    pub streams: Vec<Stream>,
    /// The `cursor` of the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/callbacks?limit=&cursor=`, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackList {
    /// Some of them.
    pub callbacks: Vec<Callback>,
    /// The `cursor` of the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/callback-secret`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallbackSecretView {
    /// What the account's callbacks are signed with, `whsec_` and base64.
    pub secret: String,
}

/// `GET /v1/media-jobs?limit=&cursor=`, the newest first; `GET /v1/media-jobs/{id}` gives one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MediaJobList {
    /// Some of them.
    pub jobs: Vec<MediaJob>,
    /// The `cursor` of the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/pops?limit=&cursor=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PopList {
    /// All that are not gone, by id.
    pub pops: Vec<PopRow>,
    /// What stands behind the dot of POPs' tokens: SHA-256 of control's public key. Absent: control is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Digest>,
    /// The `cursor` of the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A POP as control knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PopRow {
    /// Its name.
    pub id: PopId,
    /// Where it serves.
    pub area: Area,
    /// Its region.
    pub region: String,
    /// The highest watermark it confirmed.
    pub watermark: Seq,
    /// The log's end.
    pub end: Seq,
    /// Orders it has not confirmed.
    pub lag: u64,
    /// Whether it follows the log now.
    pub connected: bool,
    /// Whether it does so by TLS.
    #[serde(default)]
    pub tls: bool,
    /// Wall-clock milliseconds since 1970; absent: never heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact_ms: Option<i64>,
    /// False only where no clock can still grant it a lease.
    pub may_hold_lease: bool,
    /// Set once it is removed and has not confirmed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Seq>,
}

/// `POST /v1/pops` (admins), answered by a [`NewPop`]. `DELETE /v1/pops/{id}` (admins), with `?destroyed=true` for a machine
/// that is known to serve nobody any more, answered by status 204.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PopRequest {
    /// Its name.
    pub id: PopId,
    /// Where it serves.
    pub area: Area,
    /// Its region, a free word.
    pub region: String,
}

/// A POP's token, told once.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewPop {
    /// Its name.
    pub id: PopId,
    /// What it authenticates with, a dot, and the pin by which it knows control.
    pub token: String,
}

/// An account, all of it for admins: `POST /v1/accounts` takes one, `GET /v1/accounts` lists them. `GET /v1/accounts/{name}` is
/// also for the account's own keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountRow {
    /// Its name.
    pub name: String,
    /// Whether it may manage accounts, keys, domains and POPs.
    #[serde(default)]
    pub admin: bool,
    /// Its daily limits; also `PUT /v1/accounts/{name}/limits` with a [`Limits`]. Both answer an [`AccountRow`].
    #[serde(default)]
    pub limits: Limits,
}

/// `GET /v1/accounts?limit=&cursor=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccountList {
    /// By name.
    pub accounts: Vec<AccountRow>,
    /// The `cursor` of the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `PUT /v1/accounts/{name}/notify`, answered by status 204, and `GET`: where the ends of an account's tasks are told, if their
/// submission says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyView {
    /// An address; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
}

/// `POST /v1/keys` (admins; or for the own account), answered by a [`NewKey`]. `POST /v1/keys/{id}/disable`, answered by
/// status 204.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// The account it acts for; absent: the caller's.
    #[serde(default)]
    pub account: Option<String>,
    /// What it may do; absent: all that its account may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Rights>,
}

/// `POST /v1/tokens` (admins; or for the own account), answered by a [`NewToken`]: temporary credentials, which sign.
/// `POST /v1/bearer-tokens`, answered by a [`NewBearerToken`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The account they act for; absent: the caller's.
    #[serde(default)]
    pub account: Option<String>,
    /// What they may do; absent: all that the account may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Rights>,
    /// How long they are good, 1 to 43,200 seconds; a bearer token up to 31,622,400.
    pub expires_s: u64,
}

/// Temporary credentials, told once. All three go with each request; the token as `SecurityToken`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewToken {
    /// The access key's id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The token.
    pub security_token: String,
    /// The account they act for.
    pub account: String,
    /// Until when they are good, wall-clock milliseconds since 1970.
    pub expires_ms: i64,
}

/// A bearer token, told once: `Authorization: Bearer TOKEN`, instead of a signature, to `/v1` only.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewBearerToken {
    /// Its id, by which it is disabled as any key.
    pub id: String,
    /// The token. Only its digest is kept.
    pub token: String,
    /// The account it acts for.
    pub account: String,
    /// What it may do.
    pub rights: Rights,
    /// Until when it is good, wall-clock milliseconds since 1970.
    pub expires_ms: i64,
}

/// `GET /v1/keys?account=&limit=&cursor=`: those of the own account; of any, or all, for admins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyList {
    /// By id.
    pub keys: Vec<KeyRow>,
    /// The `cursor` of the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A key, without what is secret of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: KeyKind,
    /// The account it acts for.
    pub account: String,
    /// What it may do.
    pub rights: Rights,
    /// Set once it may not be used any more.
    pub disabled: bool,
    /// Until when it is good, wall-clock milliseconds since 1970; absent: until it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// It signs, until it is disabled.
    Key,
    /// Temporary credentials: they sign, with their token beside.
    Temporary,
    /// A bearer token.
    Bearer,
}

/// A key with its secret, told once.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The account it acts for.
    pub account: String,
    /// What it may do.
    #[serde(default)]
    pub rights: Rights,
}

/// People who sign in to the console, all of it for admins. `POST /v1/users`, answered by a [`NewUser`];
/// `DELETE /v1/users/{name}`, answered by status 204.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// The name to sign in with: 1 to 64 letters, digits or any of `._@-`.
    pub name: String,
    /// The account; absent: the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What the user may do.
    pub role: Role,
    /// 10 to 256 bytes; absent: one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// `PUT /v1/users/{name}/password`, answered by a [`NewUser`]. Ends all sessions of the user.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// As in [`UserRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A user, with a password that was made here, told once.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewUser {
    /// The user.
    #[serde(flatten)]
    pub user: UserRow,
    /// Absent where the caller gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// `GET /v1/users`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserList {
    /// By name.
    pub users: Vec<UserRow>,
}

/// A user of the console.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserRow {
    /// The name to sign in with.
    pub name: String,
    /// The account.
    pub account: String,
    /// What the user may do.
    pub role: Role,
    /// Wall-clock milliseconds since 1970.
    pub created_ms: i64,
}

/// `GET /v1/domains?text=&limit=&cursor=`: the caller's, or all for admins; those with `text` in their name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DomainList {
    /// By name.
    pub domains: Vec<DomainRow>,
    /// The `cursor` of the next page; absent: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A domain. `POST /v1/domains` (admins; account absent: the caller's) and `PUT /v1/domains/{name}` take
/// one, `GET` and both of these answer one; `DELETE /v1/domains/{name}` answers status 204.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainRow {
    /// Its name.
    pub name: String,
    /// The account that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its settings.
    pub settings: Settings,
}

/// What `GET /v1/domains/{name}/traffic` answers. Its query takes `from` and `until` (times in UTC; the last 24 hours) and
/// `interval_s` (300, 3600 or 86400). POPs' counts come with their heartbeats and are there ten seconds later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficView {
    /// The domain.
    pub domain: String,
    /// The beginning of what is told.
    pub from: String,
    /// Its end.
    pub until: String,
    /// How long each of `points` is.
    pub interval_s: i64,
    /// All of it together.
    pub total: TrafficTotal,
    /// Each interval, the oldest first; the first begins at a multiple of its length, at `from` or before.
    pub points: Vec<TrafficPoint>,
}

/// Traffic of some time, and what origins cost in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficTotal {
    /// What was counted.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// What the origins' part of it comes to.
    #[serde(flatten)]
    pub price: Price,
}

/// Traffic of one interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficPoint {
    /// When it began.
    pub at: String,
    /// What was counted.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// The body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorView,
}

/// What went wrong, as a word. Each goes with one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: some lines cannot be submitted.
    BadLines,
    /// 400: more lines than one submission may have.
    TooManyLines,
    /// 400: no lines.
    Empty,
    /// 400: a body or query that cannot be read; the message has line and column.
    Malformed,
    /// 401: nobody known signed this, or not with this secret, or not now.
    Unauthenticated,
    /// 403: only admins may.
    Forbidden,
    /// 404: it is not there, or another account's.
    NotFound,
    /// 405: the path exists, but not with this method.
    BadMethod,
    /// 408: the body came too slowly, or broke off.
    TooSlow,
    /// 409: it is there already.
    Exists,
    /// 409: the idempotency key came with another request before.
    KeyReused,
    /// 409: a name or setting that cannot be, or does not go together with what is there.
    Unfit,
    /// 409: there is no POP that could do it.
    NoPops,
    /// 413: the body is longer than 4 MiB.
    TooLarge,
    /// 429: more lines than the account has left today.
    OverQuota,
    /// 429: more requests, lines a minute or lines waiting than the account may have; the message says which.
    TooManyRequests,
    /// 500: a fault of ours; its log has the details.
    Internal,
    /// Of a newer control.
    #[serde(other)]
    Unknown,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorView {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what, where, and what to do.
    pub message: String,
    /// What of the request is meant, where it is one thing: a field of the body or the query, or of the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The lines that cannot be submitted; the first hundred of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<BadLineView>,
}

/// A line that cannot be submitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BadLineView {
    /// Its place, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}
