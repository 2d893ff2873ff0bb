//! P7 for the fleet: an object's home POP asks the origin for all. And P1 and P3 on that way: whatever is behind, cut off,
//! killed or told otherwise, nothing old comes by it, and nobody waits for ever.

use crate::crossing::Crossing;
use crate::installation::{DOMAIN, Installation, Plan};
use crate::large_origin::{LargeOrigin, bytes};
use crate::origin::Page;
use crate::peers::Twist;
use crate::viewer::{Got, Viewer};
use freshen_model::domain::{Home, Settings};
use freshen_model::peers::Peers;
use freshen_model::task::{StepState, TaskKind};
use futures_util::future::join_all;
use http::Method;
use http_body_util::BodyExt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const A: &str = "a.example/a";

/// Three POPs that answer each other; each object's home is any of them.
fn fleet() -> Plan {
    Plan { pops: 3, homes: true, ..Plan::default() }
}

/// Two POPs, of which the first is the home of all objects.
fn shield() -> Plan {
    let settings = |settings| Settings { home: Home::Pop("pop-1".parse().unwrap()), ..settings };
    Plan { pops: 2, homes: true, settings: Box::new(settings), ..Plan::default() }
}

#[tokio::test]
async fn p7_misses_of_all_pops_at_once_cost_the_origin_one_fetch() {
    let fleet = Installation::start(fleet()).await;
    let viewers: Vec<_> = (0..3).map(|pop| fleet.viewer(pop)).collect();
    for turn in 0..30 {
        let path = format!("/a/{turn}");
        fleet.origin.set(&path, Page::new(vec![b'x'; 1_500_000]));
        let url = format!("{DOMAIN}{path}");
        let all = join_all(viewers.iter().chain(&viewers).map(|viewer| viewer.get(&url))).await;
        assert!(all.iter().all(|got| got.size() == 1_500_000 && got.x_cache() == Some("MISS")));
        assert_eq!(fleet.origin.requests(&path).len(), 1, "turn {turn}");
        for viewer in &viewers {
            assert_eq!(viewer.get(&url).await.x_cache(), Some("HIT"), "each POP keeps its own copy");
        }
    }
    for pop in &fleet.pops {
        assert!(pop.metric("freshen_pop_origin_requests_total").await > 0.0, "{} is nobody's home", pop.name);
    }
}

#[tokio::test]
async fn p7_a_prefetch_to_all_pops_costs_the_origin_one_fetch() {
    let fleet = Installation::start(fleet()).await;
    fleet.origin.set("/a", Page::new(vec![b'x'; 5_000_000]));
    fleet.prefetch(&[A]).await;
    assert_eq!(fleet.origin.requests("/a").len(), 1);
    for pop in 0..3 {
        let got = fleet.viewer(pop).get(A).await;
        assert_eq!((got.x_cache(), got.size()), (Some("HIT"), 5_000_000));
    }
}

#[tokio::test]
async fn p7_a_body_is_handed_on_while_it_arrives() {
    let fleet = Installation::start(shield()).await;
    fleet.origin.set("/a", Page::new(vec![b'x'; 600_000]));
    let held = fleet.origin.hold("/a");
    let viewer = fleet.viewer(1);
    let begun = tokio::spawn(async move { viewer.begin(A, &[]).await });
    let rest = held.await.unwrap().answer_part(100_000);
    let mut body = begun.await.unwrap();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(!first.is_empty(), "while the origin has the rest");
    rest.send(()).unwrap();
    let others = body.collect().await.unwrap().to_bytes();
    assert_eq!(first.len() + others.len(), 600_000);
}

/// "Purge twice" of others: once to the edge, once to the shield, in the right order.
#[tokio::test]
async fn p1_a_purge_need_not_be_made_twice() {
    let fleet = Installation::start(fleet()).await;
    let paths: Vec<_> = (0..12).map(|number| format!("/d/{number}")).collect();
    for round in 0..6 {
        for path in &paths {
            fleet.origin.set(path, Page::new(format!("{path} in round {round}")));
        }
        if round > 0 {
            fleet.purge_directory("a.example/d/", round % 2 == 1).await;
        }
        let before: Vec<_> = paths.iter().map(|path| fleet.origin.requests(path).len()).collect();
        let asking = paths.iter().flat_map(|path| (0..3).map(move |pop| (path, pop))).map(|(path, pop)| {
            let (viewer, url) = (fleet.viewer(pop), format!("{DOMAIN}{path}"));
            async move { (path, pop, viewer.get(&url).await) }
        });
        for (path, pop, got) in join_all(asking).await {
            assert_eq!(got.text(), format!("{path} in round {round}"), "POP {pop}");
        }
        for (path, before) in paths.iter().zip(before) {
            assert_eq!(fleet.origin.requests(path).len(), before + 1, "{path} in round {round}");
        }
    }
}

