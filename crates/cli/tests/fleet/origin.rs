//! An origin that does as told: what it answers, and when.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

/// What the origin has at a path.
#[derive(Clone)]
pub struct Page {
    pub status: StatusCode,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// For requests that accept gzip; then the answer varies.
    pub gzip: Option<Bytes>,
    /// Whether each request gets a body of its own.
    pub each_anew: bool,
}

impl Page {
    /// A page that stays fresh for a day, with a strong validator made of its text.
    pub fn new(text: impl Into<Bytes>) -> Page {
        let body = text.into();
        let tag = format!("\"{:08x}-{}\"", crc32fast::hash(&body), body.len());
        let headers = vec![("cache-control", "public, max-age=86400".into()), ("etag", tag)];
        Page { status: StatusCode::OK, headers, body, gzip: None, each_anew: false }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Page {
        self.headers.retain(|(there, _)| *there != name);
        self.headers.push((name, value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Page {
        self.headers.retain(|(there, _)| *there != name);
        self
    }

    pub fn status(mut self, status: u16) -> Page {
        self.status = StatusCode::from_u16(status).unwrap();
        self
    }

    /// A page whose body is another one for each request.
    pub fn made_anew() -> Page {
        Page { each_anew: true, ..Page::new("").without("etag") }
    }

    pub fn gzip(mut self, bytes: impl Into<Bytes>) -> Page {
        self.gzip = Some(bytes.into());
        self.with("vary", "Accept-Encoding")
    }
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub path: String,
    pub headers: HeaderMap,
    /// The status it was answered with.
    pub status: StatusCode,
}

impl Arrived {
    pub fn conditional(&self) -> bool {
        self.headers.contains_key(header::IF_NONE_MATCH)
            || self.headers.contains_key(header::IF_MODIFIED_SINCE)
    }
}

/// A request that waits at the origin until the test lets it go on.
pub struct Held {
    release: oneshot::Sender<Release>,
}

enum Release {
    /// As the page was when the request arrived.
    AsItWas,
    /// The head and this many bytes, then the rest once the other end says so.
    Part(usize, oneshot::Receiver<()>),
    /// Cut off after this many bytes.
    Cut(usize),
}

impl Held {
    pub fn answer(self) {
        let _ = self.release.send(Release::AsItWas);
    }

    /// Sends the head and the first bytes; the rest when the sender is used.
    pub fn answer_part(self, bytes: usize) -> oneshot::Sender<()> {
        let (rest, wait) = oneshot::channel();
        let _ = self.release.send(Release::Part(bytes, wait));
        rest
    }

    /// Waits until who asked has left.
    pub async fn left(mut self) {
        let closed = tokio::time::timeout(Duration::from_secs(30), self.release.closed()).await;
        closed.expect("who asked goes on waiting");
    }

    pub fn cut_off(self, bytes: usize) {
        let _ = self.release.send(Release::Cut(bytes));
    }
}

#[derive(Default)]
struct State {
    pages: HashMap<String, Page>,
    arrived: Vec<Arrived>,
    holds: HashMap<String, VecDeque<oneshot::Sender<Held>>>,
}

/// The origin.
#[derive(Clone)]
pub struct Origin {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Origin {
    pub async fn start() -> Origin {
        Origin::listen("127.0.0.1:0", None).await
    }

    /// An origin at an address that is known already.
    pub async fn start_at(address: SocketAddr) -> Origin {
        Origin::listen(&address.to_string(), None).await
    }

    /// An origin behind TLS, with the certificate of its CA, PEM.
    pub async fn start_tls(name: &str) -> (Origin, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (Origin::listen("127.0.0.1:0", Some(TlsAcceptor::from(Arc::new(config)))).await, made.cert.pem())
    }

    async fn listen(address: &str, tls: Option<TlsAcceptor>) -> Origin {
        let listener = TcpListener::bind(address).await.unwrap();
        let origin = Origin { address: listener.local_addr().unwrap(), state: Arc::default() };
        let serving = origin.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (origin, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        // A client that does not trust this origin leaves in the middle of the handshake.
                        Some(tls) => drop(match tls.accept(socket).await {
                            Ok(socket) => origin.serve(socket).await,
                            Err(_) => Ok(()),
                        }),
                        None => drop(origin.serve(socket).await),
                    }
                });
            }
        });
        origin
    }

