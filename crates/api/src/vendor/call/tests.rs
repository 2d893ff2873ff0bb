use super::*;

const NOW: i64 = 1_800_000_000;

fn call<const N: usize>(action: Action, params: [(&str, &str); N]) -> Result<Call, VendorError> {
    Call::parse(action, &Params::from(params), NOW)
}

fn purge<const N: usize>(params: [(&str, &str); N]) -> Purge {
    match call(Action::RefreshVodObjectCaches, params) {
        Ok(Call::Purge(purge)) => purge,
        other => panic!("{other:?}"),
    }
}

fn prefetch<const N: usize>(params: [(&str, &str); N]) -> Prefetch {
    match call(Action::PreloadVodObjectCaches, params) {
        Ok(Call::Prefetch(prefetch)) => prefetch,
        other => panic!("{other:?}"),
    }
}

fn list<const N: usize>(params: [(&str, &str); N]) -> TaskQuery {
    match call(Action::DescribeVodRefreshTasks, params) {
        Ok(Call::Tasks(list)) => list,
        other => panic!("{other:?}"),
    }
}

fn refusal<const N: usize>(action: Action, params: [(&str, &str); N]) -> (String, String) {
    let error = call(action, params).expect_err("refused");
    assert_eq!(error.status(), 400);
    (error.code().into_owned(), error.message().into_owned())
}

fn line(number: usize, text: &str) -> Line {
    Line { number, text: text.into() }
}

#[test]
fn a_purge_has_defaults() {
    let expected =
        Purge { object_path: vec![line(1, "http://a.test/x")], object_type: ObjectType::File, force: false };
    assert_eq!(purge([("ObjectPath", "http://a.test/x")]), expected);
    assert_eq!(
        purge([("ObjectPath", "http://a.test/x"), ("ObjectType", ""), ("Force", ""), ("OwnerId", "1")]),
        expected
    );
}

#[test]
fn lines_keep_their_numbers() {
    let lines = purge([("ObjectPath", "http://a.test/x\r\n\r\n a.test/y z \n")]).object_path;
    assert_eq!(lines, [line(1, "http://a.test/x"), line(3, "a.test/y z")]);
}

#[test]
fn object_types_are_the_vendors() {
    for (name, object_type) in [
        ("File", ObjectType::File),
        ("Directory", ObjectType::Directory),
        ("directory", ObjectType::Directory),
        ("Regex", ObjectType::Regex),
        ("IgnoreParams", ObjectType::IgnoreParams),
        ("ExQuery", ObjectType::IgnoreParams),
    ] {
        let purge = purge([("ObjectPath", "a"), ("ObjectType", name), ("Force", "True")]);
        assert_eq!((purge.object_type, purge.force), (object_type, true), "{name}");
    }
}

#[test]
fn what_a_purge_cannot_be() {
    let refusal = |params: [(&str, &str); 2]| refusal(Action::RefreshVodObjectCaches, params);
    let missing =
        r#"The input parameter "ObjectPath" that is mandatory for processing this request is not supplied."#;
    for empty in ["", "\n \r\n"] {
        assert_eq!(
            refusal([("ObjectPath", empty), ("Force", "true")]),
            ("MissingParameter".into(), missing.into())
        );
    }
    assert_eq!(
        refusal([("ObjectPath", "a"), ("ObjectType", "Dir")]),
        (
            "InvalidObjectType.ValueNotSupported".into(),
            r#"The specified value of "ObjectType" is not supported."#.into()
        )
    );
    assert_eq!(refusal([("ObjectPath", "a"), ("Force", "yes")]).0, "InvalidForce");
    let many = "a\n".repeat(LINES_MAX);
    assert_eq!(purge([("ObjectPath", &many)]).object_path.len(), LINES_MAX);
    assert_eq!(
        refusal([("ObjectPath", &(many + "a")), ("Force", "true")]),
        ("InvalidObjectPath.Size.Malformed".into(), "The size of ObjectPath is bigger than 10000.".into())
    );
}

