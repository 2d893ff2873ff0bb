//! What somebody gets who is not signed in, and what a foreign page makes a browser do.

use crate::stage::{PASSWORD, Stage};

#[tokio::test]
async fn p8_a_stranger_sees_the_sign_in_and_nothing_else() {
    let stage = Stage::set().await;
    let mut stranger = stage.browser();
    for path in ["/ui/", "/ui/users", "/ui/trail", "/ui/me", "/ui/nothing"] {
        let page = stranger.get(path).await;
        assert_eq!((page.status, page.text.as_str()), (303, ""), "{path}");
        assert!(page.header("location").starts_with("/ui/sign-in"), "{path}: {}", page.header("location"));
    }
    assert_eq!(stranger.get("/ui/trail").await.header("location"), "/ui/sign-in?next=%2Fui%2Ftrail");
    let page = stranger.get("/ui/sign-in").await;
    for hidden in ["a.example", "b.example", "pop-asia", "ann", "bob", "eva"] {
        page.has_not(hidden);
    }
    stranger.cookie = Some("freshen_0=0; freshen_=x".into());
    assert_eq!(stranger.get("/ui/").await.status, 303, "a cookie of nobody");
    let page = stage.browser().get("/ui").await;
    assert_eq!((page.status, page.header("location")), (308, "/ui/"));
}

#[tokio::test]
async fn a_browser_loads_nothing_from_elsewhere_and_nothing_inline() {
    let stage = Stage::set().await;
    let mut eva = stage.signed_in("eva").await;
    let mut bytes = 0;
    for (path, kind) in [
        ("/ui/", "text/html; charset=utf-8"),
        ("/ui/sign-in", "text/html; charset=utf-8"),
        ("/ui/nothing", "text/html; charset=utf-8"),
        ("/ui/users", "text/html; charset=utf-8"),
        ("/ui/assets/freshen.css", "text/css; charset=utf-8"),
        ("/ui/assets/htmx.js", "text/javascript; charset=utf-8"),
    ] {
        let page = eva.get(path).await;
        assert_eq!(page.header("content-type"), kind, "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        if kind.starts_with("text/html") {
            assert_eq!(page.header("cache-control"), "no-store");
            assert_eq!(
                page.text.matches("<script").count(),
                page.text.matches("<script defer src=\"/ui/").count()
            );
            for inline in ["://", " style=", "<style", " onclick", "javascript:"] {
                page.has_not(inline);
            }
        }
    }
    // The first page with all that belongs to it.
    let first = eva.get("/ui/").await;
    bytes += first.text.len();
    for (_, rest) in first.text.match_indices("/ui/assets/").map(|(at, _)| first.text.split_at(at)) {
        bytes += eva.get(rest.split('"').next().unwrap()).await.text.len();
    }
    assert!(bytes < 100_000, "{bytes} bytes are too many for a first page");
    assert!(bytes > 50_000, "{bytes} bytes cannot be all of it");
    assert_eq!(eva.get("/ui/assets/nothing.js").await.status, 404);
}

#[tokio::test]
async fn a_foreign_page_can_send_no_form() {
    let stage = Stage::set().await;
    let mut eva = stage.signed_in("eva").await;
    let user = [("name", "mallory"), ("role", "admin"), ("account", "ann")];
    for from in [
        [("sec-fetch-site", "cross-site")].as_slice(),
        &[("sec-fetch-site", "same-site")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
    ] {
        let page = eva.post_from("/ui/users", &user, from).await;
        assert_eq!(page.status, 403, "{from:?}");
    }
    // A browser that says nothing is no proof: the form's token is.
    let token = std::mem::replace(&mut eva.token, "guessed".into());
    assert_eq!(eva.post_from("/ui/users", &user, &[]).await.status, 403);
    let mut olga = stage.signed_in("olga").await;
    olga.token.clone_from(&token);
    assert_eq!(olga.post("/ui/sign-out", &[]).await.status, 403, "a token is of one session");
    assert!(stage.control.user("mallory").await.unwrap().is_none());
    eva.token = token;
    assert_eq!(eva.post_from("/ui/users", &user, &[]).await.status, 200);
    // Nor can it sign somebody in.
    let form = [("name", "eva"), ("password", PASSWORD)];
    let page = stage.browser().post_from("/ui/sign-in", &form, &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((page.status, page.header("set-cookie")), (403, ""));
}

#[tokio::test]
async fn nobody_is_sent_to_another_place_after_signing_in() {
    let stage = Stage::set().await;
    for (next, to) in
        [("/ui/trail?user=eva", "/ui/trail?user=eva"), ("//evil.example/", "/ui/"), ("", "/ui/")]
    {
        let form = [("name", "eva"), ("password", PASSWORD), ("next", next)];
        let page = stage.browser().post("/ui/sign-in", &form).await;
        assert_eq!((page.status, page.header("location")), (303, to), "{next}");
    }
}
