//! The audit trail; for admins.

use axum::extract::{Query, State};
use freshen_control::Deed;
use freshen_model::rights::Right;
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::layout::{self, Place};
use crate::moment;
use crate::person::Person;
use crate::refused::Refused;

/// Deeds on one page.
const DEEDS: u64 = 50;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// Only those of this user.
    #[serde(default)]
    user: String,
    /// Only those with lower numbers.
    before: Option<u64>,
}

pub(crate) async fn page(
    State(console): State<Console>,
    Query(wanted): Query<Wanted>,
    person: Person,
) -> Result<Markup, Refused> {
    person.must(Right::Admin)?;
    let user = Some(wanted.user.trim()).filter(|user| !user.is_empty());
    let before = wanted.before.unwrap_or(u64::MAX);
    // One more than is shown says whether there are older ones.
    let mut deeds = console.control().deeds(before, user, DEEDS + 1).await?;
    let older = deeds.len() > DEEDS as usize;
    deeds.truncate(DEEDS as usize);
    let last = deeds.last().map_or(0, |deed| deed.number);
    let body = html! {
        form .row .filter method="get" action="/ui/trail" role="search" {
            label { "User" input name="user" value=(wanted.user) autocapitalize="none" spellcheck="false"; }
            button type="submit" { "Show" }
        }
        @if deeds.is_empty() { p .faint { "Nothing was done." } } @else {
            div .scroll { table {
                thead { tr { th { "When (UTC)" } th { "Who" } th { "From" } th { "What" } th { "Of what" } th { "Outcome" } } }
                tbody { @for deed in &deeds { (row(deed)) } }
            } }
        }
        @if older { nav .pages aria-label="Pages" { a href={ "/ui/trail?user=" (wanted.user) "&before=" (last) } { "Older" } } }
    };
    Ok(layout::page(&person, Place::Trail, "Audit trail", &body))
}

fn row(deed: &Deed) -> Markup {
    let refused = deed.outcome.as_ref().is_some_and(|outcome| outcome.starts_with("refused"));
    html! {
        tr {
            td .num { (moment::time(deed.at_ms)) }
            th scope="row" { (deed.user) " " span .faint { (deed.account) } }
            td .num { (deed.address) }
            td { (deed.what) }
            td .wraps { (deed.detail) }
            td .wraps .ill[refused] {
                @match &deed.outcome { Some(outcome) => (outcome), None => span .faint { "not known" } }
            }
        }
    }
}
