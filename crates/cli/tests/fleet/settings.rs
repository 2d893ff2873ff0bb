//! Settings that change while a domain is served.

use crate::installation::{DOMAIN, Installation, Plan};
use crate::origin::{Origin, Page};
use freshen_model::domain::{Ranges, Settings};

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
