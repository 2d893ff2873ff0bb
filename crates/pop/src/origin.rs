//! The way to origins: the only place where a POP opens connections for content, and only to a domain's own origin.

use crate::config::Config;
use crate::metrics::Metrics;
use bytes::Bytes;
use freshen_fleet::causes;
use freshen_model::domain::Origin as OriginAddress;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What goes to an origin as a body: nothing, or what the viewer sends.
pub type UpstreamBody = Either<Empty<Bytes>, Incoming>;

/// A client for all origins, with its pool of connections.
pub struct OriginClient {
    client: Client<HttpsConnector<HttpConnector>, UpstreamBody>,
    head_max: Duration,
    metrics: Arc<Metrics>,
}

/// Why an origin gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No connection, or it broke before the answer began.
    #[error("the origin {0} is not reached: {1}")]
    Unreachable(String, String),
    /// No answer began in time.
    #[error("the origin {0} did not answer within {1:?}")]
    TimedOut(String, Duration),
}

impl OriginError {
    /// Whether time ran out, which viewers are told as 504 instead of 502.
    pub fn timed_out(&self) -> bool {
        matches!(self, OriginError::TimedOut(..))
    }
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
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust(config.origin_ca_file.as_deref())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(256)
            .http1_max_buf_size(config.head_bytes_max)
            .http1_max_headers(200)
            .build(connector);
        Ok(OriginClient { client, head_max: Duration::from_millis(config.origin_head_ms_max), metrics })
    }

    /// Sends a request to a domain's origin; `path_and_query` and `headers` are as they shall arrive there. Redirects are
    /// answers like others: whatever they name, nothing is opened there.
    pub async fn send(
        &self,
        origin: &OriginAddress,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: UpstreamBody,
    ) -> Result<Response<Incoming>, OriginError> {
        let unreachable = |reason: String| OriginError::Unreachable(origin.address.clone(), reason);
        let uri = Uri::builder()
            .scheme(if origin.tls { "https" } else { "http" })
            .authority(origin.address.as_str())
            .path_and_query(path_and_query)
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        self.metrics.origin_requests.increment(1);
        let answer = match tokio::time::timeout(self.head_max, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(causes(&error))),
            Err(_) => Err(OriginError::TimedOut(origin.address.clone(), self.head_max)),
        };
        if let Err(error) = &answer {
            self.metrics.origin_errors.increment(1);
            tracing::debug!(%error, "no answer from an origin");
        }
        answer
    }
}

/// Who vouches for origins: the machine's certificates, and those of a file.
fn trust(file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let machines = rustls_native_certs::load_native_certs();
    for error in machines.errors {
        tracing::warn!(%error, "a certificate of the machine is not trusted");
    }
    roots.add_parsable_certificates(machines.certs);
    if let Some(file) = file {
        let said = |error: String| format!("origin_ca_file {}: {error}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| said(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| said(error.to_string()))?;
            roots.add(certificate).map_err(|error| said(error.to_string()))?;
        }
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The fields of a request to an origin: the viewer's without those of the hop, `Host` as the settings say.
pub fn upstream_headers(viewer: &HeaderMap, origin: &OriginAddress, domain: &str, pop: &str) -> HeaderMap {
    let mut headers = viewer.clone();
    crate::policy::fields::strip_hop_by_hop(&mut headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    let host = origin.host_header.as_deref().unwrap_or(domain);
    if let Ok(host) = HeaderValue::from_str(host) {
        headers.insert(header::HOST, host);
    }
    if let Ok(via) = HeaderValue::from_str(&format!("1.1 {pop}")) {
        headers.append(header::VIA, via);
    }
    headers
}
