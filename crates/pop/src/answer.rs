//! The answer to a viewer: whole or in part, with what it says about itself.

use crate::metrics::XCache;
use crate::peers::Way;
use crate::policy::cache_status::{CacheName, CacheStatus, Forward};
use crate::policy::range::{self, Multipart, Wanted};
use crate::policy::{conditional, fields, tags};
use crate::pump::Supply;
use crate::reading::{Piece, ReadError, Reader};
use crate::store::body::Body as StoredBody;
use crate::store::record::{Head, Variant};
use crate::traffic::{Answered, FromOrigin};
use crate::{Pop, Viewing, origin};
use bytes::Bytes;
use freshen_model::protocol::follower::Domain;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What a viewer gets as a body.
pub enum Payload {
    /// Bytes at hand.
    Whole(Full<Bytes>),
    /// Bytes that are still read or still arrive.
    Reader(Box<Reader>, Option<Answered>),
    /// What the origin sends, as it comes.
    Passed(Incoming, Option<FromOrigin>, Option<Answered>),
}

/// Why a body breaks off; the connection breaks with it, so that nobody takes it for whole.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

static X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The words of `X-Cache` for answers from a copy.
const HITS: [&[u8]; 3] = [b"HIT ", b"REVALIDATED ", b"STALE "];
static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

impl Body for Payload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Payload::Whole(bytes) => Pin::new(bytes).poll_frame(context).map_err(|never| match never {}),
            Payload::Reader(reader, answered) => {
                let frame = ready!(Pin::new(reader.as_mut()).poll_frame(context));
                Answered::gave_frame(answered.as_ref(), &frame);
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Payload::Passed(incoming, came, answered) => {
                let frame = ready!(Pin::new(incoming).poll_frame(context));
                if let (Some(came), Some(Ok(frame))) = (came, &frame) {
                    came.came(frame.data_ref().map_or(0, |data| data.len() as u64));
                }
                Answered::gave_frame(answered.as_ref(), &frame);
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Whole(bytes) => bytes.is_end_stream(),
            Payload::Reader(reader, _) => reader.is_end_stream(),
            Payload::Passed(incoming, ..) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Whole(bytes) => bytes.size_hint(),
            Payload::Reader(..) => SizeHint::default(),
            Payload::Passed(incoming, ..) => incoming.size_hint(),
        }
    }
}

impl Payload {
    /// Has what a viewer gets of it counted. Bytes at hand count as given: they are handed over at once.
    pub fn count(&mut self, answer: Answered) {
        match self {
            Payload::Whole(bytes) => answer.gave(bytes.size_hint().lower()),
            Payload::Reader(_, answered) | Payload::Passed(_, _, answered) => *answered = Some(answer),
        }
    }
}

/// How an answer came about.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// In this product's words.
    pub x_cache: XCache,
    /// In the standard's.
    pub status: CacheStatus<'static>,
}

impl How {
    /// From the cache.
    pub const HIT: How = How { x_cache: XCache::Hit, status: CacheStatus::HIT };
    /// Some of it was there.
    const PARTIAL: How = How { x_cache: XCache::Miss, status: CacheStatus::forwarded(Forward::Partial) };

    /// Whether it is from the cache, and fresh.
    pub fn is_hit(&self) -> bool {
        self.x_cache == XCache::Hit
    }

    /// Not from the cache.
    pub fn forwarded(x_cache: XCache, forward: Forward) -> How {
        How { x_cache, status: CacheStatus::forwarded(forward) }
    }

    /// The origin confirmed it: fresh again for so many seconds, and maybe because somebody else asked.
    pub fn revalidated(ttl_s: i64, collapsed: bool) -> How {
        let forwarded = CacheStatus::forwarded(Forward::Stale);
        let status = CacheStatus { forward_status: Some(304), ttl_s: Some(ttl_s), collapsed, ..forwarded };
        How { x_cache: XCache::Revalidated, status }
    }

    /// From the cache, though not fresh: below zero by the seconds that it is past its lifetime.
    pub fn stale(ttl_s: i64) -> How {
        How { x_cache: XCache::Stale, status: CacheStatus { ttl_s: Some(ttl_s), ..CacheStatus::HIT } }
    }
}

/// What a viewer asked.
pub struct Asked<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// The request's fields.
    pub headers: &'a HeaderMap,
    /// Its connection.
    pub viewing: Viewing,
    /// Whether another POP may be asked for it; not where another POP asks.
    pub way: Way,
}

impl Asked<'_> {
    /// Whether it wants the whole, whatever there is.
    pub fn is_plain(&self) -> bool {
        let has = |name| self.headers.contains_key(name);
        !(has(header::RANGE) || has(header::IF_NONE_MATCH) || has(header::IF_MODIFIED_SINCE))
    }

    /// Whether a viewer asks, and no other POP.
    fn is_viewers(&self) -> bool {
        !self.way.is_of_pop()
    }

    /// What is to be done with interim answers of an origin.
    pub fn interim(&self) -> Option<origin::Interim> {
        let interim = self.viewing.interim()?;
        Some(Arc::new(move |status, mut headers| {
            fields::strip_hop_by_hop(&mut headers);
            interim.send(status, &headers);
        }))
    }
}

