//! Dry runs: what a purge would match at every POP, and what a prefetch leads to, without submitting it.

use crate::control::Control;
use crate::lines::Named;
use crate::submit::{SubmitError, SubmitRequest};
use freshen_fleet::wire::{Answered, Question};
use freshen_ledger::PopRecord;
use freshen_model::area::Area;
use freshen_model::expand::{ExpandQuestion, ExpandedLine, PrefetchDryRun};
use freshen_model::ids::PopId;
use freshen_model::preview::{Preview, PreviewQuestion, PreviewRow};
use freshen_model::protocol::roster;
use freshen_model::quota::{Quota, QuotaKind};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a POP may take; longer than it looks at most.
const PATIENCE: Duration = Duration::from_secs(12);
/// POPs that are connected and asked, one after the other, until one says what a prefetch leads to.
const POPS_ASKED_MAX: usize = 3;

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

    /// Reads a prefetch as a submission is read, and has one POP say what its lines lead to. Nothing is submitted, counted,
    /// fetched into a cache or changed; a quota that does not suffice is told.
    pub async fn dry_run_prefetch(
        &self,
        account: &str,
        within: Option<&BTreeSet<String>>,
        request: SubmitRequest,
    ) -> Result<PrefetchDryRun, SubmitError> {
        self.look_over(&request)?;
        let domains = self.domains_within(account, within).await?;
        let mut named = Named::read(&request, &domains)?;
        let mut warnings = std::mem::take(&mut named.warnings);
        let submission = named.submission(account, &request, &domains, (0, 0));
        let lines = submission.lines.len() as u64;
        let quotas = self.quota(account).await.map_err(SubmitError::Ledger)?;
        let none = Quota { kind: QuotaKind::Prefetch, limit: 0, used: 0 };
        let quota = quotas.into_iter().find(|quota| quota.kind == none.kind).unwrap_or(none);
        if lines > quota.remaining() {
            warnings.push(format!("it would be refused: {}", SubmitError::OverQuota(quota, lines)));
        }
        let known = self.ledger.account(account).await.map_err(SubmitError::Ledger)?;
        let (queued, limit) = (
            self.progress.queued(account),
            known.map(|known| known.limits).unwrap_or_default().prefetch_queue,
        );
        if queued.saturating_add(lines) > limit {
            warnings.push(format!("it would be refused: {}", SubmitError::QueueFull { queued, limit }));
        }
        let question = ExpandQuestion { items: submission.items, follow: submission.follow, sizes: true };
        let mut run = PrefetchDryRun {
            pop: None,
            error: None,
            lines: Vec::new(),
            quota,
            queued,
            queue_limit: limit,
            warnings,
        };
        match self.expand(request.area, question).await {
            Ok((pop, lines)) => (run.pop, run.lines) = (Some(pop), lines),
            Err(error) => run.error = Some(error),
        }
        for (line, number) in run.lines.iter().zip(1..) {
            let mut tell = |count: u64, what: &str| {
                if count > 0 {
                    run.warnings.push(format!("line {number}: {count} {what}"));
                }
            };
            tell(
                line.over,
                "more files are named and would be left out: of a line, 20000 files are followed",
            );
            tell(line.outside, "addresses are outside of this account's domains and would not be fetched");
            tell(line.unread_count, "playlists could not be read; the prefetch would fail there");
            tell(u64::from(line.cut_short), "dry run was cut short: every count of this line is «at least»");
        }
        Ok(run)
    }

    /// Has one of the POPs in an area say what lines lead to; an error says why none could.
    pub(crate) async fn expand(
        &self,
        area: Option<Area>,
        question: ExpandQuestion,
    ) -> Result<(PopId, Vec<ExpandedLine>), String> {
        let members = self.members.all().into_iter().map(|member| member.record);
        let there = |record: &PopRecord| roster::in_scope(record.area, record.left.is_some(), area, false);
        let pops = members.filter(there).map(|record| record.id).filter(|pop| self.hub().connected(pop));
        let mut why = "no POP is connected".to_owned();
        for pop in pops.take(POPS_ASKED_MAX) {
            match self.hub().ask(&pop, Question::Expand(question.clone()), PATIENCE).await {
                Ok(Answered::Expanded { lines }) => return Ok((pop, lines)),
                Ok(_) => why = format!("{pop} answered something else"),
                Err(error) => why = format!("{pop}: {error}"),
            }
        }
        Err(why)
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
