//! Tasks for later: when they begin, by which settings, and what becomes of those that cannot.

use crate::stage::{NOON_MS, Stage, in_ledger, request, settings, state, within};
use freshen_control::{SubmitError, SubmitRequest, Terms, Then};
use freshen_ledger::{Error, Ledger, Refusal};
use freshen_model::domain::{QueryPolicy, Settings};
use freshen_model::follow::Follow;
use freshen_model::ids::{Seq, TaskId};
use freshen_model::order::{Body, Steer};
use freshen_model::quota::QuotaKind;
use freshen_model::refill::{Bound, Refill};
use freshen_model::rule::Matcher;
use freshen_model::task::{Status, StepState, Task, TaskKind};
use std::collections::BTreeSet;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const AN_HOUR_LATER_MS: Option<i64> = Some(NOON_MS + 3_600_000);

fn in_an_hour() -> Terms {
    Terms { not_before_ms: AN_HOUR_LATER_MS, ..Terms::default() }
}

async fn later(stage: &Stage, request: SubmitRequest) -> TaskId {
    let accepted = stage.control.submit_on("ann", request, in_an_hour()).await.unwrap();
    assert_eq!((accepted.submitted.seq, accepted.submitted.scope.len()), (Seq::ZERO, 0));
    let task = stage.task(accepted.submitted.task).await;
    assert_eq!((task.status, task.percent, task.not_before_ms), (Status::Pending, 0, AN_HOUR_LATER_MS));
    task.id
}

/// The task once it is not pending any more.
async fn begun(stage: &Stage, id: TaskId) -> Task {
    within(async {
        let mut watch = stage.control.watch(id);
        loop {
            let seen = watch.number();
            let task = stage.task(id).await;
            if task.status != Status::Pending {
                return task;
            }
            watch.changed_after(seen).await;
        }
    })
    .await
}

async fn used(stage: &Stage, kind: QuotaKind) -> u64 {
    let quotas = stage.control.quota("ann").await.unwrap();
    quotas.iter().find(|quota| quota.kind == kind).unwrap().used
}

#[tokio::test]
async fn a_task_for_later_gets_its_order_in_time_and_is_fenced_from_there() {
    let stage = Stage::set().await;
    let _silent = stage.pop("pop-a").await;
    let end = stage.control.log_end();
    let id = later(&stage, request(TaskKind::Url, &["http://a.example/x"])).await;
    assert_eq!(used(&stage, QuotaKind::Url).await, 1);
    stage.clock.advance(HOUR - Duration::from_millis(1));
    // The keeper and the release have had their turn when another submission is through.
    stage.purge("http://a.example/y").await;
    assert_eq!((stage.task(id).await.status, stage.control.log_end()), (Status::Pending, end.next()));
    // A POP that joined meanwhile is in its scope.
    let mut second = stage.pop("pop-b").await;
    stage.clock.advance(Duration::from_millis(1));
    let task = begun(&stage, id).await;
    assert_eq!((task.status, task.seq), (Status::Running, stage.control.log_end()));
    assert_eq!((state(&task, "pop-a"), task.pops.len()), (&StepState::Waiting, 2));
    second.confirm(task.seq).await;
    stage.clock.advance(Duration::from_millis(10_999));
    assert_eq!(stage.task(id).await.status, Status::Running, "the fence counts from the append");
    stage.clock.advance(Duration::from_millis(1));
    assert_eq!(stage.ended(id).await.status, Status::Complete);
    assert_eq!(used(&stage, QuotaKind::Url).await, 2, "counted once, when it was submitted");
}

#[tokio::test]
async fn p4_it_survives_a_restart_and_what_was_due_meanwhile_begins_then() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-a").await;
    let id = later(&stage, request(TaskKind::Directory, &["http://a.example/d/"])).await;
    let stage = stage.restart().await;
    assert_eq!(stage.task(id).await.status, Status::Pending);
    stage.clock.advance(HOUR);
    assert_eq!(begun(&stage, id).await.status, Status::Running);
    let stage = stage.restart().await;
    pop.reconnect(&stage);
    pop.confirm(stage.task(id).await.seq).await;
    assert_eq!(stage.ended(id).await.status, Status::Complete);
    assert_eq!(in_ledger(&stage, id).await.not_before_ms, AN_HOUR_LATER_MS);
}

