//! The viewers' side: listeners, plain and TLS, and what is spoken there: HTTP/1.1, and HTTP/2 behind TLS.

mod certificates;
mod connection;
mod cuts;
mod exchange;
mod handed;
mod socket;

pub use certificates::Certificates;
pub use connection::Protocols;
pub use cuts::{Claim, Cuts};
pub use exchange::{Interim, Viewing};
pub use handed::Handed;

use crate::Pop;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;

/// How long answers under way may take once the process is asked to stop.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How long to wait for descriptors to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Pop {
    /// Serves viewers until `stop` resolves; then lets answers under way end.
    pub async fn serve_viewers(
        self: Arc<Pop>,
        plain: TcpListener,
        tls: Option<(TcpListener, TlsAcceptor)>,
        stop: impl Future<Output = ()>,
    ) {
        let places = Arc::new(Semaphore::new(self.config.connections_max));
        let protocols = Arc::new(Protocols::new(&self.config, self.cuts.clone()));
        let (stopping, stopped) = watch::channel(false);
        tokio::pin!(stop);
        loop {
            // A place first: connections over the limit wait in the kernel's queue.
            let place = tokio::select! {
                () = &mut stop => break,
                place = places.clone().acquire_owned() => place,
            };
            let Ok(place) = place else { break };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = plain.accept() => accepted.map(|(socket, _)| (socket, None)),
                accepted = accept_tls(tls.as_ref()) => accepted.map(|(socket, tls)| (socket, Some(tls))),
            };
            let (socket, tls) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let _ = socket.set_nodelay(true);
            tokio::spawn(self.clone().welcome(socket, tls, protocols.clone(), stopped.clone(), place));
        }
        drop((plain, tls, stopped));
        let _ = stopping.send(true);
        if tokio::time::timeout(DRAIN_MAX, stopping.closed()).await.is_err() {
            tracing::warn!("answers under way were cut off at the stop");
        }
    }

    /// One connection, from its handshake to its end; its place is free again afterwards.
    async fn welcome(
        self: Arc<Pop>,
        socket: TcpStream,
        tls: Option<TlsAcceptor>,
        protocols: Arc<Protocols>,
        stop: watch::Receiver<bool>,
        _place: OwnedSemaphorePermit,
    ) {
        let pop = self.clone();
        let secure = tls.is_some();
        let answer = move |request, viewing| pop.clone().answer(request, viewing, secure);
        let Some(tls) = tls else { return protocols.serve_http1(socket, answer, stop).await };
        let socket = match tokio::time::timeout(protocols.patience().head, tls.accept(socket)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                self.metrics.handshakes_failed.increment(1);
                tracing::debug!(%error, "a TLS handshake failed");
                return;
            }
            Err(_) => {
                self.metrics.handshakes_failed.increment(1);
                tracing::debug!("a TLS handshake took too long");
                return;
            }
        };
        match socket.get_ref().1.alpn_protocol() {
            Some(b"h2") => protocols.serve_http2(socket, answer, stop).await,
            _ => protocols.serve_http1(socket, answer, stop).await,
        }
    }

    /// The TLS listener with what it shows; the certificates are kept up to date as long as `beside` runs.
    pub(crate) fn begin_tls(
        self: &Arc<Pop>,
        listener: TcpListener,
        beside: &mut tokio::task::JoinSet<()>,
    ) -> Result<(TcpListener, TlsAcceptor), String> {
        let certificates =
            self.certificates.clone().ok_or("a TLS listener, but no tls_listen in the configuration")?;
        let config = certificates.server_config()?;
        beside.spawn(self.clone().keep_certificates(certificates));
        Ok((listener, TlsAcceptor::from(Arc::new(config))))
    }

    /// Reads certificates anew when their files have changed, or at SIGHUP.
    async fn keep_certificates(self: Arc<Pop>, certificates: Arc<Certificates>) {
        let mut looks = tokio::time::interval(Duration::from_millis(self.config.certificates_check_ms));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hangup = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::warn!(%error, "SIGHUP is not heard"))
            .ok();
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = heard(&mut hangup) => {}
            }
            let reading = certificates.clone();
            let Ok(errors) = tokio::task::spawn_blocking(move || reading.read_anew()).await else { return };
            for error in errors {
                self.metrics.certificate_errors.increment(1);
                tracing::warn!(error, "the certificate of before stays in use");
            }
        }
    }
}

async fn accept_tls(tls: Option<&(TcpListener, TlsAcceptor)>) -> io::Result<(TcpStream, TlsAcceptor)> {
    match tls {
        Some((listener, acceptor)) => Ok((listener.accept().await?.0, acceptor.clone())),
        None => std::future::pending().await,
    }
}

async fn heard(signal: &mut Option<tokio::signal::unix::Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}
