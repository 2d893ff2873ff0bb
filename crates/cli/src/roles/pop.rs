//! The POP process.

use super::purge_method::PurgeMethod;
use super::{listen, raise_descriptors, stop_signal, stopped};
use crate::config_file;
use crate::telemetry::{self, RenderMetrics};
use freshen_pop::admin::Beside;
use freshen_pop::{Config, Listeners, Pop};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// Descriptors for the index, logs, listeners, control and slices that are read.
const DESCRIPTORS_BESIDE: u64 = 1_024;

/// Runs a POP until it is asked to stop.
pub async fn run(path: PathBuf) -> anyhow::Result<()> {
    let render = telemetry::start()?;
    let config = read_config(&path)?;
    serve(config, render, stop_signal()?).await
}

/// Reads a POP's configuration; the paths in it are relative to its file.
pub fn read_config(path: &Path) -> anyhow::Result<Config> {
    let mut config: Config = config_file::read(path)?;
    let files = config.certificates.iter_mut().flat_map(|files| [&mut files.cert_file, &mut files.key_file]);
    for named in files.chain(&mut config.certificate_dir).chain([&mut config.data]) {
        *named = config_file::beside(path, named);
    }
    Ok(config)
}

/// Serves viewers until `stop`.
pub async fn serve(config: Config, render: RenderMetrics, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    // A viewer's connection may have an origin's beside it, and a file.
    raise_descriptors(config.connections_max as u64 + 2 * config.fills_max as u64 + DESCRIPTORS_BESIDE);
    let listeners = Listeners {
        viewers: listen(&config.listen, "the viewers' listener (listen)").await?,
        viewers_tls: match &config.tls_listen {
            Some(address) => Some(listen(address, "the viewers' TLS listener (tls_listen)").await?),
            None => None,
        },
        peers: match &config.peer_listen {
            Some(address) => Some(listen(address, "the listener for other POPs (peer_listen)").await?),
            None => None,
        },
        admin: listen(&config.admin_listen, "the admin listener (admin_listen)").await?,
    };
    let purge = config.purge_method.clone().map(PurgeMethod::new).transpose()?.map(PurgeMethod::hook);
    tracing::info!(id = %config.id, listen = %config.listen, "POP runs");
    let pop = tokio::task::spawn_blocking(move || Pop::open(config)).await??;
    pop.run(listeners, Beside { render, purge }, stopped(stop)).await.map_err(anyhow::Error::msg)
}
