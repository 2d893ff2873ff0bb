//! Server-sent events: what a listener is told, by whom, and from where on.

use crate::stage::{ADA, ANN, BOB, Key, Stage, within};
use freshen_api::gate::{Caller, Gate};
use freshen_control::changes::STREAMS_OF_ACCOUNT_MAX;
use freshen_model::ids::Seq;
use freshen_model::rights::Rights;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::time::Duration;

/// An event as it came.
#[derive(Debug)]
struct Told {
    event: String,
    id: String,
    data: Value,
}

/// Somebody who listens.
struct Events {
    body: Incoming,
    read: String,
}

impl Events {
    async fn open(stage: &Stage, key: Key, target: &str, last_seen: Option<&str>) -> Response<Incoming> {
        let mut request = stage.signed(key, "GET", target, "x", b"");
        if let Some(last_seen) = last_seen {
            request.headers_mut().insert("last-event-id", HeaderValue::from_str(last_seen).unwrap());
        }
        stage.open(request).await
    }

    async fn of(stage: &Stage, key: Key, target: &str, last_seen: Option<&str>) -> Events {
        let answer = Events::open(stage, key, target, last_seen).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Events { body: answer.into_body(), read: String::new() }
    }

    /// The next event; `None` once the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.unwrap_or_default().to_owned()
                };
                let told = Told {
                    event: field("event"),
                    id: field("id"),
                    data: serde_json::from_str(&field("data")).unwrap(),
                };
                self.read = rest.to_owned();
                return Some(told);
            }
            let frame = within(self.body.frame()).await?.unwrap().into_data().unwrap();
            self.read.push_str(std::str::from_utf8(&frame).unwrap());
        }
    }
}

async fn purge(stage: &Stage, key: Key, url: &str) -> Value {
    stage.own(key, "POST", "/v1/purge", json!({ "lines": [url] })).await.1
}

#[tokio::test]
async fn p2_a_purge_is_followed_to_its_end_and_no_farther() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let task = purge(&stage, ANN, "http://a.example/x").await;
    let target = format!("/v1/tasks/{}/events", task["id"].as_str().unwrap());
    let mut events = Events::of(&stage, ANN, &target, None).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["status"]), ("task", &json!("running")));
    assert_eq!(first.data["revision"].to_string(), first.id);
    pop.confirm(Seq(task["seq"].as_u64().unwrap())).await;
    let mut last = first;
    while let Some(told) = events.next().await {
        last = told;
    }
    assert_eq!((last.id.as_str(), &last.data["status"]), ("end", &json!("complete")));
    assert_eq!(last.data["pops"][0]["state"], "confirmed");

    let again = Events::open(&stage, ANN, &target, Some("end")).await;
    assert_eq!(again.status(), 204, "so that a browser does not come back");
    let mut late = Events::of(&stage, ANN, &target, Some("7")).await;
    assert_eq!(late.next().await.unwrap().id, "end");
    assert!(late.next().await.is_none());
}

#[tokio::test]
async fn a_listener_who_saw_the_newest_waits_for_the_next() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let later =
        json!({ "lines": ["http://a.example/x"], "not_before_ms": stage.control.wall_ms() + 600_000 });
    let task = stage.own(ANN, "POST", "/v1/purge", later).await.1;
    let target = format!("/v1/tasks/{}/events", task["id"].as_str().unwrap());
    let seen = task["revision"].to_string();
    let mut events = Events::of(&stage, ANN, &target, Some(&seen)).await;
    stage.clock.advance(Duration::from_millis(600_000));
    let begun = events.next().await.unwrap();
    assert_eq!(begun.data["status"], "running", "a pending task's begin is a change");
}

#[tokio::test]
async fn p8_a_list_tells_of_the_accounts_tasks_and_admins_of_all() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let mut of_ann = Events::of(&stage, ANN, "/v1/events", None).await;
    let mut of_ada = Events::of(&stage, ADA, "/v1/events", None).await;
    let ready = of_ann.next().await.unwrap();
    assert_eq!((ready.event.as_str(), of_ada.next().await.unwrap().event.as_str()), ("ready", "ready"));
    let bobs = purge(&stage, BOB, "http://b.example/x").await;
    let anns = purge(&stage, ANN, "http://a.example/x").await;
    pop.confirm(Seq(anns["seq"].as_u64().unwrap())).await;

    let ended = async |events: &mut Events, wanted: &Value| {
        let mut others = 0;
        loop {
            let told = events.next().await.unwrap();
            assert_eq!(told.event, "task");
            others += u32::from(told.data["id"] != *wanted);
            if told.data["id"] == *wanted && told.data["status"] == "complete" {
                return (others, told.id);
            }
        }
    };
    let (others, seen) = ended(&mut of_ann, &anns["id"]).await;
    assert_eq!(others, 0);
    ended(&mut of_ada, &bobs["id"]).await;

    // Who was away is told what he missed, and who was away too long that he did.
    let mut again = Events::of(&stage, ANN, "/v1/events", Some(&ready.id)).await;
    assert_eq!(again.next().await.unwrap().id, ready.id);
    assert_eq!(ended(&mut again, &anns["id"]).await, (0, seen));
    let mut ancient = Events::of(&stage, ANN, "/v1/events", Some("7")).await;
    ancient.next().await.unwrap();
    assert_eq!(ancient.next().await.unwrap().event, "missed");

    let id = anns["id"].as_str().unwrap();
    let foreign = Events::open(&stage, BOB, &format!("/v1/tasks/{id}/events"), None).await;
    assert_eq!(foreign.status(), 404);
    let unreadable = Events::open(&stage, ANN, "/v1/events", Some("moon")).await;
    assert_eq!(unreadable.status(), 400);
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_control() {
    let stage = Stage::set().await;
    stage
        .own(
            ADA,
            "PUT",
            "/v1/accounts/ann/limits",
            json!({
                "url": 1, "directory": 1, "prefetch": 1, "requests_per_s": 1_000,
            }),
        )
        .await;
    let mut open = Vec::new();
    for _ in 0..STREAMS_OF_ACCOUNT_MAX {
        open.push(Events::of(&stage, ANN, "/v1/events", None).await);
    }
    let refused = stage.own(ANN, "GET", "/v1/events", Value::Null).await;
    assert_eq!((refused.0, &refused.1["error"]["code"]), (429, &json!("too_many_requests")));
    assert_eq!(Events::open(&stage, BOB, "/v1/events", None).await.status(), 200, "each account has its own");
    stage.stop.cancel();
    for mut events in open {
        events.next().await.unwrap();
        assert!(events.next().await.is_none());
    }
}

/// What a stream asks at each heartbeat.
#[tokio::test]
async fn p8_who_lost_his_key_does_not_listen_on() {
    let stage = Stage::set().await;
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::open(stage.control.clone(), folder.path()).unwrap();
    let of = |id: &str| Caller {
        account: "ann".into(),
        admin: false,
        access_key_id: id.into(),
        rights: Rights::default(),
        temporary: false,
    };
    assert!(gate.keeps(&of(ANN.0)).await.unwrap());
    let minute = Duration::from_secs(60);
    let token = stage.control.issue("ann", Rights::default(), minute).await.unwrap();
    assert!(gate.keeps(&of(&token.key.id)).await.unwrap());
    stage.clock.advance(minute);
    assert!(!gate.keeps(&of(&token.key.id)).await.unwrap());
    stage.control.disable_key(ANN.0).await.unwrap();
    assert!(!gate.keeps(&of(ANN.0)).await.unwrap());
    assert!(!gate.keeps(&of("nobody")).await.unwrap());
}
