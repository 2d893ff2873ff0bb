//! Domains, and those that share a cache.

use crate::Home;
use crate::fixture::{orders, refusal, settings, sharing};
use freshen_ledger::{DOMAINS_OF_ACCOUNT_MAX, Ledger, Refusal};
use freshen_model::domain::{NoLease, QueryPolicy, Settings};
use freshen_model::ids::Seq;
use freshen_model::order::Body;

/// The domain orders behind `after`: names, and origins where they are not removals.
async fn changes(ledger: &dyn Ledger, after: Seq) -> Vec<(String, Option<String>)> {
    let orders = orders(ledger).await.into_iter().filter(|order| order.seq > after);
    let change = |body| match body {
        Body::Domain { name, settings } => (name, settings.map(|settings| settings.origin.address)),
        other => panic!("not a domain order: {other:?}"),
    };
    orders.map(|order| change(order.body)).collect()
}

#[track_caller]
fn unfit<T: std::fmt::Debug>(result: Result<T, freshen_ledger::Error>) -> String {
    match refusal(result) {
        Refusal::Unfit(why) => why,
        other => panic!("refused otherwise: {other:?}"),
    }
}

pub async fn every_change_is_an_order(home: &dyn Home) {
    let ledger = home.open().await;
    ledger.add_account("acme", false).await.unwrap();
    ledger.add_account("other", false).await.unwrap();
    let added = ledger.add_domain("acme", "a.example", &settings("one")).await.unwrap();
    assert_eq!((added.seq, &*added.account), (Seq(1), "acme"));
    let taken = Refusal::Exists { what: "domain", name: "a.example".into() };
    assert_eq!(refusal(ledger.add_domain("other", "a.example", &settings("x")).await), taken);
    let unknown = Refusal::NotFound { what: "account", name: "nobody".into() };
    assert_eq!(refusal(ledger.add_domain("nobody", "b.example", &settings("x")).await), unknown);

    let same = ledger.set_domain("a.example", &settings("one")).await.unwrap();
    assert_eq!(same, added, "the same settings append nothing");
    let set = ledger.set_domain("a.example", &settings("two")).await.unwrap();
    assert_eq!((set.seq, &set.settings), (Seq(2), &settings("two")));
    assert_eq!(ledger.domain("a.example").await.unwrap(), Some(set));
    let unknown = Refusal::NotFound { what: "domain", name: "b.example".into() };
    assert_eq!(refusal(ledger.set_domain("b.example", &settings("x")).await), unknown);
    assert_eq!(refusal(ledger.remove_domain("b.example").await), unknown);

    ledger.add_domain("other", "0.example", &settings("zero")).await.unwrap();
    let names = |domains: Vec<freshen_ledger::DomainRecord>| -> Vec<String> {
        domains.into_iter().map(|domain| domain.name).collect()
    };
    assert_eq!(names(ledger.domains(None).await.unwrap()), ["0.example", "a.example"]);
    assert_eq!(names(ledger.domains(Some("acme")).await.unwrap()), ["a.example"]);

    ledger.remove_domain("a.example").await.unwrap();
    assert_eq!(ledger.domain("a.example").await.unwrap(), None);
    let told = changes(&*ledger, Seq::ZERO).await;
    let told: Vec<_> = told.iter().map(|(name, origin)| (&**name, origin.as_deref())).collect();
    assert_eq!(
        told,
        [
            ("a.example", Some("one:80")),
            ("a.example", Some("two:80")),
            ("0.example", Some("zero:80")),
            ("a.example", None)
        ]
    );
    let again = ledger.add_domain("other", "a.example", &settings("three")).await.unwrap();
    assert_eq!((again.seq, &*again.account), (Seq(5), "other"));
}

