//! `freshen check` and `freshen quota`.

use super::connection::{ClientError, Connection, encode, print_json};
use super::outcome::Outcome;
use crate::say::say;
use freshen_api::v1::wire::{CheckView, QuotaView};
use freshen_model::check::CheckRow;

/// Asks every POP.
#[derive(clap::Args)]
pub struct Check {
    /// The URL.
    url: String,
    /// As a viewer who accepts gzip.
    #[arg(long)]
    gzip: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Check {
    /// Asks through control, and prints what each POP says.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        let path = format!("/v1/check?url={}&gzip={}", encode(&self.url), self.gzip);
        let view: CheckView = self.connection.open()?.get(&path).await?;
        if self.connection.json {
            print_json(&view)?;
        } else {
            for row in &view.pops {
                say(&format!("{:<16} {}", row.pop.as_str(), describe(row)));
            }
        }
        let unasked = view.pops.iter().any(|row| row.answer.is_none());
        Ok(if unasked { Outcome::Failed } else { Outcome::Done })
    }
}

fn describe(row: &CheckRow) -> String {
    let Some(answer) = &row.answer else {
        return format!("could not be asked: {}", row.error.as_deref().unwrap_or("no reason given"));
    };
    let mut text = answer.x_cache.clone();
    if let Some(age) = answer.age {
        text.push_str(&format!("  age {age} s"));
    }
    if let Some(size) = answer.size {
        text.push_str(&format!("  {size} bytes"));
    }
    if let Some(etag) = &answer.etag {
        text.push_str(&format!("  {etag}"));
    }
    if let Some(why) = &answer.why {
        text.push_str(&format!("  ({why})"));
    }
    text
}

/// Shows what is left.
#[derive(clap::Args)]
pub struct Quota {
    #[command(flatten)]
    connection: Connection,
}

impl Quota {
    /// Asks control and prints.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        let view: QuotaView = self.connection.open()?.get("/v1/quota").await?;
        if self.connection.json {
            print_json(&view)?;
        } else {
            for row in &view.quotas {
                say(&format!(
                    "{:<10} {:>6} of {:>6} left today",
                    row.kind.as_str(),
                    row.remaining,
                    row.limit
                ));
            }
        }
        Ok(Outcome::Done)
    }
}
