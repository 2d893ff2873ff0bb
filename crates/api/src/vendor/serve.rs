//! The vendor's endpoint: one request from its bytes to the bytes of its answer.

use axum::body::Body;
use axum::extract::State;
use freshen_control::SubmitRequest;
use freshen_model::location::Scheme;
use freshen_model::quota::QuotaKind;
use freshen_model::task::TaskKind;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use tracing::error;

use super::{
    Action, Area, Call, Envelope, ErrorKind, Format, Line, ObjectType, Params, PreloadVodObjectCaches,
    RefreshObjectCacheByCacheTag, RefreshVodObjectCaches, Reply, RequestId, VendorError, VodQuota, refusals,
    rows,
};
use crate::body::{BodyError, Whole};
use crate::gate::{self, Caller};
use crate::router::Api;
use crate::signature::{Request, encode};

/// Answers every request that is not another part's: those on `/`, and those that nobody else knows.
pub(crate) async fn serve(State(api): State<Api>, request: axum::extract::Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if is_browser(&parts) {
        return to_console();
    }
    let request_id = RequestId::random().unwrap_or_else(|_| RequestId::from_bytes([0; 16]));
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let body = api.bodies.whole(&parts.headers, body).await;
    let (format, outcome) = answer(&api, &parts, body).await;
    let envelope = Envelope { format, request_id: &request_id, host };
    let response = match outcome {
        Ok(reply) => envelope.success(&reply),
        Err(why) => {
            if why.status().is_server_error() {
                error!(request = request_id.as_str(), %why, "a request failed");
            }
            envelope.error(&why)
        }
    };
    response.map(Body::from)
}

/// The answer, and how it is to be written: as JSON where the request is too broken to say.
async fn answer(
    api: &Api,
    parts: &Parts,
    body: Result<Whole, BodyError>,
) -> (Format, Result<Reply, VendorError>) {
    let body = match body {
        Ok(body) => body,
        Err(error) => return (Format::Json, Err(refusals::of_body(error))),
    };
    let request = gate::request(parts, &body.bytes);
    let params = match Params::of(&request) {
        Ok(params) => params,
        Err(error) => return (Format::Json, Err(error)),
    };
    match Format::of(&request, &params) {
        Ok(format) => (format, perform(api, &request, &params).await),
        Err(error) => (Format::Json, Err(error)),
    }
}

/// What it wants, who wants it, what exactly, and then that.
async fn perform(api: &Api, request: &Request<'_>, params: &Params) -> Result<Reply, VendorError> {
    let action = Action::of(request, params)?;
    let caller = api.gate.admit(request).await.map_err(refusals::of_gate)?;
    let now = api.control.wall_ms().div_euclid(1_000);
    match Call::parse(action, params, now)? {
        Call::RefreshVodObjectCaches(call) => purge(api, &caller, call).await,
        Call::PreloadVodObjectCaches(call) => prefetch(api, &caller, call).await,
        Call::DescribeVodRefreshTasks(call) => rows::list(&api.control, &caller.account, &call).await,
        Call::DescribeVodRefreshQuota => quota(api, &caller).await,
        Call::RefreshObjectCacheByCacheTag(call) => purge_tags(api, &caller, call).await,
    }
}

async fn purge(api: &Api, caller: &Caller, call: RefreshVodObjectCaches) -> Result<Reply, VendorError> {
    let kind = match call.object_type {
        ObjectType::File => TaskKind::Url,
        ObjectType::Directory => TaskKind::Directory,
        ObjectType::Regex => TaskKind::Regex,
        ObjectType::IgnoreParams => TaskKind::Query,
    };
    let request = request(kind, call.force, &call.object_path);
    let refresh_task_id = submit(api, caller, request, &call.object_path).await?;
    Ok(Reply::RefreshVodObjectCaches { refresh_task_id })
}

