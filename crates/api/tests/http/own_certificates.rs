//! `/v1`: the certificates that viewers of domains are shown.

use crate::stage::{ADA, ANN, BOB, Key, Stage};
use freshen_model::rights::{Right, Rights};
use serde_json::{Value, json};

const PATH: &str = "/v1/domains/a.example/certificate";

fn made(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

async fn refused(stage: &Stage, key: Key, method: &str, body: Value) -> (u16, Value, String) {
    let (status, body) = stage.own(key, method, PATH, body).await;
    (status, body["error"]["field"].clone(), body["error"]["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_certificate_is_set_read_and_taken_away_and_its_key_told_to_nobody() {
    let stage = Stage::set().await;
    assert_eq!(refused(&stage, ANN, "GET", Value::Null).await.0, 404);
    let (certificate, key) = made("a.example");
    let body = json!({ "certificate": certificate, "key": key, "title": "ours" });
    let (status, set) = stage.own(ANN, "PUT", PATH, body).await;
    assert_eq!(status, 200, "{set}");
    assert_eq!((&set["domain"], &set["title"]), (&json!("a.example"), &json!("ours")));
    assert_eq!(set["names"], json!(["a.example"]));
    assert_eq!(set["certificate"].as_str().unwrap().trim(), certificate.trim());
    assert_eq!(stage.own(ANN, "GET", PATH, Value::Null).await, (200, set.clone()));
    assert_eq!(stage.own(ADA, "GET", PATH, Value::Null).await, (200, set));

    let secret = key.lines().nth(1).unwrap();
    for (target, who) in [
        (PATH, ANN),
        ("/v1/domains/a.example", ANN),
        ("/v1/domains", ADA),
        ("/v1/pops", ADA),
        ("/v1/domains/a.example/traffic", ANN),
    ] {
        let (status, body) = stage.own(who, "GET", target, Value::Null).await;
        assert!(status == 200 && !body.to_string().contains(secret), "{target}: {body}");
    }
    let on_disk = stage.disk();
    assert!(!on_disk.windows(secret.len()).any(|part| part == secret.as_bytes()), "it lies there sealed");

    assert_eq!(stage.own(ANN, "DELETE", PATH, Value::Null).await.0, 204);
    assert_eq!(refused(&stage, ANN, "DELETE", Value::Null).await.0, 404);
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let stage = Stage::set().await;
    let (certificate, key) = made("a.example");
    let (foreign, of_foreign) = made("b.example");
    for (certificate, key, field, says) in [
        (&certificate, &of_foreign, "key", "it is not the key of this certificate"),
        (&foreign, &of_foreign, "certificate", "it is for b.example, and not for a.example"),
        (&key, &key, "certificate", "there is no certificate"),
        (&"x".repeat(70_000), &key, "certificate", "70000 bytes are more than 65536"),
    ] {
        let body = json!({ "certificate": certificate, "key": key });
        let (status, of, message) = refused(&stage, ANN, "PUT", body).await;
        assert_eq!((status, of), (409, json!(field)), "{message}");
        assert!(message.contains(says), "{message}");
    }
}

#[tokio::test]
async fn p8_a_certificate_is_its_accounts_and_changed_by_keys_that_may() {
    let stage = Stage::set().await;
    let (certificate, key) = made("a.example");
    let body = json!({ "certificate": certificate, "key": key });
    for method in ["GET", "PUT", "DELETE"] {
        let sent = if method == "PUT" { body.clone() } else { Value::Null };
        let (status, _, said) = refused(&stage, BOB, method, sent).await;
        assert!(status == 404 && said.contains("domain"), "{method}: {status} {said}");
    }
    let reader = Key("ANN-READS");
    let rights = Rights { may: [Right::Read].into(), domains: None };
    stage.add_key("ann", reader, rights).await;
    assert_eq!(refused(&stage, reader, "PUT", body.clone()).await.0, 403);
    assert_eq!(stage.own(ANN, "PUT", PATH, body).await.0, 200);
    assert_eq!(stage.own(reader, "GET", PATH, Value::Null).await.0, 200);
    assert_eq!(refused(&stage, reader, "DELETE", Value::Null).await.0, 403);
}
