//! Receipts: what POPs signed of tasks, and every key they signed with.

use crate::Home;
use crate::fixture::{orders, pop, prefetch, purge, site};
use freshen_ledger::{ReceiptsKept, Submitted};
use freshen_model::count::Count;
use freshen_model::ids::{DataId, LogId, OrderId, Seq, TaskId};
use freshen_model::receipt::{
    Accounted, Confirmed, Digest, OrderName, SigningKey, StartedOver, Statement, text_of,
};

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn name(log: LogId, submitted: &Submitted, order: OrderId) -> OrderName {
    OrderName { pop: pop("asia"), log, task: submitted.task, order, seq: submitted.seq }
}

fn confirmed(order: OrderName) -> Statement {
    let (watermark, digest) = (order.seq, Digest([5; 32]));
    Statement::Confirmed(Confirmed { order, rules: 1, digest, watermark, applied_ms: 7 })
}

fn accounted(order: OrderName, objects: u64) -> Statement {
    let count = Count { objects, exact: true, ..Count::default() };
    Statement::Accounted(Accounted { order, count, reclaimed: false, counted_ms: 8 })
}

fn kept(key: &SigningKey, data: u8, at_ms: i64, statements: &[Statement]) -> ReceiptsKept {
    let statements = statements.iter().map(|statement| (statement.clone(), key.sign(statement))).collect();
    ReceiptsKept { pop: pop("asia"), data: DataId([data; 16]), key: key.public(), at_ms, statements }
}

pub async fn p4_what_was_signed_is_kept_as_it_was_signed(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let submission = purge(&*ledger, &["a.example/x"]).await;
    let submitted = ledger.submit(submission.clone()).await.unwrap();
    let (order, log) = (orders(&*ledger).await.pop().unwrap().id, ledger.log_id());
    let texts: Vec<String> = submission.rules.iter().map(text_of).collect();
    let none = ledger.receipts(submitted.task, submitted.seq).await.unwrap();
    assert_eq!((none.order, none.pops.len()), (Some((order, texts.clone())), 0));

    let (key, name) = (key(1), name(log, &submitted, order));
    let first = kept(&key, 1, 100, &[confirmed(name.clone()), accounted(name.clone(), 3)]);
    let (tasks, another) = ledger.keep_receipts(first.clone()).await.unwrap();
    assert_eq!((tasks, another), (vec![submitted.task; 2], false));
    ledger.keep_receipts(first.clone()).await.unwrap();
    let later = kept(&key, 1, 200, &[accounted(name, 4)]);
    ledger.keep_receipts(later.clone()).await.unwrap();
    let seed = ledger.receipt_seed().await.unwrap();

    drop(ledger);
    let ledger = home.open().await;
    assert_eq!(ledger.receipt_seed().await.unwrap(), seed, "control signs with one key for ever");
    ledger.prune(submitted.seq).await.unwrap();
    let receipts = ledger.receipts(submitted.task, submitted.seq).await.unwrap();
    assert_eq!(receipts.order, Some((order, texts)), "also when the order itself is forgotten");
    let [row] = receipts.pops.as_slice() else { panic!("{receipts:?}") };
    assert_eq!((&row.pop, row.key), (&pop("asia"), key.public()));
    assert_eq!(row.confirmed, Some(first.statements[0].1.clone()));
    assert_eq!(row.accounted, Some(later.statements[0].1.clone()), "the newer count replaces the older");
}

pub async fn what_speaks_of_nothing_known_is_passed_over(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let submitted = ledger.submit(purge(&*ledger, &["a.example/x"]).await).await.unwrap();
    let order = OrderId([9; 16]);
    let foreign = name(LogId([9; 16]), &submitted, order);
    let unknown = OrderName { task: TaskId(5), ..name(ledger.log_id(), &submitted, order) };
    // Of a life that was lost: the task's number was given out again.
    let lost = name(ledger.log_id(), &submitted, order);
    let statements = [
        confirmed(foreign.clone()),
        accounted(foreign, 1),
        confirmed(unknown),
        confirmed(lost.clone()),
        accounted(lost, 1),
    ];
    let nothing = kept(&key(1), 1, 100, &statements);
    assert_eq!(ledger.keep_receipts(nothing).await.unwrap(), (vec![], false));
    assert!(ledger.receipts(submitted.task, submitted.seq).await.unwrap().pops.is_empty());
    let warm = ledger.submit(prefetch(&*ledger, &["a.example/x"], None).await).await.unwrap();
    assert_eq!(ledger.receipts(warm.task, warm.seq).await.unwrap().order, None);
}

pub async fn no_key_is_ever_replaced(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let submitted = ledger.submit(purge(&*ledger, &["a.example/x"]).await).await.unwrap();
    let name = name(ledger.log_id(), &submitted, orders(&*ledger).await.pop().unwrap().id);
    let (one, two) = (key(1), key(2));
    let both = [confirmed(name.clone()), accounted(name.clone(), 1)];
    assert!(!ledger.keep_receipts(kept(&one, 1, 100, &both)).await.unwrap().1);
    assert!(ledger.keep_receipts(kept(&two, 2, 200, &[])).await.unwrap().1, "another key than before");
    assert!(!ledger.keep_receipts(kept(&one, 1, 300, &[])).await.unwrap().1, "known already");
    let keys = ledger.receipt_keys().await.unwrap();
    let known: Vec<_> = keys.iter().map(|known| (known.key, known.first_ms)).collect();
    assert_eq!(known, [(one.public(), 100), (two.public(), 200)]);
    // What one key signed does not stand beside what another did.
    ledger.keep_receipts(kept(&two, 2, 400, &[confirmed(name)])).await.unwrap();
    let receipts = ledger.receipts(submitted.task, submitted.seq).await.unwrap();
    assert_eq!(receipts.pops[0].key, two.public());
    assert!(receipts.pops[0].confirmed.is_some() && receipts.pops[0].accounted.is_none(), "{receipts:?}");
}

pub async fn the_first_start_over_behind_a_task_stands_for_it(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let over = |seq: u64| {
        let (log, order) = (ledger.log_id(), OrderId([seq as u8; 16]));
        Statement::StartedOver(StartedOver { pop: pop("asia"), log, seq: Seq(seq), order, at_ms: 1 })
    };
    let statements = [over(2), over(9), over(5)];
    let message = kept(&key(1), 1, 100, &statements);
    ledger.keep_receipts(message.clone()).await.unwrap();
    for (seq, due) in [(1, Some(0)), (2, Some(0)), (3, Some(2)), (6, Some(1)), (10, None)] {
        let found = ledger.receipts(TaskId(1), Seq(seq)).await.unwrap().starts_over;
        let found = found.first().map(|(_, _, signed)| signed.clone());
        assert_eq!(found, due.map(|at: usize| message.statements[at].1.clone()), "{seq}");
    }
}
