//! The roles of a process: control, POP, or both.

pub mod control;
pub mod pop;
pub mod serve;

use anyhow::Context;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;

/// Binds a listener; an error says what it was for.
pub async fn listen(address: &str, what: &str) -> anyhow::Result<TcpListener> {
    let resolved: SocketAddr = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("{what}: {address:?} is no address:port"))?
        .next()
        .with_context(|| format!("{what}: {address:?} has no address"))?;
    let socket = if resolved.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted part takes its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(resolved).with_context(|| format!("{what}: cannot listen at {address}"))?;
    Ok(socket.listen(BACKLOG)?)
}

/// Resolves once the process is asked to stop (SIGTERM, SIGINT); made before anything is served.
pub fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = stop.send(true);
    });
    Ok(stopped)
}

/// Waits for the stop.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    // A closed channel is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}
