//! A console on loopback, and browsers that remember cookies and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use freshen_control::{Config, Control};
use freshen_ledger::SqliteLedger;
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::role::Role;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub const PASSWORD: &str = "correct horse";

pub struct Stage {
    pub control: Arc<Control>,
    pub ledger: Arc<SqliteLedger>,
    pub address: String,
    _folder: TempDir,
}

/// A page, as it came.
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn has(&self, text: &str) {
        assert!(self.text.contains(text), "{text} is not in {}", self.text);
    }

    #[track_caller]
    pub fn has_not(&self, text: &str) {
        assert!(!self.text.contains(text), "{text} is in {}", self.text);
    }

    /// The token that forms of this page have.
    pub fn token(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"form-token\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Stage {
    /// Account `ann` with `a.example` and account `bob` with `b.example`, one POP that nobody runs, and users: `eva` may
    /// all, `olga` operates for `ann`, `vera` looks on for `ann`.
    pub async fn set() -> Stage {
        let folder = TempDir::new().unwrap();
        let ledger = Arc::new(SqliteLedger::open(&folder.path().join("ledger.sqlite")).unwrap());
        let config = Config { data: folder.path().into(), password_memory_kib: 8, ..Config::default() };
        let control = Control::start(ledger.clone(), &config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = freshen_console::router(control.clone(), false, CancellationToken::new());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        for (account, domain) in [("ann", "a.example"), ("bob", "b.example")] {
            control.add_account(account, false).await.unwrap();
            let settings = Settings::of_origin(format!("http://origin.{domain}").parse().unwrap());
            control.add_domain(account, domain, &settings).await.unwrap();
        }
        control.add_pop(&"pop-asia".parse().unwrap(), Area::Domestic, "north").await.unwrap();
        for (name, role) in [("eva", Role::Admin), ("olga", Role::Operator), ("vera", Role::Viewer)] {
            control.add_user(name, "ann", role, Some(PASSWORD.into())).await.unwrap();
        }
        Stage { control, ledger, address, _folder: folder }
    }

    pub fn browser(&self) -> Browser {
        Browser { address: self.address.clone(), cookie: None, token: String::new() }
    }

    /// A browser in which that user is signed in.
    pub async fn signed_in(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        let page = browser.post("/ui/sign-in", &[("name", name), ("password", PASSWORD)]).await;
        assert_eq!((page.status, page.header("location")), (303, "/ui/"), "{}", page.text);
        browser.token = browser.get("/ui/").await.token();
        browser
    }
}

pub struct Browser {
    address: String,
    /// As it is sent.
    pub cookie: Option<String>,
    /// What forms of its session have.
    pub token: String,
}

impl Browser {
    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// Sends a form of a page of the console.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from(path, fields, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Sends a form with what a browser says of the page that it is from.
    pub async fn post_from(&mut self, path: &str, fields: &[(&str, &str)], from: &[(&str, &str)]) -> Page {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("form-token", &self.token).extend_pairs(fields);
        self.send(Method::POST, path, from, form.finish().into()).await
    }

    async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Page {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let (parts, body) =
            client.request(request.body(Full::new(body)).unwrap()).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let page = Page { status: parts.status.as_u16(), headers: parts.headers, text };
        if let Some((pair, rest)) = page.header("set-cookie").split_once(';') {
            self.cookie = (!rest.contains("Max-Age=0;")).then(|| pair.to_owned());
        }
        page
    }
}
