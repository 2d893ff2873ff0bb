//! `/v1`: submitting and watching, and what is refused.

use crate::stage::{ADA, ANN, BOB, Key, Stage, within};
use bytes::Bytes;
use freshen_fleet::wire::{Answered, Question, Reply};
use freshen_fleet::{Event, Link};
use freshen_model::area::Area;
use freshen_model::check::CheckAnswer;
use freshen_model::ids::Seq;
use freshen_model::preview::Preview;
use freshen_model::quota::Limits;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use std::time::Duration;

async fn purge(stage: &Stage, lines: Value) -> (u16, Value) {
    stage.own(ANN, "POST", "/v1/purge", json!({ "lines": lines })).await
}

/// The code and the message of an error.
fn said(body: &Value) -> (&str, &str) {
    let error = &body["error"];
    (error["code"].as_str().expect("a code"), error["message"].as_str().expect("a message"))
}

#[tokio::test]
async fn p2_a_purge_is_watched_to_its_end_by_long_polls() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let (status, mut task) = purge(&stage, json!(["http://a.example/x", "https://a.example/y"])).await;
    let id = task["id"].as_str().unwrap().to_owned();
    assert_eq!((status, id.bytes().all(|b| b.is_ascii_digit())), (200, true));
    let shown = (&task["type"], &task["mode"], &task["status"], &task["percent"], &task["lines"]);
    assert_eq!(shown, (&json!("url"), &json!("evict"), &json!("running"), &json!(0), &json!(2)));
    assert_eq!(task["pops"], json!([{"pop": "pop-asia", "state": "waiting"}]));

    let seq = Seq(task["seq"].as_u64().unwrap());
    let watched = async {
        while task["status"] == "running" {
            let target = format!("/v1/tasks/{id}?wait_ms=30000&seen={}", task["revision"]);
            task = stage.own(ANN, "GET", &target, Value::Null).await.1;
        }
        task
    };
    let (task, ()) = within(async { tokio::join!(watched, pop.confirm(seq)) }).await;
    assert_eq!(
        (&task["status"], &task["percent"], &task["revision"]),
        (&json!("complete"), &json!(100), &json!(0))
    );
    assert_eq!(task["pops"][0]["state"], "confirmed");
}

#[tokio::test]
async fn p2_a_fenced_pop_is_named_in_the_record() {
    let stage = Stage::set().await;
    let _silent = stage.pop("pop-asia").await;
    let request = json!({ "type": "directory", "lines": ["http://a.example/d/"] });
    let (_, task) = stage.own(ANN, "POST", "/v1/purge", request).await;
    assert_eq!((&task["type"], &task["mode"]), (&json!("directory"), &json!("expire")));
    stage.clock.advance(Duration::from_secs(11));
    let id = task["id"].as_str().unwrap();
    stage.ended(id).await;
    let (_, task) = stage.own(ANN, "GET", &format!("/v1/tasks/{id}"), Value::Null).await;
    assert_eq!((&task["status"], &task["pops"][0]["state"]), (&json!("complete"), &json!("fenced")));
}

#[tokio::test]
async fn a_wait_ends_after_its_time() {
    let stage = Stage::set().await;
    let _silent = stage.pop("pop-asia").await;
    let (_, task) = purge(&stage, json!(["http://a.example/x"])).await;
    let target = format!("/v1/tasks/{}?wait_ms=1&seen={}", task["id"].as_str().unwrap(), task["revision"]);
    let (status, task) = stage.own(ANN, "GET", &target, Value::Null).await;
    assert_eq!((status, &task["status"]), (200, &json!("running")));
}

#[tokio::test]
async fn a_prefetch_is_for_the_pops_of_its_area() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let request = json!({ "area": "domestic", "lines": ["http://a.example/x"] });
    let (_, task) = stage.own(ANN, "POST", "/v1/prefetch", request).await;
    assert_eq!((&task["type"], task.get("mode")), (&json!("prefetch"), None));
    pop.prefetched(Seq(task["seq"].as_u64().unwrap()), 1, &[]).await;
    assert_eq!(stage.ended(task["id"].as_str().unwrap()).await.percent, 100);

    let request = json!({ "area": "overseas", "lines": ["http://a.example/x"] });
    let (status, body) = stage.own(ANN, "POST", "/v1/prefetch", request).await;
    assert_eq!(
        (status, said(&body)),
        (409, ("no_pops", "no POP is registered in area overseas, add one first"))
    );
}

