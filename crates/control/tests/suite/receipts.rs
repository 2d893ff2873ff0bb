//! Receipts: whose are taken, and what is told of tasks meanwhile.

use crate::stage::{Pop, Stage, within};
use freshen_control::{NoCertificate, Submitted};
use freshen_fleet::Link;
use freshen_fleet::link::LinkError;
use freshen_fleet::wire::{Receipts, STATEMENTS_MAX};
use freshen_ledger::Ledger;
use freshen_model::certificate::{Fault, Proof, verify};
use freshen_model::count::{Count, Counted};
use freshen_model::ids::{DataId, OrderId};
use freshen_model::receipt::{Accounted, Confirmed, OrderName, Signed, SigningKey, Statement, digest_of};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

/// What the POP may say of the purge.
struct Words {
    confirmed: Statement,
    accounted: Statement,
}

async fn words(stage: &Stage, pop: &Pop, purge: &Submitted) -> Words {
    let receipts = stage.ledger.receipts(purge.task, purge.seq).await.unwrap();
    let (order, rules): (OrderId, Vec<String>) = receipts.order.unwrap();
    let name =
        OrderName { pop: pop.id(), log: stage.control.log_id(), task: purge.task, order, seq: purge.seq };
    let digest = digest_of(&rules);
    let (rules, watermark) = (rules.len() as u64, purge.seq);
    let count = Count { objects: 3, copies: 3, bytes: 30, exact: true, ..Count::default() };
    Words {
        confirmed: Statement::Confirmed(Confirmed {
            order: name.clone(),
            rules,
            digest,
            watermark,
            applied_ms: 1,
        }),
        accounted: Statement::Accounted(Accounted { order: name, count, reclaimed: true, counted_ms: 2 }),
    }
}

fn message(pop: &Pop, statements: Vec<Signed>) -> Receipts {
    let data = pop.follower.identity().data;
    Receipts { pop: pop.id(), data, key: key().public(), statements }
}

fn refused(outcome: Result<(), LinkError>) -> String {
    match outcome {
        Err(LinkError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn counts_go_on_behind_the_end_and_whoever_waits_is_woken() {
    let stage = Stage::set().await;
    let (mut a, mut b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let purge = stage.purge("http://a.example/x").await;
    a.confirm(purge.seq).await;
    b.confirm(purge.seq).await;
    let task = stage.ended(purge.task).await;
    let counts = stage.control.counts(&task).await.unwrap().unwrap();
    assert!(counts.pops.iter().all(|pop| pop.counted == Counted::Counting) && !counts.settled);
    let unsigned = stage.control.certificate(None, purge.task, Duration::ZERO).await.unwrap_err();
    assert!(matches!(unsigned, NoCertificate::Unsigned(pops) if pops == [a.id(), b.id()]));

    let telling = async {
        for pop in [&a, &b] {
            let words = words(&stage, pop, &purge).await;
            let signed = [&words.confirmed, &words.accounted].map(|statement| key().sign(statement));
            pop.link.receipts(&message(pop, signed.to_vec())).await.unwrap();
        }
    };
    let waiting = stage.control.counts_within(&task, MINUTE);
    let (counts, ()) = within(async { tokio::join!(waiting, telling) }).await;
    let counts = counts.unwrap().unwrap();
    assert_eq!((counts.total.objects, counts.total.bytes, counts.settled), (6, 60, true));
    let file = stage.control.certificate(None, purge.task, Duration::ZERO).await.unwrap();
    let keys = stage.control.receipt_keys().await.unwrap();
    let stage = stage.restart().await;
    assert_eq!(stage.control.receipt_keys().await.unwrap(), keys, "the keys outlive a restart");
    let findings = verify(&file, Some(&keys));
    assert_eq!(findings.faults, []);
    assert!(
        findings.pops.iter().all(|(_, proof)| matches!(proof, Proof::Confirmed { accounted: Some(_), .. }))
    );
}

#[tokio::test]
async fn p8_nobody_signs_for_another() {
    let stage = Stage::set().await;
    let (mut a, b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let purge = stage.purge("http://a.example/x").await;
    a.confirm(purge.seq).await;
    let own = words(&stage, &a, &purge).await;
    let of_b = words(&stage, &b, &purge).await;
    let signed = |statement| vec![key().sign(statement)];

    let why = refused(a.link.receipts(&message(&a, signed(&of_b.confirmed))).await);
    assert!(why.contains("no statement of pop-a"), "{why}");
    refused(a.link.receipts(&message(&b, signed(&of_b.confirmed))).await);
    let by_another = SigningKey::from_seed(&[2; 32]).sign(&own.confirmed);
    let why = refused(a.link.receipts(&message(&a, vec![by_another])).await);
    assert!(why.contains("signature"), "{why}");
    let elsewhere = Receipts { data: DataId([77; 16]), ..message(&a, signed(&own.confirmed)) };
    let why = refused(a.link.receipts(&elsewhere).await);
    assert!(why.contains("another data folder"), "{why}");
    let many = vec![key().sign(&own.confirmed); STATEMENTS_MAX + 1];
    refused(a.link.receipts(&message(&a, many)).await);
    assert!(stage.ledger.receipts(purge.task, purge.seq).await.unwrap().pops.is_empty());
    assert!(stage.control.receipt_keys().await.unwrap().pops.is_empty(), "what is refused introduces no key");
}

/// A POP of an older version took the rules for something wider: it says so by its digest, and no certificate hides it.
#[tokio::test]
async fn rules_that_a_pop_did_not_understand_are_no_secret() {
    let stage = Stage::set().await;
    let mut a = stage.pop("pop-a").await;
    let purge = stage.purge("http://a.example/x").await;
    a.confirm(purge.seq).await;
    stage.ended(purge.task).await;
    let Statement::Confirmed(confirmed) = words(&stage, &a, &purge).await.confirmed else { unreachable!() };
    let wider = Statement::Confirmed(Confirmed { digest: digest_of(["something wider"]), ..confirmed });
    a.link.receipts(&message(&a, vec![key().sign(&wider)])).await.unwrap();
    let file = stage.control.certificate(None, purge.task, Duration::ZERO).await.unwrap();
    assert_eq!(verify(&file, None).faults, [Fault::Rules(a.id()), Fault::Unsigned(a.id())]);
}
