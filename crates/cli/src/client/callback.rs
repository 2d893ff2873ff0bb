//! `freshen callback`: what control told addresses that users named.

use super::connection::{ClientError, Connection};
use super::manage::tell;
use super::outcome::Outcome;
use clap::Subcommand;
use freshen_api::v1::wire::{CallbackList, CallbackSecretView};
use freshen_model::callback::{Callback, CallbackState};

/// Callbacks.
#[derive(Subcommand)]
pub enum CallbackCommand {
    /// List callbacks, the newest first, and what became of them.
    List {
        /// How many to show at most.
        #[arg(long, default_value_t = 100, value_parser = super::rows)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print what this account's callbacks are signed with; receivers verify them by it.
    Secret {
        #[command(flatten)]
        connection: Connection,
    },
}

impl CallbackCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            CallbackCommand::List { limit, connection } => {
                let open = |list: CallbackList| (list.callbacks, list.next);
                let (callbacks, more) = connection.open()?.list("/v1/callbacks?", limit, open).await?;
                let list = CallbackList { callbacks, next: None };
                tell(&connection, &list, || {
                    let shown = list.callbacks.iter().map(row);
                    let rest = more.then(|| "… and more; --limit shows them".to_owned());
                    shown.chain(rest).collect::<Vec<_>>().join("\n")
                })
            }
            CallbackCommand::Secret { connection } => {
                let secret: CallbackSecretView = connection.open()?.get("/v1/callback-secret").await?;
                tell(&connection, &secret, || secret.secret.clone())
            }
        }
    }
}

fn row(callback: &Callback) -> String {
    let state = match callback.state {
        CallbackState::Waiting => "waiting",
        CallbackState::Delivered => "delivered",
        CallbackState::Failed => "failed",
    };
    let Callback { id, event, url, tries, .. } = callback;
    let outcome = callback.outcome.as_deref().unwrap_or("not sent yet");
    format!("{id:<40} {event:<24} {state:<9} {tries:>2}  {url}  {outcome}")
}
