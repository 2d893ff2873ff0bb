//! Viewers behind TLS: certificates by name, new ones without a restart, HTTP/2 and its limits.

use crate::installation::{ACCOUNT, Installation, Plan, free_port};
use crate::origin::Page;
use crate::raw::Raw;
use bytes::Bytes;
use freshen_control::{SubmitRequest, Terms};
use freshen_model::location::Scheme;
use freshen_model::task::TaskKind;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const A: &str = "a.example";

/// Writes a certificate for `names` with its key, as `stem`.crt and `stem`.key.
fn write(folder: &Path, stem: &str, names: &[&str]) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(folder.join(format!("{stem}.key")), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join(format!("{stem}.crt")), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// One POP with a TLS listener that shows what is in `folder`.
async fn behind_tls(folder: &TempDir, change: fn(&mut freshen_pop::Config)) -> Installation {
    let path = folder.path().to_owned();
    let pop = move |config: &mut freshen_pop::Config| {
        config.tls_listen = Some(format!("127.0.0.1:{}", free_port()));
        config.certificate_dir = Some(path.clone());
        change(config);
    };
    let fleet = Installation::start(Plan { pop: Box::new(pop), ..Plan::default() }).await;
    fleet.origin.set("/a", Page::new("behind TLS"));
    fleet
}

/// What a viewer trusts, and speaks.
pub fn trusting(certificates: &[CertificateDer<'static>], alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).unwrap();
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

async fn connect(
    fleet: &Installation,
    config: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(fleet.pops[0].tls_address()).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(config.clone()).connect(name, socket).await
}

/// Who is shown to a viewer who asks for `name` and trusts all of `certificates`.
async fn shown(
    fleet: &Installation,
    certificates: &[CertificateDer<'static>],
    name: &str,
) -> Option<CertificateDer<'static>> {
    let socket = connect(fleet, &trusting(certificates, &[]), name).await.ok()?;
    Some(socket.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
}

/// A connection of HTTP/2.
async fn http2(fleet: &Installation, certificate: &CertificateDer<'static>) -> SendRequest<Empty<Bytes>> {
    let config = trusting(std::slice::from_ref(certificate), &["h2", "http/1.1"]);
    let socket = connect(fleet, &config, A).await.unwrap();
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::builder().uri(format!("https://{A}{path}")).body(Empty::new()).unwrap()
}

async fn text(answer: Response<Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn one_object_is_served_by_every_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |_| {}).await;
    let config = trusting(std::slice::from_ref(&certificate), &["http/1.1"]);
    let mut http1 = Raw::over(connect(&fleet, &config, A).await.unwrap());
    for x_cache in ["miss from pop-1", "hit from pop-1"] {
        http1.send("GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        let answer = http1.answer().await.unwrap();
        assert_eq!((answer.field("x-cache"), answer.text()), (Some(x_cache), "behind TLS"));
    }
    let mut http2 = http2(&fleet, &certificate).await;
    let answers =
        [http2.send_request(get("/a")), http2.send_request(get("/a")), http2.send_request(get("/a"))];
    for answer in answers {
        let answer = answer.await.unwrap();
        assert_eq!(answer.headers()["x-cache"], "HIT from pop-1");
        assert_eq!(answer.headers().get_all("date").iter().count(), 1);
        assert_eq!(text(answer).await, "behind TLS");
    }
    assert_eq!(fleet.viewer(0).get("a.example/a").await.both(), ("HIT", "behind TLS"));
    fleet.purge(&["a.example/a"]).await;
    let answer = http2.send_request(get("/a")).await.unwrap();
    assert_eq!(answer.headers()["x-cache"], "EXPIRED from pop-1");
}

#[tokio::test]
async fn a_viewer_is_shown_the_certificate_of_the_name_he_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let first = write(folder.path(), "9", &["first.example"]);
    let wild = write(folder.path(), "2", &["*.a.example"]);
    let own = write(folder.path(), "3", &["www.a.example", A]);
    // What is listed goes before the folder.
    let fleet = behind_tls(&folder, |config| {
        let file = |name| config.certificate_dir.clone().unwrap().join(name);
        config.certificates =
            vec![freshen_pop::CertificateFiles { cert_file: file("9.crt"), key_file: file("9.key") }];
    })
    .await;
    let all = [first.clone(), wild.clone(), own.clone()];
    for (name, certificate) in
        [(A, &own), ("www.a.example", &own), ("img.a.example", &wild), ("first.example", &first)]
    {
        assert_eq!(shown(&fleet, &all, name).await.as_ref(), Some(certificate), "{name}");
    }
    assert_eq!(shown(&fleet, &all, "nobody.example").await, None, "not a name of the default");
    let mut unknown = connect(&fleet, &trusting(&all, &[]), "nobody.example").await.unwrap_err().to_string();
    unknown.make_ascii_lowercase();
    assert!(unknown.contains("first.example"), "the first one is shown: {unknown}");
}

#[tokio::test]
async fn certificates_change_without_a_restart_and_a_broken_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let old = write(folder.path(), "a", &[A]);
    // Nobody looks by himself while this test lasts.
    let fleet = behind_tls(&folder, |config| config.certificates_check_ms = 3_600_000).await;
    let kept = trusting(std::slice::from_ref(&old), &["http/1.1"]);
    let mut open = Raw::over(connect(&fleet, &kept, A).await.unwrap());

    std::fs::write(folder.path().join("a.crt"), "no certificate").unwrap();
    fleet.pops[0].hang_up();
    fleet.pops[0].metric_when("freshen_pop_certificate_errors_total", |count| count == 1.0).await;
    assert!(fleet.pops[0].log().contains("a.crt"));
    assert_eq!(shown(&fleet, std::slice::from_ref(&old), A).await, Some(old.clone()), "the old one stays");

    let new = write(folder.path(), "a", &[A]);
    fleet.pops[0].hang_up();
    let both = [old.clone(), new.clone()];
    shown_when(&fleet, &both, A, &new).await;
    open.send("GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(open.answer().await.unwrap().text(), "behind TLS", "who is there stays");
}

#[tokio::test]
async fn certificates_that_change_are_noticed_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let a = write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |config| config.certificates_check_ms = 100).await;
    let b = write(folder.path(), "b", &["b.example"]);
    shown_when(&fleet, &[a, b.clone()], "b.example", &b).await;
}

/// Waits until the POP shows that certificate.
async fn shown_when(
    fleet: &Installation,
    trusted: &[CertificateDer<'static>],
    name: &str,
    wanted: &CertificateDer<'static>,
) {
    let asking = async {
        // Each question is a handshake with another process, which tells nothing unasked.
        while shown(fleet, trusted, name).await.as_ref() != Some(wanted) {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(15), asking).await.expect("not shown");
}

#[tokio::test]
async fn a_viewer_who_comes_back_resumes_his_session() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |_| {}).await;
    let config = trusting(&[certificate], &["http/1.1"]);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut socket = connect(&fleet, &config, A).await.unwrap();
        assert_eq!(socket.get_ref().1.handshake_kind(), Some(kind));
        // The tickets come with the first answer.
        let mut raw = Raw::over(&mut socket);
        raw.send("GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn who_does_not_shake_hands_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |config| {
        config.viewer_head_ms_max = 1_500;
        config.connections_max = 1;
    })
    .await;
    // The one place is taken by a viewer who says nothing; another one gets it when he is sent away.
    let mut silent = TcpStream::connect(fleet.pops[0].tls_address()).await.unwrap();
    let mut other = Raw::connect(fleet.pops[0].tls_address()).await;
    other.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
    other.rest().await;
    fleet.pops[0].metric_when("freshen_pop_handshakes_failed_total", |count| count == 2.0).await;
    assert_eq!(fleet.viewer(0).get("a.example/a").await.text(), "behind TLS");
}

