//! Dry runs: what a purge would match is what it then matches, and looking changes nothing.

use crate::installation::{ACCOUNT, Installation, Plan};
use crate::origin::Page;
use freshen_control::{DryRun, SubmitError, SubmitRequest};
use freshen_model::location::Scheme;
use freshen_model::task::TaskKind;

fn request(kind: TaskKind, force: bool, lines: &[&str]) -> SubmitRequest {
    let lines = lines.iter().map(|line| format!("http://a.example{line}")).collect();
    let (soft, area, domains) = (false, None, Vec::new());
    SubmitRequest { kind, force, soft, area, lines, domains, scheme: Scheme::Required, follow: None }
}

async fn try_out(fleet: &Installation, kind: TaskKind, force: bool, lines: &[&str]) -> DryRun {
    fleet.control.dry_run(ACCOUNT, request(kind, force, lines)).await.unwrap()
}

async fn start(plan: Plan) -> Installation {
    let fleet = Installation::start(plan).await;
    for (path, seconds) in [("/d/a", 1_000), ("/d/e/b", 3_000), ("/dd/c", 2_000)] {
        let age = format!("max-age={seconds}");
        fleet.origin.set(path, Page::new("0123456789").with("cache-control", age));
    }
    fleet.origin.set("/d/zip", Page::new("plain").gzip("zipped").without("etag"));
    fleet.origin.set("/d/stale", Page::new("old").with("cache-control", "max-age=0"));
    fleet.origin.set("/d/large", Page::new(vec![b'x'; 3 << 20]));
    fleet
}

#[tokio::test]
async fn a_dry_run_finds_what_the_purge_then_finds_and_changes_nothing() {
    let fleet =
        start(Plan { pops: 2, sweep_interval_ms: 200, sweep_patience_ms: 0, ..Plan::default() }).await;
    let viewer = fleet.viewer(0);
    for path in ["/d/a", "/d/a", "/d/a", "/d/e/b", "/dd/c", "/d/zip", "/d/stale", "/d/large"] {
        viewer.get(&format!("a.example{path}")).await;
    }
    viewer.get_gzip("a.example/d/zip").await;
    let (asked, end) = (fleet.origin.all().len(), fleet.control.log_end());
    let quota = fleet.control.quota(ACCOUNT).await.unwrap();

    let run = try_out(&fleet, TaskKind::Directory, false, &["/d/", "/d/e/"]).await;
    let (here, there) = (run.pops[0].found.as_ref().unwrap(), run.pops[1].found.as_ref().unwrap());
    assert_eq!((here.objects, here.copies, here.whole), (5, 6, true));
    assert!(here.bytes >= (3 << 20) + 10 + 10 + 5 + 6 + 3, "{}", here.bytes);
    assert!(here.share() > 0.9 && here.share() <= 1.0, "{}", here.share());
    assert_eq!((there.objects, there.bytes, run.all.objects), (0, 0, 5));
    assert_eq!(here.stale, 1);
    assert!((900..=1_000).contains(&here.first_expires_s.unwrap()), "{here:?}");
    assert!(here.last_expires_s.unwrap() > 80_000, "the large one: {here:?}");
    // Two copies without validators cost their bodies, the others a question.
    assert_eq!((here.cost.requests, here.cost.conditional, here.cost.bytes), (6, 4, 5 + 6));
    assert_eq!(here.cost.bytes_if_changed, 10 + 10 + 3 + (3 << 20));
    assert_eq!(
        (here.cost_soon.requests, here.cost_soon.conditional),
        (3, 1),
        "of /d/a, which was asked for again, and of both copies of /d/zip"
    );
    assert_eq!(here.hottest[0].url, "a.example/d/a");
    assert_eq!(here.hottest.len(), 5);

    let forced = try_out(&fleet, TaskKind::Directory, true, &["/d/"]).await;
    assert_eq!((forced.all.cost.conditional, forced.all.cost.bytes), (0, 10 + 10 + 3 + 11 + (3 << 20)));
    let urls = try_out(&fleet, TaskKind::Url, false, &["/d/a", "/d/a", "/dd/c", "/none"]).await;
    assert_eq!((urls.all.objects, urls.all.bytes, urls.all.looked_at), (2, 20, 2));

    assert_eq!((fleet.origin.all().len(), fleet.control.log_end()), (asked, end));
    assert_eq!(fleet.control.quota(ACCOUNT).await.unwrap(), quota);
    assert_eq!(viewer.get("a.example/d/a").await.x_cache(), Some("HIT"));

    // And now in earnest.
    fleet.purge_directory("a.example/d/", true).await;
    fleet.pops[0].metric_when("freshen_pop_swept_total", |swept| swept == 6.0).await;
    let again = try_out(&fleet, TaskKind::Directory, false, &["/d/"]).await;
    assert_eq!((again.all.objects, again.all.whole), (0, true));
}

#[tokio::test]
async fn what_is_purged_already_is_not_counted_and_who_does_not_answer_is_named() {
    let mut fleet = start(Plan { pops: 2, ..Plan::default() }).await;
    for path in ["a.example/d/a", "a.example/d/e/b"] {
        fleet.viewer(0).get(path).await;
    }
    fleet.purge(&["a.example/d/a"]).await;
    fleet.pops[1].kill();
    let run = try_out(&fleet, TaskKind::Directory, false, &["/"]).await;
    assert_eq!((run.all.objects, run.all.whole), (1, false));
    assert_eq!(run.warnings, ["line 1: this is all of a.example"]);
    assert!(run.pops[1].found.is_none() && run.pops[1].error.is_some(), "{run:?}");
    // What cannot be submitted cannot be tried.
    let refused = fleet.control.dry_run(ACCOUNT, request(TaskKind::Directory, false, &["/d"])).await;
    assert!(matches!(refused, Err(SubmitError::BadLines(_))), "{refused:?}");
}

#[tokio::test]
async fn every_kind_of_rule_is_tried_as_it_matches() {
    let fleet = start(Plan::default()).await;
    fleet.origin.set("/tagged", Page::new("t").with("cache-tag", "red, blue"));
    for path in ["/d/a", "/d/a?x=1", "/d/a?x=2", "/d/e/b", "/dd/c", "/tagged"] {
        fleet.origin.set(path, Page::new("0123456789").with("cache-tag", "green"));
        fleet.viewer(0).get(&format!("a.example{path}")).await;
    }
    fleet.origin.set("/red", Page::new("r").with("cache-tag", "red"));
    fleet.viewer(0).get("a.example/red").await;
    let found = async |kind, lines: &[&str]| {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        let request = SubmitRequest { lines, ..request(kind, false, &[]) };
        let run = fleet.control.dry_run(ACCOUNT, request).await.unwrap();
        assert!(run.all.whole);
        (run.all.objects, run.all.looked_at)
    };
    assert_eq!(found(TaskKind::Query, &["http://a.example/d/a"]).await, (3, 3));
    assert_eq!(found(TaskKind::Regex, &["http://a.example/d+/."]).await, (2, 7));
    assert_eq!(found(TaskKind::Tag, &["red", "none"]).await, (1, 7));
    assert_eq!(found(TaskKind::Tag, &["green", "red"]).await, (7, 7));
    assert_eq!(found(TaskKind::Host, &["a.example"]).await, (7, 7));
}
