//! What the vendor's API refuses, and how: always its own envelope, changing nothing.

use crate::stage::{ANN, BOB, Key, Stage};
use bytes::Bytes;
use freshen_model::quota::Limits;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

const PURGE: &str = "RefreshVodObjectCaches";
const PREFETCH: &str = "PreloadVodObjectCaches";
const TASKS: &str = "DescribeVodRefreshTasks";
const QUOTA: &str = "DescribeVodRefreshQuota";

/// Status, code, and what was said beyond the vendor's own message.
async fn refused(stage: &Stage, action: &str, params: &[(&str, &str)]) -> (u16, String, String) {
    let (status, body) = stage.call(ANN, action, params).await;
    is_envelope(&body);
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (status, text("Code"), text("Recommend"))
}

fn is_envelope(body: &Value) {
    for name in ["RequestId", "HostId", "Code", "Message", "Recommend"] {
        assert!(body[name].is_string(), "{name} of {body}");
    }
    assert_eq!(body.as_object().unwrap().len(), 5, "{body}");
}

#[tokio::test]
async fn every_path_and_method_has_the_vendors_envelope() {
    let stage = Stage::set().await;
    for (method, target, status, code) in [
        ("GET", "/nope", 404, "InvalidApi.NotFound"),
        ("POST", "/v2/purge", 404, "InvalidApi.NotFound"),
        ("GET", "/", 400, "MissingAction"),
        ("PUT", "/", 405, "UnsupportedHTTPMethod"),
        ("DELETE", "/?Action=x", 405, "UnsupportedHTTPMethod"),
        ("POST", "/-/healthy", 404, "InvalidApi.NotFound"),
        ("POST", "/?Action=Nope&Version=2017-03-21", 404, "InvalidAction.NotFound"),
        ("POST", "/?Action=DescribeVodRefreshQuota&Version=2018-05-10", 400, "InvalidVersion"),
        ("POST", "/?Action=DescribeVodRefreshQuota&Version=2017-03-21", 400, "MissingAccessKeyId"),
        ("POST", "/?Format=yaml", 400, "InvalidParameter.Format"),
    ] {
        let answer = stage.ask(method, target, &[]).await;
        is_envelope(&answer.json());
        assert_eq!(
            (answer.status, answer.json()["Code"].as_str()),
            (status, Some(code)),
            "{method} {target}"
        );
        assert_eq!(answer.json()["HostId"], stage.address);
    }
}

#[tokio::test]
async fn a_browser_is_sent_to_the_console_and_a_call_is_not() {
    let stage = Stage::set().await;
    let page = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let answer = stage.ask("GET", "/", &[page]).await;
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (302, "/ui/"));
    for (target, header) in [
        ("/?Action=DescribeVodRefreshQuota&Version=2017-03-21", ("x-other", "1")),
        ("/?Signature=1", ("x-other", "1")),
        ("/", ("x-acs-action", "DescribeVodRefreshQuota")),
        ("/nope", ("x-other", "1")),
    ] {
        assert!(stage.ask("GET", target, &[page, header]).await.status >= 400, "{target} {header:?}");
    }
}

#[tokio::test]
async fn a_body_over_four_mebibytes_is_refused() {
    let stage = Stage::set().await;
    let post = async |bytes: usize| {
        let request = Request::post(format!("http://{}/", stage.address))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(vec![b'a'; bytes])));
        let answer = stage.send(request.unwrap()).await;
        is_envelope(&answer.json());
        (answer.status, answer.json()["Code"].as_str().unwrap().to_owned())
    };
    assert_eq!(post((4 << 20) + 1).await, (413, "RequestTooLarge".into()));
    assert_eq!(post(8 << 20).await, (413, "RequestTooLarge".into()));
    assert_eq!(post(1 << 20).await.0, 413, "a name of a mebibyte");
}

