//! Very many POPs that keep nothing: each follows the log over its own stream, applies it with the protocol's own follower,
//! and sends heartbeats, as a POP does. Measures how long a purge takes to reach all of them.
//!
//! `cargo xtask bench purge` runs it against a control of its own; it prints one JSON object.
#![allow(clippy::print_stdout, reason = "a measurement, run by hand or by xtask")]

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Parser;
use freshen_api::signature::acs3::{self, Credentials, Unsigned};
use freshen_api::v1::wire::{NewPop, PopRequest, PurgeRequest, TaskView};
use freshen_fleet::wire::Position;
use freshen_fleet::{Event, HttpLink, Link};
use freshen_model::area::Area;
use freshen_model::ids::{BootId, DataId, PopId, Seq};
use freshen_model::protocol::follower::{Follower, Identity, Saved};
use freshen_model::protocol::now::Now;
use freshen_model::task::TaskKind;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// As a POP sends them when nothing happens.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// What it may be told.
#[derive(Parser)]
struct Options {
    /// Control's listener for users, `host:port`.
    #[arg(long)]
    users: String,
    /// Control's listener for POPs.
    #[arg(long)]
    fleet: String,
    #[arg(long)]
    access_key_id: String,
    #[arg(long)]
    access_key_secret: String,
    /// A domain of the key's account.
    #[arg(long)]
    domain: String,
    #[arg(long, default_value_t = 1_000)]
    clients: u32,
    /// Purges, one after the other.
    #[arg(long, default_value_t = 200)]
    purges: u32,
}

/// What it prints; times in microseconds, from the sending of the purge.
#[derive(Serialize)]
struct Figures {
    clients: u32,
    purges: u32,
    /// Until control had answered.
    accepted: Spread,
    /// Until a client had the order, all clients and purges.
    received: Spread,
    /// Until the last client of a purge had it.
    last: Spread,
    /// Until control had told that all had confirmed it.
    complete: Spread,
}

#[derive(Serialize)]
struct Spread {
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Spread {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1) - 1;
            times.get(rank).map_or(0, |time| time.as_micros() as u64)
        };
        Spread { p50_us: at(50), p99_us: at(99), max_us: at(100) }
    }
}

