//! Cuts: a purge that breaks off answers under way, and nobody else's.

use crate::installation::{ACCOUNT, Installation, Plan};
use crate::origin::Page;
use crate::raw::Raw;
use freshen_control::{SubmitRequest, Terms};
use freshen_model::location::Scheme;
use freshen_model::task::{Status, Task, TaskKind};
use http_body_util::BodyExt;
use std::time::{Duration, Instant};

/// More than the machine keeps ready between two ends of a connection.
const SIZE: usize = 30 << 20;
/// Far less than a viewer may be silent.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn start() -> Installation {
    let fleet = Installation::start(Plan::default()).await;
    for path in ["/bad/film", "/good/film"] {
        fleet.origin.set(path, Page::new(vec![b'x'; SIZE]));
    }
    fleet
}

/// Purges a directory, by force, and waits until that is complete.
async fn purge(fleet: &Installation, directory: &str, cut: bool) -> Task {
    let request = SubmitRequest {
        kind: TaskKind::Directory,
        force: true,
        soft: false,
        area: None,
        domains: Vec::new(),
        lines: vec![format!("http://a.example{directory}")],
        scheme: Scheme::Required,
        follow: None,
    };
    let terms = Terms { cut, ..Terms::default() };
    let accepted = fleet.control.submit_on(ACCOUNT, request, terms).await.unwrap();
    let task = fleet.ended(accepted.submitted.task).await;
    assert_eq!((task.status, task.cut), (Status::Complete, cut));
    task
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

/// A viewer who has the head of an answer and takes nothing of its body.
async fn slow(fleet: &Installation, request: String) -> Raw {
    let mut viewer = Raw::connect_narrow(&fleet.pops[0].address()).await;
    viewer.send(request).await;
    assert!(matches!(viewer.head().await.unwrap().0, 200 | 206));
    viewer
}

#[tokio::test]
async fn a_slow_answer_is_cut_at_once_and_no_other() {
    let fleet = start().await;
    // Whole in the cache, so that nothing but their viewers holds them up.
    for path in ["/bad/film", "/good/film"] {
        assert_eq!(fleet.viewer(0).get(&format!("a.example{path}")).await.size(), SIZE);
    }
    let mut cut = slow(&fleet, get("/bad/film")).await;
    let range = "GET /bad/film HTTP/1.1\r\nHost: a.example\r\nRange: bytes=9-29999999\r\n\r\n";
    let mut part = slow(&fleet, range.into()).await;
    let mut other = slow(&fleet, get("/good/film")).await;
    let mut idle = Raw::connect(&fleet.pops[0].address()).await;
    idle.send(get("/bad/none")).await;
    assert_eq!(idle.answer().await.unwrap().status, 404);
    purge(&fleet, "/bad/", true).await;
    let begun = Instant::now();
    for viewer in [&mut cut, &mut part] {
        let taken = viewer.rest().await.len();
        assert!(taken < SIZE / 2, "{taken}");
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let mut taken = other.forget();
    while taken < SIZE {
        assert!(other.more().await, "cut off after {taken}");
        taken += other.forget();
    }
    // Its answer had ended.
    idle.send(get("/bad/none")).await;
    assert_eq!(idle.answer().await.unwrap().status, 404);
    fleet.pops[0].metric_when("freshen_pop_connections_cut_total", |count| count == 2.0).await;
    assert_eq!(fleet.viewer(0).get("a.example/bad/film").await.x_cache(), Some("EXPIRED"));
}

#[tokio::test]
async fn without_a_cut_an_answer_runs_to_its_end() {
    let fleet = start().await;
    let mut viewer = slow(&fleet, get("/bad/film")).await;
    purge(&fleet, "/bad/", false).await;
    let mut taken = viewer.forget();
    while taken < SIZE {
        assert!(viewer.more().await, "cut off after {taken}");
        taken += viewer.forget();
    }
}

#[tokio::test]
async fn who_joined_a_fill_is_cut_and_so_is_who_waits_for_its_head() {
    let fleet = start().await;
    let (viewer, url) = (fleet.viewer(0), "a.example/bad/film");
    let (first, held) = fleet.get_held("/bad/film").await;
    let rest = held.answer_part(1 << 20);
    let second = viewer.begin(url, &[]).await;
    let waiting = fleet.origin.hold("/bad/other");
    let mut waits = Raw::connect(&fleet.pops[0].address()).await;
    waits.send(get("/bad/other")).await;
    let waiting = waiting.await.unwrap();
    let passed = fleet.origin.hold("/bad/post");
    let mut posts = Raw::connect(&fleet.pops[0].address()).await;
    posts.send("POST /bad/post HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n").await;
    let passed = passed.await.unwrap();
    purge(&fleet, "/bad/", true).await;
    let begun = Instant::now();
    assert!(first.await.unwrap().body.is_none());
    assert!(second.collect().await.is_err());
    assert_eq!(waits.answer().await, None);
    assert_eq!(posts.answer().await, None);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let _ = rest.send(());
    waiting.answer();
    passed.answer();
    // What was on its way is not used for anybody who comes later.
    assert_eq!(viewer.get(url).await.size(), SIZE);
    assert_eq!(fleet.origin.requests("/bad/film").len(), 2);
}
