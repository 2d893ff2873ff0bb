//! The line between control and POPs.

use crate::bucket;
use crate::installation::{Installation, Plan, in_the_clear};
use crate::origin::Page;
use freshen_pop::config::Token;

const A: &str = "a.example/a";

#[tokio::test]
async fn a_fleet_speaks_tls_without_being_told_to() {
    let plan = Plan { pops: 3, homes: true, tls_required: true, ..Plan::default() };
    let fleet = Installation::start(plan).await;
    fleet.origin.set("/a", Page::new("one"));
    assert!(fleet.control.pops().iter().all(|pop| pop.connected && pop.tls));
    fleet.prefetch(&[A]).await;
    for pop in 0..3 {
        assert_eq!(fleet.viewer(pop).get(A).await.both(), ("HIT", "one"));
    }
    fleet.origin.set("/a", Page::new("two"));
    fleet.purge(&[A]).await;
    for pop in 0..3 {
        assert_eq!(fleet.viewer(pop).get(A).await.text(), "two");
        assert_eq!(fleet.pops[pop].metric("freshen_pop_starts_over_total").await, 0.0);
    }
}

#[tokio::test]
async fn a_pop_that_is_told_of_another_control_says_so_and_serves_nobody() {
    let mut fleet = Installation::start(Plan::default()).await;
    fleet.pops[0].kill();
    let right = fleet.control.line_key().pin().to_string();
    let wrong = "0".repeat(64);
    let tell = |fleet: &Installation, from: &str, to: &str| {
        fleet.pops[0].configure(|config| config.token = Token(config.token.0.replace(from, to)));
    };
    tell(&fleet, &right, &wrong);
    fleet.pops[0].start();
    fleet.pops[0].logs("is not this POP's control").await;
    let log = fleet.pops[0].log();
    assert!(log.contains(&right) && log.contains("freshen pop list"), "{log}");
    assert!(!fleet.control.pops()[0].connected);
    fleet.pops[0].kill();
    tell(&fleet, &wrong, &right);
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
}

/// The pin is no part of what the POP's own secrets are sealed with.
#[tokio::test]
async fn a_pop_of_before_gets_its_pin_and_keeps_all_it_has() {
    let clear = |config: &mut freshen_pop::Config| config.token = Token(in_the_clear(&config.token.0));
    let (mut fleet, store) =
        bucket::of_bucket_with(Some("films"), Plan { pop: Box::new(clear), ..Plan::default() }).await;
    store.set("/films/a", Page::new("kept"));
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("MISS", "kept"));
    assert!(fleet.control.pops().iter().all(|pop| pop.connected && !pop.tls));
    fleet.pops[0].logs("goes in the clear").await;
    assert!(fleet.pops[0].stop().await);
    let pin = fleet.control.line_key().pin();
    fleet.pops[0].configure(|config| config.token = Token(format!("{}.{pin}", config.token.0)));
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    assert!(fleet.control.pops()[0].tls);
    assert_eq!(fleet.pops[0].metric("freshen_pop_starts_over_total").await, 0.0);
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("HIT", "kept"));
}
