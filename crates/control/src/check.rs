//! Checking: what every POP would answer a viewer, if only from its cache.

use crate::control::Control;
use freshen_fleet::wire::{Answered, Question};
use freshen_ledger::Error;
use freshen_model::check::{CheckQuestion, CheckRow};
use freshen_model::ids::PopId;
use freshen_model::location::{BadUrl, Location, Scheme};
use futures_util::future::join_all;
use std::time::Duration;

/// How long a POP may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nothing was asked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The URL names nothing.
    #[error(transparent)]
    BadUrl(#[from] BadUrl),
    /// Its host is unknown, or another account's.
    #[error("{0} is not a domain of this account")]
    ForeignDomain(String),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] Error),
}

impl Control {
    /// Asks every POP at the same time what a viewer of `url` would get; changes neither cache nor counters there.
    pub async fn check(&self, account: &str, url: &str, gzip: bool) -> Result<Vec<CheckRow>, CheckError> {
        let location = Location::parse(url, Scheme::Required)?;
        let domain = self.ledger.domain(&location.host).await?;
        if domain.is_none_or(|domain| domain.account != account) {
            return Err(CheckError::ForeignDomain(location.host));
        }
        let question = CheckQuestion { domain: location.host, path_and_query: location.path_and_query, gzip };
        let pops = self.members.all().into_iter().filter(|member| member.record.left.is_none());
        Ok(join_all(pops.map(|member| self.ask(member.record.id, question.clone()))).await)
    }

    async fn ask(&self, pop: PopId, question: CheckQuestion) -> CheckRow {
        match self.hub().ask(&pop, Question::Check(question), PATIENCE).await {
            Ok(Answered::Check(answer)) => CheckRow { pop, answer: Some(answer), error: None },
            Ok(_) => CheckRow { pop, answer: None, error: Some("it answered something else".into()) },
            Err(error) => CheckRow { pop, answer: None, error: Some(error.to_string()) },
        }
    }
}
