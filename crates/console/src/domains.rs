//! Domains and their settings: everybody sees those of the account, admins change them.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::DomainRecord;
use freshen_model::check::{Tried, TriedRow};
use freshen_model::domain::{NoLease, Origin, Ranges, Settings};
use freshen_model::rights::Right;
use maud::{Markup, html};
use serde::Deserialize;
use std::str::FromStr;

use crate::Console;
use crate::fields::Fields;
use crate::layout::{self, Notice, Place};
use crate::moment;
use crate::person::Person;
use crate::refresh::form;
use crate::refused::Refused;
use crate::sent::Sent;

/// Rows of a page.
const ROWS: u64 = 100;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    text: String,
    /// The name behind which the page begins.
    after: Option<String>,
}

pub(crate) async fn list(
    State(console): State<Console>,
    Query(wanted): Query<Wanted>,
    person: Person,
) -> Result<Markup, Refused> {
    let text = Some(wanted.text.trim()).filter(|text| !text.is_empty());
    let found =
        console.control().domains_behind(person.confines(), text, wanted.after.as_deref(), ROWS).await?;
    let body = html! {
        form .row .filter method="get" action="/ui/domains" role="search" {
            label { "Name has" input name="text" value=(wanted.text) spellcheck="false"; }
            button type="submit" { "Show" }
            @if person.may(Right::Admin) { a .button href="/ui/domains/new" { "Add a domain" } }
        }
        @if found.rows.is_empty() { p .faint { "No domain fits." } } @else {
            div .scroll { table {
                thead { tr { th { "Domain" } th { "Account" } th { "Origin" } th { "Cache" } th { "Query" } th .num { "Order" } } }
                tbody { @for domain in &found.rows {
                    tr {
                        th scope="row" { a href={ "/ui/domains/" (domain.name) } { (domain.name) } @if domain.settings.stopped { " " span .warn { "stopped" } } }
                        td { (domain.account) }
                        td .mono { (domain.settings.origin) @if !domain.settings.backups.is_empty() { " and " (domain.settings.backups.len()) " more" } }
                        td { @match &domain.settings.share_cache { Some(primary) => { "that of " (primary) }, None => "its own" } }
                        td .mono { (domain.settings.query) }
                        td .num { (domain.seq) }
                    }
                } }
            } }
        }
        @if let Some(next) = &found.next { nav .pages aria-label="Pages" { a .button href={ "/ui/domains?text=" (wanted.text) "&after=" (next) } { "More" } } }
    };
    Ok(layout::page(&person, Place::Domains, "Domains", &body))
}

pub(crate) async fn new(State(console): State<Console>, person: Person) -> Result<Markup, Refused> {
    adding(&console, &person, &Fields::default(), &html! {}).await
}

async fn adding(
    console: &Console,
    person: &Person,
    fields: &Fields,
    word: &Markup,
) -> Result<Markup, Refused> {
    person.must(Right::Admin)?;
    let account = person.account(fields.given("account"));
    let body = html! {
        form .panel method="post" action="/ui/domains/new" {
            (layout::token(person))
            (word)
            (form::account(console.control(), person, account).await?)
            div .row {
                label { "Domain" input name="name" value=(fields.text("name")) required spellcheck="false" autocapitalize="none" placeholder="www.example.com"; }
                label { "Origin" input name="origins" value=(fields.text("origins")) required spellcheck="false" placeholder="http://origin.example.com"; }
                label { "Host field sent to it" input name="host_header" value=(fields.text("host_header")) spellcheck="false" placeholder="the domain"; }
                button .main type="submit" { "Add" }
            }
            p .faint { "Some POPs ask the origin for its first page before anything is saved. They serve the domain once they have its order. Point the domain's name at them when it is there; everything else is set on its page." }
        }
    };
    Ok(layout::page(person, Place::Domains, "Add a domain", &body))
}

pub(crate) async fn add(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let again = async |word: Markup| -> Result<Response, Refused> {
        let page = adding(&console, &person, &fields, &word).await?;
        Ok((StatusCode::CONFLICT, page).into_response())
    };
    let mut settings = match fields.text("origins").parse::<Origin>() {
        Ok(origin) => Settings::of_origin(origin),
        Err(why) => return again(layout::notice(Notice::Refused, &format!("origin: {why}"))).await,
    };
    settings.origin.host_header = fields.given("host_header").map(str::to_owned);
    let (account, name) =
        (person.account(fields.given("account")).to_owned(), fields.text("name").to_owned());
    let detail = format!("{name} of {account}, origin {}", settings.origin);
    if !fields.ticked("anyway") {
        let (control, of, new) = (console.control().clone(), name.clone(), settings.clone());
        let deed = async move { control.try_domain(&of, &new).await };
        let tried =
            person.does(console.control(), "try origin", detail.clone(), deed, |rows| outcome(rows)).await?;
        match tried {
            Ok(rows) if !rows.is_empty() && rows.iter().all(TriedRow::well) => {}
            Ok(rows) => return again(trial(&rows)).await,
            Err(error) => return again(Refused::from(error).word()?).await,
        }
    }
    let control = console.control().clone();
    let deed = async move { control.add_domain(&account, &name, &settings).await };
    let told = |added: &DomainRecord| format!("order {}", added.seq);
    match person.does(console.control(), "add domain", detail, deed, told).await? {
        Ok(added) => Ok(Redirect::to(&format!("/ui/domains/{}", added.name)).into_response()),
        Err(error) => {
            let refused = match Refused::from(error) {
                Refused::NotFound(what) => Refused::Unfit(format!("there is no such {what}")),
                refused => refused,
            };
            again(refused.word()?).await
        }
    }
}

