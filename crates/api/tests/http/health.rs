//! Health, metrics, and the listener's own conduct.

use crate::stage::{Stage, within};

#[tokio::test]
async fn health_needs_no_signature() {
    let stage = Stage::set().await;
    for (target, text) in
        [("/-/healthy", "healthy\n"), ("/-/ready", "ready (log end 2)\n"), ("/-/metrics", "freshen_test 1\n")]
    {
        let answer = stage.ask("GET", target, &[]).await;
        assert_eq!((answer.status, answer.text()), (200, text), "{target}");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    }
}

#[tokio::test]
async fn without_background_work_control_is_not_ready() {
    let stage = Stage::set().await;
    stage.control.stop().await;
    let answer = stage.ask("GET", "/-/ready", &[]).await;
    assert_eq!((answer.status, answer.text()), (503, "not ready, control's log says why\n"));
    assert_eq!(stage.ask("GET", "/-/healthy", &[]).await.status, 200);
}

#[tokio::test]
async fn a_stop_ends_the_listener() {
    let stage = Stage::set().await;
    assert_eq!(stage.ask("GET", "/-/healthy", &[]).await.status, 200);
    stage.stop.cancel();
    within(stage.served).await.unwrap();
    assert!(tokio::net::TcpStream::connect(&stage.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_head_has_an_end() {
    let stage = Stage::set().await;
    let long = "x".repeat(200 << 10);
    assert_eq!(stage.ask("GET", "/-/healthy", &[("x-long", &long)]).await.status, 413);
}
