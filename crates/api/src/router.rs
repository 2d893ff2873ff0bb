//! The paths of control's listener, but for the console's.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use freshen_control::Control;
use tokio_util::sync::CancellationToken;

use crate::body::Bodies;
use crate::gate::Gate;
use crate::{health, v1, vendor};

/// Writes all metrics of the process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What every request needs.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) control: Arc<Control>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) bodies: Arc<Bodies>,
    /// Ends long polls.
    pub(crate) stop: CancellationToken,
}

/// The vendor's API on `/`, Freshen's own on `/v1/`, health on `/-/`; what is none of these is the vendor's to refuse.
///
/// What went through is kept in the folder `data`, so that it does not go through again after a restart. Answers that wait
/// for a change end once `stop` is cancelled.
pub fn router(
    control: Arc<Control>,
    data: &Path,
    render: RenderMetrics,
    stop: CancellationToken,
) -> io::Result<Router> {
    control.tell_media_by(Arc::new(vendor::Teller));
    let gate = Arc::new(Gate::open(control.clone(), data)?);
    let api = Api { control, gate, bodies: Arc::new(Bodies::new()), stop };
    Ok(Router::new()
        .route("/", any(vendor::serve))
        .merge(health::routes(render).method_not_allowed_fallback(vendor::serve))
        .merge(v1::routes())
        .fallback(vendor::serve)
        .with_state(api))
}
