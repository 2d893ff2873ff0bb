//! P6 for named variants: a prefetch is complete only when each of them was read back, at every POP.

use crate::installation::{Installation, Plan, only_step};
use crate::origin::Page;
use crate::viewer::Viewer;
use freshen_model::ids::TaskId;
use freshen_model::task::{PrefetchTerms, Status, StepState, Task};
use freshen_model::variants::Variants;
use http::Method;

const A: &str = "a.example/a";

async fn prefetch(fleet: &Installation, headers: &[(&str, &str)]) -> Task {
    fleet.ended(submit(fleet, headers).await).await
}

async fn submit(fleet: &Installation, headers: &[(&str, &str)]) -> TaskId {
    let headers: Variants = headers.iter().copied().collect();
    fleet.submit_on(vec![format!("http://{A}")], PrefetchTerms { headers, ..PrefetchTerms::default() }).await
}

fn in_language(text: &'static str) -> Page {
    Page::new(text).with("vary", "Accept-Language")
}

/// What a viewer gets who asks for these codings and this language.
async fn get(viewer: &Viewer, coding: &str, language: &str) -> (String, String) {
    let fields = [("accept-encoding", coding), ("accept-language", language)];
    let got = viewer.send(Method::GET, A, &fields, "").await;
    let (x_cache, text) = got.both();
    (x_cache.to_owned(), text.to_owned())
}

/// Each comes from the origin once, down the tree; others that the origin has are left alone.
#[tokio::test]
async fn p6_each_variant_that_is_named_is_a_hit_on_every_pop_and_no_other_is_fetched() {
    let fleet = Installation::start(Plan { pops: 3, homes: true, ..Plan::default() }).await;
    for (language, text, zipped) in [("de", "eins", "EINS"), ("fr", "un", "UN"), ("en", "one", "ONE")] {
        let page = Page::new(text).gzip(zipped).with("vary", "Accept-Language, Accept-Encoding");
        fleet.origin.set_in("/a", language, page);
    }
    let headers = [("Accept-Language", "de"), ("Accept-Language", "fr"), ("Accept-Encoding", "gzip")];
    let task = prefetch(&fleet, &headers).await;
    assert_eq!((task.status, task.percent), (Status::Complete, 100), "{task:?}");
    assert_eq!(fleet.origin.requests("/a").len(), 2, "{:?}", fleet.origin.requests("/a"));
    assert_eq!(task.origin_cost().unwrap().origin_requests, 2);
    for pop in 0..3 {
        let StepState::Warm { progress, .. } = &task.pops[pop].state else { panic!("{task:?}") };
        assert_eq!((progress.files_warm, progress.bytes), (1, 4 + 2));
        let viewer = fleet.viewer(pop);
        assert_eq!(get(&viewer, "gzip", "de").await, ("HIT".into(), "EINS".into()));
        assert_eq!(get(&viewer, "gzip, br", "fr").await, ("HIT".into(), "UN".into()));
    }
    assert_eq!(get(&fleet.viewer(0), "identity", "de").await.0, "MISS");
    assert_eq!(get(&fleet.viewer(0), "gzip", "en").await.0, "MISS");
}

/// Where codings are not named, each language comes in both.
#[tokio::test]
async fn p6_a_variant_that_is_missing_is_named_in_the_failure() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set_in("/a", "de", in_language("eins"));
    let task = prefetch(&fleet, &[("Accept-Language", "de"), ("Accept-Language", "fr")]).await;
    assert_eq!(task.status, Status::Failed);
    let StepState::Failed { failures, .. } = only_step(&task) else { panic!("{task:?}") };
    let reasons: Vec<_> = failures.iter().map(|failure| failure.reason.as_str()).collect();
    assert_eq!(reasons, ["Origin Return StatusCode 404 (accept-encoding: gzip; accept-language: fr)"]);
    // The same answer for both codings is there once, and counts once.
    fleet.origin.set_in("/a", "fr", in_language("un"));
    let task = prefetch(&fleet, &[("Accept-Language", "de"), ("Accept-Language", "fr")]).await;
    let StepState::Warm { progress, .. } = only_step(&task) else { panic!("{task:?}") };
    assert_eq!(progress.bytes, 4 + 2);
    for (language, text) in [("de", "eins"), ("fr", "un")] {
        assert_eq!(get(&fleet.viewer(0), "identity", language).await, ("HIT".into(), text.into()));
    }
}

/// An origin that has one answer for everybody is asked once, whoever is named.
#[tokio::test]
async fn p6_one_answer_for_all_variants_is_fetched_once() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a", Page::new("page"));
    let task = prefetch(&fleet, &[("Accept-Language", "de"), ("Accept-Language", "fr")]).await;
    assert_eq!(task.status, Status::Complete, "{task:?}");
    assert_eq!(fleet.origin.requests("/a").len(), 1);
    assert_eq!(fleet.viewer(0).get(A).await.both(), ("HIT", "page"));
}

/// What is asked for after a restart is what was named.
#[tokio::test]
async fn p6_named_variants_outlive_a_kill() {
    let mut fleet = Installation::start(Plan::default()).await;
    fleet.origin.set_in("/a", "de", in_language("eins"));
    let held = fleet.origin.hold("/a");
    let task = submit(&fleet, &[("Accept-Language", "de"), ("Accept-Encoding", "identity")]).await;
    let held = held.await.unwrap();
    fleet.pops[0].kill();
    drop(held);
    fleet.pops[0].start();
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    fleet.pops[0].ready().await;
    assert_eq!(get(&fleet.viewer(0), "identity", "de").await, ("HIT".into(), "eins".into()));
}
