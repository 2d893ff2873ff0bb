//! A folder that is there already, with whatever names its files have: served, kept, purged as a directory, never left.

use crate::demo::{Demo, Plan};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

const FILES: usize = 400;

/// Names that somebody's files have.
const ODD: [&[u8]; 13] = [
    b"a b",
    b"100%",
    b"%41",
    b"what?",
    b"a#b",
    b"a&b=c;d",
    b"\"quoted\"",
    b"back\\slash",
    b"tab\there",
    b"two\nlines",
    b".hidden",
    "s\u{fc}\u{df}.txt".as_bytes(),
    b"\xff\xfe not UTF-8",
];

/// As the path of a URL has a file's name.
fn encoded(name: &[u8]) -> String {
    percent_encode(name, NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn a_tree_of_files_with_any_names_is_served_kept_and_purged() {
    let demo = Demo::planned(Plan { own_files: true, ..Plan::default() }).await;
    let viewer = demo.viewer(0);
    let mut pages = Vec::new();
    for (number, name) in ODD.iter().enumerate() {
        let folder = demo.file("odd").join(OsStr::from_bytes(name));
        std::fs::create_dir_all(&folder).unwrap();
        // The name is a folder's, and a file's in it.
        std::fs::write(folder.join(OsStr::from_bytes(name)), format!("odd {number}")).unwrap();
        pages.push((format!("odd/{0}/{0}", encoded(name)), format!("odd {number}")));
    }
    for number in 0..FILES {
        let name = format!("many/{}/{number}", number % 7);
        demo.write(&name, format!("file {number}"));
        pages.push((name, format!("file {number}")));
    }
    std::os::unix::fs::symlink("/etc/hostname", demo.file("outside")).unwrap();
    std::os::unix::fs::symlink("/etc", demo.file("many/up")).unwrap();
    std::os::unix::fs::symlink("many/0/0", demo.file("inside")).unwrap();

    let read_all = async |x_cache: &str| {
        for (name, text) in &pages {
            assert_eq!(
                viewer.get(&format!("demo.localhost/{name}")).await.both(),
                (x_cache, text.as_str()),
                "{name}"
            );
        }
    };
    read_all("MISS").await;
    read_all("HIT").await;
    for left in ["outside", "many/up/hostname", "many/%2e%2e/%2e%2e/data/client.toml", "odd/..%2f..%2fdata"] {
        assert_eq!(viewer.get(&format!("demo.localhost/{left}")).await.status, 404, "{left}");
    }
    assert_eq!(viewer.get("demo.localhost/inside").await.text(), "file 0");

    demo.run(&["purge", "--dir", "--wait", "http://demo.localhost/"]).await.with(0);
    read_all("REVALIDATED").await;
    // One folder alone, by its odd name.
    let folder = format!("http://demo.localhost/odd/{}/", encoded(ODD[1]));
    demo.run(&["purge", "--dir", "--wait", &folder]).await.with(0);
    for (number, (name, _)) in pages.iter().enumerate() {
        let x_cache = if number == 1 { "REVALIDATED" } else { "HIT" };
        assert_eq!(viewer.get(&format!("demo.localhost/{name}")).await.x_cache(), Some(x_cache), "{name}");
    }
}
