//! P1 and P9 of each kind of rule: what it names is purged, on every POP and whatever is under way, and nothing else is.

use crate::faults::{MIB, fleet as fleet_of, part, version};
use crate::installation::{ACCOUNT, DOMAIN, Installation, Plan};
use crate::origin::Page;
use crate::part_origin::PartOrigin;
use crate::viewer::Viewer;
use freshen_control::SubmitRequest;
use freshen_model::domain::{QueryPolicy, Settings};
use freshen_model::location::Scheme;
use freshen_model::task::{Task, TaskKind};
use http_body_util::BodyExt;
use std::collections::BTreeSet;

const A: &str = "a.example/a";

/// What each kind names here, and what of [`PATHS`] that is.
const KINDS: [(TaskKind, &str, &[&str]); 6] = [
    (TaskKind::Url, "a.example/p/1.jpg?v=1", &["/p/1.jpg?v=1"]),
    (TaskKind::Directory, "a.example/p/", &["/p/1.jpg", "/p/1.jpg?v=1", "/p/x.jpg"]),
    (TaskKind::Query, "a.example/p/1.jpg", &["/p/1.jpg", "/p/1.jpg?v=1"]),
    (TaskKind::Regex, "a.example/.*/[0-9].jpg", &["/p/1.jpg", "/q/1.jpg"]),
    (TaskKind::Tag, "product 1", &["/p/1.jpg", "/q/1.jpg"]),
    (TaskKind::Host, "a.example", &PATHS),
];

const PATHS: [&str; 6] = ["/p/1.jpg", "/p/1.jpg?v=1", "/p/x.jpg", "/q/1.jpg", "/p", "/"];

fn page(path: &str) -> Page {
    let tags = if ["/p/1.jpg", "/q/1.jpg"].contains(&path) { "product 1, all" } else { "product 2, all" };
    Page::new(path.to_owned()).with("cache-tag", tags)
}

async fn purge(fleet: &Installation, kind: TaskKind, force: bool, line: &str) -> Task {
    let task = fleet.submit(kind, force, &[line]).await;
    fleet.ended(task).await
}

/// The paths that are no HIT, and the words for how they were answered.
async fn purged(viewer: &Viewer) -> (Vec<&'static str>, BTreeSet<String>) {
    let (mut paths, mut how) = (Vec::new(), BTreeSet::new());
    for path in PATHS {
        let got = viewer.get(&format!("{DOMAIN}{path}")).await;
        assert_eq!(got.text(), path);
        let x_cache = got.x_cache().unwrap();
        if x_cache != "HIT" {
            how.insert(x_cache.to_owned());
            paths.push(path);
        }
    }
    (paths, how)
}

#[tokio::test]
async fn p1_p9_each_kind_purges_what_it_names_on_every_pop_and_nothing_else() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    let viewers = [fleet.viewer(0), fleet.viewer(1)];
    PATHS.iter().for_each(|path| fleet.origin.set(path, page(path)));
    for viewer in &viewers {
        purged(viewer).await;
        assert_eq!(purged(viewer).await.0, [""; 0], "all is cached");
    }
    for force in [false, true] {
        for (kind, line, named) in KINDS {
            purge(&fleet, kind, force, line).await;
            let how = if force || kind == TaskKind::Url { "EXPIRED" } else { "REVALIDATED" };
            for viewer in &viewers {
                assert_eq!(
                    purged(viewer).await,
                    (named.to_vec(), BTreeSet::from([how.to_owned()])),
                    "{kind:?} {force}"
                );
                assert_eq!(purged(viewer).await.0, [""; 0], "{kind:?} {force}, once");
            }
        }
    }
}

