//! The life of a request, from its head to its answer.

use crate::Pop;
use crate::answer::{Asked, Payload};
use crate::fill::{Fill, Outcome, Progress, Question};
use crate::fills::Part;
use crate::look_up::{Found, Looked, NoLookUp, Trace};
use crate::metrics::XCache;
use crate::origin::upstream_headers;
use crate::policy::cache_control::CacheControl;
use crate::policy::fields;
use crate::store::record::Variant;
use freshen_model::domain::NoLease;
use freshen_model::location;
use freshen_model::protocol::copy::Doubt;
use freshen_model::protocol::follower::Domain;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request};
use http_body_util::Either;
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long the answer to a HEAD waits for the fill that it started.
const HEAD_PATIENCE: Duration = Duration::from_millis(500);
/// Times that a damaged copy is forgotten and looked up again.
const DAMAGED_MAX: usize = 3;
/// Times that a request waits for somebody else's fill before it asks for itself.
const JOINS_MAX: usize = 3;

impl Pop {
    /// Answers one request of a viewer.
    pub async fn serve(self: &Arc<Pop>, request: Request<Incoming>) -> Response<Payload> {
        let (parts, body) = request.into_parts();
        let host = match requested_host(&parts) {
            Ok(host) => host,
            Err(why) => return self.answer_plainly(StatusCode::BAD_REQUEST, why, None),
        };
        match parts.method {
            Method::GET | Method::HEAD if body.is_end_stream() => self.serve_from_cache(&host, &parts).await,
            Method::CONNECT | Method::TRACE => {
                self.answer_plainly(StatusCode::NOT_IMPLEMENTED, "this method is not offered", None)
            }
            _ => self.pass(&host, parts, body).await,
        }
    }

    /// GET and HEAD: look up, then answer from a copy or fetch.
    async fn serve_from_cache(self: &Arc<Pop>, host: &str, parts: &request::Parts) -> Response<Payload> {
        let gzip = fields::accepts_gzip(&parts.headers);
        let asked = Asked { method: &parts.method, headers: &parts.headers };
        let (mut joins, mut damaged) = (0, 0);
        loop {
            let looked = match self.look_up(host, path_and_query(&parts.uri), gzip, Trace::Promote).await {
                Ok(looked) => looked,
                Err(no) => return self.refuse(no),
            };
            if !looked.view.member {
                return self.pass_through(&looked, parts).await;
            }
            if let Found::Fresh(copy) = &looked.found {
                let wall = looked.view.now.wall;
                match self.answer_from_copy(&asked, &copy.head, &copy.body, XCache::Hit, wall).await {
                    Ok(answer) => return answer,
                    Err(error) if damaged == DAMAGED_MAX => {
                        return self.answer_plainly(
                            StatusCode::INTERNAL_SERVER_ERROR,
                            format!("the disk fails: {error}"),
                            Some(XCache::Miss),
                        );
                    }
                    Err(_) => {
                        self.store.forget(&looked.key).await;
                        damaged += 1;
                        continue;
                    }
                }
            }
            if let Some(copy) = looked.serves_while_revalidating() {
                // The fill runs on its own; whoever comes meanwhile is answered from the same copy.
                self.begin_fetch(&looked, parts, gzip, !parts.headers.contains_key(header::AUTHORIZATION));
                let wall = looked.view.now.wall;
                if let Ok(answer) =
                    self.answer_from_copy(&asked, &copy.head, &copy.body, XCache::Stale, wall).await
                {
                    return answer;
                }
            }
            // RFC 9111 §3.5: what another's credentials brought is for nobody else, until it proves to be public.
            let shared = joins < JOINS_MAX && !parts.headers.contains_key(header::AUTHORIZATION);
            let fetched = self.fetch(&looked, parts, gzip, shared).await;
            match self.answer_fetched(&asked, &looked, fetched).await {
                Some(answer) => return answer,
                None => joins += 1,
            }
        }
    }

