//! Submitting: from lines a user wrote to a durable task with its order.

use crate::control::Control;
use crate::lines::{BadLine, Named};
use crate::progress::{Moment, Progress};
use crate::telemetry;
use freshen_ledger::{
    DomainRecord, Error, Ledger, ONCE_KEPT_MS, Once, PartPlace, PopRecord, Refusal, Submission, Submitted,
    TaskRecord,
};
use freshen_model::area::Area;
use freshen_model::follow::Follow;
use freshen_model::ids::{Seq, TaskId};
use freshen_model::location::Scheme;
use freshen_model::protocol::roster;
use freshen_model::quota::{Quota, QuotaKind, day};
use freshen_model::refill::{Bound, OBJECTS_MAX, Refill};
use freshen_model::rule::Mode;
use freshen_model::task::{DEADLINE_S_MAX, PrefetchTerms, REGIONS_MAX, Status, Step, StepState, TaskKind};
use freshen_model::variants::BadVariants;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often settings may change between reading and submitting before control gives up.
const ATTEMPTS_MAX: usize = 5;

/// The farthest that a task may be put off.
const NOT_BEFORE_MAX_MS: i64 = 31 * 86_400_000;

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
    /// Follow playlists, and how; prefetches only. Its domains are filled in here.
    pub follow: Option<Follow>,
}

impl SubmitRequest {
    /// What this purge does to a copy.
    pub(crate) fn mode(&self) -> Mode {
        if self.soft { Mode::Expire } else { self.kind.mode(self.force) }
    }
}

/// On what terms it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Break off answers under way; purges only.
    pub cut: bool,
    /// Not before this time, wall-clock milliseconds since 1970; absent or past: now.
    pub not_before_ms: Option<i64>,
    /// Those of a prefetch.
    pub prefetch: PrefetchTerms,
    /// The part of a media job that it is the task of.
    pub part: Option<PartPlace>,
    /// Where its end is told; absent: where the account says.
    pub notify: Option<String>,
    /// What follows a purge, submitted with it and behind it in the log.
    pub then: Option<Then>,
}

/// What follows a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Its URLs are prefetched.
    Prefetch,
    /// What was hottest of what it matched is fetched again.
    Refill(Bound),
}