#[tokio::test]
async fn keys_are_made_with_the_settings_of_then() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let id = later(&stage, request(TaskKind::Url, &["http://a.example/x?v=1"])).await;
    let changed = Settings { query: QueryPolicy::Ignore, ..settings() };
    stage.control.set_domain(Some("ann"), "a.example", &changed).await.unwrap();
    stage.clock.advance(HOUR);
    let task = begun(&stage, id).await;
    let read = stage.ledger.orders_after(task.seq.previous(), 1).await.unwrap();
    let Body::Purge { rules, task: of, .. } = &read.orders[0].body else { panic!("{read:?}") };
    let Matcher::Url { key } = &rules[0].matcher else { panic!("{rules:?}") };
    assert_eq!((key.path_and_query(), *of), ("/x", Some(id)));
}

#[tokio::test]
async fn what_cannot_begin_any_more_fails_and_says_why() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let id = later(&stage, request(TaskKind::Url, &["http://a.example/x"])).await;
    stage.control.remove_domain(Some("ann"), "a.example").await.unwrap();
    let end = stage.control.log_end();
    stage.clock.advance(HOUR);
    let task = begun(&stage, id).await;
    assert_eq!((task.status, task.ended_ms), (Status::Failed, AN_HOUR_LATER_MS));
    assert_eq!(task.reason.as_deref(), Some("line 1: a.example is not a domain of this account"));
    assert_eq!(stage.control.log_end(), end);
}

#[tokio::test]
async fn only_what_has_not_begun_is_cancelled_and_by_its_owner() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let id = later(&stage, request(TaskKind::Url, &["http://a.example/x"])).await;
    let foreign = stage.control.steer(Some("bob"), id, Steer::Cancel).await;
    assert!(matches!(foreign, Err(Error::Refused(Refusal::NotFound { .. }))), "{foreign:?}");
    stage.control.steer(Some("ann"), id, Steer::Cancel).await.unwrap();
    let task = stage.task(id).await;
    assert_eq!((task.status, task.reason.as_deref()), (Status::Failed, Some("cancelled before it began")));
    let end = stage.control.log_end();
    stage.clock.advance(HOUR);
    let running = stage.purge("http://a.example/y").await;
    assert_eq!(running.seq, end.next(), "nothing was appended for it");
    for begun in [id, running.task] {
        let refused = stage.control.steer(None, begun, Steer::Cancel).await;
        assert!(matches!(refused, Err(Error::Refused(Refusal::Unfit(_)))), "{refused:?}");
    }
}

#[tokio::test]
async fn terms_that_cannot_be_are_refused_and_a_past_time_is_now() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    let on = async |kind, terms| {
        let request = request(kind, &["http://a.example/x"]);
        stage.control.submit_on("ann", request, terms).await
    };
    let past = Terms { cut: true, not_before_ms: Some(NOON_MS), ..Terms::default() };
    let accepted = on(TaskKind::Url, past.clone()).await.unwrap();
    let task = stage.task(accepted.submitted.task).await;
    assert_eq!((task.status, task.cut, task.not_before_ms), (Status::Running, true, None));
    let far = Terms { not_before_ms: Some(NOON_MS + 32 * 86_400_000), ..Terms::default() };
    assert!(matches!(on(TaskKind::Url, far).await, Err(SubmitError::TooLate)));
    assert!(matches!(on(TaskKind::Prefetch, past).await, Err(SubmitError::CutOfPrefetch)));
    // A prefetch may wait, too; its deadline counts from its beginning.
    let prefetch = later(&stage, request(TaskKind::Prefetch, &["http://a.example/x"])).await;
    stage.clock.advance(HOUR);
    assert_eq!(begun(&stage, prefetch).await.status, Status::Running);
    stage.clock.advance(Duration::from_secs(86_400) - Duration::from_millis(1));
    assert_eq!(stage.task(prefetch).await.status, Status::Running);
    stage.clock.advance(Duration::from_millis(1));
    assert_eq!(stage.ended(prefetch).await.status, Status::Failed);
}

/// A key that is confined to one domain does not get farther by waiting.
#[tokio::test]
async fn p8_what_is_followed_later_lies_where_it_might_have_been_followed_at_once() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-a").await;
    stage.control.add_domain("ann", "c.example", &settings()).await.unwrap();
    let within: BTreeSet<String> = ["a.example".to_owned()].into();
    let followed = || SubmitRequest {
        follow: Some(Follow::default()),
        ..request(TaskKind::Prefetch, &["http://a.example/live.m3u8"])
    };
    let at_once = Terms::default();
    for terms in [at_once, in_an_hour()] {
        let accepted =
            stage.control.submit_within("ann", Some(&within), followed(), terms.clone()).await.unwrap();
        if terms == in_an_hour() {
            stage.clock.advance(HOUR);
            begun(&stage, accepted.submitted.task).await;
        }
        let end = stage.control.log_end();
        let read = stage.ledger.orders_after(end.previous(), 1 << 20).await.unwrap();
        let Body::Prefetch { follow: Some(follow), .. } = &read.orders[0].body else { panic!("{read:?}") };
        assert_eq!(follow.domains, within, "{terms:?}");
    }
}