impl Pop {
    /// Answers with the whole of a small copy: the common case, with its fields made once.
    pub fn answer_whole(
        &self,
        asked: &Asked<'_>,
        copy: &Variant,
        bytes: &Bytes,
        age: Duration,
    ) -> Response<Payload> {
        if asked.is_viewers() {
            self.metrics.answered(XCache::Hit);
        }
        let fields = copy.hit.get_or_init(|| {
            let mut response = self.frame(&copy.head, Some(Duration::ZERO));
            shape(asked, &copy.head, Some(bytes.len() as u64), &mut response);
            self.sign(response.headers_mut(), How::HIT);
            std::mem::take(response.headers_mut())
        });
        let body = if asked.method == Method::HEAD { Bytes::new() } else { bytes.clone() };
        let mut response = Response::new(whole(body));
        *response.status_mut() = copy.head.status;
        *response.headers_mut() = fields.clone();
        response.headers_mut().insert(header::AGE, HeaderValue::from(age.as_secs()));
        if !asked.is_viewers() {
            tags::hand_on(response.headers_mut(), &copy.head.tags);
        }
        response
    }

    /// Answers from a copy, or from what a fill brings. An error says that its first bytes cannot be had.
    ///
    /// Where a copy counts as a hit but lacks what is asked for, the answer says that it is a miss.
    pub async fn answer_from(
        self: &Arc<Pop>,
        asked: &Asked<'_>,
        head: &Head,
        body: &Arc<StoredBody>,
        supply: impl FnOnce() -> Supply,
        (how, age): (How, Option<Duration>),
    ) -> Result<Response<Payload>, ReadError> {
        let mut response = self.frame(head, age);
        if !asked.is_viewers() {
            tags::hand_on(response.headers_mut(), &head.tags);
        }
        let length = body.size().or_else(|| head.length());
        let shape = shape(asked, head, length, &mut response);
        let wants = asked.method != Method::HEAD && length != Some(0);
        let how = if how.x_cache == XCache::Hit && wants && !shape.is_in(body) { How::PARTIAL } else { how };
        if asked.is_viewers() {
            self.metrics.answered(how.x_cache);
        }
        self.sign(response.headers_mut(), how);
        if !wants {
            return Ok(response);
        }
        let pieces = match shape {
            Shape::Nothing => return Ok(response),
            Shape::One(part) => match body.at_hand() {
                Some(bytes) => {
                    *response.body_mut() = whole(bytes.slice(*part.start() as usize..=*part.end() as usize));
                    return Ok(response);
                }
                None => VecDeque::from([Piece::Range { at: *part.start(), last: *part.end() }]),
            },
            Shape::Several(frame, parts) => pieces(&frame, &parts),
        };
        let reader = Reader::begin(self, Arc::new(supply()), body, pieces).await?;
        *response.body_mut() = Payload::Reader(Box::new(reader), None);
        Ok(response)
    }

    /// Passes an origin's answer on, as it comes but for its tags, which viewers do not see.
    pub fn answer_from_origin(
        self: &Arc<Pop>,
        (domain, way): (&Domain, Way),
        answer: Response<Incoming>,
        how: How,
    ) -> Response<Payload> {
        let (mut parts, body) = answer.into_parts();
        match way.is_of_pop() {
            false => tags::hide(&mut parts.headers, &domain.settings),
            true => {
                let tags = tags::read(&parts.headers, &domain.settings);
                tags::hand_on(&mut parts.headers, &tags);
            }
        }
        fields::strip_hop_by_hop(&mut parts.headers);
        let came = parts.extensions.remove();
        let mut response = Response::from_parts(parts, Payload::Passed(body, came, None));
        if !way.is_of_pop() {
            self.metrics.answered(how.x_cache);
        }
        self.sign(response.headers_mut(), how);
        response
    }

