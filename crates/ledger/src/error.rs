//! What can go wrong with the ledger: a refusal a caller acts on, or an engine that failed.

use freshen_model::ids::TaskId;
use freshen_model::quota::Quota;

/// Why a call changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call asks for something that cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The engine failed; the text is for the operator's log.
    #[error("ledger: {0}")]
    Engine(String),
}

/// A call that asks for something that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It is there already.
    #[error("{what} {name:?} exists already")]
    Exists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It is not there.
    #[error("no {what} {name:?}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It does not go together with what is there.
    #[error("{0}")]
    Unfit(String),
    /// More lines than the account has left today; nothing was counted.
    #[error("{lines} lines, but {} of {} {} entries are left today", quota.remaining(), quota.limit, quota.kind.as_str())]
    OverQuota {
        /// What is left.
        quota: Quota,
        /// What was asked for.
        lines: u64,
    },
    /// The same was submitted before, as this task.
    #[error("this was submitted before, as task {0}")]
    Repeated(TaskId),
    /// Something else was submitted under this key.
    #[error("{0:?} came with another request before: send a new idempotency key with a new request")]
    KeyReused(String),
    /// The settings of this domain changed since they were read.
    #[error("the settings of {0} changed meanwhile")]
    SettingsChanged(String),
}
