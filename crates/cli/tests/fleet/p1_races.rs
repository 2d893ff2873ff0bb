//! P1 where a purge and a write meet: each interleaving is forced, not hoped for.

use crate::faults::{MIB, SIZE, fleet as fleet_of, part, version, whole};
use crate::installation::{DOMAIN, Installation, Plan};
use crate::origin::Page;
use crate::part_origin::{File, PartOrigin};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Semaphore;

const A: &str = "a.example/a";

/// An origin of what the file is at the moment, which stops after so many bytes of one answer until there is a place.
async fn holding(file: &File, answer: usize, bytes: usize) -> (PartOrigin, Arc<Mutex<File>>, Arc<Semaphore>) {
    let (current, rest) = (Arc::new(Mutex::new(file.clone())), Arc::new(Semaphore::new(0)));
    let (file, place) = (current.clone(), rest.clone());
    let origin = PartOrigin::start(move |ask| {
        let reply = file.lock().honest(ask);
        if ask.before == answer { reply.held(bytes, &place) } else { reply }
    });
    (origin.await, current, rest)
}

/// One variant is there, the other one is still on its way when the purge comes.
#[tokio::test]
async fn p1_a_variant_that_is_written_during_the_purge_is_purged() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old").gzip("old, smaller"));
    assert_eq!(viewer.get(A).await.both(), ("MISS", "old"));
    let (early, held) = fleet.get_held_gzip("/a").await;
    fleet.origin.set("/a", Page::new("new").gzip("new, smaller"));
    fleet.purge(&[A]).await;
    held.answer();
    assert_eq!(early.await.unwrap().text(), "old, smaller", "he asked before the purge");
    assert_eq!(viewer.get_gzip(A).await.text(), "new, smaller");
    assert_eq!(viewer.get(A).await.text(), "new");
    assert_eq!(viewer.get_gzip(A).await.both(), ("HIT", "new, smaller"));
    assert_eq!(viewer.get(A).await.both(), ("HIT", "new"));
}

/// The body is half in the store: its first slices are written, the others come after the purge.
#[tokio::test]
async fn p1_slices_that_are_written_during_the_purge_are_purged() {
    let (old, new) = (version('a'), version('b'));
    let (origin, current, rest) = holding(&old, 0, 2 * MIB + 7).await;
    let fleet = fleet_of(&origin, |_| {}).await;
    let viewer = fleet.viewer(0);
    let mut early = viewer.begin("a.example/a", &[]).await;
    let mut body = Vec::new();
    while body.len() < 2 * MIB {
        body.extend_from_slice(early.frame().await.unwrap().unwrap().data_ref().unwrap());
    }
    *current.lock() = new.clone();
    fleet.purge(&[A]).await;
    rest.add_permits(1);
    body.extend_from_slice(&early.collect().await.unwrap().to_bytes());
    assert_eq!(body, old.bytes, "he asked before the purge");
    // One of the slices that were there, one of those that came.
    for first in [7, 3 * MIB] {
        let got = part(&viewer, "/a", &format!("bytes={first}-{}", first + 999)).await;
        assert_eq!(got.body.unwrap(), &new.bytes[first..first + 1_000]);
    }
    assert_eq!(whole(&viewer, "/a").await.body.unwrap(), new.bytes);
}

/// A slice is added to a body that has been there for long; the purge comes while it is on its way.
#[tokio::test]
async fn p1_a_slice_that_is_added_during_the_purge_does_not_bring_its_body_back() {
    let (old, new) = (version('a'), version('b'));
    let (origin, current, rest) = holding(&old, 1, 1_000).await;
    let fleet = fleet_of(&origin, |_| {}).await;
    let viewer = fleet.viewer(0);
    assert_eq!(part(&viewer, "/a", "bytes=0-9").await.body.unwrap(), &old.bytes[..10]);
    let range = format!("bytes={}-{}", 3 * MIB, 3 * MIB + 99_999);
    let mut early = viewer.begin("a.example/a", &[("range", &range)]).await;
    let first = early.frame().await.unwrap().unwrap().into_data().unwrap();
    *current.lock() = new.clone();
    fleet.purge(&[A]).await;
    rest.add_permits(1);
    let late = early.collect().await.unwrap().to_bytes();
    assert_eq!([first, late].concat(), &old.bytes[3 * MIB..3 * MIB + 100_000], "he asked before the purge");
    for range in ["bytes=0-9".to_owned(), range] {
        let got = part(&viewer, "/a", &range).await;
        assert_eq!(got.header("etag"), Some(&*new.tag), "{range}");
    }
    assert_eq!(whole(&viewer, "/a").await.body.unwrap(), new.bytes);
    assert_eq!(new.bytes.len(), SIZE);
}

/// What it missed is gone from the log: the POP cannot know what was purged, so everything it holds is void.
#[tokio::test]
async fn p1_a_log_that_was_truncated_behind_a_pop_voids_what_it_holds() {
    let mut fleet = Installation::start(Plan { lease_ms: 3_000, ..Plan::default() }).await;
    let viewer = fleet.viewer(0);
    for name in ["a", "b"] {
        fleet.origin.set(&format!("/{name}"), Page::new("old"));
        assert_eq!(viewer.get(&format!("{DOMAIN}/{name}")).await.both(), ("MISS", "old"));
    }
    fleet.pops[0].kill();
    fleet.origin.set("/a", Page::new("new"));
    fleet.purge(&[A]).await;
    fleet.purge(&["a.example/else"]).await;
    fleet.prune().await;
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    fleet.pops[0].metric_when("freshen_pop_starts_over_total", |times| times > 0.0).await;
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "new"));
    // Nobody purged it, but who could tell?
    assert_eq!(viewer.get("a.example/b").await.both(), ("MISS", "old"));
    assert_eq!(viewer.get(A).await.both(), ("HIT", "new"));
}
