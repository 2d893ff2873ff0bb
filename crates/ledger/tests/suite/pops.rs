//! POPs, and the scope of tasks.

use crate::Home;
use crate::fixture::{orders, pop, prefetch, purge, refusal, site};
use freshen_ledger::{Ledger, Refusal, Remembered};
use freshen_model::area::Area;
use freshen_model::ids::{DataId, Seq};
use freshen_model::order::Body;

/// The scope of a purge submitted now.
async fn purge_scope(ledger: &dyn Ledger) -> Vec<String> {
    let submission = purge(ledger, &["a.example/x"]).await;
    ledger.submit(submission).await.unwrap().scope.iter().map(ToString::to_string).collect()
}

pub async fn come_and_go(home: &dyn Home) {
    let ledger = home.open().await;
    let asia = pop("asia");
    let unknown = Refusal::NotFound { what: "POP", name: "asia".into() };
    assert_eq!(refusal(ledger.remove_pop(&asia).await), unknown);
    assert_eq!(refusal(ledger.pop_gone(&asia).await), unknown);

    let joined = ledger.add_pop(&asia, Area::Domestic, "asia", [1; 32]).await.unwrap();
    assert_eq!((joined.joined, joined.left, joined.token_digest), (Seq(1), None, [1; 32]));
    let taken = Refusal::Exists { what: "POP", name: "asia".into() };
    assert_eq!(refusal(ledger.add_pop(&asia, Area::Domestic, "asia", [9; 32]).await), taken);
    assert!(matches!(refusal(ledger.pop_gone(&asia).await), Refusal::Unfit(_)), "a member is not gone");

    assert_eq!(ledger.remove_pop(&asia).await.unwrap().left, Some(Seq(2)));
    assert!(matches!(refusal(ledger.remove_pop(&asia).await), Refusal::Unfit(_)));
    assert_eq!(ledger.pops().await.unwrap().len(), 1, "removed, not gone");

    let back = ledger.add_pop(&asia, Area::Overseas, "east", [2; 32]).await.unwrap();
    assert_eq!((back.joined, back.left, back.token_digest), (Seq(3), None, [2; 32]));
    assert_eq!((back.area, &*back.region), (Area::Overseas, "east"));

    ledger.remove_pop(&asia).await.unwrap();
    ledger.pop_gone(&asia).await.unwrap();
    assert!(ledger.pops().await.unwrap().is_empty());
    assert_eq!(refusal(ledger.remove_pop(&asia).await), unknown);
    ledger.add_pop(&asia, Area::Domestic, "asia", [3; 32]).await.unwrap();

    let bodies: Vec<Body> = orders(&*ledger).await.into_iter().map(|order| order.body).collect();
    let join = |area, region: &str| Body::Join { pop: pop("asia"), area, region: region.to_owned() };
    let leave = Body::Leave { pop: pop("asia") };
    assert_eq!(
        bodies,
        [
            join(Area::Domestic, "asia"),
            leave.clone(),
            join(Area::Overseas, "east"),
            leave,
            join(Area::Domestic, "asia")
        ]
    );
}

pub async fn removed_ones_stay_in_scope_until_gone(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.add_pop(&pop("europe"), Area::Overseas, "europe", [2; 32]).await.unwrap();
    assert_eq!(purge_scope(&*ledger).await, ["asia", "europe"]);
    ledger.remove_pop(&pop("asia")).await.unwrap();
    assert_eq!(purge_scope(&*ledger).await, ["asia", "europe"], "it may be using its cache still");
    ledger.pop_gone(&pop("asia")).await.unwrap();
    assert_eq!(purge_scope(&*ledger).await, ["europe"]);
    ledger.remove_pop(&pop("europe")).await.unwrap();
    assert_eq!(purge_scope(&*ledger).await, ["europe"]);
    ledger.pop_gone(&pop("europe")).await.unwrap();
    let submission = purge(&*ledger, &["a.example/x"]).await;
    let nowhere = Refusal::Unfit("no POP is registered in this installation".into());
    assert_eq!(refusal(ledger.submit(submission).await), nowhere);
}

pub async fn prefetches_go_to_members_of_their_area(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let lines = ["a.example/x"];
    let overseas = prefetch(&*ledger, &lines, Some(Area::Overseas)).await;
    let nowhere = Refusal::Unfit("no POP is registered in area overseas".into());
    assert_eq!(refusal(ledger.submit(overseas.clone()).await), nowhere);
    ledger.add_pop(&pop("europe"), Area::Overseas, "europe", [2; 32]).await.unwrap();
    let submitted = ledger.submit(overseas).await.unwrap();
    assert_eq!(submitted.scope, [pop("europe")]);
    let order = orders(&*ledger).await.pop().unwrap();
    assert!(
        matches!(order.body, Body::Prefetch { task, area: Some(Area::Overseas), .. } if task == submitted.task)
    );

    let everywhere = prefetch(&*ledger, &lines, None).await;
    assert_eq!(ledger.submit(everywhere.clone()).await.unwrap().scope, [pop("asia"), pop("europe")]);
    ledger.remove_pop(&pop("asia")).await.unwrap();
    assert_eq!(
        ledger.submit(everywhere).await.unwrap().scope,
        [pop("europe")],
        "a removed POP warms nothing"
    );
}

pub async fn p2_a_return_is_usable_from_its_join_only_where_it_was_gone(home: &dyn Home) {
    let ledger = home.open().await;
    let asia = pop("asia");
    let add = async || ledger.add_pop(&asia, Area::Domestic, "asia", [1; 32]).await.unwrap();
    assert_eq!(add().await.reached(), Seq(1));
    ledger.remove_pop(&asia).await.unwrap();
    assert_eq!(add().await.reached(), Seq(1), "its process may not know of the removal");
    ledger.remove_pop(&asia).await.unwrap();
    ledger.pop_gone(&asia).await.unwrap();
    assert_eq!(add().await.reached(), Seq(5));
    // Whoever is heard after all speaks for itself.
    for watermark in [Seq(6), Seq(2)] {
        let data = DataId([7; 16]);
        let seat = Remembered { pop: asia.clone(), data, boot_number: 1, watermark, heard_ms: 0 };
        ledger.remember(vec![seat]).await.unwrap();
        assert_eq!(ledger.pops().await.unwrap()[0].reached(), watermark);
    }
}

pub async fn folders_are_remembered(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    assert_eq!(ledger.pops().await.unwrap()[0].remembered, None);
    let seat = |id: &str, watermark| Remembered {
        pop: pop(id),
        data: DataId([7; 16]),
        boot_number: 3,
        watermark: Seq(watermark),
        heard_ms: 5_000,
    };
    ledger.remember(vec![seat("asia", 1), seat("nobody", 1)]).await.unwrap();
    ledger.remember(vec![seat("asia", 2)]).await.unwrap();
    assert_eq!(ledger.pops().await.unwrap()[0].remembered, Some(seat("asia", 2)));

    ledger.remove_pop(&pop("asia")).await.unwrap();
    ledger.pop_gone(&pop("asia")).await.unwrap();
    let back = ledger.add_pop(&pop("asia"), Area::Domestic, "asia", [2; 32]).await.unwrap();
    assert_eq!(back.remembered, Some(seat("asia", 2)), "a rolled-back folder is known after a return too");
}
