//! `freshen probe` at a fleet that is honest, and at an address where somebody is not.

use crate::installation::{Installation, Plan, free_port};
use crate::origin::Page;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::process::Stdio;
use tokio::net::TcpListener;
use tokio::process::Command;

const KEY: (&str, &str) = ("prober", "prober-secret");

/// Runs the command against the fleet, with those addresses of its POPs; gives its exit code, standard output as JSON
/// where it is that, and standard error.
async fn probe(fleet: &Installation, pops: &[String], arguments: &[&str]) -> (i32, Value, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let _users = fleet.serve_users(&address, KEY).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_freshen"));
    command.args(["probe", "--json", "--endpoint", &format!("http://{address}")]);
    command.args(["--access-key-id", KEY.0, "--access-key-secret", KEY.1]).args(arguments);
    for (place, at) in pops.iter().enumerate() {
        command.args(["--pop", &format!("pop-{}={at}", place + 1)]);
    }
    command.stdin(Stdio::null()).env("HOME", "/nonexistent").kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), said, String::from_utf8(output.stderr).unwrap())
}

fn addresses(fleet: &Installation) -> Vec<String> {
    fleet.pops.iter().map(|pop| pop.address()).collect()
}

/// Somebody who says that he is `pop-2`, and gives the same copy for ever.
async fn liar() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let service = service_fn(|_| async {
                    let answer = Response::builder().header("x-cache", "HIT from pop-2").header("age", "0");
                    Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(b"for ever"))).unwrap())
                });
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await
            });
        }
    });
    address
}

#[tokio::test]
async fn p2_a_probe_of_an_honest_fleet_finds_every_pop_new_and_no_false_complete() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    for number in 1..=2 {
        fleet.origin.set(&format!("/p?probe={number}"), Page::made_anew());
    }
    let arguments = ["--rounds", "3", "--batch", "2", "http://a.example/p"];
    let (code, said, stderr) = probe(&fleet, &addresses(&fleet), &arguments).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{said}");
    assert_eq!(
        (&said["rounds"], &said["false_completes"], &said["returned"]),
        (&3.into(), &0.into(), &0.into())
    );
    for pop in ["pop-1", "pop-2"] {
        assert_eq!(said["pops"][pop]["new"]["count"], 6, "{said}");
    }
    assert_eq!((&said["complete"]["count"], &said["last"]["count"]), (&3.into(), &3.into()));
    assert!(said["asked_after_complete"].as_u64().unwrap() >= 12, "each POP is asked once more: {said}");
}

#[tokio::test]
async fn p2_a_probe_counts_who_gives_the_old_object_after_the_purge_was_complete() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.origin.set("/p", Page::made_anew());
    let addresses = [fleet.pops[0].address(), liar().await];
    let arguments = ["--rounds", "1", "--patience", "1", "http://a.example/p"];
    let (code, said, _) = probe(&fleet, &addresses, &arguments).await;
    assert_eq!(code, 1, "{said}");
    let false_completes = |pop: &str| said["pops"][pop]["false_completes"].as_u64().unwrap();
    assert!(false_completes("pop-2") > 0 && false_completes("pop-1") == 0, "{said}");
    assert_eq!((&said["pops"]["pop-2"]["missing"], &said["last"]), (&1.into(), &Value::Null));
}

#[tokio::test]
async fn an_object_that_stays_the_same_is_probed_by_what_caches_say() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.origin.set("/same", Page::new("the same"));
    let url = "http://a.example/same";
    let (code, _, stderr) = probe(&fleet, &addresses(&fleet), &["--rounds", "1", url]).await;
    assert!(code == 1 && stderr.contains("--any"), "{stderr}");
    let fleet_alone = &addresses(&fleet)[..1];
    let (code, said, stderr) = probe(&fleet, fleet_alone, &["--rounds", "2", "--any", url]).await;
    assert_eq!((code, &said["pops"]["pop-1"]["new"]["count"]), (0, &2.into()), "{said}");
    assert_eq!(said["not_probed"], serde_json::json!(["pop-2"]));
    assert!(stderr.contains("pop-2 is not probed"), "{stderr}");
}

#[tokio::test]
async fn an_address_of_another_pop_is_noticed() {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    fleet.origin.set("/p", Page::made_anew());
    let mut swapped = addresses(&fleet);
    swapped.reverse();
    let (code, _, stderr) = probe(&fleet, &swapped, &["--rounds", "1", "http://a.example/p"]).await;
    assert!(code == 1 && stderr.contains("pop-2 answers there"), "{stderr}");
}
