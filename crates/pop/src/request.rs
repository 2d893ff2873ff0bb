//! The life of a request, from its head to its answer.

use crate::answer::{Asked, How, Payload};
use crate::fill::{Outcome, Progress, Question};
use crate::fills::Part;
use crate::look_up::{Found, Looked, NoLookUp, Trace};
use crate::metrics::XCache;
use crate::origin::{self, UpstreamBody, upstream_headers};
use crate::peers::Way;
use crate::policy::cache_control::RequestControl;
use crate::policy::cache_status::{CacheStatus, Forward};
use crate::policy::range::{self, Opening};
use crate::policy::{fields, invalidation};
use crate::pump::Supply;
use crate::reading::ReadError;
use crate::store::body::SLICE_BYTES;
use crate::store::record::{Head, Variant};
use crate::store::run::Broken;
use crate::viewers::Claim;
use crate::{Pop, Viewing, clock};
use freshen_model::domain::{NoLease, Ranges};
use freshen_model::key::Key;
use freshen_model::location;
use freshen_model::protocol::copy::Doubt;
use freshen_model::protocol::follower::Domain;
use freshen_model::tag::Tags;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request};
use http_body_util::Either;
use hyper::body::{Body, Incoming};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long the answer to a HEAD waits for the fill that it started.
const HEAD_PATIENCE: Duration = Duration::from_millis(500);
/// Times that a copy which cannot be read, and is forgotten for that, is looked up again.
const UNREADABLE_MAX: usize = 3;
/// Times that a request waits for somebody else's fill before it asks for itself.
pub const JOINS_MAX: usize = 3;

impl Pop {
    /// Answers one request of a viewer, who may have come by TLS, and counts the answer.
    pub async fn serve(
        self: &Arc<Pop>,
        request: Request<Incoming>,
        viewing: Viewing,
        tls: bool,
    ) -> Response<Payload> {
        let (parts, body) = request.into_parts();
        let host = match requested_host(&parts) {
            Ok(host) => host,
            Err(why) => return self.answer_plainly(StatusCode::BAD_REQUEST, why, None),
        };
        let mut answer = match parts.method {
            Method::GET | Method::HEAD if body.is_end_stream() => {
                let (method, headers, way) = (&parts.method, &parts.headers, Way::Home);
                let asked = Asked { method, headers, viewing, way };
                self.serve_from_cache(&host, path_and_query(&parts.uri), &asked).await
            }
            Method::CONNECT | Method::TRACE => {
                self.answer_plainly(StatusCode::NOT_IMPLEMENTED, "this method is not offered", None)
            }
            _ => Box::pin(self.pass(&host, &parts, body, viewing)).await,
        };
        self.count_answer(&host, tls, &mut answer);
        answer
    }

    /// GET and HEAD: look up, then answer from a copy or fetch.
    ///
    /// All but the answer from a small copy is boxed: a hit is not to carry the size of what it does not need around.
    async fn serve_from_cache(
        self: &Arc<Pop>,
        host: &str,
        path_and_query: &str,
        asked: &Asked<'_>,
    ) -> Response<Payload> {
        let (mut joins, mut unreadable) = (0, 0);
        loop {
            let looked = match self.look_up(host, path_and_query, asked.headers, Trace::Promote).await {
                Ok(looked) => looked,
                Err(no) => return self.refuse(no),
            };
            asked.viewing.claim(looked.claim(looked.tags()));
            if looked.domain.settings.stopped {
                return self.answer_stopped();
            }
            if !looked.view.member {
                return Box::pin(self.pass_through(&looked, asked)).await;
            }
            let answered = match &looked.found {
                Found::Fresh(copy) => self.answer_from_copy(asked, &looked, copy, How::HIT).await,
                // RFC 9111 §5.2.1.7.
                _ if RequestControl::of(asked.headers).only_if_cached => {
                    let text = "not in this cache, and the request wants no other answer";
                    return self.answer_plainly(StatusCode::GATEWAY_TIMEOUT, text, Some(looked.misses()));
                }
                _ => Box::pin(self.answer_with_origin(asked, &looked, joins < JOINS_MAX)).await,
            };
            match answered {
                Ok(answer) => return answer,
                Err(Again::Joined) => joins += 1,
                // The disk takes nothing: the viewer is served all the same.
                Err(Again::Unreadable(ReadError::Broken(Broken::Disk(_)))) => {
                    return Box::pin(self.pass_through(&looked, asked)).await;
                }
                Err(Again::Unreadable(ReadError::Broken(Broken::Origin(why)))) => {
                    let text = format!("the rest is not to be had: {why}");
                    return self.answer_plainly(StatusCode::BAD_GATEWAY, text, Some(looked.misses()));
                }
                // What was there is forgotten: it is fetched anew.
                Err(Again::Unreadable(error)) => {
                    unreadable += 1;
                    if unreadable == UNREADABLE_MAX {
                        let text = error.to_string();
                        return self.answer_plainly(StatusCode::BAD_GATEWAY, text, Some(looked.misses()));
                    }
                }
            }
        }
    }

