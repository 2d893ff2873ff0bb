//! The messages between control and a POP: JSON, one a line where they stream.

use freshen_model::check::{CheckAnswer, CheckQuestion, Tried, TryQuestion};
use freshen_model::expand::{ExpandQuestion, ExpandedLine};
use freshen_model::ids::{DataId, LogId, OrderId, PopId, Seq};
use freshen_model::order::{Order, Snapshot};
use freshen_model::peers::Peers;
use freshen_model::preview::{Preview, PreviewQuestion};
use freshen_model::receipt::{Digest, PublicKey, Signed};
use freshen_model::secret::Secret;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where the POP opens its stream of orders; `POST` with a [`Position`], answered by lines of [`Push`].
pub const FOLLOW_PATH: &str = "/fleet/follow";
/// Where heartbeats go; `POST` with a heartbeat, answered by its answer.
pub const HEARTBEAT_PATH: &str = "/fleet/heartbeat";
/// Where answers to questions go; `POST` with a [`Reply`].
pub const REPLY_PATH: &str = "/fleet/reply";
/// Where receipts go; `POST` with [`Receipts`]. Whatever control answers with success is durable there.
pub const RECEIPTS_PATH: &str = "/fleet/receipts";

/// Where a POP asks for a domain's certificate; `POST` with a [`CertificateWanted`], answered by a [`HandedCertificate`].
/// By TLS only.
pub const CERTIFICATE_PATH: &str = "/fleet/certificate";

/// The longest line or body of the fleet's protocol; an order of 1,000 of the longest URLs fits three times.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// How many bytes of orders go into one line where a POP catches up.
pub const BATCH_BYTES: usize = 1 << 20;
/// Control says something on every stream at least this often, so that silence means a broken connection.
pub const PING_EVERY_MS: u64 = 2_000;

/// Where a POP stands when it asks for the orders behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The POP.
    pub pop: PopId,
    /// The log it follows; absent: none, or it has to start over.
    pub log: Option<LogId>,
    /// Its watermark.
    pub watermark: Seq,
    /// The id of the order at the watermark.
    pub watermark_id: OrderId,
    /// Whether it knows [`Push::Peers`].
    #[serde(default)]
    pub takes_peers: bool,
    /// Whether it knows [`Question::Expand`] and [`Question::Try`]; one that does not would take either for nonsense, and
    /// connect anew.
    #[serde(default)]
    pub expands: bool,
    /// Whether it knows [`Push::Certificates`], and has a listener where they would be shown.
    #[serde(default)]
    pub takes_certificates: bool,
}

/// Which certificate a domain has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateName {
    /// The domain, lower case.
    pub domain: String,
    /// Its digest, see [`crate::Certified::digest`].
    pub digest: Digest,
}

/// The domain whose certificate a POP asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateWanted {
    /// The POP.
    pub pop: PopId,
    /// The domain.
    pub domain: String,
}

/// A domain's certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedCertificate {
    /// The domain.
    pub domain: String,
    /// With its chain, PEM.
    pub chain: String,
    /// The key, PEM.
    pub key: Secret,
}

/// Statements that one message of [`Receipts`] may bring.
pub const STATEMENTS_MAX: usize = 512;

/// What a POP has signed and control has not yet acknowledged. Sent beside the heartbeats, so that neither leases nor
/// confirmations wait for a signature; with no statements at a start, to make the key known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipts {
    /// The POP.
    pub pop: PopId,
    /// Its data folder, where the key lies too.
    pub data: DataId,
    /// What its signatures are verified with.
    pub key: PublicKey,
    /// At most [`STATEMENTS_MAX`].
    pub statements: Vec<Signed>,
}

/// What control pushes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// Void everything and take up this state.
    Snapshot(Snapshot),
    /// Orders that follow each other.
    Orders {
        /// The log they are of.
        log: LogId,
        /// Oldest first.
        orders: Vec<Order>,
    },
    /// A question, to be answered by a [`Reply`] of the same number.
    Ask {
        /// The question's number.
        number: u64,
        /// What is asked.
        question: Question,
    },
    /// The other POPs as they are now, to a POP that takes them.
    Peers(Peers),
    /// Which domains have a certificate now, all of them, to a POP that takes them.
    Certificates(Arc<Vec<CertificateName>>),
    /// Still there.
    Ping,
}

/// What control asks of a POP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// What would a viewer get?
    Check(CheckQuestion),
    /// What would these rules match?
    Preview(PreviewQuestion),
    /// What would these lines of a prefetch lead to? Only to a POP that knows the question.
    Expand(ExpandQuestion),
    /// Does the origin of these settings, which no order brought, answer? Only to a POP that knows the question.
    Try(Box<TryQuestion>),
}

/// What a POP answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answered {
    /// To a check.
    Check(CheckAnswer),
    /// To a preview.
    Preview {
        /// The POP's watermark when it looked.
        watermark: Seq,
        /// What would be matched.
        found: Preview,
    },
    /// To what a prefetch would do.
    Expanded {
        /// Line by line.
        lines: Vec<ExpandedLine>,
    },
    /// To a trial.
    Tried(Tried),
}

/// A POP's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The question's number.
    pub number: u64,
    /// The answer, or why there is none.
    pub answer: Result<Answered, String>,
}
