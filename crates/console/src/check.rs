//! What each POP would answer a viewer, side by side.

use std::collections::HashMap;

use axum::extract::{Query, State};
use freshen_control::CheckError;
use freshen_ledger::Error;
use freshen_model::check::{CheckAnswer, CheckRow};
use freshen_model::location::{Location, Scheme};
use freshen_model::rights::Right;
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::layout::{self, Notice, Place};
use crate::moment;
use crate::person::Person;
use crate::refused::Refused;

#[derive(Deserialize)]
pub(crate) struct Question {
    #[serde(default)]
    url: String,
    /// Set where the viewer accepts gzip.
    #[serde(default)]
    gzip: String,
}

pub(crate) async fn page(
    State(console): State<Console>,
    Query(question): Query<Question>,
    person: Person,
) -> Result<Markup, Refused> {
    let url = question.url.trim();
    let gzip = !question.gzip.is_empty();
    let answer = match url {
        "" => {
            html! { p .faint { "Every POP says what it would answer now, from its cache alone: nothing is fetched, and nothing changes." } }
        }
        url => {
            let account = account(&console, &person, url).await?;
            match console.control().check(&account, url, gzip).await {
                Ok(rows) => answers(&rows),
                Err(CheckError::Ledger(error @ Error::Engine(_))) => return Err(error.into()),
                Err(why) => layout::notice(Notice::Refused, &why.to_string()),
            }
        }
    };
    let body = html! {
        form .row method="get" action="/ui/check" role="search" hx-get="/ui/check" hx-target="#answers" hx-select="#answers" hx-swap="outerHTML" hx-push-url="true" {
            label .long { "URL" input type="url" name="url" value=(url) required spellcheck="false" placeholder="http://www.example.com/static/image.jpg"; }
            label .beside { input type="checkbox" name="gzip" checked[gzip]; "as a viewer who accepts gzip" }
            button .main type="submit" { "Check" }
        }
        div #answers aria-live="polite" { (answer) }
    };
    Ok(layout::page(&person, Place::Check, "Check", &body))
}

/// The account that is asked for: an admin looks at every account's domains.
async fn account(console: &Console, person: &Person, url: &str) -> Result<String, Refused> {
    if person.may(Right::Admin)
        && let Ok(location) = Location::parse(url, Scheme::Required)
        && let Ok(domain) = console.control().own_domain(None, &location.host).await
    {
        return Ok(domain.account);
    }
    Ok(person.user.account.clone())
}

/// One thing that is told of an answer.
type Column = (&'static str, fn(&CheckAnswer) -> String);

const COLUMNS: [Column; 6] = [
    ("X-Cache", |answer| answer.x_cache.clone()),
    ("Status", |answer| answer.status.map_or(String::new(), |status| status.to_string())),
    ("ETag", |answer| answer.etag.clone().unwrap_or_default()),
    ("Size", |answer| answer.size.map_or(String::new(), moment::bytes)),
    ("Filled at", |answer| answer.fill_seq.map_or(String::new(), |seq| seq.to_string())),
    ("Watermark", |answer| answer.watermark.to_string()),
];

fn answers(rows: &[CheckRow]) -> Markup {
    if rows.is_empty() {
        return html! { p { "No POP is registered." } };
    }
    let answered: Vec<&CheckAnswer> = rows.iter().filter_map(|row| row.answer.as_ref()).collect();
    // What most POPs say; whoever says otherwise is marked.
    let usual: Vec<String> =
        COLUMNS.iter().map(|(_, told)| most(answered.iter().map(|answer| told(answer)))).collect();
    let hits = answered.iter().filter(|answer| answer.x_cache == "HIT").count();
    let agree = answered
        .iter()
        .all(|answer| COLUMNS.iter().zip(&usual).all(|((_, told), usual)| told(answer) == *usual));
    html! {
        p {
            strong { (hits) " of " (rows.len()) " POPs would answer from the cache. " }
            @if agree && answered.len() == rows.len() { span .good { "They all say the same." } } @else { span .warn { "What differs is marked." } }
        }
        div .scroll { table {
            thead { tr { th { "POP" } @for (name, _) in COLUMNS { th { (name) } } th .num { "Age" } th { "Lease" } th { "Why" } } }
            tbody { @for row in rows { (answered_by(row, &usual)) } }
        } }
    }
}

fn answered_by(row: &CheckRow, usual: &[String]) -> Markup {
    html! {
        tr .ill[row.answer.is_none()] {
            th scope="row" { (row.pop) }
            @match &row.answer {
                Some(answer) => {
                    @for ((_, told), usual) in COLUMNS.iter().zip(usual) {
                        @let text = told(answer);
                        td .other[text != *usual] .mono { (text) @if text != *usual { span .unseen { " (differs)" } } }
                    }
                    td .num { @if let Some(age) = answer.age { (moment::number(age)) " s" } }
                    td { @if answer.leased { "yes" } @else { span .warn { "no" } } }
                    td .wraps { (answer.why.as_deref().unwrap_or("")) }
                }
                None => { td colspan="9" { (row.error.as_deref().unwrap_or("did not answer")) } }
            }
        }
    }
}

/// The text that is there most often; of several the first.
fn most(texts: impl Iterator<Item = String>) -> String {
    let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
    for (place, text) in texts.enumerate() {
        counts.entry(text).or_insert((0, place)).0 += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, (count, place))| (*count, usize::MAX - place));
    most.map(|(text, _)| text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_say_is_the_usual() {
        let most = |texts: &[&str]| most(texts.iter().map(|text| (*text).to_owned()));
        assert_eq!(most(&["a", "b", "b"]), "b");
        assert_eq!(most(&["b", "a"]), "b");
        assert_eq!(most(&[]), "");
    }
}
