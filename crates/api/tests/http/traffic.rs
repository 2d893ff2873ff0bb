//! Traffic, as POPs count it and the vendor's API and our own tell it.

use crate::stage::{ADA, ANN, BOB, Stage, counted};
use freshen_api::timestamp;
use freshen_model::ids::Seq;
use serde_json::{Value, json};
use std::time::Duration;

const A: &str = "a.example";
const SOURCE: &str = "DescribeVodDomainSrcTrafficData";

/// The one value of the day, and the whole answer.
async fn of_today(stage: &Stage, action: &str, nesting: &str, domain: &str) -> (Value, Value) {
    let midnight = stage.control.wall_ms().div_euclid(86_400_000) * 86_400;
    let time = |at_s: i64| timestamp::format(at_s).to_string();
    let (from, until) = (time(midnight), time(midnight + 86_400));
    let params = [("DomainName", domain), ("StartTime", &from), ("EndTime", &until), ("Interval", "86400")];
    let (status, body) = stage.call(ANN, action, &params).await;
    assert_eq!(status, 200, "{body}");
    let values = body[nesting]["DataModule"].as_array().unwrap();
    assert_eq!((values.len(), &values[0]["TimeStamp"]), (1, &json!(from)));
    (values[0].clone(), body.clone())
}

#[tokio::test]
async fn what_pops_counted_is_told_in_the_vendors_shapes() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    pop.counts(vec![counted(A, [10, 1_000, 400, 8, 900, 300, 3, 8_640_000, 864_000])]).await;
    stage.booked(A, 10).await;

    let (value, body) = of_today(&stage, SOURCE, "SrcTrafficDataPerInterval", A).await;
    assert_eq!((&value["Value"], &value["HttpsValue"]), (&json!("8640000"), &json!("864000")));
    assert_eq!(
        (&body["TotalTraffic"], &body["DataInterval"], &body["DomainName"]),
        (&json!("8640000"), &json!("86400"), &json!(A))
    );
    let (value, _) = of_today(&stage, "DescribeVodDomainSrcBpsData", "SrcBpsDataPerInterval", A).await;
    assert_eq!((&value["Value"], &value["HttpsValue"]), (&json!("800"), &json!("80")));
    let (value, body) = of_today(&stage, "DescribeVodDomainTrafficData", "TrafficDataPerInterval", A).await;
    let texts =
        ["Value", "DomesticValue", "OverseasValue", "HttpsValue", "HttpsDomesticValue", "HttpsOverseasValue"];
    assert_eq!(texts.map(|name| value[name].as_str().unwrap()), ["1000", "1000", "0", "400", "400", "0"]);
    assert_eq!(body["TotalTraffic"], "1000");
    let (value, _) = of_today(&stage, "DescribeVodDomainHitRateData", "HitRateInterval", A).await;
    assert_eq!((&value["Value"], &value["HttpsValue"]), (&json!("90"), &json!("75")));
    // All the account's domains, over the last day, in spans of five minutes.
    let (_, body) = stage.call(ANN, SOURCE, &[]).await;
    let values = body["SrcTrafficDataPerInterval"]["DataModule"].as_array().unwrap();
    assert_eq!(
        (&body["TotalTraffic"], &body["DataInterval"], &body["DomainName"]),
        (&json!("8640000"), &json!("300"), &json!(""))
    );
    assert!((288..=289).contains(&values.len()), "{}", values.len());
}

#[tokio::test]
async fn nothing_is_counted_twice_over_a_restart_of_control_and_of_a_pop() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let requests = |count| vec![counted(A, [count, 0, 0, 0, 0, 0, 0, 0, 0])];
    pop.counts(requests(5)).await;
    stage.booked(A, 5).await;
    let stage = stage.restart().await;
    pop.reconnect(&stage);
    pop.counts(requests(5)).await;
    pop.counts(requests(7)).await;
    stage.booked(A, 7).await;
    pop.restart();
    pop.counts(requests(2)).await;
    stage.clock.advance(Duration::from_secs(10));
    stage.booked(A, 9).await;
}

