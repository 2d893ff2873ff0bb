//! The tab «Operation record»: a list that is filtered, goes on behind its last row, and tells by itself what changes.

use axum::extract::{RawQuery, State};
use freshen_control::{Operation, TaskFilter, TaskPlace};
use freshen_model::ids::TaskId;
use freshen_model::task::{Status, TaskKind};
use maud::{Markup, html};

use crate::Console;
use crate::fields::Fields;
use crate::moment;
use crate::person::Person;
use crate::records;
use crate::refresh::{self, Tab};
use crate::refused::Refused;

/// Rows of a page.
const ROWS: u64 = 50;
const STATUSES: [Status; 4] = [Status::Pending, Status::Running, Status::Complete, Status::Failed];

pub(crate) async fn page(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
    person: Person,
) -> Result<Markup, Refused> {
    let fields = Fields::read(query.unwrap_or_default().as_bytes());
    let place = place(fields.text("after"));
    let found = console.control().operations_behind(&filter(&person, &fields), place).await?;
    let running: Vec<String> = found
        .rows
        .iter()
        .filter(|(operation, _)| !operation.task.status.ended())
        .map(|(operation, _)| operation.task.id.to_string())
        .collect();
    let live = format!("/ui/refresh/records/live?ids={}", running.join(","));
    let older = found.next.map(|next| address(&fields, next));
    let body = html! {
        (search(&fields))
        @if found.rows.is_empty() && older.is_none() {
            p .faint { "No operation fits." }
        } @else {
            div .scroll hx-ext=[(!running.is_empty()).then_some("sse")] sse-connect=[(!running.is_empty()).then_some(live)] sse-close="end" {
                (table(&person, &found.rows))
            }
            @if let Some(older) = older { nav .pages aria-label="Pages" { a .button href=(older) { "Older" } } }
        }
    };
    Ok(refresh::page(&person, Tab::Records, &body))
}

fn filter(person: &Person, fields: &Fields) -> TaskFilter {
    TaskFilter {
        account: person.confines().or(fields.given("account")).map(str::to_owned),
        kind: TaskKind::from_word(fields.text("type")),
        statuses: STATUSES.into_iter().filter(|status| status.as_str() == fields.text("status")).collect(),
        domain: fields.given("domain").map(str::to_ascii_lowercase),
        text: fields.given("url").map(str::to_owned),
        from_ms: moment::read_time(fields.text("from")),
        to_ms: moment::read_time(fields.text("to")),
        limit: ROWS,
        ..TaskFilter::default()
    }
}

/// Where a page begins: behind that row of the list.
fn place(text: &str) -> Option<TaskPlace> {
    let (ms, id) = text.split_once('.')?;
    Some(TaskPlace { submitted_ms: ms.parse().ok()?, id: TaskId(id.parse().ok()?) })
}

fn address(fields: &Fields, next: TaskPlace) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["type", "status", "url", "domain", "account", "from", "to"] {
        if let Some(value) = fields.given(name) {
            query.append_pair(name, value);
        }
    }
    query.append_pair("after", &format!("{}.{}", next.submitted_ms, next.id));
    format!("/ui/refresh/records?{}", query.finish())
}

fn search(fields: &Fields) -> Markup {
    let (kind, status) = (fields.text("type"), fields.text("status"));
    html! {
        form .row .filter method="get" action="/ui/refresh/records" role="search" {
            label {
                "Operation"
                select name="type" {
                    option value="" { "all" }
                    @for known in TaskKind::ALL { option value=(known.as_str()) selected[known.as_str() == kind] { (records::kind(known)) } }
                }
            }
            label {
                "State"
                select name="status" {
                    option value="" { "all" }
                    @for known in STATUSES { option value=(known.as_str()) selected[known.as_str() == status] { (known.as_str()) } }
                }
            }
            label { "URL has" input name="url" value=(fields.text("url")) spellcheck="false"; }
            label { "Domain" input name="domain" value=(fields.text("domain")) spellcheck="false"; }
            label { "From (UTC)" input type="datetime-local" name="from" value=(fields.text("from")); }
            label { "To (UTC)" input type="datetime-local" name="to" value=(fields.text("to")); }
            button type="submit" { "Show" }
        }
    }
}

/// Operations with their first lines.
pub(crate) fn table(person: &Person, rows: &[(Operation, String)]) -> Markup {
    html! {
        table {
            thead { tr {
                th .num { "Number" } th { "Submitted (UTC)" } th { "Operation" } th { "What" }
                @if person.confines().is_none() { th { "Account" } }
                th .progress { "State" } th .num { "Took" }
            } }
            tbody { @for (operation, line) in rows { (row(person, operation, line)) } }
        }
    }
}

fn row(person: &Person, operation: &Operation, line: &str) -> Markup {
    let task = &operation.task;
    let more = task.lines.saturating_sub(1);
    html! {
        tr {
            td .num { a href={ "/ui/refresh/records/" (task.id) } { (task.id) } }
            td { (moment::time(task.submitted_ms)) }
            td { (records::kind(task.kind)) @if task.cut { ", cut" } }
            td .what .wraps .mono { (line) @if more > 0 { " " span .more .faint { "and " (moment::number(more)) " more" } } }
            @if person.confines().is_none() { td { (operation.account) } }
            td .progress sse-swap=[(!task.status.ended()).then(|| format!("task-{}", task.id))] { (records::state(task)) }
            td .num { @if let Some(ended) = task.ended_ms { (moment::span(ended - task.submitted_ms)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_where_the_next_begins_and_what_was_looked_for() {
        let fields = Fields::of(&[("type", "url"), ("url", "a b"), ("after", "5.7")]);
        assert_eq!(place(fields.text("after")), Some(TaskPlace { submitted_ms: 5, id: TaskId(7) }));
        let next = TaskPlace { submitted_ms: 3, id: TaskId(4) };
        assert_eq!(address(&fields, next), "/ui/refresh/records?type=url&url=a+b&after=3.4");
        assert_eq!(place("x"), None);
    }
}
