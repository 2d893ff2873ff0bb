//! An origin with one file of any size that nobody has to keep: each of its bytes follows from its place and the version.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Bytes that bear one stamp.
const STAMP: u64 = 16;
const CHUNK: u64 = 64 << 10;

pub struct LargeOrigin {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    size: u64,
    version: AtomicU64,
    ranges: AtomicBool,
    sent: AtomicU64,
    requests: AtomicU64,
    /// What lies from here on is not sent.
    gate: watch::Sender<u64>,
    /// Where the next answer that comes so far is cut off.
    cut: AtomicU64,
}

impl LargeOrigin {
    /// With one file of `size` bytes, and ranges of it.
    pub async fn start(size: u64) -> LargeOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            size,
            version: AtomicU64::new(1),
            ranges: AtomicBool::new(true),
            sent: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            gate: watch::Sender::new(u64::MAX),
            cut: AtomicU64::new(u64::MAX),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = serving.clone();
                let service = service_fn(move |request| {
                    let answer = answer(&state, &request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(socket), service));
            }
        });
        LargeOrigin { address, state }
    }

    /// From now on the file is another one.
    pub fn change(&self) {
        self.state.version.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on ranges are not honoured.
    pub fn without_ranges(&self) {
        self.state.ranges.store(false, Ordering::SeqCst);
    }

    /// No byte from that place on is sent until [`LargeOrigin::go_on`].
    pub fn stop_at(&self, place: u64) {
        self.state.gate.send_replace(place);
    }

    /// The next answer that comes to that place is cut off there.
    pub fn cut_at(&self, place: u64) {
        self.state.cut.store(place, Ordering::SeqCst);
    }

    pub fn go_on(&self) {
        self.state.gate.send_replace(u64::MAX);
    }

    /// Body bytes handed to connections so far.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }
}

/// What stands at these bytes of a version.
pub fn bytes(version: u64, range: Range<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity((range.end - range.start) as usize + STAMP as usize);
    let first = range.start / STAMP;
    for stamp in first..range.end.div_ceil(STAMP) {
        out.extend_from_slice(&stamp.to_be_bytes());
        out.extend_from_slice(&version.to_be_bytes());
    }
    out.drain(..(range.start - first * STAMP) as usize);
    out.truncate((range.end - range.start) as usize);
    out
}

type Body = StreamBody<futures_util::stream::BoxStream<'static, std::io::Result<Frame<Bytes>>>>;

fn answer(state: &Arc<State>, request: &Request<Incoming>) -> Response<Body> {
    state.requests.fetch_add(1, Ordering::SeqCst);
    let version = state.version.load(Ordering::SeqCst);
    let tag = format!("\"v{version}\"");
    let part =
        state.ranges.load(Ordering::SeqCst).then(|| part(request.headers(), &tag, state.size)).flatten();
    let range = part.clone().unwrap_or(0..state.size);
    let mut response = Response::builder()
        .header(header::ETAG, tag)
        .header(header::CACHE_CONTROL, "max-age=3600")
        .header(header::CONTENT_LENGTH, range.end - range.start);
    if state.ranges.load(Ordering::SeqCst) {
        response = response.header(header::ACCEPT_RANGES, "bytes");
    }
    if part.is_some() {
        let told = format!("bytes {}-{}/{}", range.start, range.end - 1, state.size);
        response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, told);
    }
    let state = state.clone();
    let chunks = futures_util::stream::unfold(range, move |left| {
        let state = state.clone();
        async move {
            if left.is_empty() {
                return None;
            }
            let cut = state.cut.load(Ordering::SeqCst);
            if left.start >= cut && state.cut.swap(u64::MAX, Ordering::SeqCst) == cut {
                return Some((Err(std::io::Error::other("cut off by the test")), left.end..left.end));
            }
            let mut gate = state.gate.subscribe();
            let open = gate.wait_for(|gate| left.start < *gate).await.map(|gate| *gate);
            let end = left.end.min(left.start + CHUNK).min(open.unwrap_or(u64::MAX));
            state.sent.fetch_add(end - left.start, Ordering::SeqCst);
            Some((Ok(Frame::data(bytes(version, left.start..end).into())), end..left.end))
        }
    });
    response.body(StreamBody::new(Box::pin(chunks) as _)).unwrap()
}

/// The one range asked for, where If-Range names this version.
fn part(headers: &HeaderMap, tag: &str, size: u64) -> Option<Range<u64>> {
    if headers.get(header::IF_RANGE).is_some_and(|named| named != tag) {
        return None;
    }
    let (first, last) = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let last: u64 = if last.is_empty() { size - 1 } else { last.parse().ok()? };
    Some(first.parse().ok()?..last.min(size - 1) + 1)
}
