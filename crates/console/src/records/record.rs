//! One operation: how far it is at each POP, what it came to, and what can be done with it.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::traffic::Prices;
use freshen_control::{NoCertificate, Operation};
use freshen_model::count::Counts;
use freshen_model::follow::{First, Renditions};
use freshen_model::ids::TaskId;
use freshen_model::order::Steer;
use freshen_model::refill::Bound;
use freshen_model::rights::Right;
use freshen_model::rule::Mode;
use freshen_model::task::{OriginCost, PrefetchTerms, Status, Task, TaskKind};
use freshen_model::traffic::Price;
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
        div hx-ext=[(!over).then_some("sse")] sse-connect=[(!over).then_some(live)] sse-close="end" {
            // What changes all the time comes whole; buttons only when there are others, or one would be gone under a finger.
            div #progress sse-swap="progress" { (changing(&console, &operation, counts.as_ref())) }
            div .row .actions sse-swap="actions" { (actions(&person, &operation)) }
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
pub(super) fn changing(console: &Console, operation: &Operation, counts: Option<&Counts>) -> Markup {
    let task = &operation.task;
    html! {
        dl .numbers {
            div .wide { dt { "State" } dd { (records::state(task)) } }
            div { dt { "POPs done" } dd { (task.pops.iter().filter(|step| step.state.ended()).count()) " of " (task.pops.len()) } }
            @if let Some(ended) = task.ended_ms { div { dt { "Took" } dd { (moment::span(ended - task.submitted_ms)) } } }
            @if let Some(counts) = counts { (matched(counts)) }
            @if let Some(cost) = task.origin_cost() { (cost_of(&cost, console.control().prices())) }
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
            (terms(task))
            @if let Some(then) = task.then { dt { "Followed by" } dd { (link(then)) } }
            @if let Some(after) = task.after { dt { "Follows" } dd { (link(after)) @if let Some(bound) = &task.refill { ", refills the hottest of it: at each POP at most " (bounded(bound)) } } }
            @if task.seq.0 > 0 { dt { "Place in the log" } dd .mono { (task.seq) } }
        }
        (steps::table(task, counts))
        (steps::failures(task))
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

/// What a prefetch has cost the origin so far.
fn cost_of(cost: &OriginCost, prices: &Prices) -> Markup {
    html! {
        div { dt { "From the origin" } dd { (moment::bytes(cost.origin_bytes)) } }
        div { dt { "Requests to it" } dd { (moment::number(cost.origin_requests)) } }
        @if let Some(share) = cost.origin_share {
            div { dt { "Origin ÷ object bytes" } dd { (format!("{share:.2}")) } }
        }
        @if let Price { origin_cost: Some(amount), currency } = prices.of(cost.origin_bytes, cost.origin_requests) {
            div { dt { "Origin cost" } dd { (amount) " " (currency.unwrap_or_default()) } }
        }
    }
}

/// When and where a prefetch is done, where that is not as usual.
fn terms(task: &Task) -> Markup {
    let PrefetchTerms { deadline_s, window, regions, headers } = &task.terms;
    html! {
        @if let Some(window) = window { dt { "Hours" } dd { "begins files only at " span .mono { (window) } } }
        @if let Some(seconds) = deadline_s { dt { "Deadline" } dd { (moment::span(i64::from(*seconds) * 1_000)) " after it begins" } }
        @if !regions.is_empty() { dt { "Regions" } dd { (regions.iter().map(String::as_str).collect::<Vec<_>>().join(", ")) } }
        @if !headers.is_empty() { dt { "Viewers with" } dd { span .mono { (headers) } } }
    }
}

fn link(task: TaskId) -> Markup {
    html! { a href={ "/ui/refresh/records/" (task) } { "operation " (task) } }
}

fn bounded(bound: &Bound) -> String {
    let objects = bound.objects.map(|objects| moment::counted(objects.into(), "object"));
    let parts: Vec<String> = objects.into_iter().chain(bound.bytes.map(moment::bytes)).collect();
    parts.join(" and ")
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

/// What can be done with it now.
pub(super) fn actions(person: &Person, operation: &Operation) -> Markup {
    let task = &operation.task;
    let (tab, right) = match task.kind {
        TaskKind::Prefetch => ("prefetch", Right::Prefetch),
        _ => ("purge", Right::Purge),
    };
    html! {
        @if person.may(right) {
            a .button href={ "/ui/refresh/" (tab) "?again=" (task.id) } { "Run again" }
            @for steer in steers(task) { (steered(person, task, steer)) }
        }
        @if task.kind.is_purge() && task.status == Status::Complete {
            a .button href={ "/ui/refresh/records/" (task.id) "/receipt.json" } download={ "receipt-" (task.id) ".json" } { "Download the receipt" }
        }
    }
}

/// How it can be made to go on otherwise: what has not begun is called off, and a prefetch may be held, too.
fn steers(task: &Task) -> Vec<Steer> {
    match (task.status, task.kind) {
        (Status::Pending, _) => vec![Steer::Cancel],
        (Status::Running, TaskKind::Prefetch) if task.holds.paused => vec![Steer::Resume, Steer::Cancel],
        (Status::Running, TaskKind::Prefetch) => vec![Steer::Pause, Steer::Cancel],
        _ => Vec::new(),
    }
}

fn steered(person: &Person, task: &Task, steer: Steer) -> Markup {
    let word = match steer {
        Steer::Pause => "Pause",
        Steer::Resume => "Resume",
        Steer::Cancel => "Cancel",
    };
    let sure = (steer == Steer::Cancel && task.status == Status::Running)
        .then(|| format!("Cancel operation {}? What it has fetched stays.", task.id));
    html! {
        form method="post" action={ "/ui/refresh/records/" (task.id) "/" (steer.as_str()) } data-sure=[sure] {
            (layout::token(person))
            button type="submit" { (word) }
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

/// Lets it go on otherwise.
pub(crate) async fn steer(
    steer: Steer,
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let person = sent.person;
    let operation = own(&console, &person, &id).await?;
    let task = operation.task.id;
    person.must(if operation.task.kind.is_purge() { Right::Purge } else { Right::Prefetch })?;
    let (control, account) = (console.control().clone(), person.confines().map(str::to_owned));
    let deed = async move { control.steer(account.as_deref(), task, steer).await };
    let told = move |(): &()| match steer {
        Steer::Pause => "paused".into(),
        Steer::Resume => "resumed".into(),
        Steer::Cancel => "cancelled".into(),
    };
    person.does(console.control(), steer.as_str(), format!("task {task}"), deed, told).await??;
    Ok(Redirect::to(&format!("/ui/refresh/records/{task}")).into_response())
}
