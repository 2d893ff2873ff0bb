//! The way to origins: several of them, those that fail, and those that lie. What lies is refused or bounded, never
//! cached wrong, never a crash.

use crate::installation::{DOMAIN, Installation, Plan};
use crate::origin::{Origin, Page};
use crate::raw_origin::{Act, RawOrigin};
use crate::viewer::Got;
use freshen_model::domain::{self, Settings};
use http::Method;
use std::net::SocketAddr;
use std::time::Duration;

const A: &str = "a.example/a";
const OK: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

fn at(address: SocketAddr) -> domain::Origin {
    format!("http://{address}").parse().unwrap()
}

/// An address that nobody listens at.
async fn nowhere() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// One POP whose domain has these origins, besides what `change` says.
async fn fleet(
    origins: Vec<SocketAddr>,
    change: impl FnOnce(&mut Settings) + Send + 'static,
) -> Installation {
    let settings = move |mut settings: Settings| {
        settings.origin = at(origins[0]);
        settings.backups = origins[1..].iter().copied().map(at).collect();
        change(&mut settings);
        settings
    };
    Installation::start(Plan { settings: Box::new(settings), ..Plan::default() }).await
}

/// What a viewer gets who asks an origin that does as told.
async fn asked_of(acts: Vec<Act>) -> (Installation, RawOrigin, Got) {
    let origin = RawOrigin::start(acts).await;
    let fleet = fleet(vec![origin.address], |_| {}).await;
    let got = fleet.viewer(0).get(A).await;
    (fleet, origin, got)
}

fn length(body: &str) -> Act {
    Act::WriteAndStay(format!("{OK}Content-Length: {}\r\n\r\n{body}", body.len()))
}

#[tokio::test]
async fn a_backup_is_asked_while_the_first_origin_is_down_and_the_first_again_once_it_is_back() {
    let backup = Origin::start().await;
    let first = nowhere().await;
    let fleet = fleet(vec![first, backup.address], |settings| settings.retries = 0).await;
    for n in 0..100 {
        backup.set(&format!("/{n}"), Page::new("backup"));
    }
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(&format!("{DOMAIN}/0")).await.both(), ("MISS", "backup"));
    assert_eq!(viewer.get(&format!("{DOMAIN}/0")).await.both(), ("HIT", "backup"));
    fleet.pops[0].metric_when("freshen_pop_origin_failures_total", |count| count == 1.0).await;
    let posted = viewer.send(Method::POST, &format!("{DOMAIN}/0"), &[], "new").await;
    assert_eq!((posted.status.as_u16(), backup.all().len()), (502, 1), "a backup is not written to");
    fleet.pops[0].metric_when("freshen_pop_origins_failing", |count| count == 1.0).await;

    let back = Origin::start_at(first).await;
    for n in 0..100 {
        back.set(&format!("/{n}"), Page::new("first"));
    }
    for n in 1.. {
        if viewer.get(&format!("{DOMAIN}/{n}")).await.both() == ("MISS", "first") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // tidy: allow-sleep, the pause of an origin is a time
    }
    fleet.pops[0].metric_when("freshen_pop_origins_failing", |count| count == 0.0).await;
    assert_eq!(viewer.get(&format!("{DOMAIN}/99")).await.both(), ("MISS", "first"));
}

#[tokio::test]
async fn an_origin_that_is_paused_is_not_asked_in_front() {
    let (backup, first) = (Origin::start().await, RawOrigin::start(vec![Act::Close]).await);
    let fleet = fleet(vec![first.address, backup.address], |settings| settings.retries = 0).await;
    let viewer = fleet.viewer(0);
    for path in ["/a", "/b", "/c", "/d"] {
        backup.set(path, Page::new(path));
        assert_eq!(viewer.get(&format!("{DOMAIN}{path}")).await.both(), ("MISS", path));
    }
    assert!(first.heads().len() <= 2, "the pause is a second at least: {}", first.heads().len());
}

