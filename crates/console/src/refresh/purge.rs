//! The tab «Purge cache».

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use freshen_control::{DryRun, SubmitRequest, Terms};
use freshen_model::location::Scheme;
use freshen_model::preview::{Preview, PreviewRow};
use freshen_model::rights::Right;
use freshen_model::task::TaskKind;
use maud::{Markup, html};

use super::form::{self, Again, Entered, Left};
use super::{Tab, after, page as around};
use crate::Console;
use crate::fields::Fields;
use crate::layout::{self, Notice};
use crate::moment;
use crate::person::Person;
use crate::refused::Refused;
use crate::sent::Sent;

/// Kinds as people call them, and what a line of each is.
const KINDS: [(TaskKind, &str, &str); 6] = [
    (TaskKind::Url, "URL", "http://host/static/image.jpg"),
    (TaskKind::Directory, "Folder", "http://host/static/ and all in it"),
    (TaskKind::Query, "Any query", "http://host/search, whatever its ?…"),
    (TaskKind::Regex, "Pattern", "http://host/video/.*\\.ts"),
    (TaskKind::Tag, "Tag", "a name that the origin gave"),
    (TaskKind::Host, "Whole domain", "host"),
];

/// What is done to a copy.
const MODES: [(&str, &str, &str); 3] = [
    (
        "",
        "Usual",
        "A URL is fetched anew; of everything else the origin is asked first, and what it calls unchanged stays.",
    ),
    (
        "force",
        "Force",
        "No copy is ever used again: each object is fetched whole from the origin at its next use.",
    ),
    ("soft", "Soft", "Of a URL, too, the origin is asked first, and an unchanged copy stays."),
];

pub(crate) async fn page(
    State(console): State<Console>,
    Query(again): Query<Again>,
    person: Person,
) -> Result<Markup, Refused> {
    let before = again.before(console.control(), &person).await?;
    let fields = match &before {
        Some((operation, lines)) => {
            let task = &operation.task;
            let usual = task.mode == Some(task.kind.mode(false));
            let mode = if usual {
                ""
            } else if task.kind == TaskKind::Url {
                "soft"
            } else {
                "force"
            };
            let domains =
                if task.kind == TaskKind::Tag { operation.domains.join(" ") } else { String::new() };
            let cut = if task.cut { "on" } else { "" };
            let fields = Fields::of(&[
                ("kind", task.kind.as_str()),
                ("mode", mode),
                ("account", &operation.account),
                ("domains", &domains),
                ("cut", cut),
                ("lines", lines),
            ]);
            after::filled(console.control(), &person, fields, task.then).await?
        }
        None => Fields::default(),
    };
    shown(&console, &person, &fields, (&html! {}, &html! {})).await
}

/// The form as it was sent, with what is wrong with its lines, and what it would do.
async fn shown(
    console: &Console,
    person: &Person,
    fields: &Fields,
    (looked, preview): (&Markup, &Markup),
) -> Result<Markup, Refused> {
    let account = person.account(fields.given("account"));
    let left = Left::of(console.control(), account).await?;
    let chosen = kind(fields).unwrap_or(TaskKind::Url);
    let mode = fields.text("mode");
    let may = person.may(Right::Purge);
    let body = html! {
        @if !may { (layout::notice(Notice::Warning, "Your role looks on: an operator purges.")) }
        form #purge .work method="post" action="/ui/refresh/purge" {
            (layout::token(person))
            (form::account(console.control(), person, account).await?)
            fieldset .kinds hx-post="/ui/refresh/purge/look" hx-trigger="change" hx-target="#looked" hx-include="closest form" {
                legend { "What to purge" }
                @for (kind, name, example) in KINDS {
                    label .choice {
                        input type="radio" name="kind" value=(kind.as_str()) checked[kind == chosen];
                        span { span .head { strong { (name) } (left.shown(kind)) } span .faint { (example) } }
                    }
                }
            }
            div {
                (form::entries("Entries, one a line", fields.whole("lines"), "/ui/refresh/purge/look", looked))
                label .of-tags {
                    "Only in these domains (tags)"
                    input name="domains" value=(fields.text("domains")) placeholder="all of the account" spellcheck="false";
                }
                fieldset .modes {
                    legend { "What happens to copies" }
                    @for (value, name, sentence) in MODES {
                        label .choice {
                            input type="radio" name="mode" value=(value) checked[value == mode];
                            span { strong { (name) } span .faint { (sentence) } }
                        }
                    }
                    label .choice {
                        input type="checkbox" name="cut" checked[fields.ticked("cut")];
                        span { strong { "Break off answers under way" } span .faint { "Else a viewer who is in the middle of an old copy gets it to its end." } }
                    }
                }
                div .row {
                    (form::schedule(fields))
                    (after::shown(fields))
                }
                div .row {
                    (form::preview_button("/ui/refresh/purge/preview", may))
                    button .main type="submit" disabled[!may] { "Purge" }
                }
            }
        }
        div #preview aria-live="polite" { (preview) }
    };
    Ok(around(person, Tab::Purge, &body))
}

fn kind(fields: &Fields) -> Option<TaskKind> {
    TaskKind::from_word(fields.text("kind")).filter(|kind| kind.is_purge())
}