#[tokio::test]
async fn p7_a_revalidation_by_the_home_serves_all() {
    let fleet = Installation::start(Plan { pops: 3, ..shield() }).await;
    fleet.origin.set("/d/a", Page::new("same"));
    for pop in 0..3 {
        assert_eq!(fleet.viewer(pop).get("a.example/d/a").await.both(), ("MISS", "same"));
    }
    fleet.purge_directory("a.example/d/", false).await;
    for pop in [2, 1] {
        let got = fleet.viewer(pop).get("a.example/d/a").await;
        assert_eq!(got.both(), ("REVALIDATED", "same"), "POP {pop}");
        assert_eq!(fleet.viewer(pop).get("a.example/d/a").await.both(), ("HIT", "same"));
    }
    assert_eq!(
        fleet.viewer(0).get("a.example/d/a").await.both(),
        ("HIT", "same"),
        "the home has asked already"
    );
    let requests = fleet.origin.requests("/d/a");
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].status, 304);
}

/// The home has not heard of the purge, and still holds a lease.
#[tokio::test]
async fn p1_a_home_that_lags_is_not_asked_for_old_bytes() {
    let fleet = Installation::start(Plan { own_lines: true, ..shield() }).await;
    fleet.origin.set("/a", Page::new("old"));
    assert_eq!(fleet.viewer(1).get(A).await.both(), ("MISS", "old"));
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("HIT", "old"), "the home has it");
    fleet.lines[0].cut();
    fleet.origin.set("/a", Page::new("new"));
    let task = fleet.submit(TaskKind::Url, false, &[A]).await;
    let confirmed = |step: &freshen_model::task::Step| matches!(step.state, StepState::Confirmed { .. });
    fleet
        .task_when(task, |task| task.pops.iter().any(|step| step.pop.as_str() == "pop-2" && confirmed(step)))
        .await;
    assert_eq!(fleet.viewer(1).get(A).await.text(), "new");
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("HIT", "old"), "it lags indeed");
    assert_eq!(fleet.pops[0].metric("freshen_pop_peer_answers_total{outcome=\"behind\"}").await, 1.0);
    assert_eq!(fleet.viewer(1).get(A).await.both(), ("HIT", "new"));
}

/// Whoever is said to be alive, with or without being heard.
fn always_alive() -> Twist {
    Arc::new(|_, mut peers: Peers| {
        peers.peers.iter_mut().for_each(|peer| peer.alive = true);
        peers
    })
}

#[tokio::test]
async fn p3_without_a_lease_no_home_answers_and_nobody_asks_one() {
    let plan = Plan { own_lines: true, lease_ms: 2_000, twist: Some(always_alive()), ..shield() };
    let fleet = Installation::start(plan).await;
    fleet.origin.set("/a", Page::new("old"));
    fleet.viewer(0).get(A).await;
    fleet.lines[0].cut();
    fleet.pops[0].metric_when("freshen_pop_leased", |leased| leased == 0.0).await;
    fleet.origin.set("/a", Page::new("new"));
    assert_eq!(fleet.viewer(1).get(A).await.both(), ("MISS", "new"));
    assert_eq!(fleet.pops[0].metric("freshen_pop_peer_answers_total{outcome=\"no_lease\"}").await, 1.0);
    // Now the asker has none either.
    fleet.lines[1].cut();
    fleet.pops[1].metric_when("freshen_pop_leased", |leased| leased == 0.0).await;
    let asked = fleet.pops[1].metric("freshen_pop_peer_requests_total").await;
    fleet.origin.set("/b", Page::new("b"));
    assert_eq!(fleet.viewer(1).get("a.example/b").await.both(), ("MISS", "b"));
    assert_eq!(fleet.pops[1].metric("freshen_pop_peer_requests_total").await, asked);
}

