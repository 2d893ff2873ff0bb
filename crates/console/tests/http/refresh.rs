//! «Refresh and Prefetch»: what is submitted, what is refused, and what the record shows of it.

use crate::stage::{Browser, Stage};

/// Sends a purge; gives the path of its record.
async fn purged(browser: &mut Browser, fields: &[(&str, &str)]) -> String {
    let page = browser.post("/ui/refresh/purge", fields).await;
    assert_eq!(page.status, 303, "{}", page.text);
    page.header("location").to_owned()
}

#[tokio::test]
async fn an_operator_purges_and_finds_it_in_the_record() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    olga.get("/ui/refresh/purge").await.has("2,000 of 2,000 left");
    let lines = "http://a.example/x.jpg\r\n\r\nhttp://a.example/y.jpg\r\n";
    let record = purged(&mut olga, &[("kind", "url"), ("lines", lines)]).await;
    let page = olga.get(&record).await;
    for shown in ["purge URL", "2 lines", "http://a.example/y.jpg", "pop-asia", "waiting", "for ann"] {
        page.has(shown);
    }
    olga.get("/ui/refresh/purge").await.has("1,998 of 2,000 left");
    let again = olga.get(&format!("/ui/refresh/purge?again={}", record.rsplit('/').next().unwrap())).await;
    again.has("http://a.example/x.jpg\nhttp://a.example/y.jpg</textarea>");
    let directory = [("kind", "directory"), ("mode", "force"), ("lines", "http://a.example/d/")];
    purged(&mut olga, &directory).await;
    let list = olga.get("/ui/refresh/records").await;
    list.has("http://a.example/x.jpg <span class=\"more faint\">and 1 more</span>");
    list.has("http://a.example/d/");
    olga.get("/ui/refresh/records?type=directory").await.has_not("x.jpg");
    olga.get("/ui/refresh/records?url=X.JP").await.has_not("/d/");
    olga.get("/ui/refresh/records?status=complete").await.has("No operation fits.");
    let mut eva = stage.signed_in("eva").await;
    eva.get("/ui/trail").await.has("directory of ann: http://a.example/d/");
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_line_and_nothing_is_done() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    let end = stage.control.log_end();
    let lines = "http://a.example/fine\n\nhttp://a.example/with space\nhttp://b.example/other";
    for path in
        ["/ui/refresh/purge", "/ui/refresh/purge/look", "/ui/refresh/prefetch", "/ui/refresh/prefetch/look"]
    {
        let page = olga.post(path, &[("kind", "url"), ("lines", lines)]).await;
        page.has("2 lines cannot be submitted.");
        page.has("data-marked=\"3,4\"");
        page.has("raw space in URL, write %20");
        page.has("b.example is not a domain of this account");
    }
    let page = olga.post("/ui/refresh/purge", &[("kind", "url"), ("lines", lines)]).await;
    assert_eq!(page.status, 409);
    page.has("http://a.example/fine\n\nhttp://a.example/with space\nhttp://b.example/other</textarea>");
    let late = [("kind", "url"), ("lines", "http://a.example/x"), ("not_before", "2200-01-01T00:00")];
    olga.post("/ui/refresh/purge", &late).await.has("A task begins within 31 days");
    olga.post("/ui/refresh/prefetch", &[("lines", "http://a.example/d/")])
        .await
        .has("a directory cannot be prefetched");
    olga.post("/ui/refresh/purge/look", &[("kind", "url"), ("lines", "http://a.example/x")])
        .await
        .has("1 line is fine.");
    assert_eq!(stage.control.log_end(), end);
}

