//! How commands end: each exit code from a situation that has it.

use crate::command::{Running, freshen, run};
use crate::demo::{Demo, Plan};
use crate::ports::Ports;
use crate::process::within;
use rustix::process::Signal;
use std::time::Duration;

const A: &str = "demo.localhost/a.txt";
const URL_A: &str = "http://demo.localhost/a.txt";

/// A lease that lets a test see a fence soon.
fn short_lease() -> Plan {
    Plan { lease_ms: Some(2_000), ..Plan::default() }
}

#[tokio::test]
async fn accepted_is_0_and_so_is_complete() {
    let demo = Demo::start().await;
    demo.run(&["purge", URL_A]).await.with(0);
    demo.run(&["purge", "--wait", URL_A]).await.with(0);
    demo.run(&["prefetch", "--wait", URL_A]).await.with(0);
    demo.run(&["pop", "list"]).await.with(0);
    for timeout in ["30", "30s", "0.5m", "1h", "9e18"] {
        demo.run(&["purge", "--wait", "--timeout", timeout, URL_A]).await.with(0);
    }
}

#[tokio::test]
async fn a_prefetch_that_fails_is_1_and_says_which_line_and_why() {
    let demo = Demo::start().await;
    let done = demo.run(&["prefetch", "--wait", URL_A, "http://demo.localhost/missing"]).await.with(1);
    assert!(done.stdout.contains("line 2: Origin Return StatusCode 404"), "{}", done.stdout);
    assert!(done.stdout.contains("failed"), "{}", done.stdout);
    assert_eq!(demo.viewer(2).get(A).await.x_cache(), Some("HIT"), "the other line is warm");
    let task =
        demo.run(&["prefetch", "--wait", "--json", "http://demo.localhost/missing"]).await.with(1).json();
    assert_eq!(task["status"], "failed");
}

#[tokio::test]
async fn refused_is_2_and_nothing_is_submitted() {
    let demo = Demo::start().await;
    let bad = demo.run(&["purge", "http://demo.localhost/a b"]).await.with(2);
    assert!(bad.stderr.contains("line 1: raw space in URL, write %20"), "{}", bad.stderr);
    for timeout in ["x", "5 minutes", "-1"] {
        demo.run(&["purge", "--wait", "--timeout", timeout, URL_A]).await.with(2);
    }
    demo.run(&["task", "show", "1"]).await.with(2);
    let mut stranger = demo.command(&["purge", URL_A]);
    stranger.env("FRESHEN_ACCESS_KEY_SECRET", "not-the-secret");
    run(stranger).await.with(2);
    let nobody = run(freshen(&["quota"])).await.with(2);
    assert!(nobody.stderr.contains("access-key-id"), "{}", nobody.stderr);
    assert_eq!(demo.quota().await, [2_000, 100, 500]);
}

#[tokio::test]
async fn over_quota_is_2_and_counts_nothing() {
    let demo = Demo::start().await;
    demo.run(&["account", "limits", "demo", "--url", "2"]).await.with(0);
    assert_eq!(demo.quota().await, [2, 100, 500], "the other limits stay");
    let three = demo.run(&["purge", URL_A, URL_A, URL_A]).await.with(2);
    assert!(three.stderr.contains('3') && three.stderr.contains('2'), "{}", three.stderr);
    assert_eq!(demo.quota().await, [2, 100, 500]);
    demo.run(&["purge", URL_A, URL_A]).await.with(0);
    assert_eq!(demo.quota().await, [0, 100, 500], "a line given twice counts twice");
    demo.run(&["purge", URL_A]).await.with(2);
}

