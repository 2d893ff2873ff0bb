//! Accounts with their limits and access keys; for admins. Everybody sees the quotas of the own account.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::Account;
use freshen_ledger::AccessKey;
use freshen_model::quota::Limits;
use freshen_model::rights::{Right, Rights};
use maud::{Markup, html};

use crate::Console;
use crate::fields::Fields;
use crate::layout::{self, Notice, Place};
use crate::moment;
use crate::person::Person;
use crate::refused::Refused;
use crate::sent::Sent;

/// Quotas of the person's account, today.
pub(crate) async fn quotas(State(console): State<Console>, person: Person) -> Result<Markup, Refused> {
    let quotas = console.control().quota(&person.user.account).await?;
    let body = html! {
        p { "What account " strong { (person.user.account) } " submitted today, of what it may." }
        div .scroll { table {
            thead { tr { th { "Lines of" } th .progress { "Used" } th .num { "Left" } th .num { "A day" } th .num { "In one submission" } } }
            tbody { @for quota in &quotas {
                tr .ill[quota.remaining() == 0] {
                    th scope="row" { (quota.kind.as_str()) }
                    td .progress { progress max=(quota.limit.max(1)) value=(quota.used) aria-label={ (quota.kind.as_str()) " used" } {} " " (moment::number(quota.used)) }
                    td .num { (moment::number(quota.remaining())) }
                    td .num { (moment::number(quota.limit)) }
                    td .num { (moment::number(quota.kind.lines_max() as u64)) }
                }
            } }
        } }
    };
    Ok(layout::page(&person, Place::Quotas, "Quotas", &body))
}

pub(crate) async fn list(State(console): State<Console>, person: Person) -> Result<Markup, Refused> {
    listed(&console, &person, &html! {}).await
}

async fn listed(console: &Console, person: &Person, word: &Markup) -> Result<Markup, Refused> {
    person.must(Right::Admin)?;
    let accounts = console.control().accounts().await?;
    let body = html! {
        (word)
        div .scroll { table {
            thead { tr { th { "Account" } th { "Rights" } th .num { "URLs a day" } th .num { "Folders a day" } th .num { "Prefetches a day" } th { "Added (UTC)" } } }
            tbody { @for account in &accounts {
                tr {
                    th scope="row" { a href={ "/ui/accounts/" (account.name) } { (account.name) } }
                    td { @if account.admin { "admin" } }
                    td .num { (moment::number(account.limits.url)) }
                    td .num { (moment::number(account.limits.directory)) }
                    td .num { (moment::number(account.limits.prefetch)) }
                    td .num { (moment::time(account.created_ms)) }
                }
            } }
        } }
        section .panel {
            h2 { "Add an account" }
            form .row method="post" action="/ui/accounts" {
                (layout::token(person))
                label { "Name" input name="name" required maxlength="64" spellcheck="false" autocapitalize="none"; }
                label .beside { input type="checkbox" name="admin"; "its keys manage the installation" }
                button .main type="submit" { "Add" }
            }
        }
    };
    Ok(layout::page(person, Place::Accounts, "Accounts and keys", &body))
}

pub(crate) async fn add(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let (name, admin) = (fields.text("name").to_owned(), fields.ticked("admin"));
    let (control, of) = (console.control().clone(), name.clone());
    let deed = async move { control.add_account(&of, admin).await };
    let detail = if admin { format!("{name}, admin") } else { name };
    match person.does(console.control(), "add account", detail, deed, |_| "added".into()).await? {
        Ok(added) => Ok(Redirect::to(&format!("/ui/accounts/{}", added.name)).into_response()),
        Err(error) => {
            let word = Refused::from(error).word()?;
            Ok((StatusCode::CONFLICT, listed(&console, &person, &word).await?).into_response())
        }
    }
}

pub(crate) async fn one(
    State(console): State<Console>,
    Path(name): Path<String>,
    person: Person,
) -> Result<Markup, Refused> {
    shown(&console, &person, &name, &html! {}).await
}

/// A limit in a form: its name, what it is called, and where it is.
type Limit = (&'static str, &'static str, fn(&mut Limits) -> &mut u64);

const LIMITS: [Limit; 10] = [
    ("url", "URLs a day", |limits| &mut limits.url),
    ("directory", "Folders a day", |limits| &mut limits.directory),
    ("prefetch", "Prefetches a day", |limits| &mut limits.prefetch),
    ("query", "URLs with any query a day", |limits| &mut limits.query),
    ("regex", "Patterns a day", |limits| &mut limits.regex),
    ("tag", "Tags a day", |limits| &mut limits.tag),
    ("requests_per_s", "Requests a second", |limits| &mut limits.requests_per_s),
    ("urls_per_minute", "URLs of a domain a minute", |limits| &mut limits.urls_per_minute),
    ("directories_per_minute", "Folders of a domain a minute", |limits| &mut limits.directories_per_minute),
    ("prefetch_queue", "Prefetches that wait", |limits| &mut limits.prefetch_queue),
];

async fn shown(console: &Console, person: &Person, name: &str, word: &Markup) -> Result<Markup, Refused> {
    person.must(Right::Admin)?;
    let account = console.control().account(name).await?.ok_or(Refused::NotFound("account"))?;
    let keys = console.control().keys(name).await?;
    let path = format!("/ui/accounts/{}", account.name);
    let body = html! {
        (word)
        h2 { "Access keys" }
        (self::keys(person, &path, &keys))
        (new_key(person, &path))
        (limits(person, &path, &account))
    };
    Ok(layout::page(person, Place::Accounts, &format!("Account {}", account.name), &body))
}

