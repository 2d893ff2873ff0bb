//! Control's listener for POPs: pushes the log, takes heartbeats, asks questions.

use crate::host::Host;
use crate::line::LineKey;
use crate::wire::{
    Answered, BATCH_BYTES, CERTIFICATE_PATH, CertificateWanted, FOLLOW_PATH, HEARTBEAT_PATH,
    MESSAGE_BYTES_MAX, PING_EVERY_MS, Position, Push, Question, RECEIPTS_PATH, REPLY_PATH, Receipts, Reply,
    STATEMENTS_MAX,
};
use bytes::Bytes;
use freshen_model::ids::{PopId, Seq};
use freshen_model::peers::Peers;
use freshen_model::protocol::heartbeat::{Answer, Heartbeat};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

/// Connections of POPs at one time; each POP uses two or three.
const CONNECTIONS_MAX: usize = 16_384;
/// How long a new connection may take until its first byte, and to shake hands.
const FIRST_MAX: Duration = Duration::from_secs(60);
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// What TLS begins with (RFC 8446 §5.1, a record of the handshake), and no request does.
const TLS_FIRST: u8 = 22;
/// Lines that wait for a slow POP before the pushing task waits too.
const LINES_WAITING_MAX: usize = 4;
/// After a change among the POPs: how long further ones are waited for before each is told.
const PEERS_SETTLE: Duration = Duration::from_millis(100);
/// Questions that may wait for answers at one POP.
const QUESTIONS_MAX: usize = 1_024;
/// A POP that is no more orders behind than this shares what is read for it with others.
const NEAR_END: u64 = 64;
/// Batches kept for that.
const BATCHES_KEPT: usize = 8;

/// Control's side of the fleet: one for an installation.
pub struct Hub {
    host: Arc<dyn Host>,
    tls: TlsAcceptor,
    /// Whether POPs are served by TLS only.
    tls_required: bool,
    streams: Mutex<HashMap<PopId, Arc<Stream>>>,
    questions: AtomicU64,
    stream_numbers: AtomicU64,
    /// What was read last near the log's end.
    recent: tokio::sync::Mutex<VecDeque<Batch>>,
}

/// The one stream over which a POP follows now.
struct Stream {
    number: u64,
    /// Whether it goes by TLS.
    private: bool,
    /// As in [`Position::expands`].
    expands: bool,
    lines: mpsc::Sender<Bytes>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Answered, String>>>>,
}

/// Why a POP gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It follows no log of ours now.
    #[error("not connected")]
    NotConnected,
    /// It did not answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// It could not say.
    #[error("{0}")]
    Failed(String),
}

impl Hub {
    /// A hub for that control, which shows that key to who speaks TLS, and with `tls_required` serves nobody else.
    pub fn new(host: Arc<dyn Host>, key: &LineKey, tls_required: bool) -> Arc<Hub> {
        Arc::new(Hub {
            host,
            tls: TlsAcceptor::from(key.server()),
            tls_required,
            streams: Mutex::default(),
            questions: AtomicU64::new(1),
            stream_numbers: AtomicU64::new(1),
            recent: tokio::sync::Mutex::default(),
        })
    }