/// What was fetched before the purge is purged after a restart too, with rules in the journal and after the sweep.
#[tokio::test]
async fn p1_p9_rules_of_each_kind_outlive_a_restart_and_the_sweep() {
    for sweep_interval_ms in [3_600_000, 20] {
        let mut fleet = Installation::start(Plan { sweep_interval_ms, ..Plan::default() }).await;
        for (kind, line, named) in KINDS {
            PATHS.iter().for_each(|path| fleet.origin.set(path, page(path)));
            purged(&fleet.viewer(0)).await;
            purge(&fleet, kind, true, line).await;
            if sweep_interval_ms == 20 {
                fleet.pops[0].metric_when("freshen_pop_rules", |rules| rules == 0.0).await;
            }
            fleet.pops[0].kill();
            fleet.pops[0].start();
            fleet.pops[0].ready().await;
            let viewer = fleet.viewer(0);
            // Where the rule is still in the journal, the sweep of the start may retire it now.
            assert_eq!(purged(&viewer).await.0, named, "{kind:?}");
            assert_eq!(purged(&viewer).await.0, [""; 0], "{kind:?}");
        }
    }
}

/// The purge comes while the origin has not answered; who asks after it waits for nobody who asked before it.
#[tokio::test]
async fn p1_no_kind_of_rule_lets_a_fill_be_joined_or_used_that_began_before() {
    for sweep in [false, true] {
        let plan = Plan {
            sweep_interval_ms: if sweep { 20 } else { 3_600_000 },
            sweep_patience_ms: 0,
            ..Plan::default()
        };
        let fleet = Installation::start(plan).await;
        let (viewer, path) = (fleet.viewer(0), "/p/1.jpg");
        let url = format!("{DOMAIN}{path}");
        for (kind, line, _) in KINDS {
            let line = if kind == TaskKind::Url { &url } else { line };
            fleet.origin.set(path, page(path));
            viewer.get(&url).await;
            purge(&fleet, TaskKind::Url, false, &url).await;
            let (early, held) = fleet.get_held(path).await;
            fleet.origin.set(path, Page::new("new").with("cache-tag", "product 1"));
            purge(&fleet, kind, false, line).await;
            if sweep {
                fleet.pops[0].metric_when("freshen_pop_rules", |rules| rules == 0.0).await;
            }
            // Had this request joined the older fill, it would wait for ever.
            assert_eq!(viewer.get(&url).await.text(), "new", "{kind:?}");
            held.answer();
            assert_eq!(early.await.unwrap().text(), path, "he asked before the purge");
            assert_eq!(viewer.get(&url).await.both(), ("HIT", "new"), "{kind:?}");
        }
    }
}

/// Nobody asks a second time here: what the slow fill brought is all there is, and is not used.
#[tokio::test]
async fn p1_what_a_fill_brings_late_is_purged_by_its_tag() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("old").with("cache-tag", "t"));
    let (early, held) = fleet.get_held("/a").await;
    purge(&fleet, TaskKind::Tag, false, "t").await;
    held.answer();
    assert_eq!(early.await.unwrap().text(), "old");
    fleet.origin.set("/a", Page::new("new"));
    assert_eq!(viewer.get(A).await.both(), ("EXPIRED", "new"));
}

/// Once the head is there its tags are known, and who may have what it brings need not fetch it again.
#[tokio::test]
async fn p9_a_fill_with_other_tags_is_joined_after_a_purge_by_tag() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("body").with("cache-tag", "u"));
    let held = fleet.origin.hold("/a");
    let early = tokio::spawn(async move { viewer.begin(A, &[]).await });
    let rest = held.await.unwrap().answer_part(2);
    let early = early.await.unwrap();
    purge(&fleet, TaskKind::Tag, true, "t").await;
    // Its head is here while the fill waits for the rest: it has joined, or asked the origin for itself.
    let late = fleet.viewer(0).begin(A, &[]).await;
    rest.send(()).unwrap();
    for answer in [early, late] {
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "body");
    }
    assert_eq!(fleet.origin.requests("/a").len(), 1);
}