#[tokio::test]
async fn bad_lines_are_listed() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let (status, body) =
        purge(&stage, json!(["http://a.example/1", "a.example/2", "http://a.example/3 4"])).await;
    assert_eq!((status, said(&body).0), (400, "bad_lines"));
    let expected = json!([
        { "line": 2, "text": "a.example/2", "reason": "no scheme, write http:// or https:// before it" },
        { "line": 3, "text": "http://a.example/3 4", "reason": "raw space in URL, write %20" },
    ]);
    assert_eq!(body["error"]["lines"], expected);
    let (_, quota) = stage.own(ANN, "GET", "/v1/quota", Value::Null).await;
    let url = json!({ "kind": "url", "limit": 2000, "used": 0, "remaining": 2000 });
    assert_eq!(quota["quotas"][0], url);
}

#[tokio::test]
async fn what_cannot_be_submitted_has_a_code_and_a_status() {
    let stage = Stage::set().await;
    let (status, body) = purge(&stage, json!(["http://a.example/1"])).await;
    assert_eq!((status, said(&body)), (409, ("no_pops", "no POP is registered, add one first")));
    let _pop = stage.pop("pop-asia").await;
    let (status, body) = purge(&stage, json!([])).await;
    assert_eq!((status, said(&body)), (400, ("empty", "an empty list, name at least one URL")));
    let (status, body) = purge(&stage, json!(vec!["http://a.example/1"; 1_001])).await;
    let message = "1001 lines, at most 1000 url entries fit into one submission";
    assert_eq!((status, said(&body)), (400, ("too_many_lines", message)));
    stage.control.set_limits("ann", Limits::all(1)).await.unwrap();
    let (status, body) = purge(&stage, json!(["http://a.example/1", "http://a.example/2"])).await;
    assert_eq!(
        (status, said(&body)),
        (429, ("over_quota", "2 lines, but 1 of 1 url entries are left today"))
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_named_with_its_place() {
    let stage = Stage::set().await;
    let sent = async |body: &str| {
        let answer = stage.send(stage.signed(ANN, "POST", "/v1/purge", "x", body.as_bytes())).await;
        (answer.status, answer.json()["error"]["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        sent("{\n  \"lines\": [\"a\"\n}").await,
        (400, "body: expected `,` or `]` at line 3 column 1".into())
    );
    let (status, message) = sent("{\"lines\": [], \"moon\": 1}").await;
    assert!(status == 400 && message.starts_with("body: unknown field `moon`"), "{message}");
    assert!(message.ends_with("at line 1 column 20"), "{message}");
    assert_eq!(sent("").await, (400, "body: EOF while parsing a value at line 1 column 0".into()));

    for target in [
        "/v1/tasks?moon=1",
        "/v1/tasks?status=moon",
        "/v1/tasks?limit=0",
        "/v1/tasks?limit=101",
        "/v1/tasks?offset=1",
        "/v1/tasks?text=",
        "/v1/tasks?cursor=moon",
        "/v1/domains?limit=0",
        "/v1/tasks/1?wait_ms=30001",
        "/v1/check",
        "/v1/check?url=moon",
    ] {
        let (status, body) = stage.own(ANN, "GET", target, Value::Null).await;
        assert_eq!((status, said(&body).0), (400, "malformed"), "{target}");
    }
}

#[tokio::test]
async fn every_path_and_method_has_an_error_body() {
    let stage = Stage::set().await;
    for (method, target, status, code) in [
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/", 404, "not_found"),
        ("POST", "/v1/purge/x", 404, "not_found"),
        ("GET", "/v1/purge", 405, "bad_method"),
        ("DELETE", "/v1/tasks/1", 405, "bad_method"),
        ("GET", "/v1/tasks/moon", 404, "not_found"),
        ("GET", "/v1/tasks/1", 404, "not_found"),
        ("GET", "/v1/tasks/%FF", 404, "not_found"),
    ] {
        let (answered, body) = stage.own(ANN, method, target, Value::Null).await;
        assert_eq!((answered, said(&body).0), (status, code), "{method} {target}");
    }
    let large = vec![b' '; (4 << 20) + 1];
    let answer = stage.send(stage.signed(ANN, "POST", "/v1/purge", "x", &large)).await;
    assert_eq!((answer.status, said(&answer.json()).0), (413, "too_large"));
}

#[tokio::test]
async fn nobody_comes_in_without_the_right_signature() {
    let stage = Stage::set().await;
    let refused = async |request| {
        let answer = stage.send(request).await;
        (answer.status, said(&answer.json()).1.to_owned())
    };
    let of = |key| stage.signed(key, "GET", "/v1/quota", "x", b"");
    assert_eq!(refused(of(Key("nobody"))).await, (401, "no such access key".into()));
    let mut elsewhere = of(ANN);
    *elsewhere.uri_mut() = format!("http://{}/v1/pops", stage.address).parse().unwrap();
    assert_eq!(refused(elsewhere).await, (401, "signature does not match".into()));
    let once = of(ANN);
    let twice = once.clone();
    assert_eq!(stage.send(once).await.status, 200);
    assert_eq!(refused(twice).await, (401, "nonce was used already".into()));
    stage.control.disable_key(ANN.0).await.unwrap();
    assert_eq!(refused(of(ANN)).await, (401, "the access key is disabled".into()));

    let unsigned = Request::get(format!("http://{}/v1/quota", stage.address)).body(Full::new(Bytes::new()));
    assert_eq!(refused(unsigned.unwrap()).await, (401, "AccessKeyId is missing".into()));
    // The vendor's first scheme does not cover the path, so that a signature of it opens none but `/`.
    let target = "/v1/quota?AccessKeyId=bob-key&Signature=x&SignatureMethod=HMAC-SHA1";
    let answer = stage.ask("GET", target, &[]).await;
    assert_eq!((answer.status, said(&answer.json()).1), (401, "signature method not supported"));
}

#[tokio::test]
async fn p8_a_foreign_task_or_domain_is_answered_like_an_unknown_one() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let (_, task) = purge(&stage, json!(["http://a.example/x"])).await;
    let mine = task["id"].as_str().unwrap().to_owned();
    let get = async |target: String, name: &str| {
        let (status, body) = stage.own(BOB, "GET", &target, Value::Null).await;
        (status, body.to_string().replace(name, "NAME"))
    };
    let unknown = get("/v1/tasks/999".into(), "999").await;
    assert_eq!(unknown.0, 404);
    assert_eq!(get(format!("/v1/tasks/{mine}"), &mine).await, unknown);
    // Nor does anybody wait for what is another's.
    assert_eq!(get(format!("/v1/tasks/{mine}?wait_ms=30000&seen=9"), &mine).await, unknown);
    for target in ["/v1/domains/NAME", "/v1/check?url=http://NAME/x"] {
        let of = async |name: &str| get(target.replace("NAME", name), name).await;
        let unknown = of("c.example").await;
        assert_eq!(unknown.0, 404);
        assert_eq!(of("a.example").await, unknown, "{target}");
    }
    let of = async |name: &str| {
        let lines = json!({ "lines": [format!("http://{name}/x")] });
        let (status, body) = stage.own(BOB, "POST", "/v1/purge", lines).await;
        (status, body.to_string().replace(name, "NAME"))
    };
    let unknown = of("c.example").await;
    assert_eq!((unknown.0, of("a.example").await), (400, unknown));

    let listed = async |key, target| {
        let (_, list) = stage.own(key, "GET", target, Value::Null).await;
        list["tasks"].as_array().unwrap().len()
    };
    assert_eq!(listed(BOB, "/v1/tasks").await, 0);
    assert_eq!(listed(BOB, "/v1/tasks?domain=a.example").await, 0);
    assert_eq!(listed(ANN, "/v1/tasks?domain=a.example&type=url&status=running&limit=1").await, 1);
    assert_eq!(listed(ADA, "/v1/tasks").await, 1, "admins see everybody's");
}

#[tokio::test]
async fn a_check_has_the_word_of_every_pop() {
    let stage = Stage::set().await;
    let mut asia = stage.pop("pop-asia").await;
    stage.own(ADA, "POST", "/v1/pops", json!({ "id": "pop-mute", "area": "overseas", "region": "x" })).await;
    let answers = async {
        loop {
            if let Event::Ask(number, Question::Check(question)) = asia.event().await {
                let answer = CheckAnswer {
                    x_cache: format!("MISS {}{} {}", question.domain, question.path_and_query, question.gzip),
                    why: None,
                    status: None,
                    age: None,
                    etag: None,
                    size: None,
                    fill_seq: None,
                    watermark: Seq(4),
                    leased: true,
                };
                return asia
                    .link
                    .reply(&Reply { number, answer: Ok(Answered::Check(answer)) })
                    .await
                    .unwrap();
            }
        }
    };
    let asked = stage.own(ANN, "GET", "/v1/check?url=http://a.example/x?y=1&gzip=true", Value::Null);
    let ((status, body), ()) = within(async { tokio::join!(asked, answers) }).await;
    let pops = json!([
        { "pop": "pop-asia", "x_cache": "MISS a.example/x?y=1 true", "watermark": 4, "leased": true },
        { "pop": "pop-mute", "error": "not connected" },
    ]);
    assert_eq!((status, body), (200, json!({ "url": "http://a.example/x?y=1", "pops": pops })));
}

#[tokio::test]
async fn a_purge_for_later_is_watched_and_cancelled() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    // Within the time for which a signature is good.
    let later_ms = 600_000;
    let request = json!({
        "lines": ["http://a.example/x"], "cut": true, "not_before_ms": stage.control.wall_ms() + later_ms,
    });
    let (status, task) = stage.own(ANN, "POST", "/v1/purge", request.clone()).await;
    assert_eq!((status, &task["status"], &task["cut"]), (200, &json!("pending"), &json!(true)));
    assert_eq!((&task["seq"], &task["pops"]), (&json!(0), &json!([])));
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    // Whoever waits is told when it begins.
    let target = format!("{path}?wait_ms=30000&seen={}", task["revision"]);
    let (begun, ()) = within(async {
        tokio::join!(stage.own(ANN, "GET", &target, Value::Null), async {
            stage.clock.advance(Duration::from_millis(later_ms as u64));
        })
    })
    .await;
    assert_eq!(begun.1["status"], "running");
    pop.confirm(Seq(begun.1["seq"].as_u64().unwrap())).await;

    let request =
        json!({ "lines": ["http://a.example/x"], "not_before_ms": stage.control.wall_ms() + later_ms });
    let (_, task) = stage.own(ANN, "POST", "/v1/purge", request).await;
    let target = format!("/v1/tasks/{}/cancel", task["id"].as_str().unwrap());
    assert_eq!(stage.own(BOB, "POST", &target, Value::Null).await.0, 404);
    let (status, task) = stage.own(ANN, "POST", &target, Value::Null).await;
    assert_eq!((status, &task["status"]), (200, &json!("failed")));
    assert_eq!(task["reason"], "cancelled before it began");
    let (status, body) = stage.own(ANN, "POST", &target, Value::Null).await;
    assert_eq!((status, said(&body).0), (409, "unfit"));
    let far = json!({ "lines": ["http://a.example/x"], "not_before_ms": stage.control.wall_ms() + 32 * 86_400_000 });
    let (status, body) = stage.own(ANN, "POST", "/v1/purge", far).await;
    assert_eq!((status, said(&body).1), (400, "a task begins within 31 days of its submission"));
}

#[tokio::test]
async fn a_purge_may_be_followed_by_a_prefetch_or_a_refill() {
    let stage = Stage::set().await;
    stage.pop("pop-asia").await;
    let lines = json!(["http://a.example/x"]);
    let (status, purge) =
        stage.own(ANN, "POST", "/v1/purge", json!({ "lines": lines, "then_prefetch": true })).await;
    assert_eq!((status, &purge["type"]), (200, &json!("url")));
    let path = format!("/v1/tasks/{}", purge["then"].as_str().unwrap());
    let (_, prefetch) = stage.own(ANN, "GET", &path, Value::Null).await;
    assert_eq!((&prefetch["type"], &prefetch["after"]), (&json!("prefetch"), &purge["id"]));
    assert_eq!(prefetch["origin"], json!({ "origin_bytes": 0, "origin_requests": 0, "object_bytes": 0 }));

    let directory = json!(["http://a.example/d/"]);
    let request = json!({ "type": "directory", "lines": directory, "refill": { "objects": 50 } });
    let (_, purge) = stage.own(ANN, "POST", "/v1/purge", request).await;
    let path = format!("/v1/tasks/{}", purge["then"].as_str().unwrap());
    let (_, prefetch) = stage.own(ANN, "GET", &path, Value::Null).await;
    assert_eq!((&prefetch["refill"], &prefetch["lines"]), (&json!({ "objects": 50 }), &json!(1)));

    for (request, says) in [
        (
            json!({ "type": "directory", "lines": directory, "then_prefetch": true }),
            "a purge of this kind names no URLs that could be prefetched, refill the hottest instead",
        ),
        (
            json!({ "lines": lines, "then_prefetch": true, "refill": { "objects": 1 } }),
            "a purge is followed by a prefetch or by a refill, give one of them",
        ),
        (json!({ "lines": lines, "refill": {} }), "a refill is of 1 to 10000 objects, or of some bytes"),
    ] {
        let (status, body) = stage.own(ANN, "POST", "/v1/purge", request).await;
        assert_eq!((status, said(&body).1), (400, says));
    }
}

#[tokio::test]
async fn prefetches_are_submitted_on_terms_and_steered() {
    let stage = Stage::set().await;
    stage.control.add_pop(&"pop-north".parse().unwrap(), Area::Overseas, "north").await.unwrap();
    let prefetch = |terms: Value| {
        let mut request = json!({ "lines": ["http://a.example/x"] });
        request.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
        stage.own(ANN, "POST", "/v1/prefetch", request)
    };
    for (terms, code, why) in [
        (
            json!({ "regions": ["west"] }),
            "no_pops",
            "no POP of region \"west\" is registered, or none in this area",
        ),
        (
            json!({ "headers": { "Cookie": ["a=b"] } }),
            "malformed",
            "header Cookie: variants of an object depend on Accept, Accept-Charset, Accept-Encoding, Accept-Language, \
             Origin, User-Agent, Save-Data, DPR, Width and the like, or Sec-CH-…; leave this one out",
        ),
        (
            json!({ "deadline_s": 0 }),
            "malformed",
            "a prefetch's deadline is 1 second to 31 days after its beginning",
        ),
    ] {
        let (status, body) = prefetch(terms).await;
        assert!(status == 400 || status == 409, "{body}");
        assert_eq!(said(&body), (code, why));
    }
    let (status, body) = prefetch(json!({ "window": "never" })).await;
    assert_eq!((status, said(&body).0), (400, "malformed"), "{body}");
    // It is noon in UTC.
    let headers = json!({ "accept-encoding": ["gzip", "identity"], "accept-language": ["de"] });
    let terms = json!({ "window": "21:00-22:00+08:00", "regions": ["north"], "deadline_s": 90_000, "headers": headers });
    let (status, task) = prefetch(terms.clone()).await;
    assert_eq!((status, &task["outside_window"], &task["paused"]), (200, &json!(true), &Value::Null));
    for (name, value) in terms.as_object().unwrap() {
        assert_eq!(task[name], *value);
    }
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let steer = |who, how: &'static str| {
        let target = format!("{path}/{how}");
        let stage = &stage;
        async move { stage.own(who, "POST", &target, Value::Null).await }
    };
    assert_eq!(steer(BOB, "pause").await.0, 404);
    assert_eq!(steer(ANN, "pause").await.1["paused"], json!(true));
    let (_, task) = steer(ANN, "resume").await;
    assert_eq!((&task["paused"], &task["outside_window"]), (&Value::Null, &json!(true)));
    let (status, task) = steer(ANN, "cancel").await;
    assert_eq!((status, &task["status"], &task["reason"]), (200, &json!("failed"), &json!("cancelled")));
    assert_eq!(task["pops"][0]["state"], "cancelled");
    let (status, body) = steer(ANN, "resume").await;
    assert_eq!((status, said(&body).0), (409, "unfit"));
}

#[tokio::test]
async fn a_dry_run_asks_every_pop_and_names_who_does_not_answer() {
    let stage = Stage::set().await;
    let mut asia = stage.pop("pop-asia").await;
    stage.control.add_pop(&"pop-europe".parse().unwrap(), Area::Overseas, "europe").await.unwrap();
    let end = stage.control.log_end();
    let answers = async {
        loop {
            if let Event::Ask(number, Question::Preview(question)) = asia.event().await {
                assert_eq!(question.rules.len(), 1);
                let found = Preview { objects: 3, whole: true, ..Preview::default() };
                let answer = Ok(Answered::Preview { watermark: end, found });
                return asia.link.reply(&Reply { number, answer }).await.unwrap();
            }
        }
    };
    let request = json!({ "type": "directory", "lines": ["http://a.example/"] });
    let tried = stage.own(ANN, "POST", "/v1/purge/dry-run", request);
    let ((status, run), ()) = within(async { tokio::join!(tried, answers) }).await;
    assert_eq!((status, &run["all"]["objects"], &run["all"]["whole"]), (200, &json!(3), &json!(false)));
    assert_eq!((&run["pops"][0]["objects"], &run["pops"][1]["error"]), (&json!(3), &json!("not connected")));
    assert_eq!(run["warnings"], json!(["line 1: this is all of a.example"]));
    assert_eq!(stage.control.log_end(), end);
    let foreign = json!({ "lines": ["http://b.example/x"] });
    assert_eq!(stage.own(ANN, "POST", "/v1/purge/dry-run", foreign).await.0, 400);
}

#[tokio::test]
async fn lists_are_paged_by_cursors_that_hold_while_tasks_come() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let mut wanted = Vec::new();
    for n in 0..7 {
        let (_, task) =
            purge(&stage, json!([format!("http://a.example/{}/{n}", ["Even", "odd"][n % 2])])).await;
        wanted.insert(0, task["id"].clone());
    }
    let ids = |list: &Value| -> Vec<Value> {
        list["tasks"].as_array().unwrap().iter().map(|task| task["id"].clone()).collect()
    };
    let (mut found, mut target) = (Vec::new(), "/v1/tasks?limit=3".to_owned());
    loop {
        let (_, page) = stage.own(ANN, "GET", &target, Value::Null).await;
        assert!(ids(&page).len() <= 3);
        found.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        target = format!("/v1/tasks?limit=3&cursor={next}");
        // What comes in front moves nothing.
        purge(&stage, json!(["http://a.example/new"])).await;
    }
    assert_eq!(found, wanted);

    let of =
        async |query: &str| ids(&stage.own(ANN, "GET", &format!("/v1/tasks?{query}"), Value::Null).await.1);
    let odd: Vec<Value> = wanted.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!(of("text=example/ODD").await, odd);
    assert_eq!(of("text=100%25").await, Vec::<Value>::new());
    assert_eq!(of("url=http://a.example/odd/1").await, odd[2..]);
    assert_eq!(of("to_ms=1").await.len() + of("status=failed").await.len(), 0);
    assert_eq!(of("from_ms=1&domain=A.example&type=url&limit=100").await.len(), 9);

    let (_, page) = stage.own(ADA, "GET", "/v1/domains?limit=1", Value::Null).await;
    assert_eq!(page["domains"][0]["name"], "a.example");
    let rest = format!("/v1/domains?limit=1&cursor={}", page["next"].as_str().unwrap());
    let (_, page) = stage.own(ADA, "GET", &rest, Value::Null).await;
    assert_eq!((&page["domains"][0]["name"], page.get("next")), (&json!("b.example"), None));
    let (_, page) = stage.own(ADA, "GET", "/v1/domains?text=B.EX", Value::Null).await;
    assert_eq!(page["domains"].as_array().map(Vec::len), Some(1));
    let (_, page) = stage.own(ADA, "GET", "/v1/accounts?limit=2", Value::Null).await;
    assert_eq!((&page["accounts"][0]["name"], &page["accounts"][1]["name"]), (&json!("ada"), &json!("ann")));
    let rest = format!("/v1/accounts?cursor={}", page["next"].as_str().unwrap());
    assert_eq!(stage.own(ADA, "GET", &rest, Value::Null).await.1["accounts"][0]["name"], "bob");
    let (status, body) = stage.own(ADA, "GET", &rest.replace("accounts", "domains"), Value::Null).await;
    assert_eq!((status, &body["error"]["field"]), (400, &json!("cursor")), "it is of another list");
}
