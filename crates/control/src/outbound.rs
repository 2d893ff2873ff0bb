//! HTTP from control to addresses that users or the operator named.
//!
//! **Invariant:** a connection goes to an address that was looked at a moment before, and to no other: names are resolved
//! once, and what is special (loopback, private, the machine's own …) is not called unless the configuration has it.
//! Redirects are answers like others, and no proxy of the environment is used.

use crate::config::Outbound as Config;
use bytes::Bytes;
use freshen_fleet::{causes, trust};
use freshen_model::network::{self, Network};
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// To connect to one of them.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Bytes and fields of an answer's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEAD_FIELDS_MAX: usize = 100;

/// Who calls.
pub(crate) struct Outbound {
    allowed: Vec<Network>,
    ca_file: Option<PathBuf>,
    /// Made when it is first needed: the machine's certificates are many.
    tls: OnceLock<Result<TlsConnector, String>>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Empty where it was not wanted.
    pub(crate) body: Bytes,
}

/// Why nothing came back. The texts name hosts and addresses, and nothing of what a receiver said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("{0:?} is no address that can be called")]
    Url(String),
    #[error("{0} is not resolved: {1}")]
    Unresolved(String, String),
    #[error("{0} is {1}, an address that is {2}; it is not called unless `outbound.allow` has it")]
    NotAllowed(String, IpAddr, &'static str),
    #[error("{0} is not reached: {1}")]
    Unreachable(String, String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("{0} did not answer: {1}")]
    BrokeOff(String, String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl Outbound {
    /// An error says what of the certificates to trust cannot be read.
    pub(crate) fn new(config: &Config) -> Result<Outbound, String> {
        let outbound =
            Outbound { allowed: config.allow.clone(), ca_file: config.ca_file.clone(), tls: OnceLock::new() };
        if outbound.ca_file.is_some() {
            outbound.tls()?;
        }
        Ok(outbound)
    }

    /// Posts JSON, within `time_max`. Of the answer's body at most `answer_bytes_max` are taken;
    /// where that is 0, it is not read.
    pub(crate) async fn post(
        &self,
        url: &str,
        mut headers: HeaderMap,
        body: String,
        time_max: Duration,
        answer_bytes_max: usize,
    ) -> Result<Answer, OutboundError> {
        let uri: Uri = url.parse().map_err(|_| OutboundError::Url(url.to_owned()))?;
        let target = Target::of(&uri).ok_or_else(|| OutboundError::Url(url.to_owned()))?;
        headers.insert(HOST, target.host_field.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("freshen"));
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path_of(&uri);
        *request.headers_mut() = headers;
        let exchange = self.exchange(&target, request, answer_bytes_max);
        tokio::time::timeout(time_max, exchange).await.unwrap_or(Err(OutboundError::TimedOut(time_max)))
    }

    async fn exchange(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        answer_bytes_max: usize,
    ) -> Result<Answer, OutboundError> {
        let stream = self.connect(target).await?;
        if !target.tls {
            return send(target, stream, request, answer_bytes_max).await;
        }
        let connector = self.tls().map_err(OutboundError::Tls)?;
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| OutboundError::Tls(format!("no certificate can be of {}", target.host)))?;
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| OutboundError::Tls(causes(&error)))?;
        send(target, stream, request, answer_bytes_max).await
    }

    /// Connects to the first address of the host that may be called and answers.
    async fn connect(&self, target: &Target) -> Result<TcpStream, OutboundError> {
        let Target { host, port, .. } = target;
        let unresolved = |error: String| OutboundError::Unresolved(host.clone(), error);
        let addresses = tokio::net::lookup_host((host.as_str(), *port)).await;
        let mut last = unresolved("it has no address".into());
        let mut tried = 0;
        for address in addresses.map_err(|error| unresolved(error.to_string()))? {
            if let Err(why) = self.look_at(address.ip()) {
                last = OutboundError::NotAllowed(host.clone(), address.ip(), why);
                continue;
            }
            match connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = OutboundError::Unreachable(host.clone(), error),
            }
            tried += 1;
            if tried == ADDRESSES_MAX {
                break;
            }
        }
        Err(last)
    }

    /// Says why an address is not called.
    fn look_at(&self, address: IpAddr) -> Result<(), &'static str> {
        if self.allowed.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        match network::special(address) {
            Some(why) => Err(why),
            None if is_own(address) => Err("this machine's own"),
            None => Ok(()),
        }
    }

    fn tls(&self) -> Result<TlsConnector, String> {
        let make = || {
            let mut tls = trust(self.ca_file.as_deref())?;
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(TlsConnector::from(Arc::new(tls)))
        };
        self.tls.get_or_init(make).clone()
    }
}

/// Only an address of this machine can be bound.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    match tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address)).await {
        Ok(stream) => stream.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no connection within {CONNECT_MAX:?}")),
    }
}

async fn send(
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    answer_bytes_max: usize,
) -> Result<Answer, OutboundError> {
    let broke_off = |error: hyper::Error| OutboundError::BrokeOff(target.host.clone(), causes(&error));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEAD_FIELDS_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broke_off)?;
    // Ends with this call, however that ends.
    let mut carrying = JoinSet::new();
    carrying.spawn(connection);
    let answer = sender.send_request(request).await.map_err(broke_off)?;
    let status = answer.status();
    if answer_bytes_max == 0 {
        return Ok(Answer { status, body: Bytes::new() });
    }
    match Limited::new(answer.into_body(), answer_bytes_max).collect().await {
        Ok(body) => Ok(Answer { status, body: body.to_bytes() }),
        Err(error) if error.is::<LengthLimitError>() => Err(OutboundError::TooLong(answer_bytes_max)),
        Err(error) => Err(OutboundError::BrokeOff(target.host.clone(), causes(error.as_ref()))),
    }
}

/// Where a request goes.
struct Target {
    tls: bool,
    /// A name, or an address without its brackets.
    host: String,
    port: u16,
    host_field: HeaderValue,
}

impl Target {
    fn of(uri: &Uri) -> Option<Target> {
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return None;
        }
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" if tls => 443,
            "" => 80,
            port => port.strip_prefix(':')?.parse().ok()?,
        };
        Some(Target { tls, host, port, host_field: HeaderValue::from_str(authority.as_str()).ok()? })
    }
}

/// The address as it stands in a request line.
fn path_of(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    }
}

#[cfg(test)]
mod tests;
