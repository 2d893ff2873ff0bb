//! Pending tasks: kept without an order, released or ended once.

use crate::Home;
use crate::fixture::{DAY, orders, prefetch, purge, refusal, settings, site};
use freshen_ledger::{Refusal, Submission, TaskFilter};
use freshen_model::ids::Seq;
use freshen_model::order::Body;
use freshen_model::quota::QuotaKind;
use freshen_model::task::Status;

pub async fn p4_they_are_kept_and_released_once(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let end = ledger.end().borrow().seq;
    let now = purge(&*ledger, &["a.example/x"]).await;
    let mut ids = Vec::new();
    for at_ms in [3_000, 2_000] {
        let later = Submission { not_before_ms: Some(at_ms), cut: true, ..now.clone() };
        let submitted = ledger.submit(later).await.unwrap();
        assert_eq!((submitted.seq, submitted.scope), (Seq::ZERO, vec![]));
        ids.push(submitted.task);
    }
    drop(ledger);
    let ledger = home.open().await;
    assert_eq!(ledger.end().borrow().seq, end);
    assert!(ledger.running_tasks().await.unwrap().is_empty());
    assert_eq!(ledger.next_due_ms().await.unwrap(), Some(2_000));
    assert!(ledger.due_tasks(1_999).await.unwrap().is_empty());
    let due: Vec<_> = ledger.due_tasks(3_000).await.unwrap().iter().map(|task| task.id).collect();
    assert_eq!(due, [ids[1], ids[0]]);
    let used = ledger.quota("acme", DAY).await.unwrap();
    assert_eq!(used.iter().find(|quota| quota.kind == QuotaKind::Url).unwrap().used, 2);
    let filter = TaskFilter { statuses: vec![Status::Pending], limit: 10, ..TaskFilter::default() };
    assert_eq!(ledger.tasks(&filter).await.unwrap().total, 2);

    let submission = Submission { not_before_ms: Some(2_000), cut: true, ..now };
    let released = ledger.release(ids[1], submission.clone()).await.unwrap();
    assert_eq!((released.seq, released.scope.len()), (end.next(), 1));
    let order = orders(&*ledger).await.pop().unwrap();
    assert_eq!(order.body, Body::Purge { task: Some(ids[1]), rules: submission.rules.clone(), cut: true });
    let task = ledger.task(ids[1], None).await.unwrap().unwrap();
    assert_eq!((task.status, task.seq, task.steps.len()), (Status::Running, released.seq, 1));
    assert_eq!(ledger.running_tasks().await.unwrap(), [task]);
    let said = ledger.receipts(ids[1], released.seq).await.unwrap().order.unwrap();
    assert_eq!((said.0, said.1.len()), (order.id, 1), "what a certificate needs of the order");
    assert!(matches!(refusal(ledger.release(ids[1], submission.clone()).await), Refusal::Unfit(_)));
    assert!(matches!(refusal(ledger.end_pending(ids[1], "late", 5_000).await), Refusal::Unfit(_)));

    ledger.set_domain("a.example", &settings("elsewhere.example")).await.unwrap();
    let refused = refusal(ledger.release(ids[0], submission.clone()).await);
    assert_eq!(refused, Refusal::SettingsChanged("a.example".into()));
    ledger.end_pending(ids[0], "no more", 5_000).await.unwrap();
    let ended = ledger.task(ids[0], None).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.ended_ms), (Status::Failed, Some(5_000)));
    assert_eq!(ended.reason.as_deref(), Some("no more"));
    assert_eq!(ledger.next_due_ms().await.unwrap(), None);
    assert!(matches!(refusal(ledger.end_pending(ids[0], "again", 6_000).await), Refusal::Unfit(_)));
}

/// What follows one waits with it, is released behind it, and ends with it, unless it has ended by itself.
pub async fn p5_what_follows_one_is_released_behind_it(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let at = |submission| Submission { not_before_ms: Some(2_000), ..submission };
    let both = async || {
        let then = Some(Box::new(at(prefetch(&*ledger, &["a.example/x"], None).await)));
        at(Submission { then, ..purge(&*ledger, &["a.example/x"]).await })
    };
    let apart = Submission { not_before_ms: None, ..both().await };
    assert!(matches!(refusal(ledger.submit(apart).await), Refusal::Unfit(_)));
    let mut pairs = Vec::new();
    for _ in 0..3 {
        let submitted = ledger.submit(both().await).await.unwrap();
        pairs.push((submitted.task, submitted.then.unwrap().task));
    }
    let due: Vec<_> = ledger.due_tasks(2_000).await.unwrap().iter().map(|task| task.id).collect();
    assert_eq!(due, [pairs[0].0, pairs[1].0, pairs[2].0], "only purges by themselves");
    let status = async |task| ledger.task(task, None).await.unwrap().unwrap().status;

    let released = ledger.release(pairs[0].0, both().await).await.unwrap();
    let then = released.then.unwrap();
    assert_eq!((then.task, then.seq, then.scope.len()), (pairs[0].1, released.seq.next(), 1));
    assert_eq!(status(pairs[0].1).await, Status::Running);
    let bodies: Vec<_> = orders(&*ledger).await.into_iter().rev().take(2).map(|order| order.body).collect();
    assert!(matches!(&bodies[..], [Body::Prefetch { .. }, Body::Purge { .. }]), "{bodies:?}");

    ledger.end_pending(pairs[1].0, "no more", 5_000).await.unwrap();
    let ended = ledger.task(pairs[1].1, None).await.unwrap().unwrap();
    let reason = format!("task {}, which it follows, did not begin: no more", pairs[1].0);
    assert_eq!((ended.status, ended.reason), (Status::Failed, Some(reason)));

    ledger.end_pending(pairs[2].1, "no more", 5_000).await.unwrap();
    assert_eq!(ledger.next_due_ms().await.unwrap(), Some(2_000));
    assert_eq!(ledger.release(pairs[2].0, both().await).await.unwrap().then, None);
    assert_eq!((status(pairs[2].0).await, status(pairs[2].1).await), (Status::Running, Status::Failed));
    assert_eq!(ledger.next_due_ms().await.unwrap(), None);
}

pub async fn an_account_has_a_thousand_of_them(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let later = Submission { not_before_ms: Some(2_000), ..purge(&*ledger, &["a.example/x"]).await };
    // At once, so that they share the waits for the disk.
    let mut submitting = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let (ledger, later) = (ledger.clone(), later.clone());
        submitting.spawn(async move { ledger.submit(later).await.unwrap() });
    }
    submitting.join_all().await;
    assert!(matches!(refusal(ledger.submit(later.clone()).await), Refusal::Unfit(_)));
    assert_eq!(ledger.due_tasks(2_000).await.unwrap().len(), 100);
    ledger.submit(Submission { not_before_ms: None, ..later }).await.unwrap();
}
