//! Submitting: from lines a user wrote to a durable task with its order.

use crate::control::Control;
use crate::lines::{BadLine, Named};
use crate::progress::{Moment, Progress};
use crate::telemetry;
use freshen_ledger::{Error, Ledger, Refusal, Submission, Submitted, TaskRecord};
use freshen_model::area::Area;
use freshen_model::ids::Seq;
use freshen_model::location::Scheme;
use freshen_model::quota::{Quota, QuotaKind, day};
use freshen_model::rule::Mode;
use freshen_model::task::{Status, Step, StepState, TaskKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often settings may change between reading and submitting before control gives up.
const ATTEMPTS_MAX: usize = 5;

/// What a user submits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitRequest {
    /// What to do.
    pub kind: TaskKind,
    /// Evict where the kind would expire.
    pub force: bool,
    /// Expire where the kind would evict; not together with `force`.
    pub soft: bool,
    /// Only the POPs there; prefetches only.
    pub area: Option<Area>,
    /// URLs, directories, tags or whatever the kind purges, one each.
    pub lines: Vec<String>,
    /// In which domains tags are purged; none: in all of the account. Other lines name theirs.
    pub domains: Vec<String>,
    /// Whether a line must say its scheme.
    pub scheme: Scheme,
}

impl SubmitRequest {
    /// What this purge does to a copy.
    pub(crate) fn mode(&self) -> Mode {
        if self.soft { Mode::Expire } else { self.kind.mode(self.force) }
    }
}

/// Why nothing was submitted; nothing is counted either.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Some lines are bad; the first hundred of them.
    #[error("{}", lines_text(.0))]
    BadLines(Vec<BadLine>),
    /// More lines than one submission may have.
    #[error("{lines} lines, at most {lines_max} {} entries fit into one submission", kind.as_str())]
    TooManyLines {
        /// What is counted.
        kind: QuotaKind,
        /// Lines submitted.
        lines: usize,
        /// Lines that fit.
        lines_max: usize,
    },
    /// No lines.
    #[error("an empty list, name at least one URL")]
    Empty,
    /// A purge that names an area.
    #[error("a purge goes to every POP, leave the area out")]
    AreaOfPurge,
    /// Domains named beside lines that name their own.
    #[error("lines of this kind name their domain themselves, leave the list of domains out")]
    DomainsOfLines,
    /// Tags to purge in a domain that is not the account's, or is none.
    #[error("{0} is not a domain of this account")]
    ForeignDomain(String),
    /// Tags to purge, and no domain to purge them in.
    #[error("this account has no domain, add one first")]
    NoDomains,
    /// More lines than the account has left today.
    #[error("{}", Refusal::OverQuota { quota: *.0, lines: *.1 })]
    OverQuota(Quota, u64),
    /// No POP could do it.
    #[error("no POP is registered{}, add one first", in_area(*.0))]
    NoPops(Option<Area>),
    /// The ledger refused otherwise, or failed.
    #[error(transparent)]
    Ledger(Error),
}

fn lines_text(lines: &[BadLine]) -> String {
    let lines: Vec<String> = lines.iter().map(BadLine::to_string).collect();
    lines.join("\n")
}

fn in_area(area: Option<Area>) -> String {
    area.map(|area| format!(" in area {}", area.as_str())).unwrap_or_default()
}

impl Control {
    /// Makes a task of what `account` submits. Once this returns `Ok`, the task is durable and in the log.
    pub async fn submit(&self, account: &str, request: SubmitRequest) -> Result<Submitted, SubmitError> {
        let kind = request.kind;
        let (lines, lines_max) = (request.lines.len(), kind.quota().lines_max());
        if lines == 0 {
            return Err(SubmitError::Empty);
        }
        if lines > lines_max {
            return Err(SubmitError::TooManyLines { kind: kind.quota(), lines, lines_max });
        }
        if kind.is_purge() && request.area.is_some() {
            return Err(SubmitError::AreaOfPurge);
        }
        if !self.members.all().iter().any(|member| in_scope(&request, &member.record)) {
            return Err(SubmitError::NoPops(request.area));
        }
        for _ in 1..ATTEMPTS_MAX {
            match self.attempt(account, &request).await {
                Err(SubmitError::Ledger(Error::Refused(Refusal::SettingsChanged(_)))) => {}
                outcome => return outcome,
            }
        }
        self.attempt(account, &request).await
    }

