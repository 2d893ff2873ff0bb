//! Parts that die, and what is left: kill -9 of control, of a POP, of the demo itself.

use crate::demo::{Demo, Plan};
use crate::process::within;
use rustix::process::Signal;
use serde_json::Value;
use std::process::Stdio;

const A: &str = "demo.localhost/a.txt";
const PURGE_A: [&str; 3] = ["purge", "--json", "http://demo.localhost/a.txt"];

fn id(task: &Value) -> String {
    task["id"].as_str().unwrap().to_owned()
}

fn confirmed_by_all(task: &Value) -> bool {
    let pops = task["pops"].as_array().unwrap();
    pops.len() == 3 && pops.iter().all(|step| step["state"] == "confirmed")
}

#[tokio::test]
async fn p4_a_task_completes_though_control_was_killed_after_its_submission() {
    let mut demo = Demo::start().await;
    for viewer in demo.viewers() {
        viewer.get(A).await;
    }
    demo.write("a.txt", "new");
    // One POP cannot confirm yet: the task is certainly under way when control dies.
    let held = demo.part("pop-europe");
    held.signal(Signal::STOP);
    let task = id(&demo.run(&PURGE_A).await.with(0).json());
    demo.part("control").signal(Signal::KILL);
    assert_eq!(demo.says("control died").await, "control died (signal 9), restarted");
    held.signal(Signal::CONT);
    let task = demo.ended(&task).await;
    assert_eq!((&task["status"], &task["percent"]), (&"complete".into(), &100.into()));
    assert!(confirmed_by_all(&task), "{task}");
    for viewer in demo.viewers() {
        assert_eq!(viewer.get(A).await.text(), "new");
    }
}

#[tokio::test]
async fn p4_a_task_completes_once_control_is_started_by_hand() {
    let mut demo = Demo::planned(Plan { no_restart: true, ..Plan::default() }).await;
    let held = demo.part("pop-europe");
    held.signal(Signal::STOP);
    let task = id(&demo.run(&PURGE_A).await.with(0).json());
    demo.part("control").signal(Signal::KILL);
    assert_eq!(demo.says("control died").await, "control died (signal 9), stays down");
    demo.run(&["task", "list"]).await.with(4);
    let mut by_hand = tokio::process::Command::new("sh");
    by_hand.args(["-c", &format!("exec {}", demo.shown_command("control"))]);
    let _by_hand = by_hand.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    held.signal(Signal::CONT);
    let task = demo.ended(&task).await;
    assert_eq!(task["status"], "complete");
    assert!(confirmed_by_all(&task), "{task}");
}

#[tokio::test]
async fn p4_who_waits_goes_on_waiting_while_control_restarts() {
    let mut demo = Demo::start().await;
    let held = demo.part("pop-america");
    held.signal(Signal::STOP);
    let mut waiting = demo.begin(&["purge", "--wait", "--json", "http://demo.localhost/a.txt"]);
    waiting.complains("is submitted").await;
    demo.part("control").signal(Signal::KILL);
    demo.says("control died (signal 9), restarted").await;
    held.signal(Signal::CONT);
    let task = within("the purge completes", waiting.ended()).await.with(0).json();
    assert_eq!(task["status"], "complete");
}

#[tokio::test]
async fn a_pop_that_is_killed_comes_back_with_its_cache() {
    let mut demo = Demo::start().await;
    demo.viewer(1).get(A).await;
    demo.part("pop-europe").signal(Signal::KILL);
    assert_eq!(demo.says("pop-europe died").await, "pop-europe died (signal 9), restarted");
    demo.ready("pop-europe").await;
    assert_eq!(demo.viewer(1).get(A).await.x_cache(), Some("HIT"));
    assert_eq!(demo.reached("/a.txt").await.0, 1);
}

#[tokio::test]
async fn all_parts_die_with_the_demo_killed() {
    let mut demo = Demo::start().await;
    let parts = demo.process().children();
    assert_eq!(parts.len(), 5);
    demo.kill();
    for (part, _) in parts {
        part.gone().await;
    }
}

#[tokio::test]
async fn ctrl_c_stops_all_parts() {
    let mut demo = Demo::start().await;
    let parts = demo.process().children();
    demo.process().signal(Signal::INT);
    demo.says("Stopped.").await;
    assert_eq!(demo.exited().await, Some(0));
    for (part, _) in parts {
        part.gone().await;
    }
}

#[tokio::test]
async fn a_demo_without_a_data_folder_leaves_nothing_behind() {
    let mut demo = Demo::planned(Plan { temporary: true, ..Plan::default() }).await;
    assert_eq!(demo.viewer(0).get(A).await.x_cache(), Some("MISS"));
    assert!(!demo.temporary_files().is_empty());
    demo.process().signal(Signal::TERM);
    demo.says("Stopped.").await;
    assert_eq!(demo.exited().await, Some(0));
    assert!(demo.temporary_files().is_empty(), "{:?}", demo.temporary_files());
}

#[tokio::test]
async fn data_outlives_a_demo_that_was_killed() {
    let demo = Demo::start().await;
    for viewer in demo.viewers() {
        viewer.get(A).await;
    }
    let task = id(&demo.run(&["purge", "--wait", "--json", "http://demo.localhost/x"]).await.with(0).json());
    let demo = demo.start_again().await;
    for viewer in demo.viewers() {
        assert_eq!(viewer.get(A).await.x_cache(), Some("HIT"));
    }
    assert_eq!(demo.ended(&task).await["status"], "complete");
    assert_eq!(demo.quota().await, [1_999, 100, 500]);
}

#[tokio::test]
async fn a_second_demo_on_the_same_ports_says_so() {
    let demo = Demo::start().await;
    let base = demo.port_base().to_string();
    let refused = crate::command::run(crate::command::freshen(&["demo", "--port-base", &base])).await.with(1);
    assert!(refused.stderr.contains(" is taken; choose others"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--port-base"), "{}", refused.stderr);
}
