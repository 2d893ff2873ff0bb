//! P9: what no rule matches stays a HIT, without a request to the origin.

use crate::installation::{DOMAIN, Installation, Plan};
use crate::origin::Page;

#[tokio::test]
async fn p9_siblings_of_a_purged_directory_stay() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    let inside = ["/d/", "/d/x", "/d/x?q=1", "/d/e/f"];
    let outside = ["/dd/x", "/d", "/d?x", "/", "/e/d/x"];
    for path in inside.iter().chain(&outside) {
        fleet.origin.set(path, Page::new(*path));
        viewer.get(&format!("{DOMAIN}{path}")).await;
    }
    fleet.purge_directory("a.example/d/", false).await;
    for path in outside {
        assert_eq!(viewer.get(&format!("{DOMAIN}{path}")).await.both(), ("HIT", path));
        assert_eq!(fleet.origin.requests(path).len(), 1);
    }
    for path in inside {
        assert_eq!(viewer.get(&format!("{DOMAIN}{path}")).await.both(), ("REVALIDATED", path));
    }
}

#[tokio::test]
async fn p9_a_url_purge_leaves_other_queries_and_spellings_find_it() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    for path in ["/~a?x=1", "/~a?x=2", "/~a"] {
        fleet.origin.set(path, Page::new(path));
        viewer.get(&format!("{DOMAIN}{path}")).await;
    }
    fleet.purge(&["A.EXAMPLE:8081/b/../%7ea?x=1"]).await;
    assert_eq!(viewer.get("a.example/~a?x=2").await.x_cache(), Some("HIT"));
    assert_eq!(viewer.get("a.example/~a").await.x_cache(), Some("HIT"));
    assert_eq!(viewer.get("a.example/~a?x=1").await.x_cache(), Some("EXPIRED"));
}

/// A thousand objects on disk; ten are purged while the POP is dead.
#[tokio::test]
async fn p9_a_killed_pop_comes_back_with_all_that_was_not_purged() {
    let mut fleet = Installation::start(Plan { lease_ms: 1_000, ..Plan::default() }).await;
    let viewer = fleet.viewer(0);
    for at in 0..1_000 {
        let path = format!("/o/{at}");
        fleet.origin.set(&path, Page::new(format!("object {at}")));
        assert_eq!(viewer.get(&format!("{DOMAIN}{path}")).await.x_cache(), Some("MISS"));
    }
    fleet.pops[0].kill();
    let purged: Vec<String> = (0..10).map(|at| format!("{DOMAIN}/o/{}", at * 100)).collect();
    let lines: Vec<&str> = purged.iter().map(String::as_str).collect();
    fleet.purge(&lines).await;
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    let viewer = fleet.viewer(0);
    let before = fleet.origin.all().len();
    for at in 0..1_000 {
        let got = viewer.get(&format!("{DOMAIN}/o/{at}")).await;
        let due = if at % 100 == 0 { "EXPIRED" } else { "HIT" };
        assert_eq!(got.both(), (due, format!("object {at}").as_str()));
    }
    assert_eq!(fleet.origin.all().len(), before + 10);
}

#[tokio::test]
async fn p9_what_a_viewer_has_wholly_outlives_a_kill_at_that_moment() {
    let mut fleet = Installation::start(Plan::default()).await;
    let body = vec![b'x'; (4 << 20) - 1];
    for turn in 0..8 {
        let path = format!("/whole/{turn}");
        fleet.origin.set(&path, Page::new(body.clone()));
        let url = format!("{DOMAIN}{path}");
        assert_eq!(fleet.viewer(0).get(&url).await.size(), body.len());
        fleet.pops[0].kill();
        fleet.pops[0].start();
        fleet.pops[0].ready().await;
        let got = fleet.viewer(0).get(&url).await;
        assert_eq!((got.x_cache(), got.size()), (Some("HIT"), body.len()), "turn {turn}");
        assert_eq!(fleet.origin.requests(&path).len(), 1);
    }
}

#[tokio::test]
async fn p9_bytes_outlive_a_kill_in_slices_too() {
    let mut fleet = Installation::start(Plan::default()).await;
    let body: Vec<u8> = (0..3_500_000u32).map(|at| (at % 251) as u8).collect();
    fleet.origin.set("/large", Page::new(body.clone()));
    fleet.viewer(0).get("a.example/large").await;
    fleet.pops[0].kill();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    let viewer = fleet.viewer(0);
    let got = viewer.get("a.example/large").await;
    assert_eq!(got.x_cache(), Some("HIT"));
    assert_eq!(got.body.unwrap(), body);
    let part =
        viewer.send(http::Method::GET, "a.example/large", &[("range", "bytes=1048570-1048590")], "").await;
    assert_eq!(
        (part.status.as_u16(), part.header("content-range")),
        (206, Some("bytes 1048570-1048590/3500000"))
    );
    assert_eq!(part.body.unwrap(), body[1_048_570..=1_048_590]);
    assert_eq!(fleet.origin.requests("/large").len(), 1);
}
