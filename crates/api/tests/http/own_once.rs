//! Idempotency keys: what is sent again is submitted once.

use crate::stage::{ADA, ANN, BOB, Key, Stage};
use freshen_ledger::ONCE_KEPT_MS;
use http::HeaderValue;
use serde_json::{Value, json};
use std::time::Duration;

async fn sent(stage: &Stage, key: Key, target: &str, once: &str, body: Value) -> (u16, Value) {
    let mut request = stage.signed(key, "POST", target, "x", body.to_string().as_bytes());
    request.headers_mut().insert("idempotency-key", HeaderValue::from_str(once).unwrap());
    let answer = stage.send(request).await;
    (answer.status, answer.json())
}

async fn used(stage: &Stage) -> Value {
    stage.own(ANN, "GET", "/v1/quota", Value::Null).await.1["quotas"][0]["used"].clone()
}

fn purge(path: &str) -> Value {
    json!({ "lines": [format!("http://a.example/{path}")] })
}

#[tokio::test]
async fn p4_what_is_sent_again_is_submitted_once_also_over_a_restart() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let (status, first) = sent(&stage, ANN, "/v1/purge", "deploy-7", purge("x")).await;
    assert_eq!((status, used(&stage).await), (200, json!(1)));
    let end = stage.control.log_end();
    let (status, again) = sent(&stage, ANN, "/v1/purge", "deploy-7", purge("x")).await;
    assert_eq!((status, &again["id"], &again["seq"]), (200, &first["id"], &first["seq"]));
    let stage = stage.restart().await;
    // Nor does it matter what would keep it from being submitted now.
    stage
        .own(ADA, "PUT", "/v1/accounts/ann/limits", json!({ "url": 0, "directory": 0, "prefetch": 0 }))
        .await;
    let (status, again) = sent(&stage, ANN, "/v1/purge", "deploy-7", purge("x")).await;
    assert_eq!((status, &again["id"], stage.control.log_end()), (200, &first["id"], end));
    assert_eq!(used(&stage).await, 1);

    for (target, body) in [("/v1/purge", purge("y")), ("/v1/prefetch", purge("x"))] {
        let (status, refused) = sent(&stage, ANN, target, "deploy-7", body).await;
        let error = &refused["error"];
        assert_eq!(
            (status, &error["code"], &error["field"]),
            (409, &json!("key_reused"), &json!("idempotency-key"))
        );
        assert!(error["message"].as_str().unwrap().contains("send a new idempotency key"), "{error}");
    }
    let (status, refused) = sent(&stage, ANN, "/v1/purge", "deploy-8", purge("x")).await;
    assert_eq!((status, &refused["error"]["code"]), (429, &json!("over_quota")));
}

#[tokio::test]
async fn p4_of_many_at_once_one_is_submitted() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let end = stage.control.log_end();
    let sending = (0..20).map(|_| sent(&stage, ANN, "/v1/purge", "once", purge("x")));
    let answers = futures_util::future::join_all(sending).await;
    let (status, first) = &answers[0];
    assert!(answers.iter().all(|(code, task)| code == status && task["id"] == first["id"]), "{answers:?}");
    assert_eq!((status, stage.control.log_end().0 - end.0, used(&stage).await), (&200, 1, json!(1)));
}

#[tokio::test]
async fn p8_a_key_is_its_accounts_and_is_forgotten_after_a_day() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let (_, anns) = sent(&stage, ANN, "/v1/purge", "k", purge("x")).await;
    let bobs = json!({ "lines": ["http://b.example/x"] });
    let (status, bobs) = sent(&stage, BOB, "/v1/purge", "k", bobs).await;
    assert!(status == 200 && bobs["id"] != anns["id"]);
    stage.clock.advance(Duration::from_millis(ONCE_KEPT_MS as u64 + 1));
    let (status, later) = sent(&stage, ANN, "/v1/purge", "k", purge("y")).await;
    assert_eq!(status, 200, "{later}");
    assert_ne!(later["id"], anns["id"]);
}

#[tokio::test]
async fn keys_that_cannot_be_and_answers_that_cannot_be_given_twice_are_refused() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    for key in ["", "a b", &"x".repeat(256)] {
        let (status, refused) = sent(&stage, ANN, "/v1/purge", key, purge("x")).await;
        assert_eq!((status, &refused["error"]["field"]), (400, &json!("idempotency-key")), "{key:?}");
    }
    for target in ["/v1/keys", "/v1/tokens", "/v1/bearer-tokens"] {
        let (status, refused) = sent(&stage, ANN, target, "k", json!({ "expires_s": 60 })).await;
        assert_eq!((status, &refused["error"]["field"]), (400, &json!("idempotency-key")), "{target}");
    }
}
