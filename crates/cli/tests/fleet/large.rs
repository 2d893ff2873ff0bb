//! Large files: parts of them, many slow readers, versions that never mix.

use crate::installation::{Installation, Plan};
use crate::large_origin::{LargeOrigin, bytes};
use crate::viewer::{Got, Viewer};
use freshen_model::domain::Settings;
use http::Method;
use http_body_util::BodyExt;
use std::ops::Range;

const A: &str = "a.example/film";
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

async fn fleet(origin: &LargeOrigin) -> Installation {
    let address = origin.address;
    let settings = move |_| Settings::of_origin(format!("http://{address}").parse().unwrap());
    Installation::start(Plan {
        settings: Box::new(settings),
        pop: Box::new(|pop| pop.object_bytes_max = 5 * GIB),
        ..Plan::default()
    })
    .await
}

async fn part(viewer: &Viewer, range: Range<u64>) -> Got {
    let asked = format!("bytes={}-{}", range.start, range.end - 1);
    let got = viewer.send(Method::GET, A, &[("range", &asked)], "").await;
    assert_eq!(got.status, 206);
    got
}

#[tokio::test]
async fn a_range_of_a_cold_file_fetches_its_slices_and_no_more() {
    let origin = LargeOrigin::start(4 * GIB).await;
    let fleet = fleet(&origin).await;
    let viewer = fleet.viewer(0);
    let wanted = 3 * GIB + 777..3 * GIB + 777 + 300_000;
    let got = part(&viewer, wanted.clone()).await;
    assert_eq!(got.x_cache(), Some("MISS"));
    assert_eq!(got.header("content-range"), Some("bytes 3221226249-3221526248/4294967296"));
    assert!(got.body.unwrap() == bytes(1, wanted.clone()));
    assert_eq!((origin.sent(), origin.requests()), (MIB, 1));
    // What is there is a hit for anybody, and for another part of the same slice, too.
    assert_eq!(part(&viewer, wanted.start - 700..wanted.end).await.x_cache(), Some("HIT"));
    assert_eq!(origin.requests(), 1);
    // The end, which is known by its distance from itself; the length is known already.
    let tail = viewer.send(Method::GET, A, &[("range", "bytes=-1000")], "").await;
    assert!(tail.body.unwrap() == bytes(1, 4 * GIB - 1_000..4 * GIB));
    assert_eq!((origin.sent(), origin.requests()), (2 * MIB, 2));
    // Several parts, of which one is missing.
    let several = viewer.send(Method::GET, A, &[("range", "bytes=5-9,3221226249-3221226258")], "").await;
    assert_eq!((several.status.as_u16(), several.x_cache()), (206, Some("MISS")));
    let body = several.body.unwrap();
    for wanted in [5..10, 3 * GIB + 777..3 * GIB + 787] {
        let wanted = bytes(1, wanted);
        assert!(body.windows(wanted.len()).any(|window| window == wanted));
    }
    let unsatisfiable = viewer.send(Method::GET, A, &[("range", "bytes=4294967296-")], "").await;
    assert_eq!(unsatisfiable.status, 416);
}

#[tokio::test]
async fn the_tail_of_a_cold_file_is_found_without_fetching_the_rest() {
    let origin = LargeOrigin::start(4 * GIB).await;
    let fleet = fleet(&origin).await;
    let got = fleet.viewer(0).send(Method::GET, A, &[("range", "bytes=-5000")], "").await;
    assert!(got.body.unwrap() == bytes(1, 4 * GIB - 5_000..4 * GIB));
    assert_eq!((origin.sent(), origin.requests()), (2 * MIB, 2));
}

