//! Prefetches: afterwards the first viewer of every POP gets a HIT.

use crate::demo::{Demo, Plan};
use std::time::{SystemTime, UNIX_EPOCH};

const LARGE_BYTES: usize = 30_000_000;

#[tokio::test]
async fn after_a_prefetch_of_fifty_files_every_first_request_is_a_hit() {
    let demo = Demo::planned(Plan { own_files: true, ..Plan::default() }).await;
    let mut paths: Vec<String> = (1..50).map(|number| format!("/pages/{number}.html")).collect();
    for path in &paths {
        demo.write(&path[1..], format!("<p>This is {path}, {}</p>", "word ".repeat(200)));
    }
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| (at % 251) as u8).collect();
    demo.write("large.bin", &large);
    paths.push("/large.bin".into());
    let list: String = paths.iter().map(|path| format!("http://demo.localhost{path}\n")).collect();

    let task = demo.run_list(&["prefetch", "--wait", "--json"], list).await.with(0).json();
    assert_eq!((&task["status"], &task["percent"]), (&"complete".into(), &100.into()));
    let mut before = Vec::new();
    for path in &paths {
        before.push(demo.reached(path).await);
    }
    for viewer in demo.viewers() {
        for path in &paths {
            let url = format!("demo.localhost{path}");
            let (plain, gzip) = (viewer.get(&url).await, viewer.get_gzip(&url).await);
            assert_eq!((plain.x_cache(), gzip.x_cache()), (Some("HIT"), Some("HIT")), "{path}");
            assert_eq!(plain.header("content-encoding"), None);
            if path == "/large.bin" {
                assert!(plain.body.unwrap() == large && gzip.body.unwrap() == large);
            } else {
                assert!(plain.text().starts_with(&format!("<p>This is {path},")));
                assert_eq!(gzip.header("content-encoding"), Some("gzip"), "{path}");
                assert!(gzip.size() < plain.size());
            }
        }
    }
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(demo.reached(path).await, before, "{path}: viewers asked no origin");
    }
    assert_eq!(demo.quota().await, [2_000, 100, 450]);
}

#[tokio::test]
async fn a_prefetch_of_one_area_leaves_the_other_alone() {
    let demo = Demo::start().await;
    demo.each_pop_for_itself().await;
    demo.run(&["prefetch", "--wait", "--area", "overseas", "http://demo.localhost/a.txt"]).await.with(0);
    for (pop, x_cache) in [(0, "MISS"), (1, "HIT"), (2, "HIT")] {
        assert_eq!(demo.viewer(pop).get("demo.localhost/a.txt").await.x_cache(), Some(x_cache));
    }
}

#[tokio::test]
async fn a_purge_and_what_follows_it_are_waited_for_together() {
    let demo = Demo::start().await;
    let url = "http://demo.localhost/a.txt";
    let shown = demo.run(&["purge", "--wait", "--then-prefetch", url]).await.with(0).stdout;
    assert!(shown.contains(": url complete") && shown.contains(": prefetch complete"), "{shown}");
    assert!(shown.contains("then task ") && shown.contains("follows task "), "{shown}");
    assert!(shown.contains("  from the origin: "), "{shown}");
    for viewer in demo.viewers() {
        assert_eq!(viewer.get("demo.localhost/a.txt").await.x_cache(), Some("HIT"));
    }
    let refill = ["purge", "--wait", "--refill", "20", "--dir", "http://demo.localhost/"];
    let shown = demo.run(&refill).await.with(0).stdout;
    assert!(
        shown.contains("refills the hottest of what that matched: at each POP at most 20 objects"),
        "{shown}"
    );
    for viewer in demo.viewers() {
        assert_eq!(viewer.get("demo.localhost/a.txt").await.x_cache(), Some("HIT"));
    }
    demo.run(&["purge", "--then-prefetch", "--dir", "http://demo.localhost/"]).await.with(2);
    for then in [&["--then-prefetch"][..], &["--refill", "20"]] {
        let later = [&["purge", "--not-before", "+1h", "--json", url][..], then].concat();
        let task = demo.run(&later).await.with(0).json();
        let then = demo.run(&["task", "show", "--json", task["then"].as_str().unwrap()]).await.with(0).json();
        assert_eq!((&task["status"], &then["status"]), (&"pending".into(), &"pending".into()));
        assert_eq!((&then["after"], &then["not_before_ms"]), (&task["id"], &task["not_before_ms"]));
    }
    demo.run(&["purge", "--refill", "0", url]).await.with(2);
}

#[tokio::test]
async fn a_prefetch_names_the_variants_that_it_warms() {
    let demo = Demo::start().await;
    let url = "http://demo.localhost/a.txt";
    let headers = ["--header", "Accept-Language: de", "--header", "Accept-Encoding: br"];
    let done = demo.run(&[&["prefetch", "--wait", "--json", url][..], &headers].concat()).await.with(0);
    assert!(
        done.stderr.contains("warning: header Accept-Encoding: br: POPs ask origins for gzip"),
        "{}",
        done.stderr
    );
    let named = serde_json::json!({ "accept-encoding": ["br"], "accept-language": ["de"] });
    assert_eq!(done.json()["headers"], named);
    let shown = demo.run(&["task", "show", done.json()["id"].as_str().unwrap()]).await.with(0).stdout;
    assert!(shown.contains("  for viewers with accept-encoding: br; accept-language: de\n"), "{shown}");
    let refused = demo.run(&["prefetch", "--header", "Cookie: a=b", url]).await.with(2);
    assert!(
        refused.stderr.contains("header Cookie: variants of an object depend on Accept"),
        "{}",
        refused.stderr
    );
    demo.run(&["prefetch", "--header", "Cookie", url]).await.with(2);
}

#[tokio::test]
async fn a_prefetch_is_held_by_its_window_and_steered() {
    let demo = Demo::start().await;
    // Half a day away, it is as far from opening as from having closed.
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = |away_h: u64| format!("{:02}:00", (now_s / 3_600 + away_h) % 24);
    let window = format!("{}-{}Z", at(12), at(13));
    let url = "http://demo.localhost/a.txt";
    demo.run(&["prefetch", "--window", "sometimes", url]).await.with(2);
    let line = ["prefetch", "--json", "--region", "europe", "--deadline", "2h", "--window", &window, url];
    let task = demo.run(&line).await.with(0).json();
    assert_eq!((&task["status"], &task["window"]), (&"running".into(), &window.as_str().into()));
    assert_eq!((&task["deadline_s"], task["pops"].as_array().unwrap().len()), (&7_200.into(), 1));
    let id = task["id"].as_str().unwrap();
    let shown = demo.run(&["task", "show", id]).await.with(0).stdout;
    assert!(shown.contains(&format!("prefetch running, outside of its window {window}")), "{shown}");
    let paused = demo.run(&["task", "pause", id]).await.with(0).stdout;
    assert!(paused.contains("prefetch running, paused"), "{paused}");
    assert_eq!(demo.run(&["task", "resume", "--json", id]).await.with(0).json()["outside_window"], true);
    let cancelled = demo.run(&["task", "cancel", id]).await.with(0).stdout;
    assert!(
        cancelled.contains("prefetch failed") && cancelled.contains("cancelled, 0 of 1 files"),
        "{cancelled}"
    );
    demo.run(&["task", "pause", id]).await.with(2);
}
