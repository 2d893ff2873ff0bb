//! Media jobs over the vendor's API: who may, what is told, and what a crash leaves.

use crate::stage::{ANN, BOB, Key, Stage, within};
use freshen_model::rights::{Right, Rights};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn submit(stage: &Stage, key: Key, params: &[(&str, &str)]) -> (u16, Value) {
    stage.call(key, "RefreshMediaPlayUrls", params).await
}

async fn rows(stage: &Stage, key: Key, job: &Value) -> Vec<Value> {
    let params = [("MediaRefreshJobId", job.as_str().unwrap())];
    let (status, answer) = stage.call(key, "GetMediaRefreshJobs", &params).await;
    assert_eq!(status, 200, "{answer}");
    answer["MediaRefreshJobs"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_medium_is_told_of_by_a_signed_callback() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    stage.library().await;
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let data = json!({
        "MessageCallback": { "CallbackURL": url, "CallbackType": "http" }, "Extend": { "order": 7 },
    });
    let data = data.to_string();
    let params =
        [("MediaIds", "song,film"), ("TaskType", "Preload"), ("Formats", "mp3"), ("UserData", &*data)];
    let (status, answer) = submit(&stage, ANN, &params).await;
    assert_eq!(status, 200, "{answer}");
    let rows = rows(&stage, ANN, &answer["MediaRefreshJobId"]).await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let (head, body) = take_call(&receiver).await;
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
        };
        let at_s = field("webhook-timestamp").parse().unwrap();
        let secret = stage.control.callback_secret("ann");
        assert_eq!(field("webhook-signature"), secret.sign(&field("webhook-id"), at_s, &body));
        bodies.push(serde_json::from_str::<Value>(&body).unwrap());
    }
    bodies.sort_by_key(|body| body["MediaId"] != "song");
    for (body, row) in bodies.iter().zip(&rows) {
        assert_eq!(body["EventType"], "SubmitMediaRefreshComplete");
        assert_eq!((&body["EventTime"], &body["Extend"]), (&row["GmtModified"], &json!("{\"order\":7}")));
        for name in [
            "Status",
            "MediaRefreshJobId",
            "MediaId",
            "TaskType",
            "SuccessPlayUrls",
            "TaskIds",
            "FilterPolicy",
        ] {
            assert_eq!(body[name], row[name], "{name}");
        }
    }
    assert_eq!((&bodies[0]["Status"], &bodies[1]["Status"]), (&json!("success"), &json!("fail")));
    assert_eq!(bodies[1]["ErrorCode"], "PlayUrlNotExist");
}

/// One call as it came, answered with 200.
async fn take_call(receiver: &TcpListener) -> (String, String) {
    within(async {
        let (mut stream, _) = receiver.accept().await.unwrap();
        let mut came = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&came).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && serde_json::from_str::<Value>(body).is_ok()
            {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                return (head.to_owned(), body.to_owned());
            }
            assert_ne!(stream.read_buf(&mut came).await.unwrap(), 0, "{text}");
        }
    })
    .await
}

#[tokio::test]
async fn p8_jobs_and_libraries_are_their_accounts_own() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    stage.library().await;
    let (_, ours) = submit(&stage, ANN, &[("MediaIds", "film"), ("TaskType", "Refresh")]).await;
    assert_eq!(rows(&stage, ANN, &ours["MediaRefreshJobId"]).await.len(), 1);
    assert_eq!(rows(&stage, BOB, &ours["MediaRefreshJobId"]).await, [] as [Value; 0]);
    let (_, list) = stage.own(ANN, "GET", "/v1/media-jobs", Value::Null).await;
    let job = &list["jobs"][0];
    assert_eq!((&job["id"], &job["request"]["type"]), (&ours["MediaRefreshJobId"], &json!("url")));
    assert_eq!((&job["parts"][0]["media"], &job["parts"][0]["state"]), (&json!("film"), &json!("submitted")));
    let one = format!("/v1/media-jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(stage.own(ANN, "GET", &one, Value::Null).await, (200, job.clone()));
    assert_eq!(stage.own(BOB, "GET", &one, Value::Null).await.0, 404);
    assert_eq!(stage.own(BOB, "GET", "/v1/media-jobs", Value::Null).await.1, json!({ "jobs": [] }));
    let (_, theirs) = submit(&stage, BOB, &[("MediaIds", "film"), ("TaskType", "Refresh")]).await;
    assert_eq!((&theirs["NonExistMediaIds"], &theirs["MediaRefreshJobId"]), (&json!("film"), &json!("")));
}

