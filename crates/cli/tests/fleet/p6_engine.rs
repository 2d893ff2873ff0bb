//! The prefetch engine: who waits for whom, how fast, how often it is tried, and what is not fetched twice.

use crate::installation::{Installation, Plan, only_step};
use crate::large_origin::{LargeOrigin, bytes};
use crate::origin::Page;
use freshen_model::domain::Settings;
use freshen_model::task::{Progress, Status, StepState, Task, TaskKind};
use http::Method;

const MIB: usize = 1 << 20;

fn first_reason(task: &Task) -> String {
    let StepState::Failed { failures, .. } = only_step(task) else { panic!("not failed: {task:?}") };
    failures[0].reason.clone()
}

fn fetching(task: &Task) -> Option<Progress> {
    match only_step(task) {
        StepState::Fetching { progress } => Some(*progress),
        _ => None,
    }
}

/// One place, and its origin hangs: what waits behind it is there for viewers at once, and so are purges.
#[tokio::test]
async fn p6_viewers_and_purges_pass_prefetches_that_wait_for_a_slow_origin() {
    let fleet =
        Installation::start(Plan { pop: Box::new(|pop| pop.prefetches_at_once = 1), ..Plan::default() })
            .await;
    for path in ["/slow", "/b", "/c"] {
        fleet.origin.set(path, Page::new("page"));
    }
    fleet.viewer(0).get("a.example/c").await;
    let held = fleet.origin.hold("/slow");
    let slow = fleet.submit(TaskKind::Prefetch, false, &["a.example/slow"]).await;
    let held = held.await.unwrap();
    let behind = fleet.submit(TaskKind::Prefetch, false, &["a.example/b", "a.example/c"]).await;
    assert_eq!(fleet.viewer(0).get("a.example/b").await.both(), ("MISS", "page"));
    assert_eq!(fleet.purge(&["a.example/c"]).await.status, Status::Complete);
    assert_eq!(fleet.viewer(0).get("a.example/c").await.x_cache(), Some("EXPIRED"));
    held.answer();
    for task in [slow, behind] {
        assert_eq!(fleet.ended(task).await.status, Status::Complete);
    }
    assert_eq!(fleet.origin.requests("/b").len(), 1, "the viewer's fetch counts for the prefetch, too");
}

/// At its own pace the file would take ten minutes.
#[tokio::test]
async fn p6_a_prefetch_keeps_to_its_bytes_a_second_until_a_viewer_needs_the_file() {
    let settings = |settings| Settings { prefetch_bytes_per_s: Some(64 << 10), ..settings };
    let fleet = Installation::start(Plan { settings: Box::new(settings), ..Plan::default() }).await;
    fleet.origin.set("/film", Page::new(vec![b'x'; 40 * MIB]));
    let task = fleet.submit(TaskKind::Prefetch, false, &["a.example/film"]).await;
    let begun = fleet.task_when(task, |task| fetching(task).is_some_and(|progress| progress.bytes > 0)).await;
    assert!(fetching(&begun).unwrap().bytes < 30 * MIB as u64, "{begun:?}");
    assert_eq!(fleet.viewer(0).get("a.example/film").await.size(), 40 * MIB);
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    assert_eq!(fleet.origin.requests("/film").len(), 1);
}

#[tokio::test]
async fn p6_an_origin_that_asks_to_come_again_later_is_asked_again() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a", Page::new("busy").without("cache-control").status(503).with("retry-after", "1"));
    let held = fleet.origin.hold("/a");
    let task = fleet.submit(TaskKind::Prefetch, false, &["a.example/a"]).await;
    let held = held.await.unwrap();
    fleet.origin.set("/a", Page::new("page"));
    held.answer();
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    let statuses: Vec<u16> = fleet.origin.requests("/a").iter().map(|asked| asked.status.as_u16()).collect();
    assert_eq!(statuses, [503, 200]);
}

/// A POP that tries twice, and waits for a head for so long.
async fn hasty() -> Installation {
    let settings = |settings| Settings { origin_head_ms_max: Some(300), retries: 0, ..settings };
    let pop = |pop: &mut freshen_pop::Config| pop.prefetch_tries_max = 2;
    let plan = Plan { settings: Box::new(settings), pop: Box::new(pop), ..Plan::default() };
    Installation::start(plan).await
}

#[tokio::test]
async fn p6_an_origin_that_goes_on_answering_5xx_is_told_after_the_last_try() {
    let fleet = hasty().await;
    for (path, status) in [("/500", 500), ("/502", 502)] {
        fleet.origin.set(path, Page::new("broken").without("cache-control").status(status));
        let task = fleet.prefetch(&[&format!("a.example{path}")]).await;
        assert_eq!(first_reason(&task), format!("Origin Return StatusCode {status}"));
        assert_eq!(fleet.origin.requests(path).len(), 2);
    }
}