    /// Starts or joins a fill, and waits for its head.
    async fn fetch(
        self: &Arc<Pop>,
        looked: &Looked,
        parts: &request::Parts,
        gzip: bool,
        shared: bool,
    ) -> Fetched {
        let (fill, mut own) = match self.begin_fetch(looked, parts, gzip, shared) {
            Part::Leads(fill, own) => (fill, Some(own)),
            Part::Joins(fill) => (fill, None),
            Part::Refused => return Fetched::Refused,
        };
        let mut progress = fill.watch();
        let outcome = match progress.wait_for(|progress| progress.outcome.is_some()).await {
            Ok(progress) => progress.outcome.clone(),
            Err(_) => None,
        };
        match outcome {
            Some(Outcome::Alone(_)) => match own.take() {
                Some(own) => own.await.map_or(Fetched::Again, Fetched::Own),
                None => Fetched::Again,
            },
            Some(outcome) => Fetched::Shared(outcome, fill, progress),
            None => Fetched::Refused,
        }
    }

    fn begin_fetch(
        self: &Arc<Pop>,
        looked: &Looked,
        parts: &request::Parts,
        gzip: bool,
        shared: bool,
    ) -> Part {
        let question = || self.question(looked, &parts.headers, gzip);
        self.take_part(&looked.view, looked.domain.settings.no_lease, shared, question, &looked.key, gzip)
    }

    /// Answers with what was fetched; `None` where the request has to begin again.
    async fn answer_fetched(
        self: &Arc<Pop>,
        asked: &Asked<'_>,
        looked: &Looked,
        fetched: Fetched,
    ) -> Option<Response<Payload>> {
        let new = match &looked.found {
            Found::Stale { .. } | Found::Gone(_) => XCache::Expired,
            Found::Fresh(_) | Found::Absent => XCache::Miss,
        };
        let wall = crate::clock::now().wall;
        Some(match fetched {
            Fetched::Shared(Outcome::Streaming(head), fill, mut progress) => {
                if asked.method == Method::HEAD {
                    // As for a GET: who has the answer finds it cached. A long body is not waited for.
                    let ended = progress.wait_for(|progress| progress.ended.is_some());
                    let _ = tokio::time::timeout(HEAD_PATIENCE, ended).await;
                }
                self.answer_from_fill(asked, &head, &fill, progress, new)
            }
            // A 304 that somebody else asked for, where this request may count none.
            Fetched::Shared(Outcome::Kept(_), ..) if looked.counts_no_304() => return None,
            Fetched::Shared(Outcome::Kept(copy), ..) => {
                self.answer_from_copy(asked, &copy.head, &copy.body, XCache::Revalidated, wall).await.ok()?
            }
            Fetched::Shared(Outcome::StaleServes(copy), ..) if looked.allows_stale() => {
                self.answer_from_copy(asked, &copy.head, &copy.body, XCache::Stale, wall).await.ok()?
            }
            Fetched::Shared(Outcome::StaleServes(_), ..) => {
                let text = "the origin fails, and this copy may not be served without it";
                self.answer_plainly(StatusCode::BAD_GATEWAY, text, Some(new))
            }
            Fetched::Shared(Outcome::Failed(error), ..) => {
                let status =
                    if error.timed_out() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
                self.answer_plainly(status, error.to_string(), Some(new))
            }
            Fetched::Shared(Outcome::Alone(_), ..) | Fetched::Again => return None,
            Fetched::Own(answer) => self.answer_from_origin(answer, new),
            Fetched::Refused => {
                let text = "too many fetches from origins at this moment";
                self.answer_plainly(StatusCode::SERVICE_UNAVAILABLE, text, Some(new))
            }
        })
    }

