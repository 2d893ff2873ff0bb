//! The POP process.

use super::{listen, stop_signal, stopped};
use crate::config_file;
use crate::telemetry::{self, RenderMetrics};
use freshen_pop::{Config, Listeners, Pop};
use std::path::PathBuf;
use tokio::sync::watch;

/// Runs a POP until it is asked to stop.
pub async fn run(path: PathBuf) -> anyhow::Result<()> {
    let render = telemetry::start()?;
    let mut config: Config = config_file::read(&path)?;
    config.data = config_file::beside(&path, &config.data);
    serve(config, render, stop_signal()?).await
}

/// Serves viewers until `stop`.
pub async fn serve(config: Config, render: RenderMetrics, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let listeners = Listeners {
        viewers: listen(&config.listen, "the viewers' listener (listen)").await?,
        admin: listen(&config.admin_listen, "the admin listener (admin_listen)").await?,
    };
    tracing::info!(id = %config.id, listen = %config.listen, "POP runs");
    let pop = tokio::task::spawn_blocking(move || Pop::open(config)).await??;
    pop.run(listeners, render, stopped(stop)).await.map_err(anyhow::Error::msg)
}
