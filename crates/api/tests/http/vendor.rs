//! The vendor's API as its documentation has it: purges, prefetches, their rows, quotas.

use std::time::Duration;

use crate::stage::{ANN, Answer, BOB, Stage};
use bytes::Bytes;
use freshen_api::signature::encode::{Pairs, canonical};
use freshen_api::signature::hmac_sha1;
use freshen_api::timestamp;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

const PURGE: &str = "RefreshVodObjectCaches";
const PREFETCH: &str = "PreloadVodObjectCaches";
const TASKS: &str = "DescribeVodRefreshTasks";
const QUOTA: &str = "DescribeVodRefreshQuota";

async fn submit(stage: &Stage, action: &str, params: &[(&str, &str)]) -> String {
    let (status, body) = stage.call(ANN, action, params).await;
    assert_eq!(status, 200, "{body}");
    let id = body.get("RefreshTaskId").or(body.get("PreloadTaskId")).expect("a task id");
    id.as_str().expect("a string").to_owned()
}

async fn rows(stage: &Stage, params: &[(&str, &str)]) -> (u64, Vec<Value>) {
    let (status, body) = stage.call(ANN, TASKS, params).await;
    assert_eq!(status, 200, "{body}");
    (body["TotalCount"].as_u64().unwrap(), body["Tasks"]["Task"].as_array().unwrap().clone())
}

fn columns(rows: &[Value], names: [&str; 3]) -> Vec<[String; 3]> {
    let text = |row: &Value, name: &str| row[name].as_str().expect("a string").to_owned();
    rows.iter().map(|row| names.map(|name| text(row, name))).collect()
}

#[tokio::test]
async fn p2_a_purge_is_complete_once_every_pop_confirmed() {
    let stage = Stage::set().await;
    let (mut asia, mut europe) = (stage.pop("pop-asia").await, stage.pop("pop-europe").await);
    let id = submit(&stage, PURGE, &[("ObjectPath", "http://a.example/x\r\na.example/y?z=1")]).await;

    let (total, shown) = rows(&stage, &[("TaskId", &id)]).await;
    let names = ["ObjectPath", "Status", "Process"];
    assert_eq!(total, 2);
    assert_eq!(
        columns(&shown, names),
        [["http://a.example/x", "Refreshing", "0%"], ["a.example/y?z=1", "Refreshing", "0%"]]
    );

    asia.confirm(stage.control.log_end()).await;
    let (_, shown) = rows(&stage, &[("TaskId", &id), ("ObjectPath", "http://a.example/x")]).await;
    assert_eq!(columns(&shown, names), [["http://a.example/x", "Refreshing", "50%"]]);

    europe.confirm(stage.control.log_end()).await;
    stage.ended(&id).await;
    let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
    let (status, process, kind) = ("Complete", "100%", "file");
    for row in columns(&shown, ["Status", "Process", "ObjectType"]) {
        assert_eq!(row, [status, process, kind]);
    }
}

/// The types beside File and Directory, and tags by the CDN's one action.
#[tokio::test]
async fn each_type_is_purged_as_its_kind_and_listed_as_its_type() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    for (object_type, line, listed) in [
        ("Regex", "http://a.example/[0-9][a-z].*.jpg", "regex"),
        ("IgnoreParams", "a.example/x", "ignoreparams"),
        ("ExQuery", "a.example/x", "ignoreparams"),
    ] {
        let id = submit(&stage, PURGE, &[("ObjectPath", line), ("ObjectType", object_type)]).await;
        let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
        assert_eq!(columns(&shown, ["ObjectPath", "ObjectType", "Status"]), [[line, listed, "Refreshing"]]);
    }
    const TAGS: &str = "RefreshObjectCacheByCacheTag";
    let id =
        submit(&stage, TAGS, &[("DomainName", "a.example"), ("CacheTag", "t, u v"), ("Force", "True")]).await;
    let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
    let names = ["ObjectPath", "ObjectType", "Status"];
    assert_eq!(columns(&shown, names), [["t", "cachetag", "Refreshing"], ["u v", "cachetag", "Refreshing"]]);
    let refused = async |params: &[(&str, &str)]| stage.call(ANN, TAGS, params).await.1["Code"].clone();
    assert_eq!(refused(&[("DomainName", "b.example"), ("CacheTag", "t")]).await, "InvalidDomain.NotFound");
    assert_eq!(refused(&[("DomainName", "a.example"), ("CacheTag", ",")]).await, "MissingParameter");
    assert_eq!(refused(&[("CacheTag", "t")]).await, "MissingParameter");
}

