//! Prefetches that are paused, resumed, cancelled, and held by their windows.

use crate::stage::{NOON_MS, Pop, Stage, in_ledger, noted, report, request, state, within};
use freshen_control::{SubmitError, Terms};
use freshen_ledger::{Error, Ledger, Line, Refusal, Submission};
use freshen_model::area::Area;
use freshen_model::ids::{Seq, TaskId};
use freshen_model::order::{Body, Steer};
use freshen_model::task::{Holds, PrefetchTerms, Status, StepState, TaskKind};
use std::time::Duration;

const LINE: &[&str] = &["http://a.example/film"];
const HOUR: Duration = Duration::from_secs(3_600);

async fn submit(stage: &Stage, prefetch: PrefetchTerms) -> Result<(TaskId, Seq), SubmitError> {
    let terms = Terms { prefetch, ..Terms::default() };
    let accepted = stage.control.submit_on("ann", request(TaskKind::Prefetch, LINE), terms).await?;
    Ok((accepted.submitted.task, accepted.submitted.seq))
}

/// How that prefetch was steered so far.
async fn steers(stage: &Stage, prefetch: Seq) -> Vec<Steer> {
    let orders = stage.ledger.orders_after(prefetch, usize::MAX).await.unwrap().orders;
    let steer = |body| match body {
        Body::Steer { prefetch: of, steer } if of == prefetch => Some(steer),
        _ => None,
    };
    orders.into_iter().filter_map(|order| steer(order.body)).collect()
}

#[tokio::test]
async fn p4_a_pause_is_an_order_and_outlives_a_restart() {
    let stage = Stage::set().await;
    let _a = stage.pop("pop-a").await;
    let (task, seq) = submit(&stage, PrefetchTerms::default()).await.unwrap();
    for _ in 0..2 {
        stage.control.steer(Some("ann"), task, Steer::Pause).await.unwrap();
        assert!(stage.task(task).await.holds.paused);
    }
    let foreign = stage.control.steer(Some("bob"), task, Steer::Resume).await;
    assert!(matches!(foreign, Err(Error::Refused(Refusal::NotFound { .. }))), "{foreign:?}");
    let stage = stage.restart().await;
    assert!(stage.task(task).await.holds.paused);
    stage.control.steer(None, task, Steer::Resume).await.unwrap();
    assert_eq!(stage.task(task).await.holds, Holds::default());
    assert_eq!(steers(&stage, seq).await, [Steer::Pause, Steer::Resume], "what changes nothing is no order");
}

#[tokio::test]
async fn a_cancelled_prefetch_ends_at_once_and_says_how_far_it_was() {
    let stage = Stage::set().await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let (task, seq) = submit(&stage, PrefetchTerms::default()).await.unwrap();
    for (pop, bytes, ended) in [(&mut a, 100, true), (&mut b, 50, false)] {
        pop.confirm(seq).await;
        pop.report(vec![report(seq, bytes, ended, vec![])]).await;
    }
    stage.control.steer(None, task, Steer::Cancel).await.unwrap();
    let shown = stage.ended(task).await;
    assert_eq!((shown.status, shown.reason.as_deref()), (Status::Failed, Some("cancelled")));
    assert!(shown.percent < 100);
    assert!(matches!(state(&shown, "pop-a"), StepState::Warm { .. }));
    let cancelled = state(&shown, "pop-b");
    assert!(matches!(cancelled, StepState::Cancelled { progress, at_ms: NOON_MS } if progress.bytes == 50));
    assert_eq!(steers(&stage, seq).await, [Steer::Cancel]);
    // Whoever finished all the same is told that nobody waits.
    assert_eq!(noted(&b.report(vec![report(seq, 100, true, vec![])]).await), [seq]);
    for steer in [Steer::Cancel, Steer::Resume] {
        let refused = stage.control.steer(None, task, steer).await;
        assert!(matches!(refused, Err(Error::Refused(Refusal::Unfit(_)))), "{refused:?}");
    }
    within(async { while in_ledger(&stage, task).await.steps != shown.pops {} }).await;
    let stage = stage.restart().await;
    assert_eq!(stage.task(task).await, shown);
}

/// It is in the ledger, and whoever made it has not come back from there yet.
#[tokio::test]
async fn what_nobody_watches_yet_is_not_steered() {
    let stage = Stage::set().await;
    let _a = stage.pop("pop-a").await;
    let domain = stage.ledger.domain("a.example").await.unwrap().unwrap();
    let submission = Submission {
        account: "ann".into(),
        kind: TaskKind::Prefetch,
        mode: None,
        area: None,
        lines: vec![Line { url: LINE[0].into(), domain: "a.example".into() }],
        read: [("a.example".into(), domain.seq)].into(),
        rules: Vec::new(),
        items: Vec::new(),
        follow: None,
        at_ms: NOON_MS,
        day: 20_000,
        not_before_ms: None,
        cut: false,
        terms: PrefetchTerms::default(),
        holds: Holds::default(),
        once: None,
        notify: None,
        part: None,
        refill: None,
        then: None,
    };
    let submitted = stage.ledger.submit(submission).await.unwrap();
    let refused = stage.control.steer(None, submitted.task, Steer::Cancel).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Unfit(_)))), "{refused:?}");
    assert!(steers(&stage, submitted.seq).await.is_empty());
    // A start learns of it.
    let stage = stage.restart().await;
    stage.control.steer(None, submitted.task, Steer::Cancel).await.unwrap();
    assert_eq!(stage.task(submitted.task).await.status, Status::Failed);
}

