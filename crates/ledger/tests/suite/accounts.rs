//! Accounts and keys.

use crate::Home;
use crate::fixture::refusal;
use freshen_ledger::Refusal;
use freshen_model::quota::Limits;

pub async fn accounts_have_limits(home: &dyn Home) {
    let ledger = home.open().await;
    let acme = ledger.add_account("acme", false).await.unwrap();
    assert_eq!((acme.admin, acme.limits), (false, Limits::default()));
    ledger.add_account("ops", true).await.unwrap();
    let taken = Refusal::Exists { what: "account", name: "acme".into() };
    assert_eq!(refusal(ledger.add_account("acme", true).await), taken);

    let limits =
        Limits { url: 1, directory: 2, prefetch: u64::MAX, query: 4, regex: 5, tag: 6, ..Limits::default() };
    ledger.set_limits("acme", limits).await.unwrap();
    assert_eq!(ledger.account("acme").await.unwrap().unwrap(), freshen_ledger::Account { limits, ..acme });
    let unknown = Refusal::NotFound { what: "account", name: "nobody".into() };
    assert_eq!(refusal(ledger.set_limits("nobody", limits).await), unknown);
    assert_eq!(ledger.account("nobody").await.unwrap(), None);
    let names: Vec<String> =
        ledger.accounts().await.unwrap().into_iter().map(|account| account.name).collect();
    assert_eq!(names, ["acme", "ops"]);
}

pub async fn keys_act_for_accounts(home: &dyn Home) {
    let ledger = home.open().await;
    ledger.add_account("acme", false).await.unwrap();
    ledger.add_account("ops", true).await.unwrap();
    ledger.add_key("acme", "k1", "s1").await.unwrap();
    ledger.add_key("ops", "k2", "s2").await.unwrap();
    let taken = Refusal::Exists { what: "access key", name: "k1".into() };
    assert_eq!(refusal(ledger.add_key("ops", "k1", "s3").await), taken);
    let unknown = Refusal::NotFound { what: "account", name: "nobody".into() };
    assert_eq!(refusal(ledger.add_key("nobody", "k3", "s3").await), unknown);

    let key = ledger.key("k2").await.unwrap().unwrap();
    assert_eq!((&*key.account, &*key.secret, key.admin, key.disabled), ("ops", "s2", true, false));
    assert!(!format!("{key:?}").contains("s2"), "secrets stay out of logs");

    ledger.disable_key("k1").await.unwrap();
    ledger.disable_key("k1").await.unwrap();
    let unknown = Refusal::NotFound { what: "access key", name: "k9".into() };
    assert_eq!(refusal(ledger.disable_key("k9").await), unknown);
    let keys = ledger.keys("acme").await.unwrap();
    assert_eq!((keys.len(), keys[0].disabled), (1, true));
    assert!(ledger.key("k1").await.unwrap().unwrap().disabled);
    assert_eq!(ledger.key("k9").await.unwrap(), None);
}
