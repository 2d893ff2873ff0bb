//! The names of control's metrics.

use metrics::{Unit, describe_counter, describe_gauge};

/// Tasks accepted, by kind.
pub(crate) const TASKS_SUBMITTED: &str = "freshen_control_tasks_submitted_total";
/// Tasks ended, by kind and status.
pub(crate) const TASKS_ENDED: &str = "freshen_control_tasks_ended_total";
/// Tasks that have not ended.
pub(crate) const TASKS_RUNNING: &str = "freshen_control_tasks_running";
/// Steps of purges that ended by the fence.
pub(crate) const STEPS_FENCED: &str = "freshen_control_steps_fenced_total";
/// Heartbeats that counted.
pub(crate) const HEARTBEATS: &str = "freshen_control_heartbeats_total";
/// Heartbeats that did not count, by standing.
pub(crate) const HEARTBEATS_REFUSED: &str = "freshen_control_heartbeats_refused_total";
/// The log's end.
pub(crate) const LOG_END: &str = "freshen_control_log_end";
/// Writes the ledger failed.
pub(crate) const LEDGER_FAILURES: &str = "freshen_control_ledger_failures_total";

/// Describes them to the recorder that is installed.
pub(crate) fn describe() {
    describe_counter!(TASKS_SUBMITTED, Unit::Count, "Tasks accepted, by kind.");
    describe_counter!(TASKS_ENDED, Unit::Count, "Tasks ended, by kind and status.");
    describe_gauge!(TASKS_RUNNING, Unit::Count, "Tasks that have not ended.");
    describe_counter!(STEPS_FENCED, Unit::Count, "POPs that a purge counted as fenced instead of confirmed.");
    describe_counter!(HEARTBEATS, Unit::Count, "Heartbeats of POPs that counted.");
    describe_counter!(HEARTBEATS_REFUSED, Unit::Count, "Heartbeats of POPs that did not count, by standing.");
    describe_gauge!(LOG_END, Unit::Count, "The place of the newest order in the fleet log.");
    describe_counter!(
        LEDGER_FAILURES,
        Unit::Count,
        "Background writes that the ledger failed; they are tried again."
    );
}
