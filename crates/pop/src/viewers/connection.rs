//! One viewer's connection: HTTP/1.1 or HTTP/2, from its first byte to its last.

use super::exchange::Exchange;
use super::socket::{Patience, ViewerSocket};
use crate::Pop;
use crate::answer::{BodyError, Payload};
use bytes::Bytes;
use freshen_model::key::PATH_AND_QUERY_BYTES_MAX;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

/// Requests of one HTTP/2 connection at one time.
const STREAMS_MAX: u32 = 128;
/// Streams that a viewer opened and reset before they were looked at; more end the connection.
const RESETS_MAX: usize = 20;
/// Streams that were reset for an error of the viewer's, over the life of a connection; more end it.
const ERRORS_MAX: usize = 128;
/// Bytes of bodies that a viewer may send ahead: in one stream, in all of a connection.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Bytes of one stream's answer that wait for the viewer, beside the piece of a body that is being sent.
const SEND_BYTES_MAX: usize = 64 << 10;
/// How often a quiet HTTP/2 connection is asked whether anybody is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_MAX: Duration = Duration::from_secs(20);
/// Between two looks at what an HTTP/2 connection does, as a part of the shortest patience.
const LOOKS: u32 = 4;

/// How viewers' connections are served.
pub struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    patience: Patience,
    /// For HTTP/2, where an answer that waits for its origin is not told from one that waits for its viewer: longer than
    /// any origin may be silent.
    stuck: Duration,
}

impl Protocols {
    /// With the limits of the configuration.
    pub fn new(config: &crate::Config) -> Protocols {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // The socket looks after that: a timer made and dropped for each request costs more than its parsing.
            .header_read_timeout(None)
            .max_buf_size(config.head_bytes_max);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(ERRORS_MAX)
            .max_header_list_size(u32::try_from(config.head_bytes_max).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BYTES_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_MAX);
        let silence = Duration::from_millis(config.viewer_silence_ms_max);
        let origin = Duration::from_millis(config.origin_head_ms_max.max(config.origin_silence_ms_max));
        Protocols {
            http1,
            http2,
            patience: Patience { head: Duration::from_millis(config.viewer_head_ms_max), silence },
            stuck: silence.max(origin + silence / 2),
        }
    }

    /// How long viewers may take.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Serves HTTP/1.1 until the viewer leaves or `stop` turns true and what is under way is answered.
    pub async fn serve_http1<S>(&self, pop: Arc<Pop>, io: S, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let exchange = Arc::new(Exchange::default());
        let socket = ViewerSocket::new(io, exchange.clone(), self.patience);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (pop, exchange) = (pop.clone(), exchange.clone());
            let interim = exchange.begin(!request.body().is_end_stream());
            if request.version() == Version::HTTP_11 {
                request.extensions_mut().insert(interim);
            }
            async move {
                let response = match refusal(&request) {
                    None => pop.serve(request).await,
                    Some((status, why)) => refuse(&pop, status, why),
                };
                exchange.head_is_there();
                Ok::<_, Infallible>(response.map(|payload| Answer { payload, exchange }))
            }
        });
        let mut connection = pin!(self.http1.serve_connection(socket, service));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = asked(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        tell(ended);
    }

    /// Serves HTTP/2 until the viewer leaves, does nothing for too long, or `stop` turns true and what is under way is
    /// answered.
    pub async fn serve_http2<S>(&self, pop: Arc<Pop>, io: S, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let exchange = Arc::new(Exchange::default());
        let socket = ViewerSocket::multiplexed(io, exchange.clone(), self.patience);
        let watched = exchange.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (pop, exchange) = (pop.clone(), exchange.clone());
            exchange.begin(false);
            // Made here: a stream that is reset while it is answered has ended, too.
            let mut answer = Answer { payload: Payload::Whole(Default::default()), exchange };
            async move {
                let response = match contradiction(&request).or_else(|| refusal(&request)) {
                    None => pop.serve(request).await,
                    Some((status, why)) => refuse(&pop, status, why),
                };
                let (head, payload) = response.into_parts();
                answer.payload = payload;
                Ok::<_, Infallible>(Response::from_parts(head, answer))
            }
        });
        let mut connection = pin!(self.http2.serve_connection(socket, service));
        let mut look = tokio::time::interval(self.patience.head.min(self.patience.silence) / LOOKS);
        let mut quiet = Quiet::new(&watched);
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break ended,
                () = asked(&mut stop), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = look.tick() => match quiet.look(&watched) {
                    Some((Quietness::Idle, lasts)) if lasts >= self.patience.head * 2 => break Ok(()),
                    Some((Quietness::Idle, lasts)) if lasts >= self.patience.head => {
                        connection.as_mut().graceful_shutdown();
                    }
                    Some((Quietness::Stuck, lasts)) if lasts >= self.stuck => break Ok(()),
                    _ => {}
                }
            }
        };
        tell(ended);
    }
}