#[tokio::test]
async fn http2_refuses_what_http1_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |_| {}).await;
    let mut http2 = http2(&fleet, &certificate).await;
    let mut other = get("/a");
    other.headers_mut().insert("host", "b.example".parse().unwrap());
    let mut agrees = get("/a");
    agrees.headers_mut().insert("host", "A.example".parse().unwrap());
    let long = get(&format!("/{}", "x".repeat(8_192)));
    let unknown = Request::builder().uri("https://b.example/a").body(Empty::new()).unwrap();
    for (request, status) in [(other, 400), (agrees, 200), (long, 414), (unknown, 404), (get("/a"), 200)] {
        assert_eq!(http2.send_request(request).await.unwrap().status(), status);
    }
    // More fields than a head may have: this request fails, the POP does not.
    let mut heavy = get("/a");
    for number in 0..30 {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        heavy.headers_mut().insert(name, "x".repeat(4_096).parse().unwrap());
    }
    match http2.send_request(heavy).await {
        Ok(answer) => assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(error) => assert!(!error.is_timeout(), "{error}"),
    }
    assert_eq!(fleet.viewer(0).get("a.example/a").await.both(), ("HIT", "behind TLS"));
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `:method: GET`, `:scheme: https`, `:path: /a`, `:authority: a.example`.
const HEADERS: &[u8] = b"\x82\x87\x44\x02/a\x41\x09a.example";

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |_| {}).await;
    let config = trusting(&[certificate], &["h2"]);
    let mut viewer = Raw::over(connect(&fleet, &config, A).await.unwrap());
    let mut flood = PREFACE.to_vec();
    flood.extend(frame(4, 0, 0, &[]));
    for number in 0..2_000 {
        let stream = 2 * number + 1;
        flood.extend(frame(1, 0x5, stream, HEADERS));
        flood.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    viewer.send(flood).await;
    let said = viewer.rest().await;
    // GOAWAY with ENHANCE_YOUR_CALM.
    assert!(said.windows(4).any(|code| code == 0xb_u32.to_be_bytes()), "{} bytes", said.len());
    let answered = fleet.viewer(0).get("a.example/a").await;
    assert_eq!(answered.text(), "behind TLS");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |config| config.viewer_head_ms_max = 1_500).await;
    let config = trusting(&[certificate], &["h2"]);
    let mut silent = Raw::over(connect(&fleet, &config, A).await.unwrap());
    silent.rest().await;
    let mut idle = Raw::over(connect(&fleet, &config, A).await.unwrap());
    let mut request = PREFACE.to_vec();
    request.extend(frame(4, 0, 0, &[]));
    request.extend(frame(1, 0x5, 1, HEADERS));
    idle.send(request).await;
    let said = idle.rest().await;
    assert!(said.windows(10).any(|text| text == b"behind TLS"), "answered before it was let go");
}

