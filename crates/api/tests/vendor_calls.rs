//! The recorded requests of the vendor's SDKs, read all the way to typed calls.

use freshen_api::signature::Request;
use freshen_api::vendor::{Action, Call, Format, ObjectType, Params, VendorError};
use http::{HeaderMap, HeaderName};
use serde_json::Value;

/// About when the requests were recorded: 2026-11-22T08:00:00Z.
const NOW: i64 = 1_795_334_400;

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().expect("a string")
}

fn read(vector: &Value) -> (Format, Result<Call, VendorError>) {
    let headers = vector["headers"].as_array().expect("headers").iter().map(|pair| {
        let (name, value) = (pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value"));
        (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"))
    });
    let headers: HeaderMap = headers.collect();
    let (path, query) = text(vector, "target").split_once('?').unwrap_or((text(vector, "target"), ""));
    let request = Request {
        method: text(vector, "method"),
        path,
        query,
        headers: &headers,
        body: text(vector, "body").as_bytes(),
    };
    let params = Params::of(&request).expect("parameters");
    let format = Format::of(&request, &params).expect("a format");
    (format, Action::of(&request, &params).and_then(|action| Call::parse(action, &params, NOW)))
}

#[test]
fn recorded_requests_become_the_calls_they_name() {
    let (mut purges, mut prefetches, mut lists) = (0, 0, 0);
    for line in include_str!("fixtures/signature-vectors.jsonl").lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let given = |name: &str| vector["params"][name].as_str();
        let (format, call) = read(&vector);
        assert_eq!(format, Format::Json);
        match (text(&vector, "action"), call) {
            ("RefreshVodObjectCaches" | "RefreshObjectCaches", Ok(Call::Purge(purge))) => {
                let lines: Vec<&str> = purge.object_path.iter().map(|line| line.text.as_str()).collect();
                assert_eq!(lines, given("ObjectPath").unwrap().split('\n').collect::<Vec<_>>());
                let is_directory = given("ObjectType") == Some("Directory");
                assert_eq!(purge.object_type == ObjectType::Directory, is_directory);
                assert_eq!(purge.force, given("Force").is_some());
                purges += 1;
            }
            ("PreloadVodObjectCaches" | "PushObjectCache", Ok(Call::Prefetch(prefetch))) => {
                assert_eq!(prefetch.object_path[0].text, "http://vod.test.com/a.mp4");
                assert_eq!(prefetch.with_header, [("accept-encoding", "gzip")].into_iter().collect());
                prefetches += 1;
            }
            ("DescribeVodRefreshTasks" | "DescribeRefreshTasks", Ok(Call::Tasks(list))) => {
                assert_eq!((list.domain_name.as_deref(), list.page_size), (Some("vod.test.com"), 20));
                lists += 1;
            }
            ("RefreshObjectCacheByCacheTag", Ok(Call::PurgeTags(purge))) => {
                assert_eq!(given("DomainName"), Some(purge.domain_name.as_str()));
                let tags: Vec<&str> = purge.cache_tag.iter().map(|tag| tag.text.as_str()).collect();
                assert_eq!(given("CacheTag"), Some(tags.join(",").as_str()));
            }
            ("GetMediaRefreshJobs", Ok(Call::MediaJobs(query))) => {
                assert_eq!(given("MediaRefreshJobId"), Some(query.job_id.as_str()));
                assert_eq!(given("MediaId"), query.media_id.as_deref());
            }
            (action, Err(error)) => {
                assert!(Action::ALL.iter().all(|known| known.name() != action), "{action}: {error}");
                assert_eq!(error.code(), "InvalidAction.NotFound");
            }
            (action, call) => panic!("{action} read as {call:?}"),
        }
    }
    assert_eq!((purges, prefetches, lists), (18, 2, 2));
}
