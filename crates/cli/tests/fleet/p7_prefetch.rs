//! P7 for prefetches: one fetch from the origin for the fleet, handed on while it streams in, and the record says what it
//! cost.

use crate::installation::{Installation, Plan};
use crate::large_origin::{LargeOrigin, bytes};
use crate::origin::Page;
use crate::peers::Twist;
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::peers::Peers;
use freshen_model::task::{PrefetchTerms, Progress, Status, Step, StepState, Task, TaskKind};
use std::sync::Arc;
use std::time::Duration;

const A: &str = "a.example/a";
const MIB: u64 = 1 << 20;

/// Three POPs that answer each other, and that one file.
async fn fleet(origin: &LargeOrigin, twist: Option<Twist>) -> Installation {
    let address = origin.address;
    let settings = move |_| Settings::of_origin(format!("http://{address}").parse().unwrap());
    let plan = Plan { pops: 3, homes: true, twist, settings: Box::new(settings), ..Plan::default() };
    Installation::start(plan).await
}

/// Each POP is asked by one other at most: so three of them stand in a row.
fn in_a_row() -> Option<Twist> {
    Some(Arc::new(|_, peers| Peers { fan_out: 1, ..peers }))
}

fn progress(step: &Step) -> Progress {
    match &step.state {
        StepState::Fetching { progress } | StepState::Warm { progress, .. } => *progress,
        _ => Progress::default(),
    }
}

/// What the record says that it cost the origin: bytes and requests.
fn cost(task: &Task) -> (u64, u64) {
    let cost = task.origin_cost().unwrap();
    (cost.origin_bytes, cost.origin_requests)
}

async fn all_have(fleet: &Installation, size: u64) {
    for pop in 0..3 {
        let got = fleet.viewer(pop).get(A).await;
        assert_eq!((got.x_cache(), got.size() as u64), (Some("HIT"), size), "POP {pop}");
        assert!(*got.body.as_ref().unwrap() == bytes(1, 0..size), "POP {pop}");
    }
}

async fn arrives_everywhere_while_the_origin_sends(twist: Option<Twist>) {
    let size = 40 * MIB;
    let origin = LargeOrigin::start(size).await;
    let fleet = fleet(&origin, twist).await;
    origin.stop_at(20 * MIB);
    let task = fleet.submit(TaskKind::Prefetch, false, &[A]).await;
    let half = |task: &Task| task.pops.iter().all(|step| progress(step).bytes >= 19 * MIB);
    let task = fleet.task_when(task, half).await;
    assert_eq!(task.status, Status::Running);
    assert_eq!((origin.requests(), origin.sent()), (1, 20 * MIB));
    origin.go_on();
    let task = fleet.ended(task.id).await;
    assert_eq!((task.status, task.percent), (Status::Complete, 100), "{task:?}");
    assert_eq!((origin.sent(), origin.requests()), (size, 1));
    assert_eq!(cost(&task), (size, 1), "{task:?}");
    assert_eq!(task.origin_cost().unwrap().origin_share, Some(1.0));
    let askers = task.pops.iter().filter(|step| progress(step).origin_requests == 0).count();
    assert_eq!(askers, 2, "one of them asked for all: {task:?}");
    all_have(&fleet, size).await;
}

#[tokio::test]
async fn p7_a_prefetch_is_handed_on_while_it_streams_in() {
    arrives_everywhere_while_the_origin_sends(None).await;
}

#[tokio::test]
async fn p7_a_prefetch_is_handed_on_by_those_it_was_handed_on_to() {
    arrives_everywhere_while_the_origin_sends(in_a_row()).await;
}

