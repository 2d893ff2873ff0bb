//! The tab «Prefetch cache».

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use freshen_control::{Operation, SubmitRequest, Terms};
use freshen_model::area::Area;
use freshen_model::follow::{First, Follow, Renditions};
use freshen_model::location::Scheme;
use freshen_model::rights::Right;
use freshen_model::task::{PrefetchTerms, TaskKind};
use maud::{Markup, html};

use super::form::{self, Again, Entered, Left};
use super::{Tab, expanded, page as around, terms};
use crate::Console;
use crate::fields::Fields;
use crate::layout::{self, Notice};
use crate::person::Person;
use crate::refused::Refused;
use crate::sent::Sent;

pub(crate) async fn page(
    State(console): State<Console>,
    Query(again): Query<Again>,
    person: Person,
) -> Result<Markup, Refused> {
    let before = again.before(console.control(), &person).await?;
    let fields = before.map(|(operation, lines)| filled(&operation, &lines)).unwrap_or_default();
    shown(&console, &person, &fields, (&html! {}, &html! {})).await
}

/// The form as it was for that operation.
fn filled(operation: &Operation, lines: &str) -> Fields {
    let follow = operation.follow.as_ref();
    let renditions = match follow.map(|follow| follow.renditions) {
        Some(Renditions::Lowest) => "lowest",
        Some(Renditions::All) => "all",
        None => "",
    };
    let (first, unit) = match follow.and_then(|follow| follow.first) {
        Some(First::Segments(count)) => (count.to_string(), "segments"),
        Some(First::Seconds(count)) => (count.to_string(), "seconds"),
        None => (String::new(), ""),
    };
    let fields = Fields::of(&[
        ("account", &operation.account),
        ("area", operation.area.map_or("", Area::as_str)),
        ("follow", renditions),
        ("first", &first),
        ("unit", unit),
        ("lines", lines),
    ]);
    terms::filled(fields, &operation.task.terms)
}

/// The form as it was sent, with what is wrong with it, and what it would do.
async fn shown(
    console: &Console,
    person: &Person,
    fields: &Fields,
    (looked, preview): (&Markup, &Markup),
) -> Result<Markup, Refused> {
    let account = person.account(fields.given("account"));
    let left = Left::of(console.control(), account).await?;
    let area = fields.text("area");
    let may = person.may(Right::Prefetch);
    let body = html! {
        @if !may { (layout::notice(Notice::Warning, "Your role looks on: an operator prefetches.")) }
        form #prefetch .work .one method="post" action="/ui/refresh/prefetch" {
            (layout::token(person))
            (form::account(console.control(), person, account).await?)
            div {
                p { (left.shown(TaskKind::Prefetch)) }
                (form::entries("URLs, one a line", fields.whole("lines"), "/ui/refresh/prefetch/look", looked))
                div hx-post="/ui/refresh/prefetch/look" hx-trigger="change" hx-target="#looked" hx-include="closest form" {
                    (playlists(fields))
                    fieldset {
                        legend { "Where and when" }
                        div .row {
                            label {
                                "POPs"
                                select name="area" {
                                    option value="" selected[area.is_empty()] { "everywhere" }
                                    @for known in [Area::Domestic, Area::Overseas] { option value=(known.as_str()) selected[known.as_str() == area] { (known.as_str()) } }
                                }
                            }
                            (form::schedule(fields))
                        }
                        (terms::shown(console.control(), fields))
                    }
                }
                div .row {
                    (form::preview_button("/ui/refresh/prefetch/preview", may))
                    button .main type="submit" disabled[!may] { "Prefetch" }
                }
            }
        }
        div #preview aria-live="polite" { (preview) }
    };
    Ok(around(person, Tab::Prefetch, &body))
}

fn playlists(fields: &Fields) -> Markup {
    let (follow, unit) = (fields.text("follow"), fields.text("unit"));
    html! {
        fieldset {
            legend { "Playlists (HLS, DASH)" }
            div .row {
                label {
                    "What they name"
                    select name="follow" {
                        option value="" selected[follow.is_empty()] { "not followed: the playlist alone" }
                        option value="all" selected[follow == "all"] { "followed, all renditions" }
                        option value="lowest" selected[follow == "lowest"] { "followed, the lowest rendition" }
                    }
                }
                label { "Of each rendition the first" input name="first" inputmode="numeric" pattern="[0-9]*" maxlength="9" placeholder="all" value=(fields.text("first")); }
                label {
                    "Counted in"
                    select name="unit" {
                        option value="segments" selected[unit != "seconds"] { "segments" }
                        option value="seconds" selected[unit == "seconds"] { "seconds" }
                    }
                }
            }
        }
    }
}

/// What the form says.
fn read(fields: &Fields) -> Result<(Entered, PrefetchTerms), String> {
    let (places, lines) = fields.lines("lines").into_iter().unzip();
    let area = match fields.given("area") {
        Some(word) => Some(word.parse::<Area>().map_err(|error| error.to_string())?),
        None => None,
    };
    let follow = match fields.given("follow") {
        Some(word) => Some(Follow { renditions: word.parse()?, first: first(fields)?, ..Follow::default() }),
        None => None,
    };
    let request = SubmitRequest {
        kind: TaskKind::Prefetch,
        force: false,
        soft: false,
        area,
        lines,
        domains: Vec::new(),
        scheme: Scheme::Required,
        follow,
    };
    Ok(((request, places), terms::read(fields)?))
}

fn first(fields: &Fields) -> Result<Option<First>, String> {
    let Some(text) = fields.given("first") else { return Ok(None) };
    let count = text.parse().map_err(|_| format!("{text:?} is no number of segments or seconds"))?;
    Ok(Some(if fields.text("unit") == "seconds" { First::Seconds(count) } else { First::Segments(count) }))
}

pub(crate) async fn look(State(console): State<Console>, sent: Sent) -> Result<Markup, Refused> {
    match read(&sent.fields) {
        Ok((entered, _)) => form::look(&console, &sent.person, &sent.fields, entered).await,
        Err(why) => Ok(layout::notice(Notice::Refused, &why)),
    }
}

/// What it would fetch; a part of the page for scripts, else the whole.
pub(crate) async fn preview(
    State(console): State<Console>,
    headers: HeaderMap,
    sent: Sent,
) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Prefetch)?;
    let (looked, preview) = match read(&fields) {
        Ok(((request, places), _)) => {
            let account = person.account(fields.given("account"));
            let lines = request.lines.clone();
            match console.control().dry_run_prefetch(account, None, request).await {
                Ok(run) => (html! {}, expanded::shown(&run, &lines, &places)),
                Err(error) => (form::faults(&form::not_ours(error)?, &places), html! {}),
            }
        }
        Err(why) => (layout::notice(Notice::Refused, &why), html! {}),
    };
    if form::is_script(&headers) {
        return Ok(html! { (looked) (preview) }.into_response());
    }
    Ok(shown(&console, &person, &fields, (&looked, &preview)).await?.into_response())
}

pub(crate) async fn submit(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Prefetch)?;
    let submitted = match read(&fields) {
        Ok((entered, prefetch)) => {
            let terms = Terms { prefetch, ..Terms::default() };
            form::submit(&console, &person, &fields, entered, terms).await?
        }
        Err(why) => Err(layout::notice(Notice::Refused, &why)),
    };
    let page = async |why: &Markup| shown(&console, &person, &fields, (why, &html! {})).await;
    form::led(submitted, page).await
}
