//! What `--json` prints: one object, in the documented shapes.

use crate::demo::{Demo, POPS};
use serde_json::{Value, json};

/// A task, as every command that prints one does; gives its id.
fn task_of(value: &Value, kind: &str) -> String {
    let id = value["id"].as_str().expect("the id is text");
    assert!(!id.is_empty() && id.bytes().all(|digit| digit.is_ascii_digit()), "{id}");
    assert_eq!(value["type"], kind);
    let status = value["status"].as_str().unwrap();
    assert!(["pending", "running", "complete", "failed"].contains(&status), "{status}");
    assert!(value["percent"].as_u64().unwrap() <= 100);
    id.to_owned()
}

#[tokio::test]
async fn tasks_are_objects_with_decimal_ids() {
    let demo = Demo::start().await;
    let url = "http://demo.localhost/a.txt";
    let mut ids = Vec::new();
    for (arguments, kind) in [
        (&["purge", "--json", url][..], "url"),
        (&["purge", "--json", "--wait", url], "url"),
        (&["purge", "--json", "--dir", "http://demo.localhost/d/"], "directory"),
        (&["prefetch", "--json", url], "prefetch"),
        (&["prefetch", "--json", "--wait", url], "prefetch"),
    ] {
        let task = demo.run(arguments).await.with(0).json();
        ids.push(task_of(&task, kind));
        if arguments.contains(&"--wait") {
            assert_eq!((&task["status"], &task["percent"]), (&"complete".into(), &100.into()));
        }
    }
    let shown = demo.run(&["task", "show", "--json", &ids[2]]).await.with(0).json();
    assert_eq!(task_of(&shown, "directory"), ids[2]);

    let list = demo.run(&["task", "list", "--json"]).await.with(0).json();
    let listed: Vec<&str> =
        list["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids.iter().rev().map(String::as_str).collect::<Vec<_>>(), "newest first");
    let urls = demo.run(&["task", "list", "--json", "--type", "url", "--limit", "1"]).await.with(0).json();
    assert_eq!(urls["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(task_of(&urls["tasks"][0], "url"), ids[1]);
}

#[tokio::test]
async fn everything_else_is_one_object_too() {
    let demo = Demo::start().await;
    let pops = demo.run(&["pop", "list", "--json"]).await.with(0).json();
    let mut names: Vec<&str> =
        pops["pops"].as_array().unwrap().iter().map(|pop| pop["id"].as_str().unwrap()).collect();
    names.sort();
    let mut due = POPS;
    due.sort();
    assert_eq!(names, due);

    let quota = demo.run(&["quota", "--json"]).await.with(0).json();
    assert_eq!(quota["quotas"][0]["kind"], "url");
    let check = demo.run(&["check", "--json", "http://demo.localhost/a.txt"]).await.with(0).json();
    assert_eq!(check["pops"].as_array().unwrap().len(), 3);
    let domains = demo.run(&["domain", "list", "--json"]).await.with(0).json();
    let names: Vec<&str> = domains["domains"]
        .as_array()
        .unwrap()
        .iter()
        .map(|domain| domain["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["alias.localhost", "demo.localhost"]);
    demo.run(&["account", "list", "--json"]).await.with(0).json();
    demo.run(&["account", "limits", "demo", "--url", "7", "--json"]).await.with(0).json();
    let notify = ["account", "notify", "demo", "--json"];
    assert_eq!(demo.run(&notify).await.with(0).json(), json!({}));
    let to = "https://ends.example/told";
    let set = demo.run(&[&notify[..], &["--to", to]].concat()).await.with(0).json();
    assert_eq!((&set["notify"], &set), (&to.into(), &demo.run(&notify).await.with(0).json()));
    assert_eq!(demo.run(&[&notify[..], &["--off"]].concat()).await.with(0).json(), json!({}));
    assert_eq!(demo.run(&notify).await.with(0).json(), json!({}));
    let key = demo.run(&["key", "add", "--json"]).await.with(0).json();
    let id = key["id"].as_str().unwrap();
    assert!(key["secret"].is_string());
    demo.run(&["key", "disable", "--json", id]).await.with(0).json();
    let origin = format!("http://{}", demo.origin_address());
    demo.run(&["domain", "add", "--json", "c.localhost", "--origin", &origin]).await.with(0).json();
    demo.run(&["domain", "set", "--json", "c.localhost", "--default-ttl-s", "5"]).await.with(0).json();
    demo.run(&["domain", "remove", "--json", "c.localhost"]).await.with(0).json();
}
