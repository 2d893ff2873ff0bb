//! The status page over real HTTP, of a control on a real ledger.

use bytes::Bytes;
use freshen_control::{Config, Control, SubmitRequest};
use freshen_ledger::SqliteLedger;
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::location::Scheme;
use freshen_model::task::TaskKind;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;

struct Console {
    control: Arc<Control>,
    address: String,
    _folder: TempDir,
}

struct Page {
    status: u16,
    headers: hyper::HeaderMap,
    text: String,
}

impl Console {
    async fn open() -> Console {
        let folder = TempDir::new().expect("a folder");
        let ledger = SqliteLedger::open(&folder.path().join("ledger.sqlite")).expect("a ledger");
        let config = Config { data: folder.path().into(), ..Config::default() };
        let control = Control::start(Arc::new(ledger), &config).await.expect("control");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address").to_string();
        let router = freshen_console::router(control.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Console { control, address, _folder: folder }
    }

    async fn get(&self, path: &str) -> Page {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let uri = format!("http://{}{path}", self.address).parse().expect("a URI");
        let (parts, body) = client.get(uri).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        Page { status: parts.status.as_u16(), headers: parts.headers, text }
    }
}

#[tokio::test]
async fn an_installation_without_pops_says_so() {
    let console = Console::open().await;
    let page = console.get("/ui/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("No POP is registered.") && page.text.contains("<dt>log end</dt><dd>0</dd>"));
}

#[tokio::test]
async fn p8_the_page_shows_health_and_counts_and_nothing_of_any_account() {
    let console = Console::open().await;
    let control = &console.control;
    control.add_account("ann-account", false).await.unwrap();
    let settings = Settings::of_origin("http://origin.example".parse().expect("an origin"));
    control.add_domain("ann-account", "a.example", &settings).await.unwrap();
    control.add_pop(&"pop-asia".parse().unwrap(), Area::Domestic, "north").await.unwrap();
    let request = SubmitRequest {
        kind: TaskKind::Url,
        force: false,
        soft: false,
        area: None,
        lines: vec!["http://a.example/secret".into()],
        scheme: Scheme::Required,
        follow: None,
        domains: Vec::new(),
    };
    control.submit("ann-account", request).await.unwrap();

    let page = console.get("/ui/").await;
    for shown in [
        "<dt>log end</dt><dd>3</dd>",
        "<dt>POPs connected</dt><dd>0 of 1</dd>",
        "<dt>tasks running</dt><dd>1</dd>",
        "<td>pop-asia</td><td>domestic</td><td>north</td><td class=\"count\">0</td><td class=\"count\">3</td>",
        "<td>never</td><td>no</td><td>none</td>",
        "<meta http-equiv=\"refresh\" content=\"5\">",
    ] {
        assert!(page.text.contains(shown), "{shown} is not in {}", page.text);
    }
    for hidden in ["a.example", "secret", "ann-account", "origin.example"] {
        assert!(!page.text.contains(hidden), "{hidden} is in {}", page.text);
    }
}

#[tokio::test]
async fn a_browser_fetches_nothing_from_elsewhere() {
    let console = Console::open().await;
    for (path, status, content_type) in [
        ("/ui/", 200, "text/html; charset=utf-8"),
        ("/ui/nothing", 404, "text/html; charset=utf-8"),
        ("/ui/freshen.css", 200, "text/css; charset=utf-8"),
    ] {
        let page = console.get(path).await;
        assert_eq!(
            (page.status, page.headers["content-type"].to_str().unwrap()),
            (status, content_type),
            "{path}"
        );
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; "), "{policy}");
        assert!(!page.text.contains("://") && !page.text.contains("<script"), "{path}: {}", page.text);
    }
    let page = console.get("/ui").await;
    assert_eq!((page.status, page.headers["location"].to_str().unwrap()), (308, "/ui/"));
}