#[tokio::test]
async fn p2_a_fenced_pop_counts_as_done_and_not_before_it_is_fenced() {
    let stage = Stage::set().await;
    let _silent = stage.pop("pop-asia").await;
    let id = submit(&stage, PURGE, &[("ObjectPath", "a.example/d/"), ("ObjectType", "Directory")]).await;
    stage.clock.advance(Duration::from_millis(10_999));
    let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
    assert_eq!(columns(&shown, ["Status", "Process", "ObjectType"]), [["Refreshing", "0%", "directory"]]);
    stage.clock.advance(Duration::from_millis(1));
    stage.ended(&id).await;
    let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
    assert_eq!(columns(&shown, ["Status", "Process", "Description"]), [["Complete", "100%", ""]]);
}

#[tokio::test]
async fn p6_each_line_of_a_prefetch_says_what_became_of_it() {
    let stage = Stage::set().await;
    let (mut asia, mut europe) = (stage.pop("pop-asia").await, stage.pop("pop-europe").await);
    let lines = "a.example/1\na.example/2\na.example/3";
    let params = [("ObjectPath", lines), ("Area", "domestic"), ("L2Preload", "True")];
    let id = submit(&stage, PREFETCH, &params).await;
    let seq = stage.control.log_end();
    asia.prefetched(seq, 3, &[(2, "Origin Timeout"), (3, "Origin Timeout")]).await;
    europe.prefetched(seq, 3, &[(3, "Origin Timeout")]).await;
    stage.ended(&id).await;

    let names = ["Status", "Process", "Description"];
    let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
    let expected = [
        ["Complete", "100%", ""],
        ["Failed", "50%", "Origin Timeout (pop-asia)"],
        ["Failed", "0%", "Origin Timeout (pop-asia, pop-europe)"],
    ];
    assert_eq!(columns(&shown, names), expected);

    let of_status = async |status| rows(&stage, &[("ObjectType", "preload"), ("Status", status)]).await;
    let (total, shown) = of_status("Failed").await;
    assert_eq!(
        (total, columns(&shown, names)),
        (2, expected[1..].iter().map(|row| row.map(str::to_owned)).collect())
    );
    let (total, shown) = of_status("Complete").await;
    assert_eq!((total, columns(&shown, names)), (1, vec![expected[0].map(str::to_owned)]));
    assert_eq!(of_status("Refreshing").await, (0, vec![]));
}

#[tokio::test]
async fn p6_a_pop_that_missed_the_deadline_is_named() {
    let stage = Stage::set().await;
    let _silent = stage.pop("pop-asia").await;
    let id = submit(&stage, PREFETCH, &[("ObjectPath", "a.example/1")]).await;
    stage.clock.advance(Duration::from_secs(86_400));
    stage.ended(&id).await;
    let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
    let why = "Internal Error: not finished by the deadline (pop-asia)";
    assert_eq!(columns(&shown, ["Status", "Process", "Description"]), [["Failed", "0%", why]]);
}

#[tokio::test]
async fn rows_are_filtered_and_paged_newest_first() {
    let stage = Stage::set().await;
    stage.control.add_domain("ann", "c.example", &crate::stage::settings()).await.unwrap();
    let _pop = stage.pop("pop-asia").await;
    submit(&stage, PURGE, &[("ObjectPath", "a.example/1\nc.example/2\na.example/3")]).await;
    submit(&stage, PURGE, &[("ObjectPath", "a.example/d/"), ("ObjectType", "Directory")]).await;

    let paths = |rows: &[Value]| -> Vec<String> {
        rows.iter().map(|row| row["ObjectPath"].as_str().unwrap().to_owned()).collect()
    };
    let (total, shown) = rows(&stage, &[]).await;
    assert_eq!((total, paths(&shown)[0].as_str()), (4, "a.example/d/"));
    let (total, shown) = rows(&stage, &[("PageSize", "2"), ("PageNumber", "2")]).await;
    assert_eq!((total, paths(&shown)), (4, vec!["c.example/2".into(), "a.example/3".into()]));
    let (total, shown) = rows(&stage, &[("ObjectType", "file"), ("DomainName", "A.example")]).await;
    assert_eq!((total, paths(&shown)), (2, vec!["a.example/1".into(), "a.example/3".into()]));
    let (total, _) = rows(&stage, &[("ObjectType", "file"), ("Status", "Complete")]).await;
    assert_eq!(total, 0);
    let (_, body) = stage.call(ANN, TASKS, &[("PageSize", "50")]).await;
    assert_eq!((&body["PageNumber"], &body["PageSize"]), (&json!(1), &json!(50)));
}