/// What another POP delivered is not the origin's word: without a lease it is not used unasked.
#[tokio::test]
async fn p3_a_copy_from_a_home_is_not_used_without_a_lease() {
    let plan = Plan { own_lines: true, lease_ms: 2_000, ..shield() };
    let fleet = Installation::start(plan).await;
    fleet.origin.set("/a", Page::new("old"));
    fleet.viewer(1).get("a.example/else").await;
    fleet.lines[1].cut();
    // As late as it may be: younger than a lease time when the lease ends.
    fleet.viewer(1).get(A).await;
    assert_eq!(fleet.pops[1].metric("freshen_pop_peer_requests_total{outcome=\"answered\"}").await, 2.0);
    fleet.pops[1].metric_when("freshen_pop_leased", |leased| leased == 0.0).await;
    let before = fleet.origin.requests("/a").len();
    assert_eq!(fleet.viewer(1).get(A).await.both(), ("REVALIDATED", "old"));
    assert_eq!(fleet.origin.requests("/a").len(), before + 1);
}

/// Each is told that the other alone can be asked, as two POPs may be for a moment while one comes or goes.
fn each_others_home() -> Plan {
    let twist: Twist = Arc::new(|_, peers| Peers { asked: false, ..peers });
    Plan { pops: 2, homes: true, twist: Some(twist), ..Plan::default() }
}

