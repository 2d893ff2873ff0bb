//! How a client command ends: its exit code.

use super::connection::ClientError;
use std::process::ExitCode;

/// For the help of commands that submit.
pub const EXIT_CODES: &str = "Exit codes:
  0  accepted; with --wait: complete
  1  failed, or done in part only
  2  refused: nothing was submitted
  3  still running after --timeout; the task goes on
  4  control is not reached";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted or, where waited for, complete.
    Done,
    /// Failed, or done in part only.
    Failed,
    /// Refused: nothing was changed.
    Refused,
    /// Not ended in time; it goes on.
    StillRunning,
    /// Control is not reached.
    Unreachable,
}

impl Outcome {
    /// The exit code.
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Refused => 2,
            Outcome::StillRunning => 3,
            Outcome::Unreachable => 4,
        })
    }

    /// What an error comes to.
    pub fn of(error: &ClientError) -> Outcome {
        match error {
            ClientError::Unreachable { .. } => Outcome::Unreachable,
            ClientError::Refused(_) | ClientError::Usage(_) => Outcome::Refused,
            ClientError::Failed(_) => Outcome::Failed,
        }
    }
}