#[tokio::test]
async fn not_ended_in_time_is_3_and_a_fenced_pop_is_named() {
    let demo = Demo::planned(short_lease()).await;
    let america = demo.viewer(2);
    america.get(A).await;
    demo.write("a.txt", "new");
    let paused = demo.part("pop-america");
    paused.signal(Signal::STOP);
    let early = demo.run(&["purge", "--wait", "--timeout", "300ms", URL_A]).await;
    assert_eq!(early.code, Some(2), "a unit that is not known is refused: {early:?}");
    let early = demo.run(&["purge", "--wait", "--json", "--timeout", "0.3", URL_A]).await.with(3);
    let task = early.json();
    assert_eq!(task["status"], "running");
    assert!(task["percent"].as_u64().unwrap() < 100);
    assert!(early.stderr.contains("still running"), "{}", early.stderr);

    let late = demo.run(&["purge", "--wait", URL_A]).await.with(0);
    let fenced = late.stderr.lines().find(|line| line.starts_with("pop-america: fenced, no contact since "));
    let fenced = fenced.unwrap_or_else(|| panic!("not named: {}", late.stderr));
    assert!(fenced.ends_with("; confirms when it returns"), "{fenced}");
    assert!(!late.stderr.contains("pop-asia") && !late.stderr.contains("pop-europe"), "{}", late.stderr);

    paused.signal(Signal::CONT);
    assert_eq!(america.get(A).await.text(), "new", "the first answer after the pause is not the old one");
    let returned = |task: &serde_json::Value| {
        let steps = task["pops"].as_array().unwrap();
        steps.iter().all(|step| step["state"] == "confirmed")
    };
    demo.task_when(task["id"].as_str().unwrap(), returned).await;
}

#[tokio::test]
async fn no_control_is_4() {
    let ports = Ports::claim();
    for arguments in [&["purge", URL_A][..], &["task", "list"], &["pop", "list"], &["check", URL_A]] {
        let mut command = freshen(arguments);
        command.args(["--endpoint", &format!("http://{}", ports.at(0))]);
        command.args(["--access-key-id", "demo", "--access-key-secret", "demo-secret"]);
        let ended = run(command).await.with(4);
        assert!(ended.stderr.contains(&ports.at(0)), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn ctrl_c_leaves_the_task_running_and_prints_its_id() {
    let demo = Demo::start().await;
    let paused = demo.part("pop-asia");
    paused.signal(Signal::STOP);
    let mut waiting = demo.begin(&["purge", "--wait", URL_A]);
    waiting.complains("is submitted").await;
    waiting.process().signal(Signal::INT);
    let ended = within("Ctrl-C ends it", waiting.ended()).await.with(3);
    let goes_on = ended.stderr.lines().find(|line| line.contains(" goes on")).expect("it says so");
    let id = goes_on.split(' ').nth(1).unwrap();
    let task = demo.run(&["task", "show", "--json", id]).await.with(0).json();
    assert_eq!((&task["id"], &task["status"]), (&id.into(), &"running".into()));
    paused.signal(Signal::CONT);
    assert_eq!(demo.ended(id).await["status"], "complete");
}

/// Control takes the connection, and says nothing more.
#[tokio::test]
async fn ctrl_c_before_control_has_answered_says_so() {
    let ports = Ports::claim();
    let silent = tokio::net::TcpListener::bind(ports.at(0)).await.unwrap();
    let mut command = freshen(&["purge", URL_A, "--access-key-id", "a", "--access-key-secret", "b"]);
    command.env("FRESHEN_ENDPOINT", format!("http://{}", ports.at(0)));
    let purge = Running::start(command);
    let _connection = within("it connects", silent.accept()).await.unwrap();
    purge.process().signal(Signal::INT);
    let ended = tokio::time::timeout(Duration::from_secs(20), purge.ended()).await.expect("it ends").with(1);
    assert!(ended.stderr.contains("task list"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_version_is_told() {
    let told = run(freshen(&["--version"])).await.with(0).stdout;
    assert_eq!(told, concat!("freshen ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = run(freshen(&["purge", "--help"])).await.with(0).stdout;
    for code in ["0  accepted", "1  failed", "2  refused", "3  still running", "4  control is not reached"] {
        assert!(help.contains(code), "{help}");
    }
}
