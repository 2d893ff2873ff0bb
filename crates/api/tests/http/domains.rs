//! Domains by the vendor's API.

use crate::stage::{ADA, ANN, BOB, Key, Stage};
use serde_json::{Value, json};

const SOURCES: &str = r#"[{"content":"backup.example","type":"domain","priority":"30","port":"443"},
    {"content":"192.0.2.1","type":"ipaddr","priority":"20","port":8080}]"#;

async fn call(stage: &Stage, key: Key, action: &str, params: &[(&str, &str)]) -> (u16, Value) {
    let (status, mut body) = stage.call(key, action, params).await;
    body.as_object_mut().unwrap().remove("RequestId").expect("a request id");
    (status, body)
}

async fn refused(stage: &Stage, key: Key, action: &str, params: &[(&str, &str)]) -> (u16, String) {
    let (status, body) = call(stage, key, action, params).await;
    (status, body["Code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_admin_adds_changes_and_removes_a_domain() {
    let stage = Stage::set().await;
    let params = [("DomainName", "New.example"), ("Sources", SOURCES), ("Scope", "global")];
    assert_eq!(call(&stage, ADA, "AddVodDomain", &params).await, (200, json!({})));
    assert_eq!(refused(&stage, ADA, "AddVodDomain", &params).await, (400, "DomainAlreadyExist".into()));
    let (_, body) = call(&stage, ADA, "DescribeVodDomainDetail", &[("DomainName", "new.example")]).await;
    let expected = json!({"DomainDetail": {
        "DomainName": "new.example", "Cname": "", "DomainStatus": "online", "Description": "", "SSLProtocol": "off",
        "CertName": "", "SSLPub": "",
        "GmtCreated": "", "GmtModified": "", "Scope": "global",
        "Sources": {"Source": [
            {"Content": "192.0.2.1", "Port": 8080, "Priority": "20", "Type": "ipaddr"},
            {"Content": "backup.example", "Port": 443, "Priority": "30", "Type": "domain"},
        ]},
    }});
    assert_eq!(body, expected);
    let one = r#"[{"content":"192.0.2.2"}]"#;
    let params = [("DomainName", "new.example"), ("Sources", one)];
    assert_eq!(call(&stage, ADA, "UpdateVodDomain", &params).await, (200, json!({})));
    let (_, body) = call(&stage, ADA, "DescribeVodUserDomains", &[("DomainName", "new")]).await;
    assert_eq!(
        (&body["TotalCount"], &body["PageNumber"], &body["PageSize"]),
        (&json!(1), &json!(1), &json!(20))
    );
    assert_eq!(body["Domains"]["PageData"][0]["Sources"]["Source"][0]["Content"], "192.0.2.2");
    let name = [("DomainName", "new.example")];
    assert_eq!(call(&stage, ADA, "DeleteVodDomain", &name).await, (200, json!({})));
    assert_eq!(
        refused(&stage, ADA, "DescribeVodDomainDetail", &name).await,
        (404, "InvalidDomain.NotFound".into())
    );
}

#[tokio::test]
async fn p8_others_see_their_own_and_choose_no_origin() {
    let stage = Stage::set().await;
    let denied = (403, "Forbidden.RAM".to_owned());
    let params = [("DomainName", "c.example"), ("Sources", SOURCES)];
    assert_eq!(refused(&stage, ANN, "AddVodDomain", &params).await, denied);
    let params = [("DomainName", "a.example"), ("Sources", SOURCES)];
    assert_eq!(refused(&stage, ANN, "UpdateVodDomain", &params).await, denied);
    let same = r#"[{"content":"127.0.0.1","port":8090}]"#;
    let params = [("DomainName", "a.example"), ("Sources", same)];
    assert_eq!(call(&stage, ANN, "UpdateVodDomain", &params).await.0, 200, "nothing is changed");
    let unknown = (404, "InvalidDomain.NotFound".to_owned());
    for action in ["DescribeVodDomainDetail", "DeleteVodDomain"] {
        assert_eq!(refused(&stage, BOB, action, &[("DomainName", "a.example")]).await, unknown);
    }
    let (_, body) = call(&stage, BOB, "DescribeVodUserDomains", &[]).await;
    let names: Vec<&Value> =
        body["Domains"]["PageData"].as_array().unwrap().iter().map(|row| &row["DomainName"]).collect();
    assert_eq!(names, ["b.example"]);
}

#[tokio::test]
async fn what_a_call_about_domains_cannot_be() {
    let stage = Stage::set().await;
    let long = format!("[{}]", vec![r#"{"content":"192.0.2.1"}"#; 17].join(","));
    for (action, params, code) in [
        ("AddVodDomain", &[("Sources", SOURCES)][..], "MissingParameter"),
        ("AddVodDomain", &[("DomainName", "c.example")], "MissingParameter"),
        ("AddVodDomain", &[("DomainName", "c.example"), ("Sources", "[]")], "InvalidSources.Malformed"),
        ("AddVodDomain", &[("DomainName", "c.example"), ("Sources", "x")], "InvalidSources.Malformed"),
        (
            "AddVodDomain",
            &[("DomainName", "c.example"), ("Sources", r#"[{"content":"a b"}]"#)],
            "InvalidSources.Malformed",
        ),
        ("AddVodDomain", &[("DomainName", "c d"), ("Sources", SOURCES)], "InvalidDomainName.Malformed"),
        ("AddVodDomain", &[("DomainName", "c.example"), ("Sources", &long)], "IllegalOperation"),
        ("DescribeVodUserDomains", &[("PageSize", "51")], "InvalidPageSize"),
        ("DescribeVodUserDomains", &[("DomainSearchType", "x")], "InvalidDomainSearchType"),
        ("DescribeVodUserDomains", &[("DomainStatus", "x")], "InvalidDomainStatus"),
    ] {
        assert_eq!(refused(&stage, ADA, action, params).await.1, code, "{action} {params:?}");
    }
    let of = async |params: &[(&str, &str)]| {
        call(&stage, ANN, "DescribeVodUserDomains", params).await.1["TotalCount"].clone()
    };
    assert_eq!(of(&[("DomainName", "exam"), ("DomainSearchType", "fuzzy_match")]).await, 1);
    assert_eq!(of(&[("DomainName", "a."), ("DomainSearchType", "pre_match")]).await, 1);
    assert_eq!(of(&[("DomainName", ".org"), ("DomainSearchType", "suf_match")]).await, 0);
    assert_eq!(of(&[("DomainName", "a.exampl"), ("DomainSearchType", "full_match")]).await, 0);
    assert_eq!(of(&[("DomainStatus", "offline")]).await, 0);
}
