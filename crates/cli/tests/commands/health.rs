//! Health, metrics, and a stop that lets answers under way end.

use crate::demo::{Demo, POPS, Plan};
use crate::process::{asked_until, within};
use http_body_util::BodyExt;
use rustix::process::Signal;

#[tokio::test]
async fn control_and_pops_tell_their_health() {
    let demo = Demo::start().await;
    // Which submits one purge.
    demo.each_pop_for_itself().await;
    demo.viewer(0).get("demo.localhost/a.txt").await;
    let control = [demo.control()];
    let pops = [0, 1, 2].map(|pop| demo.admin(pop));
    for machine in control.iter().chain(&pops) {
        let healthy = machine.get("machine/-/healthy").await;
        assert_eq!((healthy.status.as_u16(), healthy.text()), (200, "healthy\n"));
        let ready = machine.get("machine/-/ready").await;
        assert_eq!(ready.status, 200);
        assert!(ready.text().starts_with("ready ("), "{}", ready.text());
        assert_eq!(machine.get("machine/-/metrics").await.status, 200);
    }
    let control = demo.control().get("control/-/metrics").await;
    let submitted = "freshen_control_tasks_submitted_total{kind=\"url\"} 1";
    assert!(control.text().lines().any(|line| line == submitted), "{}", control.text());
    let asia = demo.admin(0).get("pop/-/metrics").await;
    let fetched = "freshen_pop_origin_requests_total 1";
    assert!(asia.text().lines().any(|line| line == fetched), "{}", asia.text());
    assert_eq!(demo.viewer(0).get("demo.localhost/-/metrics").await.status, 404, "viewers see none of it");
}

#[tokio::test]
async fn a_pop_without_a_lease_is_healthy_and_not_ready() {
    let mut demo = Demo::planned(Plan { lease_ms: Some(1_000), no_restart: true, ..Plan::default() }).await;
    demo.part("control").signal(Signal::KILL);
    demo.says("control died").await;
    for pop in 0..POPS.len() {
        let refused = asked_until("the lease ends", async || {
            let ready = demo.admin(pop).get("pop/-/ready").await;
            (ready.status == 503).then(|| ready.text().to_owned())
        });
        assert!(refused.await.starts_with("not ready: no lease"));
        assert_eq!(demo.admin(pop).get("pop/-/healthy").await.status, 200);
    }
}

#[tokio::test]
async fn a_download_under_way_outlives_sigterm() {
    const BYTES: usize = 30_000_000;
    let mut demo = Demo::planned(Plan { own_files: true, no_restart: true, ..Plan::default() }).await;
    demo.write("large.bin", vec![b'x'; BYTES]);
    let viewer = demo.viewer(0);
    viewer.get("demo.localhost/large.bin").await;
    let mut cached = viewer.begin("demo.localhost/large.bin", &[]).await;
    let mut fetched = viewer.begin("demo.localhost/large.bin?another", &[]).await;
    let pop = demo.part("pop-asia");
    pop.signal(Signal::TERM);
    asked_until("new viewers are turned away", async || {
        demo.viewer(0).try_get("demo.localhost/").await.is_none().then_some(())
    })
    .await;
    for body in [&mut cached, &mut fetched] {
        let mut size = 0;
        while let Some(frame) = within("the download goes on", body.frame()).await {
            size += frame.expect("the download was cut off").data_ref().map_or(0, |data| data.len());
        }
        assert_eq!(size, BYTES);
    }
    pop.gone().await;
    assert_eq!(demo.says("pop-asia died").await, "pop-asia died (exit status 0), stays down");
}

#[tokio::test]
async fn control_that_is_stopped_answers_who_waits() {
    let mut demo = Demo::planned(Plan { no_restart: true, ..Plan::default() }).await;
    demo.part("pop-asia").signal(Signal::STOP);
    let mut waiting = demo.begin(&["purge", "--wait", "--timeout", "3", "http://demo.localhost/a.txt"]);
    waiting.complains("is submitted").await;
    demo.part("control").signal(Signal::TERM);
    assert_eq!(demo.says("control died").await, "control died (exit status 0), stays down");
    let ended = within("the wait ends", waiting.ended()).await.with(3);
    assert!(ended.stderr.contains("goes on"), "{}", ended.stderr);
}
