//! `/v1/media`: the library of the caller's account.

use crate::stage::{ANN, BOB, Stage};
use serde_json::{Value, json};

fn stream(media: &str, url: &str) -> Value {
    json!({ "media": media, "url": url, "format": "m3u8", "definition": "HD", "type": "video" })
}

#[tokio::test]
async fn streams_are_added_listed_and_removed() {
    let stage = Stage::set().await;
    let streams = json!([stream("m1", "http://a.example/1.m3u8"), stream("m2", "http://a.example/2.m3u8")]);
    let (status, _) = stage.own(ANN, "POST", "/v1/media", json!({ "streams": streams })).await;
    assert_eq!(status, 204);
    let (_, list) = stage.own(ANN, "GET", "/v1/media", Value::Null).await;
    assert_eq!(list, json!({ "streams": streams }));
    let (_, list) = stage.own(ANN, "GET", "/v1/media?media=m2&limit=1", Value::Null).await;
    assert_eq!(list, json!({ "streams": [streams[1]] }));
    let (_, first) = stage.own(ANN, "GET", "/v1/media?limit=1", Value::Null).await;
    assert_eq!(first["streams"], json!([streams[0]]));
    let second = format!("/v1/media?limit=1&cursor={}", first["next"].as_str().unwrap());
    let (_, second) = stage.own(ANN, "GET", &second, Value::Null).await;
    assert_eq!(second, json!({ "streams": [streams[1]] }));
    assert_eq!(stage.own(ANN, "DELETE", "/v1/media/m1", Value::Null).await.0, 204);
    assert_eq!(stage.own(ANN, "DELETE", "/v1/media/m1", Value::Null).await.0, 404);
    assert_eq!(stage.own(ANN, "GET", "/v1/media?limit=0", Value::Null).await.0, 400);
}

#[tokio::test]
async fn p8_a_library_is_its_accounts_own_and_so_are_the_domains_in_it() {
    let stage = Stage::set().await;
    let ours = json!({ "streams": [stream("m1", "http://a.example/1.m3u8")] });
    assert_eq!(stage.own(ANN, "POST", "/v1/media", ours.clone()).await.0, 204);
    let (_, theirs) = stage.own(BOB, "GET", "/v1/media?media=m1", Value::Null).await;
    assert_eq!(theirs, json!({ "streams": [] }));
    assert_eq!(stage.own(BOB, "DELETE", "/v1/media/m1", Value::Null).await.0, 404);
    let (status, refused) = stage.own(BOB, "POST", "/v1/media", ours).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("unfit")));
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("entry 1, http://a.example/1.m3u8: a.example is not a domain"), "{message}");
    let (_, ours) = stage.own(ANN, "GET", "/v1/media?media=m1", Value::Null).await;
    assert_eq!(ours["streams"].as_array().map(Vec::len), Some(1));
}
