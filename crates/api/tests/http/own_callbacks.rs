//! `/v1/callbacks`: what became of them, for their account alone.

use crate::stage::{ANN, BOB, Stage};
use freshen_model::callback::NewCallback;
use serde_json::{Value, json};

#[tokio::test]
async fn p8_callbacks_and_their_secret_are_their_accounts_own() {
    let stage = Stage::set().await;
    let new = NewCallback {
        id: "task-7".into(),
        account: "ann".into(),
        event: "task.ended".into(),
        url: "http://127.0.0.1:1/hook".into(),
        body: "{}".into(),
        // Far enough that it is not sent meanwhile.
        at_ms: i64::MAX / 2,
    };
    stage.control.queue_callbacks(vec![new]).await.unwrap();
    let (_, list) = stage.own(ANN, "GET", "/v1/callbacks", Value::Null).await;
    let mut row = list["callbacks"][0].clone();
    row.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_ms"));
    let url = "http://127.0.0.1:1/hook";
    let shown = json!({ "id": "task-7", "event": "task.ended", "url": url, "state": "waiting", "tries": 0 });
    assert_eq!((row, &list["next"]), (shown, &Value::Null));
    let (_, theirs) = stage.own(BOB, "GET", "/v1/callbacks?limit=1", Value::Null).await;
    assert_eq!(theirs, json!({ "callbacks": [] }));
    let (_, ours) = stage.own(ANN, "GET", "/v1/callback-secret", Value::Null).await;
    assert!(ours["secret"].as_str().unwrap().starts_with("whsec_"), "{ours}");
    assert_ne!(stage.own(BOB, "GET", "/v1/callback-secret", Value::Null).await.1, ours);
    assert_eq!(stage.own(ANN, "GET", "/v1/callbacks?limit=101", Value::Null).await.0, 400);
}