/// The object's home is often outside of the area: who is in it fetches, and the record says so.
#[tokio::test]
async fn p7_a_prefetch_for_one_area_is_fetched_once_by_those_in_it() {
    let fleet = Installation::start(Plan { pops: 3, homes: true, ..Plan::default() }).await;
    let paths: Vec<_> = (0..8).map(|number| format!("/{number}")).collect();
    for path in &paths {
        fleet.origin.set(path, Page::new(vec![b'x'; 2_000_000]));
    }
    let lines = paths.iter().map(|path| format!("http://a.example{path}")).collect();
    let task = fleet.submit_to(Some(Area::Overseas), lines).await;
    let task = fleet.ended(task).await;
    assert_eq!((task.status, task.pops.len()), (Status::Complete, 2), "{task:?}");
    assert_eq!(cost(&task), (16_000_000, 8), "{task:?}");
    assert_eq!(fleet.origin.all().len(), 8);
    assert_eq!(fleet.pops[0].metric("freshen_pop_peer_answers_total").await, 0.0);
}

/// The same for regions, though all POPs are of one area.
#[tokio::test]
async fn p7_a_prefetch_for_some_regions_is_fetched_once_by_those_in_them() {
    let region = |place| if place == 1 { "north" } else { "south" };
    let fleet = Installation::start(Plan { pops: 4, homes: true, region, ..Plan::default() }).await;
    let paths: Vec<_> = (0..8).map(|number| format!("/{number}")).collect();
    for path in &paths {
        fleet.origin.set(path, Page::new(vec![b'x'; 2_000_000]));
    }
    let lines = paths.iter().map(|path| format!("http://a.example{path}")).collect();
    let terms = PrefetchTerms { regions: ["south".to_owned()].into(), ..PrefetchTerms::default() };
    let task = fleet.submit_on(lines, terms).await;
    let task = fleet.ended(task).await;
    assert_eq!((task.status, task.pops.len()), (Status::Complete, 3), "{task:?}");
    assert_eq!(cost(&task), (16_000_000, 8), "{task:?}");
    assert_eq!(fleet.origin.all().len(), 8);
    assert_eq!(fleet.pops[1].metric("freshen_pop_peer_answers_total").await, 0.0);
}

/// At the pace of the domain's prefetches the file would take minutes. The one who fetches it for both keeps to that, too, but
/// for what lies in sockets' buffers, until a viewer comes, be it at the other one.
#[tokio::test]
async fn p7_a_home_fetches_for_anothers_prefetch_at_its_pace_until_a_viewer_joins_there() {
    let size = 96 * MIB;
    let origin = LargeOrigin::start(size).await;
    let address = origin.address;
    let settings = move |_| Settings {
        prefetch_bytes_per_s: Some(512 << 10),
        ..Settings::of_origin(format!("http://{address}").parse().unwrap())
    };
    let plan = Plan { pops: 2, homes: true, settings: Box::new(settings), ..Plan::default() };
    let fleet = Installation::start(plan).await;
    let task = fleet.submit(TaskKind::Prefetch, false, &[A]).await;
    let some = |task: &Task| task.pops.iter().all(|step| progress(step).bytes >= 2 * MIB);
    let task = fleet.task_when(task, some).await;
    assert!(origin.sent() < 60 * MIB, "{} of {size}", origin.sent());
    let asker = task.pops.iter().position(|step| progress(step).origin_requests == 0).unwrap();
    let viewer = fleet.viewer(asker);
    let got = tokio::time::timeout(Duration::from_secs(60), viewer.get(A)).await;
    assert_eq!(got.expect("he waits for the prefetch's pace").size() as u64, size);
    assert_eq!(fleet.ended(task.id).await.status, Status::Complete);
    assert_eq!(origin.requests(), 1);
}

