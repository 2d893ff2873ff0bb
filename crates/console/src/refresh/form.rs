//! What the forms for purges and prefetches have in common.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::{Control, Operation, SubmitError, SubmitRequest, Terms};
use freshen_ledger::Error;
use freshen_model::ids::TaskId;
use freshen_model::quota::QuotaKind;
use freshen_model::rights::Right;
use freshen_model::task::TaskKind;
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::fields::Fields;
use crate::layout::{self, Notice};
use crate::moment;
use crate::person::Person;
use crate::refused::Refused;

/// A form as control takes it, and the place of each of its lines in the box.
pub(super) type Entered = (SubmitRequest, Vec<usize>);

/// What is left of today's quota, by kind.
pub(super) struct Left(Vec<(QuotaKind, u64, u64)>);

impl Left {
    pub(super) async fn of(control: &Control, account: &str) -> Result<Left, Error> {
        let quotas = control.quota(account).await?;
        Ok(Left(quotas.iter().map(|quota| (quota.kind, quota.remaining(), quota.limit)).collect()))
    }

    pub(super) fn shown(&self, kind: TaskKind) -> Markup {
        let left = self.0.iter().find(|(of, ..)| *of == kind.quota());
        html! {
            @if let Some((_, left, limit)) = left {
                span .left .ill[*left == 0] { (moment::number(*left)) " of " (moment::number(*limit)) " left" }
            }
        }
    }
}

/// For admins: the account that the form is about.
pub(crate) async fn account(control: &Control, person: &Person, chosen: &str) -> Result<Markup, Error> {
    if !person.may(Right::Admin) {
        return Ok(html! {});
    }
    let accounts = control.accounts().await?;
    Ok(html! {
        @if accounts.len() > 1 {
            label .account {
                "Account"
                select name="account" {
                    @for account in &accounts { option value=(account.name) selected[account.name == chosen] { (account.name) } }
                }
            }
        }
    })
}

/// The box for entries, one a line, with their numbers beside it and what is wrong with them below.
pub(super) fn entries(label: &str, text: &str, look: &str, looked: &Markup) -> Markup {
    html! {
        label for="lines" { (label) }
        div .lined {
            pre .numbers-of-lines aria-hidden="true" { "1" }
            textarea #lines name="lines" rows="9" wrap="off" spellcheck="false" autocapitalize="none" autocomplete="off"
                aria-describedby="looked" required
                hx-post=(look) hx-trigger="input changed delay:300ms, look" hx-target="#looked" hx-sync="this:replace"
                hx-include="closest form" { "\n" (text) }
        }
        div #looked aria-live="polite" { (looked) }
    }
}

/// When it is to begin.
pub(super) fn schedule(fields: &Fields) -> Markup {
    html! {
        label {
            "Not before (UTC)"
            input type="datetime-local" name="not_before" value=(fields.text("not_before"));
        }
    }
}

/// Asks what the form would do, and changes nothing.
pub(super) fn preview_button(path: &str, may: bool) -> Markup {
    html! {
        button type="submit" formaction=(path) disabled[!may] hx-post=(path) hx-target="#preview" hx-include="closest form" hx-indicator="#preview" { "Preview" }
    }
}

/// Whether a script asks for a part of a page.
pub(super) fn is_script(headers: &HeaderMap) -> bool {
    headers.contains_key("hx-request")
}

/// Looks at the lines while they are typed.
pub(super) async fn look(
    console: &Console,
    person: &Person,
    fields: &Fields,
    (request, places): Entered,
) -> Result<Markup, Refused> {
    if request.lines.is_empty() {
        return Ok(html! {});
    }
    match console.control().look_at_lines(person.account(fields.given("account")), &request).await {
        Ok(warnings) => Ok(fine(request.lines.len(), &warnings)),
        Err(error) => Ok(faults(&not_ours(error)?, &places)),
    }
}