#[tokio::test]
async fn an_answer_that_an_origin_is_out_of_order_is_given_only_if_no_other_has_a_better_one() {
    let (first, backup) = (Origin::start().await, Origin::start().await);
    let fleet = fleet(vec![first.address, backup.address], |_| {}).await;
    first.set("/a", Page::new("first is down").status(503));
    backup.set("/a", Page::new("backup"));
    first.set("/b", Page::new("first is down").status(503));
    backup.set("/b", Page::new("backup is down").status(502));
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "backup"));
    let got = viewer.get(&format!("{DOMAIN}/b")).await;
    assert!([502, 503].contains(&got.status.as_u16()), "{got:?}");
    backup.set("/c", Page::new("nothing here").status(404));
    assert_eq!(viewer.get(&format!("{DOMAIN}/c")).await.status, 404, "another status is an answer");
}

#[tokio::test]
async fn an_origin_that_hangs_leaves_the_backup_its_share_of_the_time() {
    let (backup, mut first) = (Origin::start().await, RawOrigin::start(vec![Act::Hang]).await);
    backup.set("/a", Page::new("backup"));
    let short = |settings: &mut Settings| settings.origin_head_ms_max = Some(1_000);
    let both = fleet(vec![first.address, backup.address], short).await;
    assert_eq!(both.viewer(0).get(A).await.both(), ("MISS", "backup"));
    first.left.recv().await.unwrap();

    let only = fleet(vec![first.address], short).await;
    let asked = std::time::Instant::now();
    let got = only.viewer(0).get(A).await;
    assert_eq!(got.status, 504);
    assert!(got.text().contains("did not answer within 1s"), "{}", got.text());
    assert!(asked.elapsed() < Duration::from_secs(10), "no retry after the time for a head");
    assert_eq!(first.heads().len(), 2);
}

#[tokio::test]
async fn an_origin_that_falls_silent_is_given_up_after_the_domains_time() {
    let part = Act::WriteAndStay(format!("{OK}Content-Length: 200000\r\n\r\nthe beginning"));
    let origin = RawOrigin::start(vec![part, length("whole")]).await;
    let fleet = fleet(vec![origin.address], |settings| settings.origin_silence_ms_max = Some(300)).await;
    let asked = std::time::Instant::now();
    assert!(fleet.viewer(0).get(A).await.body.is_none());
    assert!(asked.elapsed() < Duration::from_secs(10), "the POP's own patience is 30 s");
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("MISS", "whole"));
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again_and_only_as_often_as_the_settings_say() {
    for (retries, method, closed, status, sent) in [
        (1, Method::GET, 1, 200, 2),
        (1, Method::HEAD, 1, 200, 2),
        (5, Method::GET, 5, 200, 6),
        (1, Method::GET, 2, 502, 2),
        (0, Method::GET, 1, 502, 1),
        (1, Method::POST, 1, 502, 1),
    ] {
        let mut acts = vec![Act::Close; closed];
        acts.push(length(if method == Method::HEAD { "" } else { "fine" }));
        let origin = RawOrigin::start(acts).await;
        let fleet = fleet(vec![origin.address], move |settings| settings.retries = retries).await;
        let got = fleet.viewer(0).send(method.clone(), A, &[], "").await;
        assert_eq!((got.status.as_u16(), origin.heads().len()), (status, sent), "{method} {retries}");
    }
}

#[tokio::test]
async fn a_cut_answer_is_never_stored_and_asked_for_again_while_the_viewer_has_nothing_of_it() {
    for cut in [
        format!("{OK}Content-Length: 10\r\n\r\nshort"),
        format!("{OK}Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"),
        format!("{OK}Transfer-Encoding: chunked\r\n\r\nzzz\r\nshort\r\n0\r\n\r\n"),
    ] {
        let origin = RawOrigin::start(vec![Act::Write(cut.clone()), length("whole")]).await;
        let fleet = fleet(vec![origin.address], |_| {}).await;
        // The viewer's connection breaks, unless the cut was seen before the head had gone out.
        let got = fleet.viewer(0).try_get(A).await;
        let body = got.as_ref().and_then(|got| got.body.as_deref());
        assert!(matches!(body, None | Some(b"whole")), "{cut}: {got:?}");
        assert_eq!(fleet.viewer(0).get(A).await.text(), "whole");
        assert_eq!(fleet.viewer(0).get(A).await.both(), ("HIT", "whole"));
    }
}

