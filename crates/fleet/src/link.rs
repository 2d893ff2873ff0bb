//! A POP's line to control.

use crate::causes::causes;
use crate::line::{JoinToken, to_pinned};
use crate::wire::{
    CERTIFICATE_PATH, CertificateName, CertificateWanted, FOLLOW_PATH, HEARTBEAT_PATH, HandedCertificate,
    MESSAGE_BYTES_MAX, PING_EVERY_MS, Position, Push, Question, RECEIPTS_PATH, REPLY_PATH, Receipts, Reply,
};
use async_trait::async_trait;
use bytes::Bytes;
use freshen_model::ids::LogId;
use freshen_model::order::{Order, Snapshot};
use freshen_model::peers::Peers;
use freshen_model::protocol::heartbeat::{Answer, Heartbeat};
use futures_util::StreamExt;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, BodyStream, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::de::DeserializeOwned;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

/// Silence after which a stream counts as broken.
const SILENCE_MAX: Duration = Duration::from_millis(PING_EVERY_MS * 3);
/// How long a heartbeat or reply may take.
const CALL_MAX: Duration = Duration::from_secs(5);
/// Events that wait for the POP before the line waits too.
const EVENTS_WAITING_MAX: usize = 16;

/// What comes down the line.
#[derive(Debug)]
pub enum Event {
    /// Void everything, take up this state.
    Snapshot(Snapshot),
    /// Orders to apply.
    Orders(LogId, Vec<Order>),
    /// A question to answer.
    Ask(u64, Question),
    /// The other POPs as they are now.
    Peers(Peers),
    /// Which domains have a certificate now.
    Certificates(Arc<Vec<CertificateName>>),
    /// The line broke; nothing more comes.
    Lost(LinkError),
}

/// Why the line does not work.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Control cannot be reached, or the connection broke.
    #[error("control at {address} is not reached: {reason}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What happened.
        reason: String,
    },
    /// Who answers there does not prove to be the control whose pin is in this POP's token. It was told nothing.
    #[error(
        "who answers at {address} is not this POP's control ({reason}): somebody stands between, or control's key is \
         another since the token was made; where you know the latter, write the pin that `freshen pop list` tells at \
         control behind the token's dot"
    )]
    Stranger {
        /// Where it should be.
        address: String,
        /// What it did.
        reason: String,
    },
    /// Control does not know this POP's token.
    #[error("control refuses this POP: {0}")]
    Refused(String),
    /// What came is not of this protocol.
    #[error("control sent something unknown: {0}")]
    Malformed(String),
}

/// A POP's line to control, whatever carries it.
#[async_trait]
pub trait Link: Send + Sync + 'static {
    /// Opens the stream of orders behind `position`; dropping the receiver closes it.
    async fn follow(&self, position: &Position) -> Result<mpsc::Receiver<Event>, LinkError>;

    /// Sends a heartbeat and waits for its answer.
    async fn heartbeat(&self, beat: &Heartbeat) -> Result<Answer, LinkError>;

    /// Answers a question.
    async fn reply(&self, reply: &Reply) -> Result<(), LinkError>;

    /// Brings what was signed; durable at control where this succeeds.
    async fn receipts(&self, receipts: &Receipts) -> Result<(), LinkError>;

    /// Whether nobody between reads along.
    fn is_private(&self) -> bool;

    /// Asks for a domain's certificate. Only over a line that is private.
    async fn certificate(&self, wanted: &CertificateWanted) -> Result<HandedCertificate, LinkError>;
}

/// The line to control's own listener, over HTTP/1.1, by TLS where the token has control's pin.
pub struct HttpLink {
    /// `host:port`.
    address: String,
    /// What this POP proves itself with.
    secret: String,
    client: Caller,
}

