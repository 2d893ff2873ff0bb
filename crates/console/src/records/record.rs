//! One operation: how far it is at each POP, what it came to, and what can be done with it.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::{NoCertificate, Operation};
use freshen_model::count::Counts;
use freshen_model::follow::{First, Renditions};
use freshen_model::ids::TaskId;
use freshen_model::order::Steer;
use freshen_model::rights::Right;
use freshen_model::rule::Mode;
use freshen_model::task::{Status, TaskKind};
use maud::{Markup, html};

use super::steps;
use crate::Console;
use crate::layout;
use crate::moment;
use crate::person::Person;
use crate::records;
use crate::refresh::{self, Tab};
use crate::refused::Refused;
use crate::sent::Sent;

/// Lines that are shown of a record.
const LINES_MAX: usize = 200;
/// How long signatures and counts of a receipt are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The operation of that number; another account's is like none.
pub(super) async fn own(console: &Console, person: &Person, id: &str) -> Result<Operation, Refused> {
    let id: TaskId = id.parse().map(TaskId).map_err(|_| Refused::NotFound("operation"))?;
    let found = console.control().operation(person.confines(), id).await?;
    found.ok_or(Refused::NotFound("operation"))
}

pub(crate) async fn page(
    State(console): State<Console>,
    Path(id): Path<String>,
    person: Person,
) -> Result<Markup, Refused> {
    let operation = own(&console, &person, &id).await?;
    let task = &operation.task;
    let counts = console.control().counts(task).await?;
    let lines = console.control().task_lines(person.confines(), task.id).await?.unwrap_or_default();
    let live = format!("/ui/refresh/records/{}/live", task.id);
    let over = is_over(&operation, counts.as_ref());
    let body = html! {
        h2 .title { "Operation " (task.id) ": " (records::kind(task.kind)) }
        // Everything that changes comes whole each time.
        div #progress hx-ext=[(!over).then_some("sse")] sse-connect=[(!over).then_some(live)] sse-swap="progress" sse-close="end" {
            (changing(&person, &operation, counts.as_ref()))
        }
        section .panel {
            h2 { (moment::counted(task.lines, "line")) }
            ol .entries { @for line in lines.iter().take(LINES_MAX) { li { code { (line.url) } } } }
            @if lines.len() > LINES_MAX { p .faint { "and " (moment::number((lines.len() - LINES_MAX) as u64)) " more" } }
        }
    };
    Ok(refresh::page(&person, Tab::Records, &body))
}

/// Whether nothing more changes.
pub(super) fn is_over(operation: &Operation, counts: Option<&Counts>) -> bool {
    operation.task.status.ended() && counts.is_none_or(|counts| counts.settled)
}

/// What changes while it goes on.
pub(super) fn changing(person: &Person, operation: &Operation, counts: Option<&Counts>) -> Markup {
    let task = &operation.task;
    html! {
        dl .numbers {
            div .wide { dt { "State" } dd { (records::state(task)) } }
            div { dt { "POPs done" } dd { (task.pops.iter().filter(|step| step.state.ended()).count()) " of " (task.pops.len()) } }
            @if let Some(ended) = task.ended_ms { div { dt { "Took" } dd { (moment::span(ended - task.submitted_ms)) } } }
            @if let Some(counts) = counts { (matched(counts)) }
        }
        @if let Some(reason) = &task.reason { (layout::notice(layout::Notice::Refused, reason)) }
        @if counts.is_some_and(|counts| counts.nothing_matched) {
            (layout::notice(layout::Notice::Warning, "No POP held anything that this matched. Is it spelled as viewers ask for it?"))
        }
        dl .facts {
            dt { "Submitted" } dd { (moment::time(task.submitted_ms)) " UTC, for " (operation.account) }
            @if let Some(at) = task.not_before_ms { dt { "Not before" } dd { (moment::time(at)) " UTC" } }
            @if let Some(at) = task.ended_ms { dt { "Ended" } dd { (moment::time(at)) " UTC" } }
            dt { "How" } dd { (how(operation)) }
            @if task.seq.0 > 0 { dt { "Place in the log" } dd .mono { (task.seq) } }
        }
        (steps::table(task, counts))
        (steps::failures(task))
        (actions(person, operation))
    }
}

