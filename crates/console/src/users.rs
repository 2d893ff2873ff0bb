//! Who may sign in; for admins.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::{Account, ManageError, User};
use freshen_model::rights::Right;
use freshen_model::role::Role;
use maud::{Markup, html};

use crate::Console;
use crate::fields::Fields;
use crate::layout::{self, Place};
use crate::moment;
use crate::person::Person;
use crate::refused::Refused;
use crate::sent::Sent;

pub(crate) async fn page(State(console): State<Console>, person: Person) -> Result<Markup, Refused> {
    shown(&console, &person, &html! {}).await
}

async fn shown(console: &Console, person: &Person, word: &Markup) -> Result<Markup, Refused> {
    person.must(Right::Admin)?;
    let (users, accounts) = (console.control().users().await?, console.control().accounts().await?);
    let body = html! {
        (word)
        div .scroll { table {
            thead { tr { th { "User" } th { "Role" } th { "Account" } th { "Added (UTC)" } th { span .unseen { "What to do" } } } }
            tbody { @for user in &users { (row(person, user)) } }
        } }
        (form(person, &accounts))
    };
    Ok(layout::page(person, Place::Users, "Users", &body))
}

fn row(person: &Person, user: &User) -> Markup {
    let own = user.name == person.user.name;
    html! {
        tr {
            th scope="row" { (user.name) @if own { " " span .faint { "(you)" } } }
            td { (user.role.as_str()) }
            td { (user.account) }
            td .num { (moment::time(user.created_ms)) }
            td .deeds {
                @if !own {
                    form method="post" action="/ui/users/password" {
                        (layout::token(person))
                        input type="hidden" name="name" value=(user.name);
                        button .plain type="submit" { "New password" span .unseen { " for " (user.name) } }
                    }
                    form method="post" action="/ui/users/remove" data-sure={ "Remove " (user.name) "?" } {
                        (layout::token(person))
                        input type="hidden" name="name" value=(user.name);
                        button .plain .ill type="submit" { "Remove" span .unseen { " " (user.name) } }
                    }
                }
            }
        }
    }
}

fn form(person: &Person, accounts: &[Account]) -> Markup {
    html! {
        section .panel {
            h2 { "Add a user" }
            form .row method="post" action="/ui/users" {
                (layout::token(person))
                label { "Name" input name="name" required maxlength="64" pattern="[A-Za-z0-9._@\\-]+" autocomplete="off" autocapitalize="none" spellcheck="false"; }
                label { "Role" select name="role" { @for role in Role::ALL { option value=(role.as_str()) { (role.as_str()) } } } }
                label {
                    "Account"
                    select name="account" {
                        @for account in accounts {
                            option value=(account.name) selected[account.name == person.user.account] { (account.name) }
                        }
                    }
                }
                button .main type="submit" { "Add" }
            }
            p .faint { "A viewer sees what belongs to the account, an operator purges and prefetches too, an admin manages the whole installation. The password is made here and shown once." }
        }
    }
}

pub(crate) async fn add(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let Ok(role) = fields.text("role").parse::<Role>() else { return Err(Refused::BadForm) };
    let (name, account) = (fields.text("name").to_owned(), fields.text("account").to_owned());
    let detail = format!("{name}, {} of {account}", role.as_str());
    let (control, of) = (console.control().clone(), name.clone());
    let deed = async move { control.add_user(&of, &account, role, None).await };
    let added = person.does(console.control(), "add user", detail, deed, |_| "added".into()).await?;
    told(&console, &person, &name, added).await
}

pub(crate) async fn set_password(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let name = another(&person, &fields)?;
    let (control, of) = (console.control().clone(), name.clone());
    let deed = async move { control.set_password(&of, None).await };
    let set =
        person.does(console.control(), "set password", name.clone(), deed, |_| "changed".into()).await?;
    told(&console, &person, &name, set).await
}

pub(crate) async fn remove(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    person.must(Right::Admin)?;
    let name = another(&person, &fields)?;
    let (control, of) = (console.control().clone(), name.clone());
    let deed = async move { control.remove_user(&of).await };
    person.does(console.control(), "remove user", name, deed, |()| "removed".into()).await??;
    Ok(Redirect::to("/ui/users").into_response())
}

/// Nobody removes himself by a slip, so that somebody is left who can add others.
fn another(person: &Person, fields: &Fields) -> Result<String, Refused> {
    let name = fields.text("name");
    if name == person.user.name {
        return Err(Refused::Unfit("Not yourself: another admin does that.".into()));
    }
    Ok(name.to_owned())
}

/// The page with a password that was made, or with why none was.
async fn told(
    console: &Console,
    person: &Person,
    name: &str,
    made: Result<String, ManageError>,
) -> Result<Response, Refused> {
    let (status, word) = match made {
        Ok(password) => {
            let rows = [("User", name), ("Password", password.as_str())];
            (StatusCode::OK, layout::secret("The user's password", &rows))
        }
        Err(error) => (StatusCode::CONFLICT, Refused::from(error).word()?),
    };
    Ok((status, shown(console, person, &word).await?).into_response())
}
