//! The way to origins: the only place where a POP opens connections for content, and only to a domain's own origin.

mod bucket;
mod health;

use crate::clock::now;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::traffic::FromOrigin;
use bucket::{NotForBucket, object_path, sign};
use bytes::Bytes;
use freshen_fleet::{causes, trust};
use freshen_model::domain::Origin;
use freshen_model::protocol::follower::Domain;
use health::Healths;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::borrow::Cow;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What goes to an origin as a body: nothing, or what the viewer sends.
pub type UpstreamBody = Either<Empty<Bytes>, Incoming>;

/// What is done with an interim answer (1xx but 100, RFC 9110 §15.2) that comes before the answer.
pub type Interim = Arc<dyn Fn(StatusCode, HeaderMap) + Send + Sync>;

/// Interim answers to one request.
const INTERIM_MAX: u32 = 100;
/// How long an idle connection is kept for requests that may be sent again, and for those that may not. Origins close idle
/// ones after 5 s and more, and a request that meets the end of its connection is lost.
const IDLE_MAX: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1));
/// Before a request is sent again: the first wait; each further one is twice as long.
const BACKOFF: Duration = Duration::from_millis(50);

/// A client for all origins, with its pool of connections.
pub struct OriginClient {
    /// For what is sent again where a connection turns out to be closed.
    repeating: Client<HttpsConnector<HttpConnector>, UpstreamBody>,
    /// For what is sent once: over connections that were in use a moment ago, which hardly any origin closes.
    once: Client<HttpsConnector<HttpConnector>, UpstreamBody>,
    head_max: Duration,
    healths: Healths,
    metrics: Arc<Metrics>,
}

/// Why an origin gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No connection.
    #[error("the origin {0} is not reached: {1}")]
    Unreachable(String, String),
    /// The connection broke before the answer began.
    #[error("the origin {0} did not answer: {1}")]
    BrokeOff(String, String),
    /// No answer began in time.
    #[error("the origin {0} did not answer within {1:?}")]
    TimedOut(String, Duration),
    /// This may not be asked of a bucket.
    #[error("nothing is asked of {0}: {1}")]
    NotAsked(String, NotForBucket),
    /// What came is no answer, or one that cannot be relied on.
    #[error("the answer of the origin {0} is refused: {1}")]
    Refused(String, String),
}

impl OriginError {
    /// Whether time ran out.
    pub fn timed_out(&self) -> bool {
        matches!(self, OriginError::TimedOut(..))
    }

    /// What viewers are told, RFC 9110 §15.6.3 and §15.6.5.
    pub fn status(&self) -> StatusCode {
        if self.timed_out() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY }
    }

    /// An error of the HTTP client, as what it says about the origin.
    fn of(origin: &Origin, error: &hyper_util::client::legacy::Error) -> OriginError {
        let (address, reason) = (origin.address.clone(), causes(error));
        let inner = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
        match inner {
            _ if error.is_connect() => OriginError::Unreachable(address, reason),
            Some(inner) if inner.is_parse() => OriginError::Refused(address, reason),
            _ => OriginError::BrokeOff(address, reason),
        }
    }
}

/// One request to a domain's origins, to be sent once or several times.
struct Sending<'a> {
    domain: &'a Domain,
    method: Method,
    path_and_query: &'a str,
    headers: HeaderMap,
    interim: Option<Interim>,
}

