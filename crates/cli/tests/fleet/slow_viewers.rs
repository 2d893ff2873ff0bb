//! Viewers who do not do their part: they lose their connection, and nobody else does.

use crate::installation::{Installation, Plan};
use crate::origin::Page;
use crate::raw::Raw;
use std::time::{Duration, Instant};

/// More than the machine keeps ready between two ends of a connection.
const SIZE: usize = 32 << 20;
const SILENCE: Duration = Duration::from_millis(1_500);

async fn start(change: fn(&mut freshen_pop::Config)) -> Installation {
    let pop = move |config: &mut freshen_pop::Config| {
        config.viewer_silence_ms_max = SILENCE.as_millis() as u64;
        change(config);
    };
    let fleet = Installation::start(Plan { pop: Box::new(pop), ..Plan::default() }).await;
    fleet.origin.set("/large", Page::new(vec![b'x'; SIZE]));
    fleet.origin.set("/a", Page::new("a"));
    fleet.origin.set("/b", Page::new("b"));
    fleet
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

#[tokio::test]
async fn who_takes_nothing_loses_his_place() {
    let fleet = start(|config| config.connections_max = 1).await;
    let mut viewer = Raw::connect_narrow(&fleet.pops[0].address()).await;
    viewer.send(get("/large")).await;
    assert_eq!(viewer.head().await.unwrap().0, 200);
    let begun = Instant::now();
    // There is one place: who comes next is answered when it is free.
    let mut next = Raw::connect(&fleet.pops[0].address()).await;
    next.send(get("/a")).await;
    assert_eq!(next.answer().await.unwrap().text(), "a");
    assert!(begun.elapsed() >= SILENCE / 2, "the connection ended for another reason");
    let taken = viewer.rest().await.len();
    assert!(taken < SIZE, "{taken}");
}

#[tokio::test]
async fn who_takes_little_at_a_time_gets_all_of_it() {
    let fleet = start(|_| {}).await;
    let mut viewer = Raw::connect_narrow(&fleet.pops[0].address()).await;
    viewer.send(get("/large")).await;
    viewer.head().await.unwrap();
    let begun = Instant::now();
    let mut gulps = tokio::time::interval(Duration::from_millis(25));
    let mut taken = viewer.forget();
    while taken < SIZE {
        gulps.tick().await;
        let mut gulp = 0;
        while gulp < 200_000 && taken + gulp < SIZE {
            assert!(viewer.more().await, "cut off after {} of {SIZE}", taken + gulp);
            gulp += viewer.forget();
        }
        taken += gulp;
    }
    assert!(begun.elapsed() > 2 * SILENCE, "too fast to prove anything: {:?}", begun.elapsed());
    viewer.send(get("/a")).await;
    assert_eq!(viewer.answer().await.unwrap().text(), "a", "and his connection goes on");
}

#[tokio::test]
async fn who_stops_within_his_body_loses_his_connection() {
    let fleet = start(|_| {}).await;
    let held = fleet.origin.hold("/post");
    let mut viewer = Raw::connect(&fleet.pops[0].address()).await;
    viewer.send("POST /post HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhel").await;
    let _held = held.await.unwrap();
    let begun = Instant::now();
    let answer = viewer.answer().await.unwrap();
    assert!(answer.status == 502 && answer.text().contains("the viewer took too long"), "{answer:?}");
    assert_eq!(viewer.answer().await, None);
    assert!(begun.elapsed() < 10 * SILENCE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_waits_for_a_slow_origin_keeps_his_connection() {
    let fleet = start(|config| config.viewer_head_ms_max = 1_000).await;
    let held = fleet.origin.hold("/a");
    let mut viewer = Raw::connect(&fleet.pops[0].address()).await;
    viewer.send(get("/a")).await;
    let held = held.await.unwrap();
    // Others are sent away for their silence meanwhile, twice over.
    for _ in 0..2 {
        let mut silent = Raw::connect(&fleet.pops[0].address()).await;
        assert_eq!(silent.answer().await, None);
        let mut idle = Raw::connect(&fleet.pops[0].address()).await;
        idle.send(get("/b")).await;
        assert_eq!(idle.answer().await.unwrap().text(), "b");
        assert_eq!(idle.answer().await, None, "an idle connection ends");
    }
    held.answer();
    assert_eq!(viewer.answer().await.unwrap().text(), "a");
}

#[tokio::test]
async fn it_is_told_where_the_machine_allows_too_few_open_files() {
    let fleet = start(|config| config.connections_max = 1 << 40).await;
    assert!(fleet.pops[0].log().contains("fewer open files are allowed"), "{}", fleet.pops[0].log());
}

#[tokio::test]
async fn a_stop_waits_for_answers_and_for_nobody_who_is_idle() {
    let mut fleet = start(|config| config.viewer_head_ms_max = 60_000).await;
    let address = fleet.pops[0].address();
    let (mut silent, mut idle) = (Raw::connect(&address).await, Raw::connect(&address).await);
    idle.send(get("/b")).await;
    assert_eq!(idle.answer().await.unwrap().text(), "b");
    let held = fleet.origin.hold("/a");
    let mut waits = Raw::connect(&address).await;
    waits.send(get("/a")).await;
    let held = held.await.unwrap();
    let mut pop = fleet.pops.remove(0);
    let begun = Instant::now();
    let stopping = tokio::spawn(async move { pop.stop().await });
    assert_eq!(idle.answer().await, None);
    assert_eq!(silent.answer().await, None);
    held.answer();
    assert_eq!(waits.answer().await.unwrap().text(), "a");
    assert_eq!(waits.answer().await, None);
    drop((idle, silent, waits));
    assert!(stopping.await.unwrap(), "it ended in disorder");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