#[tokio::test]
async fn a_whole_read_streams_at_once_and_shares_its_slices_with_who_seeks() {
    let origin = LargeOrigin::start(4 * GIB).await;
    let fleet = fleet(&origin).await;
    let mut film = fleet.viewer(0).begin(A, &[]).await;
    let mut read = Vec::new();
    while read.len() < 3 * MIB as usize {
        read.extend_from_slice(&film.frame().await.unwrap().unwrap().into_data().unwrap());
    }
    assert!(read == bytes(1, 0..read.len() as u64));
    // Far from whole; and who seeks to what is there already is answered from there.
    assert!(origin.sent() < 512 * MIB, "{}", origin.sent());
    let got = part(&fleet.viewer(0), MIB..MIB + 100).await;
    assert_eq!(got.x_cache(), Some("HIT"));
    assert!(got.body.unwrap() == bytes(1, MIB..MIB + 100));
    assert_eq!(origin.requests(), 1);
    drop(film);
}

#[tokio::test]
async fn one_purge_covers_all_slices_and_versions_never_mix() {
    let origin = LargeOrigin::start(GIB).await;
    let fleet = fleet(&origin).await;
    let viewer = fleet.viewer(0);
    for at in [0, 100 * MIB, 1_000 * MIB] {
        part(&viewer, at..at + 10).await;
    }
    // Begun with the first version, and read on when the origin has only the second one.
    let mut begun = viewer.begin(A, &[]).await;
    origin.change();
    let mut read = 0;
    let broke_off = loop {
        match begun.frame().await {
            Some(Ok(frame)) => {
                let piece = frame.into_data().unwrap();
                assert!(piece == bytes(1, read..read + piece.len() as u64), "mixed at {read}");
                read += piece.len() as u64;
            }
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broke_off && read < GIB, "{read}");
    // That it changed was noticed, so all of the old one is gone.
    let got = part(&viewer, 100 * MIB..100 * MIB + 10).await;
    assert!(got.body.unwrap() == bytes(2, 100 * MIB..100 * MIB + 10));
    // What nobody could notice, a purge says.
    origin.change();
    assert_eq!(part(&viewer, 100 * MIB..100 * MIB + 10).await.x_cache(), Some("HIT"));
    fleet.purge(&[A]).await;
    for at in [0, 100 * MIB, 1_000 * MIB] {
        assert!(part(&viewer, at..at + 10).await.body.unwrap() == bytes(3, at..at + 10));
    }
}

#[tokio::test]
async fn an_origin_without_ranges_is_read_through_once() {
    let origin = LargeOrigin::start(40 * MIB + 5).await;
    origin.without_ranges();
    let fleet = fleet(&origin).await;
    let viewer = fleet.viewer(0);
    let wanted = 30 * MIB..30 * MIB + 100;
    assert!(part(&viewer, wanted.clone()).await.body.unwrap() == bytes(1, wanted.clone()));
    let whole = viewer.get(A).await;
    assert!(whole.body.unwrap() == bytes(1, 0..40 * MIB + 5));
    assert_eq!((origin.requests(), origin.sent()), (1, 40 * MIB + 5));
    assert_eq!(part(&viewer, wanted).await.x_cache(), Some("HIT"));
}

/// A hundred and fifty read the film from its beginning, fifty from somewhere; all take a little now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_slow_readers_of_four_gib_take_less_than_512_mib() {
    let origin = LargeOrigin::start(4 * GIB).await;
    let fleet = fleet(&origin).await;
    let mut readers = Vec::new();
    for reader in 0..200_u64 {
        let viewer = fleet.viewer(0);
        let from = reader.saturating_sub(149) * 80 * MIB;
        let asked = format!("bytes={from}-");
        readers.push((from, viewer.begin(A, &[("range", &asked)]).await));
    }
    for _ in 0..16 {
        for (at, body) in &mut readers {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(piece == bytes(1, *at..*at + piece.len() as u64), "at {at}");
            *at += piece.len() as u64;
        }
    }
    let peak = fleet.pops[0].peak_rss();
    println!("200 readers, {} MiB from the origin, peak RSS {} MiB", origin.sent() / MIB, peak / MIB);
    assert!(peak < 512 * MIB, "{} MiB", peak / MIB);
    assert!(origin.sent() < 2 * GIB, "{} MiB were fetched for readers who take little", origin.sent() / MIB);
}
