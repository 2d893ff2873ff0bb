//! The certificates that viewers of domains are shown.

use crate::Home;
use crate::fixture::{refusal, settings};
use freshen_ledger::{Refusal, ServerCertificate};
use freshen_model::receipt::Digest;
use freshen_model::secret::Secret;

fn certificate(domain: &str, number: u8) -> ServerCertificate {
    ServerCertificate {
        domain: domain.into(),
        title: (number > 1).then(|| format!("number {number}")),
        chain: "-----BEGIN CERTIFICATE-----".into(),
        key: Secret::Plain("hush-this-is-the-key".into()),
        digest: Digest([number; 32]),
        names: vec![domain.into(), "*.a.example".into()],
        until_s: 1_900_000_000,
        set_ms: 1_800_000_000_000,
    }
}

pub async fn each_domain_has_one_until_it_goes(home: &dyn Home) {
    let ledger = home.open().await;
    let unknown = Refusal::NotFound { what: "domain", name: "a.example".into() };
    assert_eq!(refusal(ledger.set_server_certificate(certificate("a.example", 1)).await), unknown);
    ledger.add_account("acme", false).await.unwrap();
    for domain in ["a.example", "b.example"] {
        ledger.add_domain("acme", domain, &settings("one")).await.unwrap();
    }
    ledger.set_server_certificate(certificate("b.example", 1)).await.unwrap();
    ledger.set_server_certificate(certificate("a.example", 1)).await.unwrap();
    ledger.set_server_certificate(certificate("a.example", 2)).await.unwrap();
    drop(ledger);

    let ledger = home.open().await;
    let found = ledger.server_certificate("a.example").await.unwrap();
    assert_eq!(found, Some(certificate("a.example", 2)), "the newest, its key opened");
    let all = ledger.server_certificates().await.unwrap();
    assert_eq!(all, [("a.example".into(), Digest([2; 32])), ("b.example".into(), Digest([1; 32]))]);
    assert!(ledger.remove_server_certificate("b.example").await.unwrap());
    assert!(!ledger.remove_server_certificate("b.example").await.unwrap());
    // Whoever has the name next does not get the key.
    ledger.remove_domain("a.example").await.unwrap();
    ledger.add_domain("acme", "a.example", &settings("one")).await.unwrap();
    assert_eq!(ledger.server_certificate("a.example").await.unwrap(), None);
    assert_eq!(ledger.server_certificates().await.unwrap(), []);
}
