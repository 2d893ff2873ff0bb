//! Logs to standard error, metrics to whoever asks.

use metrics_exporter_prometheus::PrometheusBuilder;
use std::sync::Arc;

/// Writes all metrics of the process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Starts logging (`RUST_LOG` chooses what, warnings and the start by default) and counting.
pub fn start() -> anyhow::Result<RenderMetrics> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let handle = PrometheusBuilder::new().install_recorder()?;
    Ok(Arc::new(move || {
        handle.run_upkeep();
        handle.render()
    }))
}