async fn purge_tags(
    api: &Api,
    caller: &Caller,
    call: RefreshObjectCacheByCacheTag,
) -> Result<Reply, VendorError> {
    let tags = request(TaskKind::Tag, call.force, &call.cache_tag);
    let request = SubmitRequest { domains: vec![call.domain_name], ..tags };
    let refresh_task_id = submit(api, caller, request, &call.cache_tag).await?;
    Ok(Reply::RefreshObjectCacheByCacheTag { refresh_task_id })
}

async fn prefetch(api: &Api, caller: &Caller, call: PreloadVodObjectCaches) -> Result<Reply, VendorError> {
    // Our POPs are one layer, so that `l2_preload` asks for nothing more.
    warmed_anyway(call.with_header.as_deref().unwrap_or_default())?;
    let area = call.area.map(|area| match area {
        Area::Domestic => freshen_model::area::Area::Domestic,
        Area::Overseas => freshen_model::area::Area::Overseas,
    });
    let request = SubmitRequest { area, ..request(TaskKind::Prefetch, false, &call.object_path) };
    let preload_task_id = submit(api, caller, request, &call.object_path).await?;
    Ok(Reply::PreloadVodObjectCaches { preload_task_id })
}

/// Every prefetch warms the variants of gzip and identity; to ask for others would be to be told an untruth.
fn warmed_anyway(with_header: &[(HeaderName, Vec<HeaderValue>)]) -> Result<(), VendorError> {
    let is_warmed = |value: &HeaderValue| {
        ["gzip", "identity"].iter().any(|coding| value.as_bytes().eq_ignore_ascii_case(coding.as_bytes()))
    };
    for (name, values) in with_header {
        if *name != header::ACCEPT_ENCODING || !values.iter().all(is_warmed) {
            let why = format!("{name}: only Accept-Encoding with gzip or identity is offered yet");
            return Err(ErrorKind::invalid("WithHeader").because(why));
        }
    }
    Ok(())
}

/// A submission of these lines, as most are.
fn request(kind: TaskKind, force: bool, lines: &[Line]) -> SubmitRequest {
    SubmitRequest {
        kind,
        force,
        soft: false,
        area: None,
        lines: lines.iter().map(|line| line.text.clone()).collect(),
        domains: Vec::new(),
        scheme: Scheme::Optional,
        follow: None,
    }
}

async fn submit(
    api: &Api,
    caller: &Caller,
    request: SubmitRequest,
    lines: &[Line],
) -> Result<u64, VendorError> {
    let submitted = api.control.submit(&caller.account, request).await;
    Ok(submitted.map_err(|error| refusals::of_submit(error, lines))?.task.0)
}

async fn quota(api: &Api, caller: &Caller) -> Result<Reply, VendorError> {
    let quotas = api.control.quota(&caller.account).await.map_err(refusals::of_ledger)?;
    let of = |kind: QuotaKind| {
        let quota = quotas.iter().find(|quota| quota.kind == kind);
        quota.map(|quota| (quota.limit, quota.remaining())).unwrap_or_default()
    };
    let ((url_quota, url_remain), (dir_quota, dir_remain), (preload_quota, preload_remain)) =
        (of(QuotaKind::Url), of(QuotaKind::Directory), of(QuotaKind::Prefetch));
    Ok(Reply::DescribeVodRefreshQuota(VodQuota {
        url_quota,
        url_remain,
        dir_quota,
        dir_remain,
        preload_quota,
        preload_remain,
        block_quota: 0,
        block_remain: 0,
    }))
}

/// Whether a person opened the address in a browser: asks for a page, and nothing in it is a call.
fn is_browser(parts: &Parts) -> bool {
    let wants_page = parts
        .headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
    if parts.method != Method::GET || parts.uri.path() != "/" || !wants_page {
        return false;
    }
    let marked = ["authorization", "x-acs-action"].iter().any(|name| parts.headers.contains_key(*name));
    let pairs = encode::pairs(&[parts.uri.query().unwrap_or_default().as_bytes()]);
    !marked
        && pairs.is_ok_and(|pairs| {
            !["Action", "AccessKeyId", "Signature"].iter().any(|name| pairs.contains_key(*name))
        })
}

fn to_console() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/ui/"));
    response
}
