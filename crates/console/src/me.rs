//! The person's own page: another password.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::SignInError;
use freshen_control::people::PASSWORD_LENGTHS;
use maud::{Markup, html};

use crate::Console;
use crate::layout::{self, Notice, Place};
use crate::moment;
use crate::person::Person;
use crate::refused::Refused;
use crate::sent::Sent;

pub(crate) async fn page(person: Person) -> Markup {
    shown(&person, &html! {})
}

fn shown(person: &Person, word: &Markup) -> Markup {
    let user = &person.user;
    let body = html! {
        dl .facts {
            dt { "Account" } dd { (user.account) }
            dt { "Role" } dd { (user.role.as_str()) }
            dt { "Added" } dd { (moment::time(user.created_ms)) }
        }
        section .panel {
            h2 { "Change the password" }
            (word)
            form .stack method="post" action="/ui/me" {
                (layout::token(person))
                input type="text" name="name" value=(user.name) autocomplete="username" hidden;
                label { "Password now" input name="now" type="password" autocomplete="current-password" required; }
                label {
                    "New password"
                    input name="new" type="password" autocomplete="new-password" required minlength=(PASSWORD_LENGTHS.start());
                }
                p .faint { "At least " (PASSWORD_LENGTHS.start()) " characters. You are signed out everywhere, here too." }
                button .main type="submit" { "Change it" }
            }
        }
    };
    layout::page(person, Place::Me, &user.name, &body)
}

pub(crate) async fn change(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    let Sent { person, fields } = sent;
    let refused = |status: StatusCode, word: &Markup| (status, shown(&person, word)).into_response();
    let known = console.control().knows_password(&person.user.name, fields.whole("now").to_owned()).await;
    match known {
        Ok(()) => {}
        Err(SignInError::Wrong) => {
            let word = layout::notice(Notice::Refused, "This is not your password now.");
            return Ok(refused(StatusCode::FORBIDDEN, &word));
        }
        Err(why @ (SignInError::TooMany(_) | SignInError::Busy)) => {
            return Ok(refused(StatusCode::TOO_MANY_REQUESTS, &Refused::from(why).word()?));
        }
        Err(error) => return Err(error.into()),
    }
    let (control, name, new) =
        (console.control().clone(), person.user.name.clone(), fields.whole("new").to_owned());
    let deed = async move { control.set_password(&name, Some(new)).await.map(drop) };
    let done =
        person.does(console.control(), "change password", "their own".into(), deed, |()| "changed".into());
    match done.await? {
        Ok(()) => Ok(Redirect::to("/ui/sign-in").into_response()),
        Err(error) => Ok(refused(StatusCode::CONFLICT, &Refused::from(error).word()?)),
    }
}
