//! Submitting and watching tasks; quotas and checks.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use freshen_control::{CheckError, Once, SubmitRequest, TaskFilter, TaskPlace, Terms, Then};
use freshen_model::certificate::{CertificateFile, Keys};
use freshen_model::expand::PrefetchDryRun;
use freshen_model::ids::TaskId;
use freshen_model::location::{Location, Scheme};
use freshen_model::order::Steer;
use freshen_model::rights::Right;
use freshen_model::task::{OriginCost, PrefetchTerms, Status, Task, TaskKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::ApiError;
use super::page::Page;
use super::signed::{Name, SignedRequest};
use super::wire::{
    CheckView, DryRunView, ErrorCode, OriginView, PrefetchRequest, PurgeRequest, QuotaRow, QuotaView,
    TaskList, TaskView,
};
use crate::gate::Caller;
use crate::router::Api;

/// The longest that a request waits for a change.
const WAIT_MS_MAX: u64 = 30_000;
/// The length of a text that lines are searched for.
const TEXT_BYTES: RangeInclusive<usize> = 1..=200;

pub(super) async fn purge(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<TaskView>, ApiError> {
    let (submission, terms) = read_purge(request.json()?)?;
    if terms.then.is_some() {
        request.may(Right::Prefetch)?;
    }
    submit(&api, request.may(Right::Purge)?, submission, terms, request.once()?.as_ref()).await
}

pub(super) async fn dry_run(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<DryRunView>, ApiError> {
    let (submission, _) = read_purge(request.json()?)?;
    let caller = request.may(Right::Purge)?;
    let run = api.control.dry_run_within(&caller.account, caller.within(), submission).await?;
    Ok(Json(DryRunView { pops: run.pops, all: run.all, warnings: run.warnings }))
}

/// A purge, submitted or tried.
fn read_purge(request: PurgeRequest) -> Result<(SubmitRequest, Terms), ApiError> {
    let PurgeRequest { kind, force, soft, domains, cut, not_before_ms, then_prefetch, refill, notify, lines } =
        request;
    if !kind.is_purge() {
        return Err(ApiError::new(
            ErrorCode::Malformed,
            "body: a prefetch is no purge, POST it to /v1/prefetch",
        ));
    }
    if force && soft {
        return Err(ApiError::new(
            ErrorCode::Malformed,
            "a purge is either soft or forced, give one of them",
        ));
    }
    let then = match (then_prefetch, refill) {
        (true, Some(_)) => {
            let text = "a purge is followed by a prefetch or by a refill, give one of them";
            return Err(ApiError::new(ErrorCode::Malformed, text));
        }
        (true, None) => Some(Then::Prefetch),
        (false, refill) => refill.map(Then::Refill),
    };
    let submission = SubmitRequest {
        kind,
        force,
        soft,
        area: None,
        lines,
        domains,
        scheme: Scheme::Required,
        follow: None,
    };
    Ok((submission, Terms { cut, not_before_ms, then, notify, ..Terms::default() }))
}

pub(super) async fn prefetch_dry_run(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<PrefetchDryRun>, ApiError> {
    let (submission, _) = of_prefetch(request.json()?);
    let caller = request.may(Right::Prefetch)?;
    Ok(Json(api.control.dry_run_prefetch(&caller.account, caller.within(), submission).await?))
}

fn of_prefetch(request: PrefetchRequest) -> (SubmitRequest, Terms) {
    let PrefetchRequest { area, not_before_ms, notify, lines, follow, deadline_s, window, regions, headers } =
        request;
    let kind = TaskKind::Prefetch;
    let (force, soft, domains) = (false, false, Vec::new());
    let submission =
        SubmitRequest { kind, force, soft, area, lines, domains, scheme: Scheme::Required, follow };
    let terms = Terms {
        not_before_ms,
        notify,
        prefetch: PrefetchTerms { deadline_s, window, regions, headers },
        ..Terms::default()
    };
    (submission, terms)
}

pub(super) async fn prefetch(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<TaskView>, ApiError> {
    let (submission, terms) = of_prefetch(request.json()?);
    let caller = request.may(Right::Prefetch)?;
    submit(&api, caller, submission, terms, request.once()?.as_ref()).await
}

async fn submit(
    api: &Api,
    caller: &Caller,
    submission: SubmitRequest,
    terms: Terms,
    once: Option<&Once>,
) -> Result<Json<TaskView>, ApiError> {
    let accepted = api.control.submit_once(&caller.account, caller.within(), submission, terms, once).await?;
    if accepted.repeated {
        // Whoever sends it again may be another key of the account.
        return whole(api, caller, accepted.submitted.task).await;
    }
    // Who submitted it may see it, whatever else it may see.
    let task = accepted.submitted.task;
    let revision = revision(api, task);
    let mut shown = shown(api, api.control.task(Some(&caller.account), task).await?, task, revision).await?;
    shown.warnings = accepted.warnings;
    Ok(shown)
}

pub(super) async fn pause(
    State(api): State<Api>,
    name: Name,
    request: SignedRequest,
) -> Result<Json<TaskView>, ApiError> {
    steer(&api, name, request, Steer::Pause).await
}

pub(super) async fn resume(
    State(api): State<Api>,
    name: Name,
    request: SignedRequest,
) -> Result<Json<TaskView>, ApiError> {
    steer(&api, name, request, Steer::Resume).await
}

pub(super) async fn cancel(
    State(api): State<Api>,
    name: Name,
    request: SignedRequest,
) -> Result<Json<TaskView>, ApiError> {
    steer(&api, name, request, Steer::Cancel).await
}

async fn steer(
    api: &Api,
    Name(id): Name,
    request: SignedRequest,
    steer: Steer,
) -> Result<Json<TaskView>, ApiError> {
    let task = task_id(&id)?;
    // What may be submitted may be called off: this needs the right to submit such a task.
    let shown = whole(api, &request.caller, task).await?;
    let caller = request.may(if shown.task.kind.is_purge() { Right::Purge } else { Right::Prefetch })?;
    api.control.steer(caller.confines(), task, steer).await?;
    view(api, caller, task).await
}

/// A task of which the caller reaches every line: a key of some domains does nothing to what names others too.
async fn whole(api: &Api, caller: &Caller, id: TaskId) -> Result<Json<TaskView>, ApiError> {
    let shown = view(api, caller, id).await?;
    let reached = TaskFilter { id: Some(id), limit: 1, ..visible_to(caller) };
    if caller.within().is_some() && api.control.lines(&reached).await?.total < shown.task.lines {
        return Err(ApiError::not_found("task", &id.to_string()));
    }
    Ok(shown)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Wait for a change up to that many milliseconds, at most 30,000.
    #[serde(default)]
    wait_ms: u64,
    /// The `revision` that was seen; absent: what it is now.
    seen: Option<u64>,
    /// Wait until an ended purge is counted.
    #[serde(default)]
    counted: bool,
}

pub(super) async fn one(
    State(api): State<Api>,
    Name(id): Name,
    request: SignedRequest,
) -> Result<Json<TaskView>, ApiError> {
    let Wait { wait_ms, seen, counted } = request.query()?;
    let patience = patience(wait_ms)?;
    let task = task_id(&id)?;
    let caller = request.may(Right::Read)?;
    // Watched before it is read, so that no change is missed in between.
    let mut watch = api.control.watch(task);
    let seen = seen.unwrap_or(watch.number());
    // Read before it is waited for: nobody waits for others' tasks.
    let now = view(&api, caller, task).await?;
    if now.task.status.ended() {
        return if counted { counted_within(&api, now, patience).await } else { Ok(now) };
    }
    if now.revision > seen || patience.is_zero() {
        return Ok(now);
    }
    tokio::select! {
        _ = tokio::time::timeout(patience, watch.changed_after(seen)) => {}
        () = api.stop.cancelled() => {}
    }
    view(&api, caller, task).await
}

/// An ended task once it is counted.
pub(super) async fn counted_within(
    api: &Api,
    Json(mut view): Json<TaskView>,
    patience: Duration,
) -> Result<Json<TaskView>, ApiError> {
    tokio::select! {
        counts = api.control.counts_within(&view.task, patience) => view.counts = counts?,
        () = api.stop.cancelled() => {}
    }
    Ok(Json(view))
}

fn patience(wait_ms: u64) -> Result<Duration, ApiError> {
    if wait_ms > WAIT_MS_MAX {
        return Err(ApiError::new(ErrorCode::Malformed, format!("query: wait_ms is at most {WAIT_MS_MAX}")));
    }
    Ok(Duration::from_millis(wait_ms))
}

pub(super) fn task_id(id: &str) -> Result<TaskId, ApiError> {
    id.parse().map(TaskId).map_err(|_| ApiError::not_found("task", id))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptWait {
    /// Wait for signatures and counts up to that many milliseconds, at most 30,000.
    #[serde(default)]
    wait_ms: u64,
}

pub(super) async fn receipt(
    State(api): State<Api>,
    Name(id): Name,
    request: SignedRequest,
) -> Result<Json<CertificateFile>, ApiError> {
    let ReceiptWait { wait_ms } = request.query()?;
    let (patience, task) = (patience(wait_ms)?, task_id(&id)?);
    let caller = request.may(Right::Read)?;
    if caller.within().is_some() {
        drop(whole(&api, caller, task).await?);
    }
    let confines = caller.confines();
    tokio::select! {
        certificate = api.control.certificate(confines, task, patience) => Ok(Json(certificate?)),
        () = api.stop.cancelled() => Ok(Json(api.control.certificate(confines, task, Duration::ZERO).await?)),
    }
}

pub(super) async fn receipt_keys(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<Keys>, ApiError> {
    request.may(Right::Read)?;
    Ok(Json(api.control.receipt_keys().await?))
}

pub(super) async fn view(api: &Api, caller: &Caller, id: TaskId) -> Result<Json<TaskView>, ApiError> {
    let revision = revision(api, id);
    let task = match caller.within() {
        None => api.control.task(caller.confines(), id).await?,
        Some(_) => {
            let filter = TaskFilter { id: Some(id), limit: 1, ..visible_to(caller) };
            api.control.tasks(&filter).await?.rows.pop()
        }
    };
    shown(api, task, id, revision).await
}

/// Read before the task: a change in between is then still to be seen.
fn revision(api: &Api, id: TaskId) -> u64 {
    api.control.watch(id).number()
}

async fn shown(api: &Api, task: Option<Task>, id: TaskId, revision: u64) -> Result<Json<TaskView>, ApiError> {
    let task = task.ok_or_else(|| ApiError::not_found("task", &id.to_string()))?;
    let revision = if task.status.ended() { 0 } else { revision };
    let counts = api.control.counts(&task).await?;
    let price = |cost: &OriginCost| api.control.prices().of(cost.origin_bytes, cost.origin_requests);
    let origin = task.origin_cost().map(|cost| OriginView { price: price(&cost), cost });
    Ok(Json(TaskView { task, revision, warnings: Vec::new(), counts, origin }))
}

/// All tasks that the caller sees.
fn visible_to(caller: &Caller) -> TaskFilter {
    TaskFilter {
        account: caller.confines().map(str::to_owned),
        within: caller.within().cloned(),
        ..TaskFilter::default()
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Of this kind.
    #[serde(rename = "type")]
    kind: Option<TaskKind>,
    /// In this status.
    status: Option<Status>,
    /// With a line of this domain.
    domain: Option<String>,
    /// With exactly this line.
    url: Option<String>,
    /// With a line that has this in it, 1 to 200 bytes; letters of ASCII in either case. Pages may then be short, or empty,
    /// with a `next` behind which there is more.
    text: Option<String>,
    /// Submitted at this time or later, wall-clock milliseconds since 1970.
    from_ms: Option<i64>,
    /// Submitted before this time.
    to_ms: Option<i64>,
    /// Rows of a page, 1 to 100; 20 if not said.
    limit: Option<u64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

pub(super) async fn list(State(api): State<Api>, request: SignedRequest) -> Result<Json<TaskList>, ApiError> {
    let Wanted { kind, status, domain, url, text, from_ms, to_ms, limit, cursor } = request.query()?;
    let page = Page::<(i64, TaskId)>::of("tasks", limit, cursor.as_deref())?;
    if text.as_ref().is_some_and(|text| !TEXT_BYTES.contains(&text.len())) {
        let (least, most) = (TEXT_BYTES.start(), TEXT_BYTES.end());
        let why = format!("query: text has {least} to {most} bytes");
        return Err(ApiError::new(ErrorCode::Malformed, why).of_field("text"));
    }
    let filter = TaskFilter {
        kind,
        statuses: status.into_iter().collect(),
        domain: domain.map(|name| name.to_ascii_lowercase()),
        url,
        text,
        from_ms,
        to_ms,
        limit: page.limit,
        ..visible_to(request.may(Right::Read)?)
    };
    let place = page.place.map(|(submitted_ms, id)| TaskPlace { submitted_ms, id });
    let found = api.control.tasks_behind(&filter, place).await?;
    let next = page.next(found.next.map(|place| (place.submitted_ms, place.id)))?;
    Ok(Json(TaskList { tasks: found.rows, next }))
}

pub(super) async fn quota(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<QuotaView>, ApiError> {
    let quotas = api.control.quota(&request.may(Right::Read)?.account).await?;
    let quotas = quotas.into_iter().map(|quota| QuotaRow {
        kind: quota.kind,
        limit: quota.limit,
        used: quota.used,
        remaining: quota.remaining(),
    });
    Ok(Json(QuotaView { quotas: quotas.collect() }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// What a viewer would ask for.
    url: String,
    /// Whether he takes gzip.
    #[serde(default)]
    gzip: bool,
}

pub(super) async fn check(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<CheckView>, ApiError> {
    let Question { url, gzip } = request.query()?;
    let caller = request.may(Right::Read)?;
    let beyond = Location::parse(&url, Scheme::Required).ok().filter(|at| !caller.rights.reach(&at.host));
    if let Some(location) = beyond {
        return Err(CheckError::ForeignDomain(location.host).into());
    }
    let pops = api.control.check(&caller.account, &url, gzip).await?;
    Ok(Json(CheckView { url, pops }))
}
