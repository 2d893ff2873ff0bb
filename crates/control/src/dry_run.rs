//! Dry runs: what a purge would match at every POP, without submitting it.

use crate::control::Control;
use crate::lines::Named;
use crate::submit::{SubmitError, SubmitRequest};
use freshen_fleet::wire::{Answered, Question};
use freshen_model::ids::PopId;
use freshen_model::preview::{Preview, PreviewQuestion, PreviewRow};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a POP may take; longer than it looks at most.
const PATIENCE: Duration = Duration::from_secs(12);

/// What a purge would do.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRun {
    /// Every POP's part.
    pub pops: Vec<PreviewRow>,
    /// All POPs together.
    pub all: Preview,
    /// What in the submission is likely a mistake, in words.
    pub warnings: Vec<String>,
}

impl Control {
    /// Reads a purge as a submission is read, with the same refusals, and asks every POP what it would match. Nothing is
    /// submitted, counted or changed.
    pub async fn dry_run(&self, account: &str, request: SubmitRequest) -> Result<DryRun, SubmitError> {
        self.dry_run_within(account, None, request).await
    }

    /// The same for a caller who reaches only some of the account's domains.
    pub async fn dry_run_within(
        &self,
        account: &str,
        within: Option<&BTreeSet<String>>,
        request: SubmitRequest,
    ) -> Result<DryRun, SubmitError> {
        if !request.kind.is_purge() {
            return Err(SubmitError::DryRunOfPrefetch);
        }
        self.look_over(&request)?;
        let domains = self.domains_within(account, within).await?;
        let named = Named::read(&request, &domains)?;
        let question = PreviewQuestion { rules: named.rules };
        let members = self.members.all().into_iter().filter(|member| member.record.left.is_none());
        let asked = members.map(|member| self.preview(member.record.id, question.clone()));
        let pops = join_all(asked).await;
        let mut all = Preview { whole: true, ..Preview::default() };
        for row in &pops {
            match &row.found {
                Some(found) => all.add(found),
                None => all.whole = false,
            }
        }
        Ok(DryRun { pops, all, warnings: named.warnings })
    }

    /// Reads the lines of a submission as it is read, with the same refusals, and asks nobody; gives what is likely a
    /// mistake, in words.
    pub async fn look_at_lines(
        &self,
        account: &str,
        request: &SubmitRequest,
    ) -> Result<Vec<String>, SubmitError> {
        self.look_over(request)?;
        let domains = self.domains_within(account, None).await?;
        Ok(Named::read(request, &domains)?.warnings)
    }

    async fn preview(&self, pop: PopId, question: PreviewQuestion) -> PreviewRow {
        let none = PreviewRow { pop: pop.clone(), watermark: None, found: None, error: None };
        match self.hub().ask(&pop, Question::Preview(question), PATIENCE).await {
            Ok(Answered::Preview { watermark, found }) => {
                PreviewRow { watermark: Some(watermark), found: Some(found), ..none }
            }
            Ok(_) => PreviewRow { error: Some("it answered something else".into()), ..none },
            Err(error) => PreviewRow { error: Some(error.to_string()), ..none },
        }
    }
}
