//! The certificates that viewers of domains are shown: which are taken, and who gets them.

use crate::stage::{Pop, Stage, settings};
use freshen_control::NewServerCertificate;
use freshen_fleet::wire::{CertificateName, CertificateWanted, HandedCertificate};
use freshen_fleet::{JoinToken, Link, LinkError};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

/// A certificate for a name with its key, for some days of 2026 (the stage's day is 22 November).
fn made(name: &str, from: (u8, u8), until: (u8, u8)) -> NewServerCertificate {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2026, from.0, from.1);
    params.not_after = date_time_ymd(2026, until.0, until.1);
    let key = KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    NewServerCertificate { title: None, chain, key: key.serialize_pem() }
}

fn good(name: &str) -> NewServerCertificate {
    made(name, (1, 1), (12, 31))
}

async fn refused(stage: &Stage, new: NewServerCertificate) -> String {
    stage.control.set_server_certificate(Some("ann"), "a.example", new).await.unwrap_err().to_string()
}

async fn ask(pop: &Pop, domain: &str) -> Result<HandedCertificate, LinkError> {
    pop.link.certificate(&CertificateWanted { pop: pop.id(), domain: domain.into() }).await
}

#[tokio::test]
async fn what_viewers_could_not_use_is_refused_with_its_reason() {
    let stage = Stage::set().await;
    for (new, says) in [
        (made("a.example", (1, 1), (11, 10)), "certificate: it expired 12 days ago"),
        (made("a.example", (12, 1), (12, 31)), "certificate: it is valid in 8 days only"),
        (good("b.example"), "certificate: it is for b.example, and not for a.example"),
        (good("*.a.example"), "certificate: it is for *.a.example, and not for a.example"),
        (
            NewServerCertificate { key: good("a.example").key, ..good("a.example") },
            "key: it is not the key of this certificate",
        ),
        (
            NewServerCertificate { title: Some("a\nb".into()), ..good("a.example") },
            "title: write at most 128 bytes of text",
        ),
    ] {
        assert_eq!(refused(&stage, new).await, says);
    }
    assert!(!stage.control.has_server_certificate("a.example"));
    let good = good("a.example");
    let long = NewServerCertificate { chain: good.chain.repeat(11), ..good.clone() };
    assert_eq!(refused(&stage, long).await, "certificate: a chain of 11 is longer than 10");
    let told = format!("{good:?}");
    assert!(!told.contains("PRIVATE"), "{told}");
}

#[tokio::test]
async fn p8_a_pop_of_the_fleet_gets_it_by_tls_and_nobody_else() {
    let stage = Stage::set().await;
    let (mut a, b) = (stage.pop("pop-a").await, stage.pop("pop-b").await);
    let new = good("a.example");
    stage.control.set_server_certificate(Some("ann"), "a.example", new.clone()).await.unwrap();
    let foreign = stage.control.set_server_certificate(Some("bob"), "a.example", new.clone()).await;
    assert!(foreign.unwrap_err().to_string().contains("no domain"));
    let handed = ask(&a, "a.example").await.unwrap();
    assert_eq!((handed.chain.trim(), handed.key.plain()), (new.chain.trim(), Some(new.key.as_str())));
    assert!(!format!("{handed:?}").contains("PRIVATE"));
    let refused = ask(&a, "b.example").await.unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");

    let token: JoinToken = b.token.parse().unwrap();
    let in_the_clear = Pop::new(&stage, b.id(), token.secret, 1);
    let refused = ask(&in_the_clear, "a.example").await.unwrap_err().to_string();
    assert!(refused.contains("403") && refused.contains("by TLS only"), "{refused}");

    // One that leaves is let in until it has confirmed that, and gets no key any more.
    stage.control.remove_pop(&a.id()).await.unwrap();
    a.event().await;
    let refused = ask(&a, "a.example").await.unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");
}

#[tokio::test]
async fn pops_are_told_of_each_change_and_of_what_there_is() {
    let stage = Stage::set().await;
    let named = |stage: &Stage| {
        let names = stage.control.host().certificates();
        let names: Vec<CertificateName> = names.borrow().to_vec();
        names
    };
    stage.control.add_domain("ann", "c.example", &settings()).await.unwrap();
    let set = async |stage: &Stage, domain: &str| {
        let new = good(domain);
        stage.control.set_server_certificate(None, domain, new).await.unwrap().digest
    };
    let c = CertificateName { domain: "c.example".into(), digest: set(&stage, "c.example").await };
    let first = CertificateName { domain: "a.example".into(), digest: set(&stage, "a.example").await };
    assert_eq!(named(&stage), [first.clone(), c.clone()]);
    let second = CertificateName { domain: "a.example".into(), digest: set(&stage, "a.example").await };
    assert_ne!(first, second);
    assert_eq!(named(&stage), [second.clone(), c.clone()]);
    let stage = stage.restart().await;
    assert_eq!(named(&stage), [second, c.clone()]);
    stage.control.remove_server_certificate(Some("ann"), "a.example").await.unwrap();
    assert_eq!(named(&stage), [c]);
    stage.control.remove_domain(Some("ann"), "c.example").await.unwrap();
    assert_eq!(named(&stage), []);
}
