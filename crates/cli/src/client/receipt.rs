//! `freshen receipt`: verifies certificates of purges, without asking anybody.

use super::connection::{ClientError, Connection, print_json};
use super::file;
use super::outcome::Outcome;
use crate::say::say;
use clap::Subcommand;
use freshen_model::certificate::{Certificate, CertificateFile, Fault, Findings, Keys, Proof, verify};
use freshen_model::rule::Mode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A certificate or key file is shorter.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// For the help of `receipt verify`.
pub const EXIT_CODES: &str = "Exit codes:
  0  it holds: every POP is shown to be done, or named as fenced or removed
  1  it does not hold; each fault is told
  2  the file cannot be read, or is no certificate";

/// What may be done with receipts.
#[derive(Subcommand)]
pub enum ReceiptCommand {
    /// Verify a certificate made by `freshen task receipt`; asks nobody.
    #[command(after_help = EXIT_CODES)]
    Verify {
        /// The certificate; `-` is standard input.
        file: PathBuf,
        /// Keys that came another way than with the certificate, as `freshen receipt keys` prints them.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print the keys that certificates of this installation are verified with.
    Keys {
        #[command(flatten)]
        connection: Connection,
    },
}

impl ReceiptCommand {
    /// Does it, and prints.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            ReceiptCommand::Verify { file, key, json } => {
                let certificate: CertificateFile = read(&file, "certificate")?;
                let keys: Option<Keys> = key.map(|key| read(&key, "file of keys")).transpose()?;
                let findings = verify(&certificate, keys.as_ref());
                if json {
                    print_json(&Verdict::of(&findings))?
                } else {
                    tell(&findings, keys.is_some())
                }
                Ok(if findings.faults.is_empty() { Outcome::Done } else { Outcome::Failed })
            }
            ReceiptCommand::Keys { connection } => {
                let keys: Keys = connection.open()?.get("/v1/receipt-keys").await?;
                print_json(&keys)?;
                Ok(Outcome::Done)
            }
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, ClientError> {
    let bytes = file::read(path, FILE_BYTES_MAX)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ClientError::Usage(format!("{}: no {what}: {error}", path.display())))
}

/// The findings for programs.
#[derive(Serialize)]
struct Verdict {
    holds: bool,
    faults: Vec<String>,
    pops: Vec<PopVerdict>,
}

#[derive(Serialize)]
struct PopVerdict {
    pop: String,
    proof: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

impl Verdict {
    fn of(findings: &Findings) -> Verdict {
        let pop = |(pop, proof): &(freshen_model::ids::PopId, Proof)| {
            let accounted = match proof {
                Proof::Confirmed { accounted, .. } => accounted.as_ref(),
                _ => None,
            };
            PopVerdict {
                pop: pop.to_string(),
                proof: match proof {
                    Proof::Confirmed { .. } => "confirmed",
                    Proof::StartedOver { .. } => "started_over",
                    Proof::Fenced { .. } => "fenced",
                    Proof::Removed => "removed",
                    Proof::None => "none",
                },
                objects: accounted.map(|accounted| accounted.count.objects),
                bytes: accounted.map(|accounted| accounted.count.bytes),
            }
        };
        Verdict {
            holds: findings.faults.is_empty(),
            faults: findings.faults.iter().map(Fault::to_string).collect(),
            pops: findings.pops.iter().map(pop).collect(),
        }
    }
}

fn tell(findings: &Findings, trusted: bool) {
    let Some(certificate) = &findings.certificate else {
        return tell_faults(&findings.faults);
    };
    say(&format!(
        "task {}: {} of {}, order {} at place {} of log {}",
        certificate.task,
        match certificate.mode {
            Some(Mode::Evict) => "eviction",
            _ => "expiry",
        },
        lines(certificate),
        certificate.order,
        certificate.seq,
        certificate.log
    ));
    for (pop, proof) in &findings.pops {
        say(&format!("  {:<16} {}", pop.as_str(), describe(proof, certificate)));
    }
    if !findings.faults.is_empty() {
        return tell_faults(&findings.faults);
    }
    say("It holds. What this shows:");
    say("  every POP above that confirmed has signed that it durably applied these very rules; from then on");
    say(match certificate.mode {
        Some(Mode::Evict) => "  it answers nobody with what it held of them before.",
        _ => "  it answers with what it held of them only where the origin confirms it as current.",
    });
    if findings.pops.iter().any(|(_, proof)| matches!(proof, Proof::Fenced { .. })) {
        say(&format!(
            "  A fenced POP signed nothing: {} ms after the order its own clock kept it from using its cache unasked",
            certificate.fence_ms()
        ));
        say("  (leases, with clocks that may run apart by the drift named); that is control's word.");
    }
    say(
        "What it does not show: that answers under way had ended, what others hold who fetched before, that the",
    );
    say(
        "  origin gives nothing of it out again, or that the times are true: they are the machines' own clocks.",
    );
    if trusted {
        say("  The keys are among those given with --key.");
    } else {
        say(
            "  Whose the keys are: they came with the certificate. Compare them by --key with keys got another way.",
        );
    }
}

fn tell_faults(faults: &[Fault]) {
    say("It does not hold:");
    for fault in faults {
        say(&format!("  {fault}"));
    }
}

fn lines(certificate: &Certificate) -> String {
    match certificate.lines.as_slice() {
        [one] => one.clone(),
        lines => format!("{} lines", lines.len()),
    }
}

fn describe(proof: &Proof, certificate: &Certificate) -> String {
    match proof {
        Proof::Confirmed { applied_ms, accounted } => {
            let counted = accounted.as_ref().map_or("not counted yet".into(), |accounted| {
                let counted = freshen_model::count::Counted::done(accounted.count, accounted.reclaimed);
                super::counts::of_pop(&counted).unwrap_or_default()
            });
            format!("confirmed {} ms after the submission; {counted}", applied_ms - certificate.submitted_ms)
        }
        Proof::StartedOver { at_ms } => format!(
            "gave up everything it held, {} ms after the submission",
            at_ms - certificate.submitted_ms
        ),
        Proof::Fenced { at_ms } => {
            format!("fenced {} ms after the submission; it signed nothing", at_ms - certificate.submitted_ms)
        }
        Proof::Removed => "removed from the fleet; it signed nothing".into(),
        Proof::None => "NOTHING SHOWS THAT IT IS DONE".into(),
    }
}