    /// Serves POPs until `stop` resolves; then every connection ends.
    pub async fn serve(self: Arc<Hub>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = tokio::task::JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let Ok((socket, _)) = accepted.inspect_err(|error| warn!(%error, "accept failed")) else {
                continue;
            };
            let Ok(place) = places.clone().try_acquire_owned() else { continue };
            let _ = socket.set_nodelay(true);
            let hub = self.clone();
            connections.spawn(async move {
                hub.welcome(socket).await;
                drop(place);
            });
        }
        drop(listener);
        connections.shutdown().await;
    }

    /// One connection to its end, by TLS or in the clear, as it begins.
    async fn welcome(self: Arc<Hub>, socket: TcpStream) {
        let mut first = [0];
        match tokio::time::timeout(FIRST_MAX, socket.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            _ => return,
        }
        if first != [TLS_FIRST] {
            return self.converse(socket, false).await;
        }
        match tokio::time::timeout(HANDSHAKE_MAX, self.tls.accept(socket)).await {
            Ok(Ok(socket)) => self.converse(socket, true).await,
            Ok(Err(error)) => info!(%error, "a POP, or somebody else, broke its handshake off"),
            Err(_) => debug!("a handshake took too long"),
        }
    }

    async fn converse(self: Arc<Hub>, socket: impl AsyncRead + AsyncWrite + Unpin, private: bool) {
        let service = service_fn(|request| {
            let hub = self.clone();
            async move { Ok::<_, Infallible>(hub.answer(request, private).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(60))
            .serve_connection(TokioIo::new(socket), service)
            .await;
        if let Err(error) = served {
            debug!(%error, "a POP's connection ended");
        }
    }

    /// Asks a POP and waits for its answer.
    pub async fn ask(
        &self,
        pop: &PopId,
        question: Question,
        patience: Duration,
    ) -> Result<Answered, AskError> {
        let stream = self.streams().get(pop).cloned().ok_or(AskError::NotConnected)?;
        if matches!(question, Question::Expand(_) | Question::Try(_)) && !stream.expands {
            return Err(AskError::Failed("it is older than this question, bring it up to date".into()));
        }
        let number = self.questions.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = oneshot::channel();
        {
            let mut waiting = stream.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= QUESTIONS_MAX {
                return Err(AskError::Failed("too many questions wait for it".into()));
            }
            waiting.insert(number, answered);
        }
        let asked = async {
            stream
                .lines
                .send(line(&Push::Ask { number, question }))
                .await
                .map_err(|_| AskError::NotConnected)?;
            answer.await.map_err(|_| AskError::NotConnected)?.map_err(AskError::Failed)
        };
        let outcome = tokio::time::timeout(patience, asked).await;
        stream.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        outcome.unwrap_or(Err(AskError::TimedOut(patience)))
    }

    /// Whether the POP follows the log now.
    pub fn connected(&self, pop: &PopId) -> bool {
        self.streams().contains_key(pop)
    }

    /// Whether the POP follows the log now, by TLS.
    pub fn private(&self, pop: &PopId) -> bool {
        self.streams().get(pop).is_some_and(|stream| stream.private)
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, HashMap<PopId, Arc<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(
        self: Arc<Hub>,
        request: Request<Incoming>,
        private: bool,
    ) -> Response<BoxBody<Bytes, Infallible>> {
        match self.route(request, private).await {
            Ok(response) => response,
            Err((status, why)) => plain(status, why),
        }
    }

    async fn route(
        self: Arc<Hub>,
        request: Request<Incoming>,
        private: bool,
    ) -> Result<Response<BoxBody<Bytes, Infallible>>, (StatusCode, String)> {
        let failed = |why: String| {
            warn!(%why, "a POP could not be served");
            (StatusCode::INTERNAL_SERVER_ERROR, "control could not do it, see its log".to_owned())
        };
        if request.method() != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "only POST".into()));
        }
        if self.tls_required && !private {
            // The pin itself is not told here: whoever stands between would tell his own.
            let why = "control takes POPs by TLS only; write a dot and the pin that `freshen pop list` tells behind \
                       this POP's token";
            return Err((StatusCode::FORBIDDEN, why.to_owned()));
        }
        let token = bearer_token(&request).unwrap_or_default().to_owned();
        let pop = self
            .host
            .admit(&token)
            .await
            .map_err(failed)?
            .ok_or((StatusCode::UNAUTHORIZED, "no POP has this token".to_owned()))?;
        let path = request.uri().path().to_owned();
        let body = Limited::new(request.into_body(), MESSAGE_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?
            .to_bytes();
        match path.as_str() {
            FOLLOW_PATH => {
                let position: Position = parse(&body)?;
                own(&pop, &position.pop)?;
                Ok(self.follow(position, private))
            }
            HEARTBEAT_PATH => {
                let beat: Heartbeat = parse(&body)?;
                own(&pop, &beat.pop)?;
                let standing = self.host.heartbeat(&beat).await.map_err(failed)?;
                let answer = Answer { boot: beat.boot, number: beat.number, standing };
                let json = serde_json::to_vec(&answer).map_err(|error| failed(error.to_string()))?;
                Ok(Response::new(Full::new(json.into()).boxed()))
            }
            RECEIPTS_PATH => {
                let receipts: Receipts = parse(&body)?;
                own(&pop, &receipts.pop)?;
                if receipts.statements.len() > STATEMENTS_MAX {
                    return Err((StatusCode::BAD_REQUEST, format!("more than {STATEMENTS_MAX} statements")));
                }
                let kept = self.host.receipts(&receipts).await.map_err(failed)?;
                kept.map_err(|why| (StatusCode::CONFLICT, why))?;
                Ok(plain(StatusCode::OK, String::new()))
            }
            CERTIFICATE_PATH => {
                let wanted: CertificateWanted = parse(&body)?;
                own(&pop, &wanted.pop)?;
                if !private {
                    let why = "the key of a certificate goes by TLS only; write control's pin behind the POP's token";
                    return Err((StatusCode::FORBIDDEN, why.to_owned()));
                }
                let handed = self.host.certificate(&pop, &wanted.domain).await.map_err(failed)?;
                let handed = handed.ok_or((StatusCode::NOT_FOUND, "no certificate for it".to_owned()))?;
                let json = serde_json::to_vec(&handed).map_err(|error| failed(error.to_string()))?;
                Ok(Response::new(Full::new(json.into()).boxed()))
            }
            REPLY_PATH => {
                let reply: Reply = parse(&body)?;
                if let Some(stream) = self.streams().get(&pop) {
                    let waiting =
                        stream.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&reply.number);
                    if let Some(asker) = waiting {
                        let _ = asker.send(reply.answer);
                    }
                }
                Ok(plain(StatusCode::OK, String::new()))
            }
            _ => Err((StatusCode::NOT_FOUND, "no such path".into())),
        }
    }

    fn follow(self: Arc<Hub>, position: Position, private: bool) -> Response<BoxBody<Bytes, Infallible>> {
        let (lines, body) = mpsc::channel(LINES_WAITING_MAX);
        let stream = Arc::new(Stream {
            expands: position.expands,
            number: self.stream_numbers.fetch_add(1, Ordering::Relaxed),
            private,
            lines,
            waiting: Mutex::default(),
        });
        info!(pop = %position.pop, watermark = %position.watermark, tls = private, "follows");
        // A POP has one stream; a new one ends the old.
        self.streams().insert(position.pop.clone(), stream.clone());
        tokio::spawn(async move {
            let pop = position.pop.clone();
            let end = self.push(position, &stream).await;
            debug!(%pop, ?end, "follows no more");
            let mut streams = self.streams();
            if streams.get(&pop).is_some_and(|current| current.number == stream.number) {
                streams.remove(&pop);
            }
        });
        let body = tokio_stream_of(body);
        Response::new(BodyExt::boxed(body))
    }

    /// Pushes the log to one POP until its connection ends or a newer stream takes its place.
    async fn push(&self, position: Position, stream: &Stream) -> Result<(), String> {
        let gone = |_| "connection closed".to_owned();
        let mut end = self.host.end();
        let mut at = position.watermark;
        if !self.host.stands(position.log, position.watermark, position.watermark_id).await? {
            let snapshot = self.host.snapshot(&position.pop).await?;
            at = snapshot.seq;
            stream.lines.send(line(&Push::Snapshot(snapshot))).await.map_err(gone)?;
        }
        let mut peers = PeersPush::new(self.host.as_ref(), position.takes_peers);
        let mut certificates = self.host.certificates();
        if position.takes_certificates {
            // A list that is there is news to who connects.
            certificates.mark_changed();
        }
        let mut ping = tokio::time::interval(Duration::from_millis(PING_EVERY_MS));
        loop {
            loop {
                let end = end.borrow_and_update().seq;
                if at >= end {
                    break;
                }
                let Some(batch) = self.behind(at, end).await? else { break };
                at = batch.last;
                stream.lines.send(batch.line).await.map_err(gone)?;
            }
            tokio::select! {
                changed = end.changed() => changed.map_err(|_| "the log closed")?,
                () = peers.due() => {
                    if let Some(new) = peers.take(self.host.peers(&position.pop)) {
                        stream.lines.send(line(&Push::Peers(new))).await.map_err(gone)?;
                    }
                }
                changed = certificates.changed(), if position.takes_certificates => {
                    changed.map_err(|_| "control ends")?;
                    let all = certificates.borrow_and_update().clone();
                    stream.lines.send(line(&Push::Certificates(all))).await.map_err(gone)?;
                }
                _ = ping.tick() => {
                    if self.streams().get(&position.pop).is_none_or(|current| current.number != stream.number) {
                        return Err("replaced by a newer stream".into());
                    }
                    stream.lines.send(line(&Push::Ping)).await.map_err(gone)?;
                }
                () = stream.lines.closed() => return Ok(()),
            }
        }
    }
}

