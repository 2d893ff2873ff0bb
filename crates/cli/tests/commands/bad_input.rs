//! Bad input changes nothing, and is told with its line and what to write instead.

use crate::demo::Demo;

const URL: &[&str] = &["purge"];
const DIRECTORY: &[&str] = &["purge", "--dir"];
const PREFETCH: &[&str] = &["prefetch"];

/// A good first line for each command, so that the bad one is the second.
fn good(command: &[&str]) -> &'static str {
    if command == DIRECTORY { "http://demo.localhost/d/" } else { "http://demo.localhost/a.txt" }
}

#[tokio::test]
async fn a_bad_line_is_told_with_its_number_and_nothing_is_submitted() {
    let demo = Demo::start().await;
    for (command, line, reason) in [
        (URL, "demo.localhost/a.txt", "no scheme, write http:// or https:// before it"),
        (PREFETCH, "demo.localhost/a.txt", "no scheme, write http:// or https:// before it"),
        (URL, "", "no scheme, write http:// or https:// before it"),
        (URL, "http://unknown.localhost/a", "unknown.localhost is not a domain of this account"),
        (PREFETCH, "http://unknown.localhost/a", "unknown.localhost is not a domain of this account"),
        (
            URL,
            "http://demo.localhost/é",
            "raw non-ASCII character 'é' in URL, write it as percent-encoded UTF-8",
        ),
        (URL, "http://demo.localhost/a b", "raw space in URL, write %20"),
        (DIRECTORY, "http://demo.localhost/a b/", "raw space in URL, write %20"),
        (
            URL,
            "http://user:word@demo.localhost/",
            "user information before @ is not part of a cached URL, remove it",
        ),
        (URL, "http://demo.localhost/#top", "a fragment (#) never reaches a server, remove it or write %23"),
        (DIRECTORY, "http://demo.localhost/d", "a directory ends with /, write it so or purge the URL"),
        (PREFETCH, "http://demo.localhost/d/", "a directory cannot be prefetched, name the files"),
        (
            URL,
            "http://demo.localhost/*.jpg",
            "wildcards (*) are not matched, name the URL or purge its directory",
        ),
        (URL, "http://*.localhost/", "wildcards (*) are not matched, name the URL or purge its directory"),
        (URL, "http://127.0.0.1/a", "\"127.0.0.1\" is an address, name the accelerated domain"),
        (URL, "http://[::1]/a", "\"[::1]\" is an address, name the accelerated domain"),
    ] {
        let refused = demo.run_list(command, format!("{}\n{line}\n", good(command))).await.with(2);
        let told = format!("line 2: {reason}");
        assert!(refused.stderr.lines().any(|said| said == told), "{line:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("line 1:"), "{line:?}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{line:?}");
    }
    assert_eq!(demo.quota().await, [2_000, 100, 500]);
    let tasks = demo.run(&["task", "list", "--json"]).await.with(0).json();
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_list_of_another_encoding_is_told_with_its_line() {
    let demo = Demo::start().await;
    let list = b"http://demo.localhost/a.txt\r\nhttp://demo.localhost/\xb9\xe3.txt\r\n";
    let refused = demo.run_list(URL, list).await.with(2);
    assert!(refused.stderr.contains("line 2: raw non-ASCII character"), "{}", refused.stderr);
    assert_eq!(demo.quota().await, [2_000, 100, 500]);
}

#[tokio::test]
async fn too_many_lines_and_none_are_refused() {
    let demo = Demo::start().await;
    for (command, lines_max) in [(URL, 1_000), (DIRECTORY, 100), (PREFETCH, 100)] {
        let line = format!("{}\n", good(command));
        let refused = demo.run_list(command, line.repeat(lines_max + 1)).await.with(2);
        let told = format!("{} lines, at most {lines_max}", lines_max + 1);
        assert!(refused.stderr.contains(&told), "{}", refused.stderr);
        let refused = demo.run_list(command, "").await.with(2);
        assert!(refused.stderr.contains("an empty list, name at least one URL"), "{}", refused.stderr);
        demo.run(command).await.with(2);
    }
    assert_eq!(demo.quota().await, [2_000, 100, 500]);
    let full = "http://demo.localhost/a.txt\n".repeat(1_000);
    demo.run_list(&["purge", "--wait"], full).await.with(0);
    assert_eq!(demo.quota().await, [1_000, 100, 500], "each line counts");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_named() {
    let demo = Demo::start().await;
    let refused = demo.run(&["purge", "--file", "no-such-list.txt"]).await.with(2);
    assert!(refused.stderr.contains("no-such-list.txt"), "{}", refused.stderr);
}
