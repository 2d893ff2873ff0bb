//! A viewer: plain requests to one POP, and what came back.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// What a viewer got.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `None` where it broke off.
    pub body: Option<Bytes>,
}

impl Got {
    async fn read(answer: Response<Incoming>) -> Got {
        let (head, body) = answer.into_parts();
        let body = body.collect().await.ok().map(|body| body.to_bytes());
        Got { status: head.status, headers: head.headers, body }
    }

    /// The first word of `X-Cache`.
    pub fn x_cache(&self) -> Option<&str> {
        self.headers.get("x-cache")?.to_str().ok()?.split(' ').next()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_deref().expect("the body broke off")).unwrap()
    }

    pub fn size(&self) -> usize {
        self.body.as_ref().expect("the body broke off").len()
    }

    /// `X-Cache` and the body, for short comparisons.
    pub fn both(&self) -> (&str, &str) {
        (self.x_cache().unwrap_or("(none)"), self.text())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A viewer with connections of its own.
#[derive(Clone)]
pub struct Viewer {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
}

impl Viewer {
    pub fn of(address: String) -> Viewer {
        Viewer { client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()), address }
    }

    pub async fn get(&self, url: &str) -> Got {
        self.send(Method::GET, url, &[], "").await
    }

    /// `None` where nobody answers.
    pub async fn try_get(&self, url: &str) -> Option<Got> {
        self.try_send(Method::GET, url, &[]).await
    }

    /// The same with a method and fields.
    pub async fn try_send(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Option<Got> {
        let answer = self.client.request(self.request(method, url, headers, "")).await.ok()?;
        Some(Got::read(answer).await)
    }

    pub async fn get_gzip(&self, url: &str) -> Got {
        self.send(Method::GET, url, &[("accept-encoding", "gzip")], "").await
    }

    /// Asks, and waits for the head only.
    pub async fn begin(&self, url: &str) -> Incoming {
        self.begin_with(url, &[]).await
    }

    /// The same with fields.
    pub async fn begin_with(&self, url: &str, headers: &[(&str, &str)]) -> Incoming {
        self.ask(Method::GET, url, headers, "").await.into_body()
    }

    pub async fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Got {
        Got::read(self.ask(method, url, headers, body).await).await
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Incoming> {
        self.client.request(self.request(method, url, headers, body)).await.unwrap()
    }

    /// `url` is `host/path`.
    fn request(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Request<Full<Bytes>> {
        let (host, path) = url.split_at(url.find('/').unwrap());
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("host", host)
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        request
    }
}