/// Orders that follow each other, as the line that pushes them.
#[derive(Clone)]
struct Batch {
    /// The order before the first of them.
    after: Seq,
    last: Seq,
    line: Bytes,
}

impl Hub {
    /// The orders behind `at`; `None` where there are none. Near the log's end many POPs stand at the same place, and one
    /// reading does for all of them: what the log has behind a place does not change but for what is appended.
    async fn behind(&self, at: Seq, end: Seq) -> Result<Option<Batch>, String> {
        if end.0.saturating_sub(at.0) > NEAR_END {
            return self.read(at).await;
        }
        let mut recent = self.recent.lock().await;
        if let Some(batch) = recent.iter().find(|batch| batch.after == at) {
            return Ok(Some(batch.clone()));
        }
        let batch = self.read(at).await?;
        if let Some(batch) = &batch {
            if recent.len() == BATCHES_KEPT {
                recent.pop_front();
            }
            recent.push_back(batch.clone());
        }
        Ok(batch)
    }

    async fn read(&self, after: Seq) -> Result<Option<Batch>, String> {
        // Pruned behind the POP's back: it has to start over, which its next position will show.
        let orders = self.host.orders_after(after, BATCH_BYTES).await?.ok_or("the log was pruned")?;
        let Some(last) = orders.last().map(|order| order.seq) else { return Ok(None) };
        let line = line(&Push::Orders { log: self.host.log(), orders });
        Ok(Some(Batch { after, last, line }))
    }
}

