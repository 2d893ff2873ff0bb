//! The roles of a process: control, POP, or both.

pub mod control;
pub mod pop;
mod purge_method;
pub mod serve;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
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

/// Lets the process have as many open files and sockets as it may, and warns where those are fewer than it needs.
pub fn raise_descriptors(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    // None is no limit at all.
    if let Some(limit) = getrlimit(Resource::Nofile).current
        && limit < needed
    {
        tracing::warn!(
            limit,
            needed,
            "fewer open files are allowed than the configuration needs; raise the hard limit (ulimit -Hn, LimitNOFILE)"
        );
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_descriptors_are_taken_that_may_be() {
        raise_descriptors(1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