#[tokio::test]
async fn a_viewer_who_opens_no_window_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |config| {
        config.viewer_silence_ms_max = 1_500;
        config.origin_head_ms_max = 1_500;
        config.origin_silence_ms_max = 1_500;
    })
    .await;
    fleet.origin.set("/a", Page::new(vec![b'x'; 1 << 20]));
    let config = trusting(&[certificate], &["h2"]);
    let mut viewer = Raw::over(connect(&fleet, &config, A).await.unwrap());
    let mut request = PREFACE.to_vec();
    request.extend(frame(4, 0, 0, &[]));
    request.extend(frame(1, 0x5, 1, HEADERS));
    viewer.send(request).await;
    let said = viewer.rest().await.len();
    assert!((65_535..80_000).contains(&said), "{said} bytes came through a window of 65,535");
}

/// One stream ends by itself, and its connection goes on. One that cannot, as it waits for its head, takes it along.
#[tokio::test]
async fn a_purge_that_cuts_ends_a_stream_and_if_need_be_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write(folder.path(), "a", &[A]);
    let fleet = behind_tls(&folder, |_| {}).await;
    fleet.origin.set("/film", Page::new(vec![b'x'; 8 << 20]));
    let purge = async || {
        let request = SubmitRequest {
            kind: TaskKind::Url,
            force: false,
            soft: false,
            area: None,
            domains: Vec::new(),
            lines: vec![format!("https://{A}/film")],
            scheme: Scheme::Required,
            follow: None,
        };
        let terms = Terms { cut: true, ..Terms::default() };
        let accepted = fleet.control.submit_on(ACCOUNT, request, terms).await.unwrap();
        let task = fleet.ended(accepted.submitted.task).await;
        Duration::from_millis((task.ended_ms.unwrap() - task.submitted_ms).unsigned_abs())
    };
    let mut viewer = http2(&fleet, &certificate).await;
    let held = fleet.origin.hold("/film");
    let asked = viewer.send_request(get("/film"));
    let rest = held.await.unwrap().answer_part(100_000);
    let mut film = asked.await.unwrap().into_body();
    let mut taken = 0;
    while taken < 100_000 {
        taken += film.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    purge().await;
    assert!(film.frame().await.unwrap().is_err());
    drop(rest);
    assert_eq!(text(viewer.send_request(get("/a")).await.unwrap()).await, "behind TLS");

    let held = fleet.origin.hold("/film");
    let asked = viewer.send_request(get("/film"));
    let held = held.await.unwrap();
    // It is given time to end by itself, and nothing is confirmed before it has.
    let took = purge().await;
    assert!(took >= Duration::from_millis(95), "confirmed after {took:?}");
    assert!(asked.await.is_err());
    drop(held);
    assert!(viewer.ready().await.is_err() || viewer.send_request(get("/a")).await.is_err());
}
