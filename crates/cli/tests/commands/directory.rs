//! Directory purges: what is below is asked for again, what is beside stays.

use crate::demo::Demo;

const INSIDE: [&str; 3] = ["/d/", "/d/a.html", "/d/sub/c.html"];
/// The last two are a redirect to the directory, and another object under the same path.
const OUTSIDE: [&str; 4] = ["/dd/x.html", "/a.txt", "/d", "/d?x"];

/// Every object is in every POP's cache.
async fn filled() -> Demo {
    let demo = Demo::start().await;
    demo.each_pop_for_itself().await;
    for viewer in demo.viewers() {
        for path in INSIDE.iter().chain(&OUTSIDE) {
            assert_eq!(viewer.get(&format!("demo.localhost{path}")).await.x_cache(), Some("MISS"), "{path}");
        }
    }
    demo
}

async fn assert_siblings_stay(demo: &Demo) {
    for viewer in demo.viewers() {
        for path in OUTSIDE {
            assert_eq!(viewer.get(&format!("demo.localhost{path}")).await.x_cache(), Some("HIT"), "{path}");
        }
    }
    for path in OUTSIDE {
        assert_eq!(demo.reached(path).await.0, 3, "{path}: once per POP");
    }
}

#[tokio::test]
async fn unchanged_content_is_confirmed_and_not_sent_again() {
    let demo = filled().await;
    demo.run(&["purge", "--dir", "--wait", "http://demo.localhost/d/"]).await.with(0);
    for path in INSIDE {
        let before = demo.reached(path).await;
        for viewer in demo.viewers() {
            let url = format!("demo.localhost{path}");
            assert_eq!(viewer.get(&url).await.x_cache(), Some("REVALIDATED"), "{path}");
            assert_eq!(viewer.get(&url).await.x_cache(), Some("HIT"), "{path}");
        }
        let (requests, not_modified, bytes) = demo.reached(path).await;
        assert_eq!(requests - before.0, 3, "{path}: one request of each POP");
        assert_eq!(not_modified - before.1, 3, "{path}: each answered 304");
        assert_eq!(bytes, before.2, "{path}: no body again");
    }
    assert_siblings_stay(&demo).await;
}

#[tokio::test]
async fn a_change_below_the_directory_is_served() {
    let demo = filled().await;
    demo.write("d/a.html", "new");
    demo.run(&["purge", "--dir", "--wait", "http://demo.localhost/d/"]).await.with(0);
    for viewer in demo.viewers() {
        assert_eq!(viewer.get("demo.localhost/d/a.html").await.text(), "new");
    }
}

#[tokio::test]
async fn force_fetches_the_bytes_again() {
    let demo = filled().await;
    demo.run(&["purge", "--dir", "--force", "--wait", "http://demo.localhost/d/"]).await.with(0);
    for path in INSIDE {
        let before = demo.reached(path).await;
        let mut size = 0;
        for viewer in demo.viewers() {
            let got = viewer.get(&format!("demo.localhost{path}")).await;
            assert!(!matches!(got.x_cache(), Some("HIT" | "REVALIDATED")), "{path}: {:?}", got.x_cache());
            size += got.size() as u64;
        }
        let (requests, not_modified, bytes) = demo.reached(path).await;
        assert_eq!((requests - before.0, not_modified - before.1), (3, 0), "{path}");
        assert_eq!(bytes - before.2, size, "{path}: the whole body for each POP");
    }
    assert_siblings_stay(&demo).await;
}
