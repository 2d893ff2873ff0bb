//! Callbacks: sent until they are taken, signed, durable, and never to whom the configuration does not have.

use crate::receiver::{Call, Receiver};
use crate::stage::{NOON_MS, Stage, request, settings, within};
use freshen_control::{Config, Terms};
use freshen_model::callback::{Callback, CallbackState, NewCallback};
use freshen_model::order::Steer;
use freshen_model::task::TaskKind;
use std::time::Duration;

fn allowed(config: &mut Config) {
    config.outbound.allow = vec!["127.0.0.1".parse().unwrap()];
    config.outbound.tries_max = 3;
    config.outbound.retry_after_ms = 1_000;
}

fn callback(account: &str, id: &str, url: &str) -> NewCallback {
    NewCallback {
        id: id.into(),
        account: account.into(),
        event: "task.ended".into(),
        url: url.into(),
        body: "{\"task\":\"7\"}".into(),
        at_ms: NOON_MS,
    }
}

async fn queue(stage: &Stage, new: NewCallback) {
    stage.control.queue_callbacks(vec![new]).await.unwrap();
}

/// The account's newest callback, once it looks like that.
async fn newest(stage: &Stage, account: &str, looks: impl Fn(&Callback) -> bool) -> Callback {
    within(async {
        loop {
            let page = stage.control.callbacks(account, None, 1).await.unwrap();
            match page.rows.into_iter().next() {
                Some(callback) if looks(&callback) => return callback,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

fn is_signed(stage: &Stage, account: &str, call: &Call) -> bool {
    let at_s = call.header("webhook-timestamp").parse().unwrap();
    let secret = stage.control.callback_secret(account);
    secret.sign(call.header("webhook-id"), at_s, &call.body) == call.header("webhook-signature")
}

#[tokio::test]
async fn a_callback_is_sent_again_until_it_is_taken() {
    let stage = Stage::set_with(allowed).await;
    let mut receiver = Receiver::new([Some((503, "later")), Some((302, "")), Some((204, ""))]).await;
    queue(&stage, callback("ann", "task-7", &receiver.url)).await;
    let first = receiver.call().await;
    assert_eq!((first.path.as_str(), first.body.as_str()), ("/hook?a=b", "{\"task\":\"7\"}"));
    assert_eq!((first.header("webhook-id"), first.header("content-type")), ("task-7", "application/json"));
    assert!(is_signed(&stage, "ann", &first) && !is_signed(&stage, "bob", &first));

    let told = newest(&stage, "ann", |callback| callback.tries == 1).await;
    assert_eq!((told.state, told.outcome.as_deref()), (CallbackState::Waiting, Some("answered 503")));
    assert_eq!(told.next_ms, Some(NOON_MS + 1_000));
    stage.clock.advance(Duration::from_millis(1_000));
    let second = receiver.call().await;
    assert_eq!(second.header("webhook-id"), "task-7");
    assert_ne!(second.header("webhook-timestamp"), first.header("webhook-timestamp"));
    assert!(is_signed(&stage, "ann", &second));

    let told = newest(&stage, "ann", |callback| callback.tries == 2).await;
    let outcome = "answered 302, and redirects are not followed";
    assert_eq!((told.outcome.as_deref(), told.next_ms), (Some(outcome), Some(NOON_MS + 4_000)));
    stage.clock.advance(Duration::from_millis(2_999));
    newest(&stage, "ann", |callback| callback.tries == 2).await;
    assert!(receiver.is_quiet(), "three times as long as before");
    stage.clock.advance(Duration::from_millis(1));
    receiver.call().await;
    let told = newest(&stage, "ann", |callback| callback.tries == 3).await;
    assert_eq!((told.state, told.ended_ms), (CallbackState::Delivered, Some(NOON_MS + 4_000)));
}

#[tokio::test]
async fn a_callback_that_nobody_takes_is_given_up_and_that_is_told() {
    let stage = Stage::set_with(allowed).await;
    let mut receiver = Receiver::new([Some((500, "")), Some((404, "")), Some((410, ""))]).await;
    queue(&stage, callback("ann", "task-7", &receiver.url)).await;
    for tries in 1..=3 {
        receiver.call().await;
        newest(&stage, "ann", |callback| callback.tries == tries).await;
        stage.clock.advance(Duration::from_secs(10));
    }
    let told = newest(&stage, "ann", |callback| callback.state != CallbackState::Waiting).await;
    assert_eq!((told.state, told.outcome.as_deref()), (CallbackState::Failed, Some("answered 410")));
    stage.clock.advance(Duration::from_secs(86_400));
    queue(&stage, callback("ann", "task-8", &receiver.url)).await;
    assert_eq!(receiver.call().await.header("webhook-id"), "task-8", "and the other one is not sent again");
}

#[tokio::test]
async fn p8_no_callback_goes_to_loopback_unless_the_configuration_allows_it() {
    let stage = Stage::set().await;
    let mut receiver = Receiver::new([]).await;
    queue(&stage, callback("ann", "task-7", &receiver.url)).await;
    let told = newest(&stage, "ann", |callback| callback.tries == 1).await;
    let why = "127.0.0.1 is 127.0.0.1, an address that is loopback; it is not called unless `outbound.allow` has it";
    assert_eq!((told.state, told.outcome.as_deref()), (CallbackState::Waiting, Some(why)));
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn p4_a_callback_that_was_queued_is_sent_after_kill_9() {
    let stage = Stage::set_with(allowed).await;
    let mut receiver = Receiver::new([None]).await;
    queue(&stage, callback("ann", "task-7", &receiver.url)).await;
    // Control dies while the receiver has the callback and has not answered.
    receiver.call().await;
    let stage = stage.restart_with(allowed).await;
    let again = receiver.call().await;
    assert_eq!(again.header("webhook-id"), "task-7");
    assert!(is_signed(&stage, "ann", &again));
    let told = newest(&stage, "ann", |callback| callback.state == CallbackState::Delivered).await;
    assert_eq!(told.tries, 1, "what was cut off is not counted");
}

#[tokio::test]
async fn who_does_not_answer_holds_up_nobody_else() {
    let stage = Stage::set_with(allowed).await;
    let silent = Receiver::new(vec![None; 200]).await;
    let many = (0..200).map(|number| callback("ann", &format!("task-{number}"), &silent.url));
    stage.control.queue_callbacks(many.collect()).await.unwrap();
    let mut receiver = Receiver::new([]).await;
    queue(&stage, callback("bob", "other", &receiver.url)).await;
    assert_eq!(receiver.call().await.header("webhook-id"), "other");
    newest(&stage, "bob", |callback| callback.state == CallbackState::Delivered).await;
}

#[tokio::test]
async fn p4_the_end_of_a_task_is_told_once_where_its_submission_or_its_account_says() {
    let stage = Stage::set_with(allowed).await;
    let mut pop = stage.pop("pop-a").await;
    let mut of_task = Receiver::new([]).await;
    let mut of_account = Receiver::new([]).await;
    stage.control.set_notify("ann", Some(&of_account.url)).await.unwrap();
    let request = || request(TaskKind::Url, &["http://a.example/x"]);
    let terms = Terms { notify: Some(of_task.url.clone()), ..Terms::default() };
    let told = stage.control.submit_on("ann", request(), terms).await.unwrap().submitted;
    pop.confirm(told.seq).await;
    let call = of_task.call().await;
    assert_eq!(call.header("webhook-id"), format!("task-{}", told.task));
    assert!(is_signed(&stage, "ann", &call));
    assert!(call.body.contains("\"event\":\"task.ended\""), "{}", call.body);
    assert!(call.body.contains("\"status\":\"complete\""), "{}", call.body);

    // One that is cancelled before it began has ended, too; without a word of its own it goes by its account.
    let later = Terms { not_before_ms: Some(NOON_MS + 3_600_000), ..Terms::default() };
    let cancelled = stage.control.submit_on("ann", request(), later).await.unwrap().submitted.task;
    stage.control.steer(Some("ann"), cancelled, Steer::Cancel).await.unwrap();
    let call = of_account.call().await;
    assert_eq!(call.header("webhook-id"), format!("task-{cancelled}"));
    assert!(call.body.contains("\"status\":\"failed\"") && call.body.contains("cancelled"), "{}", call.body);
    assert!(of_task.is_quiet() && of_account.is_quiet());

    // So has one that cannot begin any more, and that is told at once.
    let later = Terms { not_before_ms: Some(NOON_MS + 1_000), ..Terms::default() };
    let failed = stage.control.submit_on("ann", request(), later).await.unwrap().submitted.task;
    stage.control.remove_domain(Some("ann"), "a.example").await.unwrap();
    stage.clock.advance(Duration::from_secs(1));
    let call = within(of_account.call()).await;
    assert_eq!(call.header("webhook-id"), format!("task-{failed}"));
    stage.control.add_domain("ann", "a.example", &settings()).await.unwrap();

    stage.control.set_notify("ann", None).await.unwrap();
    assert_eq!(stage.control.notify("ann").await.unwrap(), None);
    let bad = Terms { notify: Some("ftp://a.example/".into()), ..Terms::default() };
    let refused = stage.control.submit_on("ann", request(), bad).await.unwrap_err().to_string();
    assert!(refused.contains("notify: write http:// or https:// before it"), "{refused}");
}
