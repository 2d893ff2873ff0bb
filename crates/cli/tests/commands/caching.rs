//! What viewers see: MISS, HIT, a purge, and the same through an alias.

use crate::demo::{Demo, POPS};
use http::Method;
use std::time::{Duration, Instant};

const A: &str = "demo.localhost/a.txt";
const ALIAS: &str = "alias.localhost/a.txt";

#[tokio::test]
async fn the_second_request_is_a_hit_on_every_pop() {
    let demo = Demo::start().await;
    demo.each_pop_for_itself().await;
    for viewer in demo.viewers() {
        let first = viewer.get(A).await;
        assert_eq!(first.x_cache(), Some("MISS"));
        assert!(first.text().starts_with("A plain text file."));
        assert_eq!(viewer.get(A).await.both(), ("HIT", first.text()));
    }
    assert_eq!(demo.reached("/a.txt").await.0, 3);
}

#[tokio::test]
async fn one_fetch_serves_all_pops() {
    let demo = Demo::start().await;
    demo.pops_know_each_other().await;
    for viewer in demo.viewers() {
        assert!(viewer.get(A).await.text().starts_with("A plain text file."));
        assert_eq!(viewer.get(A).await.x_cache(), Some("HIT"));
    }
    assert_eq!(demo.reached("/a.txt").await.0, 1);
    demo.write("a.txt", "new");
    demo.run(&["purge", "--wait", "http://demo.localhost/a.txt"]).await.with(0);
    for viewer in demo.viewers() {
        assert_eq!(viewer.get(A).await.text(), "new");
    }
    assert_eq!(demo.reached("/a.txt").await.0, 2);
}

#[tokio::test]
async fn a_head_that_misses_fills() {
    let demo = Demo::start().await;
    let viewer = demo.viewer(0);
    let head = async || viewer.send(Method::HEAD, "demo.localhost/style.css", &[], "").await;
    let first = head().await;
    assert_eq!((first.x_cache(), first.size()), (Some("MISS"), 0));
    let second = head().await;
    assert_eq!((second.x_cache(), second.size()), (Some("HIT"), 0));
    let page = viewer.get("demo.localhost/style.css").await;
    assert_eq!(page.x_cache(), Some("HIT"));
    assert_eq!(second.header("content-length"), Some(page.size().to_string().as_str()));
    assert_eq!(demo.reached("/style.css").await.0, 1);
}

#[tokio::test]
async fn a_purge_ends_at_once_and_every_pop_serves_the_new_file() {
    let demo = Demo::start().await;
    demo.each_pop_for_itself().await;
    for viewer in demo.viewers() {
        viewer.get(A).await;
    }
    demo.write("a.txt", "new");
    for viewer in demo.viewers() {
        let old = viewer.get(A).await;
        assert_eq!(old.x_cache(), Some("HIT"), "nothing tells the cache of an edit");
        assert!(old.text().starts_with("A plain text file."));
    }
    let began = Instant::now();
    let done = demo.run(&["purge", "--wait", "http://demo.localhost/a.txt"]).await.with(0);
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
    for pop in POPS {
        let confirmed = |line: &str| line.contains(pop) && line.contains(" confirmed;");
        assert!(done.stdout.lines().any(confirmed), "{}", done.stdout);
    }
    for viewer in demo.viewers() {
        let new = viewer.get(A).await;
        assert_eq!(new.text(), "new");
        assert_ne!(new.x_cache(), Some("HIT"));
        assert_eq!(viewer.get(A).await.both(), ("HIT", "new"));
    }
}

