//! Domains, accounts, keys, the library: who sees them, who changes them.

use crate::stage::Stage;

#[tokio::test]
async fn p8_everybody_sees_the_own_account_and_only_admins_change() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    let list = olga.get("/ui/domains").await;
    list.has("a.example");
    list.has_not("b.example");
    list.has_not("Add a domain");
    olga.get("/ui/domains/a.example").await.has("http://origin.a.example:80");
    assert_eq!(olga.get("/ui/domains/b.example").await.status, 404);
    olga.get("/ui/quotas").await.has("2,000");
    olga.get("/ui/library?account=bob").await.has("The library of ann");
    for path in ["/ui/domains/new", "/ui/accounts", "/ui/accounts/ann"] {
        assert_eq!(olga.get(path).await.status, 403, "{path}");
    }
    for path in [
        "/ui/domains/new",
        "/ui/domains/a.example",
        "/ui/domains/a.example/remove",
        "/ui/library",
        "/ui/library/remove",
        "/ui/accounts",
        "/ui/accounts/ann/limits",
        "/ui/accounts/ann/keys",
        "/ui/accounts/ann/keys/disable",
    ] {
        assert_eq!(olga.post(path, &[("name", "x"), ("format", "mp4")]).await.status, 403, "{path}");
    }
    let mut eva = stage.signed_in("eva").await;
    eva.get("/ui/domains").await.has("b.example");
}

#[tokio::test]
async fn an_admin_changes_a_domain_and_what_the_form_does_not_have_stays() {
    let stage = Stage::set().await;
    let mut eva = stage.signed_in("eva").await;
    let settings = stage.control.own_domain(None, "b.example").await.unwrap().settings;
    let before = freshen_model::domain::Settings { stopped: true, ..settings };
    stage.control.set_domain(None, "b.example", &before).await.unwrap();
    let mut form = vec![
        ("origins", "http://one.example\r\nhttps://two.example:8443"),
        ("ttl", "/static/=3600\r\n.jpg=60!"),
        ("host_header", "b.example"),
        ("query", "only:a"),
        ("default_ttl_s", "5"),
        ("negative_ttl_s", ""),
        ("retries", "2"),
        ("origin_head_ms_max", ""),
        ("origin_silence_ms_max", "900"),
        ("home", "off"),
        ("no_lease", "refetch"),
        ("ranges", "whole"),
        ("show_tags", "on"),
    ];
    eva.post("/ui/domains/b.example", &form).await.has("Saved as order");
    let after = stage.control.own_domain(None, "b.example").await.unwrap().settings;
    assert_eq!(
        after.origins().map(ToString::to_string).collect::<Vec<_>>(),
        ["http://one.example:80", "https://two.example:8443"]
    );
    assert_eq!(
        (after.ttl.len(), after.default_ttl_s, after.negative_ttl_s, after.retries),
        (2, Some(5), None, 2)
    );
    assert_eq!((after.query.to_string().as_str(), after.origin_silence_ms_max), ("only:a", Some(900)));
    assert!(after.show_tags && !after.purged_stale_if_error && after.stopped, "{after:?}");
    form[0] = ("origins", "http://one.example\r\ngopher://x");
    let page = eva.post("/ui/domains/b.example", &form).await;
    assert_eq!(page.status, 409);
    page.has("gopher://x");
    form[0] = ("origins", "http://one.example");
    form[6] = ("retries", "9");
    assert_eq!(eva.post("/ui/domains/b.example", &form).await.status, 409);
    assert_eq!(stage.control.own_domain(None, "b.example").await.unwrap().settings, after);
}

#[tokio::test]
async fn a_domain_comes_and_goes() {
    let stage = Stage::set().await;
    let mut eva = stage.signed_in("eva").await;
    let form = [("account", "bob"), ("name", "New.Example"), ("origins", "http://origin.example")];
    // It is tried first, and nobody is there who could.
    let page = eva.post("/ui/domains/new", &form).await;
    assert_eq!(page.status, 409);
    page.has("No POP is connected that could ask the origin.");
    assert!(stage.control.own_domain(None, "new.example").await.is_err());
    let form = [form.as_slice(), &[("anyway", "on")]].concat();
    let page = eva.post("/ui/domains/new", &form).await;
    assert_eq!((page.status, page.header("location")), (303, "/ui/domains/new.example"));
    assert_eq!(stage.control.own_domain(None, "new.example").await.unwrap().account, "bob");
    let page = eva.post("/ui/domains/new", &form).await;
    assert_eq!(page.status, 409);
    page.has("exists already");
    assert_eq!(eva.post("/ui/domains/new.example/remove", &[]).await.status, 303);
    assert_eq!(eva.get("/ui/domains/new.example").await.status, 404);
}

