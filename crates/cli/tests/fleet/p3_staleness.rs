//! P3: what is cut off, paused or dead answers nothing purged once the bound has passed.

use crate::installation::{Installation, Plan, only_step};
use crate::origin::Page;
use freshen_model::domain::{NoLease, Settings};
use freshen_model::task::{Status, StepState, TaskKind};
use std::time::Duration;

const A: &str = "a.example/a";

fn plan() -> Plan {
    Plan { lease_ms: 2_000, ..Plan::default() }
}

fn no_lease(choice: NoLease) -> Plan {
    Plan { settings: Box::new(move |settings| Settings { no_lease: choice, ..settings }), ..plan() }
}

/// The POP is reachable for viewers, but cut off from control.
#[tokio::test]
async fn p3_a_pop_that_is_cut_off_asks_the_origin_once_a_lease_time() {
    let mut fleet = Installation::start(plan()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    viewer.get(A).await;
    // The lease now counts from later than the copy.
    fleet.purge(&["a.example/else"]).await;
    fleet.cut_off_control().await;
    fleet.pops[0].metric_when("freshen_pop_leased", |leased| leased == 0.0).await;
    let asked = fleet.origin.requests("/a").len();
    assert_eq!(viewer.get(A).await.both(), ("REVALIDATED", "old"));
    assert_eq!(
        viewer.get(A).await.both(),
        ("HIT", "old"),
        "the origin confirmed it less than a lease time ago"
    );
    assert_eq!(fleet.origin.requests("/a").len(), asked + 1);
}

#[tokio::test]
async fn p3_a_pop_that_is_cut_off_does_not_serve_what_was_purged() {
    let mut fleet = Installation::start(plan()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    viewer.get(A).await;
    fleet.cut_off_control().await;
    fleet.origin.set("/a", Page::new("new"));
    let task = fleet.submit(TaskKind::Url, false, &[A]).await;
    let task = fleet.ended(task).await;
    assert!(matches!(only_step(&task), StepState::Fenced { .. }));
    // It knows of no purge: it asked the origin because its own clock told it to.
    let got = viewer.get(A).await;
    assert_eq!(got.text(), "new");
    assert!(fleet.origin.requests("/a").pop().unwrap().conditional());
}

/// A restart clears what the process knows of the origin's confirmations.
#[tokio::test]
async fn p3_a_restarted_pop_without_control_uses_nothing_unasked() {
    let mut fleet = Installation::start(plan()).await;
    fleet.origin.set("/a", Page::new("old"));
    fleet.viewer(0).get(A).await;
    fleet.cut_off_control().await;
    fleet.pops[0].kill();
    fleet.pops[0].start();
    fleet.pops[0].metric_when("freshen_pop_leased", |leased| leased == 0.0).await;
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("REVALIDATED", "old"));
}

#[tokio::test]
async fn p3_refetch_lets_no_304_count_without_a_lease() {
    let mut fleet = Installation::start(no_lease(NoLease::Refetch)).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("same"));
    viewer.get(A).await;
    fleet.purge(&["a.example/else"]).await;
    fleet.cut_off_control().await;
    fleet.pops[0].metric_when("freshen_pop_leased", |leased| leased == 0.0).await;
    assert_eq!(viewer.get(A).await.both(), ("EXPIRED", "same"));
    assert!(!fleet.origin.requests("/a").pop().unwrap().conditional());
    assert_eq!(viewer.get(A).await.both(), ("HIT", "same"));
}

#[tokio::test]
async fn p3_serve_goes_on_serving_and_the_task_waits_for_the_confirmation() {
    let mut fleet = Installation::start(no_lease(NoLease::Serve)).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    viewer.get(A).await;
    fleet.cut_off_control().await;
    fleet.pops[0].metric_when("freshen_pop_leased", |leased| leased == 0.0).await;
    fleet.origin.set("/a", Page::new("new"));
    let task = fleet.submit(TaskKind::Url, false, &[A]).await;
    assert_eq!(viewer.get(A).await.both(), ("HIT", "old"));
    // Longer than the fence would take.
    let ended = tokio::time::timeout(Duration::from_millis(3_000), fleet.ended(task)).await;
    assert!(ended.is_err(), "complete although a POP serves what it purges");
    assert_eq!(fleet.task(task).await.status, Status::Running);
    fleet.restore_control().await;
    let task = fleet.ended(task).await;
    assert!(matches!(only_step(&task), StepState::Confirmed { .. }));
    assert_eq!(viewer.get(A).await.text(), "new");
}

/// A fill that began before the purge may not answer a request that comes once the POP is fenced.
#[tokio::test]
async fn p3_without_a_lease_no_old_fill_is_joined() {
    let mut fleet = Installation::start(plan()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    let (early, held) = fleet.get_held("/a").await;
    fleet.cut_off_control().await;
    fleet.origin.set("/a", Page::new("new"));
    let task = fleet.submit(TaskKind::Url, false, &[A]).await;
    fleet.ended(task).await;
    assert_eq!(viewer.get(A).await.text(), "new");
    held.answer();
    early.await.unwrap();
    assert_eq!(viewer.get(A).await.text(), "new");
}

/// Control counts from the append; a lease that counted from the answer would outlive the fence by the answer's lateness.
#[tokio::test]
async fn p3_a_slow_answer_gives_no_longer_lease() {
    let late = Duration::from_secs(4);
    let fleet =
        Installation::start(Plan { lease_ms: 6_000, answers_late: Some(late), ..Plan::default() }).await;
    let sent = fleet.line.as_ref().unwrap().cut();
    fleet.pops[0].metric_when("freshen_pop_leased", |leased| leased == 0.0).await;
    let held = sent.elapsed();
    assert!(held < Duration::from_secs(8), "the lease of six seconds was held for {held:?}");
}
