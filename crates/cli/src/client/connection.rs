//! The connection to control: where it is, the key, and signed requests.

use super::moment;
use crate::say::say;
use bytes::Bytes;
use freshen_api::signature::acs3::{self, Credentials, Unsigned};
use freshen_api::v1::wire::{ErrorBody, ErrorCode, ErrorView, PopList};
use freshen_fleet::causes;
use freshen_model::ids::PopId;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8080";
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Rows that control gives at once.
const ROWS_OF_PAGE_MAX: usize = 100;
/// Before the next page where the account asks too often.
const TOO_OFTEN_PAUSE: Duration = Duration::from_millis(300);
/// Longer than the longest wait that a request may ask for.
const ANSWER_MAX: Duration = Duration::from_secs(45);

/// Where control is, and who asks. Each may also come from the environment or from the client's configuration file.
#[derive(clap::Args)]
pub struct Connection {
    /// Control's address, `http://host:port` [default: http://127.0.0.1:8080].
    #[arg(long, env = "FRESHEN_ENDPOINT", hide_env_values = true)]
    endpoint: Option<String>,
    /// The access key's id.
    #[arg(long, env = "FRESHEN_ACCESS_KEY_ID", hide_env_values = true)]
    access_key_id: Option<String>,
    /// The access key's secret.
    #[arg(long, env = "FRESHEN_ACCESS_KEY_SECRET", hide_env_values = true)]
    access_key_secret: Option<String>,
    /// The token of temporary credentials.
    #[arg(long, env = "FRESHEN_SECURITY_TOKEN", hide_env_values = true)]
    security_token: Option<String>,
    /// A bearer token, instead of an access key.
    #[arg(long, env = "FRESHEN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A TOML file with endpoint, access_key_id and access_key_secret [default: freshen/client.toml in the user's
    /// configuration folder].
    #[arg(long, env = "FRESHEN_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The client's configuration file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// `http://host:port`.
    pub endpoint: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The access key's secret.
    pub access_key_secret: String,
    /// Where viewers reach each POP, `host:port`; for probes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub viewers: BTreeMap<PopId, String>,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Control does not answer.
    #[error("control at {endpoint} is not reached: {reason}")]
    Unreachable {
        /// Where it should be.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// Control refused; nothing was changed.
    #[error("{}", explain(.0))]
    Refused(ErrorView),
    /// The command line cannot be; nothing was sent.
    #[error("{0}")]
    Usage(String),
    /// Control failed, or answered what cannot be understood.
    #[error("{0}")]
    Failed(String),
}

impl ClientError {
    /// Whether control refused because it was asked too often, so that asking again later may do.
    pub fn is_too_often(&self) -> bool {
        matches!(self, ClientError::Refused(error) if error.code == ErrorCode::TooManyRequests)
    }
}

fn explain(error: &ErrorView) -> String {
    if error.lines.is_empty() {
        return error.message.clone();
    }
    let line = |bad: &freshen_api::v1::wire::BadLineView| {
        format!("line {}: {}\n    {}", bad.line, bad.reason, bad.text)
    };
    let lines: Vec<String> = error.lines.iter().map(line).collect();
    format!("nothing was submitted\n{}", lines.join("\n"))
}

/// A client of one control.
pub struct Control {
    endpoint: String,
    authority: String,
    credential: Credential,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What says who asks.
enum Credential {
    /// Signs each request.
    Key { id: String, secret: String, security_token: Option<String> },
    /// Goes with each request.
    Bearer(String),
}

impl Connection {
    /// Puts together what was given, in this order: arguments, environment, file, default.
    pub fn open(&self) -> Result<Control, ClientError> {
        let file = self.file()?;
        let (mut endpoint, mut id, mut secret) = (None, None, None);
        if let Some(file) = file {
            (endpoint, id, secret) =
                (Some(file.endpoint), Some(file.access_key_id), Some(file.access_key_secret));
        }
        let pick = |given: &Option<String>, filed| given.clone().or(filed);
        let endpoint = pick(&self.endpoint, endpoint).unwrap_or_else(|| DEFAULT_ENDPOINT.into());
        if let Some(token) = &self.token {
            return Control::with(&endpoint, Credential::Bearer(token.clone()));
        }
        let missing = |what: &str, variable: &str| {
            ClientError::Usage(format!(
                "no {what}: give --{what}, {variable}, or a client configuration (--config)"
            ))
        };
        let id =
            pick(&self.access_key_id, id).ok_or_else(|| missing("access-key-id", "FRESHEN_ACCESS_KEY_ID"))?;
        let secret = pick(&self.access_key_secret, secret)
            .ok_or_else(|| missing("access-key-secret", "FRESHEN_ACCESS_KEY_SECRET"))?;
        let security_token = self.security_token.clone();
        Control::with(&endpoint, Credential::Key { id, secret, security_token })
    }

    /// Where viewers reach each POP, as the client's configuration file says.
    pub fn viewers(&self) -> Result<BTreeMap<PopId, String>, ClientError> {
        Ok(self.file()?.map(|file| file.viewers).unwrap_or_default())
    }

    fn file(&self) -> Result<Option<ClientConfig>, ClientError> {
        let path = match (&self.config, default_file()) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) if path.exists() => path,
            _ => return Ok(None),
        };
        crate::config_file::read(&path).map(Some).map_err(|error| ClientError::Usage(format!("{error:#}")))
    }
}

fn default_file() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(folder.join("freshen/client.toml"))
}

impl Control {
    /// Control at `http://host:port`, asked with that access key.
    pub fn at(endpoint: &str, access_key_id: String, secret: String) -> Result<Control, ClientError> {
        Control::with(endpoint, Credential::Key { id: access_key_id, secret, security_token: None })
    }

