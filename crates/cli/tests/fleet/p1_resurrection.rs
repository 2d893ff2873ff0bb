//! P1: once a POP has confirmed a purge, nothing older comes back, whatever was under way.

use crate::installation::{DOMAIN, Installation, Plan};
use crate::origin::Page;
use freshen_model::task::TaskKind;
use http::Method;

const A: &str = "a.example/a";

#[tokio::test]
async fn p1_a_purge_evicts_the_copy() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    assert_eq!(viewer.get(A).await.both(), ("MISS", "old"));
    fleet.origin.set("/a", Page::new("new"));
    assert_eq!(viewer.get(A).await.both(), ("HIT", "old"));
    fleet.purge(&[A]).await;
    let got = viewer.get(A).await;
    assert_eq!(got.both(), ("EXPIRED", "new"));
    assert_eq!(viewer.get(A).await.both(), ("HIT", "new"));
    let last = fleet.origin.requests("/a").pop().unwrap();
    assert!(!last.conditional(), "an evicted copy's validators are not sent");
}

/// fill_seq is what it was when the request to the origin started, however late the body ends.
#[tokio::test]
async fn p1_a_fill_that_ends_after_the_purge_is_not_used() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    let (early, held) = fleet.get_held("/a").await;
    fleet.origin.set("/a", Page::new("new"));
    fleet.purge(&[A]).await;
    held.answer();
    assert_eq!(early.await.unwrap().text(), "old", "he asked before the purge");
    let got = viewer.get(A).await;
    assert_eq!(got.text(), "new");
    assert_eq!(viewer.get(A).await.both(), ("HIT", "new"));
}

#[tokio::test]
async fn p1_a_request_after_the_purge_does_not_join_an_older_fill() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    let (early, held) = fleet.get_held("/a").await;
    fleet.origin.set("/a", Page::new("new"));
    fleet.purge(&[A]).await;
    // The older fill still runs; had this request joined it, it would wait for ever.
    assert_eq!(viewer.get(A).await.both(), ("MISS", "new"));
    held.answer();
    assert_eq!(early.await.unwrap().text(), "old");
    assert_eq!(viewer.get(A).await.both(), ("HIT", "new"), "an older fill does not replace a younger copy");
}

#[tokio::test]
async fn p1_a_304_that_was_asked_for_before_the_purge_revives_nothing() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    // Stale at once, with a validator.
    fleet.origin.set("/a", Page::new("old").with("cache-control", "max-age=0"));
    viewer.get(A).await;
    let (early, held) = fleet.get_held("/a").await;
    fleet.purge(&[A]).await;
    held.answer();
    assert_eq!(early.await.unwrap().both(), ("REVALIDATED", "old"));
    fleet.origin.set("/a", Page::new("new"));
    assert_eq!(viewer.get(A).await.text(), "new");
    assert!(!fleet.origin.requests("/a").pop().unwrap().conditional());
}

#[tokio::test]
async fn p1_an_expire_after_an_evict_does_not_bring_the_validators_back() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/d/a", Page::new("same"));
    viewer.get("a.example/d/a").await;
    fleet.purge_directory("a.example/d/", true).await;
    fleet.purge_directory("a.example/d/", false).await;
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("EXPIRED", "same"));
    assert!(!fleet.origin.requests("/d/a").pop().unwrap().conditional());
}

#[tokio::test]
async fn p1_an_expired_copy_is_used_after_the_origin_confirmed_it() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/d/a", Page::new("same"));
    viewer.get("a.example/d/a").await;
    fleet.purge_directory("a.example/d/", false).await;
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("REVALIDATED", "same"));
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("HIT", "same"));
    let requests = fleet.origin.requests("/d/a");
    assert_eq!(requests.len(), 2);
    assert!(requests[1].conditional());
    assert_eq!(requests[1].status, 304);
}

#[tokio::test]
async fn p1_every_variant_is_purged() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old").gzip("OLD"));
    assert_eq!(viewer.get(A).await.both(), ("MISS", "old"));
    assert_eq!(viewer.get_gzip(A).await.both(), ("MISS", "OLD"));
    assert_eq!(viewer.get(A).await.both(), ("HIT", "old"));
    assert_eq!(viewer.get_gzip(A).await.both(), ("HIT", "OLD"));
    fleet.origin.set("/a", Page::new("new").gzip("NEW"));
    fleet.purge(&[A]).await;
    assert_eq!(viewer.get_gzip(A).await.text(), "NEW");
    assert_eq!(viewer.get(A).await.text(), "new");
}

/// The sweep retires the rule while the fill still runs; the floor keeps what it brings out of the store.
#[tokio::test]
async fn p1_a_rule_dropped_under_a_running_fill_still_counts() {
    let plan = Plan { sweep_interval_ms: 20, sweep_patience_ms: 0, ..Plan::default() };
    let fleet = Installation::start(plan).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    let (early, held) = fleet.get_held("/a").await;
    fleet.origin.set("/a", Page::new("new"));
    fleet.purge(&[A]).await;
    fleet.pops[0].metric_when("freshen_pop_rules", |rules| rules == 0.0).await;
    held.answer();
    assert_eq!(early.await.unwrap().text(), "old");
    assert_eq!(viewer.get(A).await.both(), ("MISS", "new"), "nothing of the slow fill was stored");
}

