//! What viewers got and origins gave is counted, once.

use crate::installation::{DOMAIN, Installation, Plan, copy_folder};
use crate::origin::Page;
use freshen_model::traffic::Traffic;
use std::time::Duration;

/// The domain's traffic of the last day, once it has that many requests.
async fn booked(fleet: &Installation, requests: u64) -> Traffic {
    let (now_s, domains) = (fleet.control.wall_ms() / 1_000, [DOMAIN.to_owned()]);
    let booked = async {
        loop {
            let between = (now_s - 86_400, now_s + 86_400);
            let points = fleet.control.traffic(&domains, between, 300).await.unwrap();
            let total = points.iter().fold(Traffic::default(), |total, point| total.plus(&point.all()));
            if total.requests >= requests {
                return total;
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // tidy: allow-sleep, the books have no event to await
        }
    };
    tokio::time::timeout(Duration::from_secs(60), booked).await.expect("the traffic is not booked")
}

#[tokio::test]
async fn traffic_is_counted_once_whoever_starts_again() {
    let mut fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    let large = "x".repeat(300_000);
    fleet.origin.set("/small", Page::new("12345"));
    fleet.origin.set("/large", Page::new(large.clone()));
    fleet.origin.set("/private", Page::new("1234567").with("cache-control", "private"));
    fleet.origin.set("/gone", Page::new("123").status(404).with("cache-control", "no-store"));
    let (viewer, other) = (fleet.viewer(0), fleet.viewer(1));
    for path in ["small", "small", "large", "large", "private", "gone"] {
        viewer.get(&format!("{DOMAIN}/{path}")).await;
    }
    other.get(&format!("{DOMAIN}/small")).await;
    assert_eq!(other.get("unknown.example/small").await.status, 404);
    let expected = Traffic {
        requests: 7,
        bytes: 5 + 5 + 300_000 + 300_000 + 7 + 3 + 5,
        hits: 2,
        hit_bytes: 5 + 300_000,
        origin_requests: 5,
        origin_bytes: 5 + 300_000 + 7 + 3 + 5,
        ..Traffic::default()
    };
    assert_eq!(booked(&fleet, 7).await, expected);

    // Control starts again; the POPs tell it the same totals.
    let again = fleet.folder.path().join("again");
    copy_folder(&fleet.folder.path().join("control"), &again);
    fleet.restore_ledger(&again).await;
    viewer.get(&format!("{DOMAIN}/small")).await;
    let more = Traffic { requests: 1, bytes: 5, hits: 1, hit_bytes: 5, ..Traffic::default() };
    let expected = expected.plus(&more);
    assert_eq!(booked(&fleet, 8).await, expected);

    // A POP starts again, and counts from nothing.
    fleet.pops[0].kill();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    viewer.get(&format!("{DOMAIN}/small")).await;
    assert_eq!(booked(&fleet, 9).await, expected.plus(&more));
}
