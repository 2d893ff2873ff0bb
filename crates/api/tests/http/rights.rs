//! What keys may do: rights, temporary credentials, pace, and once only over a restart.

use crate::stage::{ADA, ANN, Answer, BOB, Key, Stage, settings};
use freshen_api::signature::acs3::{self, Credentials, Unsigned};
use freshen_model::quota::Limits;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use std::time::Duration;

const PURGE: &str = "RefreshVodObjectCaches";
const PREFETCH: &str = "PreloadVodObjectCaches";
const TASKS: &str = "DescribeVodRefreshTasks";

/// Credentials that were made during a test.
struct Made {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Made {
    async fn key(stage: &Stage, of: Key, rights: Value) -> Made {
        let (status, body) = stage.own(of, "POST", "/v1/keys", json!({ "rights": rights })).await;
        assert_eq!(status, 200, "{body}");
        Made { id: text(&body["id"]), secret: text(&body["secret"]), token: None }
    }

    async fn token(stage: &Stage, of: Key, expires_s: u64, rights: Value) -> Made {
        let body = json!({ "rights": rights, "expires_s": expires_s });
        let (status, body) = stage.own(of, "POST", "/v1/tokens", body).await;
        assert_eq!(status, 200, "{body}");
        let token = Some(text(&body["security_token"]));
        Made { id: text(&body["id"]), secret: text(&body["secret"]), token }
    }

    fn request(
        &self,
        stage: &Stage,
        method: &str,
        target: &str,
        action: &str,
    ) -> Request<Full<bytes::Bytes>> {
        self.request_of(stage, method, target, action, &[])
    }

    fn request_of(
        &self,
        stage: &Stage,
        method: &str,
        target: &str,
        action: &str,
        body: &[u8],
    ) -> Request<Full<bytes::Bytes>> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let nonce = format!("{}-{target}-{}-{}", self.id, stage.control.log_end(), body.len());
        let unsigned = Unsigned {
            method,
            path,
            query,
            host: &stage.address,
            content_type: None,
            body,
            action,
            version: "2017-03-21",
            date: stage.control.wall_ms() / 1_000,
            nonce: &nonce,
        };
        let security_token = self.token.as_deref();
        let credentials = Credentials { access_key_id: &self.id, secret: &self.secret, security_token };
        let headers = acs3::sign(&unsigned, &credentials).unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{target}", stage.address))
            .body(Full::new(bytes::Bytes::copy_from_slice(body)))
            .unwrap();
        *request.headers_mut() = headers;
        request
    }

    async fn call(&self, stage: &Stage, action: &str, query: &str) -> Answer {
        stage.send(self.request(stage, "POST", &format!("/?{query}"), action)).await
    }