fn keys(person: &Person, path: &str, keys: &[AccessKey]) -> Markup {
    html! {
        @if keys.is_empty() { p .faint { "It has none." } } @else {
            div .scroll { table {
                thead { tr { th { "Id" } th { "May" } th { "Domains" } th { "State" } th { span .unseen { "What to do" } } } }
                tbody { @for key in keys {
                    tr {
                        th .mono scope="row" { (key.id) }
                        td { (key.rights.may.iter().map(|right| right.as_str()).collect::<Vec<_>>().join(", ")) }
                        td .wraps { @match &key.rights.domains { Some(domains) => (domains.iter().cloned().collect::<Vec<_>>().join(" ")), None => span .faint { "all" } } }
                        td {
                            @if key.disabled { span .state .ill { "disabled" } }
                            @else if let Some(temporary) = &key.temporary { span .state .warn { "until " (moment::time(temporary.expires_ms)) } }
                            @else { span .state .good { "in use" } }
                        }
                        td .deeds { @if !key.disabled {
                            form method="post" action={ (path) "/keys/disable" } data-sure={ "Disable " (key.id) " for good?" } {
                                (layout::token(person))
                                input type="hidden" name="id" value=(key.id);
                                button .plain .ill type="submit" { "Disable" span .unseen { " " (key.id) } }
                            }
                        } }
                    }
                } }
            } }
        }
    }
}

fn new_key(person: &Person, path: &str) -> Markup {
    html! {
        section .panel {
            h2 { "Make a key" }
            form method="post" action={ (path) "/keys" } {
                (layout::token(person))
                fieldset .inline {
                    legend { "It may" }
                    @for right in Right::ALL { label .beside { input type="checkbox" name=(right.as_str()) checked; (right.as_str()) } }
                }
                div .row {
                    label .long { "In these domains only" input name="domains" placeholder="all of the account" spellcheck="false"; }
                    button .main type="submit" { "Make it" }
                }
            }
        }
    }
}

fn limits(person: &Person, path: &str, account: &Account) -> Markup {
    let mut limits = account.limits;
    html! {
        section .panel {
            h2 { "Limits" }
            form method="post" action={ (path) "/limits" } {
                (layout::token(person))
                div .grid { @for (name, called, of) in LIMITS {
                    label { (called) input name=(name) value=(of(&mut limits)) inputmode="numeric" pattern="[0-9]+" required; }
                } }
                button .main type="submit" { "Save" }
            }
        }
    }
}

pub(crate) async fn set_limits(
    State(console): State<Console>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let account = console.control().account(&name).await?.ok_or(Refused::NotFound("account"))?;
    let mut limits = account.limits;
    for (field, called, of) in LIMITS {
        let Ok(limit) = fields.text(field).parse() else {
            let word = layout::notice(Notice::Refused, &format!("{called}: write a number."));
            return Ok((StatusCode::CONFLICT, shown(&console, &person, &name, &word).await?).into_response());
        };
        *of(&mut limits) = limit;
    }
    let (control, of) = (console.control().clone(), name.clone());
    let deed = async move { control.set_limits(&of, limits).await };
    person.does(console.control(), "set limits", name.clone(), deed, |()| "changed".into()).await??;
    let word = layout::notice(Notice::Done, "The limits are changed.");
    Ok(shown(&console, &person, &name, &word).await?.into_response())
}

pub(crate) async fn add_key(
    State(console): State<Console>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let rights = rights(&fields);
    let (control, of) = (console.control().clone(), name.clone());
    let deed = async move { control.add_key_with(&of, rights).await };
    let made = person
        .does(console.control(), "make key", name.clone(), deed, |key| format!("key {}", key.id))
        .await?;
    let (status, word) = match made {
        Ok(key) => {
            let rows = [("Id", key.id.as_str()), ("Secret", key.secret.as_str())];
            (StatusCode::OK, layout::secret("A new access key", &rows))
        }
        Err(error) => {
            let refused = match Refused::from(error) {
                Refused::NotFound("domain") => Refused::Unfit("the account has no such domain".into()),
                refused => refused,
            };
            (StatusCode::CONFLICT, refused.word()?)
        }
    };
    Ok((status, shown(&console, &person, &name, &word).await?).into_response())
}

fn rights(fields: &Fields) -> Rights {
    let domains = fields
        .given("domains")
        .map(|text| text.split([' ', ',']).filter(|domain| !domain.is_empty()).map(str::to_owned).collect());
    Rights { may: Right::ALL.into_iter().filter(|right| fields.ticked(right.as_str())).collect(), domains }
}

pub(crate) async fn disable_key(
    State(console): State<Console>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let id = fields.text("id").to_owned();
    let key = console.control().key(&id).await?.filter(|key| key.account == name);
    let id = key.ok_or(Refused::NotFound("access key"))?.id;
    let (control, of) = (console.control().clone(), id.clone());
    let deed = async move { control.disable_key(&of).await };
    person
        .does(console.control(), "disable key", format!("{id} of {name}"), deed, |()| "disabled".into())
        .await??;
    Ok(Redirect::to(&format!("/ui/accounts/{name}")).into_response())
}
