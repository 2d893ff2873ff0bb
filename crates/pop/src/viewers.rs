//! The viewers' listener: HTTP/1.1 with keep-alive.

use crate::Pop;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How long answers under way may take once the process is asked to stop.
const DRAIN_MAX: Duration = Duration::from_secs(20);

impl Pop {
    /// Serves viewers until `stop` resolves; then lets answers under way end.
    pub async fn serve_viewers(self: Arc<Pop>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(self.config.connections_max));
        let graceful = GracefulShutdown::new();
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
                accepted = listener.accept() => accepted,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Out of descriptors, most likely: wait for some to come back.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let _ = socket.set_nodelay(true);
            let pop = self.clone();
            let service = service_fn(move |request| {
                let pop = pop.clone();
                async move { Ok::<_, Infallible>(pop.serve(request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_millis(self.config.viewer_head_ms_max))
                .max_buf_size(self.config.head_bytes_max)
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(socket), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a viewer's connection ended");
                }
                drop(place);
            });
        }
        drop(listener);
        if tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await.is_err() {
            tracing::warn!("answers under way were cut off at the stop");
        }
    }
}
