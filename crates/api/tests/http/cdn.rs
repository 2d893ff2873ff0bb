//! The CDN API where it differs from VOD's: names, nesting, types, pages, errors.

use crate::stage::{ANN, BOB, Stage, settings};
use serde_json::{Value, json};

const PURGE: &str = "RefreshObjectCaches";
const PREFETCH: &str = "PushObjectCache";
const TASKS: &str = "DescribeRefreshTasks";
const BY_ID: &str = "DescribeRefreshTaskById";
const DETAIL: &str = "DescribePreloadDetailById";

async fn answered(stage: &Stage, action: &str, params: &[(&str, &str)]) -> Value {
    let (status, mut body) = stage.call(ANN, action, params).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.as_object_mut().unwrap().remove("RequestId").is_some_and(|id| id.is_string()));
    body
}

async fn submit(stage: &Stage, action: &str, field: &str, params: &[(&str, &str)]) -> String {
    let body = answered(stage, action, params).await;
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body[field].as_str().expect("a task id as text").to_owned()
}

#[tokio::test]
async fn a_purge_is_listed_under_cdn_task_and_by_its_id() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let files =
        submit(&stage, PURGE, "RefreshTaskId", &[("ObjectPath", "http://a.example/1\na.example/2")]).await;
    pop.confirm(stage.control.log_end()).await;
    stage.ended(&files).await;
    let params = [("ObjectPath", "a.example/d/"), ("ObjectType", "Directory"), ("Force", "true")];
    let directory = submit(&stage, PURGE, "RefreshTaskId", &params).await;

    let body = answered(&stage, TASKS, &[("PageSize", "100"), ("ResourceGroupId", "rg-x")]).await;
    let rows = body["Tasks"]["CDNTask"].as_array().expect("rows");
    assert_eq!((rows.len(), &body["TotalCount"], &body["PageSize"]), (3, &json!(3), &json!(100)));
    assert_eq!((&rows[0]["TaskId"], &rows[0]["ObjectType"]), (&json!(directory), &json!("directory")));
    assert_eq!((&rows[2]["Status"], &rows[2]["Process"]), (&json!("Complete"), &json!("100%")));

    let by_id = async |ids: &str| answered(&stage, BY_ID, &[("TaskId", ids)]).await;
    let both = by_id(&format!("{files},{directory}")).await;
    assert_eq!((&both["TotalCount"], both["Tasks"].as_array().map(Vec::len)), (&json!(3), Some(3)));
    assert_eq!(both["Tasks"][1], rows[2]);
    assert_eq!(by_id("1").await, json!({"TotalCount": 0, "Tasks": []}));
    let (_, others) = stage.call(BOB, BY_ID, &[("TaskId", &files)]).await;
    assert_eq!(others["TotalCount"], 0);
    stage.clock.advance(std::time::Duration::from_secs(4 * 86_400));
    assert_eq!(by_id(&files).await["TotalCount"], 0, "tasks are listed for three days");
}

#[tokio::test]
async fn a_prefetch_tells_each_url_by_domain() {
    let stage = Stage::set().await;
    stage.control.add_domain("ann", "c.example", &settings()).await.unwrap();
    let mut pop = stage.pop("pop-asia").await;
    let params = [
        ("ObjectPath", "http://a.example/1\nc.example/2\na.example/3"),
        ("Area", "domestic"),
        ("L2Preload", "false"),
        ("QueryHashkey", "true"),
        ("WithHeader", r#"{"Accept-Encoding":["gzip"]}"#),
    ];
    let id = submit(&stage, PREFETCH, "PushTaskId", &params).await;
    let running = answered(&stage, DETAIL, &[("TaskId", &id)]).await;
    assert_eq!((&running["TotalCount"], &running["UrlDetails"][0]["EndTime"]), (&json!(2), &json!("")));
    assert_eq!(
        running["UrlDetails"][1]["Urls"],
        json!([{"Url": "c.example/2", "Success": "0%", "Description": ""}])
    );

    pop.prefetched(stage.control.log_end(), 3, &[(3, "Origin Timeout")]).await;
    stage.ended(&id).await;
    let ended = answered(&stage, DETAIL, &[("TaskId", &id)]).await;
    let mut first = ended["UrlDetails"][0].clone();
    for time in ["CreationTime", "EndTime"] {
        let time = first.as_object_mut().unwrap().remove(time).unwrap();
        freshen_api::timestamp::parse(time.as_str().unwrap()).unwrap();
    }
    let expected = json!({
        "TaskId": id, "Domain": "a.example", "Status": "Failed", "Process": "0%", "RetCode": "0",
        "Urls": [
            {"Url": "http://a.example/1", "Success": "100%", "Description": "Successfully preloaded"},
            {"Url": "a.example/3", "Success": "0%", "Description": "Origin Timeout (pop-asia)"},
        ],
    });
    assert_eq!(first, expected);
    assert_eq!(ended["UrlDetails"][1]["Status"], "Complete");
    let purge = submit(&stage, PURGE, "RefreshTaskId", &[("ObjectPath", "a.example/1")]).await;
    let none = json!({"TotalCount": 0, "UrlDetails": []});
    assert_eq!(answered(&stage, DETAIL, &[("TaskId", &purge)]).await, none);
}

#[tokio::test]
async fn quotas_are_text_or_numbers() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    submit(&stage, PURGE, "RefreshTaskId", &[("ObjectPath", "a.example/1")]).await;
    let quota = answered(&stage, "DescribeRefreshQuota", &[]).await;
    assert_eq!((&quota["UrlQuota"], &quota["UrlRemain"]), (&json!("2000"), &json!("1999")));
    assert_eq!((&quota["PreloadRemain"], &quota["BlockRemain"]), (&json!("500"), &json!("0")));
    let user = answered(&stage, "DescribeCdnUserQuota", &[]).await;
    assert_eq!((&user["RefreshUrlRemain"], &user["RefreshDirQuota"]), (&json!(1999), &json!(100)));
    assert_eq!(user["DomainQuota"], freshen_control::DOMAINS_OF_ACCOUNT_MAX);
}

