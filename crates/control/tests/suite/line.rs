//! The line to POPs: whom control takes, and by what they know it.

use crate::stage::{Pop, Stage};
use freshen_fleet::{JoinToken, Link, LinkError};
use freshen_model::area::Area;
use freshen_model::protocol::now::Now;

/// A registered POP that has said nothing yet, with its token's secret and pin apart.
async fn registered(stage: &Stage) -> (Pop, JoinToken) {
    let id = "pop-a".parse().unwrap();
    let new = stage.control.add_pop(&id, Area::Domestic, "north").await.unwrap();
    let token = new.token.parse().unwrap();
    (Pop::new(stage, id, new.token, 1), token)
}

async fn beat(pop: &mut Pop) -> Result<(), LinkError> {
    pop.link.heartbeat(&pop.follower.heartbeat(Now::default(), vec![])).await.map(drop)
}

#[tokio::test]
async fn a_token_has_controls_pin_and_one_of_before_is_taken_still() {
    let stage = Stage::set().await;
    let (mut pop, token) = registered(&stage).await;
    assert_eq!(token.pin, Some(stage.control.line_key().pin()));
    assert!(pop.link.is_private());
    beat(&mut pop).await.unwrap();
    let mut before = Pop::new(&stage, pop.id(), token.secret, 1);
    assert!(!before.link.is_private());
    beat(&mut before).await.unwrap();
}

#[tokio::test]
async fn with_tls_required_a_token_of_before_is_refused_with_what_to_do() {
    let stage = Stage::set_with(|config| config.fleet_tls_required = true).await;
    let (mut pop, token) = registered(&stage).await;
    pop.event().await;
    assert!(stage.control.pops()[0].tls);
    let mut before = Pop::new(&stage, pop.id(), token.secret, 1);
    let refused = beat(&mut before).await.unwrap_err();
    assert!(matches!(refused, LinkError::Refused(_)), "{refused}");
    assert!(refused.to_string().contains("freshen pop list"), "{refused}");
    let pin = stage.control.line_key().pin().to_string();
    assert!(!refused.to_string().contains(&pin), "who stands between could tell another");
}

#[tokio::test]
async fn control_has_one_key_over_restarts_and_another_installation_has_another() {
    let stage = Stage::set().await;
    let (mut pop, _) = registered(&stage).await;
    let pin = stage.control.line_key().pin();
    let stage = stage.restart().await;
    assert_eq!(stage.control.line_key().pin(), pin);
    pop.reconnect(&stage);
    beat(&mut pop).await.unwrap();
    let other = Stage::set().await;
    assert_ne!(other.control.line_key().pin(), pin);
    pop.reconnect(&other);
    let refused = beat(&mut pop).await.unwrap_err();
    assert!(matches!(refused, LinkError::Stranger { .. }), "{refused}");
}