    /// Answers what no fresh copy answers.
    async fn answer_with_origin(
        self: &Arc<Pop>,
        asked: &Asked<'_>,
        looked: &Looked,
        may_join: bool,
    ) -> Result<Response<Payload>, Again> {
        if let Some(copy) = looked.serves_while_revalidating() {
            // The fill runs on its own; whoever comes meanwhile is answered from the same copy.
            self.begin_fetch(looked, asked, may_join);
            return self.answer_from_copy(asked, looked, copy, looked.stale()).await;
        }
        let fetched = self.fetch_for(asked, looked, may_join).await;
        self.answer_fetched(asked, looked, fetched).await
    }

    /// Answers from a copy that may be used.
    pub async fn answer_from_copy(
        self: &Arc<Pop>,
        asked: &Asked<'_>,
        looked: &Looked,
        copy: &Variant,
        how: How,
    ) -> Result<Response<Payload>, Again> {
        let age = copy.head.age(looked.view.now.wall);
        if let Some(bytes) = copy.body.at_hand()
            && how.is_hit()
            && asked.is_plain()
        {
            return Ok(self.answer_whole(asked, copy, bytes, age));
        }
        let supply = || self.supply(looked, asked.headers, &copy.head, asked.way);
        Box::pin(self.answer_from(asked, &copy.head, &copy.body, supply, (how, Some(age))))
            .await
            .map_err(Again::Unreadable)
    }

    /// Where more of a body comes from, for this viewer.
    pub fn supply(&self, looked: &Looked, viewer: &HeaderMap, head: &Head, way: Way) -> Supply {
        let slices = looked.domain.settings.ranges == Ranges::Slices;
        Supply {
            domain: looked.domain.clone(),
            key: looked.key.clone(),
            headers: self.upstream(viewer),
            way,
            validator: range::strong_validator(&head.headers).filter(|_| slices),
            tags: head.tags.clone(),
            pace: self.pace_for(looked, way),
        }
    }

    /// Starts or joins a fill, and waits for its head.
    pub async fn fetch_for(self: &Arc<Pop>, asked: &Asked<'_>, looked: &Looked, may_join: bool) -> Fetched {
        let (fill, mut own) = match self.begin_fetch(looked, asked, may_join) {
            Part::Leads(fill, own) => (fill, Some(own)),
            Part::Joins(fill) => (fill, None),
            Part::LooksAgain => return Fetched::Again,
            Part::Refused => return Fetched::Refused,
        };
        let (outcome, progress) = fill.outcome().await;
        match outcome {
            Some(Outcome::Alone(_)) => match own.take() {
                Some(own) => own.await.map_or(Fetched::Again, Fetched::Own),
                None => Fetched::Again,
            },
            Some(outcome) => Fetched::Shared(outcome, progress, own.map(|_| fill.for_the_asker())),
            None => Fetched::Refused,
        }
    }

