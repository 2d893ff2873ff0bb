//! Purges: when they are complete, and what they say of POPs that cannot be reached.

use crate::stage::{NOON_MS, Stage, in_ledger, request, serving, settings, state, within};
use freshen_fleet::Link;
use freshen_ledger::{Ledger, TaskFilter};
use freshen_model::area::Area;
use freshen_model::ids::{LogId, OrderId};
use freshen_model::protocol::heartbeat::Standing;
use freshen_model::protocol::now::Now;
use freshen_model::task::{Status, StepState, TaskKind};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
/// A lease of 10 s and a tenth of it.
const FENCE: Duration = Duration::from_millis(11_000);

#[tokio::test]
async fn p2_complete_only_when_every_pop_has_confirmed() {
    let stage = Stage::set().await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let purge = stage.purge("http://a.example/x").await;
    assert_eq!(stage.task(purge.task).await.percent, 0);
    a.confirm(purge.seq).await;
    // Applied, but not said: nothing that control may count.
    b.apply(purge.seq).await;
    let task = stage.task(purge.task).await;
    assert_eq!((task.status, task.percent), (Status::Running, 50));
    b.confirm(purge.seq).await;
    let task = stage.ended(purge.task).await;
    assert_eq!((task.status, task.percent, task.ended_ms), (Status::Complete, 100, Some(NOON_MS)));
    assert!(
        task.pops.iter().all(|step| matches!(step.state, StepState::Confirmed { fenced_at_ms: None, .. }))
    );
    assert_eq!(in_ledger(&stage, purge.task).await.status, Status::Complete);
}

#[tokio::test]
async fn p2_one_watermark_confirms_any_number_of_purges() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let mut purges = Vec::new();
    for number in 0..50 {
        purges.push(stage.purge(&format!("http://a.example/{number}")).await);
    }
    a.confirm(purges[24].seq).await;
    for purge in &purges[..25] {
        assert_eq!(stage.ended(purge.task).await.status, Status::Complete);
    }
    let applied = a.follower.saved().watermark;
    for purge in purges.iter().filter(|purge| purge.seq > applied) {
        assert_eq!(stage.task(purge.task).await.status, Status::Running);
    }
    let filter = TaskFilter { account: Some("ann".into()), limit: 10, ..TaskFilter::default() };
    let page = stage.control.tasks(&filter).await.unwrap();
    assert_eq!((page.rows.len(), page.total, page.rows[0].id), (10, 50, purges[49].task));
}

/// The POP was last heard a minute ago, so any lease that control answered is long over; the fence counts from the append
/// nevertheless.
#[tokio::test]
async fn p2_a_fence_counts_from_the_append_though_the_pop_was_heard_long_ago() {
    let stage = Stage::set_with(|config| config.prefetch_deadline_s = 10).await;
    let (_dead, mut alive) = (stage.pop("pop-dead").await, stage.pop("pop-alive").await);
    stage.clock.advance(Duration::from_secs(60));
    let purge = stage.purge("http://a.example/x").await;
    let prefetch = stage.submit(TaskKind::Prefetch, &["http://a.example/y"]).await;
    alive.confirm(purge.seq).await;
    stage.clock.advance(FENCE - MS);
    // Once the clock has ended the one, it has been held against the other, too.
    assert_eq!(stage.ended(prefetch.task).await.status, Status::Failed);
    let task = stage.task(purge.task).await;
    assert_eq!((task.status, task.percent), (Status::Running, 50));
    stage.clock.advance(MS);
    let task = stage.ended(purge.task).await;
    assert_eq!(task.status, Status::Complete);
    assert_eq!(task.ended_ms, Some(NOON_MS + 60_000 + 11_000), "not a moment before");
    assert_eq!(
        *state(&task, "pop-dead"),
        StepState::Fenced { at_ms: NOON_MS + 71_000, last_contact_ms: Some(NOON_MS) }
    );
}

/// A heartbeat that does not confirm the purge neither hastens nor delays the fence.
#[tokio::test]
async fn p2_a_fence_counts_from_the_append_though_the_pop_was_heard_just_now() {
    let stage = Stage::set().await;
    let mut behind = stage.pop("pop-a").await;
    let purge = stage.purge("http://a.example/x").await;
    stage.clock.advance(FENCE - MS);
    let answer = behind.beat().await;
    assert!(matches!(answer.standing, Standing::Confirmed { end, .. } if end.seq == purge.seq), "{answer:?}");
    assert_eq!(stage.task(purge.task).await.status, Status::Running);
    stage.clock.advance(MS);
    let task = stage.ended(purge.task).await;
    assert_eq!(task.ended_ms, Some(NOON_MS + 11_000));
    let last_contact_ms = Some(NOON_MS + 10_999);
    assert_eq!(*state(&task, "pop-a"), StepState::Fenced { at_ms: NOON_MS + 11_000, last_contact_ms });
}