#[tokio::test]
async fn p8_another_accounts_operations_are_like_none_and_a_viewer_looks_on() {
    let stage = Stage::set().await;
    stage
        .control
        .add_user("bea", "bob", freshen_model::role::Role::Operator, Some("correct horse".into()))
        .await
        .unwrap();
    let (mut olga, mut bea) = (stage.signed_in("olga").await, stage.signed_in("bea").await);
    let record = purged(&mut olga, &[("kind", "url"), ("lines", "http://a.example/x")]).await;
    let number = record.rsplit('/').next().unwrap();
    for path in [record.clone(), format!("{record}/live"), format!("{record}/receipt.json")] {
        assert_eq!(bea.get(&path).await.status, 404, "{path}");
    }
    for word in ["cancel", "pause", "resume"] {
        assert_eq!(bea.post(&format!("{record}/{word}"), &[]).await.status, 404, "{word}");
    }
    bea.get("/ui/refresh/records").await.has_not("a.example");
    bea.get("/ui/refresh/records?account=ann").await.has_not("a.example");
    bea.get(&format!("/ui/refresh/purge?again={number}")).await.has_not("a.example");
    // To name another account is for admins.
    let foreign = [("kind", "url"), ("lines", "http://a.example/x"), ("account", "ann")];
    assert_eq!(bea.post("/ui/refresh/purge", &foreign).await.status, 409);

    let mut vera = stage.signed_in("vera").await;
    vera.get(&record).await.has_not("Run again");
    for path in [
        "/ui/refresh/purge",
        "/ui/refresh/purge/preview",
        "/ui/refresh/prefetch",
        "/ui/refresh/prefetch/preview",
        &format!("{record}/cancel"),
        &format!("{record}/pause"),
    ] {
        let form = [("kind", "url"), ("lines", "http://a.example/x")];
        assert_eq!(vera.post(path, &form).await.status, 403, "{path}");
    }
    vera.get("/ui/").await.has("http://a.example/x");
    bea.get("/ui/").await.has("Nothing was purged or prefetched yet.");
    let mut eva = stage.signed_in("eva").await;
    let theirs = [("kind", "url"), ("lines", "http://b.example/x"), ("account", "bob")];
    purged(&mut eva, &theirs).await;
    bea.get("/ui/refresh/records").await.has("http://b.example/x");
}

#[tokio::test]
async fn a_task_for_later_is_cancelled_and_an_open_page_hears_of_it() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    // The farthest that is accepted is 31 days, so this is near whenever the test runs.
    let soon = stage.control.wall_ms() + 86_400_000;
    let request = freshen_control::SubmitRequest {
        kind: freshen_model::task::TaskKind::Url,
        force: false,
        soft: false,
        area: None,
        lines: vec!["http://a.example/later".into()],
        domains: Vec::new(),
        scheme: freshen_model::location::Scheme::Required,
        follow: None,
    };
    let terms = freshen_control::Terms { not_before_ms: Some(soon), ..Default::default() };
    let task = stage.control.submit_on("ann", request, terms).await.unwrap().submitted.task;
    let record = format!("/ui/refresh/records/{task}");
    olga.get(&record).await.has("It has not begun");
    let mut other = stage.signed_in("olga").await;
    let live = format!("{record}/live");
    // The stream ends with the task: so does this answer.
    let (stream, cancelled) = tokio::join!(other.get(&live), async {
        // Whatever comes first: an event says how it is now, and another what it became.
        olga.post(&format!("{record}/cancel"), &[]).await
    });
    assert_eq!(cancelled.status, 303);
    assert_eq!(stream.header("content-type"), "text/event-stream");
    stream.has("event: progress");
    stream.has("failed");
    stream.has("event: end");
    olga.get(&record).await.has_not("sse-connect");
}

#[tokio::test]
async fn a_receipt_is_of_a_complete_purge() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    let record = purged(&mut olga, &[("kind", "url"), ("lines", "http://a.example/x")]).await;
    let page = olga.get(&format!("{record}/receipt.json")).await;
    assert_eq!(page.status, 409);
    page.has("a certificate is of a complete purge");
}

