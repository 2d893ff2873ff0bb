//! P2: 100 % only when every POP in scope has confirmed or is fenced, counted from the append.

use crate::installation::{Installation, Plan, only_step};
use crate::origin::Page;
use freshen_model::task::{Status, StepState, TaskKind};
use std::time::{Duration, Instant};

const A: &str = "a.example/a";
/// Lease and drift of these tests' installations.
const FENCE: Duration = Duration::from_millis(2_200);

fn plan() -> Plan {
    Plan { lease_ms: 2_000, ..Plan::default() }
}

#[tokio::test]
async fn p2_a_paused_pop_keeps_a_purge_from_completing_until_it_is_fenced() {
    let fleet = Installation::start(Plan { pops: 2, ..plan() }).await;
    fleet.origin.set("/a", Page::new("old"));
    for pop in 0..2 {
        fleet.viewer(pop).get(A).await;
    }
    fleet.origin.set("/a", Page::new("new"));
    fleet.pops[1].pause();
    let began = Instant::now();
    let task = fleet.submit(TaskKind::Url, false, &[A]).await;
    let half = fleet.task_when(task, |task| task.pops[0].state.ended()).await;
    assert_eq!((half.status, half.percent), (Status::Running, 50));
    let task = fleet.ended(task).await;
    assert!(began.elapsed() >= FENCE, "complete after {:?}", began.elapsed());
    assert_eq!((task.status, task.percent), (Status::Complete, 100));
    assert!(matches!(task.pops[0].state, StepState::Confirmed { .. }));
    assert!(matches!(task.pops[1].state, StepState::Fenced { last_contact_ms: Some(_), .. }), "{task:?}");
    fleet.pops[1].resume();
    assert_eq!(
        fleet.viewer(1).get(A).await.text(),
        "new",
        "the first answer after the pause is not the old one"
    );
}

/// The POP was last heard long ago; that gives it no earlier fence, since it may have renewed its lease unseen.
#[tokio::test]
async fn p2_a_pop_that_is_long_silent_is_fenced_by_the_append_not_by_its_silence() {
    let mut fleet = Installation::start(plan()).await;
    fleet.pops[0].kill();
    let first = fleet.submit(TaskKind::Url, false, &[A]).await;
    fleet.ended(first).await;
    let began = Instant::now();
    let second = fleet.submit(TaskKind::Url, false, &[A]).await;
    let task = fleet.ended(second).await;
    assert!(began.elapsed() >= FENCE, "complete after {:?}", began.elapsed());
    assert!(matches!(only_step(&task), StepState::Fenced { .. }));
}

#[tokio::test]
async fn p2_a_fenced_pop_confirms_when_it_returns() {
    let mut fleet = Installation::start(plan()).await;
    fleet.pops[0].kill();
    let task = fleet.submit(TaskKind::Url, false, &[A]).await;
    fleet.ended(task).await;
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    // What comes after it in the log is confirmed after it.
    fleet.purge(&[A]).await;
    let returned = fleet.task(task).await;
    assert!(
        matches!(only_step(&returned), StepState::Confirmed { fenced_at_ms: Some(_), .. }),
        "{returned:?}"
    );
}

#[tokio::test]
async fn p2_a_purge_is_confirmed_by_a_pop_only_after_it_is_on_its_disk() {
    let mut fleet = Installation::start(plan()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old"));
    viewer.get(A).await;
    fleet.origin.set("/a", Page::new("new"));
    let task = fleet.purge(&[A]).await;
    fleet.pops[0].kill();
    assert!(matches!(only_step(&task), StepState::Confirmed { .. }));
    fleet.cut_off_control().await;
    fleet.pops[0].start();
    fleet.restore_control().await;
    fleet.pops[0].ready().await;
    assert_eq!(fleet.viewer(0).get(A).await.text(), "new");
}
