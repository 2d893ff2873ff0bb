//! A disk that is (nearly) full: viewers are served, nothing is stored, and it is told.

use crate::installation::{Installation, Plan, only_step};
use crate::origin::Page;
use crate::soak::disk_bytes;
use freshen_model::task::{Status, StepState};
use futures_util::future::join_all;

const A: &str = "a.example/a";

#[tokio::test]
async fn a_full_disk_is_a_miss_and_a_metric() {
    // More than any disk has: as if others had filled it.
    let plan = Plan { disk_reserve_bytes: Some(1 << 60), ..Plan::default() };
    let fleet = Installation::start(plan).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new(vec![b'x'; 2_000_000]));
    for _ in 0..2 {
        let got = viewer.get(A).await;
        assert_eq!((got.x_cache(), got.size()), (Some("MISS"), 2_000_000));
    }
    fleet.pops[0].metric_when("freshen_pop_not_stored_total", |count| count == 2.0).await;
    // Orders go on being applied.
    assert_eq!(fleet.purge(&[A]).await.status, Status::Complete);
    let task = fleet.prefetch(&[A]).await;
    let StepState::Failed { failures, .. } = only_step(&task) else { panic!("{task:?}") };
    assert_eq!(failures[0].reason, "not cacheable: the POP's disk has no room");
}

#[tokio::test]
async fn room_is_made_where_the_budget_is_used_up() {
    let fleet = Installation::start(Plan { disk_bytes_max: Some(192 << 20), ..Plan::default() }).await;
    let viewer = fleet.viewer(0);
    for page in 0..60 {
        let path = format!("/p/{page}");
        fleet.origin.set(&path, Page::new(vec![b'x'; 4_000_000]));
        assert_eq!(viewer.get(&format!("a.example{path}")).await.size(), 4_000_000);
    }
    fleet.pops[0].metric_when("freshen_pop_disk_bytes", |bytes| bytes <= (192 << 20) as f64).await;
    assert_eq!(viewer.get("a.example/p/59").await.x_cache(), Some("HIT"), "the newest stayed");
}

#[tokio::test]
async fn small_bodies_by_the_thousand_stay_within_the_budget() {
    const BUDGET: u64 = 192 << 20;
    let fleet = Installation::start(Plan { disk_bytes_max: Some(BUDGET), ..Plan::default() }).await;
    let viewer = fleet.viewer(0);
    // What cannot be compressed.
    let next = |chance: &u64| {
        Some(chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    let body: Vec<u8> = std::iter::successors(Some(1), next).take(7_500).flat_map(u64::to_le_bytes).collect();
    for some in 0..150 {
        let urls = (0..20).map(|page| format!("a.example/p/{}", 20 * some + page)).collect::<Vec<_>>();
        for url in &urls {
            fleet.origin.set(url.trim_start_matches("a.example"), Page::new(body.clone()));
        }
        for got in join_all(urls.iter().map(|url| viewer.get(url))).await {
            assert_eq!(got.size(), 60_000);
        }
        let taken = disk_bytes(&fleet.pops[0].folder());
        assert!(taken <= BUDGET, "{taken} bytes after {some} times 20 pages");
    }
    assert_eq!(viewer.get("a.example/p/2999").await.x_cache(), Some("HIT"), "the newest stayed");
}
