//! What POPs have signed: taken in, counted up for people, and put together as certificates.

use crate::control::Control;
use crate::members::Members;
use freshen_fleet::wire::Receipts;
use freshen_ledger::{Error, PopReceipt, ReceiptsKept, TaskReceipts};
use freshen_model::certificate::{Certificate, CertificateFile, FORM, Keys, PopPart};
use freshen_model::count::{Counted, Counts, PopCount};
use freshen_model::ids::{OrderId, PopId, TaskId};
use freshen_model::protocol::roster::DRIFT_PERCENT;
use freshen_model::receipt::{Signed, Statement};
use freshen_model::task::{Status, Step, StepState, Task, TaskKind};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tracing::warn;

/// Who waits for receipts of which task.
#[derive(Default)]
pub(crate) struct News {
    waiting: Mutex<HashMap<TaskId, (usize, Arc<Notify>)>>,
}

/// Somebody who waits for receipts of a task.
struct Waiter<'a> {
    news: &'a News,
    task: TaskId,
    notify: Arc<Notify>,
}

impl News {
    fn wait_for(&self, task: TaskId) -> Waiter<'_> {
        let mut waiting = self.waiting.lock();
        let (waiters, notify) = waiting.entry(task).or_default();
        *waiters += 1;
        Waiter { news: self, task, notify: notify.clone() }
    }

    fn tell(&self, tasks: &[TaskId], all: bool) {
        let waiting = self.waiting.lock();
        let told: Vec<_> = match all {
            true => waiting.values().collect(),
            false => tasks.iter().filter_map(|task| waiting.get(task)).collect(),
        };
        told.into_iter().for_each(|(_, notify)| notify.notify_waiters());
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.news.waiting.lock();
        if let Some((waiters, _)) = waiting.get_mut(&self.task) {
            *waiters -= 1;
            if *waiters == 0 {
                waiting.remove(&self.task);
            }
        }
    }
}

impl Members {
    /// Keeps what a POP signed, once every signature is verified; the inner error refuses the whole.
    pub(crate) async fn keep_receipts(&self, receipts: &Receipts) -> Result<Result<(), String>, Error> {
        if let Err(why) = self.may_sign(receipts) {
            return Ok(Err(why));
        }
        let (pop, key, signed) = (receipts.pop.clone(), receipts.key, receipts.statements.clone());
        let verified = tokio::task::spawn_blocking(move || {
            let verify = |signed: Signed| {
                let statement = signed.verified(&key).map_err(|why| why.to_string())?;
                if signer(&statement) != Some(&pop) {
                    return Err(format!("it is no statement of {pop}"));
                }
                Ok((statement, signed))
            };
            signed.into_iter().map(verify).collect::<Result<Vec<_>, String>>()
        });
        let statements = match verified.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(statements) => statements,
            Err(why) => {
                warn!(pop = %receipts.pop, %why, "a receipt is refused");
                return Ok(Err(format!("a receipt: {why}")));
            }
        };
        let all = statements.iter().any(|(statement, _)| matches!(statement, Statement::StartedOver(_)));
        let kept = ReceiptsKept {
            pop: receipts.pop.clone(),
            data: receipts.data,
            key: receipts.key,
            at_ms: self.wall_ms(),
            statements,
        };
        let (tasks, another_key) = self.ledger().keep_receipts(kept).await?;
        if another_key {
            let (pop, key) = (&receipts.pop, &receipts.key);
            warn!(%pop, %key, "signs with another key than before; both are kept");
        }
        self.news.tell(&tasks, all);
        Ok(Ok(()))
    }
}

fn signer(statement: &Statement) -> Option<&PopId> {
    match statement {
        Statement::Confirmed(confirmed) => Some(&confirmed.order.pop),
        Statement::Accounted(accounted) => Some(&accounted.order.pop),
        Statement::StartedOver(over) => Some(&over.pop),
        Statement::Certificate(_) => None,
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum NoCertificate {
    /// There is no such task, or it is another account's.
    #[error("there is no task {0}")]
    NotFound(TaskId),
    /// Only purges have one.
    #[error("task {0} is a prefetch; certificates are of purges")]
    NoPurge(TaskId),
    /// Not complete yet.
    #[error("task {0} is {status}; a certificate is of a complete purge", status = .1.as_str())]
    NotComplete(TaskId, Status),
    /// From before there were receipts.
    #[error("task {0} was submitted before POPs signed receipts")]
    TooOld(TaskId),
    /// POPs have confirmed, and their signatures are still to come.
    #[error("not signed yet by {}; try again in a moment", .0.iter().map(PopId::as_str).collect::<Vec<_>>().join(", "))]
    Unsigned(Vec<PopId>),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] Error),
}

impl Control {
    /// What each POP counted of a task; `None` for prefetches, and for tasks without an order.
    pub async fn counts(&self, task: &Task) -> Result<Option<Counts>, Error> {
        if task.kind == TaskKind::Prefetch || task.pops.is_empty() {
            return Ok(None);
        }
        let receipts = self.ledger.receipts(task.id, task.seq).await?;
        let there: Vec<PopId> = self.members.all().into_iter().map(|member| member.record.id).collect();
        let counted = |step: &Step| {
            let counted = counted(step, &receipts, there.contains(&step.pop));
            PopCount { pop: step.pop.clone(), counted }
        };
        Ok(Some(Counts::of(task.pops.iter().map(counted).collect())))
    }

