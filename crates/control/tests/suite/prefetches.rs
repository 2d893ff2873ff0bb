//! Prefetches: what POPs report, and what is made of it.

use crate::stage::{NOON_MS, Stage, in_ledger, noted, report, request, state, within};
use freshen_control::{SubmitError, Terms};
use freshen_model::protocol::heartbeat::PrefetchReport;
use freshen_model::task::{DEADLINE_S_MAX, Failure, PrefetchTerms, Status, StepState, TaskKind};
use freshen_model::variants::Variants;
use std::time::Duration;

const LINE: &[&str] = &["http://a.example/film"];

#[tokio::test]
async fn p6_complete_only_when_every_pop_is_warm() {
    let stage = Stage::set().await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let prefetch = stage.submit(TaskKind::Prefetch, LINE).await;
    for pop in [&mut a, &mut b] {
        pop.confirm(prefetch.seq).await;
    }
    assert_eq!(stage.task(prefetch.task).await.percent, 0, "an applied order is no warm cache");
    a.report(vec![report(prefetch.seq, 50, false, vec![])]).await;
    let task = stage.task(prefetch.task).await;
    assert!(matches!(state(&task, "pop-a"), StepState::Fetching { progress } if progress.bytes == 50));
    assert_eq!(task.percent, 12);
    a.report(vec![report(prefetch.seq, 100, true, vec![])]).await;
    assert_eq!(stage.task(prefetch.task).await.status, Status::Running);
    b.report(vec![report(prefetch.seq, 100, true, vec![])]).await;
    let task = stage.ended(prefetch.task).await;
    assert_eq!((task.status, task.percent), (Status::Complete, 100));
    assert!(matches!(state(&task, "pop-b"), StepState::Warm { at_ms: NOON_MS, .. }));
}

#[tokio::test]
async fn p6_a_report_is_noted_only_once_it_is_durable() {
    let stage = Stage::set().await;
    let (mut a, _b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let prefetch = stage.submit(TaskKind::Prefetch, LINE).await;
    a.confirm(prefetch.seq).await;
    let ended = || vec![report(prefetch.seq, 100, true, vec![])];
    assert_eq!(noted(&a.report(ended()).await), []);
    within(async { while noted(&a.report(ended()).await).is_empty() {} }).await;
    let kept = in_ledger(&stage, prefetch.task).await;
    assert!(matches!(kept.steps[0].state, StepState::Warm { .. }), "{kept:?}");
    // Over a restart it stays noted, and the task goes on waiting for the other.
    let stage = stage.restart().await;
    a.reconnect(&stage);
    assert_eq!(noted(&a.report(ended()).await), [prefetch.seq]);
    assert_eq!(stage.task(prefetch.task).await.status, Status::Running);
}

#[tokio::test]
async fn p6_a_failure_names_pop_line_and_reason() {
    let stage = Stage::set().await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let prefetch = stage.submit(TaskKind::Prefetch, LINE).await;
    let failure = Failure { line: 1, url: None, reason: "the origin answered 404".into() };
    for (pop, failures) in [(&mut a, vec![failure.clone()]), (&mut b, vec![])] {
        pop.confirm(prefetch.seq).await;
        pop.report(vec![report(prefetch.seq, 100, true, failures)]).await;
    }
    let task = stage.ended(prefetch.task).await;
    assert_eq!(task.status, Status::Failed);
    assert!(task.percent < 100);
    let filter = freshen_control::TaskFilter {
        id: Some(prefetch.task),
        limit: 10,
        ..freshen_control::TaskFilter::default()
    };
    let lines = stage.control.lines(&filter).await.unwrap().rows;
    assert_eq!(lines[0].failures().collect::<Vec<_>>(), [("pop-a", &failure)]);
}

/// A POP that says «ended» without accounting for every line is not believed.
/// What a POP says that does not know of named variants: it has warmed others.
#[tokio::test]
async fn p6_a_pop_that_warms_other_variants_than_those_named_is_not_warm() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let headers: Variants = [("Accept-Language", "de"), ("accept-encoding", "gzip")].into_iter().collect();
    let terms = Terms { prefetch: PrefetchTerms { headers, ..PrefetchTerms::default() }, ..Terms::default() };
    for (variants, status) in [(0, Status::Failed), (2, Status::Failed), (1, Status::Complete)] {
        let submitted = stage.control.submit_on("ann", request(TaskKind::Prefetch, LINE), terms.clone());
        let prefetch = submitted.await.unwrap().submitted;
        a.confirm(prefetch.seq).await;
        let report = PrefetchReport { variants, ..report(prefetch.seq, 100, true, vec![]) };
        a.report(vec![report]).await;
        let task = stage.ended(prefetch.task).await;
        assert_eq!(task.status, status, "{variants}");
        if let StepState::Failed { failures, .. } = state(&task, "pop-a") {
            let why = &failures[0].reason;
            assert!(
                why.starts_with(&format!("this POP warmed {variants} of 1 variants, upgrade it")),
                "{why}"
            );
        }
    }
}

#[tokio::test]
async fn p6_warm_means_every_line() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let prefetch = stage.submit(TaskKind::Prefetch, &["http://a.example/1", "http://a.example/2"]).await;
    a.confirm(prefetch.seq).await;
    a.report(vec![report(prefetch.seq, 100, true, vec![])]).await;
    assert_eq!(stage.ended(prefetch.task).await.status, Status::Failed);
}

