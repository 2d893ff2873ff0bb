//! Purges that are tried out, put off, or cut answers off.

use crate::demo::Demo;
use serde_json::json;

const A: &str = "http://demo.localhost/a.txt";
const D: &str = "http://demo.localhost/d/";

#[tokio::test]
async fn a_dry_run_tells_every_pop_and_warns() {
    let demo = Demo::start().await;
    for viewer in demo.viewers() {
        viewer.get("demo.localhost/d/a.html").await;
    }
    let quota = demo.run(&["quota", "--json"]).await.with(0).stdout;
    let ended = demo.run(&["purge", "--dir", "--dry-run", D]).await.with(0);
    assert!(ended.stdout.starts_with("dry run: nothing is submitted\n"), "{}", ended.stdout);
    let told = ended.stdout.lines().filter(|line| line.contains("1 object, ")).count();
    assert_eq!(told, 3, "{}", ended.stdout);
    assert!(ended.stdout.contains("  all              3 objects, "), "{}", ended.stdout);
    assert!(ended.stdout.contains("origin, at most: 3 conditional requests"), "{}", ended.stdout);
    assert!(ended.stdout.contains("demo.localhost/d/a.html"), "{}", ended.stdout);
    // It is all that is there.
    assert!(ended.stderr.contains("% of its cache, more than 10 %"), "{}", ended.stderr);
    let ended = demo.run(&["purge", "--dir", "--dry-run", "--warn-above", "100", D]).await.with(0);
    assert_eq!(ended.stderr, "");

    let ended = demo.run(&["purge", "--dry-run", "--json", A]).await.with(0);
    assert_eq!((&ended.json()["all"]["objects"], &ended.json()["all"]["whole"]), (&json!(0), &json!(true)));
    assert_eq!(ended.stderr, "warning: nothing matches anywhere\n");
    let ended = demo.run(&["purge", "--dir", "--dry-run", "http://demo.localhost/d"]).await.with(2);
    assert!(ended.stderr.contains("a directory ends with /"), "{}", ended.stderr);
    demo.run(&["purge", "--dry-run", "--wait", A]).await.with(2);

    assert_eq!(demo.run(&["quota", "--json"]).await.with(0).stdout, quota);
    assert_eq!(demo.run(&["task", "list", "--json"]).await.with(0).json()["tasks"], serde_json::json!([]));
    for viewer in demo.viewers() {
        assert_eq!(viewer.get("demo.localhost/d/a.html").await.x_cache(), Some("HIT"));
    }
}

#[tokio::test]
async fn a_purge_waits_for_its_time_or_is_cancelled() {
    let demo = Demo::start().await;
    let later = demo.run(&["purge", "--not-before", "+2h", "--json", A]).await.with(0).json();
    assert_eq!((&later["status"], &later["pops"]), (&json!("pending"), &json!([])));
    let id = later["id"].as_str().unwrap();
    let listed = demo.run(&["task", "list", "--status", "pending"]).await.with(0).stdout;
    assert!(listed.starts_with(&format!("task {id}: url pending, not before 20")), "{listed}");
    let cancelled = demo.run(&["task", "cancel", id]).await.with(0).stdout;
    assert!(cancelled.ends_with("  cancelled before it began\n"), "{cancelled}");
    let again = demo.run(&["task", "cancel", id]).await.with(2);
    assert_eq!(again.stderr, format!("error: task {id} is failed, not running\n"));

    let viewer = &demo.viewers()[0];
    viewer.get("demo.localhost/d/a.html").await;
    let url = "http://demo.localhost/d/a.html";
    let soon = demo.run(&["purge", "--not-before", "+1s", "--json", url]).await.with(0).json();
    let id = soon["id"].as_str().unwrap();
    // Its viewers may ask more often than its users.
    while viewer.get("demo.localhost/d/a.html").await.x_cache() == Some("HIT") {}
    while demo.run(&["task", "show", id, "--json"]).await.with(0).json()["status"] != "complete" {}

    for (time, said) in [("noon", "\"noon\" is no time: write +2h"), ("+99d", "begins within 31 days")] {
        let refused = demo.run(&["purge", "--not-before", time, A]).await.with(2);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    demo.run(&["purge", "--not-before", "+1s", "--wait", A]).await.with(2);
}

#[tokio::test]
async fn what_is_likely_a_mistake_is_said() {
    let demo = Demo::start().await;
    let ended = demo.run(&["purge", "--dir", "--wait", "--cut", "http://demo.localhost/"]).await.with(0);
    assert_eq!(ended.stderr.lines().next(), Some("warning: line 1: this is all of demo.localhost"));
}
