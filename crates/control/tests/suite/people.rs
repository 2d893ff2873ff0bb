//! People: signing in, and what ends it.

use crate::stage::Stage;
use freshen_control::{ManageError, SignInError};
use freshen_ledger::Error;
use freshen_model::role::Role;
use std::net::IpAddr;
use std::time::Duration;

const PASSWORD: &str = "correct horse";

async fn stage() -> Stage {
    let stage = Stage::set().await;
    stage.control.add_user("eva", "ann", Role::Operator, Some(PASSWORD.into())).await.unwrap();
    stage
}

fn from(address: &str) -> Option<IpAddr> {
    Some(address.parse().unwrap())
}

#[tokio::test]
async fn who_knows_the_password_is_signed_in_until_it_ends() {
    let stage = stage().await;
    let control = &stage.control;
    let wrong = async |name: &str, password: &str| {
        let refused = control.sign_in(name, password.into(), from("192.0.2.1")).await.unwrap_err();
        assert!(matches!(refused, SignInError::Wrong), "{refused}");
    };
    wrong("eva", "another password").await;
    wrong("adam", PASSWORD).await;
    wrong("eva", &"x".repeat(300)).await;
    let session = control.sign_in("eva", PASSWORD.into(), from("192.0.2.1")).await.unwrap();
    let whose = async |id: &str| control.user_of_session(id).await.unwrap().map(|user| user.name);
    assert_eq!(whose(&session.id).await.as_deref(), Some("eva"));
    assert_eq!(whose("0000").await, None);
    let written = format!("{session:?} {:?}", session.user);
    assert!(!written.contains(&session.id) && !written.contains("argon2"), "{written}");

    control.sign_out(&session.id).await.unwrap();
    assert_eq!(whose(&session.id).await, None);
    let session = control.sign_in("eva", PASSWORD.into(), None).await.unwrap();
    stage.clock.advance(session.lifetime);
    assert_eq!(whose(&session.id).await, None, "its time is over");
    let session = control.sign_in("eva", PASSWORD.into(), None).await.unwrap();
    control.set_password("eva", Some("battery staple".into())).await.unwrap();
    assert_eq!(whose(&session.id).await, None, "another password ends it");
    wrong("eva", PASSWORD).await;
}

#[tokio::test]
async fn too_many_tries_are_refused_even_with_the_password() {
    let stage = stage().await;
    for n in 0..10 {
        let address = format!("192.0.2.{n}");
        let tried = stage.control.sign_in("eva", "another password".into(), from(&address)).await;
        assert!(matches!(tried, Err(SignInError::Wrong)));
    }
    let refused = stage.control.sign_in("eva", PASSWORD.into(), from("192.0.2.99")).await.unwrap_err();
    assert_eq!(refused.to_string(), "too many tries, wait 6 s");
    stage.clock.advance(Duration::from_secs(6));
    stage.control.sign_in("eva", PASSWORD.into(), from("192.0.2.99")).await.unwrap();
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let stage = stage().await;
    let link = stage.control.make_sign_in_link("eva", Duration::from_secs(60)).await.unwrap();
    assert_eq!(stage.control.sign_in_by_link(&link).await.unwrap().user.name, "eva");
    assert!(matches!(stage.control.sign_in_by_link(&link).await, Err(SignInError::Wrong)));
    let link = stage.control.make_sign_in_link("eva", Duration::from_secs(60)).await.unwrap();
    stage.clock.advance(Duration::from_secs(60));
    assert!(matches!(stage.control.sign_in_by_link(&link).await, Err(SignInError::Wrong)));
}

#[tokio::test]
async fn users_have_fit_names_and_passwords() {
    let stage = stage().await;
    let add = async |name: &str, account: &str, password: Option<&str>| {
        stage.control.add_user(name, account, Role::Viewer, password.map(str::to_owned)).await
    };
    assert!(matches!(add("a b", "ann", None).await, Err(ManageError::Unfit { field: "user", .. })));
    assert!(matches!(
        add("max", "ann", Some("short")).await,
        Err(ManageError::Unfit { field: "password", .. })
    ));
    assert!(matches!(add("max", "nobody", None).await, Err(ManageError::Ledger(Error::Refused(_)))));
    let made = add("max@example.com", "ann", None).await.unwrap();
    stage.control.sign_in("max@example.com", made, None).await.unwrap();
}