    async fn serve<S>(&self, socket: S) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| async move { Ok::<_, Infallible>(self.answer(request).await) });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
    }

    pub fn set(&self, path: &str, page: Page) {
        self.state.lock().pages.insert(path.to_owned(), page);
    }

    /// The same for requests with that Accept-Language.
    pub fn set_in(&self, path: &str, language: &str, page: Page) {
        self.set(&in_language(path, language), page);
    }

    /// The next request for `path` waits at the origin; the receiver gets it when it has arrived.
    pub fn hold(&self, path: &str) -> oneshot::Receiver<Held> {
        let (arrived, held) = oneshot::channel();
        self.state.lock().holds.entry(path.to_owned()).or_default().push_back(arrived);
        held
    }

    /// The requests for `path` so far.
    pub fn requests(&self, path: &str) -> Vec<Arrived> {
        self.state.lock().arrived.iter().filter(|arrived| arrived.path == path).cloned().collect()
    }

    /// All requests so far.
    pub fn all(&self) -> Vec<Arrived> {
        self.state.lock().arrived.clone()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, std::io::Error>> {
        let path = request.uri().path_and_query().map_or("/", |both| both.as_str()).to_owned();
        let (page, hold) = {
            let mut state = self.state.lock();
            let language = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|it| it.to_str().ok());
            let in_language = language.and_then(|language| state.pages.get(&in_language(&path, language)));
            let mut page = in_language.or_else(|| state.pages.get(&path)).cloned();
            if let Some(page) = page.as_mut().filter(|page| page.each_anew) {
                page.body = format!("number {}", state.arrived.len()).into();
            }
            let hold = state.holds.get_mut(&path).and_then(VecDeque::pop_front);
            (
                page.unwrap_or_else(|| {
                    Page::new("no such page").status(404).with("cache-control", "no-store")
                }),
                hold,
            )
        };
        let not_modified = request.headers().get(header::IF_NONE_MATCH).is_some_and(|tag| {
            page.headers.iter().any(|(name, value)| *name == "etag" && value.as_bytes() == tag.as_bytes())
        });
        let status = if not_modified { StatusCode::NOT_MODIFIED } else { page.status };
        self.state.lock().arrived.push(Arrived { path, headers: request.headers().clone(), status });
        let mut release = Release::AsItWas;
        if let Some(hold) = hold {
            let (sender, released) = oneshot::channel();
            let _ = hold.send(Held { release: sender });
            release = released.await.unwrap_or(Release::AsItWas);
        }
        let mut response = respond(request.method(), request.headers(), &page, not_modified, release);
        *response.status_mut() = status;
        response
    }
}

/// No path has a space in it.
fn in_language(path: &str, language: &str) -> String {
    format!("{path} {language}")
}

fn respond(
    method: &Method,
    asked: &HeaderMap,
    page: &Page,
    not_modified: bool,
    release: Release,
) -> Response<BoxBody<Bytes, std::io::Error>> {
    let accepts_gzip =
        asked.get(header::ACCEPT_ENCODING).is_some_and(|coding| coding.as_bytes().starts_with(b"gzip"));
    let (body, gzipped) = match &page.gzip {
        Some(gzip) if accepts_gzip => (gzip.clone(), true),
        _ => (page.body.clone(), false),
    };
    let length = body.len();
    let whole = |bytes: Bytes| Full::new(bytes).map_err(|never| match never {}).boxed();
    let payload = match release {
        _ if not_modified || method == Method::HEAD => whole(Bytes::new()),
        Release::AsItWas => whole(body),
        Release::Part(bytes, rest) => {
            let (send, mut receive) = mpsc::channel::<Bytes>(2);
            tokio::spawn(async move {
                let _ = send.send(body.slice(..bytes)).await;
                if rest.await.is_ok() {
                    let _ = send.send(body.slice(bytes..)).await;
                }
            });
            let frames = futures_util::stream::poll_fn(move |context| {
                receive.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            });
            BoxBody::new(StreamBody::new(frames))
        }
        Release::Cut(bytes) => {
            let frames =
                [Ok(Frame::data(body.slice(..bytes))), Err(std::io::Error::other("cut off by the test"))];
            BoxBody::new(StreamBody::new(futures_util::stream::iter(frames)))
        }
    };
    let mut response = Response::new(payload);
    let headers = response.headers_mut();
    for (name, value) in &page.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    if gzipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if !not_modified {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