#[tokio::test]
async fn p2_a_fenced_pop_that_returns_is_recorded_also_over_a_restart() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let (first, second) = (stage.purge("http://a.example/1").await, stage.purge("http://a.example/2").await);
    stage.clock.advance(FENCE);
    for purge in [&first, &second] {
        assert!(matches!(state(&stage.ended(purge.task).await, "pop-a"), StepState::Fenced { .. }));
    }
    let stage = stage.restart().await;
    a.reconnect(&stage);
    stage.clock.advance(Duration::from_secs(60));
    a.confirm(second.seq).await;
    let confirmed = StepState::Confirmed { at_ms: NOON_MS + 71_000, fenced_at_ms: Some(NOON_MS + 11_000) };
    for purge in [first, second] {
        let task = stage.until(purge.task, |task| *state(task, "pop-a") == confirmed).await;
        assert_eq!((task.status, task.ended_ms), (Status::Complete, Some(NOON_MS + 11_000)));
    }
    stage.control.stop().await;
    assert_eq!(stage.ledger.fenced_tasks().await.unwrap(), []);
}

#[tokio::test]
async fn p2_a_heartbeat_of_a_foreign_log_confirms_nothing() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let purge = stage.purge("http://a.example/x").await;
    let honest = a.follower.heartbeat(Now::default(), Vec::new());
    let mut foreign = honest.clone();
    foreign.watermark = purge.seq;
    foreign.watermark_id = OrderId([9; 16]);
    let answer = a.link.heartbeat(&foreign).await.unwrap();
    assert_eq!(answer.standing, Standing::ForeignLog, "another order stands there");
    foreign.log = Some(LogId([9; 16]));
    assert_eq!(a.link.heartbeat(&foreign).await.unwrap().standing, Standing::ForeignLog);
    foreign.log = None;
    assert_eq!(a.link.heartbeat(&foreign).await.unwrap().standing, Standing::Gap);
    assert_eq!(*state(&stage.task(purge.task).await, "pop-a"), StepState::Waiting);
    let mut second = honest;
    second.data.0[0] ^= 1;
    let answer = a.link.heartbeat(&second).await.unwrap();
    assert!(matches!(answer.standing, Standing::Refused { .. }), "a second process: {answer:?}");
    a.confirm(purge.seq).await;
    stage.ended(purge.task).await;
}

#[tokio::test]
async fn p4_a_restarted_control_completes_what_it_accepted() {
    let stage = Stage::set().await;
    let (mut a, _dead) = (stage.pop("pop-a").await, stage.pop("pop-dead").await);
    stage.clock.advance(Duration::from_secs(5));
    let purge = stage.purge("http://a.example/x").await;
    let stage = stage.restart().await;
    a.reconnect(&stage);
    a.confirm(purge.seq).await;
    // The time before the restart does not count: who knows how long control was down, or what clock it had.
    stage.clock.advance(FENCE - MS);
    assert_eq!(stage.task(purge.task).await.status, Status::Running);
    stage.clock.advance(MS);
    let task = stage.ended(purge.task).await;
    assert_eq!((task.status, task.ended_ms), (Status::Complete, Some(NOON_MS + 16_000)));
    assert!(matches!(state(&task, "pop-a"), StepState::Confirmed { .. }));
    assert!(matches!(state(&task, "pop-dead"), StepState::Fenced { .. }));
}

#[tokio::test]
async fn p4_a_caller_who_hangs_up_leaves_no_task_that_nobody_watches() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let mut end = stage.ledger.end();
    end.mark_unchanged();
    {
        let submitted = stage.control.submit("ann", request(TaskKind::Url, &["http://a.example/x"]));
        tokio::pin!(submitted);
        within(async {
            tokio::select! {
                biased;
                _ = end.changed() => {}
                _ = &mut submitted => {}
            }
        })
        .await;
    }
    let filter = TaskFilter { limit: 1, ..TaskFilter::default() };
    let task = stage.ledger.tasks(&filter).await.unwrap().rows.remove(0);
    a.confirm(task.seq).await;
    stage.until(task.id, |task| task.status == Status::Complete).await;
}

#[tokio::test]
async fn p2_leases_of_an_earlier_run_are_outwaited() {
    let stage = Stage::set_with(|config| config.lease_ms = 60_000).await;
    let _dead = stage.pop("pop-dead").await;
    let stage = stage.restart_with(|config| config.lease_ms = 1_000).await;
    let purge = stage.purge("http://a.example/x").await;
    stage.clock.advance(Duration::from_secs(66) - MS);
    assert_eq!(stage.task(purge.task).await.status, Status::Running);
    assert_eq!(stage.ledger.lease_ms().await.unwrap(), Some(60_000));
    stage.clock.advance(MS);
    let task = stage.ended(purge.task).await;
    assert_eq!(task.ended_ms, Some(NOON_MS + 66_000));
    // By now none of the long leases can be held; the next run counts with short ones only.
    stage.control.stop().await;
    assert_eq!(stage.ledger.lease_ms().await.unwrap(), Some(1_000));
}