    async fn get(&self, stage: &Stage, target: &str) -> Answer {
        stage.send(self.request(stage, "GET", target, "anything")).await
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn outcome(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["Code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_key_does_what_it_has_the_right_to_and_nothing_else() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let purger = Made::key(&stage, ANN, json!({"may": ["purge"]})).await;
    let purged = purger.call(&stage, PURGE, "ObjectPath=a.example/1").await;
    assert_eq!(purged.status, 200, "{}", purged.text());
    for (action, query) in [(PREFETCH, "ObjectPath=a.example/1"), (TASKS, "PageSize=1")] {
        let denied = purger.call(&stage, action, query).await;
        assert_eq!(outcome(&denied), (403, "Forbidden.RAM".into()));
        let mut detail = denied.json()["AccessDeniedDetail"].clone();
        let detail = detail.as_object_mut().expect("an object");
        assert!(detail.values().all(Value::is_string), "{detail:?}");
        assert_eq!(detail["AuthAction"], format!("vod:{action}"));
        assert_eq!(detail["AuthPrincipalDisplayName"], purger.id);
        assert_eq!(detail["NoPermissionType"], "ImplicitDeny");
    }
    for target in ["/v1/tasks", "/v1/quota", "/v1/domains", "/v1/pops", "/v1/media", "/v1/tasks/10000001"] {
        assert_eq!(purger.get(&stage, target).await.status, 403, "{target}");
    }
    let reader = Made::key(&stage, ANN, json!({"may": ["read"]})).await;
    assert_eq!(reader.call(&stage, TASKS, "").await.json()["TotalCount"], 1);
    assert_eq!(outcome(&reader.call(&stage, PURGE, "ObjectPath=a.example/1").await).0, 403);
}

#[tokio::test]
async fn an_admin_account_does_not_lend_its_rights_to_a_reader() {
    let stage = Stage::set().await;
    let reader = Made::key(&stage, ADA, json!({"may": ["read"]})).await;
    assert_eq!(reader.get(&stage, "/v1/accounts").await.status, 403);
    assert_eq!(reader.get(&stage, "/v1/domains").await.json()["domains"], json!([]));
    let (status, _) = stage.own(BOB, "POST", "/v1/keys", json!({"account": "ann"})).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_key_of_one_domain_neither_reaches_nor_sees_another() {
    let stage = Stage::set().await;
    stage.control.add_domain("ann", "c.example", &settings()).await.unwrap();
    let _pop = stage.pop("pop-asia").await;
    let (_, other) = stage.call(ANN, PURGE, &[("ObjectPath", "c.example/1")]).await;
    let key =
        Made::key(&stage, ANN, json!({"may": ["purge", "read", "admin"], "domains": ["A.example"]})).await;
    assert_eq!(key.call(&stage, PURGE, "ObjectPath=a.example/1").await.status, 200);
    for lines in ["c.example/1", "a.example/1%0Ac.example/1", "b.example/1"] {
        let denied = key.call(&stage, PURGE, &format!("ObjectPath={lines}")).await;
        assert_eq!(outcome(&denied), (403, "Forbidden.RAM".into()), "{lines}");
    }
    let rows = key.call(&stage, TASKS, "").await.json();
    assert_eq!(rows["TotalCount"], 1);
    assert_eq!(rows["Tasks"]["Task"][0]["ObjectPath"], "a.example/1");
    let other = text(&other["RefreshTaskId"]);
    assert_eq!(key.call(&stage, TASKS, &format!("TaskId={other}")).await.json()["TotalCount"], 0);
    assert_eq!(key.get(&stage, &format!("/v1/tasks/{other}")).await.status, 404);
    assert_eq!(key.get(&stage, "/v1/tasks").await.json()["tasks"].as_array().map(Vec::len), Some(1));
    assert_eq!(key.get(&stage, "/v1/tasks?text=/1").await.json()["tasks"].as_array().map(Vec::len), Some(1));
    assert_eq!(key.get(&stage, "/v1/domains").await.json()["domains"].as_array().map(Vec::len), Some(1));
    for of in ["", "/traffic", "/certificate"] {
        let refused = key.get(&stage, &format!("/v1/domains/c.example{of}")).await;
        assert!(refused.status == 404 && refused.text().contains("domain"), "{of}: {}", refused.text());
    }
    assert_eq!(key.get(&stage, "/v1/check?url=http://c.example/1").await.status, 404);
    assert_eq!(key.get(&stage, "/v1/media").await.status, 403, "it has addresses of all domains");
    let foreign = json!({"rights": {"may": ["purge"], "domains": ["b.example"]}});
    assert_eq!(
        stage.own(ANN, "POST", "/v1/keys", foreign).await.0,
        404,
        "no key for another account's domain"
    );
}

#[tokio::test]
async fn temporary_credentials_are_good_with_their_token_and_until_they_expire() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let mut made = Made::token(&stage, ANN, 3_600, json!({"may": ["purge"]})).await;
    assert!(made.id.starts_with("STS."), "{}", made.id);
    assert_eq!(made.call(&stage, PURGE, "ObjectPath=a.example/1").await.status, 200);
    assert_eq!(outcome(&made.call(&stage, TASKS, "").await), (403, "Forbidden.RAM".into()));

    let token = made.token.replace("another".into());
    let refused = made.call(&stage, PURGE, "ObjectPath=a.example/2").await;
    assert_eq!(outcome(&refused), (400, "InvalidSecurityToken.MismatchWithAccessKey".into()));
    made.token = None;
    let refused = made.call(&stage, PURGE, "ObjectPath=a.example/3").await;
    assert_eq!(outcome(&refused), (400, "MissingSecurityToken".into()));
    made.token = token;
    let permanent = Made { id: ANN.0.into(), secret: ANN.secret(), token: Some("x".into()) };
    let refused = permanent.call(&stage, TASKS, "").await;
    assert_eq!(outcome(&refused), (400, "InvalidSecurityToken.MismatchWithAccessKey".into()));

    stage.clock.advance(Duration::from_secs(3_599));
    assert_eq!(made.call(&stage, PURGE, "ObjectPath=a.example/4").await.status, 200);
    stage.clock.advance(Duration::from_secs(1));
    let refused = made.call(&stage, PURGE, "ObjectPath=a.example/5").await;
    assert_eq!(outcome(&refused), (400, "InvalidSecurityToken.Expired".into()));
    let (status, body) = stage.own(ANN, "POST", "/v1/tokens", json!({"expires_s": 43_201})).await;
    assert_eq!((status, body["error"]["code"].as_str()), (409, Some("unfit")));
}

#[tokio::test]
async fn temporary_credentials_make_no_others() {
    let stage = Stage::set().await;
    let admin = Made::token(&stage, ADA, 60, json!({"may": ["admin"]})).await;
    assert_eq!(admin.get(&stage, "/v1/accounts").await.status, 200);
    for target in ["/v1/keys", "/v1/tokens"] {
        let answer = stage.send(admin.request(&stage, "POST", target, "anything")).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
}

#[tokio::test]
async fn an_account_is_throttled_at_its_pace_and_told_for_how_long() {
    let stage = Stage::set().await;
    stage.control.set_limits("ann", Limits { requests_per_s: 4, ..Limits::default() }).await.unwrap();
    for _ in 0..4 {
        assert_eq!(stage.call(ANN, TASKS, &[]).await.0, 200);
    }
    let answer = stage.send(stage.signed(ANN, "POST", "/", TASKS, b"")).await;
    assert_eq!(outcome(&answer), (400, "Throttling.User".into()));
    assert_eq!(answer.headers["x-acs-retry-after"], "250");
    let (status, body) = stage.own(ANN, "GET", "/v1/tasks", Value::Null).await;
    assert_eq!((status, body["error"]["code"].as_str()), (429, Some("too_many_requests")));
    assert_eq!(stage.call(BOB, TASKS, &[]).await.0, 200, "others are not held up");
    stage.clock.advance(Duration::from_millis(250));
    assert_eq!(stage.call(ANN, TASKS, &[]).await.0, 200);
    assert_eq!(stage.call(ANN, TASKS, &[]).await.0, 400);
}

#[tokio::test]
async fn a_request_is_taken_once_also_over_a_restart_of_control() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let request = || stage.signed(ANN, "POST", "/?ObjectPath=a.example/1", PURGE, b"");
    let sent = request();
    let (target, headers) = (sent.uri().path_and_query().unwrap().to_string(), sent.headers().clone());
    assert_eq!(stage.send(sent).await.status, 200);
    let stage = stage.restart().await;
    let mut again = Request::post(format!("http://{}{target}", stage.address)).body(Full::default()).unwrap();
    *again.headers_mut() = headers;
    assert_eq!(outcome(&stage.send(again).await), (400, "SignatureNonceUsed".into()));
    assert_eq!(stage.call(ANN, TASKS, &[("TotalCount", "1")]).await.1["TotalCount"], 1);
}

#[tokio::test]
async fn purges_of_a_minute_and_prefetches_that_wait_are_bounded() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let limits = Limits { urls_per_minute: 2, prefetch_queue: 2, ..Limits::default() };
    stage.control.set_limits("ann", limits).await.unwrap();
    let call = async |action: &str, lines: &str| {
        let (status, body) = stage.call(ANN, action, &[("ObjectPath", lines)]).await;
        (status, body["Code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(call(PURGE, "a.example/1\na.example/2").await.0, 200);
    let refused = (400, "QuotaPerMinuteExceeded.Refresh".to_owned());
    assert_eq!(call(PURGE, "a.example/3").await, refused);
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(call(PURGE, "a.example/3").await.0, 200);

    assert_eq!(call(PREFETCH, "a.example/1\na.example/2").await.0, 200);
    assert_eq!(call(PREFETCH, "a.example/3").await, (403, "PreloadQueueFull".to_owned()));
    let seq = stage.control.log_end();
    let (_, rows) = stage.call(ANN, TASKS, &[("ObjectType", "preload")]).await;
    pop.prefetched(seq, 2, &[]).await;
    stage.ended(rows["Tasks"]["Task"][0]["TaskId"].as_str().unwrap()).await;
    assert_eq!(call(PREFETCH, "a.example/3").await.0, 200);
}

#[tokio::test]
async fn p8_nobody_gives_rights_that_he_has_not_got() {
    let stage = Stage::set().await;
    let keeper = Made::key(&stage, ANN, json!({ "may": ["admin", "read"] })).await;
    let asked = async |target: &str, body: Value| {
        let request = keeper.request_of(&stage, "POST", target, "x", body.to_string().as_bytes());
        let answer = stage.send(request).await;
        (answer.status, answer.json()["error"].clone())
    };
    for (target, body) in [
        ("/v1/keys", json!({})),
        ("/v1/keys", json!({ "rights": { "may": ["read", "purge", "prefetch"] } })),
        ("/v1/tokens", json!({ "expires_s": 60, "rights": { "may": ["purge", "prefetch"] } })),
    ] {
        let (status, error) = asked(target, body).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("this access key has not the right purge, prefetch itself"), "{message}");
        assert_eq!((status, &error["field"]), (403, &json!("rights.may")));
    }
    let within = json!({ "rights": { "may": ["read"], "domains": ["a.example"] } });
    assert_eq!(asked("/v1/keys", within).await.0, 200);
}

#[tokio::test]
async fn p8_a_bearer_token_opens_v1_in_its_time_and_nothing_else() {
    let stage = Stage::set().await;
    let made = async |body: Value| {
        let (status, made) = stage.own(ANN, "POST", "/v1/bearer-tokens", body).await;
        assert_eq!(status, 200, "{made}");
        (text(&made["id"]), text(&made["token"]))
    };
    let said = async |method: &str, target: &str, token: &str| {
        let answer = stage.ask(method, target, &[("authorization", &format!("Bearer {token}"))]).await;
        (answer.status, answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let (id, token) = made(json!({ "expires_s": 3_600 })).await;
    assert_eq!(said("GET", "/v1/quota", &token).await.0, 200);
    assert_eq!(said("GET", "/v1/quota", &token).await.0, 200, "as often as one likes");
    assert_eq!(said("POST", "/v1/keys", &token).await.0, 403, "no key that outlives it");
    assert_eq!(said("GET", "/v1/accounts", &token).await.0, 403, "an admin's only");
    let secret = token.rsplit_once('_').unwrap().1;
    assert!(!stage.disk().windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));

    let unknown = (401, "no such bearer token".to_owned());
    let spoilt = format!("{}{}", &token[..token.len() - 1], if token.ends_with('0') { '1' } else { '0' });
    let other = token.replace(&id, &format!("{id}x"));
    for wrong in [&*spoilt, &other, &id, "freshen__", "freshen_x_y", &format!("freshen_{}_x", ANN.0)] {
        assert_eq!(said("GET", "/v1/quota", wrong).await, unknown, "{wrong}");
    }
    let bearer = format!("Bearer {token}");
    let vendors = stage.ask("POST", "/?Action=DescribeVodRefreshQuota", &[("authorization", &bearer)]).await;
    assert_eq!(vendors.status, 400, "{}", vendors.text());
    let signing = Made { id: id.clone(), secret: token.clone(), token: None };
    let refused = signing.get(&stage, "/v1/quota").await;
    assert_eq!((refused.status, &refused.json()["error"]["message"]), (401, &json!("no such access key")));

    let rights = json!({ "may": ["purge"], "domains": ["a.example"] });
    let (_, narrow) = made(json!({ "expires_s": 60, "rights": rights })).await;
    assert_eq!(said("GET", "/v1/quota", &narrow).await.0, 403);
    let (_, keys) = stage.own(ANN, "GET", "/v1/keys", Value::Null).await;
    let kinds: Vec<&str> =
        keys["keys"].as_array().unwrap().iter().map(|key| key["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["bearer", "bearer", "key"]);
    assert!(!keys.to_string().contains("secret"), "{keys}");
    assert_eq!(
        stage.own(BOB, "GET", "/v1/keys", Value::Null).await.1["keys"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(stage.own(BOB, "GET", "/v1/keys?account=ann", Value::Null).await.0, 403);
    assert_eq!(
        stage.own(ADA, "GET", "/v1/keys?limit=9", Value::Null).await.1["keys"].as_array().map(Vec::len),
        Some(5)
    );

    assert_eq!(stage.own(BOB, "POST", &format!("/v1/keys/{id}/disable"), Value::Null).await.0, 404);
    assert_eq!(stage.own(ANN, "POST", &format!("/v1/keys/{id}/disable"), Value::Null).await.0, 204);
    assert_eq!(
        said("GET", "/v1/quota", &token).await,
        (401, "the bearer token is disabled, make another".into())
    );
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(
        said("POST", "/v1/purge", &narrow).await,
        (401, "the bearer token has expired, make another".into())
    );
    for expires_s in [0, 31_622_401] {
        let (status, body) =
            stage.own(ANN, "POST", "/v1/bearer-tokens", json!({ "expires_s": expires_s })).await;
        assert_eq!((status, &body["error"]["field"]), (409, &json!("expires_s")));
    }
}