#[tokio::test]
async fn nobody_comes_in_without_the_right_signature() {
    let stage = Stage::set().await;
    let code = async |request| {
        let answer = stage.send(request).await;
        (answer.status, answer.json()["Code"].as_str().unwrap_or("").to_owned())
    };
    let of = |key| stage.signed(key, "POST", "/", QUOTA, b"");
    assert_eq!(code(of(Key("nobody"))).await, (404, "InvalidAccessKeyId.NotFound".into()));

    let mut tampered = of(ANN);
    *tampered.uri_mut() = format!("http://{}/?PageSize=1", stage.address).parse().unwrap();
    assert_eq!(code(tampered).await, (400, "SignatureDoesNotMatch".into()));

    let once = of(ANN);
    let twice = once.clone();
    assert_eq!(code(once).await.0, 200);
    assert_eq!(code(twice).await, (400, "SignatureNonceUsed".into()));

    let late = of(ANN);
    stage.clock.advance(std::time::Duration::from_secs(16 * 60));
    assert_eq!(code(late).await, (400, "InvalidTimeStamp.Expired".into()));

    stage.control.disable_key(ANN.0).await.unwrap();
    assert_eq!(code(of(ANN)).await, (400, "InvalidAccessKeyId.Inactive".into()));
    assert_eq!(code(of(BOB)).await.0, 200);
}

#[tokio::test]
async fn bad_lines_are_named_and_nothing_is_counted() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let malformed = "InvalidObjectPath.Malformed";
    for (action, also, lines, code, said) in [
        (
            PURGE,
            ("Force", "false"),
            "a.example/1\n\na.example/b c",
            malformed,
            "line 3: raw space in URL, write %20",
        ),
        (PURGE, ("ObjectType", "Directory"), "a.example/d", malformed, "line 1: a directory ends with /"),
        (PREFETCH, ("Area", ""), "a.example/d/", malformed, "line 1: a directory cannot be prefetched"),
        (PURGE, ("Force", ""), "http://127.0.0.1/x", malformed, "line 1: \"127.0.0.1\" is an address"),
        (
            PURGE,
            ("Force", ""),
            "a.example/1,http://a.example/2",
            malformed,
            "line 1: several URLs on one line",
        ),
        (
            PURGE,
            ("Force", ""),
            "*.a.example/1",
            "InvalidExtensiveDomain.ValueNotSupported",
            "line 1: wildcards (*)",
        ),
        (PURGE, ("Force", ""), "\n", "MissingParameter", ""),
        (PURGE, ("Force", "1"), "a.example/1", "InvalidForce", "expected true or false"),
        (PURGE, ("ObjectType", "Moon"), "a.example/1", "InvalidObjectType.ValueNotSupported", ""),
        (
            PURGE,
            ("ObjectType", "Regex"),
            "a.example/(",
            malformed,
            "line 1: not a regular expression: unclosed group",
        ),
        (PURGE, ("ObjectType", "ExQuery"), "a.example/1?x", malformed, "line 1: all queries of the path"),
        (PREFETCH, ("Area", "moon"), "a.example/1", "InvalidArea", "expected domestic or overseas"),
        (
            PREFETCH,
            ("Area", "overseas"),
            "a.example/1",
            "InvalidArea",
            "no POP is registered in area overseas",
        ),
        (
            PREFETCH,
            ("WithHeader", "{\"Cookie\":\"x\"}"),
            "a.example/1",
            "InvalidWithHeader",
            "header Cookie: variants of an object",
        ),
        (
            PREFETCH,
            ("WithHeader", "{\"Accept-Language\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}"),
            "a.example/1",
            "InvalidWithHeader",
            "the headers make 10 variants of each file, name at most 8",
        ),
    ] {
        let (status, answered, detail) = refused(&stage, action, &[("ObjectPath", lines), also]).await;
        assert_eq!((status, answered.as_str()), (400, code), "{lines:?} {also:?}");
        assert!(
            detail.starts_with(said) && detail.is_empty() == said.is_empty(),
            "{detail:?} is not {said:?}"
        );
    }
    let (_, quota) = stage.call(ANN, QUOTA, &[]).await;
    let remain = ["UrlRemain", "DirRemain", "PreloadRemain"].map(|name| quota[name].as_str().unwrap());
    assert_eq!(remain, ["2000", "100", "500"]);
    let (_, tasks) = stage.call(ANN, TASKS, &[]).await;
    assert_eq!(tasks["TotalCount"], 0);
}