#[tokio::test]
async fn p7_two_pops_as_each_others_home_do_not_wait_for_each_other() {
    let fleet = Installation::start(each_others_home()).await;
    let began = Instant::now();
    for turn in 0..20 {
        let path = format!("/a/{turn}");
        fleet.origin.set(&path, Page::new(vec![b'x'; 300_000]));
        let url = format!("{DOMAIN}{path}");
        let viewers = [fleet.viewer(0), fleet.viewer(1)];
        let both = join_all(viewers.iter().map(|viewer| viewer.get(&url))).await;
        assert!(both.iter().all(|got| got.size() == 300_000));
        assert!((1..=2).contains(&fleet.origin.requests(&path).len()));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

const MIB: u64 = 1 << 20;

fn of_large(origin: &LargeOrigin, home: Home, plan: Plan) -> Plan {
    let address = origin.address;
    let settings = move |_| {
        let settings = Settings::of_origin(format!("http://{address}").parse().unwrap());
        Settings { home, ..settings }
    };
    Plan { settings: Box::new(settings), ..plan }
}

fn first_pop() -> Home {
    Home::Pop("pop-1".parse().unwrap())
}

async fn part(viewer: &Viewer, wanted: Range<u64>) -> Got {
    let asked = format!("bytes={}-{}", wanted.start, wanted.end - 1);
    let got = viewer.send(Method::GET, A, &[("range", &asked)], "").await;
    assert_eq!(got.status, 206);
    assert!(*got.body.as_ref().expect("the body broke off") == bytes(1, wanted));
    got
}

/// The same for what is missing of a large body that both have begun.
#[tokio::test]
async fn p7_two_pops_that_miss_the_same_slices_do_not_wait_for_each_other() {
    let origin = LargeOrigin::start(200 * MIB).await;
    let crossing = Crossing::between(["pop-1", "pop-2"]).await;
    let plan = Plan { twist: Some(crossing.twist()), ..each_others_home() };
    let fleet = Installation::start(of_large(&origin, Home::Fleet, plan)).await;
    let viewers = [fleet.viewer(0), fleet.viewer(1)];
    let began = Instant::now();
    for slice in [0, 30, 70, 50, 10, 90, 20, 60, 150] {
        crossing.next_together();
        join_all(viewers.iter().map(|viewer| part(viewer, slice * MIB..slice * MIB + 99_999))).await;
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn p7_parts_of_a_large_file_come_by_way_of_the_home_and_no_more_of_it() {
    let origin = LargeOrigin::start(1_024 * MIB).await;
    let fleet = Installation::start(of_large(&origin, first_pop(), shield())).await;
    let wanted = 700 * MIB + 5..700 * MIB + 300_000;
    assert_eq!(part(&fleet.viewer(1), wanted.clone()).await.x_cache(), Some("MISS"));
    assert_eq!((origin.sent(), origin.requests()), (MIB, 1));
    assert_eq!(part(&fleet.viewer(1), wanted.clone()).await.x_cache(), Some("HIT"));
    assert_eq!(part(&fleet.viewer(0), wanted).await.x_cache(), Some("HIT"), "the home kept it, too");
    // What the home has not yet of it, it asks for; what it has, it does not.
    part(&fleet.viewer(1), 900 * MIB + 7..900 * MIB + 8).await;
    part(&fleet.viewer(0), 100 * MIB..100 * MIB + 1).await;
    part(&fleet.viewer(1), 100 * MIB..100 * MIB + 1).await;
    assert_eq!((origin.sent(), origin.requests()), (3 * MIB, 3));
    // The viewer has his part before the last slice is here.
    fleet.pops[1].metric_when("freshen_pop_peer_bytes_total", |bytes| bytes == 3.0 * MIB as f64).await;
    assert_eq!(fleet.pops[1].metric("freshen_pop_origin_requests_total").await, 0.0);
}

#[tokio::test]
async fn p7_a_home_that_dies_in_the_middle_of_a_body_is_replaced_by_the_origin() {
    let origin = LargeOrigin::start(300 * MIB).await;
    let mut fleet = Installation::start(of_large(&origin, first_pop(), shield())).await;
    let mut body = fleet.viewer(1).begin(A, &[]).await;
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let chunk = frame.expect("it goes on").into_data().unwrap();
        let end = at + chunk.len() as u64;
        assert!(chunk == bytes(1, at..end), "at {at}");
        if at < 20 * MIB && end >= 20 * MIB {
            fleet.pops[0].kill();
        }
        at = end;
    }
    assert_eq!(at, 300 * MIB);
    assert!(fleet.pops[1].metric("freshen_pop_origin_requests_total").await >= 1.0);
}

/// It takes connections, and says nothing.
#[tokio::test]
async fn p7_a_home_that_is_paused_is_soon_not_waited_for() {
    let fleet = Installation::start(Plan { twist: Some(always_alive()), ..shield() }).await;
    fleet.origin.set("/a", Page::new("a"));
    fleet.origin.set("/b", Page::new("b"));
    fleet.pops[0].pause();
    let began = Instant::now();
    assert_eq!(fleet.viewer(1).get(A).await.both(), ("MISS", "a"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let again = Instant::now();
    assert_eq!(fleet.viewer(1).get("a.example/b").await.both(), ("MISS", "b"));
    assert!(again.elapsed() < Duration::from_millis(900), "{:?}", again.elapsed());
    fleet.pops[0].resume();
}

/// An origin that takes its time is no reason to ask it twice.
#[tokio::test]
async fn p7_a_home_that_waits_for_the_origin_is_waited_for() {
    let fleet = Installation::start(shield()).await;
    fleet.origin.set("/a", Page::new("late"));
    let held = fleet.origin.hold("/a");
    let viewer = fleet.viewer(1);
    let asking = tokio::spawn(async move { viewer.get(A).await });
    let held = held.await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await; // tidy: allow-sleep, the origin's slowness itself is what is tested
    held.answer();
    assert_eq!(asking.await.unwrap().both(), ("MISS", "late"));
    assert_eq!(fleet.origin.requests("/a").len(), 1);
}

#[tokio::test]
async fn what_an_origin_says_reaches_viewers_by_way_of_the_home() {
    let fleet = Installation::start(shield()).await;
    let targeted = Page::new("t").with("cache-control", "no-store").with("cdn-cache-control", "max-age=60");
    fleet.origin.set("/targeted", targeted);
    let got = fleet.viewer(1).get("a.example/targeted").await;
    assert_eq!(
        (got.header("cache-control"), got.header("cdn-cache-control")),
        (Some("no-store"), Some("max-age=60"))
    );
    assert_eq!(fleet.viewer(1).get("a.example/targeted").await.both(), ("HIT", "t"));
    // What is for nobody else is fetched for each, and the cookie is his.
    fleet
        .origin
        .set("/private", Page::new("yours").with("cache-control", "private").with("set-cookie", "a=b"));
    for number in 1..=3 {
        let got = fleet.viewer(1).get("a.example/private").await;
        assert_eq!((got.both(), got.header("set-cookie")), (("MISS", "yours"), Some("a=b")));
        assert_eq!(fleet.origin.requests("/private").len(), number);
    }
    fleet.origin.set("/gone", Page::new("gone").status(410));
    let got = fleet.viewer(1).get("a.example/gone").await;
    assert_eq!((got.status.as_u16(), got.text()), (410, "gone"));
    // Two variants, each from one fetch.
    fleet.origin.set("/v", Page::new("plain").gzip("GZIP"));
    for pop in [1, 0] {
        assert_eq!(fleet.viewer(pop).get("a.example/v").await.text(), "plain");
        assert_eq!(fleet.viewer(pop).get_gzip("a.example/v").await.text(), "GZIP");
    }
    assert_eq!(fleet.origin.requests("/v").len(), 2);
    // Nobody's own header is what POPs say to each other.
    let got = fleet.viewer(1).get("a.example/v").await;
    assert!(got.headers.keys().all(|name| !name.as_str().starts_with("freshen-")), "{:?}", got.headers);
    let status = got.header("cache-status").unwrap().to_owned();
    assert!(!status.is_empty());
    assert!(got.header("via").is_some());
}

/// A copy is as old here as it was there.
#[tokio::test]
async fn an_age_is_passed_on_and_counted() {
    let fleet = Installation::start(shield()).await;
    fleet.origin.set("/a", Page::new("a").with("age", "50").with("cache-control", "max-age=60"));
    fleet.viewer(0).get(A).await;
    let got = fleet.viewer(1).get(A).await;
    let age: u64 = got.header("age").unwrap().parse().unwrap();
    assert!((50..55).contains(&age), "{age}");
    assert_eq!(fleet.origin.requests("/a").len(), 1);
}

#[tokio::test]
async fn p1_a_write_through_one_pop_is_not_hidden_by_the_copy_of_the_home() {
    let fleet = Installation::start(shield()).await;
    fleet.origin.set("/a", Page::new("before"));
    for pop in [1, 0] {
        fleet.viewer(pop).get(A).await;
    }
    assert_eq!(fleet.viewer(1).send(Method::POST, A, &[], "change").await.x_cache(), Some("BYPASS"));
    fleet.origin.set("/a", Page::new("after"));
    assert_eq!(fleet.viewer(1).get(A).await.both(), ("MISS", "after"));
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("HIT", "after"), "the home has learned of it so");
}

/// What strangers may try at the listener for other POPs.
#[tokio::test]
async fn p8_strangers_and_repeated_requests_are_refused_by_a_home() {
    // Between the asker and its home: somebody who listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tapped = listener.local_addr().unwrap().to_string();
    let twist: Twist = Arc::new(move |pop, mut peers: Peers| {
        if pop.as_str() == "pop-2" {
            peers.peers.iter_mut().for_each(|peer| peer.address = Some(tapped.clone()));
        }
        peers
    });
    let fleet = Installation::start(Plan { twist: Some(twist), ..shield() }).await;
    fleet.origin.set("/a", Page::new("a"));
    let home = fleet.pops[0].peer_address().to_owned();
    let heard = tokio::spawn({
        let home = home.clone();
        async move {
            let (mut asker, _) = listener.accept().await.unwrap();
            let mut heard = vec![0; 65_536];
            let count = asker.read(&mut heard).await.unwrap();
            heard.truncate(count);
            let mut line = tokio::net::TcpStream::connect(home).await.unwrap();
            line.write_all(&heard).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut asker, &mut line).await });
            heard
        }
    });
    let viewer = fleet.viewer(1);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "a"));
    assert_eq!(fleet.origin.requests("/a").len(), 1);
    assert_eq!(fleet.pops[1].metric("freshen_pop_peer_requests_total{outcome=\"answered\"}").await, 1.0);
    fleet.pops[0]
        .metric_when("freshen_pop_peer_answers_total{outcome=\"answered\"}", |count| count == 1.0)
        .await;
    let status = |request: String| {
        let home = home.clone();
        async move {
            let mut line = tokio::net::TcpStream::connect(home).await.unwrap();
            line.write_all(request.as_bytes()).await.unwrap();
            let mut answer = vec![0; 65_536];
            let count = line.read(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
            assert!(!answer.contains("freshen-checked") || answer.starts_with("HTTP/1.1 200"));
            answer.split(' ').nth(1).unwrap().to_owned()
        }
    };
    let heard = String::from_utf8(heard.await.unwrap()).unwrap();
    assert!(heard.starts_with("GET /a HTTP/1.1\r\n"), "{heard}");
    assert_eq!(status(heard.clone()).await, "403", "a request is answered once");
    assert_eq!(status("GET /a HTTP/1.1\r\nhost: a.example\r\n\r\n".into()).await, "403");
    let number = |heard: &str, by: fn(u64) -> u64| {
        let line = heard.lines().find(|line| line.starts_with("freshen-ask: ")).unwrap();
        let mut words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        words[5] = by(words[5].parse().unwrap()).to_string();
        heard.replace(line, &words.join(" "))
    };
    assert_eq!(status(number(&heard, |number| number + 1)).await, "403", "no number but its own");
    assert_eq!(status(heard.replace("GET /a ", "GET /b ")).await, "403", "no other object");
    assert_eq!(status(heard.replace("host: a.example", "host: b.example")).await, "403", "no other domain");
    assert_eq!(fleet.origin.all().len(), 1);
}