/// What the form says.
fn read(fields: &Fields) -> Result<Entered, Refused> {
    let kind = kind(fields).ok_or(Refused::BadForm)?;
    let (places, lines) = fields.lines("lines").into_iter().unzip();
    let domains: Vec<String> = match kind {
        TaskKind::Tag => fields.text("domains").split([' ', ',']).map(str::trim).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let mode = fields.text("mode");
    let request = SubmitRequest {
        kind,
        force: mode == "force",
        soft: mode == "soft",
        area: None,
        lines,
        domains: domains.into_iter().filter(|domain| !domain.is_empty()).collect(),
        scheme: Scheme::Required,
        follow: None,
    };
    Ok((request, places))
}

pub(crate) async fn look(State(console): State<Console>, sent: Sent) -> Result<Markup, Refused> {
    form::look(&console, &sent.person, &sent.fields, read(&sent.fields)?).await
}

/// What it would do; a part of the page for scripts, else the whole.
pub(crate) async fn preview(
    State(console): State<Console>,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Purge)?;
    let (request, places) = read(&fields)?;
    let run = console.control().dry_run(person.account(fields.given("account")), request).await;
    let (looked, preview) = match run {
        Ok(run) => (html! {}, previewed(&run)),
        Err(error) => (form::faults(&form::not_ours(error)?, &places), html! {}),
    };
    if form::is_script(&headers) {
        return Ok(html! { (looked) (preview) }.into_response());
    }
    Ok(shown(&console, &person, &fields, (&looked, &preview)).await?.into_response())
}

fn previewed(run: &DryRun) -> Markup {
    let all = &run.all;
    let at_least = if all.whole { "" } else { "at least " };
    let answered = run.pops.iter().filter(|row| row.found.is_some()).count();
    html! {
        section .panel {
            h2 { "What it would do" }
            dl .numbers {
                div { dt { "Objects" } dd { (at_least) (moment::number(all.objects)) } }
                div { dt { "Bytes stored" } dd { (at_least) (moment::bytes(all.bytes)) } }
                div { dt { "POPs asked" } dd { (answered) " of " (run.pops.len()) } }
                div { dt { "Origin requests soon" } dd { (moment::number(all.cost_soon.requests)) } }
                div { dt { "Origin bytes soon" } dd { (moment::bytes(all.cost_soon.bytes)) } }
            }
            p .faint {
                "If every copy is asked for again: " (moment::counted(all.cost.requests, "request")) " to the origin, "
                (moment::number(all.cost.conditional)) " of them cheap while nothing changed, "
                (moment::bytes(all.cost.bytes)) " for sure and " (moment::bytes(all.cost.bytes_if_changed))
                " more should everything have changed."
            }
            @if answered > 0 && all.whole && all.objects == 0 {
                (layout::notice(Notice::Warning, "No POP holds anything that this matches. Is it spelled as viewers ask for it?"))
            }
            (form::warnings(&run.warnings))
            div .scroll { table {
                thead { tr { th { "POP" } th .num { "Objects" } th .num { "Copies" } th .num { "Bytes" } th .num { "Of all it holds" } th { "" } } }
                tbody { @for row in &run.pops { (previewed_at(row)) } }
            } }
            @if !all.hottest.is_empty() { (hottest(all)) }
        }
    }
}

fn previewed_at(row: &PreviewRow) -> Markup {
    let share = |found: &Preview| match found.bytes_held {
        0 => "–".to_owned(),
        held => format!("{:.1} %", found.bytes as f64 / held as f64 * 100.0),
    };
    html! {
        tr .ill[row.found.is_none()] {
            th scope="row" { (row.pop) }
            @match &row.found {
                Some(found) => {
                    td .num { (moment::number(found.objects)) }
                    td .num { (moment::number(found.copies)) }
                    td .num { (moment::bytes(found.bytes)) }
                    td .num { (share(found)) }
                    td { @if !found.whole { "at least" } }
                }
                None => { td colspan="5" { (row.error.as_deref().unwrap_or("did not answer")) } }
            }
        }
    }
}

fn hottest(all: &Preview) -> Markup {
    html! {
        h3 { "The most used of them" }
        div .scroll { table {
            thead { tr { th { "URL" } th .num { "Uses lately" } th .num { "Bytes" } } }
            tbody {
                @for hot in &all.hottest {
                    tr { th .wraps scope="row" { (hot.url) } td .num { (moment::number(hot.uses)) } td .num { (moment::bytes(hot.bytes)) } }
                }
            }
        } }
    }
}

pub(crate) async fn submit(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Purge)?;
    let entered = read(&fields)?;
    let submitted = match after::read(&fields) {
        Ok(then) => {
            if then.is_some() {
                person.must(Right::Prefetch)?;
            }
            let terms = Terms { cut: fields.ticked("cut"), then, ..Terms::default() };
            form::submit(&console, &person, &fields, entered, terms).await?
        }
        Err(why) => Err(layout::notice(Notice::Refused, &why)),
    };
    let page = async |why: &Markup| shown(&console, &person, &fields, (why, &html! {})).await;
    form::led(submitted, page).await
}
