//! Certificates that control hands out: what viewers are shown at each POP.

use crate::bucket::files_with;
use crate::installation::{ACCOUNT, DOMAIN, Installation, Plan, free_port, in_the_clear};
use crate::origin::Page;
use crate::raw::Raw;
use crate::tls_viewers::trusting;
use freshen_control::NewServerCertificate;
use freshen_pop::config::Token;
use rustls::pki_types::{CertificateDer, ServerName};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for names, and what viewers trust who are to be shown it.
struct Made {
    der: CertificateDer<'static>,
    pem: NewServerCertificate,
}

fn made(names: &[&str]) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = made.signing_key.serialize_pem();
    Made {
        der: made.cert.der().clone(),
        pem: NewServerCertificate { title: None, chain: made.cert.pem(), key },
    }
}

/// POPs with a TLS listener each, and nothing to show there but what control hands out.
async fn behind_tls(pops: usize, change: impl Fn(&mut freshen_pop::Config) + 'static) -> Installation {
    let pop = move |config: &mut freshen_pop::Config| {
        config.tls_listen = Some(format!("127.0.0.1:{}", free_port()));
        change(config);
    };
    let fleet = Installation::start(Plan { pops, pop: Box::new(pop), ..Plan::default() }).await;
    fleet.origin.set("/a", Page::new("behind TLS"));
    fleet
}

async fn set(fleet: &Installation, made: &Made) {
    fleet.control.set_server_certificate(Some(ACCOUNT), DOMAIN, made.pem.clone()).await.unwrap();
}

async fn connect(
    fleet: &Installation,
    pop: usize,
    trusted: &[&Made],
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let trusted: Vec<_> = trusted.iter().map(|made| made.der.clone()).collect();
    let socket = TcpStream::connect(fleet.pops[pop].tls_address()).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(trusting(&trusted, &["http/1.1"])).connect(name, socket).await
}

/// What a viewer is shown who trusts these.
async fn shown(
    fleet: &Installation,
    pop: usize,
    trusted: &[&Made],
    name: &str,
) -> Option<CertificateDer<'static>> {
    let socket = connect(fleet, pop, trusted, name).await.ok()?;
    Some(socket.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
}

/// Waits until the POP shows that, or nothing.
async fn shows(fleet: &Installation, pop: usize, trusted: &[&Made], wanted: Option<&Made>) {
    let asking = async {
        // Each question is a handshake with another process, which tells nothing unasked.
        while shown(fleet, pop, trusted, DOMAIN).await != wanted.map(|made| made.der.clone()) {}
    };
    if tokio::time::timeout(Duration::from_secs(15), asking).await.is_err() {
        panic!("POP {pop} does not show it; its log:\n{}", fleet.pops[pop].log());
    }
}

#[tokio::test]
async fn it_reaches_every_pop_is_replaced_and_taken_back() {
    let fleet = behind_tls(3, |_| {}).await;
    let (one, two) = (made(&[DOMAIN, "b.example"]), made(&[DOMAIN]));
    let trusted = [&one, &two];
    for pop in 0..3 {
        assert_eq!(shown(&fleet, pop, &trusted, DOMAIN).await, None);
    }
    set(&fleet, &one).await;
    for pop in 0..3 {
        shows(&fleet, pop, &trusted, Some(&one)).await;
        // Another's domain is none of its business, whatever it names.
        assert_eq!(shown(&fleet, pop, &trusted, "b.example").await, None);
        assert_eq!(fleet.pops[pop].metric("freshen_pop_certificates").await, 1.0);
    }
    let mut open = Raw::over(connect(&fleet, 0, &trusted, DOMAIN).await.unwrap());
    set(&fleet, &two).await;
    for pop in 0..3 {
        shows(&fleet, pop, &trusted, Some(&two)).await;
    }
    open.send("GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(open.answer().await.unwrap().text(), "behind TLS", "who is there stays");
    fleet.control.remove_server_certificate(Some(ACCOUNT), DOMAIN).await.unwrap();
    for pop in 0..3 {
        shows(&fleet, pop, &trusted, None).await;
    }
    assert_eq!(
        files_with(&fleet.pops[0].folder().join("certificates"), b"{").1,
        0,
        "nothing is left on disk"
    );
}

#[tokio::test]
async fn a_pop_that_starts_while_control_is_away_shows_it_and_its_key_lies_open_nowhere() {
    let mut fleet = behind_tls(1, |_| {}).await;
    let (one, two) = (made(&[DOMAIN]), made(&[DOMAIN]));
    set(&fleet, &one).await;
    shows(&fleet, 0, &[&one], Some(&one)).await;
    fleet.cut_off_control().await;
    fleet.pops[0].kill();
    fleet.pops[0].start();
    shows(&fleet, 0, &[&one, &two], Some(&one)).await;
    let secret = one.pem.key.lines().nth(1).unwrap().as_bytes();
    let read = files_with(fleet.folder.path(), secret);
    assert!(read.0.is_empty() && read.1 > 5, "{read:?}");
    // What it missed it learns when control is back.
    set(&fleet, &two).await;
    fleet.restore_control().await;
    shows(&fleet, 0, &[&one, &two], Some(&two)).await;
}

#[tokio::test]
async fn it_goes_before_a_file_which_is_shown_again_when_it_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (file, handed) = (made(&[DOMAIN]), made(&[DOMAIN]));
    std::fs::write(folder.path().join("a.crt"), &file.pem.chain).unwrap();
    std::fs::write(folder.path().join("a.key"), &file.pem.key).unwrap();
    let path = folder.path().to_owned();
    let fleet = behind_tls(1, move |config| config.certificate_dir = Some(path.clone())).await;
    let trusted = [&file, &handed];
    shows(&fleet, 0, &trusted, Some(&file)).await;
    set(&fleet, &handed).await;
    shows(&fleet, 0, &trusted, Some(&handed)).await;
    fleet.control.remove_domain(Some(ACCOUNT), DOMAIN).await.unwrap();
    shows(&fleet, 0, &trusted, Some(&file)).await;
}

#[tokio::test]
async fn a_pop_whose_line_is_in_the_clear_gets_no_key_and_says_so() {
    let mut fleet = behind_tls(2, |config| {
        if config.id.as_str() == "pop-2" {
            config.token = Token(in_the_clear(&config.token.0));
        }
    })
    .await;
    let one = made(&[DOMAIN]);
    set(&fleet, &one).await;
    shows(&fleet, 0, &[&one], Some(&one)).await;
    fleet.pops[1].metric_when("freshen_pop_certificates_missing", |missing| missing == 1.0).await;
    assert!(fleet.pops[1].log().contains("but not over a line in the clear"), "{}", fleet.pops[1].log());
    assert_eq!(shown(&fleet, 1, &[&one], DOMAIN).await, None);
    fleet.pops[1].kill();
    let pin = fleet.control.line_key().pin();
    fleet.pops[1].configure(|config| config.token = Token(format!("{}.{pin}", config.token.0)));
    fleet.pops[1].start();
    shows(&fleet, 1, &[&one], Some(&one)).await;
}
