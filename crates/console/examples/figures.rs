//! How fast pages are, on this machine, over loopback: `cargo xtask bench console`.
#![allow(clippy::print_stdout, reason = "it is a program that prints a table")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use freshen_control::{Config, Control, SubmitRequest, Terms};
use freshen_ledger::SqliteLedger;
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::location::Scheme;
use freshen_model::order::Steer;
use freshen_model::quota::Limits;
use freshen_model::role::Role;
use freshen_model::task::TaskKind;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const RECORDS: usize = 10_000;
const ROUNDS: usize = 100;
const PASSWORD: &str = "correct horse";

/// A browser that is signed in.
struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    cookie: String,
}

impl Browser {
    async fn open(&self, path: &str) -> anyhow::Result<Response<Incoming>> {
        let request =
            Request::get(format!("http://{}{path}", self.address)).header(header::COOKIE, &self.cookie);
        let answer = self.client.request(request.body(Full::default())?).await?;
        anyhow::ensure!(answer.status() == 200, "{path}: {}", answer.status());
        Ok(answer)
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let body = self.open(path).await?.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec())?)
    }

    async fn measured(&self, what: &str, path: &str) -> anyhow::Result<()> {
        let mut took = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            self.get(path).await?;
            took.push(began.elapsed());
        }
        tell(what, took);
        Ok(())
    }
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let ms = |place: usize| took[place.min(took.len() - 1)].as_secs_f64() * 1_000.0;
    println!("{what:<58} {:>8.1} ms {:>8.1} ms", ms(took.len() / 2), ms(took.len() * 99 / 100));
}

fn purge(line: String) -> SubmitRequest {
    SubmitRequest {
        kind: TaskKind::Url,
        force: false,
        soft: false,
        area: None,
        lines: vec![line],
        domains: Vec::new(),
        scheme: Scheme::Required,
        follow: None,
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ledger = SqliteLedger::open(&folder.path().join("ledger.sqlite"))?;
    let config = Config { data: folder.path().into(), ..Config::default() };
    let control = Control::start(Arc::new(ledger), &config).await?;
    set_up(&control).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = freshen_console::router(control.clone(), false, CancellationToken::new());
    tokio::spawn(async move {
        axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
    });
    let browser = signed_in(address).await?;

    println!("{:<58} {:>11} {:>11}", "", "median", "99 of 100");
    browser.measured("the first page", "/ui/").await?;
    let list = "/ui/refresh/records";
    browser.measured(&format!("{RECORDS} records, the newest 50"), list).await?;
    browser.measured("the same, of one state and kind", &format!("{list}?type=url&status=running")).await?;
    browser
        .measured("the same, with a part of a URL that one record has", &format!("{list}?url=/7/x"))
        .await?;
    let mut path = list.to_owned();
    for _ in 0..100 {
        let page = browser.get(&path).await?;
        let (_, rest) = page.split_once("class=\"button\" href=\"").context("there are older ones")?;
        path = rest.split('"').next().unwrap_or_default().replace("&amp;", "&");
    }
    browser.measured("the same, 100 pages further", &path).await?;
    progress(&control, &browser).await
}

async fn set_up(control: &Arc<Control>) -> anyhow::Result<()> {
    control.add_account("ann", false).await?;
    let limits = Limits { urls_per_minute: u64::MAX, ..Limits::all(u64::from(u32::MAX)) };
    control.set_limits("ann", limits).await?;
    control.add_domain("ann", "a.example", &Settings::of_origin("http://origin.example".parse()?)).await?;
    control.add_pop(&"pop-asia".parse()?, Area::Domestic, "north").await?;
    control.add_user("eva", "ann", Role::Operator, Some(PASSWORD.into())).await?;
    let submitted = futures_util::stream::iter(0..RECORDS).map(|n| {
        let control = control.clone();
        async move { control.submit("ann", purge(format!("http://a.example/{n}/x"))).await }
    });
    let mut submitted = submitted.buffer_unordered(64);
    while let Some(done) = submitted.next().await {
        done?;
    }
    Ok(())
}

async fn signed_in(address: SocketAddr) -> anyhow::Result<Browser> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let form = format!("name=eva&password={}", PASSWORD.replace(' ', "+"));
    let request = Request::post(format!("http://{address}/ui/sign-in")).body(Full::from(form))?;
    let answer = client.request(request).await?;
    let cookie = answer.headers().get(header::SET_COOKIE).context("a session")?.to_str()?;
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    Ok(Browser { client, address, cookie })
}

/// From a change in control to the event at the page.
async fn progress(control: &Arc<Control>, browser: &Browser) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for n in 0..20 {
        let later = Some(control.wall_ms() + 3_600_000);
        let terms = Terms { not_before_ms: later, ..Terms::default() };
        let task = control.submit_on("ann", purge(format!("http://a.example/later/{n}")), terms).await?;
        let task = task.submitted.task;
        let mut events = browser.open(&format!("/ui/refresh/records/{task}/live")).await?.into_body();
        events.frame().await.context("how it is at first")??;
        control.steer(Some("ann"), task, Steer::Cancel).await?;
        let began = Instant::now();
        events.frame().await.context("how it is then")??;
        took.push(began.elapsed());
    }
    tell("from a change to the open page", took);
    Ok(())
}
