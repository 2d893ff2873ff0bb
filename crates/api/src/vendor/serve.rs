//! The vendor's endpoint: one request from its bytes to the bytes of its answer.

use axum::body::Body;
use axum::extract::State;
use freshen_control::{SubmitRequest, Terms};
use freshen_model::location::Scheme;
use freshen_model::task::{PrefetchTerms, TaskKind};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use tracing::error;

use super::{
    Action, Area, Call, Envelope, Format, Line, ObjectType, Params, Prefetch, Purge, PurgeTags, Reply,
    RequestId, VendorError, domains, media, quotas, refusals, rows, traffic,
};
use crate::body::{BodyError, Whole};
use crate::gate::{self, Caller};
use crate::listener::Beside;
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
        Ok((action, reply)) => envelope.success(action, &reply),
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
) -> (Format, Result<(Action, Reply), VendorError>) {
    if let Some(why) = parts.extensions.get::<Beside>().and_then(|beside| beside.refused) {
        return (Format::Json, Err(refusals::of_head(why)));
    }
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

/// What it wants, and then that, refused in the words of the product that has it.
async fn perform(api: &Api, request: &Request<'_>, params: &Params) -> Result<(Action, Reply), VendorError> {
    let action = Action::of(request, params)?;
    let reply = admitted(api, request, action, params).await;
    reply.map(|reply| (action, reply)).map_err(|error| error.of(action.product()))
}

/// Who wants it, what exactly, and then that.
async fn admitted(
    api: &Api,
    request: &Request<'_>,
    action: Action,
    params: &Params,
) -> Result<Reply, VendorError> {
    let caller = api.gate.admit(request).await.map_err(refusals::of_gate)?;
    if !caller.rights.allow(action.right()) {
        return Err(refusals::denied(&caller, action, action.right()));
    }
    let (control, account, product) = (&api.control, caller.account.as_str(), action.product());
    let now = control.wall_ms().div_euclid(1_000);
    match Call::parse(action, params, now)? {
        Call::Purge(call) => purge(api, &caller, action, call).await,
        Call::PurgeTags(call) => purge_tags(api, &caller, action, call).await,
        Call::Prefetch(call) => {
            let task = prefetch(api, &caller, action, call).await?;
            Ok(Reply::prefetch(product, task))
        }
        Call::Tasks(call) => rows::list(control, &caller, product, &call).await,
        Call::TasksById(ids) => rows::by_id(control, &caller, &ids, now).await,
        Call::PreloadDetail(id) => rows::preload_detail(control, &caller, id, now).await,
        Call::Media(call) if !caller.rights.allow(call.right()) => {
            Err(refusals::denied(&caller, action, call.right()))
        }
        Call::Media(call) => media::submit(control, &caller, call).await,
        Call::MediaJobs(query) => media::rows(control, &caller, query).await,
        Call::Domain(call) => domains::perform(control, &caller, action, call).await,
        Call::Traffic(call) => traffic::of(control, &caller, action, call).await,
        Call::Quota => quotas::of(control, account, action).await,
    }
}

async fn purge(api: &Api, caller: &Caller, action: Action, call: Purge) -> Result<Reply, VendorError> {
    let kind = match call.object_type {
        ObjectType::File => TaskKind::Url,
        ObjectType::Directory => TaskKind::Directory,
        ObjectType::Regex => TaskKind::Regex,
        ObjectType::IgnoreParams => TaskKind::Query,
    };
    let request = SubmitRequest { force: call.force, ..of_kind(kind) };
    let request = (request, Terms::default());
    let refresh_task_id = submit(api, caller, action, request, &call.object_path).await?;
    Ok(Reply::Purge { refresh_task_id })
}

async fn purge_tags(
    api: &Api,
    caller: &Caller,
    action: Action,
    call: PurgeTags,
) -> Result<Reply, VendorError> {
    let domains = vec![call.domain_name];
    let request = SubmitRequest { force: call.force, domains, ..of_kind(TaskKind::Tag) };
    let request = (request, Terms::default());
    let refresh_task_id = submit(api, caller, action, request, &call.cache_tag).await?;
    Ok(Reply::Purge { refresh_task_id })
}

async fn prefetch(api: &Api, caller: &Caller, action: Action, call: Prefetch) -> Result<u64, VendorError> {
    // Our POPs are one layer, so that `l2_preload` asks for nothing more.
    let prefetch = PrefetchTerms { headers: call.with_header, ..PrefetchTerms::default() };
    let terms = Terms { prefetch, ..Terms::default() };
    let area = call.area.map(|area| match area {
        Area::Domestic => freshen_model::area::Area::Domestic,
        Area::Overseas => freshen_model::area::Area::Overseas,
    });
    let request = SubmitRequest { area, ..of_kind(TaskKind::Prefetch) };
    submit(api, caller, action, (request, terms), &call.object_path).await
}

/// A submission of that kind, still without lines.
fn of_kind(kind: TaskKind) -> SubmitRequest {
    SubmitRequest {
        kind,
        force: false,
        soft: false,
        area: None,
        lines: Vec::new(),
        domains: Vec::new(),
        scheme: Scheme::Optional,
        follow: None,
    }
}

async fn submit(
    api: &Api,
    caller: &Caller,
    action: Action,
    (request, terms): (SubmitRequest, Terms),
    lines: &[Line],
) -> Result<u64, VendorError> {
    let texts = lines.iter().map(|line| line.text.clone()).collect();
    let request = SubmitRequest { lines: texts, ..request };
    let submitted = api.control.submit_within(&caller.account, caller.within(), request, terms).await;
    let submitted = submitted.map_err(|error| match refusals::beyond_reach(&error) {
        Some(domain) if caller.within().is_some() => refusals::out_of_reach(caller, action, domain),
        _ => refusals::of_submit(error, lines),
    })?;
    Ok(submitted.submitted.task.0)
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
