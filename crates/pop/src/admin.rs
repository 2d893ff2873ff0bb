//! The admin listener: health and metrics, and purges by the method PURGE where somebody answers them.

use crate::Pop;
use crate::clock;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at one time; more wait.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Writes all metrics of the process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers a request with the method PURGE from this address; its body is not read.
pub type AnswerPurge =
    Arc<dyn Fn(Parts, IpAddr) -> Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>> + Send + Sync>;

const NO_PURGE: &str = "this POP has no access key to purge with; give it one ([purge_method] in its configuration), or ask \
    control: freshen purge\n";

/// What the admin listener has beside the POP's own health.
#[derive(Clone)]
pub struct Beside {
    /// The process's metrics.
    pub render: RenderMetrics,
    /// Who answers PURGE; refused without. A POP purges nothing by itself: control does.
    pub purge: Option<AnswerPurge>,
}

impl Pop {
    /// Serves the admin listener until the process stops.
    pub async fn serve_admin(self: Arc<Pop>, listener: TcpListener, beside: Beside) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok((socket, from)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (pop, beside) = (self.clone(), beside.clone());
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let (pop, beside) = (pop.clone(), beside.clone());
                    async move { Ok::<_, Infallible>(pop.admin(request, from.ip(), &beside).await) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(Duration::from_secs(10))
                    .max_buf_size(HEAD_BYTES_MAX)
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
                drop(place);
            });
        }
    }

    async fn admin(
        &self,
        request: Request<Incoming>,
        from: IpAddr,
        beside: &Beside,
    ) -> Response<Full<Bytes>> {
        let asked = matches!(*request.method(), Method::GET | Method::HEAD);
        let (status, text) = match request.uri().path() {
            _ if request.method().as_str() == "PURGE" => match &beside.purge {
                Some(answer) => return answer(request.into_parts().0, from).await,
                None => (StatusCode::NOT_IMPLEMENTED, NO_PURGE.to_owned()),
            },
            _ if !asked => (StatusCode::METHOD_NOT_ALLOWED, "here are GET, HEAD and PURGE\n".to_owned()),
            "/-/healthy" => (StatusCode::OK, "healthy\n".to_owned()),
            "/-/ready" => match self.readiness() {
                Ok(text) => (StatusCode::OK, text),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
            },
            "/-/metrics" => {
                self.refresh_gauges();
                (StatusCode::OK, (beside.render)())
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
        self.metrics.peers.set(self.neighbours.askable() as f64);
        self.metrics.disk_bytes.set(self.store.disk_bytes() as f64);
        self.metrics.memory_bytes.set(self.store.memory_bytes() as f64);
    }
}