    /// The same, once no POP is counting or `patience` is over.
    pub async fn counts_within(&self, task: &Task, patience: Duration) -> Result<Option<Counts>, Error> {
        let settled = |counts: &Option<Counts>| counts.as_ref().is_none_or(|counts| counts.settled);
        self.receipts_within(task.id, patience, || self.counts(task), settled).await
    }

    /// The certificate of a complete purge; waits for signatures and counts until `patience` is over.
    pub async fn certificate(
        &self,
        account: Option<&str>,
        id: TaskId,
        patience: Duration,
    ) -> Result<CertificateFile, NoCertificate> {
        let task = self.task(account, id).await?.ok_or(NoCertificate::NotFound(id))?;
        if task.kind == TaskKind::Prefetch {
            return Err(NoCertificate::NoPurge(id));
        }
        let (Status::Complete, Some(ended_ms)) = (task.status, task.ended_ms) else {
            return Err(NoCertificate::NotComplete(id, task.status));
        };
        self.counts_within(&task, patience).await?;
        let receipts = self.ledger.receipts(id, task.seq).await?;
        let (order, rules) = receipts.order.clone().ok_or(NoCertificate::TooOld(id))?;
        let pops: Vec<PopPart> = task.pops.iter().map(|step| part(step, &receipts)).collect();
        let unsigned = |part: &&PopPart| {
            let confirmed = matches!(part.state, StepState::Confirmed { .. });
            confirmed && part.confirmed.is_none() && part.started_over.is_none()
        };
        let unsigned: Vec<PopId> = pops.iter().filter(unsigned).map(|part| part.pop.clone()).collect();
        if !unsigned.is_empty() {
            return Err(NoCertificate::Unsigned(unsigned));
        }
        let lines = self.ledger.task_lines(id).await?.into_iter().map(|line| line.url).collect();
        let certificate = self.certificate_of(task, ended_ms, (order, rules), lines, pops);
        let signed = self.receipt_key.sign(&Statement::Certificate(Box::new(certificate)));
        Ok(CertificateFile { key: self.receipt_key.public(), signed })
    }

    fn certificate_of(
        &self,
        task: Task,
        ended_ms: i64,
        (order, rules): (OrderId, Vec<String>),
        lines: Vec<String>,
        pops: Vec<PopPart>,
    ) -> Certificate {
        let lease = self.members.terms().in_force;
        Certificate {
            form: FORM,
            log: self.log_id(),
            task: task.id,
            kind: task.kind,
            mode: task.mode,
            order,
            seq: task.seq,
            submitted_ms: task.submitted_ms,
            ended_ms,
            issued_ms: self.wall_ms(),
            lines,
            rules,
            lease_ms: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
            drift_percent: DRIFT_PERCENT,
            pops,
        }
    }

    /// The keys that certificates are verified with.
    pub async fn receipt_keys(&self) -> Result<Keys, Error> {
        Ok(Keys { control: self.receipt_key.public(), pops: self.ledger.receipt_keys().await? })
    }

    async fn receipts_within<T, F: Future<Output = Result<T, Error>>>(
        &self,
        task: TaskId,
        patience: Duration,
        read: impl Fn() -> F,
        enough: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        let waiter = self.members.news.wait_for(task);
        let over = tokio::time::sleep(patience);
        tokio::pin!(over);
        loop {
            let mut told = std::pin::pin!(waiter.notify.notified());
            // From here on nothing is missed, though it be told before it is awaited.
            told.as_mut().enable();
            let there = read().await?;
            if enough(&there) {
                return Ok(there);
            }
            tokio::select! {
                () = told => {}
                () = &mut over => return Ok(there),
            }
        }
    }
}

fn counted(step: &Step, receipts: &TaskReceipts, there: bool) -> Counted {
    let started_over = || receipts.starts_over.iter().any(|(pop, ..)| *pop == step.pop);
    let of_pop = |receipt: &&PopReceipt| receipt.pop == step.pop;
    let accounted = receipts.pops.iter().find(of_pop).and_then(|receipt| receipt.accounted.as_ref());
    if let Some(Ok(Statement::Accounted(accounted))) = accounted.map(Signed::unverified) {
        return Counted::done(accounted.count, accounted.reclaimed);
    }
    match &step.state {
        _ if receipts.order.is_none() || !there => Counted::Unknown,
        StepState::Confirmed { .. } if started_over() => Counted::Everything,
        StepState::Waiting | StepState::Confirmed { .. } => Counted::Counting,
        _ => Counted::Unknown,
    }
}

fn part(step: &Step, receipts: &TaskReceipts) -> PopPart {
    let signed = receipts.pops.iter().find(|receipt| receipt.pop == step.pop);
    let confirmed = signed.and_then(|receipt| receipt.confirmed.clone());
    let mut part = PopPart {
        pop: step.pop.clone(),
        state: step.state.clone(),
        key: signed.map(|receipt| receipt.key),
        accounted: signed.and_then(|receipt| receipt.accounted.clone()),
        started_over: None,
        confirmed,
    };
    // A start over is the word of a POP that never applied the order itself; one key speaks for a part.
    let over = receipts.starts_over.iter().find(|(pop, ..)| *pop == step.pop);
    if let (None, Some((_, key, over))) = (&part.confirmed, over) {
        part.accounted = part.accounted.filter(|_| part.key == Some(*key));
        (part.key, part.started_over) = (Some(*key), Some(over.clone()));
    }
    part
}