    fn with(endpoint: &str, credential: Credential) -> Result<Control, ClientError> {
        let malformed = || ClientError::Usage(format!("the endpoint {endpoint:?} is not http://host:port"));
        let uri: Uri = endpoint.parse().map_err(|_| malformed())?;
        let authority = uri.authority().ok_or_else(malformed)?.to_string();
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(malformed());
        }
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Ok(Control { endpoint: endpoint.to_owned(), authority, credential, client })
    }

    /// `GET`.
    pub async fn get<T: DeserializeOwned>(&self, path_and_query: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path_and_query, None::<&()>).await
    }

    /// The rows of a list, page by page, up to `rows_max`; `path` ends with `?` or a parameter and `&`. Says whether there are
    /// more.
    pub async fn list<L: DeserializeOwned, T>(
        &self,
        path: &str,
        rows_max: usize,
        mut open: impl FnMut(L) -> (Vec<T>, Option<String>),
    ) -> Result<(Vec<T>, bool), ClientError> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let limit = (rows_max - rows.len()).clamp(1, ROWS_OF_PAGE_MAX);
            let (some, next) = match self.get(&format!("{path}limit={limit}{cursor}")).await {
                Ok(page) => open(page),
                Err(error) if error.is_too_often() && !rows.is_empty() => {
                    tokio::time::sleep(TOO_OFTEN_PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            rows.extend(some);
            match next {
                Some(next) if rows.len() < rows_max => cursor = format!("&cursor={}", encode(&next)),
                next => return Ok((rows, next.is_some())),
            }
        }
    }

    /// All POPs.
    pub async fn pops(&self) -> Result<PopList, ClientError> {
        let mut pin = None;
        let open = |list: PopList| {
            pin = list.pin;
            (list.pops, list.next)
        };
        let (pops, _) = self.list("/v1/pops?", usize::MAX, open).await?;
        Ok(PopList { pops, pin, next: None })
    }

    /// The body of events that come as they happen, behind the one that was seen last.
    pub async fn open(&self, path: &str, last_seen: Option<&str>) -> Result<Incoming, ClientError> {
        let failed = |error: &dyn std::fmt::Display| ClientError::Failed(error.to_string());
        let mut request = self.sign(Method::GET, path, None).map_err(|error| failed(&error))?;
        if let Some(last_seen) = last_seen {
            let last_seen = HeaderValue::from_str(last_seen).map_err(|error| failed(&error))?;
            request.headers_mut().insert("last-event-id", last_seen);
        }
        let answer = tokio::time::timeout(ANSWER_MAX, self.client.request(request)).await;
        let answer = answer.map_err(|_| self.unreachable(format!("no answer within {ANSWER_MAX:?}")))?;
        let (head, body) = answer.map_err(|error| self.unreachable(causes(&error)))?.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unreachable(error.to_string()))?;
        Err(self.refused(head.status, &body.to_bytes()))
    }

    /// Any method, with or without a body.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let failed = |error: &dyn std::fmt::Display| ClientError::Failed(error.to_string());
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| failed(&error))?;
        let request = self.sign(method, path_and_query, body).map_err(|error| failed(&error))?;
        let answer = tokio::time::timeout(ANSWER_MAX, async {
            let (head, body) = self
                .client
                .request(request)
                .await
                .map_err(|error| self.unreachable(causes(&error)))?
                .into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| self.unreachable(error.to_string()))?;
            Ok::<_, ClientError>((head.status, body.to_bytes()))
        });
        let (status, body) =
            answer.await.map_err(|_| self.unreachable(format!("no answer within {ANSWER_MAX:?}")))??;
        if status.is_success() {
            let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
            return serde_json::from_slice(&body)
                .map_err(|error| failed(&format!("control's answer is not understood: {error}")));
        }
        Err(self.refused(status, &body))
    }

    /// What an answer without success says.
    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(refused) if status.is_client_error() => ClientError::Refused(refused.error),
            Ok(failure) => ClientError::Failed(format!("control failed: {}", failure.error.message)),
            Err(_) => ClientError::Failed(format!("{} is no control: it answered {status}", self.endpoint)),
        }
    }

    fn sign(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let uri = format!("http://{}{path_and_query}", self.authority);
        let (id, secret, security_token) = match &self.credential {
            Credential::Key { id, secret, security_token } => (id, secret, security_token),
            Credential::Bearer(token) => {
                let request = Request::builder().method(method).uri(uri);
                let request = request.header(header::CONTENT_TYPE, "application/json");
                let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                return Ok(request.body(Full::new(Bytes::from(body.unwrap_or_default())))?);
            }
        };
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        let now = moment::now_s();
        let content_type = body.as_ref().map(|_| "application/json");
        let body = body.unwrap_or_default();
        let unsigned = Unsigned {
            method: method.as_str(),
            path,
            query,
            host: &self.authority,
            content_type,
            body: &body,
            action: "v1",
            version: "1",
            date: now,
            nonce: &hex::encode(nonce),
        };
        let security_token = security_token.as_deref();
        let credentials = Credentials { access_key_id: id, secret, security_token };
        let headers = acs3::sign(&unsigned, &credentials)?;
        let mut request = Request::builder().method(method).uri(uri).body(Full::new(Bytes::from(body)))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Control is not reached, for that reason.
    pub fn unreachable(&self, reason: String) -> ClientError {
        ClientError::Unreachable { endpoint: self.endpoint.clone(), reason }
    }
}

/// A text as part of a query.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Prints one JSON object.
pub fn print_json(value: &impl Serialize) -> Result<(), ClientError> {
    let text = serde_json::to_string(value).map_err(|error| ClientError::Failed(error.to_string()))?;
    say(&text);
    Ok(())
}