/// The purge begins in its time, and what follows it right behind it, with the settings of then.
#[tokio::test]
async fn p5_what_follows_a_purge_for_later_is_behind_it_in_the_log() {
    for then in [Then::Prefetch, Then::Refill(Bound { objects: Some(5), bytes: None })] {
        let stage = Stage::set().await;
        let mut pop = stage.pop("pop-a").await;
        let terms = Terms { then: Some(then), ..in_an_hour() };
        let accepted =
            stage.control.submit_on("ann", request(TaskKind::Url, &["http://a.example/x?v=1"]), terms);
        let purge = accepted.await.unwrap().submitted;
        let follower = purge.then.unwrap().task;
        assert_eq!(used(&stage, QuotaKind::Prefetch).await, 1);
        let stage = stage.restart().await;
        pop.reconnect(&stage);
        assert_eq!(
            (stage.task(purge.task).await.then, stage.task(follower).await.after),
            (Some(follower), Some(purge.task))
        );
        assert_eq!(stage.task(follower).await.status, Status::Pending);
        let changed = Settings { query: QueryPolicy::Ignore, ..settings() };
        stage.control.set_domain(Some("ann"), "a.example", &changed).await.unwrap();
        stage.clock.advance(HOUR);
        let (first, second) = (begun(&stage, purge.task).await, begun(&stage, follower).await);
        assert_eq!((first.then, second.after), (Some(follower), Some(purge.task)));
        assert_eq!((second.status, second.seq), (Status::Running, first.seq.next()));
        let read = stage.ledger.orders_after(first.seq.previous(), 1 << 20).await.unwrap();
        let Body::Purge { rules, .. } = &read.orders[0].body else { panic!("{read:?}") };
        let Body::Prefetch { items, refill, .. } = &read.orders[1].body else { panic!("{read:?}") };
        match then {
            Then::Prefetch => assert_eq!((items[0].path_and_query.as_str(), refill), ("/x?v=1", &None)),
            Then::Refill(bound) => assert_eq!(refill, &Some(Refill { bound, rules: rules.clone() })),
        }
        assert_eq!(used(&stage, QuotaKind::Prefetch).await, 1, "counted once");
    }
}

#[tokio::test]
async fn a_purge_for_later_takes_what_follows_it_along_only_if_that_can_begin() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-a").await;
    let both = async || {
        let terms = Terms { then: Some(Then::Prefetch), ..in_an_hour() };
        let accepted = stage.control.submit_on("ann", request(TaskKind::Url, &["http://a.example/x"]), terms);
        let purge = accepted.await.unwrap().submitted;
        (purge.task, purge.then.unwrap().task)
    };
    let (cancelled, its_follower) = both().await;
    stage.control.steer(Some("ann"), cancelled, Steer::Cancel).await.unwrap();
    let follower = stage.task(its_follower).await;
    let reason = format!("task {cancelled}, which it follows, did not begin: cancelled before it began");
    assert_eq!((follower.status, follower.reason), (Status::Failed, Some(reason)));
    let (alone, its_follower) = both().await;
    stage.control.steer(Some("ann"), its_follower, Steer::Cancel).await.unwrap();
    // A stopped domain is purged, and nothing of it prefetched.
    let (first, its_prefetch) = both().await;
    let stopped = Settings { stopped: true, ..settings() };
    stage.control.set_domain(Some("ann"), "a.example", &stopped).await.unwrap();
    stage.clock.advance(HOUR);
    for purge in [alone, first] {
        let task = begun(&stage, purge).await;
        assert_eq!(task.status, Status::Running);
        assert!(task.then.is_some());
        pop.confirm(task.seq).await;
        assert_eq!(stage.ended(purge).await.status, Status::Complete);
    }
    let failed = stage.task(its_prefetch).await;
    let reason = "line 1: a.example is stopped, start it before something of it is prefetched";
    assert_eq!((failed.status, failed.reason.as_deref()), (Status::Failed, Some(reason)));
}
