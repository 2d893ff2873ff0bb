//! The books of traffic.

use crate::Home;
use crate::fixture::site;
use freshen_ledger::TrafficEntry;
use freshen_model::area::Area;
use freshen_model::ids::BootId;
use freshen_model::traffic::{Booked, Span, Traffic};

const A: &str = "a.example";

fn traffic(requests: u64) -> Traffic {
    Traffic { requests, origin_bytes: 10 * requests, ..Traffic::default() }
}

fn entry(domain: &str, at_s: i64, area: Area, requests: u64) -> TrafficEntry {
    TrafficEntry { domain: domain.into(), span: Span { at_s, area, traffic: traffic(requests) } }
}

fn booked(domain: &str, boot: u8, requests: u64) -> Booked {
    let pop = "pop-1".parse().unwrap();
    Booked { pop, domain: domain.into(), boot: BootId([boot; 16]), total: traffic(requests) }
}

pub async fn entries_add_up_and_are_told_in_spans(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let (here, there) = (Area::Domestic, Area::Overseas);
    let entries = vec![
        entry(A, 300, here, 1),
        entry(A, 600, here, 2),
        entry(A, 600, there, 4),
        entry("x.example", 300, here, 9),
    ];
    ledger.add_traffic(entries, vec![booked(A, 1, 7)]).await.unwrap();
    ledger
        .add_traffic(vec![entry(A, 600, here, 8), entry(A, 3_600, here, 16)], vec![booked(A, 2, 24)])
        .await
        .unwrap();
    drop(ledger);

    let ledger = home.open().await;
    assert_eq!(
        ledger.traffic_booked().await.unwrap(),
        [booked(A, 2, 24)],
        "the last one of a POP and a domain"
    );
    let told = async |domains: &[&str], between, span_s| {
        let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
        let spans = ledger.traffic(domains, between, span_s).await.unwrap();
        spans
            .iter()
            .map(|span| (span.at_s, span.area, span.traffic.requests, span.traffic.origin_bytes))
            .collect::<Vec<_>>()
    };
    let all = [(300, here, 1, 10), (600, here, 10, 100), (600, there, 4, 40), (3_600, here, 16, 160)];
    assert_eq!(told(&[A], (0, 10_000), 300).await, all);
    assert_eq!(told(&[A], (600, 3_600), 300).await, all[1..3]);
    assert_eq!(
        told(&[A, "b.example"], (0, 10_000), 3_600).await,
        [(0, here, 11, 110), (0, there, 4, 40), (3_600, here, 16, 160)]
    );
    assert_eq!(told(&["x.example"], (0, 10_000), 300).await, [], "which is no domain");
    assert!(!ledger.forget_traffic(600).await.unwrap());
    assert_eq!(told(&[A], (0, 10_000), 300).await, all[1..]);
}

pub async fn p8_whoever_has_a_name_next_does_not_see_what_was(home: &dyn Home) {
    let ledger = home.open().await;
    site(&*ledger).await;
    let settings = ledger.domain(A).await.unwrap().unwrap().settings;
    ledger.add_traffic(vec![entry(A, 300, Area::Domestic, 1)], vec![booked(A, 1, 1)]).await.unwrap();
    ledger.remove_domain(A).await.unwrap();
    ledger.add_account("other", false).await.unwrap();
    ledger.add_domain("other", A, &settings).await.unwrap();
    assert_eq!(ledger.traffic(vec![A.into()], (0, 1_000), 300).await.unwrap(), []);
    assert_eq!(ledger.traffic_booked().await.unwrap().len(), 1, "POPs go on counting from there");
}
