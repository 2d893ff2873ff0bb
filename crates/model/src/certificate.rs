//! Certificates: what all POPs in a purge's scope say of it, signed as a whole by control, and how that is verified
//! without asking anybody.

use crate::ids::{LogId, OrderId, PopId, Seq, TaskId};
use crate::receipt::{Accounted, OrderName, PublicKey, Signed, Statement, Unproven, digest_of};
use crate::rule::Mode;
use crate::task::{StepState, TaskKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The form of certificates that this program makes and verifies.
pub const FORM: u32 = 1;

/// What control says of a purge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// [`FORM`].
    pub form: u32,
    /// The log.
    pub log: LogId,
    /// The task.
    pub task: TaskId,
    /// What it purged.
    #[serde(rename = "type")]
    pub kind: TaskKind,
    /// Expire or evict.
    pub mode: Option<Mode>,
    /// Its order's random name.
    pub order: OrderId,
    /// Its order's place in the log.
    pub seq: Seq,
    /// When it was accepted, by control's wall clock, milliseconds since 1970, as all times here that no POP signed.
    pub submitted_ms: i64,
    /// When it was complete.
    pub ended_ms: i64,
    /// When this was made.
    pub issued_ms: i64,
    /// The lines as submitted.
    pub lines: Vec<String>,
    /// The rules made of them, each as orders carry it.
    pub rules: Vec<String>,
    /// The longest lease that a POP could hold, milliseconds.
    pub lease_ms: u64,
    /// By how much clocks may run apart, percent.
    pub drift_percent: u32,
    /// Every POP in scope.
    pub pops: Vec<PopPart>,
}

impl Certificate {
    /// How long after the append of the order a POP that is silent counts as fenced.
    pub fn fence_ms(&self) -> u64 {
        let lease = Duration::from_millis(self.lease_ms);
        (lease + lease * self.drift_percent / 100).as_millis() as u64
    }
}

/// One POP's part in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PopPart {
    /// The POP.
    pub pop: PopId,
    /// How far it was.
    #[serde(flatten)]
    pub state: StepState,
    /// What it signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
    /// That it applied the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Signed>,
    /// What the order matched there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounted: Option<Signed>,
    /// That it gave up everything it held, behind the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_over: Option<Signed>,
}

/// The file that `freshen task receipt` writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFile {
    /// Control's key.
    pub key: PublicKey,
    /// The [`Certificate`], signed with it.
    #[serde(flatten)]
    pub signed: Signed,
}

/// A key with whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PopKey {
    /// The POP that signed with it.
    pub pop: PopId,
    /// The key.
    pub key: PublicKey,
    /// When control first heard of it, wall-clock milliseconds since 1970.
    pub first_ms: i64,
}

/// The keys of an installation, as somebody who verifies its certificates keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Keys {
    /// Control's.
    pub control: PublicKey,
    /// Those of all POPs so far, the oldest first.
    pub pops: Vec<PopKey>,
}

/// What makes a certificate worthless, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Control did not sign it.
    #[error("the certificate as a whole: {0}")]
    Whole(Unproven),
    /// It is of another control than the one trusted.
    #[error("it is signed by {found}, and control's key is {trusted}")]
    ForeignControl {
        /// Who signed.
        found: PublicKey,
        /// Who should have.
        trusted: PublicKey,
    },
    /// Of a form that this program does not know.
    #[error("it is of form {0}, this program knows form {FORM}")]
    Form(u32),
    /// It names no POP.
    #[error("it names no POP")]
    NoPops,
    /// A statement in it is not what its POP signed.
    #[error("{pop}, {part}: {why}")]
    Statement {
        /// The POP.
        pop: PopId,
        /// Which.
        part: &'static str,
        /// What is wrong.
        why: Unproven,
    },
    /// A statement speaks of something else: another POP, task, order, place or log.
    #[error("{pop}, {part}: it speaks of another {what}")]
    Other {
        /// The POP.
        pop: PopId,
        /// Which.
        part: &'static str,
        /// Another what.
        what: &'static str,
    },
    /// The POP applied other rules than the certificate lists.
    #[error("{0}: the rules it applied are not those listed")]
    Rules(PopId),
    /// The POP's key is none of those trusted.
    #[error("{pop}: the key {key} is not known as one of this POP's")]
    ForeignKey {
        /// The POP.
        pop: PopId,
        /// The key.
        key: PublicKey,
    },
    /// The POP has confirmed, so control says, and no statement of the POP shows it.
    #[error("{0}: nothing that it signed shows that it confirmed")]
    Unsigned(PopId),
    /// The POP is neither confirmed nor fenced nor removed.
    #[error("{0}: neither confirmed nor fenced")]
    Open(PopId),
}

/// What shows that one POP is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// It signed that it applied the order.
    Confirmed {
        /// When, by its wall clock.
        applied_ms: i64,
        /// What it signed to have matched; absent while it counted.
        accounted: Option<Accounted>,
    },
    /// It signed that it gave up everything, behind the order.
    StartedOver {
        /// When, by its wall clock.
        at_ms: i64,
    },
    /// Control says that its own clock keeps it from using what the order forbids.
    Fenced {
        /// When, by control's wall clock.
        at_ms: i64,
    },
    /// Control says that it was removed.
    Removed,
    /// Nothing.
    None,
}