pub async fn sharers_follow(home: &dyn Home) {
    let ledger = home.open().await;
    ledger.add_account("acme", false).await.unwrap();
    ledger.add_domain("acme", "a.example", &settings("one")).await.unwrap();
    let shares = Settings { no_lease: NoLease::Serve, ..sharing("a.example") };
    let sharer = ledger.add_domain("acme", "b.example", &shares).await.unwrap();
    assert_eq!(sharer.settings.origin, settings("one").origin);
    assert_eq!(sharer.settings.no_lease, NoLease::Serve, "only origin and query policy follow");
    ledger.add_domain("acme", "c.example", &sharing("a.example")).await.unwrap();

    let moved = Settings { query: QueryPolicy::Ignore, ..settings("two") };
    ledger.set_domain("a.example", &moved).await.unwrap();
    let told = changes(&*ledger, Seq(3)).await;
    let names: Vec<&str> = told.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["a.example", "b.example", "c.example"]);
    for (name, seq) in [("b.example", 5), ("c.example", 6)] {
        let sharer = ledger.domain(name).await.unwrap().unwrap();
        assert_eq!((&sharer.settings.origin, &sharer.settings.query), (&moved.origin, &moved.query));
        assert_eq!(sharer.seq, Seq(seq));
    }

    let calmer = Settings { default_ttl_s: Some(60), ..moved.clone() };
    ledger.set_domain("a.example", &calmer).await.unwrap();
    assert_eq!(changes(&*ledger, Seq(6)).await.len(), 1, "what does not follow changes no sharer");

    let alone = ledger.set_domain("b.example", &settings("three")).await.unwrap();
    assert_eq!(alone.settings, settings("three"));
}

pub async fn unfit_shares_are_refused(home: &dyn Home) {
    let ledger = home.open().await;
    ledger.add_account("acme", false).await.unwrap();
    ledger.add_account("other", false).await.unwrap();
    ledger.add_domain("acme", "a.example", &settings("one")).await.unwrap();
    ledger.add_domain("acme", "b.example", &sharing("a.example")).await.unwrap();
    ledger.add_domain("other", "o.example", &settings("two")).await.unwrap();
    let end = ledger.end().borrow().seq;

    let why = unfit(ledger.add_domain("acme", "c.example", &sharing("none.example")).await);
    assert!(why.contains("no domain"), "{why}");
    let why = unfit(ledger.add_domain("acme", "c.example", &sharing("o.example")).await);
    assert!(why.contains("another account"), "{why}");
    let why = unfit(ledger.add_domain("acme", "c.example", &sharing("b.example")).await);
    assert!(why.contains("itself shares"), "{why}");
    let why = unfit(ledger.add_domain("acme", "c.example", &sharing("c.example")).await);
    assert!(why.contains("names itself"), "{why}");
    ledger.add_domain("acme", "d.example", &settings("three")).await.unwrap();
    let why = unfit(ledger.set_domain("a.example", &sharing("d.example")).await);
    assert!(why.contains("b.example shares"), "{why}");
    let why = unfit(ledger.remove_domain("a.example").await);
    assert!(why.contains("b.example shares"), "{why}");
    assert_eq!(changes(&*ledger, end).await.len(), 1, "refused calls append nothing");

    ledger.remove_domain("b.example").await.unwrap();
    ledger.remove_domain("a.example").await.unwrap();
}

pub async fn an_account_has_ten_thousand_of_them_and_lists_them_by_pages(home: &dyn Home) {
    let ledger = home.open().await;
    for account in ["acme", "other"] {
        ledger.add_account(account, false).await.unwrap();
    }
    ledger.add_domain("other", "0500.other", &settings("one")).await.unwrap();
    // At once, so that they share the waits for the disk, and the last two compete for one place.
    let mut adding = tokio::task::JoinSet::new();
    for number in 0..=DOMAINS_OF_ACCOUNT_MAX {
        let ledger = ledger.clone();
        adding.spawn(async move {
            ledger.add_domain("acme", &format!("{number:05}.example"), &settings("one")).await.is_ok()
        });
    }
    let added = adding.join_all().await.into_iter().filter(|added| *added).count();
    assert_eq!(added as u64, DOMAINS_OF_ACCOUNT_MAX);

    let names = async |account, text, name: Option<&str>, limit| {
        let found = ledger.domains_behind(account, text, name, limit).await.unwrap();
        (found.rows.into_iter().map(|domain| domain.name).collect::<Vec<_>>(), found.next)
    };
    let (page, next) = names(Some("acme"), None, Some("00009.example"), 2).await;
    assert_eq!(
        (page, next.as_deref()),
        (vec!["00010.example".into(), "00011.example".into()], Some("00011.example"))
    );
    let (page, next) = names(None, Some("0500."), None, 9).await;
    assert_eq!((page, next), (vec!["00500.example".to_owned(), "0500.other".into()], None));
}
