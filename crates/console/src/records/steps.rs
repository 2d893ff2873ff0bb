//! How far each POP is with an operation.

use freshen_model::count::{Counted, Counts};
use freshen_model::task::{Progress, Step, StepState, Task, TaskKind};
use maud::{Markup, html};

use crate::moment;

/// Failures that are shown of a record.
const FAILURES_SHOWN: usize = 100;

/// Every POP in scope.
pub(super) fn table(task: &Task, counts: Option<&Counts>) -> Markup {
    if task.pops.is_empty() {
        return html! { p .faint { "It has not begun: no POP knows of it yet." } };
    }
    html! {
        div .scroll { table {
            thead { tr {
                th { "POP" } th { "State" } th .num { "After" }
                @if task.kind == TaskKind::Prefetch {
                    th .progress { "Bytes" } th .num { "Files warm" } th .num { "Failed" } th .num { "Outside" } th .num { "From the origin" }
                } @else {
                    th .num { "Objects matched" } th .num { "Bytes" } th .num { "Reclaimed" }
                }
            } }
            tbody {
                @for step in &task.pops {
                    @if task.kind == TaskKind::Prefetch { (prefetched(task, step)) } @else { (purged(task, step, counts)) }
                }
            }
        } }
    }
}

/// The state in a word, its colour, when it was reached, and how far it had come.
fn told(state: &StepState) -> (&'static str, &'static str, Option<i64>, Option<&Progress>) {
    match state {
        StepState::Waiting => ("waiting", "warn", None, None),
        StepState::Confirmed { at_ms, fenced_at_ms: None } => ("confirmed", "good", Some(*at_ms), None),
        StepState::Confirmed { at_ms, .. } => ("confirmed, after it was fenced", "good", Some(*at_ms), None),
        StepState::Fenced { at_ms, .. } => {
            ("fenced: cut off, and bound by its clock", "warn", Some(*at_ms), None)
        }
        StepState::Fetching { progress, .. } => ("fetching", "warn", None, Some(progress)),
        StepState::Warm { progress, at_ms, .. } => ("warm", "good", Some(*at_ms), Some(progress)),
        StepState::Failed { progress, at_ms, .. } => ("failed", "ill", Some(*at_ms), Some(progress)),
        StepState::Overdue { progress, at_ms, .. } => ("overdue", "ill", Some(*at_ms), Some(progress)),
        StepState::Cancelled { progress, at_ms } => ("cancelled", "ill", Some(*at_ms), Some(progress)),
        StepState::Removed { at_ms } => ("removed from the fleet", "warn", Some(*at_ms), None),
    }
}

fn beginning(task: &Task, step: &Step) -> Markup {
    let (word, class, at, _) = told(&step.state);
    html! {
        th scope="row" { (step.pop) }
        td { span .state .(class) { (word) } }
        td .num { @if let Some(at) = at { (moment::span(at - task.submitted_ms)) } }
    }
}

fn prefetched(task: &Task, step: &Step) -> Markup {
    let (.., progress) = told(&step.state);
    html! {
        tr {
            (beginning(task, step))
            @match progress {
                Some(progress) => {
                    td .progress {
                        @if !step.state.ended() {
                            progress max="1000" value=((progress.share() * 1_000.0) as u64) aria-label={ (step.pop) " is done" } {}
                            " "
                        }
                        (moment::bytes(progress.bytes))
                        @if progress.bytes_expected > progress.bytes { " of " (moment::bytes(progress.bytes_expected)) }
                    }
                    td .num { (moment::number(progress.files_warm)) " of " (moment::number(progress.files)) }
                    td .num .ill[progress.files_failed > 0] { (moment::number(progress.files_failed)) }
                    td .num { (moment::number(progress.outside)) }
                    td .num { @if progress.origin_requests > 0 { (moment::bytes(progress.origin_bytes)) " in " (moment::counted(progress.origin_requests, "request")) } @else { "nothing" } }
                }
                None => { td colspan="5" {} }
            }
        }
    }
}

fn purged(task: &Task, step: &Step, counts: Option<&Counts>) -> Markup {
    let counted = counts.and_then(|counts| counts.pops.iter().find(|count| count.pop == step.pop));
    html! {
        tr {
            (beginning(task, step))
            @match counted.map(|count| &count.counted) {
                Some(Counted::Done { count, reclaimed_bytes, .. }) => {
                    td .num { @if !count.exact { "at least " } (moment::number(count.objects)) }
                    td .num { (moment::bytes(count.bytes)) }
                    td .num { (moment::bytes(*reclaimed_bytes)) }
                }
                Some(Counted::Counting) => { td .num .faint colspan="3" { "counting" } }
                Some(Counted::Everything) => { td .num colspan="3" { "all it held: it started over" } }
                Some(Counted::Unknown) | None => { td .num .faint colspan="3" { "not known" } }
            }
        }
    }
}

/// Why files are not warm, POP by POP.
pub(super) fn failures(task: &Task) -> Markup {
    let all = task.pops.iter().flat_map(|step| match &step.state {
        StepState::Failed { failures, .. } => failures.iter().map(|failure| (&step.pop, failure)).collect(),
        _ => Vec::new(),
    });
    let all: Vec<_> = all.collect();
    html! {
        @if !all.is_empty() {
            h2 { "What failed" }
            div .scroll { table {
                thead { tr { th { "POP" } th .num { "Line" } th { "Where" } th { "Why" } } }
                tbody {
                    @for (pop, failure) in all.iter().take(FAILURES_SHOWN) {
                        tr { th scope="row" { (pop) } td .num { (failure.line) } td .wraps .mono { (failure.url.as_deref().unwrap_or("the line itself")) } td .wraps { (failure.reason) } }
                    }
                }
            } }
            @if all.len() > FAILURES_SHOWN { p .faint { "and " (moment::number((all.len() - FAILURES_SHOWN) as u64)) " more" } }
        }
    }
}