#[tokio::test]
async fn lists_go_on_behind_their_last_row() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    for n in 0..51 {
        purged(&mut olga, &[("kind", "url"), ("lines", &format!("http://a.example/{n}/x"))]).await;
    }
    let first = olga.get("/ui/refresh/records?type=url").await;
    first.has("http://a.example/50/x");
    first.has_not("http://a.example/0/x");
    let (_, rest) = first.text.split_once("class=\"button\" href=\"").unwrap();
    let older = rest.split('"').next().unwrap().replace("&amp;", "&");
    let second = olga.get(&older).await;
    second.has("http://a.example/0/x");
    second.has_not("http://a.example/1/x");
}

#[tokio::test]
async fn a_running_prefetch_is_paused_resumed_and_cancelled() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    let page = olga.post("/ui/refresh/prefetch", &[("lines", "http://a.example/x")]).await;
    let record = page.header("location").to_owned();
    let page = olga.get(&record).await;
    for (there, shown) in
        [(true, ">Pause<"), (true, ">Cancel<"), (false, ">Resume<"), (true, "From the origin")]
    {
        assert_eq!(page.text.contains(shown), there, "{shown}: {}", page.text);
    }
    assert_eq!(olga.post(&format!("{record}/pause"), &[]).await.status, 303);
    let page = olga.get(&record).await;
    page.has("<span class=\"warn hold\">paused</span>");
    page.has(">Resume<");
    page.has_not(">Pause<");
    olga.get("/ui/refresh/records").await.has("paused");
    stage.signed_in("vera").await.get(&record).await.has_not(">Resume<");
    assert_eq!(olga.post(&format!("{record}/resume"), &[]).await.status, 303);
    olga.get(&record).await.has_not("paused");

    // An open page is told what can be done, too, and its stream ends with the task.
    let mut other = stage.signed_in("olga").await;
    let live = format!("{record}/live");
    let (stream, cancelled) =
        tokio::join!(other.get(&live), async { olga.post(&format!("{record}/cancel"), &[]).await });
    assert_eq!(cancelled.status, 303);
    stream.has("event: actions");
    stream.has("event: end");
    let page = olga.get(&record).await;
    page.has("<span class=\"faint\">cancelled</span>");
    page.has_not(">Cancel<");
    // What has ended is steered no more, and a purge that runs never was.
    assert_eq!(olga.post(&format!("{record}/pause"), &[]).await.status, 409);
    let purge = purged(&mut olga, &[("kind", "url"), ("lines", "http://a.example/x")]).await;
    olga.get(&purge).await.has_not(">Pause<");
    assert_eq!(olga.post(&format!("{purge}/pause"), &[]).await.status, 409);
    let mut eva = stage.signed_in("eva").await;
    let trail = eva.get("/ui/trail").await;
    for told in ["paused", "resumed", "cancelled"] {
        trail.has(told);
    }
}

#[tokio::test]
async fn a_prefetch_has_its_hours_its_deadline_and_its_regions() {
    let stage = Stage::set().await;
    stage
        .control
        .add_pop(&"pop-europe".parse().unwrap(), freshen_model::area::Area::Overseas, "south")
        .await
        .unwrap();
    let mut olga = stage.signed_in("olga").await;
    let form = [
        ("lines", "http://a.example/x"),
        ("opens", "02:00"),
        ("closes", "06:30"),
        ("offset", "+08:00"),
        ("deadline", "12"),
        ("deadline_unit", "hours"),
        ("region", "south"),
    ];
    let record = olga.post("/ui/refresh/prefetch", &form).await.header("location").to_owned();
    let page = olga.get(&record).await;
    for shown in ["02:00-06:30+08:00", "12 h 0 min", "<dd>south</dd>", "pop-europe"] {
        page.has(shown);
    }
    page.has_not("pop-asia");
    let again = olga.get(&format!("/ui/refresh/prefetch?again={}", record.rsplit('/').next().unwrap())).await;
    for kept in [
        "name=\"opens\" value=\"02:00\"",
        "name=\"closes\" value=\"06:30\"",
        "name=\"offset\" value=\"+08:00\"",
        "value=\"12\"",
        "<option value=\"hours\" selected>",
        "name=\"region\" value=\"south\" checked",
    ] {
        again.has(kept);
    }
    again.has_not("value=\"north\" checked");

    // What is refused stays in the form, with the reason.
    let end = stage.control.log_end();
    for (name, value, why) in [
        ("offset", "8", "is no window"),
        ("closes", "", "Hours have a beginning and an end"),
        ("deadline", "soon", "is no number of hours in which to be done"),
        ("deadline", "9999", "A prefetch's deadline is 1 second to 31 days"),
        ("region", "west", "No POP of region"),
    ] {
        let form = form.map(|(field, kept)| (field, if field == name { value } else { kept }));
        let page = olga.post("/ui/refresh/prefetch", &form).await;
        assert_eq!(page.status, 409, "{name}");
        page.has(why);
        page.has("http://a.example/x</textarea>");
        page.has("name=\"opens\" value=\"02:00\"");
        if !value.is_empty() {
            page.has(&format!("value=\"{value}\""));
        }
    }
    assert_eq!(stage.control.log_end(), end);
}

