//! The stage: control with its listeners, callers with their keys, and POPs without a cache.

use bytes::Bytes;
use freshen_api::signature::acs3::{self, Credentials, Unsigned};
use freshen_api::vendor::{Action, Product};
use freshen_control::{Config, Control, ManualClock};
use freshen_fleet::{Event, HttpLink, Link};
use freshen_ledger::{Ledger, NewAccessKey, SqliteLedger};
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::ids::{BootId, DataId, PopId, Seq, TaskId};
use freshen_model::media::{Format, Stream, StreamType};
use freshen_model::protocol::follower::{Follower, Identity, Saved};
use freshen_model::protocol::heartbeat::{PrefetchReport, Standing};
use freshen_model::protocol::now::Now;
use freshen_model::rights::Rights;
use freshen_model::task::{Failure, Progress, Task};
use freshen_model::traffic::{Counted, Traffic};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What is awaited comes far sooner; a test that would hang says so instead.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("what is awaited does not come")
}

/// An access key: its id; the secret is made from it.
#[derive(Clone, Copy)]
pub struct Key(pub &'static str);

/// Owns `a.example`.
pub const ANN: Key = Key("ann-key");
/// Owns `b.example`.
pub const BOB: Key = Key("bob-key");
/// Owns nothing, and is an admin.
pub const ADA: Key = Key("ada-key");

impl Key {
    pub fn secret(self) -> String {
        format!("{}-secret", self.0)
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}: {:?}", self.status, self.body))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub struct Stage {
    pub control: Arc<Control>,
    pub clock: Arc<ManualClock>,
    /// Where callers connect.
    pub address: String,
    /// Where POPs connect.
    pub fleet: String,
    pub stop: CancellationToken,
    /// Ends once the listener has drained.
    pub served: JoinHandle<()>,
    ledger: Arc<SqliteLedger>,
    process: Process,
    folder: TempDir,
    config: Config,
    client: Client<HttpConnector, Full<Bytes>>,
    nonce: AtomicU64,
}

/// What control's tasks run on; ends them all at once wherever they are, and closes their sockets, as kill -9 does.
struct Process(Option<Runtime>);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

impl Stage {
    pub async fn set() -> Stage {
        Stage::set_with(|_| {}).await
    }

    /// With control configured otherwise.
    pub async fn set_with(change: impl FnOnce(&mut Config)) -> Stage {
        let folder = TempDir::new().unwrap();
        let mut config = Config { data: folder.path().into(), ..Config::default() };
        change(&mut config);
        let stage = Stage::raise(folder, config).await;
        for (account, admin, key) in [("ann", false, ANN), ("bob", false, BOB), ("ada", true, ADA)] {
            stage.control.add_account(account, admin).await.unwrap();
            stage.control.add_key(account, Some(key.0.into()), Some(key.secret())).await.unwrap();
        }
        for (account, domain) in [("ann", "a.example"), ("bob", "b.example")] {
            stage.control.add_domain(account, domain, &settings()).await.unwrap();
        }
        stage
    }

    /// One more key, with rights.
    pub async fn add_key(&self, account: &str, key: Key, rights: Rights) {
        let new = NewAccessKey { rights, ..NewAccessKey::of(account, key.0, &key.secret()) };
        self.ledger.put_key(new).await.unwrap();
    }

    /// Media of `ann`: `film` in two definitions and as a playlist, `song`; and `gone`, whose domain is hers no more.
    pub async fn library(&self) {
        let stream = |media: &str, url: &str, format, definition: &str, kind| Stream {
            media: media.into(),
            url: format!("http://{url}"),
            format,
            definition: definition.into(),
            kind,
            duration_s: None,
        };
        let (video, audio) = (StreamType::Video, StreamType::Audio);
        let streams = vec![
            stream("film", "a.example/old.mp4", Format::Mp4, "HD", video),
            stream("film", "a.example/film.m3u8", Format::M3u8, "HD", video),
            stream("film", "a.example/low.mp4", Format::Mp4, "LD", video),
            stream("film", "a.example/film.mp4", Format::Mp4, "HD", video),
            stream("song", "a.example/song.mp3", Format::Mp3, "SQ", audio),
            stream("gone", "gone.example/x.mp4", Format::Mp4, "HD", video),
        ];
        self.control.add_domain("ann", "gone.example", &settings()).await.unwrap();
        self.control.add_streams("ann", streams).await.unwrap();
        self.control.remove_domain(Some("ann"), "gone.example").await.unwrap();
    }

    async fn raise(folder: TempDir, mut config: Config) -> Stage {
        let configured = config.clone();
        // Receivers of callbacks.
        config.outbound.allow = vec!["127.0.0.1".parse().unwrap()];
        // Clients sign by their own clocks; only the clock that fences moves by hand.
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let clock = Arc::new(ManualClock::new(now_ms));
        let ledger = Arc::new(SqliteLedger::open(&folder.path().join("ledger.sqlite")).unwrap());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let (on_ledger, by_clock, stopping) = (ledger.clone(), clock.clone(), stop.clone());
        let raised = runtime.spawn(async move {
            let control = Control::start_with(on_ledger, &config, by_clock).await.unwrap();
            let fleet = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addresses = (fleet.local_addr().unwrap(), listener.local_addr().unwrap());
            tokio::spawn(control.hub().serve(fleet, std::future::pending()));
            let render = Arc::new(|| "freshen_test 1\n".to_owned());
            let router =
                freshen_api::router(control.clone(), &config.data, render, stopping.clone()).unwrap();
            let served = tokio::spawn(freshen_api::serve(listener, router, stopping));
            (control, addresses, served)
        });
        let (control, (fleet, address), served) = raised.await.unwrap();
        Stage {
            control,
            clock,
            address: address.to_string(),
            fleet: fleet.to_string(),
            stop,
            served,
            ledger,
            process: Process(Some(runtime)),
            folder,
            config: configured,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            nonce: AtomicU64::new(0),
        }
    }

    /// The file of its ledger.
    pub fn ledger_path(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.sqlite")
    }

    /// All that lies on control's disk.
    pub fn disk(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    /// Control dies as by kill -9 and starts again on the same folder.
    pub async fn restart(self) -> Stage {
        let Stage { control, ledger, process, folder, config, .. } = self;
        drop((process, control));
        // Its tasks end where they next would await.
        within(async {
            while Arc::strong_count(&ledger) > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(ledger);
        Stage::raise(folder, config).await
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        within(async {
            let response = self.client.request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer { status: parts.status.as_u16(), headers: parts.headers, body }
        })
        .await
    }

    /// An answer whose body is still to come.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        within(self.client.request(request)).await.unwrap()
    }

    /// An unsigned request without a body.
    pub async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// A signed request, not sent yet.
    pub fn signed(
        &self,
        key: Key,
        method: &str,
        target: &str,
        action: &str,
        body: &[u8],
    ) -> Request<Full<Bytes>> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // Of this run of control: another counts from zero again.
        let nonce = format!("{}-{}-{}", key.0, self.address, self.nonce.fetch_add(1, Ordering::Relaxed));
        let unsigned = Unsigned {
            method,
            path,
            query,
            host: &self.address,
            content_type: None,
            body,
            action,
            version: Action::ALL
                .iter()
                .find(|known| known.name() == action)
                .map_or(Product::Vod, |known| known.product())
                .version(),
            date: self.control.wall_ms() / 1_000,
            nonce: &nonce,
        };
        let credentials = Credentials { access_key_id: key.0, secret: &key.secret(), security_token: None };
        let headers = acs3::sign(&unsigned, &credentials).unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{target}", self.address))
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        *request.headers_mut() = headers;
        request
    }

    /// A request to `/v1`, signed.
    pub async fn own(&self, key: Key, method: &str, target: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.send(self.signed(key, method, target, "anything", &body)).await;
        (answer.status, if answer.body.is_empty() { Value::Null } else { answer.json() })
    }

    /// A call of the vendor's API with its parameters in the query, signed.
    pub async fn call(&self, key: Key, action: &str, params: &[(&str, &str)]) -> (u16, Value) {
        let encode = freshen_api::signature::encode::encode;
        let query: Vec<String> =
            params.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = self.signed(key, "POST", &format!("/?{}", query.join("&")), action, b"");
        let answer = self.send(request).await;
        (answer.status, answer.json())
    }

    /// A call whose list in the query is longer than any client library but the SDKs' would send.
    pub async fn long_call(&self, key: Key, action: &str, object_path: &str) -> (u16, Value) {
        let query = format!("ObjectPath={}", freshen_api::signature::encode::encode(object_path));
        let nonce = format!("{}-{}-{}", key.0, self.address, self.nonce.fetch_add(1, Ordering::Relaxed));
        let unsigned = Unsigned {
            method: "POST",
            path: "/",
            query: &query,
            host: &self.address,
            content_type: None,
            body: b"",
            action,
            version: "2017-03-21",
            date: self.control.wall_ms() / 1_000,
            nonce: &nonce,
        };
        let credentials = Credentials { access_key_id: key.0, secret: &key.secret(), security_token: None };
        let mut head = format!("POST /?{query} HTTP/1.1\r\ncontent-length: 0\r\n");
        for (name, value) in &acs3::sign(&unsigned, &credentials).unwrap() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        self.raw((head + "\r\n").as_bytes()).await
    }

    /// Sends bytes as they are on a connection of their own, and reads one answer of JSON.
    pub async fn raw(&self, bytes: &[u8]) -> (u16, Value) {
        within(async {
            let mut socket = TcpStream::connect(&self.address).await.unwrap();
            socket.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            loop {
                let text = String::from_utf8_lossy(&answer);
                if let Some((head, body)) = text.split_once("\r\n\r\n")
                    && let Ok(body) = serde_json::from_str(body)
                {
                    return (head[9..12].parse().unwrap(), body);
                }
                let read = socket.read_buf(&mut answer).await.unwrap();
                assert_ne!(read, 0, "no answer, but {:?}", String::from_utf8_lossy(&answer));
            }
        })
        .await
    }

    /// The task once it has ended.
    pub async fn ended(&self, id: &str) -> Task {
        let id = TaskId(id.parse().unwrap());
        within(async {
            loop {
                let mut watch = self.control.watch(id);
                let seen = watch.number();
                let task = self.control.task(None, id).await.unwrap().unwrap();
                if task.status.ended() {
                    return task;
                }
                watch.changed_after(seen).await;
            }
        })
        .await
    }

    /// Waits until so many requests to viewers of the domain are booked, and no more.
    pub async fn booked(&self, domain: &str, requests: u64) {
        let now_s = self.control.wall_ms() / 1_000;
        within(async {
            loop {
                let between = (now_s - 86_400, now_s + 86_400);
                let points = self.control.traffic(&[domain.to_owned()], between, 300).await.unwrap();
                let booked: u64 = points.iter().map(|point| point.all().requests).sum();
                assert!(booked <= requests, "{booked} requests are booked, which are more than {requests}");
                if booked == requests {
                    return;
                }
            }
        })
        .await
    }

    /// Registers a POP in area domestic; it joins, and has confirmed the log so far.
    pub async fn pop(&self, name: &str) -> Pop {
        let id: PopId = name.parse().unwrap();
        let new = self.control.add_pop(&id, Area::Domestic, "north").await.unwrap();
        let mut pop = Pop::new(&self.fleet, id, new.token);
        pop.confirm(new.record.joined).await;
        pop
    }
}

pub fn settings() -> Settings {
    Settings::of_origin("http://127.0.0.1:8090".parse().unwrap())
}

/// A POP: the protocol's own follower, without a cache.
pub struct Pop {
    pub link: HttpLink,
    follower: Follower,
    token: String,
    events: Option<mpsc::Receiver<Event>>,
    boot: Duration,
    traffic: Vec<Counted>,
    /// How many variants each prefetch names.
    variants: BTreeMap<Seq, u32>,
}

/// So much of a domain, in the order of the fields of [`Traffic`].
pub fn counted(domain: &str, counts: [u64; 9]) -> Counted {
    Counted { domain: domain.to_owned(), total: Traffic::of_counts(counts) }
}

impl Pop {
    fn new(fleet: &str, pop: PopId, token: String) -> Pop {
        let identity = Identity { pop, data: DataId([1; 16]), boot: BootId([1; 16]), boot_number: 1 };
        let follower = Follower::restore(identity, Saved::default(), [], [], 1_000);
        let link = HttpLink::new(fleet.to_owned(), &token).unwrap();
        Pop {
            link,
            follower,
            token,
            events: None,
            boot: Duration::ZERO,
            traffic: Vec::new(),
            variants: BTreeMap::new(),
        }
    }

    /// The same process, once control is back at another address.
    pub fn reconnect(&mut self, stage: &Stage) {
        self.link = HttpLink::new(stage.fleet.clone(), &self.token).unwrap();
        self.events = None;
    }

    /// Where it stands in the log.
    pub fn position(&self) -> freshen_fleet::wire::Position {
        let saved = *self.follower.saved();
        freshen_fleet::wire::Position {
            pop: self.follower.identity().pop.clone(),
            log: saved.log,
            watermark: saved.watermark,
            watermark_id: saved.watermark_id,
            takes_peers: false,
            takes_certificates: false,
            expands: false,
        }
    }

    /// The next thing that control pushes.
    pub async fn event(&mut self) -> Event {
        if self.events.is_none() {
            self.events = Some(self.link.follow(&self.position()).await.unwrap());
        }
        within(self.events.as_mut().unwrap().recv()).await.unwrap()
    }

    /// Applies the log up to `seq` and confirms it.
    pub async fn confirm(&mut self, seq: Seq) {
        self.report(seq, Vec::new()).await;
    }

    /// Confirms the log up to the prefetch of `lines` at `seq`, and reports how it ended.
    pub async fn prefetched(&mut self, seq: Seq, lines: u64, failures: &[(u32, &str)]) {
        let progress = Progress {
            files: lines,
            files_warm: lines - failures.len() as u64,
            files_failed: failures.len() as u64,
            bytes: 100,
            bytes_expected: 100,
            origin_bytes: 100,
            origin_requests: lines,
            ..Progress::default()
        };
        let failures = failures.iter().map(|(line, reason)| Failure {
            line: *line,
            url: None,
            reason: (*reason).into(),
        });
        let failures = failures.collect();
        let report = PrefetchReport { seq, progress, ended: true, variants: 0, failures };
        self.report(seq, vec![report]).await;
    }

    /// Tells what its process counted since it started.
    pub async fn counts(&mut self, traffic: Vec<Counted>) {
        self.traffic = traffic;
        self.report(Seq::ZERO, Vec::new()).await;
        self.traffic = Vec::new();
    }

    /// Its process starts again, with its data folder.
    pub fn restart(&mut self) {
        let identity = self.follower.identity();
        let identity =
            Identity { boot: BootId([2; 16]), boot_number: identity.boot_number + 1, ..identity.clone() };
        let saved = *self.follower.saved();
        self.follower = Follower::restore(identity, saved, [], [], 1_000);
    }

    async fn report(&mut self, seq: Seq, mut reports: Vec<PrefetchReport>) {
        while self.follower.saved().watermark < seq {
            let plan = match self.event().await {
                Event::Snapshot(snapshot) => self.follower.plan_snapshot(&snapshot),
                Event::Orders(log, orders) => self.follower.plan(log, &orders).unwrap(),
                other => panic!("{other:?}"),
            };
            self.follower.commit(&plan);
            let named = plan.prefetches.iter().map(|(seq, order)| (*seq, order.headers.count() as u32));
            self.variants.extend(named);
        }
        for report in &mut reports {
            report.variants = self.variants.get(&report.seq).copied().unwrap_or_default();
        }
        self.boot += Duration::from_millis(1);
        let now = Now { boot: self.boot, wall: self.boot };
        let mut beat = self.follower.heartbeat(now, reports);
        beat.traffic = self.traffic.clone();
        let answer = within(self.link.heartbeat(&beat)).await.unwrap();
        self.follower.answered(&answer);
        assert!(matches!(answer.standing, Standing::Confirmed { .. }), "{answer:?}");
    }
}
