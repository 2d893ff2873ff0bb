//! Callbacks.

use crate::Home;
use crate::fixture::{refusal, site};
use freshen_ledger::{Ledger, Refusal, Tried};
use freshen_model::callback::{BODY_BYTES_MAX, CallbackState, NewCallback, WAITING_MAX};

fn callback(account: &str, id: &str) -> NewCallback {
    NewCallback {
        id: id.into(),
        account: account.into(),
        event: "task.ended".into(),
        url: "https://hook.example/".into(),
        body: format!("{{\"of\":{id:?}}}"),
        at_ms: 1_000,
    }
}

fn failed(at_ms: i64, again_ms: Option<i64>) -> Tried {
    Tried { at_ms, delivered: false, again_ms, outcome: "answered 503".into() }
}

async fn due(ledger: &dyn Ledger, at_ms: i64) -> Vec<String> {
    ledger.due_callbacks(at_ms).await.unwrap().into_iter().map(|due| due.id).collect()
}

pub async fn p4_they_are_kept_until_they_end(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.queue_callbacks(vec![callback("acme", "a"), callback("acme", "b")]).await.unwrap();
    let changed = NewCallback { body: "other".into(), ..callback("acme", "a") };
    ledger.queue_callbacks(vec![changed]).await.unwrap();
    drop(ledger);

    let ledger = home.open().await;
    assert_eq!(due(&*ledger, 999).await, [""; 0]);
    assert_eq!(ledger.next_callback_ms(999).await.unwrap(), Some(1_000));
    let both = ledger.due_callbacks(1_000).await.unwrap();
    let [a, b] = &both[..] else { panic!("{both:?}") };
    assert_eq!((a.id.as_str(), a.body.as_str(), a.tries), ("a", "{\"of\":\"a\"}", 0), "the first stays");
    ledger.callback_tried(a.number, failed(1_010, Some(6_000))).await.unwrap();
    let taken = Tried { delivered: true, outcome: "answered 204".into(), ..failed(1_020, None) };
    ledger.callback_tried(b.number, taken).await.unwrap();
    assert_eq!(due(&*ledger, 5_999).await, [""; 0]);
    assert_eq!(ledger.next_callback_ms(1_000).await.unwrap(), Some(6_000));
    assert_eq!(due(&*ledger, 6_000).await, ["a"]);
    ledger.callback_tried(a.number, failed(6_010, None)).await.unwrap();
    ledger.callback_tried(a.number, failed(7_000, Some(8_000))).await.unwrap();
    drop(ledger);

    let ledger = home.open().await;
    assert_eq!(ledger.next_callback_ms(0).await.unwrap(), None);
    let page = ledger.callbacks("acme", None, 10).await.unwrap();
    assert_eq!(page.next, None);
    let [b, a] = &page.rows[..] else { panic!("{page:?}") };
    assert_eq!((b.state, b.tries, b.ended_ms), (CallbackState::Delivered, 1, Some(1_020)));
    assert_eq!((a.state, a.tries, a.ended_ms), (CallbackState::Failed, 2, Some(6_010)));
    assert_eq!((a.outcome.as_deref(), a.next_ms, a.created_ms), (Some("answered 503"), None, 1_000));
    assert_eq!(ledger.callbacks("other", None, 10).await.unwrap().rows, []);
    let first = ledger.callbacks("acme", None, 1).await.unwrap();
    let second = ledger.callbacks("acme", first.next, 1).await.unwrap();
    assert_eq!((first.rows, second.rows, second.next), (vec![b.clone()], vec![a.clone()], None));
}

pub async fn those_of_one_account_hold_up_nobody(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.add_account("other", false).await.unwrap();
    let many = (0..100).map(|number| callback("acme", &format!("many-{number}")));
    ledger.queue_callbacks(many.collect()).await.unwrap();
    ledger.queue_callbacks(vec![NewCallback { at_ms: 2_000, ..callback("other", "last") }]).await.unwrap();
    let all = due(&*ledger, 2_000).await;
    assert_eq!(all, ["many-0", "many-1", "many-2", "many-3", "last"]);
}

pub async fn too_many_are_refused(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let many = (0..WAITING_MAX).map(|number| callback("acme", &number.to_string()));
    let many: Vec<_> = many.collect();
    ledger.queue_callbacks(many.clone()).await.unwrap();
    let one = |change: fn(&mut NewCallback)| {
        let mut new = callback("acme", "more");
        change(&mut new);
        refusal_of(&*ledger, new)
    };
    assert!(one(|_| ()).await.contains("10000 callbacks of this account wait"));
    assert!(one(|new| new.body = "x".repeat(BODY_BYTES_MAX + 1)).await.contains("at most 1048576"));
    assert!(one(|new| new.url = "ftp://hook.example/".into()).await.contains("http://"));
    ledger.queue_callbacks(many[..1].to_vec()).await.unwrap();
    let nobody = refusal(ledger.queue_callbacks(vec![callback("nobody", "x")]).await);
    assert!(matches!(nobody, Refusal::NotFound { .. }), "{nobody:?}");
    let all = ledger.callbacks("acme", None, 2 * WAITING_MAX).await.unwrap();
    assert_eq!(all.rows.len() as u64, WAITING_MAX);
}

async fn refusal_of(ledger: &dyn Ledger, new: NewCallback) -> String {
    refusal(ledger.queue_callbacks(vec![new]).await).to_string()
}
