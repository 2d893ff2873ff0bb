//! What HTTP asks of caches, where it takes a POP as a whole to keep it; the rest is tested in the POP's policy.

use crate::installation::{Installation, Plan};
use crate::raw::Raw;
use crate::raw_origin::{Act, RawOrigin};
use freshen_model::domain::Settings;

const A: &str = "a.example/a";
const GET: &str = "GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// One POP before an origin that does as told.
async fn before(acts: Vec<Act>) -> (Installation, RawOrigin) {
    let origin = RawOrigin::start(acts).await;
    let at = format!("http://{}", origin.address);
    let settings = move |settings: Settings| Settings { origin: at.parse().unwrap(), ..settings };
    (Installation::start(Plan { settings: Box::new(settings), ..Plan::default() }).await, origin)
}

fn answer(status: &str, fields: &str, body: &str) -> Act {
    let length =
        if status.starts_with("304") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    Act::WriteAndStay(format!("HTTP/1.1 {status}\r\n{fields}{length}\r\n{body}"))
}

#[tokio::test]
async fn interim_answers_go_to_the_one_who_asked_and_are_not_kept() {
    let interim = "HTTP/1.1 102 Processing\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Early: 1\r\nKeep-Alive: x\r\n\r\n";
    let whole = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\na";
    let (fleet, origin) = before(vec![Act::WriteAndStay(format!("{interim}{whole}"))]).await;
    let mut viewer = Raw::connect(&fleet.pops[0].address()).await;

    viewer.send(GET).await;
    assert_eq!(viewer.answer().await.unwrap().status, 102);
    let early = viewer.answer().await.unwrap();
    assert_eq!((early.status, early.field("link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!((early.field("x-early"), early.field("keep-alive")), (Some("1"), None));
    let got = viewer.answer().await.unwrap();
    assert_eq!((got.status, got.text(), got.field("x-early")), (200, "a", None));

    viewer.send(GET).await;
    let got = viewer.answer().await.unwrap();
    assert!(got.field("x-cache").unwrap().starts_with("hit"), "{got:?}");
    assert_eq!((got.status, got.text(), got.field("x-early"), got.field("link")), (200, "a", None, None));
    assert_eq!(origin.heads().len(), 1);
}

#[tokio::test]
async fn fields_kept_from_caches_reach_the_one_who_asked_and_nobody_else() {
    let kept =
        "Cache-Control: max-age=60, no-cache=\"set-cookie, x-a\"\r\nSet-Cookie: s=1\r\nX-A: 1\r\nX-B: 2\r\n";
    let (fleet, _origin) = before(vec![answer("200 OK", kept, "a")]).await;
    let viewer = fleet.viewer(0);
    let first = viewer.get(A).await;
    assert_eq!(first.both(), ("MISS", "a"));
    let fields = |got: &crate::viewer::Got| {
        ["set-cookie", "x-a", "x-b"].map(|name| got.header(name).map(str::to_owned))
    };
    assert_eq!(fields(&first), [Some("s=1".into()), Some("1".into()), Some("2".into())]);
    let second = viewer.get(A).await;
    assert_eq!(second.both(), ("HIT", "a"));
    assert_eq!(fields(&second), [None, None, Some("2".into())]);
}

#[tokio::test]
async fn the_cookie_of_a_304_is_for_the_one_who_asked() {
    let stale = answer("200 OK", "Cache-Control: max-age=0\r\nETag: \"1\"\r\n", "a");
    let confirmed =
        answer("304 Not Modified", "Cache-Control: max-age=60\r\nETag: \"1\"\r\nSet-Cookie: s=1\r\n", "");
    let (fleet, _origin) = before(vec![stale, confirmed]).await;
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "a"));
    let asked = viewer.get(A).await;
    assert_eq!((asked.both(), asked.header("set-cookie")), (("REVALIDATED", "a"), Some("s=1")));
    let other = viewer.get(A).await;
    assert_eq!((other.both(), other.header("set-cookie")), (("HIT", "a"), None));
}

#[tokio::test]
async fn cache_status_says_whether_the_origin_was_asked_and_what_is_left() {
    let tag = "ETag: \"1\"\r\n";
    let (fleet, origin) = before(vec![
        answer("200 OK", &format!("Cache-Control: max-age=100\r\nAge: 40\r\n{tag}"), "a"),
        answer("200 OK", &format!("Cache-Control: max-age=100\r\nAge: 140\r\n{tag}"), "b"),
        answer("304 Not Modified", &format!("Cache-Control: max-age=100\r\nAge: 140\r\n{tag}"), ""),
        answer("503 Service Unavailable", "Retry-After: 1\r\n", "no"),
    ])
    .await;
    let viewer = fleet.viewer(0);
    let told = async |path: &str| {
        let got = viewer.get(path).await;
        let status = got.header("cache-status").unwrap().to_owned();
        status.split_once("; ").unwrap().1.to_owned()
    };
    // What is left may lose a second on the way.
    let one_of = |told: String, form: &str, left: i64| {
        let forms = [left, left - 1].map(|left| form.replace("TTL", &left.to_string()));
        assert!(forms.contains(&told), "{told} is none of {forms:?}");
    };
    one_of(told(A).await, "fwd=uri-miss; ttl=TTL; stored", 60);
    assert_eq!(told(A).await, "hit");
    one_of(told("a.example/b").await, "fwd=uri-miss; ttl=TTL; stored", -40);
    one_of(told("a.example/b").await, "fwd=stale; fwd-status=304; ttl=TTL", -40);
    one_of(told("a.example/b").await, "fwd=stale; ttl=TTL", -40);
    assert!(origin.heads().len() >= 4);
}

#[tokio::test]
async fn an_answer_of_the_pops_own_has_no_cache_status() {
    let (fleet, _origin) = before(vec![Act::Close]).await;
    let got = fleet.viewer(0).get(A).await;
    assert_eq!((got.status.as_u16(), got.x_cache(), got.header("cache-status")), (502, Some("MISS"), None));
}