/// Submits, and leads to the record; else tells what is wrong with the form.
pub(super) async fn submit(
    console: &Console,
    person: &Person,
    fields: &Fields,
    (request, places): Entered,
    terms: Terms,
) -> Result<Result<Response, Markup>, Refused> {
    let not_before_ms = match fields.given("not_before") {
        Some(text) => match moment::read_time(text) {
            Some(at_ms) => Some(at_ms),
            None => {
                return Ok(Err(layout::notice(Notice::Refused, &format!("{text:?} is no date and time"))));
            }
        },
        None => None,
    };
    let terms = Terms { not_before_ms, ..terms };
    let account = person.account(fields.given("account")).to_owned();
    let what = if request.kind.is_purge() { "purge" } else { "prefetch" };
    let detail = super::told(&account, &request);
    let control = console.control().clone();
    let deed = async move { control.submit_on(&account, request, terms).await };
    let done =
        person.does(console.control(), what, detail, deed, |done| format!("task {}", done.submitted.task));
    match done.await? {
        Ok(accepted) => {
            let record = format!("/ui/refresh/records/{}", accepted.submitted.task);
            Ok(Ok(Redirect::to(&record).into_response()))
        }
        Err(error) => Ok(Err(faults(&not_ours(error)?, &places))),
    }
}

/// Leads to the record, or shows the page with what is wrong with its form.
pub(super) async fn led(
    submitted: Result<Response, Markup>,
    page: impl AsyncFnOnce(&Markup) -> Result<Markup, Refused>,
) -> Result<Response, Refused> {
    match submitted {
        Ok(record) => Ok(record),
        Err(why) => Ok((StatusCode::CONFLICT, page(&why).await?).into_response()),
    }
}

/// What is wrong, and likely wrong, with a submission, line by line; nothing was submitted.
pub(super) fn faults(error: &SubmitError, places: &[usize]) -> Markup {
    let SubmitError::BadLines(lines) = error else {
        return layout::notice(Notice::Refused, &error.to_string());
    };
    let place = |line: usize| places.get(line.wrapping_sub(1)).copied().unwrap_or(line);
    let marked: Vec<String> = lines.iter().map(|line| place(line.line).to_string()).collect();
    html! {
        div .notice .ill data-marked=(marked.join(",")) {
            p { strong { (moment::counted(lines.len() as u64, "line")) " cannot be submitted." } }
            ul .faults {
                @for line in lines {
                    li { a .mono href="#lines" data-line=(place(line.line)) { (place(line.line)) } code { (line.text) } span { (line.fault) } }
                }
            }
        }
    }
}

/// That all lines are fine, and what of them is likely a mistake.
pub(super) fn fine(lines: usize, warnings: &[String]) -> Markup {
    html! {
        @if lines > 0 { p .good { (moment::counted(lines as u64, "line")) @if lines == 1 { " is fine." } @else { " are fine." } } }
        (self::warnings(warnings))
    }
}

pub(super) fn warnings(warnings: &[String]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            div .notice .warn role="status" { ul .faults { @for warning in warnings { li { (layout::sentence(warning)) } } } }
        }
    }
}

/// A fault of ours is no fault of a line.
pub(super) fn not_ours(error: SubmitError) -> Result<SubmitError, Refused> {
    match error {
        SubmitError::Ledger(error @ Error::Engine(_)) => Err(error.into()),
        error => Ok(error),
    }
}

/// A record that is run again.
#[derive(Deserialize)]
pub(crate) struct Again {
    again: Option<u64>,
}

impl Again {
    /// The operation with its lines; nothing where it is not the person's.
    pub(super) async fn before(
        &self,
        control: &Control,
        person: &Person,
    ) -> Result<Option<(Operation, String)>, Error> {
        let Some(id) = self.again.map(TaskId) else { return Ok(None) };
        let Some(operation) = control.operation(person.confines(), id).await? else { return Ok(None) };
        let lines = control.task_lines(person.confines(), id).await?.unwrap_or_default();
        let lines = lines.into_iter().map(|line| line.url).collect::<Vec<_>>().join("\n");
        Ok(Some((operation, lines)))
    }
}
