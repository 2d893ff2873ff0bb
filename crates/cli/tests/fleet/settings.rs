//! Settings that change while a domain is served.

use crate::installation::{DOMAIN, Installation, Plan};
use crate::origin::{Origin, Page};
use freshen_model::domain::{Ranges, Settings};
use std::time::Duration;

const A: &str = "a.example/a";

/// Changes the domain's settings; every POP serves by them once this returns.
async fn set(fleet: &Installation, change: impl FnOnce(&mut Settings)) {
    let mut settings = fleet.control.own_domain(None, DOMAIN).await.unwrap().settings;
    change(&mut settings);
    fleet.control.set_domain(None, DOMAIN, &settings).await.unwrap();
    fleet.purge(&["a.example/nothing"]).await;
}

#[tokio::test]
async fn p9_settings_that_change_nothing_of_what_is_fetched_keep_the_cache() {
    let fleet = Installation::start(Plan::default()).await;
    let backup = Origin::start().await;
    fleet.origin.set("/a", Page::new("cached"));
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "cached"));
    let address = backup.address;
    set(&fleet, |settings| {
        settings.backups = vec![format!("http://{address}").parse().unwrap()];
        settings.retries = 5;
        settings.origin_head_ms_max = Some(5_000);
        settings.origin_silence_ms_max = Some(5_000);
        settings.ttl = vec!["/b/=1!".parse().unwrap()];
        settings.negative_ttl_s = Some(1);
    })
    .await;
    assert_eq!(viewer.get(A).await.both(), ("HIT", "cached"));
}

#[tokio::test]
async fn what_may_have_come_from_elsewhere_is_fetched_anew() {
    let fleet = Installation::start(Plan::default()).await;
    let other = Origin::start().await;
    fleet.origin.set("/a", Page::new("first"));
    other.set("/a", Page::new("other"));
    let viewer = fleet.viewer(0);
    let (first, second) = (fleet.origin.address, other.address);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "first"));
    set(&fleet, |settings| settings.origin = format!("http://{second}").parse().unwrap()).await;
    assert_eq!(viewer.get(A).await.both(), ("EXPIRED", "other"));
    set(&fleet, |settings| settings.backups = vec![format!("http://{first}").parse().unwrap()]).await;
    assert_eq!(viewer.get(A).await.both(), ("HIT", "other"));
    set(&fleet, |settings| settings.backups.clear()).await;
    assert_eq!(viewer.get(A).await.both(), ("EXPIRED", "other"), "the copy may have been the backup's");
    set(&fleet, |settings| settings.ranges = Ranges::Whole).await;
    assert_eq!(viewer.get(A).await.both(), ("EXPIRED", "other"), "ranges are not believed any more");
    set(&fleet, |settings| settings.ranges = Ranges::Slices).await;
    assert_eq!(viewer.get(A).await.both(), ("HIT", "other"));
}

#[tokio::test]
async fn the_first_ttl_rule_that_matches_says_how_long_an_answer_is_fresh() {
    let plan = Plan {
        settings: Box::new(|settings| Settings {
            ttl: ["/live/thumb/=600", ".m3u8=50!", "/live/=20!"].map(|rule| rule.parse().unwrap()).into(),
            default_ttl_s: Some(300),
            negative_ttl_s: Some(30),
            ..settings
        }),
        ..Plan::default()
    };
    let fleet = Installation::start(plan).await;
    let viewer = fleet.viewer(0);
    let silent = || Page::new("text").without("cache-control");
    for (path, page, fresh_s) in [
        ("/live/thumb/a.m3u8", silent(), 600),
        ("/live/thumb/b", Page::new("text").with("cache-control", "max-age=100"), 100),
        ("/vod/a.m3u8", Page::new("text"), 50),
        ("/live/a", Page::new("text").with("cache-control", "max-age=0"), 20),
        ("/a", silent(), 300),
        ("/b", silent().status(404), 30),
    ] {
        // How old an answer comes tells how long it is fresh, without waiting. A query is no part of a rule's path.
        for (age_s, then) in [(fresh_s - 15, "HIT"), (fresh_s + 1, "REVALIDATED")] {
            let path = format!("{path}?{age_s}");
            fleet.origin.set(&path, page.clone().with("age", age_s.to_string()));
            let url = format!("{DOMAIN}{path}");
            assert_eq!(viewer.get(&url).await.x_cache(), Some("MISS"), "{path}");
            assert_eq!(viewer.get(&url).await.x_cache(), Some(then), "{path}");
        }
    }
}

#[tokio::test]
async fn an_override_ends_the_freshness_that_the_origin_gave() {
    let plan = Plan {
        settings: Box::new(|settings| Settings { ttl: vec!["/live/=1!".parse().unwrap()], ..settings }),
        ..Plan::default()
    };
    let fleet = Installation::start(plan).await;
    fleet.origin.set("/live/a", Page::new("text"));
    let viewer = fleet.viewer(0);
    let url = format!("{DOMAIN}/live/a");
    assert_eq!(viewer.get(&url).await.both(), ("MISS", "text"));
    tokio::time::sleep(Duration::from_millis(2_100)).await; // tidy: allow-sleep, freshness is a time
    assert_eq!(viewer.get(&url).await.both(), ("REVALIDATED", "text"));
}

#[tokio::test]
async fn p9_a_stopped_domain_refuses_its_viewers_is_purged_and_keeps_the_rest() {
    let mut fleet = Installation::start(Plan::default()).await;
    for path in ["/a", "/b"] {
        fleet.origin.set(path, Page::new("first"));
    }
    let (get_a, get_b) = (A, "a.example/b");
    let viewer = fleet.viewer(0);
    for path in [get_a, get_b] {
        assert_eq!(viewer.get(path).await.both(), ("MISS", "first"));
    }
    set(&fleet, |settings| settings.stopped = true).await;
    let asked = fleet.origin.all().len();
    for path in [get_a, "a.example/new"] {
        let refused = viewer.get(path).await;
        assert_eq!((refused.status.as_u16(), refused.text()), (403, "this domain is stopped\n"));
    }
    assert_eq!(fleet.origin.all().len(), asked, "nothing is fetched for it");
    fleet.purge(&[get_a]).await;
    // The POP starts again, and the domain is stopped still.
    fleet.pops[0].kill();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    assert_eq!(viewer.get(get_b).await.status, 403);
    set(&fleet, |settings| settings.stopped = false).await;
    fleet.origin.set("/a", Page::new("second"));
    assert_eq!(viewer.get(get_a).await.text(), "second", "what was purged meanwhile is gone");
    assert_eq!(viewer.get(get_b).await.both(), ("HIT", "first"));
}
