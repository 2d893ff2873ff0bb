//! The control process.

use super::{listen, stop_signal, stopped};
use crate::config_file;
use crate::telemetry::{self, RenderMetrics};
use anyhow::Context;
use freshen_control::{Config, Control};
use freshen_ledger::SqliteLedger;
use freshen_model::secret::SealingKey;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Runs control until it is asked to stop.
pub async fn run(path: PathBuf) -> anyhow::Result<()> {
    let render = telemetry::start()?;
    let mut config: Config = config_file::read(&path)?;
    config.resolve(|file| config_file::beside(&path, file));
    let stop = stop_signal()?;
    let control = open(&config).await?;
    serve(control, &config, render, stop).await
}

/// Opens the ledger and takes up what runs.
pub async fn open(config: &Config) -> anyhow::Result<Arc<Control>> {
    config.validate()?;
    let ledger = open_ledger(config)?;
    Ok(Control::start(Arc::new(ledger), config).await?)
}

fn open_ledger(config: &Config) -> anyhow::Result<SqliteLedger> {
    let data = &config.data;
    std::fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    let path = data.join("ledger.sqlite");
    let ledger = match secrets_key(config)? {
        Some(key) => SqliteLedger::open_sealed(&path, key),
        None => SqliteLedger::open(&path),
    };
    ledger.with_context(|| format!("cannot open {}", path.display()))
}

/// The key for the ledger's secrets, where it is kept elsewhere: in the environment, else in a file.
fn secrets_key(config: &Config) -> anyhow::Result<Option<SealingKey>> {
    const VARIABLE: &str = "FRESHEN_SECRETS_KEY";
    let (text, from) = match (std::env::var(VARIABLE), &config.secrets_key_file) {
        (Ok(text), _) => (text, VARIABLE.to_owned()),
        (Err(_), Some(file)) => {
            let text = std::fs::read_to_string(file);
            (
                text.with_context(|| format!("secrets_key_file {}", file.display()))?,
                file.display().to_string(),
            )
        }
        (Err(_), None) => return Ok(None),
    };
    let key = SealingKey::from_hex(&text);
    Ok(Some(key.with_context(|| format!("{from} is no key: write 64 hexadecimal digits"))?))
}

/// Serves users and POPs until `stop`.
pub async fn serve(
    control: Arc<Control>,
    config: &Config,
    render: RenderMetrics,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let users = listen(&config.listen, "control's listener (listen)").await?;
    let fleet = listen(&config.fleet_listen, "the fleet's listener (fleet_listen)").await?;
    let stopping = CancellationToken::new();
    let router = freshen_api::router(control.clone(), &config.data, render, stopping.clone())
        .with_context(|| format!("cannot keep nonces in {}", config.data.display()))?;
    let router =
        router.merge(freshen_console::router(control.clone(), config.console_https, stopping.clone()));
    tracing::info!(listen = %config.listen, fleet = %config.fleet_listen, log = %control.log_id(), pin = %control.line_key().pin(), "control runs");
    let hub = control.hub().serve(fleet, stopped(stop.clone()));
    let users = freshen_api::serve(users, router, stopping.clone());
    let ending = async {
        stopped(stop).await;
        stopping.cancel();
    };
    tokio::join!(hub, users, ending);
    control.stop().await;
    Ok(())
}
