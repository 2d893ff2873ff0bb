//! Signing in and out.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::{Session, SignInError};
use maud::html;
use serde::Deserialize;
use tracing::{info, warn};

use crate::Console;
use crate::layout::{self, Notice};
use crate::person;
use crate::refused::Refused;
use crate::sent::{Sent, Strangers};

#[derive(Deserialize)]
pub(crate) struct Next {
    /// The page that was asked for.
    #[serde(default)]
    next: String,
}

pub(crate) async fn page(Query(next): Query<Next>) -> Response {
    form(&next.next, "", None).into_response()
}

fn form(next: &str, name: &str, refused: Option<&str>) -> maud::Markup {
    let body = html! {
        @if let Some(why) = refused { (layout::notice(Notice::Refused, why)) }
        form .stack method="post" action="/ui/sign-in" {
            @if let Some(next) = page_of_ours(next) { input type="hidden" name="next" value=(next); }
            label { "User name" input name="name" value=(name) autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus; }
            label { "Password" input name="password" type="password" autocomplete="current-password" required; }
            button .main type="submit" { "Sign in" }
        }
        p .faint { "Users are added by an admin, or with " code { "freshen user add" } "." }
    };
    layout::bare("Sign in", &body)
}

pub(crate) async fn sign_in(State(console): State<Console>, form: Strangers) -> Result<Response, Refused> {
    let Strangers { fields, parts } = form;
    let (name, next, from) = (fields.text("name"), fields.text("next"), person::address(&parts));
    match console.control().sign_in(name, fields.whole("password").to_owned(), from).await {
        Ok(session) => {
            note(&console, &session, &parts, "sign in", "with the password").await?;
            Ok(entered(&console, &session, page_of_ours(next).unwrap_or("/ui/")))
        }
        Err(why @ (SignInError::Wrong | SignInError::TooMany(_) | SignInError::Busy)) => {
            warn!(user = name, from = ?from, %why, "a sign-in is refused");
            let status = match why {
                SignInError::Wrong => StatusCode::FORBIDDEN,
                _ => StatusCode::TOO_MANY_REQUESTS,
            };
            Ok((status, self::form(next, name, Some(&why.to_string()))).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    token: String,
}

/// By a link that is good once, and only on the machine that control runs on.
pub(crate) async fn enter(
    State(console): State<Console>,
    Query(link): Query<Link>,
    parts: Parts,
) -> Result<Response, Refused> {
    if !person::address(&parts).is_some_and(|address| address.is_loopback()) {
        return Err(Refused::NotFound("page"));
    }
    match console.control().sign_in_by_link(&link.token).await {
        Ok(session) => {
            note(&console, &session, &parts, "sign in", "with a link").await?;
            Ok(entered(&console, &session, "/ui/"))
        }
        Err(SignInError::Wrong) => {
            let why = "This link was used, or its time is over. Sign in with the password.";
            Ok((StatusCode::FORBIDDEN, form("", "", Some(why))).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Who came in is kept before the browser has the session.
async fn note(
    console: &Console,
    session: &Session,
    parts: &Parts,
    what: &str,
    how: &str,
) -> Result<(), Refused> {
    let from = person::address(parts);
    let number = console.control().begin_deed(&session.user, from, what, how).await?;
    console.control().end_deed(number, "signed in").await?;
    info!(user = session.user.name, ?from, "signed in {how}");
    Ok(())
}

fn entered(console: &Console, session: &Session, to: &str) -> Response {
    let cookie = cookie(console, &session.id, session.lifetime);
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

pub(crate) async fn sign_out(State(console): State<Console>, sent: Sent) -> Result<Response, Refused> {
    sent.person.sign_out(console.control()).await?;
    let cookie = cookie(&console, "", Duration::ZERO);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/ui/sign-in")).into_response())
}

/// `Lax`, so that a link to a page in somebody's mail opens it; what changes something is a POST, with which no foreign page
/// sends it.
fn cookie(console: &Console, value: &str, lifetime: Duration) -> String {
    let (name, seconds) = (&console.0.cookie, lifetime.as_secs());
    let secure = if console.0.https { "; Secure" } else { "" };
    format!("{name}={value}; Path=/ui; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// A page to go to: one of ours, and nothing that a browser could take for another host.
fn page_of_ours(next: &str) -> Option<&str> {
    let ours = next.starts_with("/ui/") && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (ours && !next.starts_with("/ui/sign-") && !next.starts_with("/ui/enter")).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(page_of_ours("/ui/records?status=failed"), Some("/ui/records?status=failed"));
        for elsewhere in
            ["", "//evil.example", "/\\evil", "https://evil.example", "/ui", "/ui/\\x", "/ui/sign-out"]
        {
            assert_eq!(page_of_ours(elsewhere), None, "{elsewhere}");
        }
    }
}