#[tokio::test]
async fn p3_a_domain_that_serves_without_lease_is_never_fenced() {
    let stage = Stage::set().await;
    let _dead = stage.pop("pop-dead").await;
    let mut alias = serving();
    alias.share_cache = Some("a.example".into());
    stage.control.add_domain("ann", "alias.example", &alias).await.unwrap();
    stage.control.add_domain("ann", "other.example", &settings()).await.unwrap();
    // `a.example` itself wants a lease, but what it purges is served through its alias too.
    let purge = stage.purge("http://a.example/x").await;
    let other = stage.purge("http://other.example/x").await;
    stage.clock.advance(Duration::from_secs(3600));
    stage.ended(other.task).await;
    assert_eq!(*state(&stage.task(purge.task).await, "pop-dead"), StepState::Waiting);
    let stage = stage.restart().await;
    let other = stage.purge("http://other.example/x").await;
    stage.clock.advance(Duration::from_secs(3600));
    stage.ended(other.task).await;
    assert_eq!(*state(&stage.task(purge.task).await, "pop-dead"), StepState::Waiting);
    stage.control.remove_pop(&"pop-dead".parse().unwrap()).await.unwrap();
    let task = stage.ended(purge.task).await;
    assert!(matches!(state(&task, "pop-dead"), StepState::Removed { .. }), "{task:?}");
}

/// Cut off while its domain said `serve`, a POP goes on using its cache without a lease, whatever the settings are now.
#[tokio::test]
async fn p2_a_pop_that_may_still_believe_serve_is_not_fenced() {
    let stage = Stage::set().await;
    stage.control.set_domain(None, "a.example", &serving()).await.unwrap();
    let (mut believes, mut knows) = (stage.pop("pop-believes").await, stage.pop("pop-knows").await);
    let ended = stage.control.set_domain(None, "a.example", &settings()).await.unwrap().seq;
    knows.confirm(ended).await;
    stage.control.add_pop(&"pop-new".parse().unwrap(), Area::Domestic, "north").await.unwrap();

    let purge = stage.purge("http://a.example/x").await;
    stage.clock.advance(FENCE);
    let task = stage.until(purge.task, |task| task.percent == 66).await;
    assert!(matches!(state(&task, "pop-knows"), StepState::Fenced { .. }), "{task:?}");
    assert!(matches!(state(&task, "pop-new"), StepState::Fenced { .. }), "it never used a cache: {task:?}");
    stage.clock.advance(Duration::from_secs(3600));
    let other = stage.purge("http://a.example/y").await;
    let stage = stage.restart().await;
    stage.clock.advance(Duration::from_secs(3600));
    for purge in [&purge, &other] {
        let task = stage.until(purge.task, |task| task.percent == 66).await;
        assert_eq!(*state(&task, "pop-believes"), StepState::Waiting);
    }

    // It hears of the end of `serve`, not of the purges: from then on its own clock fences it.
    believes.reconnect(&stage);
    believes.confirm_only(ended).await;
    stage.clock.advance(FENCE - MS);
    assert_eq!(stage.task(purge.task).await.status, Status::Running);
    stage.clock.advance(MS);
    for purge in [purge, other] {
        let task = stage.ended(purge.task).await;
        assert_eq!(task.ended_ms, Some(stage.control.wall_ms()));
        assert!(matches!(state(&task, "pop-believes"), StepState::Fenced { .. }), "{task:?}");
    }
}

#[tokio::test]
async fn p2_nothing_waits_for_a_removed_pop_that_believes_serve() {
    let stage = Stage::set().await;
    stage.control.set_domain(None, "a.example", &serving()).await.unwrap();
    let (believes, mut knows) = (stage.pop("pop-believes").await, stage.pop("pop-knows").await);
    stage.control.set_domain(None, "a.example", &settings()).await.unwrap();
    let purge = stage.purge("http://a.example/x").await;
    knows.confirm(purge.seq).await;
    stage.clock.advance(Duration::from_secs(3600));
    assert_eq!(*state(&stage.task(purge.task).await, "pop-believes"), StepState::Waiting);
    stage.control.remove_pop(&believes.id()).await.unwrap();
    let task = stage.ended(purge.task).await;
    assert!(matches!(state(&task, "pop-believes"), StepState::Removed { .. }), "{task:?}");
}
