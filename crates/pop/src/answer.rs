//! The answer to a viewer: from a copy or from a fill, whole or in part, with what it says about itself.

use crate::Pop;
use crate::fill::{Fill, Progress};
use crate::metrics::XCache;
use crate::policy::range::{self, Part};
use crate::policy::{conditional, fields};
use crate::store::body::{Body as StoredBody, SLICE_BYTES};
use crate::store::record::Head;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;

/// What a viewer gets as a body.
pub enum Payload {
    /// Bytes at hand.
    Whole(Full<Bytes>),
    /// Bytes that are still read or still arrive.
    Stream(UnsyncBoxBody<Bytes, BodyError>),
}

/// Why a body breaks off; the connection breaks with it, so that nobody takes it for whole.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

static X_CACHE: HeaderName = HeaderName::from_static("x-cache");
static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

impl Body for Payload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Payload::Whole(bytes) => Pin::new(bytes).poll_frame(context).map_err(|never| match never {}),
            Payload::Stream(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Whole(bytes) => bytes.is_end_stream(),
            Payload::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Whole(bytes) => bytes.size_hint(),
            Payload::Stream(stream) => stream.size_hint(),
        }
    }
}

/// What a viewer asked.
pub struct Asked<'a> {
    /// GET or HEAD.
    pub method: &'a Method,
    /// The request's fields.
    pub headers: &'a HeaderMap,
}

impl Pop {
    /// Answers from a copy. An error says that its first bytes could not be read.
    pub async fn answer_from_copy(
        self: &Arc<Pop>,
        asked: &Asked<'_>,
        head: &Head,
        body: &Arc<StoredBody>,
        x_cache: XCache,
        wall: Duration,
    ) -> io::Result<Response<Payload>> {
        let mut response = self.frame(head, x_cache, Some(head.age(wall)));
        let Some((first, last)) = shape(asked, head, Some(body.size()), &mut response) else {
            return Ok(response);
        };
        if asked.method == Method::HEAD || body.size() == 0 {
            return Ok(response);
        }
        if let Some(bytes) = body.at_hand() {
            *response.body_mut() = whole(bytes.slice(first as usize..=last as usize));
            return Ok(response);
        }
        // The first slice is read before the head goes out: a damaged one becomes a miss, not a broken answer.
        let slice = (first / SLICE_BYTES) as u32;
        let bytes = self.store.slice(body, slice).await?;
        let state = (self.clone(), body.clone(), first, Some(bytes));
        let pieces = stream::try_unfold(state, move |(pop, body, at, ready)| async move {
            if at > last {
                return Ok(None);
            }
            let slice = at / SLICE_BYTES;
            let bytes = match ready {
                Some(bytes) => bytes,
                None => pop.store.slice(&body, slice as u32).await?,
            };
            let start = slice * SLICE_BYTES;
            let end = (last + 1 - start).min(bytes.len() as u64);
            let piece = bytes.slice((at - start) as usize..end as usize);
            let next = start + end;
            Ok::<_, BodyError>(Some((Frame::data(piece), (pop, body, next, None))))
        });
        *response.body_mut() = Payload::Stream(BodyExt::boxed_unsync(StreamBody::new(pieces)));
        Ok(response)
    }

