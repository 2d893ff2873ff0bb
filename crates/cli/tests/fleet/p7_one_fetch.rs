//! P7, within a POP: concurrent misses cost the origin one fetch.

use crate::installation::{Installation, Plan};
use crate::origin::Page;
use futures_util::future::join_all;
use http_body_util::BodyExt;

#[tokio::test]
async fn p7_concurrent_misses_share_one_fetch() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a", Page::new(vec![b'x'; 2_500_000]));
    let held = fleet.origin.hold("/a");
    let viewers: Vec<_> = (0..20).map(|_| fleet.viewer(0)).collect();
    let all =
        tokio::spawn(async move { join_all(viewers.iter().map(|viewer| viewer.get("a.example/a"))).await });
    let rest = held.await.unwrap().answer_part(1_200_000);
    rest.send(()).unwrap();
    for got in all.await.unwrap() {
        assert_eq!(got.size(), 2_500_000);
    }
    assert_eq!(fleet.origin.requests("/a").len(), 1);
    assert_eq!(fleet.viewer(0).get("a.example/a").await.x_cache(), Some("HIT"));
}

/// Of viewers who come all at once, some look up before the fill ends and would take part in it after that.
#[tokio::test]
async fn p7_who_looked_up_before_a_fill_ended_does_not_fetch_once_more() {
    let fleet = Installation::start(Plan::default()).await;
    let viewers: Vec<_> = (0..20).map(|_| fleet.viewer(0)).collect();
    for turn in 0..60 {
        let path = format!("/a/{turn}");
        fleet.origin.set(&path, Page::new(vec![b'x'; 1_500_000]));
        let url = format!("a.example{path}");
        let all = join_all(viewers.iter().map(|viewer| viewer.get(&url))).await;
        assert!(all.iter().all(|got| got.size() == 1_500_000));
        assert_eq!(fleet.origin.requests(&path).len(), 1, "turn {turn}");
    }
}

#[tokio::test]
async fn p7_what_may_not_be_shared_is_not() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a", Page::new("yours").with("cache-control", "private"));
    let viewers: Vec<_> = (0..5).map(|_| fleet.viewer(0)).collect();
    let all = join_all(viewers.iter().map(|viewer| viewer.get("a.example/a"))).await;
    assert!(all.iter().all(|got| got.text() == "yours"));
    assert_eq!(fleet.origin.requests("/a").len(), 5);
}

#[tokio::test]
async fn p7_an_answer_that_was_cut_off_is_never_stored() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    // A weak validator: what is missing cannot be asked for.
    fleet.origin.set("/a", Page::new(vec![b'x'; 300_000]).with("etag", "W/\"a\""));
    let held = fleet.origin.hold("/a");
    let begun = tokio::spawn({
        let viewer = viewer.clone();
        async move { viewer.begin("a.example/a", &[]).await }
    });
    let rest = held.await.unwrap().answer_part(100_000);
    let body = begun.await.unwrap();
    // The origin goes away in the middle.
    drop(rest);
    assert!(body.collect().await.is_err(), "the viewer sees that it broke off");
    let got = viewer.get("a.example/a").await;
    assert_eq!((got.x_cache(), got.size()), (Some("MISS"), 300_000));
}
