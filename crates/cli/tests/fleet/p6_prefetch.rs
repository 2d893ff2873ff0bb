//! P6: a prefetch is complete only when a viewer of every POP would get a HIT; else the record says which and why.

use crate::installation::{Installation, Plan, only_step};
use crate::origin::{Held, Page};
use freshen_model::ids::TaskId;
use freshen_model::task::{Status, StepState, Task, TaskKind};

fn reasons(task: &Task) -> Vec<(u32, String)> {
    let StepState::Failed { failures, .. } = only_step(task) else { panic!("not failed: {task:?}") };
    failures.iter().map(|failure| (failure.line, failure.reason.clone())).collect()
}

#[tokio::test]
async fn p6_a_complete_prefetch_is_a_hit_for_every_viewer_of_every_pop() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.origin.set("/plain", Page::new("plain"));
    fleet.origin.set("/text", Page::new("text").gzip("TEXT"));
    fleet.origin.set("/large", Page::new(vec![b'x'; 5_000_000]));
    let task = fleet.prefetch(&["a.example/plain", "a.example/text", "a.example/large"]).await;
    assert_eq!((task.status, task.percent), (Status::Complete, 100), "{task:?}");
    for pop in 0..2 {
        let viewer = fleet.viewer(pop);
        assert_eq!(viewer.get("a.example/plain").await.both(), ("HIT", "plain"));
        assert_eq!(viewer.get("a.example/text").await.both(), ("HIT", "text"));
        assert_eq!(viewer.get_gzip("a.example/text").await.both(), ("HIT", "TEXT"));
        let large = viewer.get_gzip("a.example/large").await;
        assert_eq!((large.x_cache(), large.size()), (Some("HIT"), 5_000_000));
        let StepState::Warm { progress, .. } = &task.pops[pop].state else { panic!("{task:?}") };
        assert_eq!((progress.files_warm, progress.bytes), (3, 5_000_000 + 5 + 4 + 4));
    }
}

#[tokio::test]
async fn p6_what_cannot_be_warm_is_told_with_its_reason() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/good", Page::new("good"));
    fleet.origin.set("/private", Page::new("private").with("cache-control", "no-store"));
    fleet.origin.set("/stale", Page::new("stale").with("cache-control", "max-age=0"));
    fleet.origin.set("/missing", Page::new("nothing").status(404));
    let urls = ["a.example/good", "a.example/private", "a.example/stale", "a.example/missing"];
    let task = fleet.prefetch(&urls).await;
    assert_eq!(task.status, Status::Failed);
    assert!(task.percent < 100);
    let mut reasons = reasons(&task);
    reasons.sort();
    assert_eq!(reasons[0], (2, "not cacheable: cache-control: no-store".into()));
    assert_eq!(reasons[1], (3, "not fresh any more once it had arrived".into()));
    assert_eq!(reasons[2], (4, "Origin Return StatusCode 404".into()));
    assert_eq!(reasons.len(), 3);
    assert_eq!(fleet.viewer(0).get("a.example/good").await.both(), ("HIT", "good"));
}

#[tokio::test]
async fn p6_what_is_not_cacheable_is_told_with_the_field_that_says_so() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a", Page::new("page").with("cache-control", "no-store"));
    fleet.origin.set("/b", Page::new("page").with("cache-control", "private, max-age=60"));
    let task = fleet.prefetch(&["a.example/a", "a.example/b"]).await;
    let mut reasons = reasons(&task);
    reasons.sort();
    let because = |line, field: &str| (line, format!("not cacheable: cache-control: {field}"));
    assert_eq!(reasons, [because(1, "no-store"), because(2, "private, max-age=60")]);
}

/// It counts, with its bytes, and costs the origin nothing; what is stale is asked for.
#[tokio::test]
async fn p6_what_is_fresh_already_counts_and_is_not_fetched() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a", Page::new("page"));
    fleet.viewer(0).get("a.example/a").await;
    let task = fleet.prefetch(&["a.example/a"]).await;
    let StepState::Warm { progress, .. } = only_step(&task) else { panic!("{task:?}") };
    assert_eq!((progress.files_warm, progress.bytes, progress.origin_requests), (1, 4, 0));
    assert_eq!(fleet.origin.requests("/a").len(), 1);
    fleet.purge_directory("a.example/", false).await;
    assert_eq!(fleet.prefetch(&["a.example/a"]).await.status, Status::Complete);
    assert_eq!(fleet.origin.requests("/a").len(), 2);
}