/// A trial in the audit trail.
fn outcome(rows: &[TriedRow]) -> String {
    format!("{} of {} POPs were answered", rows.iter().filter(|row| row.well()).count(), rows.len())
}

/// What came of a trial that did not go well, and how to add the domain all the same.
fn trial(rows: &[TriedRow]) -> Markup {
    html! {
        div .notice .ill role="alert" {
            @if rows.is_empty() {
                p { strong { "No POP is connected that could ask the origin. " } "Nothing was saved." }
            } @else {
                p { strong { "The origin did not answer well. " } "Nothing was saved." }
                ul .faults { @for row in rows { li { b { (row.pop) } (told_of(row)) } } }
            }
        }
        label .beside { input type="checkbox" name="anyway"; "Add it all the same" }
    }
}

fn told_of(row: &TriedRow) -> String {
    match &row.tried {
        Ok(Tried { status: Some(status), tried_ms, .. }) => format!("status {status} after {tried_ms} ms"),
        Ok(Tried { error, .. }) => error.clone().unwrap_or_else(|| "no answer".into()),
        Err(why) => format!("could not be asked: {why}"),
    }
}

pub(crate) async fn one(
    State(console): State<Console>,
    Path(name): Path<String>,
    person: Person,
) -> Result<Markup, Refused> {
    let domain = console.control().own_domain(person.confines(), &name).await?;
    Ok(shown(&person, &domain, &html! {}))
}

/// A setting that a form has as text: its name, what it is called, its value, and what may be written.
type Entry = (&'static str, &'static str, String, &'static str);

fn entries(settings: &Settings) -> [Entry; 7] {
    let number = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        (
            "query",
            "What of a query tells objects apart",
            settings.query.to_string(),
            "keep, ignore, only:a,b or drop:a,b",
        ),
        (
            "default_ttl_s",
            "Seconds of freshness, where the origin is silent",
            number(settings.default_ttl_s),
            "as the standard says",
        ),
        (
            "negative_ttl_s",
            "The same for 404, 410 and their like",
            number(settings.negative_ttl_s),
            "as others",
        ),
        ("retries", "Tries again after no answer", settings.retries.to_string(), "0 to 5"),
        (
            "origin_head_ms_max",
            "Milliseconds until the origin's answer begins",
            number(settings.origin_head_ms_max),
            "as the POP is configured",
        ),
        (
            "origin_silence_ms_max",
            "Milliseconds of silence within it",
            number(settings.origin_silence_ms_max),
            "as the POP is configured",
        ),
        (
            "home",
            "Which POP asks the origin for the others",
            settings.home.to_string(),
            "off, region, fleet or a POP",
        ),
    ]
}

fn shown(person: &Person, domain: &DomainRecord, word: &Markup) -> Markup {
    let settings = &domain.settings;
    let admin = person.may(Right::Admin);
    let lines = |values: Vec<String>| values.join("\n");
    let origins = lines(settings.origins().map(Origin::to_string).collect());
    let rules = lines(settings.ttl.iter().map(ToString::to_string).collect());
    let path = format!("/ui/domains/{}", domain.name);
    let body = html! {
        (word)
        dl .facts {
            dt { "Account" } dd { (domain.account) }
            dt { "Settings of order" } dd .mono { (domain.seq) }
            @if let Some(primary) = &settings.share_cache { dt { "Shares the cache of" } dd { a href={ "/ui/domains/" (primary) } { (primary) } } }
            @if let Some(bucket) = &settings.origin.s3 { dt { "Private bucket" } dd { (bucket.region) ", read by " code { (bucket.access_key_id) } ", whose secret is kept and never shown" } }
            @if settings.stopped { dt { "State" } dd .warn { "stopped: viewers get no content" } }
        }
        form .panel .settings method="post" action=(path) {
            fieldset disabled[!admin] {
                legend .unseen { "Settings" }
                (layout::token(person))
                div .grid {
                    label { "Origins, the first is asked first" textarea name="origins" rows="3" wrap="off" spellcheck="false" { "\n" (origins) } }
                    label { "Freshness by path, one rule a line" textarea name="ttl" rows="3" wrap="off" spellcheck="false" placeholder="/path=SECONDS or .suffix=SECONDS, ! behind it: whatever the origin says" { "\n" (rules) } }
                    label { "Host field sent to origins" input name="host_header" value=(settings.origin.host_header.as_deref().unwrap_or_default()) placeholder="the domain" spellcheck="false"; }
                    @for (name, called, value, hint) in entries(settings) {
                        label { (called) input name=(name) value=(value) placeholder=(hint) spellcheck="false"; }
                    }
                    label { "Without a lease, a POP" select name="no_lease" {
                        @for (value, told) in [(NoLease::Revalidate, "asks the origin first"), (NoLease::Refetch, "fetches anew"), (NoLease::Serve, "serves what it has")] {
                            option value=(value) selected[value == settings.no_lease] { (told) }
                        }
                    } }
                    label { "Parts of large objects" select name="ranges" {
                        @for (value, told) in [(Ranges::Slices, "asked for by ranges"), (Ranges::Whole, "never: always the whole")] {
                            option value=(value) selected[value == settings.ranges] { (told) }
                        }
                    } }
                    label .beside { input type="checkbox" name="purged_stale_if_error" checked[settings.purged_stale_if_error]; "Serve expired copies while the origin fails, purged ones too" }
                    label .beside { input type="checkbox" name="show_tags" checked[settings.show_tags]; "Viewers get the fields with tags" }
                }
                @if admin { button .main type="submit" { "Save" } }
            }
        }
        @if admin {
            form method="post" action={ (path) "/remove" } data-sure={ "Remove " (domain.name) "? POPs answer for it no more." } {
                (layout::token(person))
                button .plain .ill type="submit" { "Remove this domain" }
            }
        }
    };
    layout::page(person, Place::Domains, &domain.name, &body)
}

