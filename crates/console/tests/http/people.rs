//! Signing in, what each role may, and the audit trail.

use std::time::Duration;

use crate::stage::{PASSWORD, Stage};

#[tokio::test]
async fn a_session_begins_with_the_password_and_ends_with_the_sign_out() {
    let stage = Stage::set().await;
    let mut vera = stage.browser();
    let page = vera.post("/ui/sign-in", &[("name", "vera"), ("password", "another one")]).await;
    assert_eq!((page.status, page.header("set-cookie")), (403, ""));
    page.has("User name or password are not right.");
    let page = vera.post("/ui/sign-in", &[("name", "vera"), ("password", PASSWORD)]).await;
    let cookie = page.header("set-cookie");
    assert!(cookie.contains("; Path=/ui; Max-Age=43200; HttpOnly; SameSite=Lax"), "{cookie}");
    let page = vera.get("/ui/").await;
    page.has("viewer · ann");
    vera.token = page.token();
    // Another browser that has the cookie is signed out with it.
    let mut thief = stage.browser();
    thief.cookie.clone_from(&vera.cookie);
    assert_eq!(thief.get("/ui/").await.status, 200);
    assert_eq!(vera.post("/ui/sign-out", &[]).await.status, 303);
    assert_eq!(vera.cookie, None);
    assert_eq!(thief.get("/ui/").await.status, 303);
}

#[tokio::test]
async fn too_many_tries_are_told_to_wait() {
    let stage = Stage::set().await;
    for _ in 0..10 {
        let page = stage.browser().post("/ui/sign-in", &[("name", "vera"), ("password", "guess")]).await;
        assert_eq!(page.status, 403);
    }
    let page = stage.browser().post("/ui/sign-in", &[("name", "vera"), ("password", PASSWORD)]).await;
    assert_eq!(page.status, 429);
    page.has("Too many tries, wait");
    stage.signed_in("eva").await;
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let stage = Stage::set().await;
    let token = stage.control.make_sign_in_link("eva", Duration::from_secs(60)).await.unwrap();
    let mut eva = stage.browser();
    let path = format!("/ui/enter?token={token}");
    assert_eq!(eva.get(&path).await.header("location"), "/ui/");
    eva.get("/ui/").await.has("admin · ann");
    let page = stage.browser().get(&path).await;
    assert_eq!((page.status, page.header("set-cookie")), (403, ""));
    page.has("This link was used");
    assert_eq!(stage.browser().get("/ui/enter").await.status, 403);
}

#[tokio::test]
async fn only_admins_manage_users_and_see_who_did_what() {
    let stage = Stage::set().await;
    for name in ["vera", "olga"] {
        let mut person = stage.signed_in(name).await;
        person.get("/ui/").await.has_not("/ui/users");
        for path in ["/ui/users", "/ui/trail"] {
            assert_eq!(person.get(path).await.status, 403, "{name} {path}");
        }
        for path in ["/ui/users", "/ui/users/password", "/ui/users/remove"] {
            let form = [("name", "eva"), ("role", "admin"), ("account", "ann")];
            assert_eq!(person.post(path, &form).await.status, 403, "{name} {path}");
        }
    }
    let mut eva = stage.signed_in("eva").await;
    let page = eva.post("/ui/users", &[("name", "max"), ("role", "operator"), ("account", "bob")]).await;
    page.has("Keep it now: it is shown this once.");
    let (_, rest) = page.text.split_once("<dt>Password</dt><dd><code>").unwrap();
    let password = rest.split('<').next().unwrap();
    let again = eva.get("/ui/users").await;
    again.has(">max<");
    again.has_not(password);
    let page = stage.browser().post("/ui/sign-in", &[("name", "max"), ("password", password)]).await;
    assert_eq!(page.status, 303);

    let page = eva.post("/ui/users", &[("name", "max"), ("role", "viewer"), ("account", "bob")]).await;
    assert_eq!(page.status, 409);
    page.has("User &quot;max&quot; exists already.");
    assert_eq!(eva.post("/ui/users/remove", &[("name", "eva")]).await.status, 409, "not herself");
    assert_eq!(eva.post("/ui/users/remove", &[("name", "max")]).await.status, 303);
    eva.get("/ui/users").await.has_not(">max<");

    let trail = eva.get("/ui/trail").await;
    for told in [
        "add user",
        "max, operator of bob",
        "added",
        "refused: user &quot;max&quot; exists already",
        "removed",
    ] {
        trail.has(told);
    }
    trail.has("127.0.0.1");
    trail.has_not(password);
    eva.get("/ui/trail?user=vera").await.has_not("add user");
}

#[tokio::test]
async fn another_password_signs_out_everywhere() {
    let stage = Stage::set().await;
    let (mut here, mut there) = (stage.signed_in("olga").await, stage.signed_in("olga").await);
    let change = async |browser: &mut crate::stage::Browser, now: &str, new: &str| {
        browser.post("/ui/me", &[("now", now), ("new", new)]).await.status
    };
    assert_eq!(change(&mut here, "not this", "battery staple").await, 403);
    assert_eq!(change(&mut here, PASSWORD, "short").await, 409);
    assert_eq!(there.get("/ui/me").await.status, 200);
    assert_eq!(change(&mut here, PASSWORD, "battery staple").await, 303);
    assert_eq!((here.get("/ui/me").await.status, there.get("/ui/me").await.status), (303, 303));
    let form = [("name", "olga"), ("password", "battery staple")];
    assert_eq!(stage.browser().post("/ui/sign-in", &form).await.status, 303);
}