/// A prefetch of `/a`, which is warm, and `/b`, which the origin holds.
async fn one_of_two_warm() -> (Installation, TaskId, Held) {
    let fleet = Installation::start(Plan::default()).await;
    for path in ["/a", "/b"] {
        fleet.origin.set(path, Page::new("page"));
    }
    let held = fleet.origin.hold("/b");
    let task = fleet.submit(TaskKind::Prefetch, false, &["a.example/a", "a.example/b"]).await;
    let held = held.await.unwrap();
    let one_warm =
        |task: &Task| matches!(only_step(task), StepState::Fetching { progress } if progress.files_warm == 1);
    fleet.task_when(task, one_warm).await;
    (fleet, task, held)
}

#[tokio::test]
async fn p6_what_is_present_is_not_fetched_again_after_a_restart_of_control() {
    let (mut fleet, task, held) = one_of_two_warm().await;
    fleet.restart_control().await;
    held.answer();
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    for path in ["/a", "/b"] {
        assert_eq!(fleet.origin.requests(path).len(), 1, "{path}");
    }
}

#[tokio::test]
async fn p6_a_body_that_was_cut_off_is_fetched_again() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a", Page::new(vec![b'x'; 300_000]));
    let held = fleet.origin.hold("/a");
    let task = fleet.submit(TaskKind::Prefetch, false, &["a.example/a"]).await;
    held.await.unwrap().cut_off(100_000);
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    let got = fleet.viewer(0).get("a.example/a").await;
    assert_eq!((got.x_cache(), got.size()), (Some("HIT"), 300_000));
}

#[tokio::test]
async fn p6_what_is_present_is_not_fetched_again_after_a_kill() {
    let (mut fleet, task, held) = one_of_two_warm().await;
    fleet.pops[0].kill();
    drop(held);
    fleet.pops[0].start();
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    assert_eq!(fleet.origin.requests("/a").len(), 1);
    assert_eq!(fleet.origin.requests("/b").len(), 2);
}

/// It takes a snapshot at its start, which has to tell it what runs.
#[tokio::test]
async fn p6_a_pop_that_first_starts_after_the_prefetch_does_it_too() {
    let mut fleet = Installation::start(Plan { lease_ms: 1_000, ..Plan::default() }).await;
    fleet.pops[0].kill();
    std::fs::remove_dir_all(fleet.pops[0].folder()).unwrap();
    fleet.origin.set("/a", Page::new("page"));
    let task = fleet.submit(TaskKind::Prefetch, false, &["a.example/a"]).await;
    fleet.pops[0].start();
    // Its folder is another one, so it is let in once the one before would be fenced.
    let task = fleet.ended(task).await;
    assert_eq!(task.status, Status::Complete, "{task:?}");
    fleet.pops[0].ready().await;
    assert_eq!(fleet.viewer(0).get("a.example/a").await.both(), ("HIT", "page"));
}

#[tokio::test]
async fn p6_damaged_bytes_on_disk_do_not_count_as_warm() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/large", Page::new(vec![b'x'; 3_000_000]));
    fleet.viewer(0).get("a.example/large").await;
    let slices = fleet.pops[0].folder().join("slices");
    let file = files_in(&slices).pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let task = fleet.prefetch(&["a.example/large"]).await;
    assert_eq!(task.status, Status::Complete, "{task:?}");
    assert_eq!(fleet.origin.requests("/large").len(), 2, "it was fetched anew");
    let got = fleet.viewer(0).get("a.example/large").await;
    assert_eq!((got.x_cache(), got.size()), (Some("HIT"), 3_000_000));
}

fn files_in(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(folder).unwrap().map(|folder| folder.unwrap().path());
    folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path()).collect()
}
