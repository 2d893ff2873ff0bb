//! Prefetches that are paused, resumed and cancelled, on POPs and a control that die meanwhile.

use crate::installation::{Installation, Plan, only_step};
use crate::origin::{Held, Page};
use freshen_model::ids::TaskId;
use freshen_model::order::Steer;
use freshen_model::task::{PrefetchTerms, Status, StepState};
use futures_util::future::select_all;
use tokio::sync::oneshot::Receiver;

const PATHS: [&str; 3] = ["/a", "/b", "/c"];

/// One file at a time, of which one is held by the origin; the others will be, too.
async fn fetching(plan: Plan, deadline_s: Option<u32>) -> (Installation, TaskId, Held, Vec<Receiver<Held>>) {
    let one = |pop: &mut freshen_pop::Config| pop.prefetches_at_once = 1;
    let fleet = Installation::start(Plan { pop: Box::new(one), ..plan }).await;
    let hold = |path: &&str| {
        fleet.origin.set(path, Page::new("page"));
        fleet.origin.hold(path)
    };
    let held = PATHS.iter().map(hold).collect::<Vec<_>>();
    let lines = PATHS.map(|path| format!("http://a.example{path}")).into();
    let terms = PrefetchTerms { deadline_s, ..PrefetchTerms::default() };
    let task = fleet.submit_on(lines, terms).await;
    let (first, _, others) = select_all(held).await;
    (fleet, task, first.unwrap(), others)
}

fn requests(fleet: &Installation) -> usize {
    PATHS.iter().map(|path| fleet.origin.requests(path).len()).sum()
}

/// Waits until every POP has applied, and acted on, all orders so far.
async fn applied(fleet: &Installation) {
    assert_eq!(fleet.purge(&["a.example/nothing"]).await.status, Status::Complete);
}

/// Kills the POP, which begins nothing more after its start; of the two files that it had begun so many are there.
async fn hits_after_a_kill(fleet: &mut Installation) -> usize {
    fleet.pops[0].kill();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    applied(fleet).await;
    assert_eq!(requests(fleet), 2);
    let mut hits = 0;
    for path in PATHS.iter().filter(|path| !fleet.origin.requests(path).is_empty()) {
        hits += usize::from(fleet.viewer(0).get(&format!("a.example{path}")).await.x_cache() == Some("HIT"));
    }
    hits
}

#[tokio::test]
async fn p6_a_paused_prefetch_finishes_what_it_fetches_and_begins_no_more_until_it_is_resumed() {
    let (mut fleet, task, held, others) = fetching(Plan::default(), None).await;
    fleet.control.steer(None, task, Steer::Pause).await.unwrap();
    applied(&fleet).await;
    held.answer();
    let one_warm = |state: &StepState| matches!(state, StepState::Fetching { progress } if (progress.files_warm, progress.files) == (1, 3));
    let paused = fleet.task_when(task, |task| one_warm(only_step(task))).await;
    assert!(paused.holds.paused);
    // Whoever comes back, comes back paused: the POP after a kill, control after its own.
    fleet.pops[0].kill();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    fleet.cut_off_control().await;
    fleet.restore_control().await;
    applied(&fleet).await;
    // Another one passes it.
    fleet.origin.set("/other", Page::new("page"));
    assert_eq!(fleet.prefetch(&["a.example/other"]).await.status, Status::Complete);
    assert_eq!(requests(&fleet), 1);
    assert!(fleet.task(task).await.holds.paused);
    fleet.control.steer(None, task, Steer::Resume).await.unwrap();
    let (next, _, last) = select_all(others).await;
    next.unwrap().answer();
    select_all(last).await.0.unwrap().answer();
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    assert_eq!(requests(&fleet), 3);
}

#[tokio::test]
async fn p6_a_cancelled_prefetch_keeps_what_is_there_and_fetches_no_more() {
    let (mut fleet, task, held, others) = fetching(Plan::default(), None).await;
    held.answer();
    let (next, _, _last) = select_all(others).await;
    fleet.control.steer(None, task, Steer::Cancel).await.unwrap();
    let cancelled = fleet.task(task).await;
    assert_eq!((cancelled.status, cancelled.reason.as_deref()), (Status::Failed, Some("cancelled")));
    assert!(matches!(only_step(&cancelled), StepState::Cancelled { .. }), "{cancelled:?}");
    applied(&fleet).await;
    next.unwrap().answer();
    let hits = hits_after_a_kill(&mut fleet).await;
    assert!(hits >= 1, "what was fetched before is there");
}

#[tokio::test]
async fn p6_an_overdue_prefetch_is_broken_off_and_keeps_what_is_there() {
    let (mut fleet, task, held, others) = fetching(Plan::default(), Some(5)).await;
    held.answer();
    let (next, _, _last) = select_all(others).await;
    let task = fleet.ended(task).await;
    assert!(matches!(only_step(&task), StepState::Overdue { .. }), "{task:?}");
    next.unwrap().left().await;
    applied(&fleet).await;
    let hits = hits_after_a_kill(&mut fleet).await;
    assert_eq!(hits, 1, "what was fetched before is there");
}
