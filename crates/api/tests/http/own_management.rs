//! `/v1`: accounts, keys, domains and POPs, and who may manage which.

use crate::stage::{ADA, ANN, BOB, Key, Stage};
use serde_json::{Value, json};

async fn refused(stage: &Stage, key: Key, method: &str, target: &str, body: Value) -> (u16, String) {
    let (status, body) = stage.own(key, method, target, body).await;
    (status, body["error"]["code"].as_str().unwrap_or_else(|| panic!("{status}: {body}")).to_owned())
}

#[tokio::test]
async fn accounts_and_pops_are_the_admins() {
    let stage = Stage::set().await;
    let limits = json!({ "url": 1, "directory": 1, "prefetch": 1 });
    for (method, target, body) in [
        ("GET", "/v1/accounts", Value::Null),
        ("POST", "/v1/accounts", json!({ "name": "cid" })),
        ("PUT", "/v1/accounts/ann/limits", limits),
        ("POST", "/v1/pops", json!({ "id": "pop-x", "area": "domestic" })),
        ("DELETE", "/v1/pops/pop-x", Value::Null),
        ("POST", "/v1/keys", json!({ "account": "bob" })),
        ("POST", "/v1/keys", json!({ "account": "nobody" })),
        ("POST", "/v1/domains", json!({ "name": "c.example", "account": "bob", "settings": origin() })),
    ] {
        let answered = refused(&stage, ANN, method, target, body).await;
        assert_eq!(answered, (403, "forbidden".into()), "{method} {target}");
    }
}