    /// An answer of this POP's own: a status and a sentence.
    pub fn answer_plainly(
        &self,
        status: StatusCode,
        text: impl Into<String>,
        how: Option<How>,
    ) -> Response<Payload> {
        let mut response = Response::new(whole(Bytes::from(text.into() + "\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // RFC 9211 §2: nothing of it comes from a cache, and so no Cache-Status.
        if let Some(how) = how {
            self.metrics.answered(how.x_cache);
            self.sign_as_own(headers, how);
        }
        response
    }

    /// Status and fields of a stored response, without its length.
    fn frame(&self, head: &Head, age: Option<Duration>) -> Response<Payload> {
        let mut response = Response::new(whole(Bytes::new()));
        *response.status_mut() = head.status;
        let headers = response.headers_mut();
        *headers = head.headers.clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::AGE);
        if let Some(age) = age {
            headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
        }
        response
    }

    /// Says how the answer came about.
    fn sign(&self, headers: &mut HeaderMap, how: How) {
        self.sign_as_own(headers, how);
        let status = match how.status == CacheStatus::HIT {
            true => self.signatures.hit.clone(),
            false => how.status.value(&self.signatures.name),
        };
        headers.append(CACHE_STATUS.clone(), status);
    }

    /// Counts an answer to a viewer of `host`, as traffic of that domain; of what is no domain nothing is kept.
    pub fn count_answer(&self, host: &str, tls: bool, response: &mut Response<Payload>) {
        let counts = match self.metrics.traffic.known(host) {
            Some(counts) => counts,
            None if self.follower.read().domain(host).is_some() => self.metrics.traffic.of(host),
            None => return,
        };
        let word = response.headers().get(&X_CACHE).map_or(&b""[..], |x_cache| x_cache.as_bytes());
        let hit = HITS.iter().any(|hit| word.starts_with(hit));
        response.body_mut().count(Answered::new(counts, tls, hit));
    }

    /// Names this POP.
    fn sign_as_own(&self, headers: &mut HeaderMap, how: How) {
        headers.insert(X_CACHE.clone(), self.signatures.x_cache[how.x_cache as usize].clone());
        headers.append(header::VIA, self.signatures.via.clone());
    }
}

/// The fields with which a POP signs its answers: `X-Cache`, `Cache-Status` (RFC 9211) and `Via`.
pub struct Signatures {
    x_cache: [HeaderValue; 6],
    name: CacheName,
    hit: HeaderValue,
    via: HeaderValue,
}

impl Signatures {
    /// Those of the POP with this name.
    pub fn of(pop: &str) -> Signatures {
        let field =
            |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("freshen"));
        let name = CacheName::new(pop);
        Signatures {
            x_cache: XCache::ALL.map(|x_cache| field(format!("{} from {pop}", x_cache.as_str()))),
            hit: CacheStatus::HIT.value(&name),
            name,
            via: field(format!("1.1 {pop}")),
        }
    }
}

/// What of a body an answer has.
enum Shape {
    /// Nothing of it.
    Nothing,
    /// These bytes; all of them, or one part.
    One(RangeInclusive<u64>),
    /// Several parts, framed.
    Several(Multipart, Vec<RangeInclusive<u64>>),
}

impl Shape {
    /// Whether all that is wanted is there.
    fn is_in(&self, body: &StoredBody) -> bool {
        let has =
            |part: &RangeInclusive<u64>| body.at_hand().is_some() || body.has(*part.start(), *part.end());
        match self {
            Shape::Nothing => true,
            Shape::One(part) => has(part),
            Shape::Several(_, parts) => parts.iter().all(has),
        }
    }
}

/// Makes the response conditional or partial as asked.
fn shape(asked: &Asked<'_>, head: &Head, length: Option<u64>, response: &mut Response<Payload>) -> Shape {
    if conditional::not_modified(asked.headers, head.status, &head.headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        fields::shorten_to_not_modified(response.headers_mut());
        return Shape::Nothing;
    }
    let Some(length) = length else { return Shape::One(0..=u64::MAX) };
    let wants_part = asked.method == Method::GET && head.status == StatusCode::OK;
    let wanted = if wants_part { range::ranges(asked.headers, &head.headers, length) } else { Wanted::Whole };
    let headers = response.headers_mut();
    match wanted {
        Wanted::Whole => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            if head.status == StatusCode::OK {
                headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
            Shape::One(0..=length.saturating_sub(1))
        }
        Wanted::One(part) => {
            let (first, last) = (*part.start(), *part.end());
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(last - first + 1));
            if let Ok(range) = HeaderValue::from_str(&format!("bytes {first}-{last}/{length}")) {
                headers.insert(header::CONTENT_RANGE, range);
            }
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            Shape::One(part)
        }
        Wanted::Several(parts) => {
            let mut chance = [0; 16];
            if getrandom::fill(&mut chance).is_err() {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                return Shape::One(0..=length.saturating_sub(1));
            }
            let frame = Multipart::new(chance, headers.get(header::CONTENT_TYPE).cloned(), length);
            headers.insert(header::CONTENT_TYPE, frame.content_type());
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(frame.content_length(&parts)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            Shape::Several(frame, parts)
        }
        Wanted::Unsatisfiable => {
            if let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}")) {
                headers.insert(header::CONTENT_RANGE, range);
            }
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            Shape::Nothing
        }
    }
}

/// Several parts with what stands between them.
fn pieces(frame: &Multipart, parts: &[RangeInclusive<u64>]) -> VecDeque<Piece> {
    let mut pieces = VecDeque::with_capacity(2 * parts.len() + 1);
    for part in parts {
        pieces.push_back(Piece::Text(frame.part_head(part)));
        pieces.push_back(Piece::Range { at: *part.start(), last: *part.end() });
    }
    pieces.push_back(Piece::Text(frame.end()));
    pieces
}

fn whole(bytes: Bytes) -> Payload {
    Payload::Whole(Full::new(bytes))
}
