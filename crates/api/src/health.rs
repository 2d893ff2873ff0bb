//! Health and metrics, for machines that watch this one; signed by nobody.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use freshen_control::Control;
use tracing::warn;

use crate::router::{Api, RenderMetrics};

/// A ledger that takes longer than this for a read is not ready.
const READ_TIME_MAX: Duration = Duration::from_secs(2);

pub(crate) fn routes(render: RenderMetrics) -> Router<Api> {
    let metrics = move || async move { render() };
    Router::new()
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(async |State(api): State<Api>| ready(&api.control).await))
        .route("/-/metrics", get(metrics))
}

/// Ready: a submission would be taken and watched.
async fn ready(control: &Arc<Control>) -> (StatusCode, String) {
    let refuse = |why: String| {
        // The ledger's words are for the operator's log; a stranger learns that it is not ready.
        warn!(%why, "not ready");
        (StatusCode::SERVICE_UNAVAILABLE, "not ready, control's log says why\n".to_owned())
    };
    match tokio::time::timeout(READ_TIME_MAX, control.ready()).await {
        Ok(Ok(())) => (StatusCode::OK, format!("ready (log end {})\n", control.log_end())),
        Ok(Err(why)) => refuse(why.to_string()),
        Err(_) => refuse(format!("the ledger did not answer a read within {READ_TIME_MAX:?}")),
    }
}
