//! P8: an account reaches only its own domains, a POP only configured origins.

use crate::installation::{ACCOUNT, Installation, Plan};
use crate::origin::{Origin, Page};
use freshen_control::{SubmitError, SubmitRequest};
use freshen_model::domain::Settings;
use freshen_model::location::Scheme;
use freshen_model::task::TaskKind;

fn request(kind: TaskKind, url: &str) -> SubmitRequest {
    let (lines, domains) = (vec![url.into()], Vec::new());
    let (force, soft) = (false, false);
    SubmitRequest { kind, force, soft, area: None, lines, domains, scheme: Scheme::Required, follow: None }
}

#[tokio::test]
async fn p8_a_foreign_domain_is_refused_like_an_unknown_one() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.control.add_account("other", false).await.unwrap();
    let settings = Settings::of_origin(format!("http://{}", fleet.origin.address).parse().unwrap());
    fleet.control.add_domain("other", "b.example", &settings).await.unwrap();
    for kind in [TaskKind::Url, TaskKind::Prefetch] {
        let foreign = fleet.control.submit(ACCOUNT, request(kind, "http://b.example/x")).await.unwrap_err();
        let unknown = fleet.control.submit(ACCOUNT, request(kind, "http://c.example/x")).await.unwrap_err();
        let (SubmitError::BadLines(foreign), SubmitError::BadLines(unknown)) = (foreign, unknown) else {
            panic!("refused otherwise");
        };
        assert_eq!(
            foreign[0].fault.to_string().replace("b.example", "c.example"),
            unknown[0].fault.to_string()
        );
    }
}

#[tokio::test]
async fn p8_an_unknown_host_reaches_no_origin() {
    let fleet = Installation::start(Plan::default()).await;
    let viewer = fleet.viewer(0);
    for host in ["unknown.example/a".to_owned(), format!("{}/a", fleet.origin.address)] {
        let got = viewer.get(&host).await;
        assert_eq!(got.status, 404);
        assert_eq!(got.x_cache(), None);
    }
    assert!(fleet.origin.all().is_empty());
}

#[tokio::test]
async fn p8_a_redirect_is_passed_on_and_not_followed() {
    let fleet = Installation::start(Plan::default()).await;
    let elsewhere = Origin::start().await;
    let location = format!("http://{}/secret", elsewhere.address);
    fleet.origin.set("/a", Page::new("").status(302).with("location", location.clone()));
    let got = fleet.viewer(0).get("a.example/a").await;
    assert_eq!((got.status.as_u16(), got.header("location")), (302, Some(location.as_str())));
    fleet.prefetch(&["a.example/a"]).await;
    assert!(elsewhere.all().is_empty());
}
