//! The console in a real browser: each flow is a script in `tests/browser`, played on a demo. Pictures of what was seen are
//! kept in `tmp/console` of the target folder.

use crate::demo::{Demo, Plan};
use rustix::process::Signal;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// Plays a flow; a demo that was just started has what its welcome told.
async fn play(demo: &Demo, flow: &str) {
    let packages = std::env::var_os("FRESHEN_TEST_BROWSER").expect(
        "FRESHEN_TEST_BROWSER names a folder with the packages of tests/browser; cargo xtask test makes one",
    );
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    std::fs::create_dir_all(&screenshots).unwrap();
    let told = |mark: &str| {
        let line = demo.welcome.iter().find_map(|line| Some(line.split_once(mark)?.1)).expect(mark);
        line.split([' ', ',']).next().unwrap().to_owned()
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(format!("{flow}.mjs"));
    let played = Command::new("node")
        .arg(script)
        .env("FRESHEN_TEST_BROWSER", packages)
        .env("FRESHEN_CONSOLE", format!("http://127.0.0.1:{}", demo.port_base()))
        .env("FRESHEN_ORIGIN", format!("http://{}", demo.origin_address()))
        .env("FRESHEN_LINK", told("The console: "))
        .env("FRESHEN_PASSWORD", told("password "))
        .env("FRESHEN_SCREENSHOTS", screenshots)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let played = played.await.unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(played.status.success(), "{flow}: {}{}", said(&played.stdout), said(&played.stderr));
}

#[tokio::test]
async fn people_sign_in_and_admins_manage_them() {
    play(&Demo::start().await, "sign-in").await;
}

#[tokio::test]
async fn a_purge_is_previewed_done_and_believed() {
    let demo = Demo::start().await;
    demo.viewers()[0].get("demo.localhost/a.txt").await;
    play(&demo, "purge").await;
}

#[tokio::test]
async fn a_prefetch_is_watched_to_its_end() {
    play(&Demo::start().await, "prefetch").await;
}

#[tokio::test]
async fn p2_a_pop_in_trouble_is_seen_at_a_glance_and_named_in_the_record() {
    let mut demo = Demo::planned(Plan { no_restart: true, lease_ms: Some(1_000), ..Plan::default() }).await;
    demo.part("pop-europe").signal(Signal::KILL);
    demo.says("pop-europe died").await;
    play(&demo, "trouble").await;
}

#[tokio::test]
async fn admins_manage_the_installation() {
    play(&Demo::start().await, "manage").await;
}

#[tokio::test]
async fn every_page_is_accessible_in_light_and_dark_and_fits_a_narrow_screen() {
    play(&Demo::start().await, "pages").await;
}

#[tokio::test]
async fn users_are_managed_by_commands() {
    let demo = Demo::start().await;
    let added = demo.run(&["user", "add", "vera", "--role", "viewer", "--json"]).await.with(0).json();
    assert_eq!((&added["account"], &added["role"]), (&"demo".into(), &"viewer".into()));
    assert_eq!(added["password"].as_str().map(str::len), Some(20));
    demo.run(&["user", "add", "vera", "--role", "viewer"]).await.with(2);
    let list = demo.run(&["user", "list"]).await.with(0).stdout;
    assert!(list.contains("vera") && list.contains("viewer"), "{list}");
    let changed = demo.run(&["user", "password", "vera", "--json"]).await.with(0).json();
    assert_ne!(changed["password"], added["password"]);
    demo.run(&["user", "remove", "vera"]).await.with(0);
    assert!(!demo.run(&["user", "list"]).await.stdout.contains("vera"));
}