#[tokio::test]
async fn p8_a_foreign_domain_or_task_is_answered_like_an_unknown_one() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    for (action, kind) in [(PURGE, "File"), (PREFETCH, "File")] {
        let of = async |domain: &str| {
            let path = format!("http://{domain}/x");
            let (status, code, detail) =
                refused(&stage, action, &[("ObjectPath", path.as_str()), ("ObjectType", kind)]).await;
            (status, code, detail.replace(domain, "DOMAIN"))
        };
        let unknown = of("c.example").await;
        assert_eq!((unknown.0, unknown.1.as_str()), (404, "InvalidDomain.NotFound"));
        assert_eq!(of("b.example").await, unknown);
    }

    let (_, mine) = stage.call(ANN, PURGE, &[("ObjectPath", "a.example/x")]).await;
    let id = mine["RefreshTaskId"].as_str().unwrap();
    let listed = async |params: &[(&str, &str)]| stage.call(BOB, TASKS, params).await.1["TotalCount"].clone();
    assert_eq!(listed(&[]).await, 0);
    assert_eq!(listed(&[("TaskId", id)]).await, 0);
    assert_eq!(listed(&[("ObjectPath", "a.example/x")]).await, 0);
    assert_eq!(listed(&[("ObjectType", "file"), ("DomainName", "a.example")]).await, 0);
}

#[tokio::test]
async fn a_submission_over_quota_is_refused_whole() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    stage.control.set_limits("ann", Limits { url: 2, directory: 0, ..Limits::all(1) }).await.unwrap();
    for (action, kind, lines, code, said) in [
        (
            PURGE,
            "File",
            "a.example/1\na.example/2\na.example/3",
            "QuotaExceeded.Refresh",
            "3 lines, but 2 of 2 url",
        ),
        (PURGE, "Directory", "a.example/", "QuotaExceeded.Refresh", "1 lines, but 0 of 0 directory"),
        (PREFETCH, "", "a.example/1\na.example/2", "QuotaExceeded.Preload", "2 lines, but 1 of 1 prefetch"),
    ] {
        let (status, answered, detail) =
            refused(&stage, action, &[("ObjectPath", lines), ("ObjectType", kind)]).await;
        assert_eq!((status, answered.as_str()), (400, code));
        assert!(detail.starts_with(said), "{detail:?} is not {said:?}");
    }
    let (_, quota) = stage.call(ANN, QUOTA, &[]).await;
    assert_eq!(quota["UrlRemain"], json!("2"));
    let many = vec!["a.example/1"; 1_001].join("\n");
    let form = format!("ObjectPath={}", freshen_api::signature::encode::encode(&many));
    let mut request = stage.signed(ANN, "POST", "/", PURGE, form.as_bytes());
    request.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    let answer = stage.send(request).await.json();
    assert_eq!(answer["Code"], "InvalidObjectPath.Size.Malformed");
}

#[tokio::test]
async fn without_pops_nothing_is_promised() {
    let stage = Stage::set().await;
    let (status, code, detail) = refused(&stage, PURGE, &[("ObjectPath", "a.example/1")]).await;
    assert_eq!((status, code.as_str()), (503, "ServiceUnavailable"));
    assert_eq!(detail, "no POP is registered, add one first");
}

#[tokio::test]
async fn a_list_of_a_thousand_lines_fits_into_the_query_and_names_its_bad_line() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let line = |number: usize| format!("http://a.example/{}/{number}.mp4", "d".repeat(200));
    let mut lines: Vec<String> = (1..=1_000).map(line).collect();
    let (status, body) = stage.long_call(ANN, PURGE, &lines.join("\n")).await;
    assert_eq!((status, body["RefreshTaskId"].is_string()), (200, true), "{body}");
    lines[776] = "http://a.example/a b".into();
    let (status, body) = stage.long_call(ANN, PURGE, &lines.join("\n")).await;
    is_envelope(&body);
    assert_eq!((status, body["Recommend"].as_str()), (400, Some("line 777: raw space in URL, write %20")));
}

#[tokio::test]
async fn a_head_that_cannot_be_has_the_envelope_too() {
    let stage = Stage::set().await;
    for (head, status, code) in [
        (format!("GET /?a={} HTTP/1.1\r\n\r\n", "x".repeat(2 << 20)), 413, "RequestTooLarge"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101)), 413, "RequestTooLarge"),
        ("what\r\n\r\n".to_owned(), 400, "InvalidRequest"),
    ] {
        let (found, body) = stage.raw(head.as_bytes()).await;
        is_envelope(&body);
        assert_eq!((found, body["Code"].as_str()), (status, Some(code)), "{body}");
    }
}
