//! P5: «purge then prefetch» is safe without waiting.

use crate::installation::{Installation, Plan};
use crate::origin::Page;
use freshen_model::task::{Status, TaskKind};

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