/// A 304 adds tags and takes none away: the bytes are those that the old tags were given to.
#[tokio::test]
async fn p1_a_copy_is_purged_by_the_tags_of_old_and_of_every_304() {
    let mut fleet = Installation::start(Plan::default()).await;
    let tagged = |text: &str, tags: &str| Page::new(text.to_owned()).with("surrogate-key", tags);
    fleet.origin.set("/a", tagged("a", "one"));
    fleet.viewer(0).get(A).await;
    fleet.origin.set("/a", tagged("a", "two"));
    purge(&fleet, TaskKind::Directory, false, "a.example/").await;
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("REVALIDATED", "a"));
    fleet.pops[0].kill();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    let viewer = fleet.viewer(0);
    for tag in ["one", "two", "one"] {
        purge(&fleet, TaskKind::Tag, false, tag).await;
        assert_eq!(viewer.get(A).await.both(), ("REVALIDATED", "a"), "{tag}");
    }
    purge(&fleet, TaskKind::Tag, false, "three").await;
    assert_eq!(viewer.get(A).await.both(), ("HIT", "a"));
    // A new body has the tags that came with it.
    fleet.origin.set("/a", tagged("b", "two"));
    purge(&fleet, TaskKind::Tag, false, "two").await;
    assert_eq!(viewer.get(A).await.both(), ("EXPIRED", "b"));
    purge(&fleet, TaskKind::Tag, false, "one").await;
    assert_eq!(viewer.get(A).await.both(), ("HIT", "b"));
}

/// Two requests revalidate one copy at once; each 304 brings a tag, and neither undoes the other's.
#[tokio::test]
async fn p1_two_304s_at_once_add_the_tags_of_both() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    let stale = |tags: &str| Page::new("a").with("cache-control", "max-age=0").with("cache-tag", tags);
    fleet.origin.set("/a", stale("one"));
    viewer.get(A).await;
    fleet.origin.set("/a", stale("two"));
    let (first, first_held) = fleet.get_held("/a").await;
    fleet.origin.set("/a", stale("three"));
    let (second, second_held) = fleet.get_held_gzip("/a").await;
    first_held.answer();
    assert_eq!(first.await.unwrap().both(), ("REVALIDATED", "a"));
    second_held.answer();
    assert_eq!(second.await.unwrap().both(), ("REVALIDATED", "a"));
    purge(&fleet, TaskKind::Tag, true, "two").await;
    assert_eq!(viewer.get(A).await.both(), ("EXPIRED", "a"));
}

/// More tags than are kept are not forgotten: the copy is purged by any.
#[tokio::test]
async fn p1_a_copy_with_more_tags_than_are_kept_is_purged_by_each() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    let many: Vec<String> = (0..300).map(|tag| format!("t{tag}")).collect();
    fleet.origin.set("/a", Page::new("a").with("cache-tag", many.join(",")));
    viewer.get(A).await;
    assert_eq!(viewer.get(A).await.both(), ("HIT", "a"));
    for tag in ["t0", "t299"] {
        purge(&fleet, TaskKind::Tag, false, tag).await;
        assert_eq!(viewer.get(A).await.both(), ("REVALIDATED", "a"), "{tag}");
    }
}

/// A slice that comes later may bring a tag of its own; the body it belongs to is purged by it as a whole.
#[tokio::test]
async fn p1_a_body_is_purged_by_the_tag_of_each_of_its_slices() {
    let old = version('a');
    let origin = {
        let old = old.clone();
        PartOrigin::start(move |ask| old.honest(ask).with("cache-tag", format!("answer{}", ask.before)))
    };
    let origin = origin.await;
    let fleet = fleet_of(&origin, |_| {}).await;
    let viewer = fleet.viewer(0);
    for first in [0, 3 * MIB] {
        let range = format!("bytes={first}-{}", first + 99);
        assert_eq!(part(&viewer, "/a", &range).await.x_cache(), Some("MISS"));
        assert_eq!(part(&viewer, "/a", &range).await.x_cache(), Some("HIT"));
    }
    purge(&fleet, TaskKind::Tag, true, "nothing").await;
    assert_eq!(part(&viewer, "/a", "bytes=0-99").await.x_cache(), Some("HIT"));
    purge(&fleet, TaskKind::Tag, true, "answer1").await;
    assert_eq!(part(&viewer, "/a", "bytes=0-99").await.x_cache(), Some("EXPIRED"));
}