/// A client has applied the log up to here.
struct Applied {
    client: u32,
    at: Instant,
    seq: Seq,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let control = Control {
        authority: options.users.clone(),
        key: (options.access_key_id.clone(), options.access_key_secret.clone()),
        client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
    };
    let (report, mut applied) = mpsc::unbounded_channel();
    for number in 0..options.clients {
        let request = PopRequest {
            id: format!("light-{number}").parse()?,
            area: Area::Overseas,
            region: "bench".into(),
        };
        let pop: NewPop = control.call(Method::POST, "/v1/pops", Some(&request)).await?;
        tokio::spawn(follow(number, pop, options.fleet.clone(), report.clone()));
    }
    // The first purges wait for all to follow.
    let (mut accepted, mut received, mut last, mut complete) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..options.purges + 3 {
        let lines = vec![format!("http://{}/light/{number}", options.domain)];
        let request = PurgeRequest::of(TaskKind::Url, lines);
        let sent = Instant::now();
        let task: TaskView = control.call(Method::POST, "/v1/purge", Some(&request)).await?;
        let accepted_after = sent.elapsed();
        let mut came: HashMap<u32, Instant> = HashMap::new();
        while came.len() < options.clients as usize {
            let next = tokio::time::timeout(PATIENCE, applied.recv()).await;
            let next =
                next.with_context(|| format!("{} of {} clients came that far", came.len(), options.clients))?;
            let Applied { client, at, seq } = next.context("no client is left")?;
            // One that follows only now starts from a snapshot, which may be of behind the purge.
            if seq >= task.task.seq {
                came.entry(client).or_insert(at);
            }
        }
        let times: Vec<Duration> = came.values().map(|at| at.duration_since(sent)).collect();
        let complete_after = wait(&control, task).await?.duration_since(sent);
        if number < 3 {
            continue;
        }
        accepted.push(accepted_after);
        last.extend(times.iter().max());
        received.extend(times);
        complete.push(complete_after);
    }
    let figures = Figures {
        clients: options.clients,
        purges: options.purges,
        accepted: Spread::of(accepted),
        received: Spread::of(received),
        last: Spread::of(last),
        complete: Spread::of(complete),
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// When control told that the task is complete.
async fn wait(control: &Control, mut view: TaskView) -> anyhow::Result<Instant> {
    let began = Instant::now();
    while !view.task.status.ended() {
        if began.elapsed() > PATIENCE {
            bail!("task {} is not complete after {PATIENCE:?}", view.task.id);
        }
        let path = format!("/v1/tasks/{}?wait_ms=10000&seen={}", view.task.id, view.revision);
        view = control.call(Method::GET, &path, None::<&()>).await?;
    }
    Ok(Instant::now())
}

/// One light POP, for ever; a line that breaks is opened again.
async fn follow(
    number: u32,
    pop: NewPop,
    fleet: String,
    report: mpsc::UnboundedSender<Applied>,
) -> anyhow::Result<()> {
    let mut name = [0; 16];
    getrandom::fill(&mut name)?;
    let identity = Identity { pop: pop.id.clone(), data: DataId(name), boot: BootId(name), boot_number: 1 };
    let mut follower = Follower::restore(identity, Saved::default(), [], [], 1_000_000);
    let link = HttpLink::new(fleet, &pop.token).map_err(anyhow::Error::msg)?;
    let began = Instant::now();
    loop {
        if let Err(error) = follow_once(number, &pop.id, &link, &mut follower, began, &report).await {
            eprintln!("{}: {error:#}", pop.id);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn follow_once(
    client: u32,
    pop: &PopId,
    link: &HttpLink,
    follower: &mut Follower,
    began: Instant,
    report: &mpsc::UnboundedSender<Applied>,
) -> anyhow::Result<()> {
    let saved = *follower.saved();
    let position = Position {
        pop: pop.clone(),
        log: saved.log,
        watermark: saved.watermark,
        watermark_id: saved.watermark_id,
        takes_peers: false,
        takes_certificates: false,
        expands: false,
    };
    let mut events = link.follow(&position).await?;
    let mut beats = tokio::time::interval(HEARTBEAT_EVERY);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Snapshot(snapshot)) => {
                    let plan = follower.plan_snapshot(&snapshot);
                    follower.commit(&plan);
                    let _ = report.send(Applied { client, at: Instant::now(), seq: snapshot.seq });
                }
                Some(Event::Orders(log, orders)) => {
                    let plan = follower.plan(log, &orders)?;
                    follower.commit(&plan);
                    let seq = follower.saved().watermark;
                    let _ = report.send(Applied { client, at: Instant::now(), seq });
                }
                other => bail!("{other:?}"),
            },
            _ = beats.tick() => {}
        }
        if follower.saved().log.is_some() {
            let now = Now { boot: began.elapsed(), wall: began.elapsed() };
            let beat = follower.heartbeat(now, Vec::new());
            let answer = link.heartbeat(&beat).await?;
            follower.answered(&answer);
        }
    }
}

/// Control, as a user reaches it.
struct Control {
    authority: String,
    key: (String, String),
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Control {
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        let body = body.map(serde_json::to_vec).transpose()?;
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        let unsigned = Unsigned {
            method: method.as_str(),
            path,
            query,
            host: &self.authority,
            content_type: body.as_ref().map(|_| "application/json"),
            body: body.as_deref().unwrap_or_default(),
            action: "v1",
            version: "1",
            date: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs().cast_signed(),
            nonce: &hex::encode(nonce),
        };
        let credentials =
            Credentials { access_key_id: &self.key.0, secret: &self.key.1, security_token: None };
        let headers = acs3::sign(&unsigned, &credentials)?;
        let uri = format!("http://{}{path_and_query}", self.authority);
        let mut request =
            Request::builder().method(method).uri(uri).body(Full::from(body.unwrap_or_default()))?;
        *request.headers_mut() = headers;
        let answer = self.client.request(request).await?;
        let (status, body) = (answer.status(), answer.into_body().collect().await?.to_bytes());
        if !status.is_success() {
            bail!("{path_and_query}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    }
}