/// The settings as they were, with what the form says in place of what is there.
fn read(fields: &Fields, mut settings: Settings) -> Result<Settings, String> {
    let origins: Result<Vec<Origin>, String> = fields
        .lines("origins")
        .iter()
        .map(|(_, line)| line.parse::<Origin>().map_err(|why| format!("origin {line:?}: {why}")))
        .collect();
    let bucket = settings.origin.s3.clone();
    let mut origins = origins?.into_iter();
    settings.origin = origins.next().ok_or("name an origin")?;
    settings.backups = origins.collect();
    for origin in settings.origins_mut() {
        origin.host_header = fields.given("host_header").map(str::to_owned);
        origin.s3.clone_from(&bucket);
    }
    let ttl =
        fields.lines("ttl").iter().map(|(_, line)| line.parse().map_err(told)).collect::<Result<_, String>>();
    settings.ttl = ttl?;
    settings.query = parsed(fields, "query")?;
    settings.home = parsed(fields, "home")?;
    settings.no_lease = parsed(fields, "no_lease")?;
    settings.ranges = parsed(fields, "ranges")?;
    settings.retries = parsed(fields, "retries")?;
    settings.default_ttl_s = optional(fields, "default_ttl_s")?;
    settings.negative_ttl_s = optional(fields, "negative_ttl_s")?;
    settings.origin_head_ms_max = optional(fields, "origin_head_ms_max")?;
    settings.origin_silence_ms_max = optional(fields, "origin_silence_ms_max")?;
    settings.purged_stale_if_error = fields.ticked("purged_stale_if_error");
    settings.show_tags = fields.ticked("show_tags");
    Ok(settings)
}

fn told(why: impl std::fmt::Display) -> String {
    why.to_string()
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(fields: &Fields, name: &str) -> Result<T, String> {
    fields.text(name).parse().map_err(|why| format!("{name}: {why}"))
}

fn optional<T: FromStr<Err: std::fmt::Display>>(fields: &Fields, name: &str) -> Result<Option<T>, String> {
    fields.given(name).map(|_| parsed(fields, name)).transpose()
}

pub(crate) async fn set(
    State(console): State<Console>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let before = console.control().own_domain(person.confines(), &name).await?;
    let refused = |word: &Markup| Ok((StatusCode::CONFLICT, shown(&person, &before, word)).into_response());
    let settings = match read(&fields, before.settings.clone()) {
        Ok(settings) => settings,
        Err(why) => return refused(&layout::notice(Notice::Refused, &why)),
    };
    let (control, of) = (console.control().clone(), before.name.clone());
    let detail = format!("{of}, origin {}", settings.origin);
    let deed = async move { control.set_domain(None, &of, &settings).await };
    let told = |set: &DomainRecord| format!("order {}", set.seq);
    match person.does(console.control(), "change domain", detail, deed, told).await? {
        Ok(set) => {
            let word = format!(
                "Saved as order {}. POPs follow it as they follow purges.",
                moment::number(set.seq.0)
            );
            Ok(shown(&person, &set, &layout::notice(Notice::Done, &word)).into_response())
        }
        Err(error) => refused(&Refused::from(error).word()?),
    }
}

pub(crate) async fn remove(
    State(console): State<Console>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let person = sent.person;
    person.must(Right::Admin)?;
    let (control, of) = (console.control().clone(), name.clone());
    let deed = async move { control.remove_domain(None, &of).await };
    person.does(console.control(), "remove domain", name, deed, |()| "removed".into()).await??;
    Ok(Redirect::to("/ui/domains").into_response())
}