/// What a certificate comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// What it says; absent where it cannot be read.
    pub certificate: Option<Certificate>,
    /// What shows that each POP is done.
    pub pops: Vec<(PopId, Proof)>,
    /// What is wrong; empty for a certificate that holds.
    pub faults: Vec<Fault>,
}

/// Verifies a certificate; `trusted` are keys that came another way than with it.
pub fn verify(file: &CertificateFile, trusted: Option<&Keys>) -> Findings {
    let mut findings = Findings { certificate: None, pops: Vec::new(), faults: Vec::new() };
    if let Some(trusted) = trusted.map(|keys| keys.control).filter(|key| *key != file.key) {
        findings.faults.push(Fault::ForeignControl { found: file.key, trusted });
    }
    if let Err(why) = file.signed.verified(&file.key) {
        findings.faults.push(Fault::Whole(why));
    }
    let Ok(Statement::Certificate(certificate)) = file.signed.unverified() else {
        findings.faults.push(Fault::Whole(Unproven::Unknown));
        return findings;
    };
    if certificate.form != FORM {
        findings.faults.push(Fault::Form(certificate.form));
        return findings;
    }
    if certificate.pops.is_empty() {
        findings.faults.push(Fault::NoPops);
    }
    for part in &certificate.pops {
        let proof =
            PartCheck { certificate: &certificate, part, trusted, faults: &mut findings.faults }.run();
        findings.pops.push((part.pop.clone(), proof));
    }
    findings.certificate = Some(*certificate);
    findings
}

/// The check of one POP's part.
struct PartCheck<'a> {
    certificate: &'a Certificate,
    part: &'a PopPart,
    trusted: Option<&'a Keys>,
    faults: &'a mut Vec<Fault>,
}

impl PartCheck<'_> {
    fn run(mut self) -> Proof {
        let pop = self.part.pop.clone();
        if let (Some(key), Some(trusted)) = (self.part.key, self.trusted)
            && !trusted.pops.iter().any(|known| known.pop == pop && known.key == key)
        {
            self.faults.push(Fault::ForeignKey { pop: pop.clone(), key });
        }
        let confirmed = self.confirmed();
        let accounted = self.accounted();
        let started_over = self.started_over();
        match &self.part.state {
            _ if let Some(applied_ms) = confirmed => Proof::Confirmed { applied_ms, accounted },
            _ if let Some(at_ms) = started_over => Proof::StartedOver { at_ms },
            StepState::Fenced { at_ms, .. } => Proof::Fenced { at_ms: *at_ms },
            StepState::Removed { .. } => Proof::Removed,
            StepState::Confirmed { .. } => {
                self.faults.push(Fault::Unsigned(pop));
                Proof::None
            }
            _ => {
                self.faults.push(Fault::Open(pop));
                Proof::None
            }
        }
    }

    fn confirmed(&mut self) -> Option<i64> {
        let Statement::Confirmed(confirmed) = self.read("confirmed", self.part.confirmed.as_ref())? else {
            return self.other("confirmed", "kind of thing");
        };
        self.same_order("confirmed", &confirmed.order)?;
        let rules = &self.certificate.rules;
        if confirmed.rules != rules.len() as u64 || confirmed.digest != digest_of(rules) {
            self.faults.push(Fault::Rules(self.part.pop.clone()));
            return None;
        }
        if confirmed.watermark < self.certificate.seq {
            return self.other("confirmed", "place");
        }
        Some(confirmed.applied_ms)
    }

    fn accounted(&mut self) -> Option<Accounted> {
        let Statement::Accounted(accounted) = self.read("accounted", self.part.accounted.as_ref())? else {
            return self.other("accounted", "kind of thing");
        };
        self.same_order("accounted", &accounted.order)?;
        Some(accounted)
    }

    fn started_over(&mut self) -> Option<i64> {
        let part = "started over";
        let Statement::StartedOver(over) = self.read(part, self.part.started_over.as_ref())? else {
            return self.other(part, "kind of thing");
        };
        match () {
            () if over.pop != self.part.pop => self.other(part, "POP"),
            () if over.log != self.certificate.log => self.other(part, "log"),
            () if over.seq < self.certificate.seq => self.other(part, "place"),
            () => Some(over.at_ms),
        }
    }

    fn read(&mut self, part: &'static str, signed: Option<&Signed>) -> Option<Statement> {
        let signed = signed?;
        let read = match &self.part.key {
            Some(key) => signed.verified(key),
            None => Err(Unproven::Signature),
        };
        let fault = |why| Fault::Statement { pop: self.part.pop.clone(), part, why };
        read.map_err(|why| self.faults.push(fault(why))).ok()
    }

    fn same_order(&mut self, part: &'static str, order: &OrderName) -> Option<()> {
        let due = self.certificate;
        let what = match () {
            () if order.pop != self.part.pop => "POP",
            () if order.log != due.log => "log",
            () if order.task != due.task => "task",
            () if order.order != due.order => "order",
            () if order.seq != due.seq => "place",
            () => return Some(()),
        };
        self.other(part, what)
    }

    fn other<T>(&mut self, part: &'static str, what: &'static str) -> Option<T> {
        self.faults.push(Fault::Other { pop: self.part.pop.clone(), part, what });
        None
    }
}

#[cfg(test)]
mod tests;
