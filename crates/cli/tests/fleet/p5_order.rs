//! P5: «purge then prefetch» is safe without waiting.

use crate::installation::{Installation, Plan};
use crate::origin::Page;
use freshen_control::{SubmitRequest, Terms, Then};
use freshen_ledger::Submitted;
use freshen_model::location::Scheme;
use freshen_model::refill::Bound;
use freshen_model::task::{Status, StepState, Task, TaskKind};

const A: &str = "a.example/a";

#[tokio::test]
async fn p5_a_prefetch_behind_a_purge_fills_with_the_new() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    viewer.get(A).await;
    fleet.origin.set("/a", Page::new("new"));
    let purge = fleet.submit(TaskKind::Url, false, &[A]).await;
    let prefetch = fleet.submit(TaskKind::Prefetch, false, &[A]).await;
    assert_eq!(fleet.ended(prefetch).await.status, Status::Complete);
    assert_eq!(fleet.ended(purge).await.status, Status::Complete);
    assert_eq!(viewer.get(A).await.both(), ("HIT", "new"));
}

/// The older fill asks for what a prefetch asks for first, gzip.
#[tokio::test]
async fn p5_a_prefetch_behind_a_purge_does_not_take_an_older_fill() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    let (early, held) = fleet.get_held_gzip("/a").await;
    fleet.origin.set("/a", Page::new("new"));
    fleet.submit(TaskKind::Url, false, &[A]).await;
    let task = fleet.prefetch(&[A]).await;
    assert_eq!(task.status, Status::Complete);
    held.answer();
    early.await.unwrap();
    assert_eq!(viewer.get(A).await.both(), ("HIT", "new"));
}

/// A purge of these lines, and what follows it.
async fn submit_both(
    fleet: &Installation,
    kind: TaskKind,
    force: bool,
    urls: &[&str],
    then: Then,
) -> Submitted {
    let lines = urls.iter().map(|url| format!("http://{url}")).collect();
    let (soft, area, scheme, follow) = (false, None, Scheme::Required, None);
    let request = SubmitRequest { kind, force, soft, area, lines, domains: Vec::new(), scheme, follow };
    let terms = Terms { then: Some(then), ..Terms::default() };
    fleet.control.submit_on(crate::installation::ACCOUNT, request, terms).await.unwrap().submitted
}

#[tokio::test]
async fn p5_a_purge_and_the_prefetch_behind_it_are_one_submission() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.origin.set("/a", Page::new("old"));
    for pop in 0..2 {
        fleet.viewer(pop).get(A).await;
    }
    fleet.origin.set("/a", Page::new("new"));
    let both = submit_both(&fleet, TaskKind::Url, false, &[A], Then::Prefetch).await;
    let then = both.then.expect("a prefetch follows");
    assert_eq!(then.seq, both.seq.next(), "nothing came in between");
    let prefetch = fleet.ended(then.task).await;
    assert_eq!((prefetch.status, prefetch.after), (Status::Complete, Some(both.task)));
    let purge = fleet.ended(both.task).await;
    assert_eq!((purge.status, purge.then), (Status::Complete, Some(then.task)));
    for pop in 0..2 {
        assert_eq!(fleet.viewer(pop).get(A).await.both(), ("HIT", "new"));
    }
}

fn files(task: &Task) -> Vec<u64> {
    let progress = |step: &freshen_model::task::Step| match &step.state {
        StepState::Warm { progress, .. } => progress.files,
        state => panic!("not warm: {state:?}"),
    };
    task.pops.iter().map(progress).collect()
}

/// Whether the purge expires or evicts, and however soon the sweep comes.
#[tokio::test]
async fn p5_what_was_hottest_of_what_was_purged_is_fetched_again() {
    for (force, bound, refilled) in [
        (false, Bound { objects: Some(1), bytes: None }, 1),
        (true, Bound { objects: Some(2), bytes: None }, 2),
        // The hottest is too large.
        (true, Bound { objects: None, bytes: Some(3) }, 1),
    ] {
        let fleet = Installation::start(Plan { pops: 2, sweep_interval_ms: 20, ..Plan::default() }).await;
        let viewer = fleet.viewer(0);
        for (path, uses) in [("/d/hot", 300), ("/d/used", 3), ("/d/once", 1), ("/e/hot", 300)] {
            fleet.origin.set(path, Page::new(if path == "/d/hot" { "old hot" } else { "old" }));
            for _ in 0..uses {
                viewer.get(&format!("a.example{path}")).await;
            }
            fleet.origin.set(path, Page::new(if path == "/d/hot" { "new hot" } else { "new" }));
        }
        let both =
            submit_both(&fleet, TaskKind::Directory, force, &["a.example/d/"], Then::Refill(bound)).await;
        let task = fleet.ended(both.then.unwrap().task).await;
        assert_eq!((task.status, task.refill, task.lines), (Status::Complete, Some(bound), 1), "{task:?}");
        assert_eq!(files(&task), [refilled, 0], "at the other POP nothing was hot");
        let x_cache = async |path: &str| {
            let got = viewer.get(&format!("a.example{path}")).await;
            got.both().1.starts_with("new").then(|| got.x_cache() == Some("HIT"))
        };
        let small_only = bound.bytes.is_some();
        assert_eq!(x_cache("/d/hot").await, Some(!small_only));
        assert_eq!(x_cache("/d/used").await, Some(refilled == 2 || small_only));
        assert_eq!(x_cache("/d/once").await, Some(false), "it was asked for once only");
        assert_eq!(viewer.get("a.example/e/hot").await.both(), ("HIT", "old"), "not purged");
    }
}

/// What was chosen is chosen for good: it is known in memory only what was hot.
#[tokio::test]
async fn p4_what_is_refilled_outlives_a_kill() {
    let mut fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/d/hot", Page::new("old"));
    for _ in 0..3 {
        fleet.viewer(0).get("a.example/d/hot").await;
    }
    fleet.origin.set("/d/hot", Page::new("new"));
    let held = fleet.origin.hold("/d/hot");
    let bound = Bound { objects: Some(10), bytes: None };
    let both = submit_both(&fleet, TaskKind::Directory, true, &["a.example/d/"], Then::Refill(bound)).await;
    let held = held.await.unwrap();
    fleet.pops[0].kill();
    drop(held);
    fleet.pops[0].start();
    let task = fleet.ended(both.then.unwrap().task).await;
    assert_eq!((task.status, files(&task)), (Status::Complete, vec![1]), "{task:?}");
    fleet.pops[0].ready().await;
    assert_eq!(fleet.viewer(0).get("a.example/d/hot").await.both(), ("HIT", "new"));
}