#[tokio::test]
async fn an_account_has_limits() {
    let stage = Stage::set().await;
    let limits = json!({
        "url": 7, "directory": 8, "prefetch": 9, "query": 10, "regex": 11, "tag": 12,
        "requests_per_s": 13, "urls_per_minute": 14, "directories_per_minute": 15, "prefetch_queue": 16,
    });
    let cid = json!({ "name": "cid", "admin": false, "limits": limits });
    assert_eq!(stage.own(ADA, "POST", "/v1/accounts", cid.clone()).await, (200, cid.clone()));
    assert_eq!(refused(&stage, ADA, "POST", "/v1/accounts", cid.clone()).await, (409, "exists".into()));
    let (_, all) = stage.own(ADA, "GET", "/v1/accounts", Value::Null).await;
    let names: Vec<&str> =
        all["accounts"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ada", "ann", "bob", "cid"]);
    assert_eq!(all["accounts"][3], cid);

    let more = json!({
        "url": 70, "directory": 80, "prefetch": 90, "query": 100, "regex": 20, "tag": 1,
        "requests_per_s": 130, "urls_per_minute": 140, "directories_per_minute": 150, "prefetch_queue": 160,
    });
    let (status, changed) = stage.own(ADA, "PUT", "/v1/accounts/cid/limits", more.clone()).await;
    assert_eq!((status, &changed["limits"]), (200, &more));
    assert_eq!(refused(&stage, ADA, "PUT", "/v1/accounts/eve/limits", more).await, (404, "not_found".into()));
    assert_eq!(
        refused(&stage, ADA, "POST", "/v1/accounts", json!({ "name": "a b" })).await,
        (409, "unfit".into())
    );
}

#[tokio::test]
async fn a_key_opens_until_it_is_disabled() {
    let stage = Stage::set().await;
    let (status, new) = stage.own(ANN, "POST", "/v1/keys", json!({})).await;
    assert_eq!((status, &new["account"]), (200, &json!("ann")));
    let (id, secret) = (new["id"].as_str().unwrap(), new["secret"].as_str().unwrap());
    let key = stage.control.key(id).await.unwrap().unwrap();
    assert_eq!((key.secret.as_str(), key.disabled), (secret, false));

    let target = format!("/v1/keys/{id}/disable");
    let foreign = refused(&stage, BOB, "POST", &target, Value::Null).await;
    assert_eq!(foreign, refused(&stage, BOB, "POST", "/v1/keys/nothing/disable", Value::Null).await);
    assert_eq!(foreign, (404, "not_found".into()));
    assert_eq!(stage.own(ANN, "POST", &target, Value::Null).await, (204, Value::Null));
    assert!(stage.control.key(id).await.unwrap().unwrap().disabled);
    assert_eq!(stage.own(ADA, "POST", "/v1/keys", json!({ "account": "bob" })).await.1["account"], "bob");
}

fn origin() -> Value {
    json!({ "origin": { "address": "origin.example:80" } })
}

#[tokio::test]
async fn a_domain_is_added_by_an_admin_and_changed_and_removed_by_its_owner() {
    let stage = Stage::set().await;
    let domain = json!({ "name": "C.Example", "account": "ann", "settings": origin() });
    // A domain names an origin, where POPs then connect to.
    let refusal = refused(&stage, ANN, "POST", "/v1/domains", domain.clone()).await;
    assert_eq!(refusal, (403, "forbidden".into()));
    let (status, new) = stage.own(ADA, "POST", "/v1/domains", domain).await;
    assert_eq!((status, &new["name"], &new["account"]), (200, &json!("c.example"), &json!("ann")));
    let again = json!({ "name": "c.example", "settings": origin() });
    assert_eq!(refused(&stage, ADA, "POST", "/v1/domains", again).await, (409, "exists".into()));

    let mut changed = new.clone();
    changed["settings"]["default_ttl_s"] = json!(60);
    assert_eq!(stage.own(ANN, "PUT", "/v1/domains/c.example", changed.clone()).await, (200, changed.clone()));
    assert_eq!(stage.own(ANN, "GET", "/v1/domains/c.example", Value::Null).await, (200, changed.clone()));
    for (field, value) in [("name", "d.example"), ("account", "bob")] {
        let mut other = changed.clone();
        other[field] = json!(value);
        assert_eq!(refused(&stage, ANN, "PUT", "/v1/domains/c.example", other).await, (409, "unfit".into()));
    }
    let mut elsewhere = changed.clone();
    elsewhere["settings"]["origin"]["address"] = json!("https://x");
    let refusal = refused(&stage, ANN, "PUT", "/v1/domains/c.example", elsewhere.clone()).await;
    assert_eq!(refusal, (403, "forbidden".into()));
    assert_eq!(refused(&stage, ADA, "PUT", "/v1/domains/c.example", elsewhere).await, (409, "unfit".into()));

    let names = async |key| {
        let (_, all) = stage.own(key, "GET", "/v1/domains", Value::Null).await;
        let rows = all["domains"].as_array().unwrap().clone();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(ANN).await, ["a.example", "c.example"]);
    assert_eq!(names(ADA).await, ["a.example", "b.example", "c.example"]);
    assert_eq!(stage.own(ANN, "DELETE", "/v1/domains/c.example", Value::Null).await.0, 204);
    assert_eq!(names(ANN).await, ["a.example"]);
}

#[tokio::test]
async fn settings_are_told_as_they_were_given_and_refused_with_their_name() {
    let stage = Stage::set().await;
    let (_, mut domain) = stage.own(ANN, "GET", "/v1/domains/a.example", Value::Null).await;
    for (name, value) in [
        ("negative_ttl_s", json!(3)),
        ("ranges", json!("whole")),
        (
            "ttl",
            json!([
                { "when": { "path": "/live/" }, "ttl_s": 2, "mode": "default" },
                { "when": { "suffix": ".m3u8" }, "ttl_s": 2, "mode": "override" },
            ]),
        ),
    ] {
        domain["settings"][name] = value;
    }
    let put = async |body: &Value| stage.own(ANN, "PUT", "/v1/domains/a.example", body.clone()).await;
    assert_eq!(put(&domain).await, (200, domain.clone()));
    assert_eq!(stage.own(ANN, "GET", "/v1/domains/a.example", Value::Null).await, (200, domain.clone()));
    // What cannot be read is named with its place, and a slip is not passed over.
    for (name, value, field) in [
        ("ranges", json!("some"), "settings.ranges"),
        ("ttl", json!([{ "when": { "path": "/" }, "ttl_s": -1 }]), "settings.ttl[0].ttl_s"),
        ("retrys", json!(2), "settings.retrys"),
    ] {
        let mut bad = domain.clone();
        bad["settings"][name] = value;
        let (status, answer) = put(&bad).await;
        assert_eq!((status, answer["error"]["field"].as_str()), (400, Some(field)), "{answer}");
    }
    for (name, value, said) in [
        ("ttl", json!([{ "when": { "path": "live" }, "ttl_s": 2 }]), "ttl: "),
        ("negative_ttl_s", json!(31_536_001), "negative_ttl_s: "),
    ] {
        let mut bad = domain.clone();
        bad["settings"][name] = value;
        let (status, answer) = put(&bad).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 409 && message.contains(said), "{status} {message}");
        assert_eq!(answer["error"]["field"], format!("settings.{name}"));
    }
}

#[tokio::test]
async fn a_buckets_secret_is_written_and_never_told() {
    let stage = Stage::set().await;
    let (_, mut domain) = stage.own(ADA, "GET", "/v1/domains/a.example", Value::Null).await;
    domain["settings"]["origin"]["s3"] =
        json!({ "region": "eu-1", "access_key_id": "reader", "secret_access_key": "hush" });
    let put = async |key, body: &Value| stage.own(key, "PUT", "/v1/domains/a.example", body.clone()).await;
    assert_eq!(put(ANN, &domain).await.0, 403, "whom POPs ask, and as whom, is for admins");
    let (status, mut told) = put(ADA, &domain).await;
    assert_eq!(
        (status, &told["settings"]["origin"]["s3"]["secret_access_key"]),
        (200, &json!({ "set": true }))
    );
    for path in ["/v1/domains/a.example", "/v1/domains"] {
        let (_, told) = stage.own(ANN, "GET", path, Value::Null).await;
        assert!(!told.to_string().contains("hush"), "{told}");
    }
    let secret = async || {
        let domain = stage.control.own_domain(None, "a.example").await.unwrap();
        domain.settings.origin.s3.unwrap().secret_access_key
    };
    told["settings"]["default_ttl_s"] = json!(60);
    assert_eq!(put(ANN, &told).await, (200, told.clone()), "what is told can be sent back");
    assert_eq!(secret().await.plain(), Some("hush"));
    told["settings"]["origin"]["s3"]["access_key_id"] = json!("another");
    let (status, answer) = put(ADA, &told).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(status == 409 && message.contains("give the one of another"), "{status} {message}");
}

