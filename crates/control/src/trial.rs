//! Trials: whether POPs reach the origin of a domain that is about to be added.

use crate::control::Control;
use crate::manage::settings::check_settings;
use crate::manage::{ManageError, domain_name};
use freshen_fleet::wire::{Answered, Question};
use freshen_model::check::{TriedRow, TryQuestion};
use freshen_model::domain::Settings;
use freshen_model::ids::PopId;
use futures_util::future::join_all;
use std::time::Duration;

/// POPs that are asked; an origin is not to be stormed by a fleet.
const POPS_MAX: usize = 5;
/// How long a POP may take; longer than it waits for the origin.
const PATIENCE: Duration = Duration::from_secs(6);

impl Control {
    /// Asks some connected POPs to ask the origin for the head of `/`; empty where none is connected. Settings that cannot be
    /// are refused as when they are saved. For admins only: it makes POPs connect to where no domain is yet.
    pub async fn try_domain(&self, name: &str, settings: &Settings) -> Result<Vec<TriedRow>, ManageError> {
        let domain = domain_name(name)?;
        check_settings(settings)?;
        let question = TryQuestion { domain, settings: settings.clone() };
        let pops = self.pops().into_iter().filter(|pop| pop.connected && pop.left.is_none());
        let asked = pops.take(POPS_MAX).map(|pop| self.tried_by(pop.id, question.clone()));
        Ok(join_all(asked).await)
    }

    async fn tried_by(&self, pop: PopId, question: TryQuestion) -> TriedRow {
        let tried = match self.hub().ask(&pop, Question::Try(Box::new(question)), PATIENCE).await {
            Ok(Answered::Tried(tried)) => Ok(tried),
            Ok(_) => Err("it answered something else".into()),
            Err(error) => Err(error.to_string()),
        };
        TriedRow { pop, tried }
    }
}
