//! People of the console: who they are, whether they are signed in, what they did.

use crate::Home;
use crate::fixture::{refusal, site};
use freshen_ledger::people::SESSIONS_OF_USER_MAX;
use freshen_ledger::{Deed, Pass, Refusal, User};
use freshen_model::role::Role;

/// A time that is not over when a test runs.
const LATER: i64 = i64::MAX;

fn user(name: &str, role: Role) -> User {
    User { name: name.into(), account: "acme".into(), role, password: "$hash$".into(), created_ms: 7 }
}

fn pass(number: u8, user: &str, expires_ms: i64) -> Pass {
    Pass { digest: [number; 32], user: user.into(), expires_ms }
}

pub async fn users_come_and_go(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let (ann, bob) = (user("ann", Role::Admin), user("bob", Role::Viewer));
    ledger.add_user(bob.clone()).await.unwrap();
    ledger.add_user(ann.clone()).await.unwrap();
    assert!(matches!(refusal(ledger.add_user(ann.clone()).await), Refusal::Exists { .. }));
    let nobodys = User { account: "nobody".into(), ..user("eve", Role::Viewer) };
    assert!(matches!(refusal(ledger.add_user(nobodys).await), Refusal::NotFound { .. }));
    drop(ledger);

    let ledger = home.open().await;
    assert_eq!(ledger.users().await.unwrap(), [ann.clone(), bob]);
    ledger.set_password("bob", "$other$").await.unwrap();
    assert_eq!(ledger.user("bob").await.unwrap().unwrap().password, "$other$");
    ledger.remove_user("bob").await.unwrap();
    assert_eq!(ledger.users().await.unwrap(), [ann]);
    assert!(matches!(refusal(ledger.remove_user("bob").await), Refusal::NotFound { .. }));
    assert!(matches!(refusal(ledger.set_password("bob", "x").await), Refusal::NotFound { .. }));
}

pub async fn sessions_end(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.add_user(user("ann", Role::Operator)).await.unwrap();
    let whose = async |number: u8, at_ms: i64| ledger.user_of_session([number; 32], at_ms).await.unwrap();
    let in_an_hour = pass(1, "ann", LATER - 1);
    ledger.open_session(in_an_hour, 5).await.unwrap();
    assert_eq!(whose(1, 5).await.unwrap().name, "ann");
    assert_eq!(whose(1, LATER - 1).await, None, "expired");
    assert_eq!(whose(2, 5).await, None, "nobody's");
    ledger.end_session([1; 32]).await.unwrap();
    assert_eq!(whose(1, 5).await, None, "signed out");
    // The oldest goes for one more than there may be.
    for number in 1..=(SESSIONS_OF_USER_MAX as u8 + 1) {
        ledger.open_session(pass(number, "ann", LATER), 5).await.unwrap();
    }
    assert_eq!(whose(1, 5).await, None);
    assert!(whose(2, 5).await.is_some() && whose(SESSIONS_OF_USER_MAX as u8 + 1, 5).await.is_some());
    // A new password ends them all, and so does the user's end.
    ledger.set_password("ann", "$new$").await.unwrap();
    assert_eq!(whose(2, 5).await, None);
    ledger.open_session(pass(90, "ann", LATER), 5).await.unwrap();
    ledger.remove_user("ann").await.unwrap();
    assert_eq!(whose(90, 5).await, None);
    assert!(matches!(
        refusal(ledger.open_session(pass(91, "ann", LATER), 5).await),
        Refusal::NotFound { .. }
    ));
}

pub async fn a_link_is_good_once_and_for_a_time(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    ledger.add_user(user("ann", Role::Admin)).await.unwrap();
    let take = async |number: u8, at_ms: i64| ledger.take_sign_in_link([number; 32], at_ms).await.unwrap();
    ledger.put_sign_in_link(pass(1, "ann", 100)).await.unwrap();
    assert_eq!(take(1, 99).await.unwrap().name, "ann");
    assert_eq!(take(1, 99).await, None, "used up");
    ledger.put_sign_in_link(pass(2, "ann", 100)).await.unwrap();
    assert_eq!(take(2, 100).await, None, "too late");
    ledger.put_sign_in_link(pass(3, "ann", 100)).await.unwrap();
    ledger.put_sign_in_link(pass(4, "ann", 100)).await.unwrap();
    assert_eq!(take(3, 5).await, None, "another took its place");
    assert!(take(4, 5).await.is_some());
}

pub async fn deeds_are_kept_with_what_came_of_them(home: &dyn Home) {
    let ledger = home.open().await;
    let deed = |user: &str, what: &str| Deed {
        number: 0,
        at_ms: 7,
        user: user.into(),
        account: "acme".into(),
        address: "192.0.2.1".into(),
        what: what.into(),
        detail: "3 lines".into(),
        outcome: None,
    };
    let first = ledger.begin_deed(deed("ann", "purge")).await.unwrap();
    let second = ledger.begin_deed(deed("bob", "prefetch")).await.unwrap();
    let third = ledger.begin_deed(deed("ann", "cancel")).await.unwrap();
    ledger.end_deed(first, "task 4").await.unwrap();
    drop(ledger);

    let ledger = home.open().await;
    let told =
        |deeds: Vec<Deed>| deeds.into_iter().map(|deed| (deed.number, deed.outcome)).collect::<Vec<_>>();
    let all = ledger.deeds(u64::MAX, None, 10).await.unwrap();
    assert_eq!(all[2], Deed { number: first, outcome: Some("task 4".into()), ..deed("ann", "purge") });
    assert_eq!(told(all), [(third, None), (second, None), (first, Some("task 4".into()))]);
    assert_eq!(told(ledger.deeds(third, Some("ann"), 10).await.unwrap()), [(first, Some("task 4".into()))]);
    assert_eq!(ledger.deeds(u64::MAX, None, 2).await.unwrap().len(), 2);
}