/// Who was removed is named to nobody, and answers nobody.
#[tokio::test]
async fn p8_a_pop_that_was_removed_asks_nobody_and_is_asked_by_nobody() {
    let fleet = Installation::start(fleet()).await;
    fleet.control.remove_pop(&"pop-3".parse().unwrap()).await.unwrap();
    for pop in [0, 1] {
        fleet.pops[pop].metric_when("freshen_pop_peers", |peers| peers == 1.0).await;
    }
    fleet.pops[2].metric_when("freshen_pop_peers", |peers| peers == 0.0).await;
    for number in 0..20 {
        let path = format!("/{number}");
        fleet.origin.set(&path, Page::new("x"));
        for pop in 0..3 {
            assert_eq!(fleet.viewer(pop).get(&format!("{DOMAIN}{path}")).await.text(), "x");
        }
        assert_eq!(fleet.origin.requests(&path).len(), 2, "one by the home of the two, one by the third");
    }
    assert_eq!(fleet.pops[2].metric("freshen_pop_peer_requests_total").await, 0.0);
    assert_eq!(fleet.pops[2].metric("freshen_pop_peer_answers_total").await, 0.0);
}

#[tokio::test]
async fn a_domain_may_have_no_home() {
    let settings = |settings| Settings { home: Home::Off, ..settings };
    let fleet = Installation::start(Plan { settings: Box::new(settings), ..fleet() }).await;
    fleet.origin.set("/a", Page::new("a"));
    for pop in 0..3 {
        assert_eq!(fleet.viewer(pop).get(A).await.both(), ("MISS", "a"));
    }
    assert_eq!(fleet.origin.requests("/a").len(), 3);
}