/// What one POP was told of the others, and when it is told anew.
struct PeersPush {
    changed: watch::Receiver<u64>,
    /// Set once something has changed.
    due: Option<Instant>,
    told: Option<Peers>,
    takes: bool,
}

impl PeersPush {
    fn new(host: &dyn Host, takes: bool) -> PeersPush {
        PeersPush { changed: host.peers_changed(), due: Some(Instant::now()), told: None, takes }
    }

    /// Resolves when it is time to look at them; never for a POP that does not take them.
    async fn due(&mut self) {
        if !self.takes {
            return std::future::pending().await;
        }
        if self.due.is_none() {
            if self.changed.changed().await.is_err() {
                return std::future::pending().await;
            }
            self.due = Some(Instant::now() + PEERS_SETTLE);
        }
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
        }
    }

    /// What to tell now, if it is something else than before.
    fn take(&mut self, now: Option<Peers>) -> Option<Peers> {
        self.due = None;
        let news = now.filter(|now| self.told.as_ref() != Some(now))?;
        self.told = Some(news.clone());
        Some(news)
    }
}

fn tokio_stream_of(
    mut lines: mpsc::Receiver<Bytes>,
) -> impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Sync {
    let stream = futures_util::stream::poll_fn(move |context| {
        lines.poll_recv(context).map(|line| line.map(|line| Ok::<_, Infallible>(Frame::data(line))))
    });
    http_body_util::StreamBody::new(stream)
}

fn line(push: &Push) -> Bytes {
    // Only maps with keys that are no strings could fail, and there are none.
    let mut json = serde_json::to_vec(push).unwrap_or_default();
    json.push(b'\n');
    json.into()
}

fn bearer_token(request: &Request<Incoming>) -> Option<&str> {
    request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn own(pop: &PopId, claimed: &PopId) -> Result<(), (StatusCode, String)> {
    (pop == claimed)
        .then_some(())
        .ok_or_else(|| (StatusCode::FORBIDDEN, format!("the token is {pop}'s, not {claimed}'s")))
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn plain(status: StatusCode, text: String) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = status;
    response
}
