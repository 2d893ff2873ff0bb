//! A form that somebody sent, from a page of ours.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::Console;
use crate::fields::Fields;
use crate::person::Person;
use crate::refused::Refused;

/// The longest form, in bytes: a thousand of the longest URLs, each character written as three.
const FORM_BYTES_MAX: usize = 7 << 20;
/// The longest of somebody who is not signed in.
const STRANGERS_BYTES_MAX: usize = 16 << 10;
/// How long it may take to come.
const FORM_TIME_MAX: Duration = Duration::from_secs(30);
/// The field that every form of ours has.
pub(crate) const TOKEN: &str = "form-token";

/// A form with who sent it.
///
/// Two things must fail before a foreign page can make a browser send one: the browser says itself from which origin a
/// request is, and the form has a token that only pages of this session have.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) person: Person,
    pub(crate) fields: Fields,
}

impl FromRequest<Console> for Sent {
    type Rejection = Refused;

    async fn from_request(request: Request, console: &Console) -> Result<Sent, Refused> {
        let (mut parts, body) = request.into_parts();
        same_origin(&parts.headers)?;
        let person = Person::from_request_parts(&mut parts, console).await?;
        let fields = read(body, FORM_BYTES_MAX).await?;
        if fields.whole(TOKEN) != person.token {
            return Err(Refused::ForeignForm);
        }
        Ok(Sent { person, fields })
    }
}

/// A form of somebody who is not signed in: there is no session that a foreign page could use, but it shall not sign
/// anybody in either.
#[derive(Debug)]
pub(crate) struct Strangers {
    pub(crate) fields: Fields,
    pub(crate) parts: Parts,
}

impl FromRequest<Console> for Strangers {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &Console) -> Result<Strangers, Refused> {
        let (parts, body) = request.into_parts();
        same_origin(&parts.headers)?;
        Ok(Strangers { fields: read(body, STRANGERS_BYTES_MAX).await?, parts })
    }
}

async fn read(body: Body, bytes_max: usize) -> Result<Fields, Refused> {
    let whole = tokio::time::timeout(FORM_TIME_MAX, axum::body::to_bytes(body, bytes_max)).await;
    let bytes = whole.map_err(|_| Refused::BadForm)?.map_err(|_| Refused::BadForm)?;
    Ok(Fields::read(&bytes))
}

/// Whether the browser says that a page of ours sends this. What says nothing is no browser of this decade, and the
/// form's token decides.
fn same_origin(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let same = match (text("sec-fetch-site"), text(header::ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        // Browsers say less to an address that is neither https nor their own machine.
        (None, Some(origin)) => {
            let host = text(header::HOST.as_str()).unwrap_or_default();
            origin.split_once("://").is_some_and(|(_, origin)| origin == host)
        }
        (None, None) => true,
    };
    if same { Ok(()) } else { Err(Refused::ForeignForm) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_page_is_known_by_what_the_browser_says() {
        let said = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            same_origin(&headers).is_ok()
        };
        let host = ("host", "console.example:8080");
        assert!(said(&[host, ("sec-fetch-site", "same-origin"), ("origin", "http://console.example:8080")]));
        assert!(!said(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!said(&[host, ("sec-fetch-site", "same-site"), ("origin", "http://console.example:8080")]));
        assert!(!said(&[host, ("sec-fetch-site", "none")]));
        assert!(said(&[host, ("origin", "https://console.example:8080")]));
        assert!(!said(&[host, ("origin", "http://console.example")]), "another port is another origin");
        assert!(!said(&[host, ("origin", "null")]));
        assert!(said(&[host]));
    }
}