    async fn attempt(&self, account: &str, request: &SubmitRequest) -> Result<Submitted, SubmitError> {
        let domains = self.ledger.domains(Some(account)).await.map_err(SubmitError::Ledger)?;
        let named = Named::read(request, &domains)?;
        let at_ms = self.clock.wall_ms();
        let submission = Submission {
            account: account.to_owned(),
            kind: request.kind,
            mode: request.kind.is_purge().then(|| request.mode()),
            area: request.area,
            read: named.settings_read(&domains),
            lines: named.lines,
            rules: named.rules,
            items: named.items,
            at_ms,
            day: day(at_ms.div_euclid(1_000), self.quota_day_offset_s),
        };
        let entry = Entry {
            ledger: self.ledger.clone(),
            clock: self.clock.clone(),
            progress: self.progress.clone(),
            limits: self.limits,
        };
        // On a task of its own: a caller who hangs up must not leave a durable task that nobody watches.
        match tokio::spawn(entry.make(submission)).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.progress.doubt_tasks();
                Err(SubmitError::Ledger(Error::Engine(format!("the submission was cut off: {error}"))))
            }
        }
    }
}

fn in_scope(request: &SubmitRequest, pop: &freshen_ledger::PopRecord) -> bool {
    match pop.left {
        None => request.area.is_none_or(|area| area == pop.area),
        // A removed POP may still serve, so a purge is for it too.
        Some(_) => request.kind.is_purge(),
    }
}

/// What it takes to make a submission durable and watched.
struct Entry {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn crate::clock::Clock>,
    progress: Arc<Progress>,
    limits: crate::keeper::Limits,
}

impl Entry {
    async fn make(self, submission: Submission) -> Result<Submitted, SubmitError> {
        let _announced = self.progress.announce();
        let unsubmitted = record(&submission);
        let submitted = match self.ledger.submit(submission).await {
            Ok(submitted) => submitted,
            Err(Error::Refused(Refusal::OverQuota { quota, lines })) => {
                return Err(SubmitError::OverQuota(quota, lines));
            }
            Err(refused @ Error::Refused(_)) => return Err(SubmitError::Ledger(refused)),
            Err(failed) => {
                self.progress.doubt_tasks();
                return Err(SubmitError::Ledger(failed));
            }
        };
        // From here on no lease is renewed by an answer that does not know of this order.
        let _ = self.ledger.end().wait_for(|end| *end >= submitted.seq).await;
        let known_at = Moment { steady: self.clock.now(), wall_ms: self.clock.wall_ms() };
        let waiting = |pop: &_| Step { pop: Clone::clone(pop), state: StepState::Waiting };
        let record = TaskRecord {
            id: submitted.task,
            seq: submitted.seq,
            fence_from: submitted.fence_from,
            steps: submitted.scope.iter().map(waiting).collect(),
            ..unsubmitted
        };
        metrics::counter!(telemetry::TASKS_SUBMITTED, "kind" => record.kind.as_str()).increment(1);
        let limit = self.limits.of(&record, known_at);
        self.progress.register(record, limit, known_at);
        Ok(submitted)
    }
}

/// The task as the ledger will keep it, but for what only the ledger can say: number, place, scope and fence.
fn record(submission: &Submission) -> TaskRecord {
    let domains: BTreeSet<&String> = submission.lines.iter().map(|line| &line.domain).collect();
    TaskRecord {
        id: freshen_model::ids::TaskId(0),
        account: submission.account.clone(),
        kind: submission.kind,
        mode: submission.mode,
        area: submission.area,
        status: Status::Running,
        seq: Seq::ZERO,
        fence_from: None,
        lines: submission.lines.len() as u64,
        domains: domains.into_iter().cloned().collect(),
        submitted_ms: submission.at_ms,
        ended_ms: None,
        steps: Vec::new(),
    }
}
