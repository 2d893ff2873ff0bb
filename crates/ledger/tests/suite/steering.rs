//! Steered prefetches: what holds them is kept, and told in an order where it changes anything.

use crate::Home;
use crate::fixture::{orders, pop, prefetch, purge, refusal, site};
use freshen_ledger::{Refusal, Steering, Submission, TaskUpdate};
use freshen_model::area::Area;
use freshen_model::order::{Body, Steer};
use freshen_model::task::{Holds, PrefetchTerms, Progress, Status, Step, StepState};

const PAUSED: Holds = Holds { paused: true, outside_window: false };
const OUTSIDE: Holds = Holds { paused: false, outside_window: true };
const BOTH: Holds = Holds { paused: true, outside_window: true };

pub async fn p4_what_holds_a_prefetch_is_kept_with_its_order(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let held = Submission { holds: OUTSIDE, ..prefetch(&*ledger, &["a.example/x"], None).await };
    let warmed = ledger.submit(held).await.unwrap();
    let (task, prefetch) = (warmed.task, warmed.seq);
    assert!(matches!(orders(&*ledger).await.pop().unwrap().body, Body::Prefetch { paused: true, .. }));
    for (holds, steers) in [
        (BOTH, vec![]),
        (PAUSED, vec![]),
        (Holds::default(), vec![Steer::Resume]),
        (Holds::default(), vec![]),
        (OUTSIDE, vec![Steer::Pause]),
    ] {
        let end = ledger.end().borrow().seq;
        let record = ledger.steer(task, Steering::Hold(holds), 5).await.unwrap();
        assert_eq!((record.holds, record.status), (holds, Status::Running));
        let told = orders(&*ledger).await.into_iter().filter(|order| order.seq > end);
        let steer = |steer| Body::Steer { prefetch, steer };
        assert_eq!(
            told.map(|order| order.body).collect::<Vec<_>>(),
            steers.into_iter().map(steer).collect::<Vec<_>>()
        );
    }
    drop(ledger);
    let ledger = home.open().await;
    assert_eq!(ledger.running_tasks().await.unwrap()[0].holds, OUTSIDE);
    let open = ledger.snapshot(&pop("asia")).await.unwrap().prefetches;
    assert!(open[0].1.paused, "whoever starts over is told, too");
}

/// What was decided of it at the same time changes nothing any more.
pub async fn a_cancelled_prefetch_has_ended(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let warmed = ledger.submit(prefetch(&*ledger, &["a.example/x"], None).await).await.unwrap();
    let (id, progress) = (warmed.task, Progress { files: 1, bytes: 7, ..Progress::default() });
    let step = |state| vec![Step { pop: pop("asia"), state }];
    let fetching = step(StepState::Fetching { progress });
    let update = TaskUpdate { id, status: Status::Running, ended_ms: None, steps: fetching };
    ledger.update_tasks(vec![update.clone()]).await.unwrap();
    let record = ledger.steer(id, Steering::Cancel, 5).await.unwrap();
    assert_eq!(
        (record.status, record.ended_ms, record.reason.as_deref()),
        (Status::Failed, Some(5), Some("cancelled"))
    );
    assert_eq!(record.steps, step(StepState::Cancelled { progress, at_ms: 5 }));
    let order = orders(&*ledger).await.pop().unwrap();
    assert_eq!(order.body, Body::Steer { prefetch: warmed.seq, steer: Steer::Cancel });
    let late = TaskUpdate { status: Status::Complete, ended_ms: Some(6), ..update };
    ledger.update_tasks(vec![late]).await.unwrap();
    let kept = ledger.task(id, None).await.unwrap().unwrap();
    assert_eq!((kept.status, kept.ended_ms), (Status::Failed, Some(5)));
    assert_eq!(ledger.snapshot(&pop("asia")).await.unwrap().prefetches, []);
    assert!(ledger.running_tasks().await.unwrap().is_empty());
    for steering in [Steering::Cancel, Steering::Hold(PAUSED)] {
        let refused = refusal(ledger.steer(id, steering, 6).await);
        assert!(
            matches!(&refused, Refusal::Unfit(why) if why.contains("is failed, not running")),
            "{refused:?}"
        );
    }
    let purged = ledger.submit(purge(&*ledger, &["a.example/x"]).await).await.unwrap();
    assert!(matches!(refusal(ledger.steer(purged.task, Steering::Cancel, 6).await), Refusal::Unfit(_)));
}

pub async fn a_prefetch_goes_to_the_regions_it_names(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    for (name, region) in [("one", "north"), ("two", "north"), ("three", "south")] {
        ledger.add_pop(&pop(name), Area::Overseas, region, [2; 32]).await.unwrap();
    }
    let to = |regions: &[&str]| PrefetchTerms {
        regions: regions.iter().map(|region| (*region).to_owned()).collect(),
        ..PrefetchTerms::default()
    };
    let of = prefetch(&*ledger, &["a.example/x"], None).await;
    let submission = Submission { terms: to(&["north", "asia"]), ..of.clone() };
    let submitted = ledger.submit(submission).await.unwrap();
    assert_eq!(submitted.scope, [pop("asia"), pop("one"), pop("two")]);
    let order = orders(&*ledger).await.pop().unwrap();
    let named = [pop("asia"), pop("one"), pop("two")].into();
    assert!(matches!(&order.body, Body::Prefetch { pops: Some(pops), .. } if *pops == named), "{order:?}");
    let kept = ledger.task(submitted.task, None).await.unwrap().unwrap();
    assert_eq!(kept.terms, to(&["north", "asia"]));
    let nobody = Submission { terms: to(&["asia"]), area: Some(Area::Overseas), ..of };
    assert!(
        matches!(refusal(ledger.submit(nobody).await), Refusal::Unfit(why) if why.contains("in these regions"))
    );
}