#[tokio::test]
async fn keys_are_shown_once_and_confined_as_the_form_says() {
    let stage = Stage::set().await;
    let mut eva = stage.signed_in("eva").await;
    let page =
        eva.post("/ui/accounts/ann/keys", &[("purge", "on"), ("read", "on"), ("domains", "a.example")]).await;
    let (_, rest) = page.text.split_once("<dt>Secret</dt><dd><code>").unwrap();
    let secret = rest.split('<').next().unwrap();
    let keys = stage.control.keys("ann").await.unwrap();
    assert_eq!((keys.len(), keys[0].secret.as_str()), (1, secret));
    assert_eq!(keys[0].rights.may.len(), 2);
    assert!(keys[0].rights.reach("a.example") && !keys[0].rights.reach("b.example"));
    let page = eva.get("/ui/accounts/ann").await;
    page.has(&keys[0].id);
    page.has_not(secret);
    let page = eva.post("/ui/accounts/ann/keys", &[("read", "on"), ("domains", "b.example")]).await;
    assert_eq!(page.status, 409);
    page.has("The account has no such domain.");
    assert_eq!(eva.post("/ui/accounts/ann/keys", &[]).await.status, 409, "a key that may do nothing");
    let disable = [("id", keys[0].id.as_str())];
    assert_eq!(eva.post("/ui/accounts/bob/keys/disable", &disable).await.status, 404, "not bob's");
    assert_eq!(eva.post("/ui/accounts/ann/keys/disable", &disable).await.status, 303);
    assert!(stage.control.keys("ann").await.unwrap()[0].disabled);
    eva.get("/ui/trail").await.has_not(secret);
}

#[tokio::test]
async fn limits_and_the_library_are_changed() {
    let stage = Stage::set().await;
    let mut eva = stage.signed_in("eva").await;
    let limits = stage.control.account("bob").await.unwrap().unwrap().limits;
    let numbers = [
        ("url", "7"),
        ("directory", "100"),
        ("prefetch", "500"),
        ("query", "100"),
        ("regex", "20"),
        ("tag", "2000"),
        ("requests_per_s", "50"),
        ("urls_per_minute", "10000"),
        ("directories_per_minute", "100"),
        ("prefetch_queue", "100000"),
    ];
    eva.post("/ui/accounts/bob/limits", &numbers).await.has("The limits are changed.");
    let after = stage.control.account("bob").await.unwrap().unwrap().limits;
    assert_eq!(after, freshen_model::quota::Limits { url: 7, ..limits });
    assert_eq!(eva.post("/ui/accounts/bob/limits", &numbers[1..]).await.status, 409);

    let stream =
        |url| [("account", "bob"), ("media", "film"), ("url", url), ("format", "m3u8"), ("definition", "HD")];
    let page = eva.post("/ui/library", &stream("http://a.example/v.m3u8")).await;
    assert_eq!(page.status, 409);
    page.has("a.example is not a domain of this account");
    eva.post("/ui/library", &stream("http://b.example/v.m3u8")).await.has("http://b.example/v.m3u8");
    eva.get("/ui/library?account=bob&search=film").await.has("http://b.example/v.m3u8");
    eva.get("/ui/library?account=ann").await.has_not("b.example");
    assert_eq!(eva.post("/ui/library/remove", &[("account", "bob"), ("media", "film")]).await.status, 303);
    eva.get("/ui/library?account=bob").await.has_not("v.m3u8");
}

#[tokio::test]
async fn a_check_is_of_own_domains_and_says_what_no_pop_answered() {
    let stage = Stage::set().await;
    let mut vera = stage.signed_in("vera").await;
    let page = vera.get("/ui/check?url=http%3A%2F%2Fa.example%2Fx").await;
    page.has("0 of 1 POPs would answer from the cache.");
    page.has("What differs is marked.");
    vera.get("/ui/check?url=http%3A%2F%2Fb.example%2Fx")
        .await
        .has("B.example is not a domain of this account.");
    let mut eva = stage.signed_in("eva").await;
    eva.get("/ui/check?url=http%3A%2F%2Fb.example%2Fx").await.has("0 of 1 POPs");
    let fleet = vera.get("/ui/fleet").await;
    fleet.has("pop-asia");
    fleet.has("not connected");
}