#[tokio::test]
async fn p8_a_key_does_what_it_may_where_it_may() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    stage.library().await;
    let (purger, elsewhere) = (Key("purger-key"), Key("elsewhere-key"));
    let may = |rights: &[Right]| rights.iter().copied().collect::<BTreeSet<_>>();
    let domains = Some(["other.example".to_owned()].into());
    for (key, rights) in [
        (purger, Rights { may: may(&[Right::Purge, Right::Read]), domains: None }),
        (elsewhere, Rights { domains, ..Rights::default() }),
    ] {
        stage.add_key("ann", key, rights).await;
    }
    let (film, refresh, preload) = (("MediaIds", "film"), ("TaskType", "Refresh"), ("TaskType", "Preload"));
    let (status, answer) = submit(&stage, purger, &[film, preload]).await;
    assert_eq!((status, &answer["Code"]), (403, &json!("Forbidden.RAM")));
    assert!(answer["Message"].as_str().unwrap().contains("\"prefetch\""), "{answer}");
    let (status, job) = submit(&stage, purger, &[film, refresh]).await;
    assert_eq!(status, 200, "{job}");
    let (_, answer) = submit(&stage, elsewhere, &[film, refresh]).await;
    assert_eq!((&answer["ForbiddenMediaIds"], &answer["MediaRefreshJobId"]), (&json!("film"), &json!("")));
    assert_eq!(rows(&stage, elsewhere, &job["MediaRefreshJobId"]).await, [] as [Value; 0]);
}

#[tokio::test]
async fn what_does_not_fit_the_quota_is_told_and_the_rest_is_submitted() {
    let stage = Stage::set().await;
    let _pop = stage.pop("pop-asia").await;
    stage.library().await;
    let mut limits = stage.control.account("ann").await.unwrap().unwrap().limits;
    limits.prefetch = 3;
    stage.control.set_limits("ann", limits).await.unwrap();
    let params = [("MediaIds", "film,song"), ("TaskType", "Preload"), ("ResultType", "Multiple")];
    let (_, job) = submit(&stage, ANN, &params).await;
    let rows = rows(&stage, ANN, &job["MediaRefreshJobId"]).await;
    let told: Vec<_> = rows.iter().map(|row| (&row["Status"], &row["ErrorCode"])).collect();
    assert_eq!(told, [(&json!("fail"), &json!("QuotaExceeded.Preload")), (&json!("success"), &json!(""))]);
    assert!(rows[0]["ErrorMessage"].as_str().unwrap().contains("4 lines"), "{}", rows[0]);
}

#[tokio::test]
async fn p4_a_job_is_there_after_kill_9() {
    let stage = Stage::set().await;
    let pop = stage.pop("pop-asia").await;
    stage.library().await;
    let (_, job) = submit(&stage, ANN, &[("MediaIds", "film,song"), ("TaskType", "Refresh")]).await;
    let before = rows(&stage, ANN, &job["MediaRefreshJobId"]).await;
    drop(pop);
    let stage = stage.restart().await;
    assert_eq!(rows(&stage, ANN, &job["MediaRefreshJobId"]).await, before);
    let (_, xml) = stage.call(ANN, "GetMediaRefreshJobs", &[("MediaRefreshJobId", "none")]).await;
    assert_eq!(xml["MediaRefreshJobs"], json!([]));
}
