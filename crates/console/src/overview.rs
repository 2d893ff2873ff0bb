//! The first page: how the fleet is; read at most once a second however many look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use freshen_control::{Control, PopView, TaskFilter};
use freshen_model::ids::Seq;
use freshen_model::task::Status as TaskStatus;
use maud::{Markup, html};
use tracing::warn;

use axum::extract::State;

use crate::Console;
use crate::layout::{self, Place};
use crate::moment;
use crate::person::Person;
use crate::records::list;
use crate::refused::Refused;

/// For how long a count is shown again: counting reads the ledger, and anybody may ask.
const SHOWN_FOR: Duration = Duration::from_secs(1);
/// Operations that are shown.
const OPERATIONS: u64 = 8;
/// How far back tasks are counted.
const COUNTED_MS: i64 = 86_400_000;

pub(crate) async fn page(State(console): State<Console>, person: Person) -> Result<Markup, Refused> {
    let status = console.0.statuses.now().await;
    let account = person.confines().map(str::to_owned);
    let newest = TaskFilter { account, limit: OPERATIONS, ..TaskFilter::default() };
    let newest = console.control().operations_behind(&newest, None).await?.rows;
    let body = html! {
        (numbers(&status))
        (pops(&status))
        h2 { "Newest operations" }
        @if newest.is_empty() { p .faint { "Nothing was purged or prefetched yet." } } @else {
            div .scroll { (list::table(&person, &newest)) }
            p { a href="/ui/refresh/records" { "All operations" } }
        }
    };
    Ok(layout::page(&person, Place::Overview, "Overview", &body))
}

fn numbers(status: &Status) -> Markup {
    let connected = status.pops.iter().filter(|pop| pop.connected).count();
    let caught_up = status.pops.iter().filter(|pop| pop.lag == 0).count();
    html! {
        dl .numbers {
            (number("POPs connected", &format!("{connected} of {}", status.pops.len())))
            (number("POPs caught up", &format!("{caught_up} of {}", status.pops.len())))
            (number("Log end", &moment::number(status.log_end.0)))
            @if let Some(tasks) = status.tasks {
                (number("Tasks running", &moment::number(tasks.running)))
                (number("Complete, last day", &moment::number(tasks.complete)))
                (number("Failed, last day", &moment::number(tasks.failed)))
            } @else {
                (number("Tasks", "not known, the ledger did not answer"))
            }
        }
    }
}

fn number(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn pops(status: &Status) -> Markup {
    if status.pops.is_empty() {
        return html! { p { "No POP is registered." } };
    }
    html! {
        div .scroll { table {
            thead {
                tr {
                    th { "POP" } th { "Area" } th { "Region" }
                    th .num { "Watermark" } th .num { "Lag" }
                    th { "Last contact" } th { "Connected" } th { "Lease" }
                }
            }
            tbody { @for pop in &status.pops { (row(pop, status.at_ms)) } }
        } }
    }
}

fn row(pop: &PopView, at_ms: i64) -> Markup {
    let well = pop.connected && pop.lag == 0;
    html! {
        tr .ill[!well] {
            th scope="row" { (pop.id) @if pop.left.is_some() { " (removed)" } }
            td { (pop.area.as_str()) }
            td { (pop.region) }
            td .num { (moment::number(pop.watermark.0)) }
            td .num { (moment::number(pop.lag)) }
            td { (moment::ago(pop.last_contact_ms, at_ms)) }
            td { @if pop.connected { "yes" } @else { "no" } }
            // Control keeps no grants: it knows only when none can be left.
            td { @if pop.may_hold_lease { "may hold one" } @else { "none" } }
        }
    }
}

/// The fleet's health at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// The log's end.
    pub(crate) log_end: Seq,
    /// Every POP that is not gone.
    pub(crate) pops: Vec<PopView>,
    /// `None` where the ledger did not say.
    pub(crate) tasks: Option<Counts>,
    /// When, wall-clock milliseconds since 1970.
    pub(crate) at_ms: i64,
}

/// Tasks of the last day, by how they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) running: u64,
    pub(crate) complete: u64,
    pub(crate) failed: u64,
}

pub(crate) struct Statuses {
    control: Arc<Control>,
    counted: tokio::sync::Mutex<Option<(Instant, Option<Counts>)>>,
}

impl Statuses {
    pub(crate) fn new(control: Arc<Control>) -> Statuses {
        Statuses { control, counted: tokio::sync::Mutex::new(None) }
    }

    pub(crate) async fn now(&self) -> Status {
        Status {
            tasks: self.counts().await,
            log_end: self.control.log_end(),
            pops: self.control.pops(),
            at_ms: self.control.wall_ms(),
        }
    }

    async fn counts(&self) -> Option<Counts> {
        let mut counted = self.counted.lock().await;
        if let Some((at, counts)) = *counted
            && at.elapsed() < SHOWN_FOR
        {
            return counts;
        }
        let counts = self.count().await;
        *counted = Some((Instant::now(), counts));
        counts
    }

    async fn count(&self) -> Option<Counts> {
        let from_ms = Some(self.control.wall_ms() - COUNTED_MS);
        let count = async |statuses: &[TaskStatus]| {
            let filter = TaskFilter { statuses: statuses.to_vec(), from_ms, ..TaskFilter::default() };
            let page = self.control.tasks(&filter).await;
            page.inspect_err(|error| warn!(%error, "tasks could not be counted")).ok().map(|page| page.total)
        };
        Some(Counts {
            running: count(&[TaskStatus::Pending, TaskStatus::Running]).await?,
            complete: count(&[TaskStatus::Complete]).await?,
            failed: count(&[TaskStatus::Failed]).await?,
        })
    }
}
