//! Measures submissions of many accounts at their pace, in rows of a table; `cargo xtask bench api` runs it.
//!
//! `cargo run --release -p freshen-api --example pace [SECONDS]`
//!
//! Each account sends one signed purge of one URL every 20 ms, whether or not the one before is answered, over
//! connections of its own. A time counts from when a request was due, so that a queue in front of control counts too. One
//! POP follows the log, as a POP does, but keeps nothing.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement, run by hand")]

use bytes::Bytes;
use freshen_api::signature::acs3::{self, Credentials, Unsigned};
use freshen_control::{Config, Control};
use freshen_fleet::link::{Event, HttpLink, Link};
use freshen_fleet::wire::Position;
use freshen_ledger::SqliteLedger;
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::ids::{BootId, DataId, PopId};
use freshen_model::protocol::follower::{Follower, Identity, Saved};
use freshen_model::protocol::now::Now;
use freshen_model::quota::Limits;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const ACCOUNTS: u32 = 20;
const REQUESTS_A_SECOND: u32 = 50;
const SECRET: &str = "a-secret-of-this-measurement";

#[tokio::main]
async fn main() {
    let seconds: u32 = std::env::args().nth(1).map_or(30, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(SqliteLedger::open(&folder.path().join("ledger.sqlite")).unwrap());
    let config = Config { data: folder.path().into(), ..Config::default() };
    let control = Control::start(ledger.clone(), &config).await.unwrap();
    let fleet = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let users = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (fleet_address, address) =
        (fleet.local_addr().unwrap().to_string(), users.local_addr().unwrap().to_string());
    tokio::spawn(control.hub().serve(fleet, std::future::pending()));
    let stop = CancellationToken::new();
    let router =
        freshen_api::router(control.clone(), folder.path(), Arc::new(String::new), stop.clone()).unwrap();
    tokio::spawn(freshen_api::serve(users, router, stop));

    let pop: PopId = "pop-1".parse().unwrap();
    let token = control.add_pop(&pop, Area::Domestic, "bench").await.unwrap().token;
    tokio::spawn(follow(pop, HttpLink::new(fleet_address, &token).unwrap()));
    let settings = Settings::of_origin("http://127.0.0.1:9".parse().unwrap());
    for account in 0..ACCOUNTS {
        let name = format!("account-{account}");
        control.add_account(&name, false).await.unwrap();
        control.add_key(&name, Some(key(account)), Some(SECRET.into())).await.unwrap();
        control.add_domain(&name, &format!("a{account}.example"), &settings).await.unwrap();
        control
            .set_limits(&name, Limits { urls_per_minute: 10_000_000, ..Limits::all(10_000_000) })
            .await
            .unwrap();
    }

    let (commits, began) = (ledger.commits(), Instant::now() + Duration::from_millis(200));
    let mut accounts = JoinSet::new();
    for account in 0..ACCOUNTS {
        accounts.spawn(send(account, address.clone(), began, seconds));
    }
    let answers: Vec<(u16, Duration)> = accounts.join_all().await.into_iter().flatten().collect();
    let took = began.elapsed().as_secs_f64();
    let commits = ledger.commits() - commits;

    let mut times: Vec<Duration> =
        answers.iter().filter(|(status, _)| *status == 200).map(|(_, time)| *time).collect();
    times.sort();
    let (accepted, refused) = (times.len(), answers.len() - times.len());
    assert!(accepted > 0, "nothing was accepted");
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "| {ACCOUNTS} × {REQUESTS_A_SECOND} a second, {seconds} s | {accepted} | {refused} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {commits} |",
        accepted as f64 / took,
        percentile(50),
        percentile(90),
        percentile(99),
        percentile(100),
    );
}

fn key(account: u32) -> String {
    format!("key-{account}")
}

/// One account's requests, each at its time; status and time of every answer.
async fn send(account: u32, address: String, began: Instant, seconds: u32) -> Vec<(u16, Duration)> {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let mut answers = JoinSet::new();
    for number in 0..seconds * REQUESTS_A_SECOND {
        let due = began + Duration::from_secs(1) * number / REQUESTS_A_SECOND;
        tokio::time::sleep_until(due.into()).await;
        let request = request(account, number, &address);
        let client = client.clone();
        answers.spawn(async move {
            // One that breaks off is refused, too, and has no status.
            let Ok(answer) = client.request(request).await else { return (0, due.elapsed()) };
            let status = answer.status().as_u16();
            let whole = answer.into_body().collect().await.is_ok();
            (if whole { status } else { 0 }, due.elapsed())
        });
    }
    answers.join_all().await
}

fn request(account: u32, number: u32, address: &str) -> Request<Full<Bytes>> {
    let query = format!("ObjectPath=http%3A%2F%2Fa{account}.example%2Ffilms%2F{number}.mp4");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let unsigned = Unsigned {
        method: "POST",
        path: "/",
        query: &query,
        host: address,
        content_type: None,
        body: b"",
        action: "RefreshVodObjectCaches",
        version: "2017-03-21",
        date: i64::try_from(now).unwrap(),
        nonce: &format!("{account}-{number}"),
    };
    let credentials = Credentials { access_key_id: &key(account), secret: SECRET, security_token: None };
    let headers = acs3::sign(&unsigned, &credentials).unwrap();
    let mut request = Request::post(format!("http://{address}/?{query}")).body(Full::default()).unwrap();
    *request.headers_mut() = headers;
    request
}

/// A POP that applies the log and says so, without a cache.
async fn follow(pop: PopId, link: HttpLink) {
    let identity = Identity { pop, data: DataId([1; 16]), boot: BootId([1; 16]), boot_number: 1 };
    let mut follower = Follower::restore(identity, Saved::default(), [], [], 1_000_000);
    let saved = *follower.saved();
    let position = Position {
        pop: follower.identity().pop.clone(),
        log: saved.log,
        watermark: saved.watermark,
        watermark_id: saved.watermark_id,
        takes_peers: false,
        takes_certificates: false,
        expands: false,
    };
    let began = Instant::now();
    let mut events = link.follow(&position).await.unwrap();
    while let Some(event) = events.recv().await {
        let plan = match event {
            Event::Snapshot(snapshot) => follower.plan_snapshot(&snapshot),
            Event::Orders(log, orders) => follower.plan(log, &orders).unwrap(),
            _ => continue,
        };
        follower.commit(&plan);
        let now = Now { boot: began.elapsed(), wall: began.elapsed() };
        let beat = follower.heartbeat(now, Vec::new());
        follower.answered(&link.heartbeat(&beat).await.unwrap());
    }
}
