//! What a browser gets where it does not get what it asked for.

use std::fmt;

use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use freshen_control::{ManageError, SignInError};
use freshen_ledger::{Error, Refusal};
use freshen_model::rights::Right;
use maud::{Markup, html};
use tracing::error;

use crate::layout::{self, Notice};

/// Why there is no such answer.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nobody known asks; where to go after signing in, and whether a script asks for a part of a page.
    SignedOut { next: String, part: bool },
    /// The role has not that right.
    Forbidden(Right),
    /// The form is of no page of this session.
    ForeignForm,
    /// The form is too long, or did not come whole.
    BadForm,
    /// There is none, or it is another account's.
    NotFound(&'static str),
    /// It cannot be done as it was asked; the text says what is wrong.
    Unfit(String),
    /// A fault of ours; the log has it.
    Failed,
}

impl Refused {
    /// Sends a browser to sign in, and back afterwards where that is a page.
    pub(crate) fn signed_out(parts: &Parts) -> Refused {
        let part = parts.headers.contains_key("hx-request");
        let page = parts.uri.path_and_query().filter(|_| parts.method == "GET" && !part);
        let next = page.map(|page| page.as_str().to_owned()).unwrap_or_default();
        Refused::SignedOut { next, part }
    }

    /// A fault of ours: the reason goes to the log, not out.
    pub(crate) fn failed(why: &dyn fmt::Display) -> Refused {
        error!(%why, "a page failed");
        Refused::Failed
    }

    /// What a form's own page says of it, where the form is at fault; else the answer is a page of its own.
    pub(crate) fn word(self) -> Result<Markup, Refused> {
        match self {
            Refused::Unfit(why) => Ok(layout::notice(Notice::Refused, &why)),
            refused => Err(refused),
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        match error {
            Error::Refused(Refusal::NotFound { what, .. }) => Refused::NotFound(what),
            Error::Refused(refusal) => Refused::Unfit(refusal.to_string()),
            Error::Engine(_) => Refused::failed(&error),
        }
    }
}

impl From<ManageError> for Refused {
    fn from(error: ManageError) -> Refused {
        match error {
            ManageError::Ledger(error) => error.into(),
            ManageError::Unfit { .. } => Refused::Unfit(error.to_string()),
            ManageError::NoRandom(_) => Refused::failed(&error),
        }
    }
}

impl From<SignInError> for Refused {
    fn from(error: SignInError) -> Refused {
        match error {
            SignInError::Ledger(error) => error.into(),
            SignInError::NoRandom(_) => Refused::failed(&error),
            SignInError::Wrong | SignInError::TooMany(_) | SignInError::Busy => {
                Refused::Unfit(error.to_string())
            }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Refused::SignedOut { part: true, .. } => {
                // The script goes there with the whole page.
                let to = HeaderName::from_static("hx-redirect");
                return (StatusCode::UNAUTHORIZED, [(to, "/ui/sign-in")]).into_response();
            }
            Refused::SignedOut { next, .. } if next.is_empty() || next == "/ui/" => {
                return Redirect::to("/ui/sign-in").into_response();
            }
            Refused::SignedOut { next, .. } => {
                let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                return Redirect::to(&format!("/ui/sign-in?next={next}")).into_response();
            }
            Refused::Forbidden(right) => (
                StatusCode::FORBIDDEN,
                "Not allowed",
                format!(
                    "Your role has not the right to do this ({}). An admin may change it.",
                    right.as_str()
                ),
            ),
            Refused::ForeignForm => (
                StatusCode::FORBIDDEN,
                "Not sent from here",
                "This form is not from a page of your session. Open the page again and send it anew.".into(),
            ),
            Refused::BadForm => {
                (StatusCode::BAD_REQUEST, "Not received", "The form is too long, or broke off.".into())
            }
            Refused::NotFound(what) => {
                (StatusCode::NOT_FOUND, "Not found", format!("There is no such {what}."))
            }
            Refused::Unfit(why) => (StatusCode::CONFLICT, "Not done", layout::sentence(&why)),
            Refused::Failed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Failed",
                "Control could not do it. Its log says why.".into(),
            ),
        };
        let body = html! { p { (text) } p { a href="/ui/" { "To the overview" } } };
        let page = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], layout::bare(title, &body));
        page.into_response()
    }
}
