//! `/v1`: what a purge matched, and what POPs signed of it.

use crate::stage::{ADA, ANN, BOB, Stage, within};
use freshen_fleet::Event;
use freshen_fleet::Link;
use freshen_fleet::wire::Receipts;
use freshen_model::certificate::{CertificateFile, Keys, verify};
use freshen_model::count::Count;
use freshen_model::ids::{DataId, Seq, TaskId};
use freshen_model::order::{Body, Order};
use freshen_model::receipt::{Accounted, Confirmed, OrderName, SigningKey, Statement, digest_of, text_of};
use serde_json::{Value, json};

#[tokio::test]
async fn counts_are_waited_for_and_a_certificate_is_its_owners() {
    let stage = Stage::set().await;
    let mut pop = stage.pop("pop-asia").await;
    let lines = json!({ "lines": ["http://a.example/x"] });
    let task = stage.own(ANN, "POST", "/v1/purge", lines).await.1;
    assert_eq!(
        (&task["counts"]["settled"], &task["counts"]["pops"][0]["counted"]),
        (&json!(false), &json!("counting"))
    );
    let id = task["id"].as_str().unwrap();
    let target = format!("/v1/tasks/{id}/receipt");
    let (status, why) = stage.own(ANN, "GET", &target, Value::Null).await;
    assert_eq!((status, &why["error"]["code"]), (409, &json!("unfit")), "not complete: {why}");

    let order = purge_order(&pop).await;
    pop.reconnect(&stage);
    pop.confirm(Seq(task["seq"].as_u64().unwrap())).await;
    stage.ended(id).await;
    let (status, why) = stage.own(ANN, "GET", &format!("{target}?wait_ms=1"), Value::Null).await;
    assert_eq!(status, 409, "nothing is signed: {why}");
    let waiting = format!("/v1/tasks/{id}?wait_ms=30000&counted=true");
    let signing = sign(&stage, &pop.link, &order);
    let (counted, ()) =
        within(async { tokio::join!(stage.own(ANN, "GET", &waiting, Value::Null), signing) }).await;
    let counts = &counted.1["counts"];
    assert_eq!((&counts["settled"], &counts["nothing_matched"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&counts["total"]["objects"], &counts["pops"][0]["reclaimed_objects"]),
        (&json!(0), &json!(0))
    );

    let (status, file) = stage.own(ANN, "GET", &target, Value::Null).await;
    assert_eq!(status, 200, "{file}");
    let keys: Keys =
        serde_json::from_value(stage.own(BOB, "GET", "/v1/receipt-keys", Value::Null).await.1).unwrap();
    let file: CertificateFile = serde_json::from_value(file).unwrap();
    assert_eq!(verify(&file, Some(&keys)).faults, []);
    assert_eq!(stage.own(ADA, "GET", &target, Value::Null).await.0, 200, "admins see all");
    let anothers = stage.own(BOB, "GET", &target, Value::Null).await;
    let nobodys = stage.own(BOB, "GET", "/v1/tasks/7/receipt", Value::Null).await;
    assert_eq!((anothers.0, nobodys.0), (404, 404), "p8: what is another's is like what is not there");
    assert_eq!(stage.own(ANN, "GET", &format!("{target}?wait_ms=30001"), Value::Null).await.0, 400);
    assert_eq!(stage.ask("GET", &target, &[]).await.status, 401);
}

/// The order as control pushes it.
async fn purge_order(pop: &crate::stage::Pop) -> Order {
    let mut link = pop.link.follow(&pop.position()).await.unwrap();
    loop {
        let Some(Event::Orders(_, orders)) = within(link.recv()).await else { continue };
        let purge = orders.into_iter().find(|order| matches!(order.body, Body::Purge { .. }));
        if let Some(order) = purge {
            return order;
        }
    }
}

/// The POP signs that it applied the order, and that nothing matched.
async fn sign(stage: &Stage, link: &dyn Link, order: &Order) {
    let Body::Purge { task: Some(task), rules, .. } = &order.body else { panic!("{order:?}") };
    let task: TaskId = *task;
    let name = OrderName {
        pop: "pop-asia".parse().unwrap(),
        log: stage.control.log_id(),
        task,
        order: order.id,
        seq: order.seq,
    };
    let digest = digest_of(rules.iter().map(text_of));
    let count = Count { exact: true, ..Count::default() };
    let statements = [
        Statement::Confirmed(Confirmed {
            order: name.clone(),
            rules: rules.len() as u64,
            digest,
            watermark: order.seq,
            applied_ms: 1,
        }),
        Statement::Accounted(Accounted { order: name.clone(), count, reclaimed: true, counted_ms: 2 }),
    ];
    let key = SigningKey::from_seed(&[1; 32]);
    let statements = statements.iter().map(|statement| key.sign(statement)).collect();
    let data = DataId([1; 16]);
    link.receipts(&Receipts { pop: name.pop, data, key: key.public(), statements }).await.unwrap();
}