#[tokio::test]
async fn an_alias_shares_the_cache_and_its_purges() {
    let demo = Demo::start().await;
    demo.each_pop_for_itself().await;
    for viewer in demo.viewers() {
        assert_eq!(viewer.get(A).await.x_cache(), Some("MISS"));
        assert_eq!(viewer.get(ALIAS).await.x_cache(), Some("HIT"));
    }
    demo.write("a.txt", "new");
    demo.run(&["purge", "--wait", "http://alias.localhost/a.txt"]).await.with(0);
    for viewer in demo.viewers() {
        assert_eq!(viewer.get(A).await.text(), "new");
        assert_eq!(viewer.get(ALIAS).await.both(), ("HIT", "new"));
    }
    demo.write("a.txt", "newer");
    demo.run(&["purge", "--wait", "http://demo.localhost/a.txt"]).await.with(0);
    for viewer in demo.viewers() {
        assert_eq!(viewer.get(ALIAS).await.text(), "newer");
    }
}

#[tokio::test]
async fn a_check_tells_what_each_pop_has_and_changes_nothing() {
    let demo = Demo::start().await;
    demo.each_pop_for_itself().await;
    let check = async || demo.run(&["check", "--json", "http://demo.localhost/a.txt"]).await.with(0).json();
    let before = check().await;
    demo.viewer(0).get(A).await;
    let after = check().await;
    let rows = |view: &serde_json::Value| -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let mut rows: Vec<_> = view["pops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (text(&row["pop"]), text(&row["x_cache"])))
            .collect();
        rows.sort();
        rows
    };
    let all = |asia: &str| {
        [("pop-america", "MISS"), ("pop-asia", asia), ("pop-europe", "MISS")]
            .map(|(pop, x_cache)| (pop.to_owned(), x_cache.to_owned()))
    };
    assert_eq!(rows(&before), all("MISS"));
    assert_eq!(rows(&after), all("HIT"));
    let asia = after["pops"].as_array().unwrap().iter().find(|row| row["pop"] == "pop-asia").unwrap();
    let viewed = demo.viewer(0).get(A).await;
    assert_eq!(asia["size"], viewed.size());
    assert_eq!(asia["etag"].as_str(), viewed.header("etag"));
    assert!(asia["age"].is_u64());
    assert_eq!(demo.viewer(1).get(A).await.x_cache(), Some("MISS"), "a check fills nothing");
    assert_eq!(demo.reached("/a.txt").await.0, 2, "a check asks no origin");
    let told = demo.run(&["check", "http://demo.localhost/a.txt"]).await.with(0).stdout;
    assert_eq!(told.lines().count(), 3);
    assert!(told.contains("HIT") && told.contains("bytes"), "{told}");
}

#[tokio::test]
async fn the_sample_site_has_pages_pictures_a_package_and_a_video() {
    let demo = Demo::start().await;
    let viewer = demo.viewer(0);
    for (path, kind) in [
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/images/noon.png", "image/png"),
        ("/install/package.zip", "application/zip"),
    ] {
        let got = viewer.get(&format!("demo.localhost{path}")).await;
        assert_eq!(got.status, 200, "{path}");
        assert!(got.header("content-type").unwrap().starts_with(kind), "{path}: {got:?}");
    }
    assert!(viewer.get("demo.localhost/install/package.zip").await.size() > 1_000_000);
    let playlist = viewer.get("demo.localhost/video/media.m3u8").await;
    let segments: Vec<&str> =
        playlist.text().lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(!segments.is_empty());
    for segment in segments {
        assert_eq!(viewer.get(&format!("demo.localhost/video/{segment}")).await.status, 200, "{segment}");
    }
}

#[tokio::test]
async fn the_demo_says_what_to_try() {
    let demo = Demo::start().await;
    let welcome = demo.welcome.join("\n");
    for said in [
        "http://demo.localhost:",
        "curl -I ",
        "FRESHEN_ACCESS_KEY_ID=demo FRESHEN_ACCESS_KEY_SECRET=demo-secret",
        "freshen purge --wait ",
        "freshen prefetch --wait ",
        "freshen check ",
    ] {
        assert!(welcome.contains(said), "{said} is not in:\n{welcome}");
    }
    for part in ["control", "pop-asia", "pop-europe", "pop-america"] {
        assert!(demo.shown_command(part).contains("--config"));
    }
    assert_eq!(demo.process().children().len(), 5, "each part is a process of its own");
}
