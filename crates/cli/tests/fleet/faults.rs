//! Origins that lie about parts of large bodies: no viewer gets a wrong byte, and the next one gets all of them.

use crate::installation::{DOMAIN, Installation, Plan};
use crate::part_origin::{Ask, File, PartOrigin, Reply};
use crate::viewer::{Got, Viewer};
use bytes::Bytes;
use freshen_model::domain::Settings;
use http::Method;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const MIB: usize = 1 << 20;
/// Five slices, the last one short.
pub const SIZE: usize = 4 * MIB + 500_006;

/// Every ten bytes name the version and their place.
pub fn version(name: char) -> File {
    let text: String = (0..SIZE / 10).map(|place| format!("{name}{place:08}\n")).collect();
    File { bytes: Bytes::from(text), tag: format!("\"{name}\"") }
}

/// One POP in front of this origin.
pub async fn fleet(origin: &PartOrigin, pop: impl Fn(&mut freshen_pop::Config) + 'static) -> Installation {
    let origin = format!("http://{}", origin.address).parse().unwrap();
    let settings = |settings: Settings| Settings { origin, ..settings };
    Installation::start(Plan { settings: Box::new(settings), pop: Box::new(pop), ..Plan::default() }).await
}

pub async fn part(viewer: &Viewer, path: &str, range: &str) -> Got {
    viewer.send(Method::GET, &format!("{DOMAIN}{path}"), &[("range", range)], "").await
}

pub async fn whole(viewer: &Viewer, path: &str) -> Got {
    viewer.get(&format!("{DOMAIN}{path}")).await
}

/// Whether an answer is good: the right bytes of the version that it names, and all that were asked for. What is wrong with
/// it must be an error or a break.
pub fn is_good(got: &Got, versions: &[&File], told: &str) -> bool {
    let Some(body) = &got.body else { return false };
    let of = |file: &&&File| got.header("etag") == Some(&file.tag);
    let right = match (got.status.as_u16(), versions.iter().find(of)) {
        (400.., _) => return false,
        (200, Some(file)) => body == &file.bytes,
        (206, Some(file)) => {
            let range = got.header("content-range").unwrap().strip_prefix("bytes ").unwrap();
            // Of a first part nobody but the origin can say how much there is beside it.
            let (range, _total) = range.split_once('/').unwrap();
            let (first, last) = range.split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            body == &file.bytes[first..=last]
        }
        _ => false,
    };
    assert!(right, "{told}: {} with {} wrong bytes, {:?}", got.status, body.len(), got.headers);
    true
}