/// What was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The task.
    pub submitted: Submitted,
    /// What of it is likely a mistake, in words.
    pub warnings: Vec<String>,
    /// Whether it was accepted before, under the same key.
    pub repeated: bool,
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
    /// A prefetch that cuts.
    #[error("a prefetch breaks off nothing, leave the cut out")]
    CutOfPrefetch,
    /// A purge with terms of a prefetch.
    #[error("a purge has no deadline, window, regions or headers, leave these out")]
    TermsOfPurge,
    /// Headers that nothing can be prefetched with.
    #[error(transparent)]
    BadHeaders(#[from] BadVariants),
    /// More regions than one prefetch may name.
    #[error("more than {REGIONS_MAX} regions, name fewer")]
    TooManyRegions,
    /// A region without a POP that could do it.
    #[error("no POP of region {0:?} is registered, or none in this area")]
    NoPopsInRegion(String),
    /// A deadline that cannot be.
    #[error("a prefetch's deadline is 1 second to {} days after its beginning", DEADLINE_S_MAX / 86_400)]
    Deadline,
    /// A prefetch that something is to follow.
    #[error("only a purge can be followed by a prefetch")]
    ThenOfPrefetch,
    /// A purge that names no URLs, and is to be followed by their prefetch.
    #[error("a purge of this kind names no URLs that could be prefetched, refill the hottest instead")]
    ThenWithoutUrls,
    /// A refill without bounds, or beyond them.
    #[error("a refill is of 1 to {OBJECTS_MAX} objects, or of some bytes")]
    BadRefill,
    /// A dry run of a prefetch.
    #[error("a dry run is of a purge, a prefetch removes nothing")]
    DryRunOfPrefetch,
    /// It would begin too far away.
    #[error("a task begins within {} days of its submission", NOT_BEFORE_MAX_MS / 86_400_000)]
    TooLate,
    /// More lines of one domain than may be purged in a minute.
    #[error("{domain}: {lines} more lines, at most {limit} {} entries a minute", kind.as_str())]
    TooFast {
        /// What is counted.
        kind: QuotaKind,
        /// The domain.
        domain: String,
        /// Its lines in this submission.
        lines: u64,
        /// Its lines a minute.
        limit: u64,
    },
    /// More lines than the account may have waiting.
    #[error("{queued} lines to prefetch have not ended, at most {limit} may wait")]
    QueueFull {
        /// Lines of prefetches that have not ended.
        queued: u64,
        /// How many there may be.
        limit: u64,
    },
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

impl SubmitError {
    /// Whether nothing was submitted for certain; after a failure it may have been.
    fn is_refusal(&self) -> bool {
        !matches!(self, SubmitError::Ledger(Error::Engine(_)))
    }
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
        self.submit_on(account, request, Terms::default()).await.map(|accepted| accepted.submitted)
    }

    /// The same on other terms. A task for later is durable, and gets into the log when its time has come.
    pub async fn submit_on(
        &self,
        account: &str,
        request: SubmitRequest,
        terms: Terms,
    ) -> Result<Accepted, SubmitError> {
        self.submit_within(account, None, request, terms).await
    }

    /// The same for a caller who reaches only some of the account's domains: others are like foreign ones.
    pub async fn submit_within(
        &self,
        account: &str,
        within: Option<&BTreeSet<String>>,
        request: SubmitRequest,
        terms: Terms,
    ) -> Result<Accepted, SubmitError> {
        self.submit_once(account, within, request, terms, None).await
    }

    /// The same, once however often it comes: the same `once` gives the same task, for [`ONCE_KEPT_MS`].
    pub async fn submit_once(
        &self,
        account: &str,
        within: Option<&BTreeSet<String>>,
        request: SubmitRequest,
        mut terms: Terms,
        once: Option<&Once>,
    ) -> Result<Accepted, SubmitError> {
        if let Some(accepted) = self.accepted_before(account, once).await? {
            return Ok(accepted);
        }
        self.look_over(&request)?;
        if request.kind == TaskKind::Prefetch && terms.cut {
            return Err(SubmitError::CutOfPrefetch);
        }
        self.check_terms(&request, &terms.prefetch)?;
        terms.prefetch.headers = terms.prefetch.headers.checked()?;
        let urls = request.kind == TaskKind::Url;
        match terms.then {
            Some(_) if !request.kind.is_purge() => return Err(SubmitError::ThenOfPrefetch),
            Some(Then::Prefetch) if !urls => return Err(SubmitError::ThenWithoutUrls),
            Some(Then::Prefetch) => self.look_over(&prefetch_of(&request))?,
            Some(Then::Refill(bound)) if !bound.is_fit() => return Err(SubmitError::BadRefill),
            _ => {}
        }
        let now_ms = self.clock.wall_ms();
        terms.not_before_ms = terms.not_before_ms.filter(|at| *at > now_ms);
        if terms.not_before_ms.is_some_and(|at| at - now_ms > NOT_BEFORE_MAX_MS) {
            return Err(SubmitError::TooLate);
        }
        for _ in 1..ATTEMPTS_MAX {
            match self.attempt(account, within, &request, &terms, once).await {
                Err(SubmitError::Ledger(Error::Refused(Refusal::SettingsChanged(_)))) => {}
                // Two came at once.
                Err(SubmitError::Ledger(Error::Refused(Refusal::Repeated(_)))) => {
                    if let Some(accepted) = self.accepted_before(account, once).await? {
                        return Ok(accepted);
                    }
                }
                outcome => return outcome,
            }
        }
        self.attempt(account, within, &request, &terms, once).await
    }

    /// What was accepted under that key before.
    async fn accepted_before(
        &self,
        account: &str,
        once: Option<&Once>,
    ) -> Result<Option<Accepted>, SubmitError> {
        let Some(once) = once else { return Ok(None) };
        let since_ms = self.clock.wall_ms().saturating_sub(ONCE_KEPT_MS);
        let before = self.ledger.once(account, &once.key, since_ms).await.map_err(SubmitError::Ledger)?;
        let Some((before, task)) = before else { return Ok(None) };
        if before.digest != once.digest {
            return Err(SubmitError::Ledger(Refusal::KeyReused(before.key).into()));
        }
        let kept = self.ledger.task(task, Some(account)).await.map_err(SubmitError::Ledger)?;
        Ok(kept.map(|kept| {
            let scope = kept.steps.into_iter().map(|step| step.pop).collect();
            let submitted = Submitted { task, seq: kept.seq, scope, fence_from: kept.fence_from, then: None };
            Accepted { submitted, warnings: Vec::new(), repeated: true }
        }))
    }

    /// Refuses what cannot be whatever its lines are.
    pub(crate) fn look_over(&self, request: &SubmitRequest) -> Result<(), SubmitError> {
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
        let in_scope =
            |pop: &PopRecord| roster::in_scope(pop.area, pop.left.is_some(), request.area, kind.is_purge());
        if !self.members.all().iter().any(|member| in_scope(&member.record)) {
            return Err(SubmitError::NoPops(request.area));
        }
        Ok(())
    }

    /// Refuses terms of a prefetch that cannot be.
    fn check_terms(&self, request: &SubmitRequest, terms: &PrefetchTerms) -> Result<(), SubmitError> {
        if request.kind.is_purge() && *terms != PrefetchTerms::default() {
            return Err(SubmitError::TermsOfPurge);
        }
        if terms.deadline_s.is_some_and(|deadline_s| !(1..=DEADLINE_S_MAX).contains(&deadline_s)) {
            return Err(SubmitError::Deadline);
        }
        if terms.regions.len() > REGIONS_MAX {
            return Err(SubmitError::TooManyRegions);
        }
        let members = self.members.all();
        for region in &terms.regions {
            let there = |pop: &PopRecord| {
                pop.region == *region && roster::in_scope(pop.area, pop.left.is_some(), request.area, false)
            };
            if !members.iter().any(|member| there(&member.record)) {
                return Err(SubmitError::NoPopsInRegion(region.chars().take(80).collect()));
            }
        }
        Ok(())
    }

    /// The domains of an account that a caller reaches.
    pub(crate) async fn domains_within(
        &self,
        account: &str,
        within: Option<&BTreeSet<String>>,
    ) -> Result<Vec<DomainRecord>, SubmitError> {
        let mut domains = self.ledger.domains(Some(account)).await.map_err(SubmitError::Ledger)?;
        domains.retain(|domain| within.is_none_or(|within| within.contains(&domain.name)));
        Ok(domains)
    }

    async fn attempt(
        &self,
        account: &str,
        within: Option<&BTreeSet<String>>,
        request: &SubmitRequest,
        terms: &Terms,
        once: Option<&Once>,
    ) -> Result<Accepted, SubmitError> {
        let domains = self.domains_within(account, within).await?;
        let mut named = Named::read(request, &domains)?;
        let known = self.ledger.account(account).await.map_err(SubmitError::Ledger)?;
        let limits = known.map(|account| account.limits).unwrap_or_default();
        if request.kind == TaskKind::Prefetch || terms.then.is_some() {
            let (queued, limit) = (self.progress.queued(account), limits.prefetch_queue);
            if queued.saturating_add(named.lines.len() as u64) > limit {
                return Err(SubmitError::QueueFull { queued, limit });
            }
        }
        let mut warnings = std::mem::take(&mut named.warnings);
        warnings.extend(terms.prefetch.headers.not_asked_for().map(|value| {
            format!(
                "header Accept-Encoding: {value}: POPs ask origins for gzip or for no coding; what is warmed is what a viewer \
                 with this header is answered"
            )
        }));
        let at_ms = self.clock.wall_ms();
        let quota_day = day(at_ms.div_euclid(1_000), self.quota_day_offset_s);
        let at = (at_ms, quota_day);
        let then =
            terms.then.map(|then| follower(then, account, (request, &named), &domains, at)).transpose()?;
        let then = then.map(|then| Submission { not_before_ms: terms.not_before_ms, ..then });
        // Last: whatever refuses the submission from here on gives these lines back.
        let taken = self.pace.take(request.kind.quota(), &named.lines, limits, self.clock.now())?;
        let submission = Submission {
            not_before_ms: terms.not_before_ms,
            cut: terms.cut,
            terms: terms.prefetch.clone(),
            once: once.cloned(),
            notify: terms.notify.clone(),
            part: terms.part,
            then: then.map(Box::new),
            holds: terms.prefetch.holds_at(at_ms),
            ..named.submission(account, request, &domains, at)
        };
        // On a task of its own: a caller who hangs up must not leave a durable task that nobody watches.
        let made = tokio::spawn(self.entry.clone().make(submission, None)).await;
        if let Ok(Err(refused)) = &made
            && refused.is_refusal()
        {
            self.pace.give_back(&taken);
        }
        match made {
            Ok(Ok(submitted)) => {
                if terms.not_before_ms.is_some() {
                    let then = submitted.then.iter().map(|then| then.task);
                    then.chain([submitted.task]).for_each(|task| self.deferred.changed(task, account));
                }
                Ok(Accepted { submitted, warnings, repeated: false })
            }
            Ok(Err(refused)) => Err(refused),
            Err(error) => {
                self.progress.doubt_tasks();
                Err(SubmitError::Ledger(Error::Engine(format!("the submission was cut off: {error}"))))
            }
        }
    }
}

