//! One viewer's connection: HTTP/1.1 or HTTP/2, from its first byte to its last.

use super::cuts::Cuts;
use super::exchange::{Exchange, Viewing};
use super::socket::{Patience, ViewerSocket};
use crate::Pop;
use crate::answer::{BodyError, Payload};
use bytes::Bytes;
use freshen_model::key::PATH_AND_QUERY_BYTES_MAX;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
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
/// Bytes of an answer that are collected before they are written at once. A head may fill as much of a buffer before it is
/// looked at, and is then held against its own limit.
const WRITE_BYTES: usize = 256 << 10;
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
    cuts: Arc<Cuts>,
}

impl Protocols {
    /// With the limits of the configuration; those cuts reach the connections.
    pub fn new(config: &crate::Config, cuts: Arc<Cuts>) -> Protocols {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // The socket looks after that: a timer made and dropped for each request costs more than its parsing.
            .header_read_timeout(None)
            .max_buf_size(config.head_bytes_max.max(WRITE_BYTES));
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
            cuts,
        }
    }

    /// How long viewers may take.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Serves HTTP/1.1 until the viewer leaves or `stop` turns true and what is under way is answered.
    pub async fn serve_http1<S, A>(
        &self,
        io: S,
        answer: impl Fn(Request<Incoming>, Viewing) -> A,
        mut stop: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
        A: Future<Output = Response<Payload>>,
    {
        let exchange = Exchange::new(self.cuts.clone(), false);
        let _reached = self.cuts.reach(&exchange);
        let socket = ViewerSocket::new(io, exchange.clone(), self.patience);
        let service = service_fn(|request: Request<Incoming>| {
            let exchange = exchange.clone();
            let mut viewing = exchange.begin(!request.body().is_end_stream());
            if request.version() != Version::HTTP_11 {
                viewing = viewing.without_interim();
            }
            let number = viewing.request();
            let answer = answer(request, viewing);
            async move {
                let response = answer.await;
                exchange.head_is_there();
                Ok::<_, Infallible>(response.map(|payload| Answer { payload, exchange, request: number }))
            }
        });
        let mut connection = pin!(self.http1.serve_connection(socket, service));
        let mut closing = pin!(exchange.closing());
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = closing.as_mut() => Ok(()),
            () = asked(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = closing => Ok(()),
                }
            }
        };
        tell(ended);
    }

    /// Serves HTTP/2 until the viewer leaves, does nothing for too long, or `stop` turns true and what is under way is
    /// answered.
    pub async fn serve_http2<S, A>(
        &self,
        io: S,
        answer: impl Fn(Request<Incoming>, Viewing) -> A,
        mut stop: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
        A: Future<Output = Response<Payload>> + Send + 'static,
    {
        let exchange = Exchange::new(self.cuts.clone(), true);
        let _reached = self.cuts.reach(&exchange);
        let socket = ViewerSocket::multiplexed(io, exchange.clone(), self.patience);
        let service = service_fn(|request: Request<Incoming>| {
            let viewing = exchange.begin(false);
            // Made before the answer: a stream that is reset meanwhile has ended, too.
            let mut body = Answer {
                payload: Payload::Whole(Default::default()),
                exchange: exchange.clone(),
                request: viewing.request(),
            };
            let answer = answer(request, viewing);
            async move {
                let (head, payload) = answer.await.into_parts();
                body.payload = payload;
                Ok::<_, Infallible>(Response::from_parts(head, body))
            }
        });
        let mut connection = pin!(self.http2.serve_connection(socket, service));
        let mut look = tokio::time::interval(self.patience.head.min(self.patience.silence) / LOOKS);
        let mut quiet = Quiet::new(&exchange);
        let mut stopping = false;
        let mut closing = pin!(exchange.closing());
        let ended = loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break ended,
                () = closing.as_mut() => break Ok(()),
                () = asked(&mut stop), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = look.tick() => match quiet.look(&exchange) {
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
    request: u64,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let answer = self.get_mut();
        if answer.exchange.is_cut(answer.request, context.waker()) {
            return Poll::Ready(Some(Err("a purge cuts it off".into())));
        }
        Pin::new(&mut answer.payload).poll_frame(context)
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
        self.exchange.end(self.request);
    }
}

impl Pop {
    /// Answers a request, unless it may go no further whatever it is for.
    pub(super) async fn answer(
        self: Arc<Pop>,
        request: Request<Incoming>,
        viewing: Viewing,
        tls: bool,
    ) -> Response<Payload> {
        let Some((status, why)) = refusal(&request, self.config.head_bytes_max) else {
            return self.serve(request, viewing, tls).await;
        };
        let mut response = self.answer_plainly(status, why, None);
        if request.version() != Version::HTTP_2 {
            // What follows on this connection may not be what it seems.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Why a request goes no further, whatever it is for.
fn refusal(request: &Request<Incoming>, head_bytes_max: usize) -> Option<(StatusCode, &'static str)> {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if fields.sum::<usize>() > head_bytes_max {
        return Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the fields are too long"));
    }
    let long =
        request.uri().path_and_query().is_some_and(|both| both.as_str().len() > PATH_AND_QUERY_BYTES_MAX);
    if long {
        return Some((StatusCode::URI_TOO_LONG, "path and query are too long"));
    }
    if *request.method() == Method::CONNECT {
        // Behind it there may come what is no request.
        return Some((StatusCode::NOT_IMPLEMENTED, "tunnels are not offered"));
    }
    if request.version() == Version::HTTP_2 {
        return contradiction(request);
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use std::cell::Cell;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    use tokio::sync::Notify;

    fn protocols() -> Protocols {
        let text = String::new;
        let config =
            crate::Config::new("pop-1".parse().unwrap(), "data".into(), text(), text(), text(), text());
        Protocols::new(&config, Arc::default())
    }

    /// A connection over loopback whose two ends keep little for each other.
    async fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let viewer = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        (viewer, listener.accept().await.unwrap().0)
    }

    fn whole(size: usize) -> Response<Payload> {
        Response::new(Payload::Whole(Full::new(Bytes::from(vec![b'x'; size]))))
    }

    fn hint(viewing: &Viewing) {
        if let Some(interim) = viewing.interim() {
            let mut headers = HeaderMap::new();
            headers.insert(header::LINK, HeaderValue::from_static("</a.css>; rel=preload"));
            interim.send(StatusCode::EARLY_HINTS, &headers);
        }
    }

    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";

    async fn read_until(viewer: &mut TcpStream, end: &str) -> String {
        let mut read = String::new();
        let mut piece = [0; 1_024];
        while !read.ends_with(end) {
            let count = viewer.read(&mut piece).await.unwrap();
            assert!(count > 0, "ended: {read:?}");
            read.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        read
    }

    #[tokio::test]
    async fn an_interim_answer_does_not_wait_for_the_answer() {
        let (mut viewer, pop) = connection().await;
        let (_stopping, stop) = watch::channel(false);
        let read = Notify::new();
        let protocols = protocols();
        let serving = protocols.serve_http1(
            pop,
            async |_, viewing| {
                hint(&viewing);
                read.notified().await;
                whole(3)
            },
            stop,
        );
        let viewing = async {
            viewer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            assert_eq!(read_until(&mut viewer, "\r\n\r\n").await, HINT);
            read.notify_one();
            let answer = read_until(&mut viewer, "xxx").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            // Of HTTP/1.0 there are none.
            read.notify_one();
            viewer.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
            let answer = read_until(&mut viewer, "xxx").await;
            assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
            drop(viewer);
        };
        tokio::join!(serving, viewing);
    }

    #[tokio::test]
    async fn it_goes_beside_a_100_continue() {
        let (mut viewer, pop) = connection().await;
        let (_stopping, stop) = watch::channel(false);
        let protocols = protocols();
        let answer = async |request: Request<Incoming>, viewing| {
            hint(&viewing);
            let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
            assert_eq!(body, "yes");
            whole(3)
        };
        let serving = protocols.serve_http1(pop, answer, stop);
        let viewing = async {
            let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
            viewer.write_all(head).await.unwrap();
            let interim = read_until(&mut viewer, "HTTP/1.1 100 Continue\r\n\r\n").await;
            assert!(interim.starts_with(HINT), "{interim}");
            viewer.write_all(b"yes").await.unwrap();
            assert!(read_until(&mut viewer, "xxx").await.starts_with("HTTP/1.1 200 OK\r\n"));
            drop(viewer);
        };
        tokio::join!(serving, viewing);
    }

    /// A viewer who asks for everything at once and takes it slowly: an interim answer must never come to lie within the
    /// answer before.
    #[tokio::test]
    async fn it_is_never_written_into_another_answer() {
        const SIZE: usize = 600_000;
        const REQUESTS: usize = 20;
        let (mut viewer, pop) = connection().await;
        let (_stopping, stop) = watch::channel(false);
        let protocols = protocols();
        let number = Cell::new(0);
        let answer = async |_: Request<Incoming>, viewing: Viewing| {
            number.set(number.get() + 1);
            // At different moments of the answer before: at once, and some turns of the connection later.
            for _ in 0..number.get() % 5 {
                hint(&viewing);
                tokio::task::yield_now().await;
            }
            whole(SIZE)
        };
        let serving = protocols.serve_http1(pop, answer, stop);
        let viewing = async {
            let requests = "GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(REQUESTS - 1)
                + "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            viewer.write_all(requests.as_bytes()).await.unwrap();
            let mut read = Vec::new();
            viewer.read_to_end(&mut read).await.unwrap();
            let mut rest = &read[..];
            let mut answers = 0;
            while !rest.is_empty() {
                if let Some(after) = rest.strip_prefix(HINT.as_bytes()) {
                    rest = after;
                    continue;
                }
                let end = rest.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
                assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n"), "{:?}", &rest[..end.min(200)]);
                assert!(rest[end..end + SIZE].iter().all(|byte| *byte == b'x'), "within a body");
                rest = &rest[end + SIZE..];
                answers += 1;
            }
            assert_eq!(answers, REQUESTS);
            drop(viewer);
        };
        tokio::join!(serving, viewing);
    }
}
