//! The listener of control: HTTP/1.1 over TCP, within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

mod head;

use head::{Besides, Heads};

pub(crate) use head::{Beside, Unfit};

/// Connections at one time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// What the library buffers of a head, in bytes; nothing longer reaches it.
const BUFFER_BYTES_MAX: usize = 2 * head::FIELDS_BYTES_MAX;
/// Heads over 64 KiB at one time. They are read before anybody knows who sent them.
const LONG_HEADS_MAX: usize = 64;
/// How long answers under way may take once the process is asked to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Rest after an accept that failed, most likely for want of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Serves `router` until `stop` is cancelled; then lets answers under way end.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let long_heads = Arc::new(Semaphore::new(LONG_HEADS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let _ = socket.set_nodelay(true);
        let besides = Besides::default();
        let socket = Heads::new(socket, besides.clone(), long_heads.clone());
        let service = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            // The library asks once for each head, in their order.
            let beside = besides.lock().pop_front().unwrap_or_default();
            request.extensions_mut().insert(beside);
            request.extensions_mut().insert(ConnectInfo(peer));
            service.call(request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(socket), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await.is_err() {
        warn!("answers under way were cut off at the stop");
    }
}