/// The prefetch of what a purge names.
fn prefetch_of(purge: &SubmitRequest) -> SubmitRequest {
    SubmitRequest { kind: TaskKind::Prefetch, force: false, soft: false, ..purge.clone() }
}

/// The prefetch that follows a purge.
pub(crate) fn follower(
    then: Then,
    account: &str,
    (purge, named): (&SubmitRequest, &Named),
    domains: &[DomainRecord],
    at: (i64, i64),
) -> Result<Submission, SubmitError> {
    let prefetch = prefetch_of(purge);
    Ok(match then {
        Then::Prefetch => Named::read(&prefetch, domains)?.submission(account, &prefetch, domains, at),
        Then::Refill(bound) => {
            let lines = Named { lines: named.lines.clone(), ..Named::default() };
            let refill = Some(Refill { bound, rules: named.rules.clone() });
            Submission { refill, ..lines.submission(account, &prefetch, domains, at) }
        }
    })
}

/// What it takes to make a submission durable and watched.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn crate::clock::Clock>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) limits: crate::keeper::Limits,
}

impl Entry {
    /// Makes a new task, or gives the `pending` one its order; with what follows it.
    pub(crate) async fn make(
        self,
        submission: Submission,
        pending: Option<&TaskRecord>,
    ) -> Result<Submitted, SubmitError> {
        let _announced = self.progress.announce();
        let then = submission.then.as_deref().map(record);
        let unsubmitted = record(&submission);
        let made = match pending {
            None => self.ledger.submit(submission).await,
            Some(task) => self.ledger.release(task.id, submission).await,
        };
        let submitted = match made {
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
        if submitted.seq == Seq::ZERO {
            return Ok(submitted);
        }
        // From here on no lease is renewed by an answer that does not know of this order.
        let last = submitted.then.as_ref().map_or(submitted.seq, |then| then.seq);
        let _ = self.ledger.end().wait_for(|end| end.seq >= last).await;
        let known_at = Moment { steady: self.clock.now(), wall_ms: self.clock.wall_ms() };
        let (first, second) = (submitted.task, submitted.then.as_ref().map(|then| then.task));
        // One that was cancelled before it began is named all the same.
        let second = second.or(pending.and_then(|task| task.then));
        self.watch(&submitted, TaskRecord { then: second, ..unsubmitted }, known_at);
        if let (Some(submitted), Some(unsubmitted)) = (&submitted.then, then) {
            self.watch(submitted, TaskRecord { after: Some(first), ..unsubmitted }, known_at);
        }
        Ok(submitted)
    }

    /// Watches a task that is durable from now on.
    fn watch(&self, submitted: &Submitted, unsubmitted: TaskRecord, known_at: Moment) {
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
    }
}

/// The task as the ledger will keep it, but for what only the ledger can say: number, place, scope and fence.
fn record(submission: &Submission) -> TaskRecord {
    let domains: BTreeSet<&String> = submission.lines.iter().map(|line| &line.domain).collect();
    TaskRecord {
        id: TaskId(0),
        account: submission.account.clone(),
        kind: submission.kind,
        mode: submission.mode,
        area: submission.area,
        status: Status::Running,
        seq: Seq::ZERO,
        fence_from: None,
        lines: submission.lines.len() as u64,
        domains: domains.into_iter().cloned().collect(),
        follow: submission.follow.clone(),
        submitted_ms: submission.at_ms,
        ended_ms: None,
        steps: Vec::new(),
        not_before_ms: submission.not_before_ms,
        cut: submission.cut,
        terms: submission.terms.clone(),
        holds: submission.holds,
        reason: None,
        then: None,
        after: None,
        refill: submission.refill.as_ref().map(|refill| refill.bound),
    }
}