/// What an origin may say when it is asked for a part, while it has version `a`; `b` is another one.
type Lie = (&'static str, fn(&File, &File, &Ask) -> Reply);

fn wanted(ask: &Ask) -> (usize, usize) {
    let (first, last) = ask.range().unwrap_or((0, None));
    (first, last.unwrap_or(SIZE - 1).min(SIZE - 1))
}

fn asked_part(file: &File, ask: &Ask) -> Reply {
    let (first, last) = wanted(ask);
    file.part(first, last)
}

fn garbage(bytes: usize) -> Bytes {
    vec![b'!'; bytes].into()
}

const LIES: [Lie; 27] = [
    ("another part", |a, _, ask| a.part(wanted(ask).0 + 10, wanted(ask).1.min(SIZE - 20) + 10)),
    ("a part that begins earlier", |a, _, ask| a.part(wanted(ask).0.saturating_sub(10), wanted(ask).1)),
    ("less than asked for", |a, _, ask| a.part(wanted(ask).0, wanted(ask).0 + 99)),
    ("more than asked for", |a, _, ask| a.part(wanted(ask).0, SIZE - 1)),
    ("the whole, as a part", |a, _, _| a.part(0, SIZE - 1)),
    ("the whole", |a, _, _| a.whole()),
    ("the whole of another version", |_, b, _| b.whole()),
    ("a part of another version", |_, b, ask| asked_part(b, ask)),
    ("a part of no version", |a, _, ask| asked_part(a, ask).without("ETag")),
    ("a part of a weak version", |a, _, ask| asked_part(a, ask).with("ETag", "W/\"a\"")),
    ("a larger total", |a, _, ask| {
        asked_part(a, ask).with("Content-Range", format!("bytes {}-{}/9999999", wanted(ask).0, wanted(ask).1))
    }),
    ("no total", |a, _, ask| {
        asked_part(a, ask).with("Content-Range", format!("bytes {}-{}/*", wanted(ask).0, wanted(ask).1))
    }),
    ("no place", |a, _, ask| asked_part(a, ask).without("Content-Range")),
    ("no bytes of a part", |a, _, ask| {
        asked_part(a, ask).with("Content-Range", format!("bytes */{SIZE}")).body(Bytes::new())
    }),
    ("another unit", |a, _, ask| asked_part(a, ask).with("Content-Range", "items 0-9/10")),
    ("a place beyond the end", |a, _, ask| {
        asked_part(a, ask).with("Content-Range", "bytes 9000000-9000009/10")
    }),
    ("numbers beyond all", |a, _, ask| {
        asked_part(a, ask).with("Content-Range", "bytes 0-99999999999999999999/99999999999999999999")
    }),
    ("several parts", |a, _, ask| {
        let frame = b"--x\r\nContent-Range: bytes 0-1/10\r\n\r\n!!\r\n--x--\r\n";
        asked_part(a, ask)
            .without("Content-Range")
            .with("Content-Type", "multipart/byteranges; boundary=x")
            .body(Bytes::from_static(frame))
    }),
    ("more bytes than the part has", |a, _, ask| {
        let mut bytes = a.bytes[wanted(ask).0..=wanted(ask).1].to_vec();
        bytes.extend_from_slice(&garbage(SIZE));
        asked_part(a, ask).body(bytes.into())
    }),
    ("more bytes than the part has, in chunks", |a, _, ask| {
        let mut bytes = a.bytes[wanted(ask).0..=wanted(ask).1].to_vec();
        bytes.extend_from_slice(&garbage(SIZE));
        asked_part(a, ask).body(bytes.into()).chunked()
    }),
    ("fewer bytes than the part has, in chunks", |a, _, ask| {
        asked_part(a, ask).body(a.bytes.slice(wanted(ask).0..wanted(ask).0 + 1_000)).chunked()
    }),
    ("a part that breaks off", |a, _, ask| asked_part(a, ask).cut(300_000)),
    ("a whole that is shorter", |a, _, _| a.whole().body(a.bytes.slice(..MIB))),
    ("416", |_, _, _| Reply::new(416, Bytes::from("no")).with("Content-Range", format!("bytes */{SIZE}"))),
    ("416 of a shorter one", |_, _, _| Reply::new(416, Bytes::from("no")).with("Content-Range", "bytes */5")),
    ("304, unasked", |a, _, _| Reply::new(304, Bytes::new()).with("ETag", &a.tag)),
    ("204", |a, _, _| a.whole().status(204).body(Bytes::new()).without("Content-Length")),
];

/// What nobody could see through who knows nothing of the body yet.
const PLAUSIBLE: [&str; 2] = ["a whole that is shorter", "204"];

/// Asks for a part of a body, of which the first slice is here (`warm`) or nothing, from an origin that lies once.
async fn lied_to(warm: bool) {
    let (a, b) = (version('a'), version('b'));
    let honest_before = usize::from(warm);
    let (old, new) = (a.clone(), b.clone());
    let origin = PartOrigin::start(move |ask| {
        let lie: usize = ask.path[1..].parse().unwrap();
        if ask.before == honest_before { LIES[lie].1(&old, &new, ask) } else { old.honest(ask) }
    })
    .await;
    let fleet = fleet(&origin, |_| {}).await;
    let viewer = fleet.viewer(0);
    for (number, (told, _)) in
        LIES.iter().enumerate().filter(|(_, (told, _))| warm || !PLAUSIBLE.contains(told))
    {
        let path = format!("/{number}");
        if warm {
            assert!(is_good(&part(&viewer, &path, "bytes=0-9").await, &[&a], told));
        }
        let got = part(&viewer, &path, "bytes=2100000-2100099").await;
        let good = is_good(&got, &[&a, &b], told);
        assert!(origin.requests(&path).len() > honest_before, "{told}: the origin was not asked");
        // From now on it is honest, and all is well.
        let got = part(&viewer, &path, "bytes=3000000-3500000").await;
        // What was begun under the lie may break off now that it is seen through.
        let broke_off = got.status == 206 && got.body.is_none();
        assert!(is_good(&got, &[&a, &b], told) || broke_off, "{told}: {:?}, first {good}", got.headers);
        let got = whole(&viewer, &path).await;
        assert!(is_good(&got, &[&a, &b], told), "{told}: {:?}, first {good}", got.headers);
    }
}

#[tokio::test]
async fn whatever_an_origin_says_of_a_first_part_no_byte_is_wrong() {
    lied_to(false).await;
}

#[tokio::test]
async fn whatever_an_origin_says_of_a_further_part_no_byte_is_wrong() {
    lied_to(true).await;
}

#[tokio::test]
async fn a_part_and_a_304_that_nobody_asked_for_are_refused() {
    let a = version('a');
    let file = a.clone();
    let origin = PartOrigin::start(move |ask| match ask.before {
        0 => file.part(0, 999),
        1 => file.part(0, SIZE - 1),
        2 => Reply::new(304, Bytes::new()).with("ETag", &file.tag).without("Content-Length"),
        _ => file.honest(ask),
    })
    .await;
    let fleet = fleet(&origin, |_| {}).await;
    for _ in 0..3 {
        let got = whole(&fleet.viewer(0), "/a").await;
        assert!(got.status == 502 && got.text().contains("unasked"), "{got:?}");
    }
    assert!(is_good(&whole(&fleet.viewer(0), "/a").await, &[&a], "honest"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_again_and_again_is_taken_up_where_it_broke() {
    let a = version('a');
    let file = a.clone();
    let origin = PartOrigin::start(move |ask| file.honest(ask).cut(1_300_000)).await;
    let fleet = fleet(&origin, |_| {}).await;
    assert!(is_good(&whole(&fleet.viewer(0), "/a").await, &[&a], "cut"));
    let mut asked: Vec<_> =
        origin.requests("/a").iter().map(|ask| ask.range().map_or(0, |range| range.0)).collect();
    // Behind a gap, what is still missing is asked for early.
    asked.sort_unstable();
    assert_eq!(asked, [0, MIB, 2 * MIB, 3 * MIB, 4 * MIB], "no slice is fetched twice");
    assert!(is_good(&whole(&fleet.viewer(0), "/a").await, &[&a], "all is there"));
    assert_eq!(origin.requests("/a").len(), asked.len());
}

#[tokio::test]
async fn a_version_that_ends_under_way_is_never_mixed_with_the_next() {
    let (a, b) = (version('a'), version('b'));
    let (old, new) = (a.clone(), b.clone());
    let origin = PartOrigin::start(move |ask| match ask.before {
        0 => old.honest(ask).cut(1_300_000),
        _ => new.honest(ask),
    })
    .await;
    let fleet = fleet(&origin, |_| {}).await;
    let viewer = fleet.viewer(0);
    let broken = whole(&viewer, "/a").await;
    assert!(broken.body.is_none() && broken.header("etag") == Some("\"a\""), "{broken:?}");
    assert!(is_good(&whole(&viewer, "/a").await, &[&b], "the next version"));
    assert!(is_good(&part(&viewer, "/a", "bytes=100-2000000").await, &[&b], "the next version"));
}

#[tokio::test]
async fn what_broke_off_and_cannot_be_told_from_another_version_is_not_kept() {
    for change in
        [(|reply: Reply| reply.without("ETag")) as fn(Reply) -> Reply, |reply| reply.with("ETag", "W/\"a\"")]
    {
        let file = version('a');
        let bytes = file.bytes.clone();
        let origin = PartOrigin::start(move |ask| match ask.before {
            0 => change(file.whole()).cut(1_300_000),
            _ => change(file.whole()),
        })
        .await;
        let fleet = fleet(&origin, |_| {}).await;
        let viewer = fleet.viewer(0);
        assert!(whole(&viewer, "/a").await.body.is_none(), "the viewer sees that it broke off");
        for x_cache in ["MISS", "HIT"] {
            let got = whole(&viewer, "/a").await;
            assert_eq!((got.x_cache(), got.body.as_ref()), (Some(x_cache), Some(&bytes)));
        }
    }
}

#[tokio::test]
async fn an_origin_that_never_delivers_a_part_is_asked_a_few_times_only() {
    let a = version('a');
    let (file, asked) = (a.clone(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let origin = PartOrigin::start(move |ask| {
        count.fetch_add(1, Ordering::SeqCst);
        if ask.before == 0 { file.honest(ask) } else { file.honest(ask).cut(1_000) }
    })
    .await;
    let fleet = fleet(&origin, |_| {}).await;
    let viewer = fleet.viewer(0);
    assert!(is_good(&part(&viewer, "/a", "bytes=0-9").await, &[&a], "the first"));
    let got = part(&viewer, "/a", "bytes=2100000-2100099").await;
    assert!(!is_good(&got, &[&a], "never"), "{got:?}");
    assert!(asked.load(Ordering::SeqCst) < 10, "{asked:?}");
    // What is there goes on being served.
    assert_eq!(part(&viewer, "/a", "bytes=0-9").await.x_cache(), Some("HIT"));
}