impl OriginClient {
    /// A client with the POP's limits.
    ///
    /// An error says what of the certificates to trust cannot be read.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Result<OriginClient, String> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // With TLS it is asked for https:// addresses, too.
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(Duration::from_millis(config.origin_connect_ms_max)));
        let tls = trust(config.origin_ca_file.as_deref());
        let tls = tls.map_err(|error| format!("origin_ca_file {error}"))?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = |idle_max| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(idle_max)
                .pool_max_idle_per_host(256)
                .http1_max_buf_size(config.head_bytes_max)
                .http1_max_headers(200)
                .build(connector.clone())
        };
        let (repeating, once) = (client(IDLE_MAX.0), client(IDLE_MAX.1));
        let head_max = Duration::from_millis(config.origin_head_ms_max);
        Ok(OriginClient { repeating, once, head_max, healths: Healths::default(), metrics })
    }

    /// Sends a request to a domain's origins; `path_and_query` and `headers` are as they shall arrive there, `Host`
    /// apart. Redirects are answers like others: whatever they name, nothing is opened there.
    ///
    /// A GET or HEAD without a body goes to the next origin where one is not reached, does not answer in time or answers
    /// 502, 503 or 504, and is sent again as often as the settings say where none answered. An answer that has begun is
    /// never asked for again. All of it together takes no longer than the time for a head, counted from `began`.
    pub async fn send(
        &self,
        domain: &Domain,
        (method, path_and_query): (Method, &str),
        headers: HeaderMap,
        body: UpstreamBody,
        interim: Option<Interim>,
        began: Instant,
    ) -> Result<Response<Incoming>, OriginError> {
        let sending = Sending { domain, method, path_and_query, headers, interim };
        let settings = &domain.settings;
        let head_max = settings.origin_head_ms_max.map(|ms| Duration::from_millis(ms.into()));
        let deadline = began + head_max.unwrap_or(self.head_max);
        let answer = match body {
            body if may_be_repeated(&sending.method, &body) => {
                let order = self.healths.order(settings, now().boot);
                self.send_repeatedly(&sending, &order, deadline).await
            }
            // What may change something is for the first origin: a backup only has the content.
            body => self.send_once(&sending, &settings.origin, body, deadline - Instant::now()).await,
        };
        if let Err(error) = &answer {
            self.metrics.origin_errors.increment(1);
            tracing::debug!(%error, "no answer from an origin");
        }
        answer
    }

    async fn send_repeatedly(
        &self,
        sending: &Sending<'_>,
        order: &[&Origin],
        deadline: Instant,
    ) -> Result<Response<Incoming>, OriginError> {
        let mut retries = sending.domain.settings.retries;
        let mut backoff = BACKOFF;
        let mut place = 0;
        // An answer that says an origin is out of order is better than none.
        let mut failing = None;
        loop {
            // Each origin that is still to be asked gets the same share of the time that is left.
            let share = (deadline - Instant::now()) / (order.len() - place) as u32;
            let tried = self.send_once(sending, order[place], empty(), share).await;
            let again = retries > 0 && Instant::now() + backoff < deadline;
            let same_again = match &tried {
                Ok(answer) if !out_of_order(answer.status()) => return tried,
                Err(OriginError::Refused(..) | OriginError::NotAsked(..)) => {
                    return failing.map_or(tried, Ok);
                }
                // An idle connection that the origin has just closed says nothing about the origin.
                Err(OriginError::BrokeOff(..)) => again,
                _ => false,
            };
            let last = place + 1 == order.len();
            let all_again =
                last && again && failing.is_none() && matches!(tried, Err(OriginError::Unreachable(..)));
            if same_again || all_again {
                retries -= 1;
                tokio::time::sleep(backoff).await;
                backoff *= 2;
                place = if same_again { place } else { 0 };
            } else if last {
                return failing.map_or(tried, Ok);
            } else {
                place += 1;
                if let Ok(answer) = tried {
                    failing.get_or_insert(answer);
                }
            }
        }
    }

    /// Asks one origin once, and notes how it is.
    async fn send_once(
        &self,
        sending: &Sending<'_>,
        origin: &Origin,
        body: UpstreamBody,
        time: Duration,
    ) -> Result<Response<Incoming>, OriginError> {
        // A body comes as slowly as its viewer sends it, and may break off with him.
        let paced_by_viewer = matches!(body, Either::Right(_));
        let answer = match tokio::time::timeout(time, self.exchange(sending, origin, body)).await {
            Ok(answer) => answer,
            Err(_) => {
                let time = Duration::from_millis(time.as_micros().div_ceil(1_000) as u64);
                Err(OriginError::TimedOut(origin.address.clone(), time))
            }
        };
        match &answer {
            Ok(answer) if !out_of_order(answer.status()) => self.healths.answered(origin),
            Err(OriginError::Refused(..) | OriginError::NotAsked(..)) => {}
            Err(OriginError::TimedOut(..) | OriginError::BrokeOff(..)) if paced_by_viewer => {}
            _ => self.healths.failed(origin, now().boot),
        }
        answer
    }

    async fn exchange(
        &self,
        sending: &Sending<'_>,
        origin: &Origin,
        body: UpstreamBody,
    ) -> Result<Response<Incoming>, OriginError> {
        let refused = |reason: String| OriginError::Refused(origin.address.clone(), reason);
        let not_asked = |why: NotForBucket| OriginError::NotAsked(origin.address.clone(), why);
        let path = match &origin.s3 {
            Some(bucket) => Cow::Owned(object_path(bucket, sending.path_and_query).map_err(not_asked)?),
            None => Cow::Borrowed(sending.path_and_query),
        };
        let uri = Uri::builder()
            .scheme(if origin.tls { "https" } else { "http" })
            .authority(origin.address.as_str())
            .path_and_query(&*path)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let client = if may_be_repeated(&sending.method, &body) { &self.repeating } else { &self.once };
        let mut request = Request::new(body);
        *request.method_mut() = sending.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = sending.headers.clone();
        let host = host_of(origin, &sending.domain.name);
        if let Some(bucket) = &origin.s3 {
            let wall = now().wall;
            sign(bucket, &sending.method, &path, host, request.headers_mut(), wall).map_err(not_asked)?;
        }
        if let Ok(host) = HeaderValue::from_str(host) {
            request.headers_mut().insert(header::HOST, host);
        }
        let too_many = Arc::new(Notify::new());
        let (count, tell, sender) = (AtomicU32::new(0), sending.interim.clone(), too_many.clone());
        hyper::ext::on_informational(&mut request, move |answer| {
            if count.fetch_add(1, Ordering::Relaxed) >= INTERIM_MAX {
                sender.notify_one();
            } else if let Some(tell) = tell.as_ref().filter(|_| answer.status() != StatusCode::CONTINUE) {
                tell(answer.status(), answer.headers().clone());
            }
        });
        self.metrics.origin_requests.increment(1);
        let counted = FromOrigin::asked(self.metrics.traffic.of(&sending.domain.name), origin.tls);
        let mut answer = tokio::select! {
            biased;
            () = too_many.notified() => return Err(refused(format!("more than {INTERIM_MAX} interim answers"))),
            answer = client.request(request) => answer.map_err(|error| OriginError::of(origin, &error))?,
        };
        answer.extensions_mut().insert(counted);
        match unreliable(&answer) {
            Some(why) => Err(refused(why.into())),
            None => Ok(answer),
        }
    }
}

