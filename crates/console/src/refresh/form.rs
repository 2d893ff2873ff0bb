//! What the forms for purges and prefetches have in common.

use freshen_control::{Control, SubmitError};
use freshen_ledger::Error;
use freshen_model::ids::TaskId;
use freshen_model::quota::QuotaKind;
use freshen_model::rights::Right;
use freshen_model::task::TaskKind;
use maud::{Markup, html};

use crate::fields::Fields;
use crate::layout::{self, Notice};
use crate::moment;
use crate::person::Person;
use crate::refused::Refused;

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
    let form = html! {
        label .account {
            "Account"
            select name="account" {
                @for account in &accounts { option value=(account.name) selected[account.name == chosen] { (account.name) } }
            }
        }
    };
    Ok(if accounts.len() > 1 {
        form
    } else {
        html! {}
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

/// When it is to begin, as the form says; absent: now.
pub(super) fn not_before_ms(fields: &Fields) -> Result<Option<i64>, String> {
    let Some(text) = fields.given("not_before") else { return Ok(None) };
    moment::read_time(text).map(Some).ok_or_else(|| format!("{text:?} is no date and time"))
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

/// The lines of an operation, to run it again; nothing where it is not the person's.
pub(super) async fn again(
    control: &Control,
    person: &Person,
    id: Option<u64>,
) -> Result<Option<(freshen_control::Operation, String)>, Error> {
    let Some(id) = id.map(TaskId) else { return Ok(None) };
    let (operation, lines) =
        (control.operation(person.confines(), id).await?, control.task_lines(person.confines(), id).await?);
    let lines = lines.unwrap_or_default().into_iter().map(|line| line.url).collect::<Vec<_>>().join("\n");
    Ok(operation.map(|operation| (operation, lines)))
}
