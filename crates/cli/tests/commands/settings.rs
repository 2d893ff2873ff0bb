//! A domain's settings by the command line: set, shown, taken back, refused by name.

use crate::demo::Demo;
use serde_json::json;

#[tokio::test]
async fn settings_are_set_shown_and_taken_back() {
    let demo = Demo::start().await;
    let set = async |options: &str| {
        let arguments = ["domain", "set", "--json", "demo.localhost"];
        let options: Vec<&str> = arguments.into_iter().chain(options.split_whitespace()).collect();
        demo.run(&options).await
    };
    let domain =
        set("--ttl /live/=2 --ttl .m3u8=2! --negative-ttl-s 3 --ranges whole --retries 2").await.with(0);
    let rules = json!([
        { "when": { "path": "/live/" }, "ttl_s": 2, "mode": "default" },
        { "when": { "suffix": ".m3u8" }, "ttl_s": 2, "mode": "override" },
    ]);
    assert_eq!(domain.json()["settings"]["ttl"], rules);
    let shown = demo.run(&["domain", "show", "--json", "demo.localhost"]).await.with(0).json();
    assert_eq!(shown, domain.json());
    let text = demo.run(&["domain", "show", "demo.localhost"]).await.with(0).stdout;
    for row in
        ["ttl                     /live/=2", "ttl                     .m3u8=2!", "retries                 2"]
    {
        assert!(text.contains(row), "{row}: {text}");
    }
    assert_eq!(set("--ttl none").await.with(0).json()["settings"].get("ttl"), None);

    let secret = "--s3-region eu-1 --s3-bucket films --s3-access-key-id id --s3-secret-access-key hush";
    let told = set(secret).await.with(0);
    assert_eq!(told.json()["settings"]["origin"]["s3"]["secret_access_key"], json!({ "set": true }));
    let text = demo.run(&["domain", "show", "demo.localhost"]).await.with(0).stdout;
    assert!(text.contains("s3-secret-access-key    set") && !text.contains("hush"), "{text}");
    set("--s3-bucket other").await.with(0);
    assert_eq!(set("--s3-region none").await.with(0).json()["settings"]["origin"].get("s3"), None);

    for (options, said) in [
        ("--ttl live=2", "begins with /, or a suffix"),
        ("--retries 6", "retries: 6 is more than 5"),
        ("--origin-head-ms-max 1", "origin_head_ms_max: write 100 to 600000 milliseconds"),
        ("--s3-region eu-1 --s3-access-key-id id", "give the one of id"),
        ("--s3-bucket films", "a bucket is in a --s3-region"),
    ] {
        let refused = set(options).await.with(2);
        assert!(refused.stderr.contains(said), "{options}: {}", refused.stderr);
    }
}