    /// Answers from a fill under way, as its bytes arrive.
    pub fn answer_from_fill(
        self: &Arc<Pop>,
        asked: &Asked<'_>,
        head: &Head,
        fill: &Arc<Fill>,
        progress: watch::Receiver<Progress>,
        x_cache: XCache,
    ) -> Response<Payload> {
        let age = (head.initial_age >= Duration::from_secs(1)).then_some(head.initial_age);
        let mut response = self.frame(head, x_cache, age);
        let length =
            head.headers.get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok());
        let Some((first, last)) = shape(asked, head, length, &mut response) else { return response };
        if asked.method == Method::HEAD || length == Some(0) {
            return response;
        }
        let state = (self.clone(), fill.clone(), progress, first);
        let pieces = stream::try_unfold(state, move |(pop, fill, mut progress, at)| async move {
            if at > last {
                return Ok(None);
            }
            let Some(mut bytes) = fill.read(&pop, &mut progress, at).await? else { return Ok(None) };
            bytes.truncate((last - at).saturating_add(1).min(bytes.len() as u64) as usize);
            let next = at + bytes.len() as u64;
            Ok::<_, BodyError>(Some((Frame::data(bytes), (pop, fill, progress, next))))
        });
        *response.body_mut() = Payload::Stream(BodyExt::boxed_unsync(StreamBody::new(pieces)));
        response
    }

    /// Passes an origin's answer on, as it comes.
    pub fn answer_from_origin(
        self: &Arc<Pop>,
        answer: Response<Incoming>,
        x_cache: XCache,
    ) -> Response<Payload> {
        let (mut parts, body) = answer.into_parts();
        fields::strip_hop_by_hop(&mut parts.headers);
        let body = body.map_err(|error| Box::new(error) as BodyError);
        let mut response = Response::from_parts(parts, Payload::Stream(body.boxed_unsync()));
        self.sign(response.headers_mut(), x_cache);
        response
    }

    /// An answer of this POP's own: a status and a sentence.
    pub fn answer_plainly(
        &self,
        status: StatusCode,
        text: impl Into<String>,
        x_cache: Option<XCache>,
    ) -> Response<Payload> {
        let mut response = Response::new(whole(Bytes::from(text.into() + "\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(x_cache) = x_cache {
            self.sign(headers, x_cache);
        }
        response
    }

    /// Status and fields of a stored response, without its length.
    fn frame(&self, head: &Head, x_cache: XCache, age: Option<Duration>) -> Response<Payload> {
        let mut response = Response::new(whole(Bytes::new()));
        *response.status_mut() = head.status;
        let headers = response.headers_mut();
        *headers = head.headers.clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::AGE);
        if let Some(age) = age {
            headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
        }
        self.sign(headers, x_cache);
        response
    }

    /// Counts the answer and says how it came about.
    fn sign(&self, headers: &mut HeaderMap, x_cache: XCache) {
        self.metrics.answered(x_cache);
        headers.insert(X_CACHE.clone(), self.signatures[x_cache as usize].0.clone());
        headers.append(CACHE_STATUS.clone(), self.signatures[x_cache as usize].1.clone());
        headers.append(header::VIA, self.via.clone());
    }
}

/// The fields with which a POP signs its answers: `X-Cache` and `Cache-Status` (RFC 9211) for each way of answering.
pub fn signatures(pop: &str) -> [(HeaderValue, HeaderValue); 6] {
    XCache::ALL.map(|x_cache| {
        let status = match x_cache {
            XCache::Hit => "hit",
            XCache::Stale => "hit; fwd=stale",
            XCache::Miss => "fwd=uri-miss",
            XCache::Expired => "fwd=stale",
            XCache::Revalidated => "fwd=stale; fwd-status=304",
            XCache::Bypass => "fwd=bypass",
        };
        let field =
            |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("freshen"));
        (field(format!("{} from {pop}", x_cache.as_str())), field(format!("{pop}; {status}")))
    })
}

/// Makes the response conditional or partial as asked; gives the first and last byte to send, `None` for none.
fn shape(
    asked: &Asked<'_>,
    head: &Head,
    length: Option<u64>,
    response: &mut Response<Payload>,
) -> Option<(u64, u64)> {
    if conditional::not_modified(asked.headers, head.status, &head.headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_TYPE);
        return None;
    }
    let Some(length) = length else { return Some((0, u64::MAX)) };
    let wants_part = asked.method == Method::GET && head.status == StatusCode::OK;
    let part = if wants_part { range::wanted(asked.headers, &head.headers, length) } else { Part::Whole };
    let headers = response.headers_mut();
    match part {
        Part::Whole => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            if head.status == StatusCode::OK {
                headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
            Some((0, length.saturating_sub(1)))
        }
        Part::Bytes { first, last } => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(last - first + 1));
            if let Ok(range) = HeaderValue::from_str(&format!("bytes {first}-{last}/{length}")) {
                headers.insert(header::CONTENT_RANGE, range);
            }
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            Some((first, last))
        }
        Part::Unsatisfiable => {
            if let Ok(range) = HeaderValue::from_str(&format!("bytes */{length}")) {
                headers.insert(header::CONTENT_RANGE, range);
            }
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            None
        }
    }
}

fn whole(bytes: Bytes) -> Payload {
    Payload::Whole(Full::new(bytes))
}