#[tokio::test]
async fn errors_are_in_the_products_own_words() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let many = "a.example/1\n".repeat(1_001);
    let prefetches = "a.example/1\n".repeat(101);
    let day = [("StartTime", "2026-01-01T00:00:00Z")];
    for (action, params, status, code, said) in [
        (
            PURGE,
            &[("ObjectPath", many.as_str())][..],
            400,
            "SingleRequest.OverLimit",
            "A maximum of 1000 URLs",
        ),
        (
            PREFETCH,
            &[("ObjectPath", &prefetches)],
            400,
            "InvalidObjectPath.ExceedsMaximum",
            "urls is exceeded",
        ),
        (
            PURGE,
            &[("ObjectPath", "a.example/1\na.example/b c")],
            400,
            "InvalidObjectPath.Malformed",
            "(line 2: ",
        ),
        (
            PURGE,
            &[("ObjectPath", "x"), ("ObjectType", "Moon")],
            400,
            "InvalidObjectType.Malformed",
            "ObjectType",
        ),
        (PURGE, &[("ObjectPath", "b.example/1")], 404, "InvalidDomain.NotFound", "line 1"),
        (PURGE, &[], 400, "MissingParameter", "\"ObjectPath\""),
        (TASKS, &day, 400, "MissingTimeParameter", "both"),
        (TASKS, &[("ObjectType", "moon")], 400, "InvalidObjectType.ValueNotSupported", "ObjectType"),
        (BY_ID, &[], 400, "MissingParameter", "\"TaskId\""),
        (BY_ID, &[("TaskId", "1,2,3,4,5,6,7,8,9,10,11")], 400, "InvalidTaskId.Malformed", "at most 10"),
    ] {
        let (found, body) = stage.call(ANN, action, params).await;
        assert_eq!((found, body["Code"].as_str()), (status, Some(code)), "{action} {body}");
        assert!(body["Message"].as_str().unwrap().contains(said), "{body}");
    }
}

#[tokio::test]
async fn tags_are_purged_in_one_domain() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    let by_tag = "RefreshObjectCacheByCacheTag";
    let params = [("DomainName", "a.example"), ("CacheTag", "shop, news"), ("Force", "true")];
    let id = submit(&stage, by_tag, "RefreshTaskId", &params).await;
    let rows = answered(&stage, BY_ID, &[("TaskId", &id)]).await;
    assert_eq!((&rows["TotalCount"], &rows["Tasks"][0]["ObjectType"]), (&json!(2), &json!("cachetag")));
    for (params, status, code) in [
        (&[("CacheTag", "shop")][..], 400, "MissingParameter"),
        (&[("DomainName", "a.example"), ("CacheTag", " ,")], 400, "MissingParameter"),
        (&[("DomainName", "b.example"), ("CacheTag", "shop")], 404, "InvalidDomain.NotFound"),
    ] {
        let (found, body) = stage.call(ANN, by_tag, params).await;
        assert_eq!((found, body["Code"].as_str()), (status, Some(code)), "{body}");
    }
}
