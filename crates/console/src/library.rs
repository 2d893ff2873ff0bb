//! The media library: which addresses play a medium. Everybody sees that of the account, admins change it.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::StreamPlace;
use freshen_model::media::{Format, Stream, StreamType};
use freshen_model::rights::Right;
use maud::{Markup, html};

use crate::Console;
use crate::fields::Fields;
use crate::layout::{self, Notice, Place};
use crate::person::Person;
use crate::refresh::form;
use crate::refused::Refused;
use crate::sent::Sent;

/// Rows of a page.
const ROWS: u64 = 100;
const FORMATS: [(&str, Format); 7] = [
    ("m3u8", Format::M3u8),
    ("mp4", Format::Mp4),
    ("mpd", Format::Mpd),
    ("mp3", Format::Mp3),
    ("flv", Format::Flv),
    ("webm", Format::Webm),
    ("ts", Format::Ts),
];

pub(crate) async fn page(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
    person: Person,
) -> Result<Markup, Refused> {
    let fields = Fields::read(query.unwrap_or_default().as_bytes());
    shown(&console, &person, &fields, &html! {}).await
}

async fn shown(
    console: &Console,
    person: &Person,
    fields: &Fields,
    word: &Markup,
) -> Result<Markup, Refused> {
    let account = person.account(fields.given("account"));
    let place = fields.given("after_media").and_then(|media| {
        Some(StreamPlace { media: media.to_owned(), number: fields.text("after").parse().ok()? })
    });
    let found = console.control().streams(account, fields.given("search"), place, ROWS).await?;
    let accounts = form::account(console.control(), person, account).await?;
    let body = html! {
        (word)
        form .row .filter method="get" action="/ui/library" role="search" {
            (accounts)
            label { "Medium" input name="search" value=(fields.text("search")) spellcheck="false"; }
            button type="submit" { "Show" }
        }
        @if found.rows.is_empty() { p .faint { "The library of " (account) " has no such medium. Import many with " code { "freshen media import" } "." } } @else {
            div .scroll { table {
                thead { tr { th { "Medium" } th { "Address" } th { "Format" } th { "Definition" } th { "Type" } th .num { "Seconds" } th { span .unseen { "What to do" } } } }
                tbody { @for stream in &found.rows { (row(person, account, stream)) } }
            } }
        }
        @if let Some(next) = &found.next {
            nav .pages aria-label="Pages" { a .button href={ "/ui/library?account=" (account) "&search=" (fields.text("search")) "&after_media=" (next.media) "&after=" (next.number) } { "More" } }
        }
        @if person.may(Right::Admin) { (adding(person, account, fields)) }
    };
    Ok(layout::page(person, Place::Library, "Media library", &body))
}

fn row(person: &Person, account: &str, stream: &Stream) -> Markup {
    let kind = match stream.kind {
        StreamType::Video => "video",
        StreamType::Audio => "audio",
    };
    let format = FORMATS.iter().find(|(_, format)| *format == stream.format).map_or("", |(word, _)| word);
    html! {
        tr {
            th scope="row" { (stream.media) }
            td .wraps .mono { (stream.url) }
            td { (format) }
            td { (stream.definition) }
            td { (kind) }
            td .num { @if let Some(seconds) = stream.duration_s { (seconds) } }
            td .deeds { @if person.may(Right::Admin) {
                form method="post" action="/ui/library/remove" data-sure={ "Remove " (stream.media) " with all its streams?" } {
                    (layout::token(person))
                    input type="hidden" name="account" value=(account);
                    input type="hidden" name="media" value=(stream.media);
                    button .plain .ill type="submit" { "Remove" span .unseen { " " (stream.media) } }
                }
            } }
        }
    }
}

fn adding(person: &Person, account: &str, fields: &Fields) -> Markup {
    html! {
        section .panel {
            h2 { "Add a stream" }
            form .row method="post" action="/ui/library" {
                (layout::token(person))
                input type="hidden" name="account" value=(account);
                label { "Medium" input name="media" value=(fields.text("media")) required maxlength="64" spellcheck="false"; }
                label .long { "Address" input type="url" name="url" value=(fields.text("url")) required spellcheck="false"; }
                label { "Format" select name="format" { @for (word, _) in FORMATS { option value=(word) selected[word == fields.text("format")] { (word) } } } }
                label { "Definition" input name="definition" value=(fields.given("definition").unwrap_or("HD")) required maxlength="16"; }
                label { "Type" select name="type" { option value="video" { "video" } option value="audio" selected[fields.text("type") == "audio"] { "audio" } } }
                button .main type="submit" { "Add" }
            }
        }
    }
}

pub(crate) async fn add(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let format = FORMATS.iter().find(|(word, _)| *word == fields.text("format"));
    let stream = Stream {
        media: fields.text("media").to_owned(),
        url: fields.text("url").to_owned(),
        format: format.ok_or(Refused::BadForm)?.1,
        definition: fields.text("definition").to_owned(),
        kind: if fields.text("type") == "audio" { StreamType::Audio } else { StreamType::Video },
        duration_s: None,
    };
    let detail = format!("{}: {}", stream.media, stream.url);
    let (control, account) = (console.control().clone(), person.account(fields.given("account")).to_owned());
    let deed = async move { control.add_streams(&account, vec![stream]).await };
    let (status, word) =
        match person.does(console.control(), "add stream", detail, deed, |()| "added".into()).await? {
            Ok(()) => (StatusCode::OK, layout::notice(Notice::Done, "It is in the library.")),
            Err(error) => (StatusCode::CONFLICT, Refused::from(error).word()?),
        };
    Ok((status, shown(&console, &person, &fields, &word).await?).into_response())
}

pub(crate) async fn remove(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let (control, account) = (console.control().clone(), person.account(fields.given("account")).to_owned());
    let (media, to) = (fields.text("media").to_owned(), format!("/ui/library?account={account}"));
    let detail = format!("{media} of {account}");
    let deed = async move { control.remove_media(&account, &media).await };
    person.does(console.control(), "remove medium", detail, deed, |()| "removed".into()).await??;
    Ok(Redirect::to(&to).into_response())
}