    fn begin_fetch(self: &Arc<Pop>, looked: &Looked, asked: &Asked<'_>, may_join: bool) -> Part {
        // RFC 9111 §3.5: what another's credentials brought is for nobody else, until it proves to be public.
        let shared = may_join && !asked.headers.contains_key(header::AUTHORIZATION);
        let (interim, way) = (asked.interim(), asked.way);
        let pace = self.pace_for(looked, way);
        let question = || Question { interim, way, pace, ..self.question(looked, asked.headers) };
        self.take_part(looked, (way, shared), question, asked.headers)
    }

    /// Answers with what was fetched.
    pub async fn answer_fetched(
        self: &Arc<Pop>,
        asked: &Asked<'_>,
        looked: &Looked,
        fetched: Fetched,
    ) -> Result<Response<Payload>, Again> {
        let new = looked.misses();
        let tags = match &fetched {
            Fetched::Shared(Outcome::Streaming(head, _), ..) => Some(&head.tags),
            Fetched::Shared(Outcome::Kept(copy) | Outcome::StaleServes(copy), ..) => Some(&copy.head.tags),
            _ => None,
        };
        if let Some(tags) = tags {
            asked.viewing.claim(looked.claim(tags.clone()));
        }
        Ok(match fetched {
            Fetched::Shared(Outcome::Streaming(head, body), mut progress, his) => {
                if !head.answers(asked.headers) {
                    return Err(Again::Joined);
                }
                if asked.method == Method::HEAD {
                    // As for a GET: who has the answer finds it cached. A long body is not waited for.
                    let ended = progress.wait_for(|progress| progress.ended);
                    let _ = tokio::time::timeout(HEAD_PATIENCE, ended).await;
                }
                let age = (head.initial_age >= Duration::from_secs(1)).then_some(head.initial_age);
                let supply = || self.supply(looked, asked.headers, &head, asked.way);
                let ttl_s = Some(head.ttl_s(looked.view.now.wall));
                let status = CacheStatus { stored: true, collapsed: his.is_none(), ttl_s, ..new.status };
                let answered =
                    self.answer_from(asked, &head, &body, supply, (How { status, ..new }, age)).await;
                let mut answer = answered.map_err(Again::Unreadable)?;
                answer.headers_mut().extend(his.unwrap_or_default());
                answer
            }
            // A 304 that somebody else asked for, where this request may count none.
            Fetched::Shared(Outcome::Kept(_), ..) if looked.counts_no_304() => return Err(Again::Joined),
            // A variant that somebody else asked about, which is none for this request.
            Fetched::Shared(Outcome::Kept(copy) | Outcome::StaleServes(copy), _, None)
                if !copy.head.answers(asked.headers) =>
            {
                return Err(Again::Joined);
            }
            Fetched::Shared(Outcome::Kept(copy), _, his) => {
                let how = How::revalidated(copy.head.ttl_s(looked.view.now.wall), his.is_none());
                let mut answer = self.answer_from_copy(asked, looked, &copy, how).await?;
                answer.headers_mut().extend(his.unwrap_or_default());
                answer
            }
            Fetched::Shared(Outcome::StaleServes(copy), ..) if looked.allows_stale() => {
                // The origin was asked: no hit in the standard's sense.
                let stale = looked.stale();
                let status = CacheStatus { forward: Some(Forward::Stale), ..stale.status };
                self.answer_from_copy(asked, looked, &copy, How { status, ..stale }).await?
            }
            Fetched::Shared(Outcome::StaleServes(_), ..) => {
                let text = "the origin fails, and this copy may not be served without it";
                self.answer_plainly(StatusCode::BAD_GATEWAY, text, Some(new))
            }
            Fetched::Shared(Outcome::Failed(error), ..) => {
                self.answer_plainly(error.status(), error.to_string(), Some(new))
            }
            Fetched::Shared(Outcome::Alone(_), ..) | Fetched::Again => return Err(Again::Joined),
            Fetched::Own(answer) => self.answer_from_origin((&looked.domain, asked.way), answer, new),
            Fetched::Refused => {
                let text = "too many fetches from origins at this moment";
                self.answer_plainly(StatusCode::SERVICE_UNAVAILABLE, text, Some(new))
            }
        })
    }