/// After the sweep there is no rule any more: what it matched must be gone or marked in the store itself.
#[tokio::test]
async fn p1_what_was_swept_stays_purged_after_a_kill() {
    let plan = Plan { sweep_interval_ms: 20, ..Plan::default() };
    let mut fleet = Installation::start(plan).await;
    let viewer = fleet.viewer(0);
    for path in ["/d/a", "/a", "/b"] {
        fleet.origin.set(path, Page::new("old"));
        viewer.get(&format!("{DOMAIN}{path}")).await;
    }
    fleet.purge(&[A]).await;
    fleet.purge_directory("a.example/d/", false).await;
    fleet.pops[0].metric_when("freshen_pop_rules", |rules| rules == 0.0).await;
    fleet.pops[0].kill();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "old"));
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("REVALIDATED", "old"));
    assert_eq!(viewer.get("a.example/b").await.both(), ("HIT", "old"));
}

#[tokio::test]
async fn p1_a_change_of_origin_evicts_what_the_old_one_gave() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("of the old origin"));
    viewer.get(A).await;
    let other = crate::origin::Origin::start().await;
    other.set("/a", Page::new("of the new origin"));
    let record = fleet.control.own_domain(None, DOMAIN).await.unwrap();
    let mut settings = record.settings;
    settings.origin = format!("http://{}", other.address).parse().unwrap();
    fleet.control.set_domain(None, DOMAIN, &settings).await.unwrap();
    // A purge of something else is complete once the settings before it are applied, too.
    fleet.purge(&["a.example/else"]).await;
    assert_eq!(viewer.get(A).await.text(), "of the new origin");
}

#[tokio::test]
async fn p1_a_copy_expired_by_a_purge_is_not_served_when_the_origin_fails() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/d/a", Page::new("old").with("cache-control", "max-age=86400, stale-if-error=86400"));
    viewer.get("a.example/d/a").await;
    fleet.purge_directory("a.example/d/", false).await;
    fleet.origin.set("/d/a", Page::new("sorry").status(503).with("cache-control", "no-store"));
    let got = viewer.get("a.example/d/a").await;
    assert_eq!((got.status.as_u16(), got.text()), (503, "sorry"));
}

#[tokio::test]
async fn p1_the_domain_may_say_that_an_expired_copy_is_served_when_the_origin_fails() {
    let settings = |settings| freshen_model::domain::Settings { purged_stale_if_error: true, ..settings };
    let fleet = Installation::start(Plan { settings: Box::new(settings), ..Plan::default() }).await;
    let viewer = fleet.viewer(0);
    for path in ["/d/a", "/d/b"] {
        fleet.origin.set(path, Page::new("old").with("cache-control", "max-age=86400"));
        viewer.get(&format!("{DOMAIN}{path}")).await;
    }
    fleet.purge_directory("a.example/d/", false).await;
    fleet.purge(&["a.example/d/b"]).await;
    for path in ["/d/a", "/d/b"] {
        fleet.origin.set(path, Page::new("sorry").status(503).with("cache-control", "no-store"));
    }
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("STALE", "old"));
    assert_eq!(viewer.get("a.example/d/b").await.text(), "sorry", "an evicted copy never serves");
}

#[tokio::test]
async fn p1_a_write_that_went_through_to_the_origin_is_not_hidden_by_the_cache() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("before"));
    viewer.get(A).await;
    let got = viewer.send(Method::POST, A, &[], "change").await;
    assert_eq!(got.x_cache(), Some("BYPASS"));
    fleet.origin.set("/a", Page::new("after"));
    assert_eq!(viewer.get(A).await.both(), ("MISS", "after"));
}

/// The log of an older backup reuses numbers: what the POP holds by them is void.
#[tokio::test]
async fn p1_a_ledger_restored_from_a_backup_does_not_hide_its_purges() {
    let mut fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a", Page::new("old"));
    let backup = fleet.folder.path().join("backup");
    crate::installation::copy_folder(&fleet.folder.path().join("control"), &backup);
    // In the life that is lost: numbers are used up.
    for _ in 0..3 {
        fleet.purge(&["a.example/else"]).await;
    }
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "old"));
    fleet.restore_ledger(&backup).await;
    fleet.origin.set("/a", Page::new("new"));
    let task = fleet.submit(TaskKind::Url, false, &[A]).await;
    fleet.ended(task).await;
    assert_eq!(viewer.get(A).await.text(), "new");
}

const WINDOW: &str = "max-age=0, stale-while-revalidate=600";

#[tokio::test]
async fn p1_a_stale_copy_serves_while_it_is_revalidated_but_never_a_purged_one() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/d/a", Page::new("old").with("cache-control", WINDOW));
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("MISS", "old"));
    let held = fleet.origin.hold("/d/a");
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("STALE", "old"), "nobody waits for the origin");
    let held = held.await.unwrap();
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("STALE", "old"));
    assert_eq!(fleet.origin.requests("/d/a").len(), 2, "one revalidation for all");
    fleet.origin.set("/d/a", Page::new("new").with("cache-control", WINDOW));
    fleet.purge_directory("a.example/d/", false).await;
    assert_eq!(viewer.get("a.example/d/a").await.both(), ("EXPIRED", "new"));
    // The revalidation that began before the purge ends after it.
    held.answer();
    assert_eq!(viewer.get("a.example/d/a").await.text(), "new");
}