#[tokio::test]
async fn a_purge_is_followed_by_what_the_form_says() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    let then = [("kind", "url"), ("lines", "http://a.example/x"), ("then", "prefetch")];
    let record = purged(&mut olga, &then).await;
    let page = olga.get(&record).await;
    page.has("Followed by");
    let (_, rest) = page.text.split_once("<dt>Followed by</dt><dd><a href=\"").unwrap();
    let behind = rest.split('"').next().unwrap().to_owned();
    olga.get(&behind).await.has(&format!("Follows</dt><dd><a href=\"{record}\">"));
    let number = |record: &str| record.rsplit('/').next().unwrap().to_owned();
    let again = olga.get(&format!("/ui/refresh/purge?again={}", number(&record))).await;
    again.has("<option value=\"prefetch\" selected>");

    let folder = [
        ("kind", "directory"),
        ("lines", "http://a.example/d/"),
        ("then", "refill"),
        ("refill", "50, 200MB"),
    ];
    let record = purged(&mut olga, &folder).await;
    let again = olga.get(&format!("/ui/refresh/purge?again={}", number(&record))).await;
    again.has("<option value=\"refill\" selected>");
    again.has("name=\"refill\" value=\"50, 200MB\"");
    olga.get("/ui/refresh/records?type=prefetch").await.has("http://a.example/d/");

    for (kind, lines, then, refill, why) in [
        ("directory", "http://a.example/d/", "prefetch", "", "names no URLs that could be prefetched"),
        ("url", "http://a.example/x", "refill", "much", "is no bound"),
        ("url", "http://a.example/x", "dance", "", "cannot follow a purge"),
    ] {
        let form = [("kind", kind), ("lines", lines), ("then", then), ("refill", refill)];
        let page = olga.post("/ui/refresh/purge", &form).await;
        assert_eq!(page.status, 409, "{then}");
        page.has(why);
        page.has(&format!("{lines}</textarea>"));
    }
}

#[tokio::test]
async fn a_preview_of_a_prefetch_says_what_is_wrong_and_submits_nothing() {
    let stage = Stage::set().await;
    let mut olga = stage.signed_in("olga").await;
    let end = stage.control.log_end();
    let path = "/ui/refresh/prefetch/preview";
    let page =
        olga.post(path, &[("lines", "http://a.example/x\n\nhttp://b.example/y"), ("follow", "all")]).await;
    page.has("data-marked=\"3\"");
    olga.post(path, &[("lines", "http://a.example/x"), ("opens", "02:00")])
        .await
        .has("a beginning and an end");
    let page = olga.post(path, &[("lines", "http://a.example/x"), ("follow", "all")]).await;
    page.has("What it would fetch");
    page.has("No POP could look: no POP is connected.");
    page.has("1 of 500");
    page.has("http://a.example/x</textarea>");
    assert_eq!(stage.control.log_end(), end);
}
