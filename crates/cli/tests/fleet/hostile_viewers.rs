//! Viewers who say what no browser says: refused or bounded, never taken for somebody else's request, and never cached.

use crate::installation::{Installation, Plan};
use crate::origin::Page;
use crate::raw::{Answer, Raw};
use std::time::Duration;

/// What a conversation comes to.
enum Comes {
    /// The answer, and the connection goes on.
    Answer(u16),
    /// The answer, and nothing after it.
    AnswerAndEnd(u16),
    /// An answer of one of these, or none; and nothing after it.
    End(&'static [u16]),
}

use Comes::{Answer as Says, AnswerAndEnd as SaysAndEnds, End as Ends};

const REFUSED: Comes = Comes::AnswerAndEnd(400);

async fn start(change: fn(&mut freshen_pop::Config)) -> Installation {
    let fleet = Installation::start(Plan { pop: Box::new(change), ..Plan::default() }).await;
    fleet.origin.set("/a", Page::new("a"));
    fleet.origin.set("/next", Page::new("next"));
    fleet.origin.set("/post", Page::new("posted").with("cache-control", "no-store"));
    fleet
}

/// Says `request` and the next one behind it in one breath.
async fn converse(fleet: &Installation, what: &str, request: &[u8], comes: Comes) {
    let mut viewer = Raw::connect(&fleet.pops[0].address()).await;
    viewer.send([request, b"GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n"].concat()).await;
    let first = viewer.answer().await;
    let status = first.as_ref().map(|answer| answer.status);
    match comes {
        Says(expected) | SaysAndEnds(expected) => assert_eq!(status, Some(expected), "{what}: {first:?}"),
        Ends(may) => assert!(status.is_none_or(|status| may.contains(&status)), "{what}: {first:?}"),
    }
    if let Some(first) = &first {
        assert!(first.field("date").is_some(), "{what}: {first:?}");
        assert_ne!(first.text(), "next", "{what}: a body or a refused head was taken for a request");
    }
    if matches!(comes, Says(_)) {
        let next = viewer.answer().await;
        assert_eq!(next.as_ref().map(Answer::text), Some("next"), "{what}: {first:?} {next:?}");
    } else {
        assert_eq!(viewer.answer().await, None, "{what}: {first:?}");
    }
}

/// The origin has seen nothing that a viewer hid in another request, and the cache serves what it should.
async fn unharmed(fleet: &Installation) {
    assert!(!fleet.pops[0].log().contains("panicked"), "{}", fleet.pops[0].log());
    assert!(fleet.origin.requests("/smuggled").is_empty());
    assert_eq!(fleet.viewer(0).get("a.example/a").await.text(), "a");
    assert_eq!(fleet.viewer(0).get("a.example/a").await.both(), ("HIT", "a"));
    assert_eq!(fleet.viewer(0).get("a.example/next").await.text(), "next");
}

fn get(fields: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /post HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{body}")
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

#[tokio::test]
async fn a_body_has_one_length_or_the_connection_ends() {
    let fleet = start(|_| {}).await;
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let length = SMUGGLED.len();
    for (what, request, comes) in [
        ("one length", post(&format!("Content-Length: {length}\r\n"), SMUGGLED), Says(200)),
        ("chunks", post("Transfer-Encoding: chunked\r\n", &chunk), Says(200)),
        ("chunks, spelt otherwise", post("tRANSFER-eNCODING: CHUNKED\r\n", &chunk), Says(200)),
        ("a body of a GET", get("Content-Length: 5\r\n") + "hello", Says(200)),
        ("an empty body of a GET", get("Content-Length: 0\r\n"), Says(200)),
        ("the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), Says(200)),
        ("two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), REFUSED),
        ("a list of lengths", post("Content-Length: 5, 5\r\n", "hello"), REFUSED),
        ("a signed length", post("Content-Length: +5\r\n", "hello"), REFUSED),
        ("a negative length", post("Content-Length: -5\r\n", "hello"), REFUSED),
        ("a hexadecimal length", post("Content-Length: 0x5\r\n", "hello"), REFUSED),
        ("a broken length", post("Content-Length: 5 5\r\n", "hello"), REFUSED),
        ("no length after all", post("Content-Length:\r\n", "hello"), REFUSED),
        ("a length over all", post("Content-Length: 18446744073709551616\r\n", "hello"), REFUSED),
        // RFC 9112 §6.1: chunks count, and the connection ends.
        (
            "length and chunks",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            SaysAndEnds(200),
        ),
        (
            "chunks and length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", &chunk),
            SaysAndEnds(200),
        ),
        ("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", &chunk), SaysAndEnds(501)),
        (
            "chunked in two fields",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &chunk),
            SaysAndEnds(501),
        ),
        ("another coding inside", post("Transfer-Encoding: gzip, chunked\r\n", &chunk), SaysAndEnds(501)),
        ("an unknown coding", post("Transfer-Encoding: xchunked\r\n", &chunk), REFUSED),
        ("chunked, but not last", post("Transfer-Encoding: chunked, identity\r\n", &chunk), REFUSED),
        (
            "chunked, then not",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", &chunk),
            REFUSED,
        ),
        ("a coding with a tab inside", post("Transfer-Encoding: chun\tked\r\n", &chunk), REFUSED),
        ("a coding behind VT", post("Transfer-Encoding: \x0bchunked\r\n", &chunk), REFUSED),
        (
            "chunks in HTTP/1.0",
            format!("POST /post HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"),
            REFUSED,
        ),
    ] {
        converse(&fleet, what, request.as_bytes(), comes).await;
    }
    // Chunks that are none: the body breaks off, and so does what it was part of.
    for (what, body) in [
        ("no size", "\r\n"),
        ("no number", "zz\r\nhello\r\n0\r\n\r\n"),
        ("a number over all", "fffffffffffffffff\r\nhello\r\n"),
        ("a negative size", "-1\r\nhello\r\n0\r\n\r\n"),
        ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("bare LF after the size", "5\nhello\r\n0\r\n\r\n"),
        ("no line end after the data", "5\r\nhello0\r\n\r\n"),
    ] {
        let request = post("Transfer-Encoding: chunked\r\n", body);
        converse(&fleet, what, request.as_bytes(), Ends(&[200, 400, 502])).await;
    }
    unharmed(&fleet).await;
}

#[tokio::test]
async fn a_head_is_well_formed_or_the_connection_ends() {
    let fleet = start(|_| {}).await;
    for (what, request, comes) in [
        ("as it should be", get(""), Says(200)),
        ("empty lines before", format!("\r\n\r\n{}", get("")), Says(200)),
        // RFC 9112 §2.2 lets a line end with LF alone; what goes on is written anew.
        ("bare LF", "GET /a HTTP/1.1\nHost: a.example\n\n".into(), Says(200)),
        ("a folded line", get("X-A: b\r\n c\r\n"), REFUSED),
        ("a space before the colon", get("X-A : b\r\n"), REFUSED),
        ("a space before the name", "GET /a HTTP/1.1\r\n Host: a.example\r\n\r\n".into(), REFUSED),
        ("no colon", get("X-A\r\n"), REFUSED),
        ("no name", get(": b\r\n"), REFUSED),
        ("a NUL", get("X-A: b\0c\r\n"), REFUSED),
        ("a NUL in a name", get("X-\0A: b\r\n"), REFUSED),
        ("a bare CR", get("X-A: b\rc\r\n"), REFUSED),
        ("a NUL in the path", "GET /\0a HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), REFUSED),
        ("a space in the path", "GET /a b HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), REFUSED),
        ("two spaces", "GET  /a HTTP/1.1\r\nHost: a.example\r\n\r\n".into(), REFUSED),
        ("no version", "GET /a\r\n\r\n".into(), REFUSED),
        ("HTTP/1.2", "GET /a HTTP/1.2\r\nHost: a.example\r\n\r\n".into(), REFUSED),
        ("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Ends(&[400])),
        ("HTTP/1.0", "GET /a HTTP/1.0\r\nHost: a.example\r\n\r\n".into(), SaysAndEnds(200)),
        ("HTTP/1.0 without a host", "GET /a HTTP/1.0\r\n\r\n".into(), SaysAndEnds(400)),
        (
            "a long path",
            format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "x".repeat(8_192)),
            SaysAndEnds(414),
        ),
        (
            "a very long path",
            format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "x".repeat(1 << 20)),
            SaysAndEnds(431),
        ),
        ("a head over its limit", get(&format!("X-A: {}\r\n", "x".repeat(80_000))), SaysAndEnds(431)),
        ("a large head", get(&format!("X-A: {}\r\n", "x".repeat(1 << 20))), SaysAndEnds(431)),
        ("a head of many fields", get(&"X-A: b\r\n".repeat(150)), SaysAndEnds(431)),
        ("a head that is all names", get(&"A:\r\n".repeat(100_000)), SaysAndEnds(431)),
    ] {
        converse(&fleet, what, request.as_bytes(), comes).await;
    }
    converse(&fleet, "a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", REFUSED).await;
    converse(&fleet, "no text", &[0xff; 4_096], REFUSED).await;
    unharmed(&fleet).await;
}

#[tokio::test]
async fn a_request_is_for_one_host() {
    let fleet = start(|_| {}).await;
    let asks = |target: &str, hosts: &str| format!("GET {target} HTTP/1.1\r\n{hosts}\r\n");
    for (what, request, comes) in [
        ("in capitals", asks("/a", "Host: A.EXAMPLE\r\n"), Says(200)),
        ("with its port", asks("/a", "Host: a.example:80\r\n"), Says(200)),
        // RFC 9112 §3.2.2: the target counts.
        ("a whole target", asks("http://a.example/a", "Host: b.example\r\n"), Says(200)),
        ("a whole target of somebody else", asks("http://b.example/a", "Host: a.example\r\n"), Says(404)),
        ("nobody's", asks("/a", "Host: b.example\r\n"), Says(404)),
        ("an address", asks("/a", "Host: 127.0.0.1\r\n"), Says(404)),
        ("none", asks("/a", ""), Says(400)),
        ("two", asks("/a", "Host: a.example\r\nHost: b.example\r\n"), Says(400)),
        ("the same twice", asks("/a", "Host: a.example\r\nHost: a.example\r\n"), Says(400)),
        ("a list", asks("/a", "Host: a.example, b.example\r\n"), Says(400)),
        ("an empty one", asks("/a", "Host:\r\n"), Says(400)),
        ("one with a path", asks("/a", "Host: a.example/b\r\n"), Says(400)),
        ("one with a user", asks("/a", "Host: b@a.example\r\n"), Says(400)),
    ] {
        converse(&fleet, what, request.as_bytes(), comes).await;
    }
    unharmed(&fleet).await;
}

#[tokio::test]
async fn methods_are_known_or_passed_on_and_never_cached() {
    let fleet = start(|_| {}).await;
    let asks = |method: &str, target: &str| format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    for (what, request, comes) in [
        ("an unknown one", asks("BREW", "/post"), Says(200)),
        ("GET in small letters", asks("get", "/post"), Says(200)),
        ("TRACE", asks("TRACE", "/a"), Says(501)),
        ("CONNECT", asks("CONNECT", "a.example:443"), SaysAndEnds(501)),
        ("no method", asks("", "/a"), REFUSED),
        ("one with a slash", asks("GE/T", "/a"), REFUSED),
    ] {
        converse(&fleet, what, request.as_bytes(), comes).await;
    }
    // What is meant for no object reaches no object.
    for (method, target) in [("OPTIONS", "*"), ("GET", "*"), ("GET", "a.example")] {
        let mut viewer = Raw::connect(&fleet.pops[0].address()).await;
        viewer.send(asks(method, target)).await;
        let answer = viewer.answer().await;
        assert!(answer.as_ref().is_none_or(|answer| answer.status >= 400), "{method} {target}: {answer:?}");
    }
    unharmed(&fleet).await;
}

#[tokio::test]
async fn an_expectation_is_met_before_the_body_comes() {
    let fleet = start(|_| {}).await;
    let mut viewer = Raw::connect(&fleet.pops[0].address()).await;
    viewer.send(post("Expect: 100-continue\r\nContent-Length: 5\r\n", "")).await;
    assert_eq!(viewer.answer().await.unwrap().status, 100);
    viewer.send("hello").await;
    assert_eq!(viewer.answer().await.unwrap().text(), "posted");
    viewer.send(get("")).await;
    assert_eq!(viewer.answer().await.unwrap().text(), "a");
    // Nobody who is refused is asked for his body.
    viewer
        .send("TRACE /a HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    assert_eq!(viewer.answer().await.unwrap().status, 501);
    assert_eq!(viewer.answer().await, None);
}

#[tokio::test]
async fn many_requests_at_once_are_answered_in_turn() {
    const REQUESTS: usize = 5_000;
    let fleet = start(|_| {}).await;
    let mut viewer = Raw::connect(&fleet.pops[0].address()).await;
    for _ in 0..5 {
        viewer.send((get("") + "GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n").repeat(REQUESTS / 10)).await;
        for _ in 0..REQUESTS / 10 {
            assert_eq!(viewer.answer().await.unwrap().text(), "a");
            assert_eq!(viewer.answer().await.unwrap().text(), "next");
        }
    }
    assert_eq!(fleet.origin.requests("/a").len(), 1);
}

#[tokio::test]
async fn a_head_that_drips_in_is_not_waited_for() {
    let fleet = start(|config| config.viewer_head_ms_max = 1_000).await;
    for before in ["", "GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n"] {
        let mut viewer = Raw::connect(&fleet.pops[0].address()).await;
        if !before.is_empty() {
            viewer.send(before).await;
            assert_eq!(viewer.answer().await.unwrap().text(), "a");
        }
        viewer.send("GET /a HTTP/1.1\r\nHost: a.example\r\n").await;
        let begun = std::time::Instant::now();
        let mut drops = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                more = viewer.more() => {
                    assert!(!more, "half a head is answered");
                    break;
                }
                _ = drops.tick() => drop(viewer.send("X").await),
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    unharmed(&fleet).await;
}

#[tokio::test]
async fn a_body_without_end_comes_to_one() {
    let fleet = start(|config| config.origin_head_ms_max = 2_000).await;
    let mut viewer = Raw::connect(&fleet.pops[0].address()).await;
    viewer.send(post("Transfer-Encoding: chunked\r\n", "")).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    let endless = async { while viewer.send(&chunk).await {} };
    tokio::time::timeout(Duration::from_secs(15), endless).await.expect("it is taken without end");
    unharmed(&fleet).await;
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Does some damage to a request.
    fn spoil(&mut self, request: &mut Vec<u8>) {
        const ODD: &[&[u8]] = &[
            b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b"\"", b"-", b"%", b"\xff", b"0", b"9",
            b";",
        ];
        for _ in 0..=self.below(4) {
            let at = self.below(request.len());
            match self.below(4) {
                0 => request[at] = self.below(256) as u8,
                1 => drop(request.splice(at..at, ODD[self.below(ODD.len())].iter().copied())),
                2 => drop(request.remove(at)),
                _ => {
                    let end = (at + self.below(60)).min(request.len());
                    let again = request[at..end].to_vec();
                    let to = self.below(request.len());
                    request.splice(to..to, again);
                }
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_said_nobody_else_is_harmed() {
    const TALKS: usize = 600;
    let fleet = start(|config| {
        config.viewer_head_ms_max = 1_000;
        config.viewer_silence_ms_max = 1_000;
    })
    .await;
    let sound = [
        get("Range: bytes=0-0\r\nIf-None-Match: \"a\", W/\"b\"\r\nAccept-Encoding: gzip;q=0.5, br\r\n"),
        get("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nIf-Range: \"a\"\r\nRange: bytes=-1,0-\r\n"),
        get("Cache-Control: max-age=0, no-cache=\"x\"\r\nConnection: keep-alive, x-a\r\nX-A: b\r\n"),
        post("Content-Length: 5\r\n", "hello"),
        post("Transfer-Encoding: chunked\r\nTrailer: x-a\r\n", "5;a=b\r\nhello\r\n0\r\nX-A: b\r\n\r\n"),
        post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
        format!("HEAD /a?x=%41&y HTTP/1.0\r\nHost: a.example:80\r\n\r\n{}", get("")),
    ];
    let mut dice = Dice(1);
    let mut talks = tokio::task::JoinSet::new();
    for number in 0..TALKS {
        let mut request = sound[number % sound.len()].clone().into_bytes();
        dice.spoil(&mut request);
        let address = fleet.pops[0].address();
        talks.spawn(async move {
            let mut viewer = Raw::connect(&address).await;
            viewer.send(request).await;
            // Ends in any case: by a refusal, or by the POP's patience.
            viewer.rest().await;
        });
    }
    talks.join_all().await;
    unharmed(&fleet).await;
}