/// Resolves when the process is asked to stop.
async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn tell(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a viewer's connection ended");
    }
}

/// Since when nothing happens on an HTTP/2 connection.
struct Quiet {
    before: (usize, u64, u64),
    since: Instant,
}

#[derive(Clone, Copy)]
enum Quietness {
    /// Nothing is asked.
    Idle,
    /// Something is asked, and no byte of an answer is taken.
    Stuck,
}

/// Bytes that say nothing: pings and settings.
const CHATTER_BYTES: u64 = 256;

impl Quiet {
    fn new(exchange: &Exchange) -> Quiet {
        Quiet { before: exchange.activity(), since: Instant::now() }
    }

    /// What kind of quiet there is, and for how long it has lasted.
    fn look(&mut self, exchange: &Exchange) -> Option<(Quietness, Duration)> {
        let now = exchange.activity();
        let (open, requests, written) = self.before;
        if now.0 != open || now.1 != requests || now.2 > written + CHATTER_BYTES {
            (self.before, self.since) = (now, Instant::now());
            return None;
        }
        Some((if open == 0 { Quietness::Idle } else { Quietness::Stuck }, self.since.elapsed()))
    }
}

/// The answer's body, which tells the connection when it is handed over.
struct Answer {
    payload: Payload,
    exchange: Arc<Exchange>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.get_mut().payload).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.exchange.end();
    }
}

/// An answer that refuses a request and ends its connection: what follows may not be what it seems.
fn refuse(pop: &Pop, status: StatusCode, why: &'static str) -> Response<Payload> {
    let mut response = pop.answer_plainly(status, why, None);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Why a request goes no further, whatever it is for.
fn refusal(request: &Request<Incoming>) -> Option<(StatusCode, &'static str)> {
    let long =
        request.uri().path_and_query().is_some_and(|both| both.as_str().len() > PATH_AND_QUERY_BYTES_MAX);
    if long {
        return Some((StatusCode::URI_TOO_LONG, "path and query are too long"));
    }
    (!request.body().is_end_stream()).then(|| coding_refusal(request.headers())).flatten()
}

/// A body whose transfer coding is anything but `chunked`, once, would reach the origin as something else than the viewer
/// sent. RFC 9112 §6.1.
fn coding_refusal(headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = codings.next()?;
    let fits = codings.next().is_none() && first.as_bytes().eq_ignore_ascii_case(b"chunked");
    (!fits).then_some((StatusCode::NOT_IMPLEMENTED, "no transfer coding but chunked is taken"))
}

/// Host and `:authority` of HTTP/2 must not differ, RFC 9113 §8.3.1.
fn contradiction(request: &Request<Incoming>) -> Option<(StatusCode, &'static str)> {
    let host = request.headers().get(header::HOST)?;
    let authority = request.uri().authority()?;
    let same = host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
    (!same).then_some((StatusCode::BAD_REQUEST, "Host and :authority differ"))
}
