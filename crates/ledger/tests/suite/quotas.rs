//! Daily quotas.

use crate::Home;
use crate::fixture::{DAY, orders, prefetch, purge, refusal, site};
use freshen_ledger::{Ledger, Refusal, Submission, TaskFilter};
use freshen_model::quota::{Limits, Quota, QuotaKind};
use freshen_model::task::TaskKind;

async fn used(ledger: &dyn Ledger, day: i64) -> Vec<u64> {
    ledger.quota("acme", day).await.unwrap().iter().map(|quota| quota.used).collect()
}

pub async fn are_counted_per_day_and_kind(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let urls = purge(&*ledger, &["a.example/x", "a.example/x", "a.example/y"]).await;
    ledger.submit(urls.clone()).await.unwrap();
    let directories = Submission { kind: TaskKind::Directory, ..purge(&*ledger, &["a.example/d/"]).await };
    ledger.submit(directories).await.unwrap();
    let query = Submission { kind: TaskKind::Query, ..purge(&*ledger, &["a.example/q"]).await };
    ledger.submit(query).await.unwrap();
    let warm = prefetch(&*ledger, &["a.example/x", "a.example/y"], None).await;
    ledger.submit(warm).await.unwrap();
    assert_eq!(used(&*ledger, DAY).await, [3, 1, 2, 1, 0, 0], "duplicates count");
    ledger.submit(Submission { day: DAY + 1, ..urls }).await.unwrap();
    assert_eq!(used(&*ledger, DAY).await, [3, 1, 2, 1, 0, 0]);
    assert_eq!(used(&*ledger, DAY + 1).await, [3, 0, 0, 0, 0, 0]);
    let unknown = Refusal::NotFound { what: "account", name: "nobody".into() };
    assert_eq!(refusal(ledger.quota("nobody", DAY).await), unknown);
}

pub async fn over_quota_counts_nothing(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.set_limits("acme", Limits { url: 3, ..Limits::all(0) }).await.unwrap();
    let two = purge(&*ledger, &["a.example/x", "a.example/y"]).await;
    ledger.submit(two.clone()).await.unwrap();
    let quota = Quota { kind: QuotaKind::Url, limit: 3, used: 2 };
    assert_eq!(refusal(ledger.submit(two).await), Refusal::OverQuota { quota, lines: 2 });
    assert_eq!(ledger.quota("acme", DAY).await.unwrap()[0], quota);
    assert_eq!(orders(&*ledger).await.len(), 3, "no order");
    let all = TaskFilter { limit: 10, ..TaskFilter::default() };
    assert_eq!(ledger.tasks(&all).await.unwrap().total, 1, "no task");
    let one = purge(&*ledger, &["a.example/z"]).await;
    ledger.submit(one).await.unwrap();
    assert_eq!(used(&*ledger, DAY).await, [3, 0, 0, 0, 0, 0], "the last line may be used");
}
