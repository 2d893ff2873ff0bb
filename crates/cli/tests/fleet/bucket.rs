//! A private bucket as an origin: every request is signed, nothing but objects is asked for, and the secret stays secret.

use crate::installation::{DOMAIN, Installation, Plan};
use crate::origin::{Arrived, Origin, Page};
use freshen_model::area::Area;
use freshen_model::domain::{Bucket, Settings};
use freshen_model::secret::Secret;
use http::Method;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const FILM: &str = "a.example/film.mp4";
const SECRET: &str = "hush/this+is=the-secret";

async fn of_bucket(name: Option<&'static str>) -> (Installation, Origin) {
    of_bucket_with(name, Plan::default()).await
}

/// An installation as planned, whose domain's origin is a bucket.
pub async fn of_bucket_with(name: Option<&'static str>, plan: Plan) -> (Installation, Origin) {
    let store = Origin::start().await;
    let address = store.address;
    let settings = move |mut settings: Settings| {
        settings.origin = format!("http://{address}").parse().unwrap();
        settings.origin.s3 = Some(Bucket {
            region: "eu-1".into(),
            bucket: name.map(str::to_owned),
            access_key_id: "reader".into(),
            secret_access_key: Secret::Plain(SECRET.into()),
        });
        settings
    };
    (Installation::start(Plan { settings: Box::new(settings), ..plan }).await, store)
}

/// Has the signature computed by another program, in another language.
fn check_signature(method: &str, arrived: &Arrived) {
    let headers: serde_json::Map<_, _> = arrived
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    let request = serde_json::json!({
        "method": method, "target": arrived.path, "headers": headers, "secret": SECRET,
    });
    let python = std::env::var("FRESHEN_TEST_PYTHON").unwrap_or("python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fleet/signature.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test needs Python 3, as python3 or named by FRESHEN_TEST_PYTHON");
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{request}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn requests_are_signed_and_carry_nothing_of_the_viewers_credentials() {
    let (fleet, store) = of_bucket(Some("films")).await;
    store.set("/films/film.mp4", Page::new("a film"));
    store.set("/films/a%2Bb%20c", Page::new("another"));
    let viewer = fleet.viewer(0);
    let own = [("cookie", "session=1"), ("x-amz-acl", "public-read")];
    let url = format!("{FILM}?X-Amz-Signature=theirs");
    assert_eq!(viewer.send(Method::GET, &url, &own, "").await.both(), ("MISS", "a film"));
    assert_eq!(viewer.get(&format!("{DOMAIN}/a+b%20c")).await.both(), ("MISS", "another"));
    fleet.purge(&[FILM]).await;
    let basic = [("authorization", "Basic eDp5")];
    assert_eq!(viewer.send(Method::GET, FILM, &basic, "").await.text(), "a film");
    assert_eq!(viewer.send(Method::HEAD, FILM, &[], "").await.status, 200);
    let arrived = store.all();
    assert!(arrived.len() >= 3, "{arrived:?}");
    for arrived in &arrived {
        check_signature("GET", arrived);
        let field = |name: &str| arrived.headers.get(name);
        assert!(field("cookie").is_none() && field("x-amz-acl").is_none(), "{arrived:?}");
        assert!(!arrived.path.contains('?'), "{arrived:?}");
        assert_eq!(field("host").unwrap(), &store.address.to_string());
    }
}

#[tokio::test]
async fn a_copy_of_a_bucket_is_revalidated_by_a_signed_request() {
    let (fleet, store) = of_bucket(None).await;
    store.set("/film.mp4", Page::new("a film").with("cache-control", "max-age=0"));
    let viewer = fleet.viewer(0);
    assert_eq!(viewer.get(FILM).await.both(), ("MISS", "a film"));
    assert_eq!(viewer.get(FILM).await.both(), ("REVALIDATED", "a film"));
    let arrived = store.requests("/film.mp4");
    assert!(arrived.len() == 2 && arrived[1].conditional(), "{arrived:?}");
    arrived.iter().for_each(|arrived| check_signature("GET", arrived));
}

#[tokio::test]
async fn a_bucket_is_only_read_and_only_object_by_object() {
    let (fleet, store) = of_bucket(Some("films")).await;
    let viewer = fleet.viewer(0);
    for method in [Method::PUT, Method::DELETE, Method::POST] {
        let got = viewer.send(method.clone(), FILM, &[], "new").await;
        assert!(got.status == 502 && got.text().contains("only read"), "{method}: {got:?}");
    }
    for path in ["/", "/?list-type=2", "/%2F..%2Fother/a"] {
        let got = viewer.get(&format!("{DOMAIN}{path}")).await;
        assert!(got.status == 502 && got.text().contains("names no object"), "{path}: {got:?}");
    }
    assert!(store.all().is_empty(), "{:?}", store.all());
}

#[tokio::test]
async fn the_secret_is_in_no_file_and_outlives_a_restart_without_control() {
    let (mut fleet, store) = of_bucket(Some("films")).await;
    store.set("/films/film.mp4", Page::new("a film"));
    fleet.cut_off_control().await;
    fleet.pops[0].kill();
    fleet.pops[0].start();
    let got = loop {
        if let Some(got) = fleet.viewer(0).try_get(FILM).await {
            break got;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(got.text(), "a film");
    check_signature("GET", &store.requests("/films/film.mp4")[0]);
    let read = files_with(fleet.folder.path(), SECRET.as_bytes());
    assert!(read.0.is_empty() && read.1 > 5, "{read:?}");
}

#[tokio::test]
async fn a_pop_with_a_new_token_gets_the_secret_anew() {
    let (mut fleet, store) = of_bucket(Some("films")).await;
    fleet.pops[0].kill();
    let pop = "pop-1".parse().unwrap();
    fleet.control.destroy_pop(&pop).await.unwrap();
    let made = fleet.control.add_pop(&pop, Area::Domestic, "test").await.unwrap();
    let file = fleet.folder.path().join("pop-1.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let mut config: freshen_pop::Config = toml::from_str(&config).unwrap();
    config.token = freshen_pop::config::Token(made.token);
    std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
    fleet.pops[0].start();
    fleet.pops[0].ready().await;
    store.set("/films/film.mp4", Page::new("a film"));
    assert_eq!(fleet.viewer(0).get(FILM).await.both(), ("MISS", "a film"));
    check_signature("GET", &store.requests("/films/film.mp4")[0]);
}

/// The files below a folder that have these bytes, and how many were read.
/// The files below a folder that have these bytes in them, and how many files there are.
pub fn files_with(folder: &Path, bytes: &[u8]) -> (Vec<String>, usize) {
    let (mut found, mut count) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let below = files_with(&path, bytes);
            found.extend(below.0);
            count += below.1;
        } else if let Ok(content) = std::fs::read(&path) {
            count += 1;
            if content.windows(bytes.len()).any(|window| window == bytes) {
                found.push(path.display().to_string());
            }
        }
    }
    (found, count)
}