/// How control is called.
enum Caller {
    /// In the clear, with a token of before.
    Plain(Client<HttpConnector, Full<Bytes>>),
    /// By TLS, and only who has the key.
    Private(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl HttpLink {
    /// A line to the fleet listener at `address` (`host:port`), with the token that control gave. An error says what the
    /// token is not.
    pub fn new(address: String, token: &str) -> Result<HttpLink, String> {
        let JoinToken { secret, pin } = token.parse().map_err(|error| format!("token: {error}"))?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
        let client = match pin {
            None => Caller::Plain(client.build(connector)),
            Some(pin) => {
                connector.enforce_http(false);
                let connector = HttpsConnectorBuilder::new()
                    .with_tls_config(to_pinned(pin)?)
                    .https_only()
                    .enable_http1()
                    .wrap_connector(connector);
                Caller::Private(client.build(connector))
            }
        };
        Ok(HttpLink { address, secret, client })
    }

    async fn call<A: DeserializeOwned>(
        &self,
        path: &str,
        message: &(impl serde::Serialize + Sync),
    ) -> Result<A, LinkError> {
        let body = self.post(path, json(message)?).await?;
        let bytes = tokio::time::timeout(CALL_MAX, read(body)).await.map_err(|_| {
            LinkError::Unreachable { address: self.address.clone(), reason: "the answer did not end".into() }
        })??;
        serde_json::from_slice(&bytes).map_err(|error| LinkError::Malformed(error.to_string()))
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Incoming, LinkError> {
        let unreachable = |reason: String| LinkError::Unreachable { address: self.address.clone(), reason };
        let scheme = if self.is_private() { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{}{path}", self.address)
            .parse()
            .map_err(|error: http::uri::InvalidUri| unreachable(error.to_string()))?;
        let request = Request::post(uri)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.secret))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unreachable(error.to_string()))?;
        let answered = match &self.client {
            Caller::Plain(client) => client.request(request),
            Caller::Private(client) => client.request(request),
        };
        let response = tokio::time::timeout(CALL_MAX, answered)
            .await
            .map_err(|_| unreachable(format!("no answer within {CALL_MAX:?}")))?
            .map_err(|error| match by_tls(&error) {
                Some(reason) => LinkError::Stranger { address: self.address.clone(), reason },
                None => unreachable(causes(&error)),
            })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let text = read(response.into_body()).await.unwrap_or_default();
        let text = format!("{status}: {}", String::from_utf8_lossy(&text));
        Err(if status.is_client_error() { LinkError::Refused(text) } else { unreachable(text) })
    }
}

#[async_trait]
impl Link for HttpLink {
    async fn follow(&self, position: &Position) -> Result<mpsc::Receiver<Event>, LinkError> {
        let body = self.post(FOLLOW_PATH, json(position)?).await?;
        let (events, received) = mpsc::channel(EVENTS_WAITING_MAX);
        let address = self.address.clone();
        tokio::spawn(async move {
            let lost = tokio::select! {
                lost = read_pushes(body, &events, address) => lost,
                () = events.closed() => return,
            };
            let _ = events.send(Event::Lost(lost)).await;
        });
        Ok(received)
    }

    async fn heartbeat(&self, beat: &Heartbeat) -> Result<Answer, LinkError> {
        self.call(HEARTBEAT_PATH, beat).await
    }

    fn is_private(&self) -> bool {
        matches!(self.client, Caller::Private(_))
    }

    async fn certificate(&self, wanted: &CertificateWanted) -> Result<HandedCertificate, LinkError> {
        self.call(CERTIFICATE_PATH, wanted).await
    }

    async fn reply(&self, reply: &Reply) -> Result<(), LinkError> {
        self.post(REPLY_PATH, json(reply)?).await.map(drop)
    }

    async fn receipts(&self, receipts: &Receipts) -> Result<(), LinkError> {
        self.post(RECEIPTS_PATH, json(receipts)?).await.map(drop)
    }
}

/// Reads pushes into `events` until the stream ends; says how it ended.
async fn read_pushes(body: Incoming, events: &mpsc::Sender<Event>, address: String) -> LinkError {
    let unreachable = |reason: String| LinkError::Unreachable { address: address.clone(), reason };
    let bytes = BodyStream::new(body)
        .map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()).map_err(std::io::Error::other));
    let lines = LinesCodec::new_with_max_length(MESSAGE_BYTES_MAX);
    let mut lines = FramedRead::new(StreamReader::new(bytes), lines);
    loop {
        let line = match tokio::time::timeout(SILENCE_MAX, lines.next()).await {
            Err(_) => return unreachable(format!("nothing heard for {SILENCE_MAX:?}")),
            Ok(None) => return unreachable("closed by control".into()),
            Ok(Some(Err(error))) => return unreachable(causes(&error)),
            Ok(Some(Ok(line))) => line,
        };
        let event = match serde_json::from_str(&line) {
            Ok(Push::Ping) => continue,
            Ok(Push::Snapshot(snapshot)) => Event::Snapshot(snapshot),
            Ok(Push::Orders { log, orders }) => Event::Orders(log, orders),
            Ok(Push::Ask { number, question }) => Event::Ask(number, question),
            Ok(Push::Peers(peers)) => Event::Peers(peers),
            Ok(Push::Certificates(certificates)) => Event::Certificates(certificates),
            Err(error) => return LinkError::Malformed(error.to_string()),
        };
        if events.send(event).await.is_err() {
            return unreachable("not wanted any more".into());
        }
    }
}

/// What TLS had against who answered, where that is the cause of an error.
fn by_tls(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(match tls {
                rustls::Error::General(reason) => reason.clone(),
                other => other.to_string(),
            });
        }
        // What an I/O error carries is not among its sources.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = carried.map(|carried| carried as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

async fn read(body: Incoming) -> Result<Bytes, LinkError> {
    let collected = Limited::new(body, MESSAGE_BYTES_MAX).collect().await;
    collected.map(|body| body.to_bytes()).map_err(|error| LinkError::Malformed(error.to_string()))
}

fn json<T: serde::Serialize>(message: &T) -> Result<Vec<u8>, LinkError> {
    serde_json::to_vec(message).map_err(|error| LinkError::Malformed(error.to_string()))
}