/// The one who fetches for all is killed; the others go on with what they have, together.
async fn goes_on_without_the_home(twist: Option<Twist>) {
    let size = 60 * MIB;
    let origin = LargeOrigin::start(size).await;
    let mut fleet = fleet(&origin, twist).await;
    origin.stop_at(24 * MIB);
    let task = fleet.submit(TaskKind::Prefetch, false, &[A]).await;
    let there = |task: &Task| task.pops.iter().all(|step| progress(step).bytes >= 23 * MIB);
    let task = fleet.task_when(task, there).await;
    let home = task.pops.iter().position(|step| progress(step).origin_requests > 0).unwrap();
    fleet.pops[home].kill();
    origin.go_on();
    let warm = |step: &Step| matches!(step.state, StepState::Warm { .. });
    let two = |task: &Task| task.pops.iter().filter(|step| warm(step)).count() == 2;
    let task = fleet.task_when(task.id, two).await;
    assert!(!warm(&task.pops[home]) && task.status == Status::Running, "{task:?}");
    assert!(origin.sent() < size + 4 * MIB, "one of the two asks for both: {}", origin.sent());
    fleet.pops[home].start();
    let task = fleet.ended(task.id).await;
    assert_eq!((task.status, task.percent), (Status::Complete, 100), "{task:?}");
    let (recorded, requests) = cost(&task);
    assert!(origin.sent() <= 2 * size, "{}", origin.sent());
    assert!((size..=origin.sent()).contains(&recorded) && requests >= 3, "{recorded} {requests}");
    fleet.pops[home].ready().await;
    all_have(&fleet, size).await;
}

#[tokio::test]
async fn p7_a_prefetch_whose_home_is_killed_costs_less_than_two_fetches() {
    goes_on_without_the_home(None).await;
}

#[tokio::test]
async fn p7_a_prefetch_in_a_row_whose_home_is_killed_costs_less_than_two_fetches() {
    goes_on_without_the_home(in_a_row()).await;
}

/// Each is told that it may ask anybody, and that nobody asks it, as POPs may be for a moment while others come and go.
#[tokio::test]
async fn p7_pops_that_ask_each_other_in_a_circle_do_not_wait_for_each_other() {
    let twist: Twist = Arc::new(|_, peers| Peers { asked: false, ..peers });
    let plan = Plan { pops: 3, homes: true, twist: Some(twist), ..Plan::default() };
    let fleet = Installation::start(plan).await;
    let paths: Vec<_> = (0..20).map(|number| format!("/{number}")).collect();
    for path in &paths {
        fleet.origin.set(path, Page::new(vec![b'x'; 300_000]));
    }
    let urls: Vec<_> = paths.iter().map(|path| format!("a.example{path}")).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let began = std::time::Instant::now();
    let task = fleet.prefetch(&urls).await;
    assert_eq!(task.status, Status::Complete, "{task:?}");
    // Three times the patience of one who waits for a sign of life.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let requests = paths.iter().map(|path| fleet.origin.requests(path).len()).sum::<usize>();
    assert!((20..=60).contains(&requests), "{requests}");
    assert_eq!(cost(&task).1, requests as u64);
}

/// What control shows of it is what it shows after a restart, of control and of the POP.
#[tokio::test]
async fn the_cost_of_a_prefetch_outlives_restarts() {
    let size = 12 * MIB;
    let origin = LargeOrigin::start(size).await;
    let mut fleet = fleet(&origin, None).await;
    origin.stop_at(5 * MIB);
    let task = fleet.submit(TaskKind::Prefetch, false, &[A]).await;
    let told = |task: &Task| cost(task).0 >= 5 * MIB;
    let task = fleet.task_when(task, told).await;
    for pop in &mut fleet.pops {
        pop.kill();
    }
    fleet.restart_control().await;
    origin.go_on();
    for pop in &mut fleet.pops {
        pop.start();
    }
    let task = fleet.ended(task.id).await;
    assert_eq!(task.status, Status::Complete, "{task:?}");
    let (recorded, requests) = cost(&task);
    // A second request, for the slices that were not whole.
    assert!(recorded > size && recorded <= origin.sent(), "{recorded} of {}", origin.sent());
    assert_eq!(requests, origin.requests());
    fleet.restart_control().await;
    assert_eq!(cost(&fleet.task(task.id).await), (recorded, requests));
}