fn window(text: &str) -> PrefetchTerms {
    // The usual deadline would be over before the window opens for the second time.
    let deadline_s = Some(3 * 86_400);
    PrefetchTerms { window: Some(text.parse().unwrap()), deadline_s, ..PrefetchTerms::default() }
}

async fn shut(stage: &Stage, task: TaskId, outside_window: bool) {
    stage.until(task, |task| task.holds.outside_window == outside_window).await;
}

/// It is noon. What is submitted outside of its window waits from its order on; the window opens and closes for it, over a
/// restart too.
#[tokio::test]
async fn a_window_holds_and_releases_its_prefetch() {
    let stage = Stage::set().await;
    let mut a: Pop = stage.pop("pop-a").await;
    let (task, seq) = submit(&stage, window("21:00-22:00+08:00")).await.unwrap();
    let (open, _) = submit(&stage, window("11:00-15:00Z")).await.unwrap();
    let order = &stage.ledger.orders_after(Seq(seq.0 - 1), usize::MAX).await.unwrap().orders[0];
    assert!(matches!(order.body, Body::Prefetch { paused: true, .. }), "{order:?}");
    assert!(stage.task(task).await.holds.outside_window);
    stage.clock.advance(HOUR);
    shut(&stage, task, false).await;
    stage.clock.advance(HOUR);
    shut(&stage, task, true).await;
    assert_eq!(steers(&stage, seq).await, [Steer::Resume, Steer::Pause]);
    let stage = stage.restart().await;
    assert!(stage.task(task).await.holds.outside_window);
    // Somebody's pause goes on in the window, and says nothing outside of it.
    stage.control.steer(None, task, Steer::Pause).await.unwrap();
    stage.clock.advance(23 * HOUR);
    shut(&stage, task, false).await;
    assert_eq!(stage.task(task).await.holds, Holds { paused: true, outside_window: false });
    assert_eq!(steers(&stage, seq).await, [Steer::Resume, Steer::Pause]);
    stage.control.steer(None, task, Steer::Resume).await.unwrap();
    assert_eq!(steers(&stage, seq).await.last(), Some(&Steer::Resume));
    shut(&stage, open, false).await;
    a.reconnect(&stage);
    a.confirm(stage.control.log_end()).await;
    a.report(vec![report(seq, 100, true, vec![])]).await;
    assert_eq!(stage.ended(task).await.status, Status::Complete);
}

/// Control was away when the window closed.
#[tokio::test]
async fn a_window_that_closed_meanwhile_holds_after_a_start() {
    let stage = Stage::set().await;
    let _a = stage.pop("pop-a").await;
    let (task, seq) = submit(&stage, window("11:00-13:00Z")).await.unwrap();
    assert_eq!(stage.task(task).await.holds, Holds::default());
    stage.control.stop().await;
    stage.clock.advance(2 * HOUR);
    let stage = stage.restart().await;
    shut(&stage, task, true).await;
    assert_eq!(steers(&stage, seq).await, [Steer::Pause]);
}

#[tokio::test]
async fn a_prefetch_for_later_meets_its_window_when_it_begins() {
    let stage = Stage::set().await;
    let _a = stage.pop("pop-a").await;
    let terms = Terms {
        not_before_ms: Some(NOON_MS + 3_600_000),
        prefetch: window("11:00-12:30Z"),
        ..Terms::default()
    };
    let later = stage.control.submit_on("ann", request(TaskKind::Prefetch, LINE), terms).await.unwrap();
    stage.clock.advance(HOUR);
    let begun = stage.until(later.submitted.task, |task| task.status == Status::Running).await;
    assert!(begun.holds.outside_window);
    assert!(steers(&stage, begun.seq).await.is_empty());
}

#[tokio::test]
async fn regions_narrow_a_prefetch_and_must_have_a_pop() {
    let stage = Stage::set().await;
    let _north = stage.pop("pop-a").await;
    stage.control.add_pop(&"pop-b".parse().unwrap(), Area::Overseas, "south").await.unwrap();
    let to = |region: &str| PrefetchTerms { regions: [region.to_owned()].into(), ..PrefetchTerms::default() };
    let (task, _) = submit(&stage, to("south")).await.unwrap();
    let pops: Vec<String> = stage.task(task).await.pops.iter().map(|step| step.pop.to_string()).collect();
    assert_eq!(pops, ["pop-b"]);
    let refused = submit(&stage, to("west")).await;
    assert!(matches!(&refused, Err(SubmitError::NoPopsInRegion(region)) if region == "west"), "{refused:?}");
    let many =
        PrefetchTerms { regions: (0..101).map(|n| n.to_string()).collect(), ..PrefetchTerms::default() };
    assert!(matches!(submit(&stage, many).await, Err(SubmitError::TooManyRegions)));
}