#[tokio::test]
async fn p6_an_origin_that_is_silent_is_told_as_a_timeout_after_the_last_try() {
    let fleet = hasty().await;
    fleet.origin.set("/silent", Page::new("page"));
    let _silent = (fleet.origin.hold("/silent"), fleet.origin.hold("/silent"));
    assert_eq!(first_reason(&fleet.prefetch(&["a.example/silent"]).await), "Origin Timeout");
    assert_eq!(fleet.origin.requests("/silent").len(), 2);
}

#[tokio::test]
async fn p6_an_answer_of_4xx_is_told_and_not_asked_for_again() {
    let fleet = Installation::start(Plan::default()).await;
    for (path, status) in [("/403", 403), ("/404", 404), ("/410", 410)] {
        fleet.origin.set(path, Page::new("no").status(status));
        let task = fleet.prefetch(&[&format!("a.example{path}")]).await;
        assert_eq!(first_reason(&task), format!("Origin Return StatusCode {status}"));
        assert_eq!(fleet.origin.requests(path).len(), 1);
    }
}

/// What the origin has sent of it is not sent again, but for the slice that was not whole.
#[tokio::test]
async fn p6_a_large_body_that_was_cut_off_is_resumed_from_its_slices() {
    const SIZE: u64 = 24 << 20;
    let origin = LargeOrigin::start(SIZE).await;
    let address = origin.address;
    let settings = move |_| Settings::of_origin(format!("http://{address}").parse().unwrap());
    let fleet = Installation::start(Plan { settings: Box::new(settings), ..Plan::default() }).await;
    origin.cut_at(20 << 20);
    let task = fleet.prefetch(&["a.example/film"]).await;
    assert_eq!(task.status, Status::Complete, "{task:?}");
    assert_eq!(origin.requests(), 2);
    // What was in the sockets' buffers at the cut may be lost.
    assert!(origin.sent() <= SIZE + (8 << 20), "{} bytes were sent", origin.sent());
    let got = fleet.viewer(0).get("a.example/film").await;
    assert!(got.x_cache() == Some("HIT") && *got.body.as_ref().unwrap() == bytes(1, 0..SIZE));
}

/// The origin is asked for what is missing only, after a kill of the POP.
#[tokio::test]
async fn p6_a_file_is_resumed_from_the_slices_that_are_there_after_a_kill() {
    const SIZE: u64 = 24 << 20;
    let origin = LargeOrigin::start(SIZE).await;
    let address = origin.address;
    let settings = move |_| Settings {
        prefetch_bytes_per_s: Some(4 << 20),
        ..Settings::of_origin(format!("http://{address}").parse().unwrap())
    };
    let mut fleet = Installation::start(Plan { settings: Box::new(settings), ..Plan::default() }).await;
    let task = fleet.submit(TaskKind::Prefetch, false, &["a.example/film"]).await;
    fleet.task_when(task, |task| fetching(task).is_some_and(|progress| progress.bytes > 6 << 20)).await;
    fleet.pops[0].kill();
    fleet.pops[0].start();
    let task = fleet.ended(task).await;
    assert_eq!(task.status, Status::Complete, "{task:?}");
    assert!(origin.requests() >= 2, "it was killed on the way");
    let part = fleet.viewer(0).send(Method::GET, "a.example/film", &[("range", "bytes=0-99")], "").await;
    assert_eq!(part.x_cache(), Some("HIT"));
    assert!(part.body.unwrap() == bytes(1, 0..100));
    // What was under way to a POP that died is lost: sockets' buffers, and the slice that was not whole.
    let fetched = fleet.pops[0].metric("freshen_pop_origin_bytes_total").await as u64;
    assert!(fetched <= SIZE - (4 << 20), "{fetched} bytes were fetched again");
}

#[tokio::test]
async fn p6_what_is_evicted_again_before_the_end_is_a_failure() {
    let plan = Plan { disk_bytes_max: Some(192 << 20), ..Plan::default() };
    let fleet = Installation::start(plan).await;
    let urls: Vec<String> = (0..60).map(|page| format!("a.example/p/{page}")).collect();
    for url in &urls {
        fleet.origin.set(url.trim_start_matches("a.example"), Page::new(vec![b'x'; 4_000_000]));
    }
    let task = fleet.prefetch(&urls.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(task.status, Status::Failed);
    let StepState::Failed { failures, progress, .. } = only_step(&task) else { panic!("{task:?}") };
    assert!(
        failures.iter().all(|failure| failure.reason == "evicted again before completion"),
        "{failures:?}"
    );
    assert_eq!(progress.files_warm + progress.files_failed, 60);
    // What is called warm is.
    let failed: Vec<u32> = failures.iter().map(|failure| failure.line).collect();
    for (url, line) in urls.iter().zip(1..).filter(|(_, line)| !failed.contains(line)) {
        assert_eq!(fleet.viewer(0).get(url).await.x_cache(), Some("HIT"), "line {line}");
    }
}
