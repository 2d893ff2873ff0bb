//! Who asks, and what that person may do: the one place where rights are looked at.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use freshen_control::{Control, User};
use freshen_model::rights::Right;
use sha2::{Digest, Sha256};

use crate::Console;
use crate::refused::Refused;

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: User,
    /// From where; absent where the listener does not say.
    pub(crate) address: Option<IpAddr>,
    /// What a form of this session must bring along.
    pub(crate) token: String,
    /// The session itself.
    session: String,
}

impl Person {
    /// Refuses where the role has not that right.
    pub(crate) fn must(&self, right: Right) -> Result<(), Refused> {
        if self.may(right) { Ok(()) } else { Err(Refused::Forbidden(right)) }
    }

    /// Whether the role has that right.
    pub(crate) fn may(&self, right: Right) -> bool {
        self.user.role.may(right)
    }

    /// The account beyond which the person sees and does nothing; `None` for admins.
    pub(crate) fn confines(&self) -> Option<&str> {
        (!self.may(Right::Admin)).then_some(self.user.account.as_str())
    }

    /// The account that a form is about: the person's, or for admins the one that is chosen.
    pub(crate) fn account<'a>(&'a self, chosen: Option<&'a str>) -> &'a str {
        match chosen {
            Some(chosen) if self.may(Right::Admin) => chosen,
            _ => &self.user.account,
        }
    }

    /// Whether the session still stands.
    pub(crate) async fn stays(&self, control: &Control) -> bool {
        control.user_of_session(&self.session).await.is_ok_and(|user| user.is_some())
    }

    /// Does something and keeps who did it: first what is to be done, then what came of it. It is done to its end though
    /// the browser goes away.
    pub(crate) async fn does<T, E>(
        &self,
        control: &Arc<Control>,
        what: &'static str,
        detail: String,
        deed: impl Future<Output = Result<T, E>> + Send + 'static,
        told: impl Fn(&T) -> String + Send + 'static,
    ) -> Result<Result<T, E>, Refused>
    where
        T: Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let (control, user, address) = (control.clone(), self.user.clone(), self.address);
        let doing = tokio::spawn(async move {
            let number = control.begin_deed(&user, address, what, &detail).await?;
            let done = deed.await;
            let outcome = match &done {
                Ok(done) => told(done),
                Err(why) => format!("refused: {why}"),
            };
            // What is done is done; that its outcome is not known will be seen in the trail.
            if let Err(error) = control.end_deed(number, &outcome).await {
                tracing::warn!(%error, number, "what came of a deed is not kept");
            }
            Ok::<_, freshen_ledger::Error>(done)
        });
        let done = doing.await.map_err(|error| Refused::failed(&error))?;
        Ok(done?)
    }

    /// Ends the session.
    pub(crate) async fn sign_out(&self, control: &Control) -> Result<(), Refused> {
        Ok(control.sign_out(&self.session).await?)
    }
}

impl FromRequestParts<Console> for Person {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Person, Refused> {
        let away = || Refused::signed_out(parts);
        let session = cookie(&parts.headers, &console.0.cookie).ok_or_else(away)?.to_owned();
        let user = console.control().user_of_session(&session).await?.ok_or_else(away)?;
        let token = token_of(&session);
        Ok(Person { user, address: address(parts), token, session })
    }
}

/// A value that only who knows the session can make, and that does not tell the session.
fn token_of(session: &str) -> String {
    let digest = Sha256::digest(format!("form of session {session}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The address a request came from.
pub(crate) fn address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_canonical())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; freshen_1=x".parse().unwrap());
        headers.append(header::COOKIE, "freshen_12=y;c".parse().unwrap());
        assert_eq!(cookie(&headers, "freshen_1"), Some("x"));
        assert_eq!(cookie(&headers, "freshen_12"), Some("y"));
        assert_eq!(cookie(&headers, "c"), None);
    }

    #[test]
    fn a_forms_token_belongs_to_its_session() {
        assert_eq!(token_of("a"), token_of("a"));
        assert_ne!(token_of("a"), token_of("b"));
        assert_eq!(token_of("a").len(), 32);
    }
}