    /// The fields of a viewer's request that go to the origin when something is fetched to be shared.
    fn upstream(&self, viewer: &HeaderMap) -> HeaderMap {
        let mut headers = upstream_headers(viewer, self.config.id.as_str());
        fields::strip_conditions(&mut headers);
        headers.remove(header::ACCEPT_ENCODING);
        if fields::accepts_gzip(viewer) {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers
    }

    /// What a fill is to ask the origin, in the name of this request.
    pub fn question(&self, looked: &Looked, viewer: &HeaderMap) -> Question {
        let stale = match &looked.found {
            Found::Stale { copy, .. } => Some(copy.clone()),
            _ => None,
        };
        let opening = range::opening(viewer);
        let slices = looked.domain.settings.ranges == Ranges::Slices;
        Question {
            domain: looked.domain.clone(),
            key: looked.key.clone(),
            headers: self.upstream(viewer),
            part: opening.filter(|_| slices).and_then(first_part),
            range: opening.filter(|_| !viewer.contains_key(header::IF_RANGE)),
            stale,
            stale_if_error: looked.allows_stale(),
            interim: None,
            way: Way::Home,
            pace: None,
        }
    }

    /// GET and HEAD of a POP that may not touch its cache yet.
    async fn pass_through(self: &Arc<Pop>, looked: &Looked, asked: &Asked<'_>) -> Response<Payload> {
        let headers = upstream_headers(asked.headers, self.config.id.as_str());
        let path = looked.key.path_and_query();
        let body = Either::Left(http_body_util::Empty::new());
        let passed = Passed { method: asked.method.clone(), path, headers, body, interim: asked.interim() };
        self.bypass(&looked.domain, passed, Forward::Bypass).await
    }

    /// Other methods: to the origin and back; what succeeds makes the copies of its URL unusable, RFC 9111 §4.4.
    async fn pass(
        self: &Arc<Pop>,
        host: &str,
        parts: &request::Parts,
        body: Incoming,
        viewing: Viewing,
    ) -> Response<Payload> {
        let asked = Asked { method: &parts.method, headers: &parts.headers, viewing, way: Way::Home };
        let looked = match self.look_up(host, path_and_query(&parts.uri), asked.headers, Trace::None).await {
            Ok(looked) => looked,
            Err(no) => return self.refuse(no),
        };
        asked.viewing.claim(looked.claim(Tags::unknown()));
        if looked.domain.settings.stopped {
            return self.answer_stopped();
        }
        let passed = Passed {
            method: parts.method.clone(),
            path: looked.key.path_and_query(),
            headers: upstream_headers(asked.headers, self.config.id.as_str()),
            body: Either::Right(body),
            interim: asked.interim(),
        };
        let answer = self.bypass(&looked.domain, passed, Forward::Method).await;
        if invalidation::invalidates(&parts.method, answer.status()) {
            self.forget_as_changed(&looked.key).await;
            for named in invalidation::also(host, path_and_query(&parts.uri), answer.headers()) {
                if let Ok(key) = Key::in_domain(&looked.domain.name, &looked.domain.settings, &named) {
                    self.forget_as_changed(&key).await;
                }
            }
        }
        answer
    }

    /// What is here of a key was changed at the origin.
    async fn forget_as_changed(self: &Arc<Pop>, key: &Key) {
        self.neighbours.note_change(key, &clock::now());
        self.fills.overtake(key);
        self.store.forget(key).await;
    }

    async fn bypass(self: &Arc<Pop>, domain: &Domain, passed: Passed<'_>, why: Forward) -> Response<Payload> {
        let how = How::forwarded(XCache::Bypass, why);
        let Passed { method, path, headers, body, interim } = passed;
        let sent = self.origin.send(domain, (method, path), headers, body, interim, Instant::now());
        match sent.await {
            Ok(answer) => self.answer_from_origin((domain, Way::Home), answer, how),
            Err(error) => self.answer_plainly(error.status(), error.to_string(), Some(how)),
        }
    }

    fn answer_stopped(&self) -> Response<Payload> {
        self.answer_plainly(StatusCode::FORBIDDEN, "this domain is stopped", None)
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

/// A request on its way through.
struct Passed<'a> {
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    body: UpstreamBody,
    interim: Option<origin::Interim>,
}

/// Why a request has to begin again.
pub enum Again {
    /// What somebody else asked for does not serve it.
    Joined,
    /// What was there cannot be read, or not completed.
    Unreadable(ReadError),
}

/// What became of a request's part in a fill.
pub enum Fetched {
    /// Something that all who wait share; and for the one who asked, the fields that only he gets.
    Shared(Outcome, watch::Receiver<Progress>, Option<HeaderMap>),
    /// An answer for this request only.
    Own(Response<Incoming>),
    /// Nothing for this request: look up again.
    Again,
    /// There was no place for another fill.
    Refused,
}

impl Looked {
    /// What the answer will be of.
    pub fn claim(&self, tags: Tags) -> Claim {
        Claim { key: self.key.clone(), tags, epoch: self.view.epoch, seq: self.view.seq }
    }

    /// The tags of the copy that answers; unknown where none does yet.
    pub fn tags(&self) -> Tags {
        match &self.found {
            Found::Fresh(copy) => copy.head.tags.clone(),
            _ => Tags::unknown(),
        }
    }

    /// Whether only a whole fetch counts: without a lease, where the domain says `no_lease = refetch`.
    fn counts_no_304(&self) -> bool {
        !self.view.leased && self.domain.settings.no_lease == NoLease::Refetch
    }

    /// The copy that may be served while it is revalidated, RFC 5861 §3: only too old, never doubted by the protocol.
    fn serves_while_revalidating(&self) -> Option<&Arc<Variant>> {
        let Found::Stale { copy, doubt: None } = &self.found else { return None };
        let age = copy.head.age(self.view.now.wall);
        (self.view.leased && copy.head.terms.serves_while_revalidating(age)).then_some(copy)
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
        self.view.leased && copy.head.terms.serves_if_error(copy.head.age(self.view.now.wall))
    }

    /// How an answer comes about for which the origin has to be asked.
    fn misses(&self) -> How {
        match &self.found {
            Found::Stale { .. } | Found::Gone(_) => How::forwarded(XCache::Expired, Forward::Stale),
            Found::Fresh(_) => How::forwarded(XCache::Miss, Forward::Partial),
            Found::Absent { varies: true } => How::forwarded(XCache::Miss, Forward::VaryMiss),
            Found::Absent { varies: false } => How::forwarded(XCache::Miss, Forward::UriMiss),
        }
    }

    /// How an answer from a stale copy comes about.
    fn stale(&self) -> How {
        How::stale(match &self.found {
            Found::Stale { copy, .. } => copy.head.ttl_s(self.view.now.wall),
            _ => 0,
        })
    }
}

/// The slices to ask for first, from the beginning of one to the end of one. The end of a body of unknown length begins with
/// its first slice, which tells the length.
fn first_part(opening: Opening) -> Option<(u64, Option<u64>)> {
    let end = |byte: u64| (byte / SLICE_BYTES + 1).saturating_mul(SLICE_BYTES) - 1;
    match opening {
        Opening::First { first, last } => {
            let first = first / SLICE_BYTES * SLICE_BYTES;
            (first > 0 || last.is_some()).then_some((first, last.map(end)))
        }
        Opening::Suffix(_) => Some((0, Some(end(0)))),
    }
}

/// The host a request is for: of its absolute target, else of its one `Host` field.
pub fn requested_host(parts: &request::Parts) -> Result<Cow<'_, str>, String> {
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
        Err(location::BadUrl::Address(address)) => Ok(address.into()),
        Err(why) => Err(format!("the Host field is no host name: {why}")),
    }
}

/// Path and query as they came.
pub fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |both| both.as_str())
}
