//! The tab «Prefetch cache».

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use freshen_control::{SubmitRequest, Terms};
use freshen_model::area::Area;
use freshen_model::follow::{First, Follow, Renditions};
use freshen_model::location::Scheme;
use freshen_model::rights::Right;
use freshen_model::task::TaskKind;
use maud::{Markup, html};

use super::form::{self, Again, Entered, Left};
use super::{Tab, page as around};
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
    let fields = match again.before(console.control(), &person).await? {
        Some((operation, lines)) => {
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
            Fields::of(&[
                ("account", &operation.account),
                ("area", operation.area.map_or("", Area::as_str)),
                ("follow", renditions),
                ("first", &first),
                ("unit", unit),
                ("lines", &lines),
            ])
        }
        None => Fields::default(),
    };
    shown(&console, &person, &fields, &html! {}).await
}

async fn shown(
    console: &Console,
    person: &Person,
    fields: &Fields,
    looked: &Markup,
) -> Result<Markup, Refused> {
    let account = person.account(fields.given("account"));
    let left = Left::of(console.control(), account).await?;
    let (area, follow, unit) = (fields.text("area"), fields.text("follow"), fields.text("unit"));
    let body = html! {
        @if !person.may(Right::Prefetch) { (layout::notice(Notice::Warning, "Your role looks on: an operator prefetches.")) }
        form #prefetch .work .one method="post" action="/ui/refresh/prefetch" {
            (layout::token(person))
            (form::account(console.control(), person, account).await?)
            div {
                p { (left.shown(TaskKind::Prefetch)) }
                (form::entries("URLs, one a line", fields.whole("lines"), "/ui/refresh/prefetch/look", looked))
                div .row {
                    label {
                        "POPs"
                        select name="area" {
                            option value="" selected[area.is_empty()] { "everywhere" }
                            @for known in [Area::Domestic, Area::Overseas] { option value=(known.as_str()) selected[known.as_str() == area] { (known.as_str()) } }
                        }
                    }
                    label {
                        "Playlists (HLS, DASH)"
                        select name="follow" {
                            option value="" selected[follow.is_empty()] { "fetch the playlist alone" }
                            option value="all" selected[follow == "all"] { "follow, all renditions" }
                            option value="lowest" selected[follow == "lowest"] { "follow, the lowest rendition" }
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
                p .faint { "What a playlist names is fetched only within the account's domains; the record shows how many files it came to, and what was left out." }
                div .row {
                    (form::schedule(fields))
                    button .main type="submit" disabled[!person.may(Right::Prefetch)] { "Prefetch" }
                }
            }
        }
    };
    Ok(around(person, Tab::Prefetch, &body))
}

/// What the form says.
fn read(fields: &Fields) -> Result<Entered, String> {
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
    Ok((request, places))
}

fn first(fields: &Fields) -> Result<Option<First>, String> {
    let Some(text) = fields.given("first") else { return Ok(None) };
    let count = text.parse().map_err(|_| format!("{text:?} is no number of segments or seconds"))?;
    Ok(Some(if fields.text("unit") == "seconds" { First::Seconds(count) } else { First::Segments(count) }))
}

pub(crate) async fn look(State(console): State<Console>, sent: Sent) -> Result<Markup, Refused> {
    match read(&sent.fields) {
        Ok(entered) => form::look(&console, &sent.person, &sent.fields, entered).await,
        Err(why) => Ok(layout::notice(Notice::Refused, &why)),
    }
}

pub(crate) async fn submit(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Prefetch)?;
    let submitted = match read(&fields) {
        Ok(entered) => form::submit(&console, &person, &fields, entered, Terms::default()).await?,
        Err(why) => Err(layout::notice(Notice::Refused, &why)),
    };
    match submitted {
        Ok(record) => Ok(record),
        Err(why) => {
            Ok((StatusCode::CONFLICT, shown(&console, &person, &fields, &why).await?).into_response())
        }
    }
}
