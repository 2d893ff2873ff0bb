//! The admin listener: health and metrics.

use crate::Pop;
use crate::clock;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Writes all metrics of the process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

impl Pop {
    /// Serves the admin listener until the process stops.
    pub async fn serve_admin(self: Arc<Pop>, listener: TcpListener, render: RenderMetrics) {
        loop {
            let Ok((socket, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (pop, render) = (self.clone(), render.clone());
            let service = service_fn(move |request| {
                let answer = pop.admin(&request, &render);
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(10))
                    .serve_connection(TokioIo::new(socket), service),
            );
        }
    }

    fn admin(&self, request: &Request<Incoming>, render: &RenderMetrics) -> Response<Full<Bytes>> {
        let (status, text) = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/-/healthy") => (StatusCode::OK, "healthy\n".to_owned()),
            (&Method::GET | &Method::HEAD, "/-/ready") => match self.readiness() {
                Ok(text) => (StatusCode::OK, text),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
            },
            (&Method::GET | &Method::HEAD, "/-/metrics") => {
                self.refresh_gauges();
                (StatusCode::OK, render())
            }
            _ => (StatusCode::NOT_FOUND, "here are /-/healthy, /-/ready and /-/metrics\n".to_owned()),
        };
        let mut response = Response::new(Full::new(text.into()));
        *response.status_mut() = status;
        let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }

    /// Ready: a member, caught up, with a lease.
    fn readiness(&self) -> Result<String, String> {
        let view = self.follower.read().view(clock::now());
        match (view.member, view.leased) {
            (false, _) => Err("not ready: has not applied its join order yet\n".into()),
            (true, false) => Err(format!("not ready: no lease (watermark {})\n", view.seq)),
            (true, true) => Ok(format!("ready (watermark {})\n", view.seq)),
        }
    }

    fn refresh_gauges(&self) {
        let (view, rules) = {
            let follower = self.follower.read();
            (follower.view(clock::now()), follower.rules_live())
        };
        self.metrics.watermark.set(view.seq.0 as f64);
        self.metrics.leased.set(if view.leased { 1.0 } else { 0.0 });
        self.metrics.rules.set(rules as f64);
        self.metrics.disk_bytes.set(self.store.disk_bytes() as f64);
        self.metrics.memory_bytes.set(self.store.memory_bytes() as f64);
    }
}