#[tokio::test]
async fn p8_a_foreign_domain_is_neither_seen_nor_changed() {
    let stage = Stage::set().await;
    let settings = json!({ "name": "a.example", "settings": origin() });
    for (method, body) in [("GET", Value::Null), ("PUT", settings), ("DELETE", Value::Null)] {
        let of = async |name: &str, mut body: Value| {
            if body.is_object() {
                body["name"] = json!(name);
            }
            let (status, body) = stage.own(BOB, method, &format!("/v1/domains/{name}"), body).await;
            (status, body.to_string().replace(name, "NAME"))
        };
        let unknown = of("c.example", body.clone()).await;
        assert_eq!(unknown.0, 404, "{method}");
        assert_eq!(of("a.example", body).await, unknown, "{method}");
    }
    let domain = stage.control.own_domain(Some("ann"), "a.example").await.unwrap();
    assert_eq!(domain.settings, crate::stage::settings());
    assert_eq!(stage.own(ADA, "DELETE", "/v1/domains/a.example", Value::Null).await.0, 204, "admins may");
}

#[tokio::test]
async fn pops_are_seen_by_all_and_managed_by_admins() {
    let stage = Stage::set().await;
    let mut asia = stage.pop("pop-asia").await;
    let new = json!({ "id": "pop-europe", "area": "overseas", "region": "north" });
    let (status, added) = stage.own(ADA, "POST", "/v1/pops", new.clone()).await;
    assert_eq!((status, &added["id"]), (200, &json!("pop-europe")));
    let (secret, pin) = added["token"].as_str().unwrap().split_once('.').expect("a pin");
    assert_eq!((secret.len(), pin), (64, stage.control.line_key().pin().to_string().as_str()));
    assert_eq!(refused(&stage, ADA, "POST", "/v1/pops", new).await, (409, "exists".into()));
    let bad = json!({ "id": "POP", "area": "overseas" });
    assert_eq!(refused(&stage, ADA, "POST", "/v1/pops", bad).await, (400, "malformed".into()));

    asia.confirm(stage.control.log_end()).await;
    let (_, list) = stage.own(ANN, "GET", "/v1/pops", Value::Null).await;
    let at_ms = stage.control.wall_ms();
    let expected = json!([
        { "id": "pop-asia", "area": "domestic", "region": "north", "watermark": 4, "end": 4, "lag": 0,
          "connected": true, "tls": true, "last_contact_ms": at_ms, "may_hold_lease": true },
        { "id": "pop-europe", "area": "overseas", "region": "north", "watermark": 0, "end": 4, "lag": 4,
          "connected": false, "tls": false, "may_hold_lease": false },
    ]);
    assert_eq!((&list["pops"], &list["pin"]), (&expected, &json!(pin)));

    assert_eq!(stage.own(ADA, "DELETE", "/v1/pops/pop-asia", Value::Null).await.0, 204);
    let (_, list) = stage.own(ANN, "GET", "/v1/pops", Value::Null).await;
    assert_eq!(list["pops"][0]["left"], 5, "removed, and has not confirmed it");
    assert_eq!(stage.own(ADA, "DELETE", "/v1/pops/pop-asia?destroyed=true", Value::Null).await.0, 204);
    let (_, list) = stage.own(ANN, "GET", "/v1/pops", Value::Null).await;
    assert_eq!(list["pops"].as_array().unwrap().len(), 1);
    let unknown = refused(&stage, ADA, "DELETE", "/v1/pops/pop-moon", Value::Null).await;
    assert_eq!(unknown, (404, "not_found".into()));
}

#[tokio::test]
async fn p8_an_account_sees_itself_only() {
    let stage = Stage::set().await;
    let of =
        async |key, name: &str| stage.own(key, "GET", &format!("/v1/accounts/{name}"), Value::Null).await;
    assert_eq!(of(ANN, "ann").await.1["limits"]["url"], 2_000);
    assert_eq!(of(ADA, "ann").await.0, 200);
    assert_eq!(
        (of(ANN, "bob").await.0, of(ANN, "nobody").await.0, of(ADA, "nobody").await.0),
        (404, 404, 404)
    );
}