#[tokio::test]
async fn p8_nobody_sees_anothers_traffic() {
    let stage = Stage::set().await;
    for (action, nesting) in
        [(SOURCE, "SrcTrafficDataPerInterval"), ("DescribeVodDomainHitRateData", "HitRateInterval")]
    {
        let (status, body) = stage.call(BOB, action, &[("DomainName", A)]).await;
        assert_eq!((status, &body["Code"]), (404, &json!("InvalidDomain.NotFound")));
        // Whoever has no domains has no traffic.
        let (status, body) = stage.call(ADA, action, &[]).await;
        let values = body[nesting]["DataModule"].as_array().unwrap();
        assert!(status == 200 && values.iter().all(|value| value["Value"] == "0"), "{body}");
    }
    assert_eq!(stage.own(BOB, "GET", "/v1/domains/a.example/traffic", Value::Null).await.0, 404);
}

#[tokio::test]
async fn our_own_api_tells_counts_and_costs() {
    let stage = Stage::set_with(|config| {
        config.origin_gb_price = Some("0.02".parse().unwrap());
        config.origin_10k_requests_price = Some("0.01".parse().unwrap());
        config.price_currency = "EUR".into();
    })
    .await;
    let mut pop = stage.pop("pop-asia").await;
    pop.counts(vec![counted(A, [10, 1_000, 0, 8, 900, 0, 25_000, 3_000_000_000, 0])]).await;
    stage.booked(A, 10).await;
    let (status, body) =
        stage.own(ANN, "GET", "/v1/domains/a.example/traffic?interval_s=3600", Value::Null).await;
    assert_eq!(status, 200, "{body}");
    let expected = json!({
        "requests": 10, "bytes": 1_000, "tls_bytes": 0, "hits": 8, "hit_bytes": 900, "tls_hit_bytes": 0,
        "origin_requests": 25_000, "origin_bytes": 3_000_000_000_u64, "origin_tls_bytes": 0,
        "origin_cost": "0.085", "currency": "EUR",
    });
    assert_eq!((&body["total"], &body["interval_s"]), (&expected, &json!(3_600)));
    let points = body["points"].as_array().unwrap();
    assert!(
        (24..=26).contains(&points.len()) && points.iter().any(|point| point["requests"] == 10),
        "{points:?}"
    );
    for query in ["interval_s=60", "from=yesterday", "from=2026-01-01T00:00:00Z", "moon=1"] {
        let (status, body) =
            stage.own(ANN, "GET", &format!("/v1/domains/a.example/traffic?{query}"), Value::Null).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("malformed")), "{query}: {body}");
    }
}

#[tokio::test]
async fn a_prefetch_tells_what_its_origins_part_comes_to() {
    let stage = Stage::set_with(|config| {
        config.origin_gb_price = Some("2000".parse().unwrap());
        config.origin_10k_requests_price = Some("1".parse().unwrap());
        config.price_currency = "EUR".into();
    })
    .await;
    let mut pop = stage.pop("pop-asia").await;
    let lines = json!({ "lines": ["http://a.example/x", "http://a.example/y"] });
    let (status, task) = stage.own(ANN, "POST", "/v1/prefetch", lines).await;
    assert_eq!((status, &task["origin"]["origin_cost"]), (200, &json!("0.00")));
    let (id, seq) = (task["id"].as_str().unwrap(), Seq(task["seq"].as_u64().unwrap()));
    pop.prefetched(seq, 2, &[]).await;
    stage.ended(id).await;
    let (_, task) = stage.own(ANN, "GET", &format!("/v1/tasks/{id}"), Value::Null).await;
    let expected = json!({
        "origin_bytes": 100, "origin_requests": 2, "object_bytes": 100, "origin_share": 1.0,
        "origin_cost": "0.0004", "currency": "EUR",
    });
    assert_eq!(task["origin"], expected);
}