#[tokio::test]
async fn tasks_are_listed_for_three_days() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let id = submit(&stage, PURGE, &[("ObjectPath", "a.example/1")]).await;
    pop.confirm(stage.control.log_end()).await;
    stage.ended(&id).await;
    let at_s = stage.control.wall_ms() / 1_000;
    let time = |seconds: i64| timestamp::format(seconds).to_string();
    let between = async |from: i64, to: i64| {
        rows(&stage, &[("StartTime", &time(from)), ("EndTime", &time(to))]).await.0
    };
    assert_eq!(between(at_s - 60, at_s + 60).await, 1);
    assert_eq!(between(at_s - 120, at_s - 60).await, 0);
    let two_days = Duration::from_secs(2 * 86_400);
    stage.clock.advance(two_days);
    assert_eq!(rows(&stage, &[("TaskId", &id)]).await.0, 1);
    stage.clock.advance(two_days);
    assert_eq!(rows(&stage, &[("TaskId", &id)]).await.0, 0);
    let params = [("StartTime", time(at_s - 60)), ("EndTime", time(at_s + 60))];
    let (status, body) =
        stage.call(ANN, TASKS, &params.each_ref().map(|(name, time)| (*name, time.as_str()))).await;
    assert_eq!((status, &body["Code"]), (400, &json!("InvalidTime")));
}

#[tokio::test]
async fn quotas_count_lines() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    submit(&stage, PURGE, &[("ObjectPath", "a.example/1\na.example/1")]).await;
    submit(&stage, PURGE, &[("ObjectPath", "a.example/d/"), ("ObjectType", "Directory"), ("Force", "True")])
        .await;
    submit(&stage, PREFETCH, &[("ObjectPath", "a.example/1")]).await;
    let (_, mut body) = stage.call(ANN, QUOTA, &[]).await;
    body.as_object_mut().unwrap().remove("RequestId").expect("a request id");
    let expected = json!({
        "UrlQuota": "2000", "UrlRemain": "1998", "DirQuota": "100", "DirRemain": "99",
        "PreloadQuota": "500", "PreloadRemain": "499", "BlockQuota": "0", "blockRemain": "0",
    });
    assert_eq!(body, expected);
    let (_, others) = stage.call(BOB, QUOTA, &[]).await;
    assert_eq!(others["UrlRemain"], "2000");
}

#[tokio::test]
async fn p4_what_was_answered_with_success_completes_after_control_was_killed() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let id = submit(&stage, PURGE, &[("ObjectPath", "a.example/1")]).await;
    let seq = stage.control.log_end();
    let stage = stage.restart().await;
    let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
    assert_eq!(columns(&shown, ["ObjectPath", "Status", "Process"]), [["a.example/1", "Refreshing", "0%"]]);
    pop.reconnect(&stage);
    pop.confirm(seq).await;
    stage.ended(&id).await;
    let (_, shown) = rows(&stage, &[("TaskId", &id)]).await;
    assert_eq!(columns(&shown, ["ObjectPath", "Status", "Process"]), [["a.example/1", "Complete", "100%"]]);
}

#[tokio::test]
async fn hmac_sha1_in_query_and_form_is_answered_in_the_format_asked_for() {
    let stage = Stage::set().await;
    let json = hmac_call(&stage, "1", &[("Format", "JSON")], true).await;
    assert_eq!((json.status, &json.json()["UrlQuota"]), (200, &json!("2000")));
    let xml = hmac_call(&stage, "2", &[], false).await;
    assert_eq!(xml.headers["content-type"], "text/xml;charset=utf-8");
    assert!(
        xml.text().contains("<DescribeVodRefreshQuotaResponse><BlockQuota>0</BlockQuota>"),
        "{}",
        xml.text()
    );
}

/// A call of the quota action in the vendor's first scheme, all in the form or all in the query.
async fn hmac_call(stage: &Stage, nonce: &str, also: &[(&str, &str)], in_form: bool) -> Answer {
    let now = timestamp::format(stage.control.wall_ms() / 1_000).to_string();
    let fixed = [
        ("Action", QUOTA),
        ("Version", "2017-03-21"),
        ("AccessKeyId", ANN.0),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", nonce),
        ("Timestamp", &now),
    ];
    let mut pairs: Pairs =
        fixed.iter().chain(also).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let string_to_sign = hmac_sha1::string_to_sign("POST", &pairs);
    pairs.insert("Signature".into(), hmac_sha1::signature(&ANN.secret(), &string_to_sign));
    let (query, form) =
        if in_form { (String::new(), canonical(&pairs)) } else { (canonical(&pairs), String::new()) };
    let request = Request::post(format!("http://{}/?{query}", stage.address))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form)));
    stage.send(request.unwrap()).await
}
