//! The operation record: what was submitted, and how far it is.

pub(crate) mod list;
pub(crate) mod live;
pub(crate) mod record;
mod steps;

use freshen_model::task::{StepState, Task, TaskKind};
use maud::{Markup, html};

/// A kind as people call it.
pub(crate) fn kind(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Url => "purge URL",
        TaskKind::Directory => "purge folder",
        TaskKind::Query => "purge, any query",
        TaskKind::Regex => "purge pattern",
        TaskKind::Tag => "purge tag",
        TaskKind::Host => "purge domain",
        TaskKind::Prefetch => "prefetch",
    }
}

/// How far a task is, in a word and, while it goes on, a bar.
pub(crate) fn state(task: &Task) -> Markup {
    let word = task.status.as_str();
    html! {
        @if !task.status.ended() && task.seq.0 > 0 {
            progress max="100" value=(task.percent) aria-label="done" { (task.percent) " %" }
            " " (task.percent) " %"
            @if task.holds.paused { " " span .warn .hold { "paused" } } @else if task.holds.outside_window { " " span .warn .hold { "outside its hours" } }
        } @else {
            span .state .(class(word)) { (word) }
            @if task.pops.iter().any(|step| matches!(step.state, StepState::Cancelled { .. })) { " " span .faint { "cancelled" } }
        }
    }
}

/// The colour of a status.
fn class(word: &str) -> &'static str {
    match word {
        "complete" => "good",
        "failed" => "ill",
        _ => "warn",
    }
}