    /// What a fill is to ask the origin, in the name of this request.
    pub fn question(&self, looked: &Looked, viewer: &HeaderMap, gzip: bool) -> Question {
        let domain = looked.domain.clone();
        let pop = self.config.id.as_str();
        let mut headers = upstream_headers(viewer, pop);
        fields::strip_conditions(&mut headers);
        headers.remove(header::ACCEPT_ENCODING);
        if gzip {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let stale = match &looked.found {
            Found::Stale { copy, .. } => Some(copy.clone()),
            _ => None,
        };
        let stale_if_error = looked.allows_stale();
        Question { domain, key: looked.key.clone(), gzip, headers, stale, stale_if_error }
    }

    /// GET and HEAD of a POP that may not touch its cache yet.
    async fn pass_through(self: &Arc<Pop>, looked: &Looked, parts: &request::Parts) -> Response<Payload> {
        let headers = upstream_headers(&parts.headers, self.config.id.as_str());
        let path = looked.key.path_and_query();
        let body = Either::Left(http_body_util::Empty::new());
        self.bypass(&looked.domain, parts.method.clone(), path, headers, body).await
    }

    /// Other methods: to the origin and back; what succeeds makes the copies of its URL unusable, RFC 9111 §4.4.
    async fn pass(self: &Arc<Pop>, host: &str, parts: request::Parts, body: Incoming) -> Response<Payload> {
        let looked = match self.look_up(host, path_and_query(&parts.uri), false, Trace::None).await {
            Ok(looked) => looked,
            Err(no) => return self.refuse(no),
        };
        let headers = upstream_headers(&parts.headers, self.config.id.as_str());
        let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let path = looked.key.path_and_query();
        let answer = self.bypass(&looked.domain, parts.method, path, headers, Either::Right(body)).await;
        if !safe && (answer.status().is_success() || answer.status().is_redirection()) {
            self.fills.overtake(&looked.key);
            self.store.forget(&looked.key).await;
        }
        answer
    }

    async fn bypass(
        self: &Arc<Pop>,
        domain: &Domain,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: crate::origin::UpstreamBody,
    ) -> Response<Payload> {
        match self.origin.send(domain, method, path, headers, body, None).await {
            Ok(answer) => self.answer_from_origin(answer, XCache::Bypass),
            Err(error) => {
                let status =
                    if error.timed_out() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
                self.answer_plainly(status, error.to_string(), Some(XCache::Bypass))
            }
        }
    }

    fn refuse(&self, no: NoLookUp) -> Response<Payload> {
        match no {
            NoLookUp::UnknownHost => {
                self.metrics.unknown_hosts.increment(1);
                self.answer_plainly(StatusCode::NOT_FOUND, "this host is not served here", None)
            }
            NoLookUp::BadPath(why) => self.answer_plainly(StatusCode::BAD_REQUEST, why.to_string(), None),
        }
    }
}

/// What became of a request's part in a fill.
enum Fetched {
    /// Something that all who wait share.
    Shared(Outcome, Arc<Fill>, watch::Receiver<Progress>),
    /// An answer for this request only.
    Own(Response<Incoming>),
    /// Nothing for this request: look up again.
    Again,
    /// There was no place for another fill.
    Refused,
}

impl Looked {
    /// Whether only a whole fetch counts: without a lease, where the domain says `no_lease = refetch`.
    fn counts_no_304(&self) -> bool {
        !self.view.leased && self.domain.settings.no_lease == NoLease::Refetch
    }

    /// The copy that may be served while it is revalidated, RFC 5861 §3: only too old, never doubted by the protocol.
    fn serves_while_revalidating(&self) -> Option<&Arc<Variant>> {
        let Found::Stale { copy, doubt: None } = &self.found else { return None };
        let past = copy.head.age(self.view.now.wall).saturating_sub(copy.head.lifetime);
        let may = self.view.leased && CacheControl::of(&copy.head.headers).serves_while_revalidating(past);
        may.then_some(copy)
    }

    /// Whether what was found may be served if the origin fails: RFC 9111 §4.2.4, RFC 5861 §4, and never what a purge
    /// matched unless the domain says so, never without a lease.
    fn allows_stale(&self) -> bool {
        let Found::Stale { copy, doubt } = &self.found else { return false };
        match doubt {
            Some(Doubt::NoLease) => return false,
            Some(Doubt::Purged) if !self.domain.settings.purged_stale_if_error => return false,
            _ => {}
        }
        let control = CacheControl::of(&copy.head.headers);
        if control.forbids_stale() {
            return false;
        }
        let past = copy.head.age(self.view.now.wall).saturating_sub(copy.head.lifetime);
        self.view.leased && control.stale_if_error.is_none_or(|seconds| past <= Duration::from_secs(seconds))
    }
}

/// The host a request is for: of its absolute target, else of its one `Host` field.
fn requested_host(parts: &request::Parts) -> Result<String, String> {
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let (field, second) = (fields.next(), fields.next());
    if second.is_some() {
        return Err("several Host fields".into());
    }
    let authority = match (parts.uri.authority(), field) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(field)) => field.to_str().map_err(|_| "the Host field is no host name".to_owned())?,
        (None, None) => return Err("no Host field".into()),
    };
    // An address is nobody's domain; it goes on to be answered as an unknown host.
    match location::host_of(authority) {
        Ok(host) => Ok(host),
        Err(location::BadUrl::Address(address)) => Ok(address),
        Err(why) => Err(format!("the Host field is no host name: {why}")),
    }
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |both| both.as_str())
}
