use super::*;
use std::future::Future;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

fn outbound(allow: &[&str]) -> Outbound {
    let allow = allow.iter().map(|network| network.parse().unwrap()).collect();
    Outbound::new(&Config { allow, ..Config::default() }).unwrap()
}

async fn post(outbound: &Outbound, url: &str) -> Result<Answer, OutboundError> {
    post_within(outbound, url, Duration::from_secs(10)).await
}

async fn post_within(outbound: &Outbound, url: &str, time: Duration) -> Result<Answer, OutboundError> {
    outbound.post(url, HeaderMap::new(), "{}".into(), time, 100).await
}

async fn refused(outbound: &Outbound, url: &str) -> String {
    match post(outbound, url).await {
        Ok(answer) => panic!("{url} answered {}", answer.status),
        Err(error) => error.to_string(),
    }
}

/// Somebody who answers one request with these bytes and then says nothing more; gives what was asked.
async fn receiver(answer: impl Into<Vec<u8>>) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, answer) = (listener.local_addr().unwrap().port(), answer.into());
    let receiving = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = asked(&mut stream).await;
        stream.write_all(&answer).await.unwrap();
        stream.flush().await.unwrap();
        // Until the caller has had enough.
        let _ = stream.read(&mut [0]).await;
        asked
    };
    (port, tokio::spawn(receiving))
}

/// A request whose body is `{}`.
async fn asked(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n{}") {
        assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0, "{}", String::from_utf8_lossy(&asked));
    }
    String::from_utf8(asked).unwrap()
}

#[tokio::test]
async fn what_is_special_is_not_called_whatever_it_is_written_as() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let outbound = outbound(&[]);
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
    ] {
        let why = refused(&outbound, &format!("http://{host}:{port}/")).await;
        assert!(why.contains("is not called unless"), "{host}: {why}");
    }
    for url in ["http://169.254.169.254/latest/meta-data", "https://10.0.0.1/", "http://[fd00::1]/"] {
        assert!(refused(&outbound, url).await.contains("is not called unless"), "{url}");
    }
    tokio::select! {
        biased;
        _ = listener.accept() => panic!("it was called"),
        () = std::future::ready(()) => {}
    }
    // What is allowed is, and that alone.
    let outbound = self::outbound(&["127.0.0.1"]);
    let (port, receiving) = receiver("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let answer = post(&outbound, &format!("http://localhost:{port}/x?y=1")).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"hi"[..]));
    drop(answer);
    let asked = receiving.await.unwrap();
    assert!(asked.starts_with("POST /x?y=1 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: localhost:{port}\r\n")), "{asked}");
    assert!(refused(&outbound, "http://127.0.0.2/").await.contains("is not called unless"));
}

#[test]
fn the_machines_own_addresses_are_told_from_others() {
    assert!(is_own("127.0.0.1".parse().unwrap()));
    assert!(!is_own("8.8.8.8".parse().unwrap()));
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let outbound = outbound(&["127.0.0.0/8"]);
    for url in ["", "a.example", "/x", "ftp://a.example/", "http://a@127.0.0.1/", "http://127.0.0.1:99999/"] {
        assert!(refused(&outbound, url).await.contains("is no address that can be called"), "{url}");
    }
}

#[tokio::test]
async fn redirects_are_answers_and_nothing_is_asked_where_they_lead() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = elsewhere.local_addr().unwrap();
    let answer = format!("HTTP/1.1 307 Go\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n");
    let (port, _receiving) = receiver(answer).await;
    let answer = post(&outbound(&["127.0.0.1"]), &format!("http://127.0.0.1:{port}/")).await.unwrap();
    assert_eq!(answer.status.as_u16(), 307);
    tokio::select! {
        biased;
        _ = elsewhere.accept() => panic!("the redirect was followed"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn answers_that_do_not_end_end() {
    let outbound = outbound(&["127.0.0.1"]);
    let (patient, hasty) = (Duration::from_secs(10), Duration::from_millis(200));
    let long_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX));
    let long_body = format!("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n{}", "x".repeat(101));
    let unmeasured =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{}", "x".repeat(255));
    for (answer, time, why) in [
        ("", hasty, "no answer within 200ms"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", hasty, "no answer within 200ms"),
        ("nonsense\r\n\r\n", patient, "did not answer"),
        (&long_head, patient, "did not answer"),
        (&long_body, patient, "longer than 100 bytes"),
        (&unmeasured, patient, "longer than 100 bytes"),
    ] {
        let (port, _receiving) = receiver(answer).await;
        let said = post_within(&outbound, &format!("http://127.0.0.1:{port}/"), time).await;
        let said = said.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(why), "{said}, not {why}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(refused(&outbound, &format!("http://{nobody}/")).await.contains("is not reached"));
}

#[tokio::test]
async fn by_tls_the_receiver_must_be_who_he_says() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            asked(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    };
    let allow = vec!["127.0.0.1".parse().unwrap()];
    let config = Config { allow, ca_file: Some(ca_file.clone()), ..Config::default() };
    let trusting = Outbound::new(&config).unwrap();
    let calling = async {
        let answer = post(&trusting, &format!("https://localhost:{port}/")).await.unwrap();
        assert_eq!(answer.status.as_u16(), 204);
        let other_name = refused(&trusting, &format!("https://127.0.0.1:{port}/")).await;
        assert!(other_name.starts_with("TLS: "), "{other_name}");
        let stranger = refused(&outbound(&["127.0.0.1"]), &format!("https://localhost:{port}/")).await;
        assert!(stranger.starts_with("TLS: "), "{stranger}");
    };
    before(serving, calling).await;
    std::fs::write(&ca_file, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n").unwrap();
    assert!(Outbound::new(&config).is_err_and(|why| why.contains("ca.pem")));
}

/// Runs what never ends until the other has ended.
async fn before(endless: impl Future<Output = ()>, ending: impl Future<Output = ()>) {
    tokio::select! {
        () = endless => unreachable!("it never ends"),
        () = ending => {}
    }
}