#[tokio::test]
async fn p9_a_purge_without_the_query_knows_domains_that_ignore_it() {
    let settings = |settings| Settings { query: QueryPolicy::Ignore, ..settings };
    let fleet = Installation::start(Plan { settings: Box::new(settings), ..Plan::default() }).await;
    let viewer = fleet.viewer(0);
    fleet.origin.set("/a", Page::new("a"));
    assert_eq!(viewer.get("a.example/a?x=1").await.x_cache(), Some("MISS"));
    assert_eq!(viewer.get("a.example/a?x=2").await.x_cache(), Some("HIT"));
    purge(&fleet, TaskKind::Query, false, A).await;
    assert_eq!(viewer.get("a.example/a?x=3").await.x_cache(), Some("REVALIDATED"));
}

/// Tags are for the cache: viewers get them only where the domain says so, by which way ever an answer comes.
#[tokio::test]
async fn tags_are_not_shown_to_viewers_unless_the_domain_says_so() {
    for show_tags in [false, true] {
        let settings = move |settings| Settings { show_tags, ..settings };
        let fleet = Installation::start(Plan { settings: Box::new(settings), ..Plan::default() }).await;
        let viewer = fleet.viewer(0);
        let shown = show_tags.then_some("t");
        fleet.origin.set("/a", Page::new("a").with("cache-tag", "t"));
        let uncached = Page::new("b").with("surrogate-key", "t").with("cache-control", "no-store");
        fleet.origin.set("/b", uncached);
        for x_cache in ["MISS", "HIT"] {
            let got = viewer.get(A).await;
            assert_eq!((got.x_cache(), got.header("cache-tag")), (Some(x_cache), shown));
        }
        assert_eq!(viewer.get("a.example/b").await.header("surrogate-key"), shown);
    }
}

/// A tag is purged in the domains of the account: in those that are named, else in all; a host with all that shares its
/// cache.
#[tokio::test]
async fn p8_p9_tags_and_hosts_stay_within_their_account_and_cache_space() {
    let fleet = Installation::start(Plan::default()).await;
    let settings = || Settings::of_origin(format!("http://{}", fleet.origin.address).parse().unwrap());
    fleet.control.add_account("other", false).await.unwrap();
    fleet.control.add_domain("other", "other.example", &settings()).await.unwrap();
    fleet.control.add_domain(ACCOUNT, "b.example", &settings()).await.unwrap();
    let shared = Settings { share_cache: Some(DOMAIN.into()), ..settings() };
    fleet.control.add_domain(ACCOUNT, "shared.example", &shared).await.unwrap();
    // Settings are known at the POP once what comes after them is.
    fleet.purge(&["a.example/else"]).await;
    fleet.origin.set("/a", Page::new("a").with("cache-tag", "t"));
    let viewer = fleet.viewer(0);
    let answers = async || {
        let mut answers = Vec::new();
        for host in [DOMAIN, "b.example", "other.example"] {
            answers.push(viewer.get(&format!("{host}/a")).await.x_cache().unwrap().to_owned());
        }
        answers
    };
    assert_eq!(answers().await, ["MISS", "MISS", "MISS"]);
    purge(&fleet, TaskKind::Tag, false, "t").await;
    assert_eq!(answers().await, ["REVALIDATED", "REVALIDATED", "HIT"]);
    let request = SubmitRequest {
        kind: TaskKind::Tag,
        force: false,
        soft: false,
        area: None,
        lines: vec!["t".into()],
        domains: vec!["b.example".into()],
        scheme: Scheme::Required,
        follow: None,
    };
    let task = fleet.control.submit(ACCOUNT, request).await.unwrap().task;
    fleet.ended(task).await;
    assert_eq!(answers().await, ["HIT", "REVALIDATED", "HIT"]);
    purge(&fleet, TaskKind::Host, true, "shared.example").await;
    assert_eq!(answers().await, ["EXPIRED", "HIT", "HIT"]);
}