/// The `Host` of requests to an origin: as the settings say, else the domain; of a bucket, which knows no domains, its own.
fn host_of<'a>(origin: &'a Origin, domain: &'a str) -> &'a str {
    let own_port = if origin.tls { ":443" } else { ":80" };
    match (&origin.host_header, &origin.s3) {
        (Some(host), _) => host,
        (None, Some(_)) => origin.address.strip_suffix(own_port).unwrap_or(&origin.address),
        (None, None) => domain,
    }
}

/// Whether an answer says that the origin is out of order, so that another is asked.
fn out_of_order(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// Whether a request may be sent again when it brought no answer.
fn may_be_repeated(method: &Method, body: &UpstreamBody) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && matches!(body, Either::Left(_))
}

/// Why the end of an answer's body, or its meaning, cannot be relied on: RFC 9112 §6.1 and §6.3.
fn unreliable(answer: &Response<Incoming>) -> Option<&'static str> {
    if answer.status().is_informational() {
        return Some("it changes the protocol, unasked");
    }
    let mut codings = answer.headers().get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Some("its transfer coding is not known");
    }
    if answer.headers().contains_key(header::CONTENT_LENGTH) {
        return Some("it has both a length and a transfer coding");
    }
    None
}

/// No body.
pub fn empty() -> UpstreamBody {
    Either::Left(Empty::new())
}

/// The fields of a request to an origin: the viewer's without those of the hop. `Host` is each origin's own.
pub fn upstream_headers(viewer: &HeaderMap, pop: &str) -> HeaderMap {
    let mut headers = viewer.clone();
    crate::policy::fields::strip_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    headers.remove(header::HOST);
    if let Ok(via) = HeaderValue::from_str(&format!("1.1 {pop}")) {
        headers.append(header::VIA, via);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::domain::Settings;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn client() -> OriginClient {
        let id = "pop-1".parse().unwrap();
        let config =
            Config::new(id, "data".into(), String::new(), String::new(), String::new(), String::new());
        OriginClient::new(&config, Arc::default()).unwrap()
    }

    fn domain_at(address: std::net::SocketAddr) -> Domain {
        let settings = Settings::of_origin(format!("http://{address}").parse().unwrap());
        Domain { name: "a.example".into(), settings }
    }

    #[tokio::test]
    async fn what_is_sent_once_takes_no_connection_that_was_kept_for_what_is_repeated() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let domain = domain_at(listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let mut sockets = Vec::new();
            for method in ["GET ", "POST"] {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = [0; 4];
                socket.read_exact(&mut head).await.unwrap();
                assert_eq!(str::from_utf8(&head).unwrap(), method);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                socket.write_all(answer).await.unwrap();
                sockets.push(socket);
            }
        });
        let client = client();
        for method in [Method::GET, Method::POST] {
            let sent = client.send(&domain, (method, "/"), HeaderMap::new(), empty(), None, Instant::now());
            let answer = tokio::time::timeout(Duration::from_secs(10), sent).await;
            assert_eq!(answer.expect("it took the connection that is open").unwrap().status(), 200);
        }
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn interim_answers_are_told_as_they_come_and_100_is_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
        let serving = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert_ne!(socket.read(&mut [0; 4_096]).await.unwrap(), 0);
            let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
            socket.write_all(early.as_bytes()).await.unwrap();
            let told: (StatusCode, HeaderMap) = tell.recv().await.unwrap();
            socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            told
        });
        let (client, domain) = (client(), domain_at(address));
        let interim: Interim = Arc::new(move |status, headers| drop(told.send((status, headers))));
        let headers = HeaderMap::new();
        let sent = client.send(&domain, (Method::GET, "/"), headers, empty(), Some(interim), Instant::now());
        let answer = sent.await.unwrap();
        assert_eq!(answer.status(), 204);
        let (status, headers) = serving.await.unwrap();
        assert_eq!((status.as_u16(), &headers["link"]), (103, &HeaderValue::from_static("</a.css>")));
    }
}
