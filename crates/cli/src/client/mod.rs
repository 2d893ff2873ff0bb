//! The client commands: they know what `/v1` tells them, and say it to people and programs.

mod bar;
mod callback;
pub mod connection;
mod counts;
mod domain;
mod dry_run;
mod events;
mod file;
mod fleet;
pub mod manage;
mod media;
mod moment;
mod outcome;
pub mod probe;
mod receipt;
mod settings;
pub mod submit;
pub mod task;
mod user;

pub use connection::ClientConfig;

use clap::Subcommand;
use outcome::Outcome;
use std::process::ExitCode;

/// What a user may ask of control.
#[derive(Subcommand)]
pub enum Command {
    /// Purge URLs or, with --dir, directories on every POP.
    #[command(after_help = outcome::EXIT_CODES)]
    Purge(submit::Purge),
    /// Fetch URLs into every POP before viewers ask for them.
    #[command(after_help = outcome::EXIT_CODES)]
    Prefetch(submit::Prefetch),
    /// List tasks, or show one.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// Verify certificates of purges, and show the keys for it.
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
    /// Show what is left of today's quotas.
    Quota(fleet::Quota),
    /// Ask every POP what a viewer would get from its cache now.
    Check(fleet::Check),
    /// Measure purges as viewers of each POP see them, and count untrue «complete»s.
    #[command(
        after_help = "Exit codes: 0 all true and in time; 1 not, or failed; 2 refused; 4 control is not reached"
    )]
    Probe(probe::Probe),
    /// Manage domains.
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    /// Manage the media library: which addresses play a medium.
    #[command(subcommand)]
    Media(media::MediaCommand),
    /// Show what control told addresses that users named, and what it signs that with.
    #[command(subcommand)]
    Callback(callback::CallbackCommand),
    /// Manage accounts.
    #[command(subcommand)]
    Account(manage::AccountCommand),
    /// Manage access keys.
    #[command(subcommand)]
    Key(manage::KeyCommand),
    /// Manage the people who sign in to the console.
    #[command(subcommand)]
    User(user::UserCommand),
    /// POPs; their command line is beside the role's.
    #[command(skip)]
    Pop(manage::PopCommand),
}

/// How many rows of a list to show: 1 to 10,000.
fn rows(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| "write 1 to 10000".into())
}

impl Command {
    /// A command about POPs.
    pub fn pop(command: manage::PopCommand) -> Command {
        Command::Pop(command)
    }
}

/// Runs a command; says why on standard error where it fails.
pub async fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Purge(purge) => purge.run().await,
        Command::Prefetch(prefetch) => prefetch.run().await,
        Command::Task(command) => command.run().await,
        Command::Receipt(command) => command.run().await,
        Command::Quota(quota) => quota.run().await,
        Command::Check(check) => check.run().await,
        Command::Probe(probe) => probe.run().await,
        Command::Domain(command) => command.run().await,
        Command::Media(command) => command.run().await,
        Command::Callback(command) => command.run().await,
        Command::Account(command) => command.run().await,
        Command::Key(command) => command.run().await,
        Command::User(command) => command.run().await,
        Command::Pop(command) => command.run().await,
    };
    match done {
        Ok(outcome) => outcome.code(),
        Err(error) => {
            eprintln!("error: {error}");
            Outcome::of(&error).code()
        }
    }
}