#[tokio::test]
async fn what_follows_the_length_of_an_answer_is_nobody_elses_answer() {
    let smuggled = format!("{OK}Content-Length: 8\r\n\r\nsmuggled");
    let act = Act::WriteAndStay(format!("{OK}Content-Length: 2\r\n\r\nok{smuggled}"));
    let (fleet, _origin, got) = asked_of(vec![act, length("second")]).await;
    assert_eq!(got.both(), ("MISS", "ok"));
    assert_eq!(fleet.viewer(0).get(&format!("{DOMAIN}/b")).await.both(), ("MISS", "second"));
}

#[tokio::test]
async fn answers_that_cannot_be_relied_on_are_refused_and_not_stored() {
    let fields: String = (0..300).map(|n| format!("X-{n}: y\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "y".repeat(128 << 10));
    for (answer, said) in [
        (format!("{OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "transfer coding is not known"),
        (
            format!("{OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            "transfer coding",
        ),
        (format!("{OK}Transfer-Encoding: xchunked\r\n\r\nfive5"), "transfer coding is not known"),
        (format!("{OK}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), "both a length"),
        (format!("{OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nfive5x"), "refused"),
        (format!("{OK}{fields}Content-Length: 5\r\n\r\nfive5"), "refused"),
        (format!("{OK}{large}Content-Length: 5\r\n\r\nfive5"), "refused"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into(), "unasked"),
        ("HTTP/1.1 abc\r\n\r\n".into(), "refused"),
        ("no HTTP at all\r\n\r\n".into(), "refused"),
    ] {
        let shown: String = answer.chars().take(200).collect();
        let (fleet, origin, got) = asked_of(vec![Act::Write(answer), length("fine")]).await;
        assert_eq!(got.status, 502, "{shown}: {got:?}");
        assert!(got.text().contains(said), "{shown}: {}", got.text());
        assert_eq!(origin.heads().len(), 1, "{shown}");
        assert_eq!(fleet.viewer(0).get(A).await.both(), ("MISS", "fine"), "{shown}");
    }
}

#[tokio::test]
async fn interim_answers_without_end_are_cut_off() {
    let hundred = "HTTP/1.1 100 Continue\r\n\r\n";
    let (fleet, mut origin, got) =
        asked_of(vec![Act::WriteForever(String::new(), hundred.into()), length("fine")]).await;
    assert_eq!(got.status, 502);
    assert!(got.text().contains("more than 100 interim answers"), "{}", got.text());
    origin.left.recv().await.unwrap();
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("MISS", "fine"));
    let few = format!("{}{OK}Content-Length: 4\r\n\r\nfine", hundred.repeat(100));
    let (_fleet, _origin, got) = asked_of(vec![Act::Write(few)]).await;
    assert_eq!(got.both(), ("MISS", "fine"));
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let (fleet, mut origin, got) = asked_of(vec![
        Act::WriteForever("HTTP/1.1 200 OK\r\n".into(), "X-More: and more of it\r\n".into()),
        length("fine"),
    ])
    .await;
    assert_eq!(got.status, 502, "{got:?}");
    origin.left.recv().await.unwrap();
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("MISS", "fine"));
}

#[tokio::test]
async fn a_redirect_elsewhere_is_an_answer_and_nothing_is_opened_there() {
    let elsewhere = RawOrigin::start(vec![length("elsewhere")]).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{}/x\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n",
        elsewhere.address
    );
    let (fleet, _origin, got) = asked_of(vec![Act::Write(redirect)]).await;
    assert_eq!(got.status, 302);
    assert_eq!(fleet.viewer(0).get(A).await.status, 302);
    assert!(elsewhere.heads().is_empty());
}
