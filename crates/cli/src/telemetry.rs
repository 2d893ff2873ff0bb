//! Logs to standard error, metrics to whoever asks.

use metrics_exporter_prometheus::PrometheusBuilder;
use std::sync::Arc;

/// Writes all metrics of the process as Prometheus text.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Starts logging (`RUST_LOG` chooses what; by default warnings, and what Freshen itself reports) and counting.
pub fn start() -> anyhow::Result<RenderMetrics> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(
            "warn,freshen=info,freshen_control=info,freshen_pop=info,freshen_fleet=info",
        )
    });
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let handle = PrometheusBuilder::new().install_recorder()?;
    Ok(Arc::new(move || {
        handle.run_upkeep();
        handle.render()
    }))
}