/// A 304 takes no tag away from a copy, and so no tag from the copies that are made of it.
#[tokio::test]
async fn p1_a_copy_from_a_home_has_all_tags_of_its_version() {
    let fleet = Installation::start(shield()).await;
    fleet.origin.set("/a", Page::new("same").with("cache-tag", "first"));
    fleet.viewer(0).get(A).await;
    fleet.origin.set("/a", Page::new("same").with("cache-tag", "second"));
    fleet.purge_directory("a.example/", false).await;
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("REVALIDATED", "same"));
    let got = fleet.viewer(1).get(A).await;
    assert_eq!((got.both(), got.header("cache-tag")), (("MISS", "same"), None));
    fleet.origin.set("/a", Page::new("new"));
    for tag in ["first", "second"] {
        let task = fleet.submit(TaskKind::Tag, true, &[tag]).await;
        fleet.ended(task).await;
        let got = fleet.viewer(1).get(A).await;
        assert_eq!(got.text(), "new", "purged by the tag {tag}");
    }
}

/// The home has another version than the one of which the asker misses a part: the origin says which one is good.
#[tokio::test]
async fn p7_a_home_with_an_older_version_does_not_break_a_body() {
    let origin = LargeOrigin::start(500 * MIB).await;
    let plan = Plan { twist: Some(always_alive()), ..shield() };
    let fleet = Installation::start(of_large(&origin, first_pop(), plan)).await;
    part(&fleet.viewer(0), 0..1_000).await;
    fleet.pops[0].pause();
    origin.change();
    let newer = async |at: u64| {
        let asked = format!("bytes={at}-{}", at + 999);
        let got = fleet.viewer(1).send(Method::GET, A, &[("range", &asked)], "").await;
        assert!(*got.body.as_ref().expect("the body broke off") == bytes(2, at..at + 1_000), "at {at}");
    };
    newer(0).await;
    fleet.pops[0].resume();
    // Until the asker asks its home again.
    let mut slice = 3;
    while fleet.pops[0].metric("freshen_pop_peer_answers_total{outcome=\"answered\"}").await == 0.0 {
        newer(slice * MIB).await;
        slice += 1;
        assert!(slice < 499, "it is not asked again");
        tokio::time::sleep(Duration::from_millis(50)).await; // tidy: allow-sleep, the asker leaves its home in peace for a while
    }
}
