//! The `freshen` binary: every role of an installation, and the commands of its users.
//!
//! **Invariant:** this crate composes and speaks to people; it decides nothing about caching, purging or completion. The
//! client commands know only what `/v1` tells them.

mod bootstrap;
mod client;
mod config_file;
mod demo;
mod roles;
mod say;
mod telemetry;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Keeps every edge of a content delivery network fresh: purge what is stale, prefetch what will be wanted, on every POP.
#[derive(Parser)]
#[command(name = "freshen", version, max_term_width = 100)]
struct Freshen {
    #[command(subcommand)]
    command: Command,

    /// End when this process, the parent, does.
    #[arg(long, global = true, hide = true)]
    die_with_parent: Option<i32>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole installation on this machine to try it: an origin, control and three POPs.
    Demo(demo::Options),
    /// Run control and one POP in one process: a small site's whole installation.
    Serve(roles::serve::Options),
    /// Run control.
    Control {
        /// Its configuration, TOML.
        #[arg(long)]
        config: PathBuf,
    },
    /// Run a POP (`--config`), or list, add and remove POPs.
    #[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
    Pop(PopCommand),
    #[command(flatten)]
    Client(client::Command),
    /// Run the demo's origin.
    #[command(hide = true)]
    DemoOrigin {
        #[arg(long)]
        listen: String,
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(clap::Args)]
struct PopCommand {
    /// Run the POP that this TOML file configures.
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<client::manage::PopCommand>,
}

fn main() -> ExitCode {
    let freshen = Freshen::parse();
    if let Some(parent) = freshen.die_with_parent
        && let Err(error) = demo::parent::die_with_parent(parent)
    {
        return fail(&error);
    }
    let done = match freshen.command {
        Command::Demo(options) => current_thread(demo::run(options)),
        Command::Serve(options) => multi_thread(roles::serve::run(options)),
        Command::Control { config } => multi_thread(roles::control::run(config)),
        Command::Pop(PopCommand { config: Some(config), .. }) => multi_thread(roles::pop::run(config)),
        Command::Pop(PopCommand { command, .. }) => {
            let Some(command) = command else { return ExitCode::from(2) };
            return current_thread(async { Ok(client::run(client::Command::pop(command)).await) })
                .unwrap_or_else(|error| fail(&error));
        }
        Command::Client(command) => {
            return current_thread(async { Ok(client::run(command).await) })
                .unwrap_or_else(|error| fail(&error));
        }
        Command::DemoOrigin { listen, dir } => multi_thread(demo::run_origin(listen, dir)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

fn multi_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

fn current_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
