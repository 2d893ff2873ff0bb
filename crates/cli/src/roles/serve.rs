//! Control and one POP in one process.

use super::stop_signal;
use crate::client::ClientConfig;
use crate::say::say;
use crate::telemetry;
use crate::{bootstrap, config_file};
use freshen_model::area::Area;
use freshen_model::ids::PopId;
use std::path::PathBuf;

/// What `freshen serve` may be told.
#[derive(clap::Args)]
pub struct Options {
    /// Where everything is kept; made at the first start, with control.toml, pop.toml and client.toml in it.
    #[arg(long, default_value = "freshen-data")]
    data: PathBuf,
    /// Where viewers connect. Written to pop.toml at the first start; change it there later.
    #[arg(long, default_value = "0.0.0.0:8081")]
    listen: String,
    /// Where users (API, console) connect. Written to control.toml at the first start.
    #[arg(long, default_value = "127.0.0.1:8080")]
    control_listen: String,
    /// Where this and further POPs follow the log. Written to control.toml at the first start.
    #[arg(long, default_value = "127.0.0.1:8084")]
    fleet_listen: String,
    /// Where the POP's health and metrics are. Written to pop.toml at the first start.
    #[arg(long, default_value = "127.0.0.1:8085")]
    admin_listen: String,
}

const ADMIN: &str = "admin";

/// Runs both until the process is asked to stop.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let render = telemetry::start()?;
    let stop = stop_signal()?;
    std::fs::create_dir_all(&options.data)?;
    let (control_file, pop_file) = (options.data.join("control.toml"), options.data.join("pop.toml"));
    let client_file = options.data.join("client.toml");
    if !control_file.exists() {
        let config = freshen_control::Config {
            data: "control".into(),
            listen: options.control_listen.clone(),
            fleet_listen: options.fleet_listen.clone(),
            ..Default::default()
        };
        config_file::write(&control_file, "The configuration of control.", &config)?;
    }
    let mut config: freshen_control::Config = config_file::read(&control_file)?;
    config.resolve(|file| config_file::beside(&control_file, file));
    let control = super::control::open(&config).await?;
    let id: PopId = "pop-1".parse()?;
    bootstrap::admin(&control, ADMIN, || {
        let (access_key_id, access_key_secret) = (random::<10>()?, random::<16>()?);
        let key = (access_key_id.clone(), access_key_secret.clone());
        let endpoint = format!("http://{}", config.listen);
        let viewers = [(id.clone(), on_this_machine(&options.listen))].into();
        let client = ClientConfig { endpoint, access_key_id, access_key_secret, viewers };
        let heading = "How client commands reach this installation, as its admin.";
        config_file::write(&client_file, heading, &client)?;
        Ok(key)
    })
    .await?;
    let fleet = config.fleet_listen.clone();
    bootstrap::pop(&control, &pop_file, &id, Area::Domestic, "local", |token| {
        freshen_pop::Config::new(id.clone(), "pop".into(), options.listen, options.admin_listen, fleet, token)
    })
    .await?;
    let pop = super::pop::read_config(&pop_file)?;
    say(&format!("Freshen serves viewers at {} and users at http://{}/ui/", pop.listen, config.listen));
    say("Client commands find it with:");
    say(&format!("  export FRESHEN_CONFIG={}", std::path::absolute(&client_file)?.display()));
    if control.users().await?.is_empty() {
        say("Nobody can sign in to the console yet; add somebody with:");
        say(&format!("  freshen user add NAME --role admin --account {ADMIN}"));
    }

    let mut parts = tokio::task::JoinSet::new();
    let (render_pop, stop_pop) = (render.clone(), stop.clone());
    parts.spawn(async move { super::pop::serve(pop, render_pop, stop_pop).await });
    let control_stop = stop.clone();
    parts.spawn(async move { super::control::serve(control, &config, render, control_stop).await });
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        let ended = ended?;
        let wanted = *stop.borrow();
        if ended.is_err() || !wanted {
            // One without the other is no installation.
            outcome = ended;
            break;
        }
    }
    outcome
}

/// Random bytes as hexadecimal digits.
fn random<const BYTES: usize>() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Where somebody on this machine reaches what listens there.
fn on_this_machine(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("0.0.0.0" | "[::]", port)) => format!("127.0.0.1:{port}"),
        _ => listen.to_owned(),
    }
}
