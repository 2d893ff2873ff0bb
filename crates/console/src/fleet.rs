//! The fleet: every POP, and how fast purges were.

use axum::extract::State;
use freshen_control::{Operation, PopView, TaskFilter};
use freshen_model::task::{Status, TaskKind};
use maud::{Markup, html};

use crate::Console;
use crate::chart::{self, Bar};
use crate::layout::{self, Place};
use crate::moment;
use crate::person::Person;
use crate::records;
use crate::refused::Refused;

/// Operations that are looked at for the charts.
const OPERATIONS: u64 = 200;

pub(crate) async fn page(State(console): State<Console>, person: Person) -> Result<Markup, Refused> {
    let control = console.control();
    let (pops, at_ms) = (control.pops(), control.wall_ms());
    let filter = TaskFilter {
        account: person.confines().map(str::to_owned),
        statuses: vec![Status::Complete, Status::Failed],
        limit: OPERATIONS,
        ..TaskFilter::default()
    };
    let ended = control.operations_behind(&filter, None).await?.rows;
    let ended: Vec<&Operation> = ended.iter().map(|(operation, _)| operation).collect();
    let body = html! {
        // Without a script the page is as of when it was opened.
        div #fleet hx-get="/ui/fleet" hx-trigger="every 5s" hx-select="#fleet" hx-swap="outerHTML" {
            dl .numbers {
                (number("POPs connected", pops.iter().filter(|pop| pop.connected).count(), pops.len()))
                (number("POPs caught up", pops.iter().filter(|pop| pop.lag == 0).count(), pops.len()))
                (number("May hold a lease", pops.iter().filter(|pop| pop.may_hold_lease).count(), pops.len()))
                div { dt { "Log end" } dd { (moment::number(control.log_end().0)) } }
            }
            @if pops.is_empty() { p { "No POP is registered. Add one with " code { "freshen pop add" } "." } } @else {
                div .scroll { table {
                    thead { tr {
                        th { "POP" } th { "State" } th { "Area" } th { "Region" } th .num { "Watermark" } th .num { "Lag" }
                        th { "Lease" } th { "Last contact" }
                    } }
                    tbody { @for pop in &pops { (row(pop, at_ms)) } }
                } }
            }
            div .charts {
                (took("Purges: from submission to complete", &ended, |kind| kind.is_purge()))
                (took("Prefetches: from submission to their end", &ended, |kind| kind == TaskKind::Prefetch))
            }
        }
    };
    Ok(layout::page(&person, Place::Fleet, "Fleet", &body))
}

fn number(name: &str, count: usize, of: usize) -> Markup {
    html! { div .ill[count < of] { dt { (name) } dd { (count) " of " (of) } } }
}

fn row(pop: &PopView, at_ms: i64) -> Markup {
    let (word, class) = match pop {
        PopView { left: Some(_), .. } => ("removed, not confirmed yet", "warn"),
        PopView { connected: false, .. } => ("not connected", "ill"),
        PopView { lag: 1.., .. } => ("behind", "warn"),
        _ => ("well", "good"),
    };
    html! {
        tr .ill[class == "ill"] {
            th scope="row" { (pop.id) }
            td { span .state .(class) { (word) } }
            td { (pop.area.as_str()) }
            td { (pop.region) }
            td .num { (moment::number(pop.watermark.0)) }
            td .num { (moment::number(pop.lag)) }
            // Control keeps no grants: it knows only when none can be left.
            td { @if pop.may_hold_lease { "may hold one" } @else { "none" } }
            td { (moment::ago(pop.last_contact_ms, at_ms)) }
        }
    }
}

/// How long the newest operations of these kinds took, the oldest of them first.
fn took(title: &str, ended: &[&Operation], wanted: impl Fn(TaskKind) -> bool) -> Markup {
    let mut bars: Vec<Bar> = ended
        .iter()
        .filter(|operation| wanted(operation.task.kind))
        .take(chart::BARS_MAX)
        .filter_map(|operation| {
            let task = &operation.task;
            let took =
                task.ended_ms? - task.not_before_ms.unwrap_or(task.submitted_ms).max(task.submitted_ms);
            let told = format!(
                "{} {}: {}, {}",
                records::kind(task.kind),
                task.id,
                task.status.as_str(),
                moment::span(took)
            );
            Some(Bar { value: took.max(0) as f64, told, ill: task.status == Status::Failed })
        })
        .collect();
    bars.reverse();
    chart::bars(title, &bars, |ms| moment::span(ms as i64))
}
