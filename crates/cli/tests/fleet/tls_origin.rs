//! Origins behind TLS.

use crate::installation::{Installation, Plan};
use crate::origin::{Origin, Page};

const A: &str = "a.example/a";

async fn behind_tls(certificate_of: &str, trusted: bool) -> (Installation, Origin) {
    let (origin, pem) = Origin::start_tls(certificate_of).await;
    origin.set("/a", Page::new("secret on the way"));
    let address = format!("https://localhost:{}", origin.address.port());
    let settings = move |mut settings: freshen_model::domain::Settings| {
        settings.origin = address.parse().unwrap();
        settings
    };
    let origin_ca = trusted.then_some(pem);
    let fleet =
        Installation::start(Plan { settings: Box::new(settings), origin_ca, ..Plan::default() }).await;
    (fleet, origin)
}

#[tokio::test]
async fn a_trusted_origin_is_fetched_from_over_tls() {
    let (fleet, origin) = behind_tls("localhost", true).await;
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(A).await.both(), ("MISS", "secret on the way"));
    assert_eq!(viewer.get(A).await.both(), ("HIT", "secret on the way"));
    fleet.purge(&[A]).await;
    assert_eq!(viewer.get(A).await.both(), ("EXPIRED", "secret on the way"));
    assert_eq!(origin.requests("/a").len(), 2);
}

#[tokio::test]
async fn an_origin_that_nobody_vouches_for_is_not_asked() {
    for (certificate_of, trusted) in [("localhost", false), ("other.example", true)] {
        let (fleet, origin) = behind_tls(certificate_of, trusted).await;
        let got = fleet.viewer(0).get(A).await;
        assert_eq!(got.status, 502);
        assert!(got.text().contains("certificate"), "{}", got.text());
        assert!(origin.all().is_empty());
    }
}
