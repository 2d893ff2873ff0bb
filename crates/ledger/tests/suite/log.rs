//! The fleet log.

use crate::Home;
use crate::fixture::{orders, pop, purge, settings, site};
use freshen_ledger::Ledger;
use freshen_model::area::Area;
use freshen_model::ids::{OrderId, Seq};
use freshen_model::order::Body;
use freshen_model::protocol::roster::Place;
use std::collections::BTreeSet;

async fn ticks(ledger: &dyn Ledger, count: usize) {
    for _ in 0..count {
        ledger.tick().await.unwrap();
    }
}

pub async fn seqs_are_dense_and_ids_distinct(home: &dyn Home) {
    let ledger = home.open().await;
    assert_eq!(ledger.end().borrow().seq, Seq::ZERO);
    site(&*ledger).await;
    ticks(&*ledger, 20).await;
    let orders = orders(&*ledger).await;
    assert_eq!(orders.iter().map(|order| order.seq.0).collect::<Vec<_>>(), (1..=22).collect::<Vec<_>>());
    assert_eq!(orders.iter().map(|order| order.id).collect::<BTreeSet<_>>().len(), 22);
    assert!(orders.iter().all(|order| order.id != OrderId::default()));
    assert_eq!(ledger.end().borrow().seq, Seq(22));
}

pub async fn the_end_moves_only_to_what_is_there(home: &dyn Home) {
    let ledger = home.open().await;
    let mut end = ledger.end();
    let watching = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            let mut before = Seq::ZERO;
            while before < Seq(300) {
                end.changed().await.unwrap();
                let now = *end.borrow_and_update();
                assert!(now.seq > before);
                assert_eq!(ledger.place(now.seq).await.unwrap(), Place::Order(now.id), "the end is {now:?}");
                before = now.seq;
            }
        }
    });
    let ticking = (0..10).map(|_| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for _ in 0..30 {
                let seq = ledger.tick().await.unwrap();
                assert!(ledger.end().borrow().seq >= seq, "the end moves before the caller is answered");
            }
        })
    });
    for task in ticking.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    watching.await.unwrap();
}

pub async fn reads_fit_the_bytes_asked_for(home: &dyn Home) {
    let ledger = home.open().await;
    assert!(ledger.orders_after(Seq::ZERO, 1_000).await.unwrap().orders.is_empty());
    ticks(&*ledger, 100).await;
    let one = ledger.orders_after(Seq(5), 0).await.unwrap();
    assert_eq!(one.orders.iter().map(|order| order.seq).collect::<Vec<_>>(), [Seq(6)]);
    let some = ledger.orders_after(Seq(5), 1_000).await.unwrap();
    assert!((2..95).contains(&some.orders.len()), "{}", some.orders.len());
    let bytes: usize = some.orders.iter().map(|order| serde_json::to_string(order).unwrap().len()).sum();
    assert!(bytes <= 1_000, "{bytes}");
    let all = ledger.orders_after(Seq(5), usize::MAX).await.unwrap();
    assert_eq!((all.orders.len(), all.contiguous), (95, true));
    let none = ledger.orders_after(Seq(100), 1_000).await.unwrap();
    assert_eq!((none.orders.len(), none.contiguous), (0, true));
}

pub async fn what_is_pruned_is_told_apart(home: &dyn Home) {
    let ledger = home.open().await;
    assert_eq!(ledger.place(Seq(0)).await.unwrap(), Place::Order(OrderId::default()));
    ticks(&*ledger, 5).await;
    assert_eq!(ledger.place(Seq(0)).await.unwrap(), Place::Order(OrderId::default()));
    ledger.prune(Seq(3)).await.unwrap();

    for seq in [0, 1, 3] {
        assert_eq!(ledger.place(Seq(seq)).await.unwrap(), Place::Pruned, "{seq}");
    }
    let kept = ledger.orders_after(Seq(3), usize::MAX).await.unwrap();
    assert_eq!((kept.orders.len(), kept.contiguous), (2, true));
    assert_eq!(ledger.place(Seq(4)).await.unwrap(), Place::Order(kept.orders[0].id));
    assert_eq!(ledger.place(Seq(6)).await.unwrap(), Place::Beyond);
    assert_eq!(ledger.place(Seq(u64::MAX)).await.unwrap(), Place::Beyond);
    assert!(!ledger.orders_after(Seq(2), usize::MAX).await.unwrap().contiguous);

    ledger.prune(Seq(99)).await.unwrap();
    assert_eq!(orders(&*ledger).await.iter().map(|order| order.seq).collect::<Vec<_>>(), [Seq(5)]);
    assert_eq!(ledger.tick().await.unwrap(), Seq(6), "numbers are never used again");
}

pub async fn a_snapshot_is_the_state_so_far(home: &dyn Home) {
    let ledger = home.open().await;
    let empty = ledger.snapshot(&pop("asia")).await.unwrap();
    assert_eq!((empty.log, empty.seq, empty.id), (ledger.log_id(), Seq::ZERO, OrderId::default()));
    assert_eq!(empty.member, None);

    site(&*ledger).await;
    ledger.add_domain("acme", "b.example", &settings("b.origin.example")).await.unwrap();
    ledger.remove_domain("b.example").await.unwrap();
    ledger.prune(Seq(3)).await.unwrap();
    let snapshot = ledger.snapshot(&pop("asia")).await.unwrap();
    assert_eq!(snapshot.seq, Seq(4));
    assert_eq!(ledger.place(Seq(4)).await.unwrap(), Place::Order(snapshot.id));
    assert_eq!(snapshot.domains, [("a.example".to_owned(), settings("origin.example"))].into());
    assert!(snapshot.member.is_some());
    assert_eq!(ledger.snapshot(&pop("europe")).await.unwrap().member, None);
    ledger.remove_pop(&pop("asia")).await.unwrap();
    assert_eq!(ledger.snapshot(&pop("asia")).await.unwrap().member, None);
}

pub async fn p4_reopening_keeps_everything(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.add_key("acme", "id", "secret").await.unwrap();
    assert_eq!(ledger.lease_ms().await.unwrap(), None);
    ledger.set_lease_ms(10_000).await.unwrap();
    let submission = purge(&*ledger, &["a.example/x"]).await;
    let submitted = ledger.submit(submission).await.unwrap();
    ledger.prune(Seq(1)).await.unwrap();
    let log = ledger.log_id();
    let before = (
        orders(&*ledger).await,
        ledger.task(submitted.task, None).await.unwrap(),
        ledger.domains(None).await.unwrap(),
        ledger.pops().await.unwrap(),
        ledger.accounts().await.unwrap(),
        ledger.key("id").await.unwrap(),
        ledger.lease_ms().await.unwrap(),
    );
    drop(ledger);

    let ledger = home.open().await;
    assert_eq!(ledger.log_id(), log);
    assert_eq!(ledger.end().borrow().seq, submitted.seq);
    let after = (
        orders(&*ledger).await,
        ledger.task(submitted.task, None).await.unwrap(),
        ledger.domains(None).await.unwrap(),
        ledger.pops().await.unwrap(),
        ledger.accounts().await.unwrap(),
        ledger.key("id").await.unwrap(),
        ledger.lease_ms().await.unwrap(),
    );
    assert_eq!(after, before);
    let next = ledger.add_pop(&pop("europe"), Area::Overseas, "europe", [2; 32]).await.unwrap();
    assert_eq!(next.joined, submitted.seq.next());
    let body = orders(&*ledger).await.pop().unwrap().body;
    assert_eq!(body, Body::Join { pop: pop("europe"), area: Area::Overseas, region: "europe".into() });
}
