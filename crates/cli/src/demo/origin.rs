//! The demo origin: a small web server that tells a cache everything a cache needs to know.
//!
//! Every request looks at the file anew, so that an edit is visible at once and only a cache can serve what was.
//! `GET /freshen-probe` gives another object each time, for `freshen probe`. `GET /_origin/stats` tells what reached the origin, path by path.

mod body;
mod conditions;
mod location;
mod representation;
mod stats;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::client::probe::PROBE_PATH;
use anyhow::Context as _;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::body::Body;
use self::conditions::Ranged;
use self::location::Location;
use self::representation::{Coding, Representation};
use self::stats::{PathStats, Stats};

const CONNECTIONS_MAX: usize = 1024;
const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(30);
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long accepting rests when the machine has run out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const STATS_PATH: &str = "/_origin/stats";
/// What a cache may keep for a day: files, and the way to a directory's slash.
const KEEP_A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");
/// An error is over as soon as the file is there.
const KEEP_NOTHING: HeaderValue = HeaderValue::from_static("no-store");

/// Serves the files under `root` to whoever connects to `listener`, until the future is dropped.
///
/// Fails only when `root` is not a directory that can be read.
pub async fn serve(listener: TcpListener, root: PathBuf) -> anyhow::Result<()> {
    let root = root.canonicalize().with_context(|| format!("the origin's directory {}", root.display()))?;
    anyhow::ensure!(root.is_dir(), "the origin's directory {} is not a directory", root.display());
    let origin = Arc::new(Origin { root, stats: Stats::default(), probes: AtomicU64::new(0) });
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));

    loop {
        // The permit comes first: beyond the limit, connections wait in the kernel's backlog.
        let permit = Arc::clone(&connections).acquire_owned().await?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let origin = Arc::clone(&origin);
        tokio::spawn(async move {
            // Heads and bodies leave in separate writes; Nagle's algorithm would hold the second back.
            let _ = stream.set_nodelay(true);
            let answer = service_fn(move |request| {
                let origin = Arc::clone(&origin);
                async move { Ok::<_, Infallible>(origin.answer(request).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_READ_TIMEOUT)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended");
            }
            drop(permit);
        });
    }
}

struct Origin {
    root: PathBuf,
    stats: Stats,
    /// Objects made for probes so far.
    probes: AtomicU64,
}

impl Origin {
    /// The life of a request: count, locate, negotiate, check the conditions, send.
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let uri = request.uri();
        if uri.path() == STATS_PATH {
            return self.answer_stats(request.method());
        }
        let counted = self.stats.count(uri.path_and_query().map_or("/", |target| target.as_str()));
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return refuse_method(counted);
        }

        if uri.path() == PROBE_PATH {
            return self.answer_probe(request.method(), counted);
        }
        let file = match location::locate(&self.root, uri.path()).await {
            Location::File(file) => file,
            Location::DirectoryWithoutSlash => return redirect_to_slash(uri, counted),
            Location::Nowhere => return refuse(StatusCode::NOT_FOUND, "no such file\n", counted),
        };
        match Representation::open(&file, request.headers().get_all(ACCEPT_ENCODING)).await {
            Ok(found) => send(found, request.method(), request.headers(), counted),
            // Deleted since it was located, or not readable: either way nothing to send.
            Err(error) => {
                tracing::debug!(%error, file = %file.display(), "cannot be opened");
                refuse(StatusCode::NOT_FOUND, "no such file\n", counted)
            }
        }
    }

    /// An object that is another one each time, and that caches may keep for a day.
    fn answer_probe(&self, method: &Method, counted: Arc<PathStats>) -> Response<Body> {
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        let made = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let text = Bytes::from(format!("{number} at {made}\n"));
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        headers.insert(CACHE_CONTROL, KEEP_A_DAY);
        headers.insert(ETAG, header_of(&format!("\"{made}-{number}\"")));
        if method == Method::GET {
            *response.body_mut() = Body::whole(text, counted);
        }
        response
    }

    fn answer_stats(&self, method: &Method) -> Response<Body> {
        let uncounted = Arc::new(PathStats::default());
        if method != Method::GET && method != Method::HEAD {
            return refuse_method(uncounted);
        }
        let json = Bytes::from(self.stats.to_json());
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(json.len()));
        headers.insert(CACHE_CONTROL, KEEP_NOTHING);
        if method == Method::GET {
            *response.body_mut() = Body::whole(json, uncounted);
        }
        response
    }
}

/// Answers with the representation, or the part of it or the 304 that the request's conditions ask for.
fn send(
    found: Representation,
    method: &Method,
    asked: &HeaderMap,
    counted: Arc<PathStats>,
) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    describe(&found, response.headers_mut());

    if conditions::not_modified(asked, &found) {
        counted.note_not_modified();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(CONTENT_TYPE);
        return response;
    }
    // A range of a body compressed on the fly would need everything before it: such bodies are sent whole.
    let ranged = match found.coding {
        Coding::Identity if method == Method::GET => conditions::range(asked, &found, SystemTime::now()),
        _ => Ranged::Whole,
    };
    let (first, length) = match ranged {
        Ranged::Whole => (0, found.version.size),
        Ranged::Part { first, length } => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = format!("bytes {first}-{}/{}", first + length - 1, found.version.size);
            response.headers_mut().insert(CONTENT_RANGE, header_of(&text));
            (first, length)
        }
        Ranged::Unsatisfiable => {
            let mut response = refuse(StatusCode::RANGE_NOT_SATISFIABLE, "no such range\n", counted);
            let text = format!("bytes */{}", found.version.size);
            response.headers_mut().insert(CONTENT_RANGE, header_of(&text));
            return response;
        }
    };
    if found.coding == Coding::Identity {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if method == Method::GET {
        *response.body_mut() = Body::stream(found, first, length, counted);
    }
    response
}

/// The headers that 200, 206 and 304 share (RFC 9110, 15.4.5).
fn describe(found: &Representation, headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, KEEP_A_DAY);
    headers.insert(ETAG, header_of(&found.etag));
    headers.insert(LAST_MODIFIED, header_of(&httpdate::fmt_http_date(found.modified)));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(found.media_type.name));
    if found.media_type.is_text {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    match found.coding {
        Coding::Identity => headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        Coding::Gzip => headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip")),
    };
}

/// `/d` of a directory is another URL than `/d/`; keeping the way to it is as safe as keeping a file.
fn redirect_to_slash(uri: &http::Uri, counted: Arc<PathStats>) -> Response<Body> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = refuse(StatusCode::MOVED_PERMANENTLY, "it is a directory\n", counted);
    response.headers_mut().insert(LOCATION, header_of(&format!("{}/{query}", uri.path())));
    response.headers_mut().insert(CACHE_CONTROL, KEEP_A_DAY);
    response
}

fn refuse_method(counted: Arc<PathStats>) -> Response<Body> {
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n", counted);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn refuse(status: StatusCode, text: &'static str, counted: Arc<PathStats>) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::from_static(text.as_bytes()), counted));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(CACHE_CONTROL, KEEP_NOTHING);
    response
}

/// A header value of text made here or taken from a parsed URI, both of which hold visible ASCII only.
fn header_of(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