fn matched(counts: &Counts) -> Markup {
    let total = &counts.total;
    let at_least = if total.exact || !counts.settled { "" } else { "at least " };
    html! {
        div { dt { "Matched" } dd { @if counts.settled { (at_least) (moment::counted(total.objects, "object")) } @else { "counting" } } }
        @if counts.settled { div { dt { "Bytes of them" } dd { (moment::bytes(total.bytes)) } } }
    }
}

fn how(operation: &Operation) -> String {
    let task = &operation.task;
    let mut words = vec![match task.mode {
        Some(Mode::Evict) => "copies are never used again".to_owned(),
        Some(Mode::Expire) => "the origin is asked before the next use".to_owned(),
        None => operation.area.map_or("at every POP".to_owned(), |area| format!("at POPs {}", area.as_str())),
    }];
    if task.cut {
        words.push("answers under way are broken off".into());
    }
    if let Some(follow) = &operation.follow {
        let which = match follow.renditions {
            Renditions::All => "all renditions",
            Renditions::Lowest => "the lowest rendition",
        };
        let first = match follow.first {
            Some(First::Segments(count)) => format!(", the first {count} segments"),
            Some(First::Seconds(count)) => format!(", the first {count} seconds"),
            None => String::new(),
        };
        words.push(format!("playlists are followed: {which}{first}"));
    }
    words.join("; ")
}

fn actions(person: &Person, operation: &Operation) -> Markup {
    let task = &operation.task;
    let (tab, right) = match task.kind {
        TaskKind::Prefetch => ("prefetch", Right::Prefetch),
        _ => ("purge", Right::Purge),
    };
    html! {
        div .row .actions {
            @if person.may(right) { a .button href={ "/ui/refresh/" (tab) "?again=" (task.id) } { "Run again" } }
            @if task.kind.is_purge() && task.status == Status::Complete {
                a .button href={ "/ui/refresh/records/" (task.id) "/receipt.json" } download={ "receipt-" (task.id) ".json" } { "Download the receipt" }
            }
            @if person.may(right) && task.status == Status::Pending {
                form method="post" action={ "/ui/refresh/records/" (task.id) "/cancel" } { (layout::token(person)) button type="submit" { "Cancel" } }
            }
        }
    }
}

/// The certificate of a purge, as `freshen receipt verify` reads it.
pub(crate) async fn receipt(
    State(console): State<Console>,
    Path(id): Path<String>,
    person: Person,
) -> Result<Response, Refused> {
    let operation = own(&console, &person, &id).await?;
    let task = operation.task.id;
    let certificate = match console.control().certificate(person.confines(), task, PATIENCE).await {
        Ok(certificate) => certificate,
        Err(NoCertificate::Ledger(error)) => return Err(error.into()),
        Err(why) => return Err(Refused::Unfit(why.to_string())),
    };
    let text = serde_json::to_string_pretty(&certificate).map_err(|error| Refused::failed(&error))?;
    let name = format!("attachment; filename=\"receipt-{task}.json\"");
    let kind = "application/json".to_owned();
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], text).into_response())
}

pub(crate) async fn cancel(
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let person = sent.person;
    let operation = own(&console, &person, &id).await?;
    let task = operation.task.id;
    person.must(if operation.task.kind.is_purge() { Right::Purge } else { Right::Prefetch })?;
    let (control, account) = (console.control().clone(), person.confines().map(str::to_owned));
    let deed = async move { control.steer(account.as_deref(), task, Steer::Cancel).await };
    person.does(console.control(), "cancel", format!("task {task}"), deed, |_| "cancelled".into()).await??;
    Ok(Redirect::to(&format!("/ui/refresh/records/{task}")).into_response())
}
