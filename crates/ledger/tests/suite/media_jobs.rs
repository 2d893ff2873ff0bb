//! Media jobs.

use crate::Home;
use crate::fixture::{prefetch, refusal, site};
use freshen_ledger::{NewMediaJob, PartPlace, Refusal, Submission};
use freshen_model::callback::NewCallback;
use freshen_model::media_job::{MediaRequest, PartFailure, PartState};
use freshen_model::task::TaskKind;

fn job(id: &str, callback: Option<&str>) -> NewMediaJob {
    NewMediaJob {
        id: id.into(),
        account: "acme".into(),
        request: MediaRequest {
            kind: TaskKind::Prefetch,
            formats: Vec::new(),
            definitions: vec!["HD".into()],
            stream_types: Vec::new(),
            multiple: true,
            segments: Some(5),
            callback: callback.map(str::to_owned),
            note: Some("{}".into()),
        },
        within: Some(["a.example".to_owned()].into()),
        parts: vec![("m1".into(), vec!["http://a.example/1".into()]), ("m2".into(), Vec::new())],
        at_ms: 1_000,
    }
}

fn no_stream() -> PartState {
    PartState::Failed { why: PartFailure::NoStream, reason: "none fits".into() }
}

pub async fn p4_a_part_gets_its_task_in_one_transaction_and_once(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let number = ledger.add_media_job(job("one", None)).await.unwrap();
    drop(ledger);

    let ledger = home.open().await;
    let [unfinished] = &ledger.unfinished_media_jobs().await.unwrap()[..] else { panic!("one") };
    assert_eq!((unfinished.number, unfinished.account.as_str()), (number, "acme"));
    assert_eq!(unfinished.within, job("", None).within);
    assert_eq!(unfinished.job.request, job("", None).request);
    let states: Vec<_> = unfinished.job.parts.iter().map(|part| (&*part.media, &part.state)).collect();
    assert_eq!(states, [("m1", &PartState::Waiting), ("m2", &PartState::Waiting)]);

    let first = PartPlace { job: number, place: 1 };
    let submission =
        Submission { part: Some(first), at_ms: 2_000, ..prefetch(&*ledger, &["a.example/1"], None).await };
    let task = ledger.submit(submission.clone()).await.unwrap().task;
    let again = refusal(ledger.submit(submission).await);
    assert!(matches!(again, Refusal::Unfit(_)), "{again:?}");
    assert_eq!(ledger.running_tasks().await.unwrap().len(), 1, "and no second task");
    let second = PartPlace { job: number, place: 2 };
    ledger.end_media_part(second, no_stream(), 2_001).await.unwrap();
    refusal(ledger.end_media_part(first, no_stream(), 2_002).await);
    drop(ledger);

    let ledger = home.open().await;
    assert_eq!(ledger.unfinished_media_jobs().await.unwrap(), []);
    let job = ledger.media_job(Some("acme"), "one").await.unwrap().unwrap().job;
    assert_eq!(job.parts[0].state, PartState::Submitted { task });
    assert_eq!((&job.parts[1].state, job.parts[1].changed_ms), (&no_stream(), 2_001));
}

pub async fn who_wants_to_be_told_is_told_once(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let number = ledger.add_media_job(job("one", Some("http://hook.example/"))).await.unwrap();
    for place in [1, 2] {
        ledger.end_media_part(PartPlace { job: number, place }, no_stream(), 2_000).await.unwrap();
    }
    drop(ledger);
    let ledger = home.open().await;
    assert_eq!(ledger.unfinished_media_jobs().await.unwrap().len(), 1);
    let callback = NewCallback {
        id: "media-one-1".into(),
        account: "acme".into(),
        event: "media".into(),
        url: "http://hook.example/".into(),
        body: "{}".into(),
        at_ms: 2_000,
    };
    let unfit = NewCallback { url: "nowhere".into(), id: "media-one-2".into(), ..callback.clone() };
    refusal(ledger.media_job_told(number, vec![callback.clone(), unfit]).await);
    assert_eq!(ledger.callbacks("acme", None, 9).await.unwrap().rows, [], "all or none");
    assert_eq!(ledger.unfinished_media_jobs().await.unwrap().len(), 1);
    ledger.media_job_told(number, vec![callback]).await.unwrap();
    assert_eq!(ledger.callbacks("acme", None, 9).await.unwrap().rows.len(), 1);
    assert_eq!(ledger.unfinished_media_jobs().await.unwrap(), []);
}

pub async fn jobs_are_their_accounts_own(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.add_account("other", false).await.unwrap();
    for id in ["one", "two"] {
        let number = ledger.add_media_job(job(id, None)).await.unwrap();
        ledger.end_media_part(PartPlace { job: number, place: 1 }, no_stream(), 2_000).await.unwrap();
    }
    assert_eq!(ledger.media_job(Some("other"), "one").await.unwrap(), None);
    assert_eq!(ledger.media_jobs("other", None, 9).await.unwrap().rows, []);
    let first = ledger.media_jobs("acme", None, 1).await.unwrap();
    let second = ledger.media_jobs("acme", first.next, 1).await.unwrap();
    assert_eq!((first.rows[0].id.as_str(), second.rows[0].id.as_str(), second.next), ("two", "one", None));
    let nobody = NewMediaJob { account: "nobody".into(), ..job("three", None) };
    let nobody = refusal(ledger.add_media_job(nobody).await);
    assert!(matches!(nobody, Refusal::NotFound { .. }), "{nobody:?}");
}
