//! What a purge matched, as its user reads it, and the certificate he keeps of it.

use crate::command::{freshen, run};
use crate::demo::{Demo, Plan};

const URL: &str = "http://demo.localhost/a.txt";

#[tokio::test]
async fn a_purge_tells_what_it_matched_and_warns_of_a_slip() {
    let demo = Demo::planned(Plan { own_files: true, ..Plan::default() }).await;
    demo.write("a.txt", "seven b");
    for viewer in demo.viewers() {
        viewer.get("demo.localhost/a.txt").await;
    }
    let purged = demo.run(&["purge", "--wait-counted", URL]).await.with(0);
    assert!(purged.stdout.contains("matched 3 objects, 21 bytes on 3 POPs"), "{purged:?}");
    assert!(!purged.stderr.contains("warning"), "{purged:?}");

    let slip = demo.run(&["purge", "--wait-counted", "http://demo.localhost/b.txt"]).await.with(0);
    assert!(slip.stdout.contains("matched 0 objects"), "{slip:?}");
    assert!(slip.stderr.contains("warning: it matched nothing on any POP"), "{slip:?}");
    let slip = demo.run(&["purge", "--wait-counted", "--json", "http://demo.localhost/c.txt"]).await.with(0);
    assert_eq!(slip.json()["counts"]["nothing_matched"], true);
    let id = slip.json()["id"].as_str().unwrap().to_owned();
    let shown = demo.run(&["task", "show", &id]).await.with(0);
    assert!(shown.stdout.contains("matched 0 objects"), "{shown:?}");
    let prefetched = demo.run(&["prefetch", "--wait", "--json", URL]).await.with(0).json();
    assert_eq!(prefetched.get("counts"), None);
    demo.run(&["purge", "--timeout", "5", URL]).await.with(2);
}

#[tokio::test]
async fn a_certificate_is_exported_kept_and_verified() {
    let demo = Demo::start().await;
    demo.viewer(0).get("demo.localhost/a.txt").await;
    let task = demo.run(&["purge", "--wait", "--json", URL]).await.with(0).json();
    let id = task["id"].as_str().unwrap();
    let receipt = demo.run(&["task", "receipt", id]).await.with(0);
    let keys = demo.run(&["receipt", "keys"]).await.with(0);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (kept, known) = (file("certificate", &receipt.stdout), file("keys", &keys.stdout));
    let forged = file("forged", &receipt.stdout.replace("a.txt", "b.txt"));
    // Nobody is asked: the installation need not run any more.
    drop(demo);
    let held = run(freshen(&["receipt", "verify", &kept, "--key", &known])).await.with(0);
    assert!(held.stdout.contains("It holds") && held.stdout.contains("What it does not show"), "{held:?}");
    let verdict = run(freshen(&["receipt", "verify", &kept, "--json"])).await.with(0).json();
    assert_eq!((&verdict["holds"], &verdict["pops"][2]["proof"]), (&true.into(), &"confirmed".into()));
    run(freshen(&["receipt", "verify", &forged, "--key", &known])).await.with(1);
}
