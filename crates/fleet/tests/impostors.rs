//! Who answers in control's place, and what a POP tells them: its secret to control, nothing to anybody else.
#![allow(clippy::unwrap_used, reason = "tests")]

use freshen_fleet::wire::Receipts;
use freshen_fleet::{HttpLink, Link, LinkError};
use freshen_model::ids::DataId;
use freshen_model::receipt::{Digest, SigningKey};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use sha2::Digest as _;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const SECRET: &str = "hush-hush";

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

fn signing(key: &KeyPair) -> Arc<dyn rustls::sign::SigningKey> {
    let der = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    rustls::crypto::ring::sign::any_supported_type(&der).unwrap()
}

/// Shows a raw public key and signs with a private one, which need not be its own.
fn raw(shown: &KeyPair, signs: &KeyPair) -> Arc<dyn ResolvesServerCert> {
    let shown = CertificateDer::from(shown.subject_public_key_info());
    let key = CertifiedKey::new(vec![shown], signing(signs));
    Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(key)))
}

/// Shows a certificate for a key.
fn certified(key: &KeyPair) -> Arc<dyn ResolvesServerCert> {
    let certificate =
        CertificateParams::new(vec!["control.example".into()]).unwrap().self_signed(key).unwrap();
    let key = CertifiedKey::new(vec![certificate.der().clone()], signing(key));
    Arc::new(rustls::sign::SingleCertAndKey::from(key))
}

/// Takes one connection; gives where, and all that it was told there under whatever TLS it is.
async fn answering(
    tls: Option<(Arc<dyn ResolvesServerCert>, &'static SupportedProtocolVersion)>,
) -> (String, JoinHandle<Vec<u8>>) {
    let tls = tls.map(|(shown, version)| {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring).with_protocol_versions(&[version]).unwrap();
        TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_cert_resolver(shown)))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        match tls {
            None => listen(socket).await,
            Some(tls) => match tls.accept(socket).await {
                Ok(socket) => listen(socket).await,
                Err(_) => Vec::new(),
            },
        }
    });
    (address, told)
}

/// Answers what comes first with success, and hears the rest.
async fn listen(mut socket: impl AsyncRead + AsyncWrite + Unpin) -> Vec<u8> {
    let mut told = vec![0; 65_536];
    let count = socket.read(&mut told).await.unwrap_or(0);
    told.truncate(count);
    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let _ = socket.shutdown().await;
    let _ = socket.read_to_end(&mut told).await;
    told
}

/// What comes of a call, and whether the secret was heard.
async fn call(
    pin: Option<&KeyPair>,
    tls: Option<(Arc<dyn ResolvesServerCert>, &'static SupportedProtocolVersion)>,
) -> (Result<(), LinkError>, bool) {
    let (address, told) = answering(tls).await;
    let pin = pin.map(|key| Digest(sha2::Sha256::digest(key.subject_public_key_info()).into()));
    let token = pin.map_or(SECRET.to_owned(), |pin| format!("{SECRET}.{pin}"));
    let link = HttpLink::new(address, &token).unwrap();
    let key = SigningKey::from_seed(&[1; 32]).public();
    let nothing =
        Receipts { pop: "pop-1".parse().unwrap(), data: DataId([1; 16]), key, statements: Vec::new() };
    let outcome = link.receipts(&nothing).await;
    drop(link);
    let told = told.await.unwrap();
    (outcome, told.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()))
}

#[tokio::test]
async fn the_secret_is_told_to_who_has_the_pinned_key_and_to_nobody_else() {
    let (control, other) = (key(), key());
    let web = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let tls13 = &version::TLS13;
    let (outcome, heard) = call(Some(&control), Some((raw(&control, &control), tls13))).await;
    assert!(outcome.is_ok() && heard, "{outcome:?}");
    for (who, tls, said) in [
        ("another key", Some((raw(&other, &other), tls13)), "it shows the key with the pin"),
        ("control's public key without its private one", Some((raw(&control, &other), tls13)), "signature"),
        ("a certificate of its own", Some((certified(&other), tls13)), ""),
        ("a certificate for control's own key, in another shape", Some((certified(&control), tls13)), ""),
        ("TLS of before", Some((certified(&web), &version::TLS12)), ""),
        ("no TLS at all", None, ""),
    ] {
        let (outcome, heard) = call(Some(&control), tls).await;
        assert!(!heard, "{who} heard the secret");
        let Err(error @ LinkError::Stranger { .. }) = outcome else { panic!("{who}: {outcome:?}") };
        let text = error.to_string().to_lowercase();
        assert!(text.contains(said) && text.contains("freshen pop list"), "{who}: {text}");
    }
}

#[tokio::test]
async fn a_token_of_before_goes_in_the_clear() {
    let (outcome, heard) = call(None, None).await;
    assert!(outcome.is_ok() && heard, "{outcome:?}");
}

#[test]
fn a_token_with_something_else_behind_its_dot_is_no_token() {
    let error = HttpLink::new("127.0.0.1:1".into(), "hush-hush.123").err().unwrap();
    assert!(error.contains("64 hexadecimal digits") && !error.contains("hush"), "{error}");
}
