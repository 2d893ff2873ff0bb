//! Conversations with the demo origin over real sockets.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An origin of its own, with `a.txt` holding "hello\n" and `b.bin` holding "0123456789".
struct Origin {
    folder: TempDir,
    address: SocketAddr,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Origin {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "hello\n").unwrap();
        fs::write(folder.path().join("b.bin"), "0123456789").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(super::serve(listener, folder.path().to_path_buf()));
        Self { folder, address }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn get(&self, target: &str, headers: &[&str]) -> Answer {
        self.ask("GET", target, headers).await
    }

    /// One request on a connection of its own, read to the connection's end.
    async fn ask(&self, method: &str, target: &str, headers: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let request = format!("{method} {target} HTTP/1.1\r\nHost: o\r\nConnection: close\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    async fn stats(&self, path: &str) -> (u64, u64, u64) {
        let answer = self.get("/_origin/stats", &[]).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let counted = &json["paths"][path];
        let number = |name: &str| counted[name].as_u64().unwrap();
        (number("requests"), number("not_modified"), number("bytes"))
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Self { status, head, body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunk(&answer.body);
        }
        answer
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    fn etag(&self) -> String {
        self.header("etag").expect("an ETag").to_owned()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Panics unless the last chunk is there: a body cut off does not pass for a whole one.
fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

#[tokio::test]
async fn a_file_comes_with_all_a_cache_needs() {
    let origin = Origin::start().await;
    let answer = origin.get("/a.txt", &[]).await;
    assert_eq!((answer.status, answer.text()), (200, "hello\n"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=86400"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("content-length"), Some("6"));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    assert!(answer.header("last-modified").is_some() && answer.header("date").is_some());
    assert!(answer.etag().starts_with('"'), "strong");

    let binary = origin.get("/b.bin", &["Accept-Encoding: gzip"]).await;
    assert_eq!((binary.text(), binary.header("vary")), ("0123456789", None));
    assert_eq!(binary.header("content-encoding"), None);
}

#[tokio::test]
async fn head_says_what_get_would_and_sends_no_body() {
    let origin = Origin::start().await;
    let (get, head) = (origin.get("/a.txt", &[]).await, origin.ask("HEAD", "/a.txt", &[]).await);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "etag", "last-modified", "cache-control", "vary", "content-type"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    let zipped = origin.ask("HEAD", "/a.txt", &["Accept-Encoding: gzip"]).await;
    assert_eq!((zipped.header("content-encoding"), zipped.body.len()), (Some("gzip"), 0));
    assert_ne!(zipped.header("content-length"), Some("0"), "a length that is not the body's would be a lie");

    let missing = origin.ask("HEAD", "/missing", &[]).await;
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    assert_eq!(origin.stats("/missing").await, (1, 0, 0));
}

#[tokio::test]
async fn an_edit_is_seen_at_once_and_has_another_etag() {
    let origin = Origin::start().await;
    let before = origin.get("/a.txt", &[]).await;
    // The same size, the same second; a file moved into place has another inode.
    fs::write(origin.file("new"), "HELLO\n").unwrap();
    fs::rename(origin.file("new"), origin.file("a.txt")).unwrap();

    let after = origin.get("/a.txt", &[&format!("If-None-Match: {}", before.etag())]).await;
    assert_eq!((after.status, after.text()), (200, "HELLO\n"));
    assert_ne!(after.etag(), before.etag());
}

#[tokio::test]
async fn who_has_it_already_gets_304() {
    let origin = Origin::start().await;
    let first = origin.get("/a.txt", &[]).await;
    let (etag, modified) = (first.etag(), first.header("last-modified").unwrap().to_owned());
    let old = "If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT";

    for headers in [
        vec![format!("If-None-Match: {etag}")],
        vec![format!("If-None-Match: \"x\", W/{etag}")],
        vec!["If-None-Match: *".to_owned()],
        vec![format!("If-Modified-Since: {modified}")],
        vec![format!("If-None-Match: {etag}"), old.to_owned()],
    ] {
        let lines: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = origin.get("/a.txt", &lines).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{headers:?}");
        assert_eq!(answer.etag(), etag);
        assert_eq!(answer.header("cache-control"), Some("public, max-age=86400"));
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    }
    // If-None-Match decides alone, whatever the date says.
    let changed = ["If-None-Match: \"x\"".to_owned(), format!("If-Modified-Since: {modified}")];
    assert_eq!(origin.get("/a.txt", &[&changed[0], &changed[1]]).await.status, 200);
    assert_eq!(origin.get("/a.txt", &[old]).await.status, 200);
    assert_eq!(origin.get("/a.txt", &["If-Modified-Since: yesterday"]).await.status, 200);
}

#[tokio::test]
async fn text_is_compressed_for_who_accepts_it_under_an_etag_of_its_own() {
    let origin = Origin::start().await;
    let text = "all work and no play\n".repeat(50_000);
    fs::write(origin.file("long.txt"), &text).unwrap();
    let plain = origin.get("/long.txt", &[]).await;
    let zipped = origin.get("/long.txt", &["Accept-Encoding: br, gzip"]).await;

    assert_eq!(plain.body, text.as_bytes());
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(zipped.header("vary"), Some("Accept-Encoding"));
    assert!(zipped.body.len() < text.len() / 20);
    assert_eq!(gunzip(&zipped.body), text.as_bytes());
    assert_ne!(zipped.etag(), plain.etag());

    let of_zipped = format!("If-None-Match: {}", zipped.etag());
    assert_eq!(origin.get("/long.txt", &[&of_zipped, "Accept-Encoding: gzip"]).await.status, 304);
    assert_eq!(origin.get("/long.txt", &[&of_zipped]).await.status, 200);
    // One version of the file has one gzip body.
    assert_eq!(origin.get("/long.txt", &["Accept-Encoding: gzip"]).await.body, zipped.body);
}

#[tokio::test]
async fn a_part_of_a_file() {
    let origin = Origin::start().await;
    let part = origin.get("/b.bin", &["Range: bytes=2-5"]).await;
    assert_eq!((part.status, part.text()), (206, "2345"));
    assert_eq!(part.header("content-range"), Some("bytes 2-5/10"));
    assert_eq!(part.header("content-length"), Some("4"));
    assert_eq!(origin.get("/b.bin", &["Range: bytes=-3"]).await.text(), "789");

    let beyond = origin.get("/b.bin", &["Range: bytes=10-"]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    assert_eq!(beyond.header("cache-control"), Some("no-store"));

    // HEAD has no parts, and neither has a body that is compressed on its way.
    assert_eq!(origin.ask("HEAD", "/b.bin", &["Range: bytes=2-5"]).await.status, 200);
    let zipped = origin.get("/a.txt", &["Range: bytes=0-1", "Accept-Encoding: gzip"]).await;
    assert_eq!((zipped.status, gunzip(&zipped.body).as_slice()), (200, b"hello\n".as_slice()));
}

#[tokio::test]
async fn a_part_of_another_version_is_not_sent() {
    let origin = Origin::start().await;
    let whole = origin.get("/b.bin", &[]).await;
    let asked = async |validator: &str| {
        origin.get("/b.bin", &["Range: bytes=0-0", &format!("If-Range: {validator}")]).await.status
    };
    assert_eq!(asked(&whole.etag()).await, 206);
    assert_eq!(asked("\"x\"").await, 200);
    assert_eq!(asked(&format!("W/{}", whole.etag())).await, 200);
    assert_eq!(asked("Thu, 01 Jan 1970 00:00:01 GMT").await, 200);

    let hour = Duration::from_secs(3600);
    let file = fs::File::options().append(true).open(origin.file("b.bin")).unwrap();
    for (modified, status) in [(SystemTime::now() - hour, 206), (SystemTime::now() + hour, 200)] {
        // Less than a second old, a date cannot tell this version from the next.
        file.set_modified(modified).unwrap();
        assert_eq!(asked(&httpdate::fmt_http_date(modified)).await, status);
    }
}

#[tokio::test]
async fn directories_have_an_index_behind_their_slash() {
    let origin = Origin::start().await;
    fs::create_dir(origin.file("d")).unwrap();
    fs::write(origin.file("d/index.html"), "index").unwrap();
    assert_eq!(origin.get("/d/", &[]).await.text(), "index");
    let way = origin.get("/d?x=1", &[]).await;
    assert_eq!((way.status, way.header("location")), (301, Some("/d/?x=1")));
    assert_eq!(way.header("cache-control"), Some("public, max-age=86400"));
    assert_eq!(origin.get("/", &[]).await.status, 404);
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_plain_words() {
    let origin = Origin::start().await;
    for target in ["/missing", "/../Cargo.toml", "/%2e%2e/x", "/a.txt%00", "//a.txt", "/a.txt/", "/a.txt/x"] {
        let answer = origin.get(target, &[]).await;
        assert_eq!((answer.status, answer.text()), (404, "no such file\n"), "{target}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let post = origin.ask("POST", "/a.txt", &["Content-Length: 0"]).await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn every_request_is_counted_and_every_byte_of_a_body() {
    let origin = Origin::start().await;
    let etag = origin.get("/a.txt?v=1", &[]).await.etag();
    origin.ask("HEAD", "/a.txt?v=1", &[]).await;
    origin.get("/a.txt?v=1", &[&format!("If-None-Match: {etag}")]).await;
    origin.get("/a.txt?v=1", &[]).await;
    assert_eq!(origin.stats("/a.txt?v=1").await, (4, 1, 12));

    let zipped = origin.get("/a.txt", &["Accept-Encoding: gzip"]).await;
    assert_eq!(origin.stats("/a.txt").await, (1, 0, zipped.body.len() as u64));
}

#[tokio::test]
async fn a_file_edited_while_it_is_sent_is_cut_off() {
    let origin = Origin::start().await;
    let size = 64 * 1024 * 1024;
    fs::write(origin.file("big.bin"), vec![b'x'; size]).unwrap();
    let mut stream = TcpStream::connect(origin.address).await.unwrap();
    stream.write_all(b"GET /big.bin HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n").await.unwrap();
    // The head is here, and the sockets' buffers hold a fraction of the body: the rest is still to be read.
    let mut bytes = vec![0; 1024];
    stream.read_exact(&mut bytes).await.unwrap();
    let past = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().append(true).open(origin.file("big.bin")).unwrap().set_modified(past).unwrap();

    let _ = stream.read_to_end(&mut bytes).await;
    let answer = Answer::parse(&bytes);
    assert_eq!(answer.header("content-length"), Some(size.to_string().as_str()));
    assert!(answer.body.len() < size, "the whole length would make it a whole answer");
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let origin = Origin::start().await;
    let mut stream = TcpStream::connect(origin.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /b.bin HTTP/1.1\r\nHost: o\r\n\r\n").await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n0123456789") {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the connection stays open");
        }
    }
}