#[test]
fn a_prefetch_has_an_area_and_headers() {
    let plain = prefetch([("ObjectPath", "a.test/x")]);
    assert_eq!((plain.area, plain.l2_preload, plain.with_header), (None, false, Variants::default()));
    let full = prefetch([
        ("ObjectPath", "a.test/x"),
        ("Area", "overseas"),
        ("L2Preload", "True"),
        ("WithHeader", r#"{"Accept-Encoding":["gzip","br"],"Accept":"*/*"}"#),
    ]);
    assert_eq!((full.area, full.l2_preload), (Some(Area::Overseas), true));
    let expected = [("accept", "*/*"), ("accept-encoding", "gzip"), ("accept-encoding", "br")];
    assert_eq!(full.with_header, expected.into_iter().collect());
}

#[test]
fn what_a_prefetch_cannot_be() {
    let code = |name: &str, value: &str| {
        refusal(Action::PreloadVodObjectCaches, [("ObjectPath", "a"), (name, value)]).0
    };
    assert_eq!(code("Area", "global"), "InvalidArea");
    assert_eq!(code("L2Preload", "2"), "InvalidL2Preload");
    let many: Vec<String> = (0..9).map(|n| format!(r#""x-{n}""#)).collect();
    let many = format!(r#"{{"Accept-Language":[{}]}}"#, many.join(","));
    for text in [
        "gzip",
        "[]",
        r#"{"Accept":1}"#,
        r#"{"Accept":[]}"#,
        r#"{"a b":["1"]}"#,
        r#"{"Accept":["1\r\nb: 2"]}"#,
        &many,
    ] {
        assert_eq!(code("WithHeader", text), "InvalidWithHeader", "{text}");
    }
}

#[test]
fn a_list_is_the_first_page_of_three_days() {
    let expected = TaskQuery {
        task_id: None,
        object_path: None,
        object_type: None,
        domain_name: None,
        status: None,
        start_time: NOW - 3 * 86_400,
        end_time: None,
        page_number: 1,
        page_size: 20,
    };
    assert_eq!(list([]), expected);
    let filtered = list([
        ("TaskId", "704225667"),
        ("ObjectPath", "http://a.test/x"),
        ("ObjectType", "preload"),
        ("DomainName", "a.test"),
        ("Status", "Complete"),
        ("PageNumber", "2"),
        ("PageSize", "50"),
    ]);
    assert_eq!(filtered.task_id, Some(704_225_667));
    assert_eq!(filtered.object_path.as_deref(), Some("http://a.test/x"));
    assert_eq!(filtered.object_type, Some(TaskType::Preload));
    assert_eq!(filtered.domain_name.as_deref(), Some("a.test"));
    assert_eq!(filtered.status, Some(TaskStatus::Complete));
    assert_eq!((filtered.page_number, filtered.page_size), (2, 50));
}

#[test]
fn what_a_list_cannot_be() {
    for (name, value, code, message) in [
        ("TaskId", "1,2", "InvalidTaskId.Malformed", "Specified TaskId is malformed."),
        ("TaskId", "+1", "InvalidTaskId.Malformed", "Specified TaskId is malformed."),
        ("TaskId", "18446744073709551616", "InvalidTaskId.Malformed", "Specified TaskId is malformed."),
        (
            "ObjectType",
            "block",
            "InvalidObjectType.ValueNotSupported",
            r#"The specified value of "ObjectType" is not supported."#,
        ),
        (
            "Status",
            "Done",
            "InvalidStatus.ValueNotSupported",
            "The specified value of parameter Status is not supported.",
        ),
        (
            "DomainName",
            "a.test",
            "MissingParameter.ObjectType",
            "If DomainName or Status is provided, ObjectType can not be empty.",
        ),
        (
            "Status",
            "Failed",
            "MissingParameter.ObjectType",
            "If DomainName or Status is provided, ObjectType can not be empty.",
        ),
        (
            "PageSize",
            "51",
            "InvalidPageSize",
            "Specified parameter PageSize is not valid. (expected 1 to 50)",
        ),
        (
            "PageNumber",
            "0",
            "InvalidPageNumber",
            "Specified parameter PageNumber is not valid. (expected 1 to 100000)",
        ),
        ("StartTime", "2027-01-15T08:00:00Z", "MissingParameter", "StartTime and EndTime can not be single."),
        ("EndTime", "2027-01-15T08:00:00Z", "MissingParameter", "StartTime and EndTime can not be single."),
        ("StartTime", "yesterday", "InvalidStartTime.Malformed", "Specified StartTime is malformed."),
        ("EndTime", "2027-01-15", "InvalidEndTime.Malformed", "Specified EndTime is malformed."),
    ] {
        let refused = refusal(Action::DescribeVodRefreshTasks, [(name, value)]);
        assert_eq!(refused, (code.into(), message.into()), "{name}={value}");
    }
}

/// Times are seconds from now.
#[test]
fn a_list_goes_back_three_days() {
    let times = |start: i64, end: i64| {
        let (start, end) =
            (timestamp::format(NOW + start).to_string(), timestamp::format(NOW + end).to_string());
        call(Action::DescribeVodRefreshTasks, [("StartTime", &start), ("EndTime", &end)])
            .map(drop)
            .map_err(|error| (error.code().into_owned(), error.message().into_owned()))
    };
    assert_eq!(times(-3 * 86_400, 0), Ok(()));
    assert_eq!(times(-60, 3_600), Ok(()));
    for (start, end, code, message) in [
        (-3 * 86_400 - 901, 0, "InvalidTime", "The query time cannot exceed the last 3 days."),
        (0, 0, "InvalidEndTime.Mismatch", "Specified end time does not math the specified start time."),
        (0, -1, "InvalidEndTime.Mismatch", "Specified end time does not math the specified start time."),
        (
            901,
            3_600,
            "InvalidStartTime.ValueNotSupported",
            "The specified value of parameter StartTime is not supported.",
        ),
    ] {
        assert_eq!(times(start, end), Err((code.into(), message.into())));
    }
}

#[test]
fn quotas_need_nothing() {
    let quota = call(Action::DescribeVodRefreshQuota, [("OwnerId", "1"), ("SecurityToken", "t")]);
    assert_eq!(quota, Ok(Call::Quota));
}

#[test]
fn both_products_ask_for_the_same_in_their_own_words() {
    let params = [("ObjectPath", "a.test/x"), ("Force", "true"), ("QueryHashkey", "true")];
    for (vod, cdn) in [
        (Action::RefreshVodObjectCaches, Action::RefreshObjectCaches),
        (Action::PreloadVodObjectCaches, Action::PushObjectCache),
        (Action::DescribeVodRefreshTasks, Action::DescribeRefreshTasks),
        (Action::DescribeVodRefreshQuota, Action::DescribeRefreshQuota),
    ] {
        assert_eq!(call(vod, params), call(cdn, params));
    }
    let moon = [("ObjectPath", "a.test/x"), ("ObjectType", "Moon")];
    assert_eq!(refusal(Action::RefreshObjectCaches, moon).0, "InvalidObjectType.Malformed");
    let page = |size: &str| call(Action::DescribeRefreshTasks, [("PageSize", size)]);
    assert!(matches!(page("100"), Ok(Call::Tasks(TaskQuery { page_size: 100, .. }))));
    assert!(page("101").is_err());
}

#[test]
fn tasks_are_named_by_up_to_ten_ids() {
    let by_id = |ids: &str| call(Action::DescribeRefreshTaskById, [("TaskId", ids)]);
    assert_eq!(by_id("7, 8,7"), Ok(Call::TasksById(vec![7, 8])));
    assert!(by_id("1,2,3,4,5,6,7,8,9,10").is_ok());
    for malformed in ["1,2,3,4,5,6,7,8,9,10,11", "1,,2", "x", "1;2", "-1"] {
        let refused = refusal(Action::DescribeRefreshTaskById, [("TaskId", malformed)]);
        assert_eq!(refused.0, "InvalidTaskId.Malformed", "{malformed}");
    }
    let detail = |id: &str| call(Action::DescribePreloadDetailById, [("TaskId", id)]);
    assert_eq!(detail("7"), Ok(Call::PreloadDetail(7)));
    assert!(detail("7,8").is_err());
    for action in [Action::DescribeRefreshTaskById, Action::DescribePreloadDetailById] {
        assert_eq!(refusal(action, []).0, "MissingParameter");
    }
}
