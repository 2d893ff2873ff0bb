//! Submitting: from lines a user wrote to a durable task with its order.

use crate::control::Control;
use crate::progress::{Moment, Progress};
use crate::telemetry;
use freshen_ledger::{DomainRecord, Error, Ledger, Line, Refusal, Submission, Submitted, TaskRecord};
use freshen_model::area::Area;
use freshen_model::ids::Seq;
use freshen_model::key::{BadPath, Key};
use freshen_model::location::{BadUrl, Location, Scheme};
use freshen_model::order::PrefetchItem;
use freshen_model::quota::{Quota, QuotaKind, day};
use freshen_model::rule::{Matcher, Mode, Rule};
use freshen_model::task::{Status, Step, StepState, TaskKind};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// Bad lines that are told; whoever has more has seen enough.
const BAD_LINES_MAX: usize = 100;
/// Characters of a bad line that are told.
const BAD_TEXT_MAX: usize = 200;
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
    /// URLs or directories, one each.
    pub lines: Vec<String>,
    /// Whether a line must say its scheme.
    pub scheme: Scheme,
}

impl SubmitRequest {
    /// What this purge does to a copy.
    fn mode(&self) -> Mode {
        if self.soft { Mode::Expire } else { self.kind.mode(self.force) }
    }
}

/// A line that cannot be submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its place, from 1.
    pub line: usize,
    /// The line, cut at 200 characters.
    pub text: String,
    /// What is wrong, and what to write instead.
    pub fault: LineFault,
}

/// What is wrong with a line; the text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text says it")]
pub enum LineFault {
    #[error(transparent)]
    Url(#[from] BadUrl),
    #[error(transparent)]
    Path(#[from] BadPath),
    /// The same for an unknown domain and another account's, so that nobody can find out who is served here.
    #[error("{0} is not a domain of this account")]
    ForeignDomain(String),
    #[error("a directory has no query, remove it or purge the URL")]
    DirectoryWithQuery,
    #[error("a directory ends with /, write it so or purge the URL")]
    DirectoryWithoutSlash,
    #[error("a directory cannot be prefetched, name the files")]
    DirectoryPrefetched,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
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
        if kind != TaskKind::Prefetch && request.area.is_some() {
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
        let named = Named::read(request, &domains).map_err(SubmitError::BadLines)?;
        let at_ms = self.clock.wall_ms();
        let submission = Submission {
            account: account.to_owned(),
            kind: request.kind,
            mode: (request.kind != TaskKind::Prefetch).then(|| request.mode()),
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
        Some(_) => request.kind != TaskKind::Prefetch,
    }
}

/// What a request names, in the ledger's terms.
#[derive(Default)]
struct Named {
    lines: Vec<Line>,
    rules: Vec<Rule>,
    items: Vec<PrefetchItem>,
}

impl Named {
    /// Reads every line with the settings of the account's domains; gives the bad ones where there are any.
    fn read(request: &SubmitRequest, domains: &[DomainRecord]) -> Result<Named, Vec<BadLine>> {
        let domains: HashMap<&str, &DomainRecord> =
            domains.iter().map(|domain| (domain.name.as_str(), domain)).collect();
        let mut named = Named::default();
        let mut bad = Vec::new();
        for (text, line) in request.lines.iter().zip(1..) {
            match read_line(request, text, &domains) {
                Ok((location, key)) => named.push(request, text, location, key),
                Err(fault) => {
                    bad.push(BadLine { line, text: text.chars().take(BAD_TEXT_MAX).collect(), fault });
                    if bad.len() == BAD_LINES_MAX {
                        break;
                    }
                }
            }
        }
        if bad.is_empty() { Ok(named) } else { Err(bad) }
    }

    fn push(&mut self, request: &SubmitRequest, text: &str, location: Location, key: Key) {
        let mode = request.mode();
        self.lines.push(Line { url: text.to_owned(), domain: location.host.clone() });
        match request.kind {
            TaskKind::Url => self.rules.push(Rule::new(Matcher::Url { key }, mode)),
            TaskKind::Directory => self.rules.push(Rule::new(Matcher::Directory { key }, mode)),
            TaskKind::Prefetch => self
                .items
                .push(PrefetchItem { domain: location.host, path_and_query: location.path_and_query }),
        }
    }

    /// The settings that the keys were made with: those of the domains named.
    fn settings_read(&self, domains: &[DomainRecord]) -> BTreeMap<String, Seq> {
        let named: BTreeSet<&str> = self.lines.iter().map(|line| line.domain.as_str()).collect();
        let read = domains.iter().filter(|domain| named.contains(domain.name.as_str()));
        read.map(|domain| (domain.name.clone(), domain.seq)).collect()
    }
}

/// Reads one line.
fn read_line(
    request: &SubmitRequest,
    text: &str,
    domains: &HashMap<&str, &DomainRecord>,
) -> Result<(Location, Key), LineFault> {
    let location = Location::parse(text, request.scheme)?;
    let domain = domains.get(location.host.as_str());
    let domain = domain.ok_or_else(|| LineFault::ForeignDomain(location.host.clone()))?;
    let key = Key::in_domain(&domain.name, &domain.settings, &location.path_and_query)?;
    match request.kind {
        TaskKind::Directory if location.has_query() => Err(LineFault::DirectoryWithQuery),
        TaskKind::Directory if !location.path().ends_with('/') => Err(LineFault::DirectoryWithoutSlash),
        TaskKind::Prefetch if key.path().ends_with('/') && key.path() != "/" => {
            Err(LineFault::DirectoryPrefetched)
        }
        TaskKind::Url | TaskKind::Directory | TaskKind::Prefetch => Ok((location, key)),
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