/// What lines lead to counts as they do.
#[tokio::test]
async fn p6_warm_means_every_file_that_was_followed() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    for (files, status) in [(3, Status::Failed), (1, Status::Complete)] {
        let prefetch = stage.submit(TaskKind::Prefetch, LINE).await;
        a.confirm(prefetch.seq).await;
        let mut ended = report(prefetch.seq, 100, true, vec![]);
        ended.progress.files = files;
        a.report(vec![ended]).await;
        assert_eq!(stage.ended(prefetch.task).await.status, status);
    }
}

#[tokio::test]
async fn p6_the_deadline_fails_what_is_unfinished_also_over_a_restart() {
    let hour = |config: &mut freshen_control::Config| config.prefetch_deadline_s = 3_600;
    let stage = Stage::set_with(hour).await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let prefetch = stage.submit(TaskKind::Prefetch, LINE).await;
    for (pop, bytes, ended) in [(&mut a, 100, true), (&mut b, 50, false)] {
        pop.confirm(prefetch.seq).await;
        pop.report(vec![report(prefetch.seq, bytes, ended, vec![])]).await;
    }
    stage.until(prefetch.task, |task| matches!(state(task, "pop-b"), StepState::Fetching { .. })).await;
    stage.control.stop().await;
    stage.clock.advance(Duration::from_secs(1_800));
    let stage = stage.restart_with(hour).await;
    stage.clock.advance(Duration::from_secs(1_799));
    assert_eq!(stage.task(prefetch.task).await.status, Status::Running);
    stage.clock.advance(Duration::from_secs(1));
    let task = stage.ended(prefetch.task).await;
    assert_eq!((task.status, task.ended_ms), (Status::Failed, Some(NOON_MS + 3_600_000)));
    assert!(matches!(state(&task, "pop-a"), StepState::Warm { .. }));
    let overdue = state(&task, "pop-b");
    assert!(
        matches!(overdue, StepState::Overdue { progress, last_contact_ms: Some(NOON_MS), .. } if progress.bytes == 50),
        "{overdue:?}"
    );
    // It may finish later; nobody waits for that any more, and it is told so.
    b.reconnect(&stage);
    assert_eq!(noted(&b.report(vec![report(prefetch.seq, 100, true, vec![])]).await), [prefetch.seq]);
}

/// Its own deadline goes before control's, over a restart and a delay too, and only a prefetch has one.
#[tokio::test]
async fn p6_a_submission_may_say_its_deadline() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let terms = |deadline_s| Terms {
        prefetch: PrefetchTerms { deadline_s, ..PrefetchTerms::default() },
        ..Terms::default()
    };
    let submit = |kind, terms| stage.control.submit_on("ann", request(kind, LINE), terms);
    let refused = submit(TaskKind::Url, terms(Some(60))).await;
    assert!(matches!(refused, Err(SubmitError::TermsOfPurge)), "{refused:?}");
    for deadline_s in [0, DEADLINE_S_MAX + 1] {
        let refused = submit(TaskKind::Prefetch, terms(Some(deadline_s))).await;
        assert!(matches!(refused, Err(SubmitError::Deadline)), "{deadline_s}: {refused:?}");
    }
    let task = submit(TaskKind::Prefetch, terms(Some(60))).await.unwrap().submitted.task;
    let later = Terms { not_before_ms: Some(NOON_MS + 30_000), ..terms(Some(60)) };
    let later = submit(TaskKind::Prefetch, later).await.unwrap().submitted.task;
    a.confirm(stage.control.log_end()).await;
    stage.control.stop().await;
    stage.clock.advance(Duration::from_secs(59));
    let stage = stage.restart().await;
    assert_eq!(stage.task(task).await.status, Status::Running);
    stage.until(later, |task| task.status == Status::Running).await;
    stage.clock.advance(Duration::from_secs(1));
    let ended = stage.ended(task).await;
    assert_eq!((ended.status, ended.terms.deadline_s), (Status::Failed, Some(60)));
    assert!(matches!(state(&ended, "pop-a"), StepState::Overdue { .. }));
    assert_eq!(stage.task(later).await.status, Status::Running);
    stage.clock.advance(Duration::from_secs(30));
    assert_eq!(stage.ended(later).await.status, Status::Failed);
}

#[tokio::test]
async fn a_removed_pop_holds_no_prefetch_up() {
    let stage = Stage::set().await;
    let (mut a, b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let prefetch = stage.submit(TaskKind::Prefetch, LINE).await;
    a.confirm(prefetch.seq).await;
    a.report(vec![report(prefetch.seq, 100, true, vec![])]).await;
    stage.control.remove_pop(&b.id()).await.unwrap();
    let task = stage.ended(prefetch.task).await;
    assert_eq!(task.status, Status::Complete);
    assert!(matches!(state(&task, "pop-b"), StepState::Removed { .. }));
    // But with nobody warm there is nothing to call complete.
    let prefetch = stage.submit(TaskKind::Prefetch, LINE).await;
    stage.control.remove_pop(&a.id()).await.unwrap();
    assert_eq!(stage.ended(prefetch.task).await.status, Status::Failed);
}
