//! Media jobs, and the resolver that is asked for media that no library has.

use crate::receiver::Receiver;
use crate::stage::{NOON_MS, Stage};
use freshen_control::{Config, MediaJobError, MediaSubmitted};
use freshen_model::callback::CallbackSecret;
use freshen_model::media::{Format, Stream, StreamType};
use freshen_model::media_job::{MediaRequest, PartFailure, PartState};
use freshen_model::secret::Secret;
use freshen_model::task::TaskKind;
use std::time::Duration;

const SECRET: &str = "a secret of the operator";

fn resolved_by(url: &str) -> impl Fn(&mut Config) {
    let url = url.to_owned();
    move |config| {
        config.outbound.allow = vec!["127.0.0.1".parse().unwrap()];
        config.media_resolver = Some(freshen_control::config::MediaResolver {
            url: url.clone(),
            secret: Secret::Plain(SECRET.into()),
            time_ms_max: 20_000,
            ttl_s: 60,
        });
    }
}

fn wanted(kind: TaskKind) -> MediaRequest {
    MediaRequest {
        kind,
        formats: Vec::new(),
        definitions: Vec::new(),
        stream_types: Vec::new(),
        multiple: false,
        segments: None,
        callback: None,
        note: None,
    }
}

async fn purge(stage: &Stage, media: &[&str]) -> Result<MediaSubmitted, MediaJobError> {
    let media: Vec<String> = media.iter().map(|id| (*id).to_owned()).collect();
    stage.control.submit_media("ann", None, &media, wanted(TaskKind::Url)).await
}

fn media(submitted: &MediaSubmitted) -> Vec<&str> {
    let parts = submitted.job.iter().flat_map(|job| &job.parts);
    parts.map(|part| part.media.as_str()).collect()
}

const FILM: &str = r#"{"streams":[
    {"media":"film","url":"http://a.example/new.mp4","format":"mp4","definition":"HD"},
    {"media":"film","url":"http://a.example/old.mp4","format":"mp4","definition":"HD"}]}"#;

#[tokio::test]
async fn what_no_library_has_is_asked_of_the_resolver_and_believed_for_a_while() {
    let nothing = r#"{"streams":[]}"#;
    let mut resolver = Receiver::new([Some((200, FILM)), Some((200, nothing)), Some((200, nothing))]).await;
    let stage = Stage::set_with(resolved_by(&resolver.url)).await;
    let mut pop = stage.pop("pop-a").await;
    let stream = Stream {
        media: "here".into(),
        url: "http://a.example/here.mp4".into(),
        format: Format::Mp4,
        definition: "HD".into(),
        kind: StreamType::Video,
        duration_s: None,
    };
    stage.control.add_streams("ann", vec![stream]).await.unwrap();

    let submitted = purge(&stage, &["film", "here", "no such id!"]).await.unwrap();
    assert_eq!(
        (media(&submitted), &submitted.unknown[..]),
        (vec!["film", "here"], &["no such id!".into()][..])
    );
    let film = &submitted.job.as_ref().unwrap().parts[0];
    assert_eq!(film.urls, ["http://a.example/new.mp4"]);
    let PartState::Submitted { task } = film.state else { panic!("{film:?}") };
    let seq = stage.task(task).await.seq;
    pop.confirm(seq).await;
    stage.ended(task).await;

    let asked = resolver.call().await;
    assert_eq!(asked.body, r#"{"account":"ann","media":["film"]}"#);
    let (id, at_s) = (asked.header("webhook-id"), asked.header("webhook-timestamp").parse().unwrap());
    let signature = CallbackSecret::of_text(SECRET).sign(id, at_s, &asked.body);
    assert_eq!((asked.header("webhook-signature"), at_s), (&*signature, NOON_MS / 1_000));

    assert_eq!(media(&purge(&stage, &["film"]).await.unwrap()), ["film"]);
    assert!(resolver.is_quiet(), "it is remembered");
    let unknown = purge(&stage, &["film", "other"]).await.unwrap();
    assert_eq!((media(&unknown), &unknown.unknown[..]), (vec!["film"], &["other".to_owned()][..]));
    assert_eq!(resolver.call().await.body, r#"{"account":"ann","media":["other"]}"#);
    assert_eq!(purge(&stage, &["other"]).await.unwrap().unknown, ["other"]);
    assert!(resolver.is_quiet(), "so is that there is nothing");
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(purge(&stage, &["film"]).await.unwrap().unknown, ["film"]);
    resolver.call().await;
}

#[tokio::test]
async fn a_resolver_that_cannot_be_asked_makes_nothing_unknown() {
    let foreign =
        r#"{"streams":[{"media":"x","url":"http://a.example/1","format":"mp4","definition":"HD"}]}"#;
    let bad = r#"{"streams":[{"media":"film","url":"nowhere","format":"mp4","definition":"HD"}]}"#;
    let answers = [(500, ""), (302, ""), (200, "hello"), (200, foreign), (200, bad), (200, FILM)];
    let resolver = Receiver::new(answers.map(Some)).await;
    let stage = Stage::set_with(resolved_by(&resolver.url)).await;
    let _pop = stage.pop("pop-a").await;
    for why in
        ["answered 500", "answered 302", "expected value", "x was not asked for", "entry 1: url: no scheme"]
    {
        let said = purge(&stage, &["film"]).await.unwrap_err().to_string();
        assert!(said.contains(why), "{said}, not {why}");
    }
    assert_eq!(media(&purge(&stage, &["film"]).await.unwrap()), ["film"], "failures are not remembered");

    let stage = Stage::set_with(|config| {
        resolved_by("http://127.0.0.1:1/")(config);
        config.outbound.allow.clear();
    })
    .await;
    let said = purge(&stage, &["film"]).await.unwrap_err().to_string();
    assert!(said.contains("it is not called unless `outbound.allow` has it"), "{said}");
}

#[tokio::test]
async fn p8_what_a_resolver_tells_of_other_accounts_domains_is_forbidden() {
    let theirs =
        r#"{"streams":[{"media":"film","url":"http://b.example/1","format":"mp4","definition":"HD"}]}"#;
    let resolver = Receiver::new([Some((200, theirs))]).await;
    let stage = Stage::set_with(resolved_by(&resolver.url)).await;
    let _pop = stage.pop("pop-a").await;
    let submitted = purge(&stage, &["film"]).await.unwrap();
    assert_eq!((submitted.job, submitted.forbidden), (None, vec!["film".to_owned()]));
}

#[tokio::test]
async fn a_job_without_pops_says_so_medium_by_medium() {
    let resolver = Receiver::new([Some((200, FILM))]).await;
    let stage = Stage::set_with(resolved_by(&resolver.url)).await;
    let submitted = purge(&stage, &["film"]).await.unwrap();
    let state = &submitted.job.unwrap().parts[0].state;
    assert!(matches!(state, PartState::Failed { why: PartFailure::NoPops, .. }), "{state:?}");
}
