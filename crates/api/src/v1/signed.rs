//! A request of a known caller, as handlers take it.

use std::error::Error;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use freshen_control::Once;
use freshen_model::rights::Right;
use http::header;
use http::request::Parts;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::wire::ErrorCode;
use crate::body::Whole;
use crate::gate::{self, Caller};
use crate::router::Api;

/// The sender's name for what is to be done once.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Its longest.
const ONCE_KEY_BYTES_MAX: usize = 255;

/// A request whose signature is verified, or that came with a bearer token.
pub(super) struct SignedRequest {
    pub(super) caller: Caller,
    parts: Parts,
    body: Whole,
}

impl FromRequest<Api> for SignedRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<SignedRequest, ApiError> {
        let (parts, body) = request.into_parts();
        if gate::long_query(&parts).is_some() {
            return Err(ApiError::new(ErrorCode::TooLarge, "the query is longer than any may be here"));
        }
        let body = api.bodies.whole(&parts.headers, body).await?;
        let caller = match bearer(&parts) {
            Some(token) => api.gate.admit_bearer(token).await?,
            None => api.gate.admit(&gate::request(&parts, &body.bytes)).await?,
        };
        Ok(SignedRequest { caller, parts, body })
    }
}

/// The token of `Authorization: Bearer` (RFC 6750, 2.1).
fn bearer(parts: &Parts) -> Option<&str> {
    let field = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = field.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl SignedRequest {
    /// The caller, where it is an admin.
    pub(super) fn admin(&self) -> Result<&Caller, ApiError> {
        if self.caller.admin { Ok(&self.caller) } else { Err(ApiError::forbidden()) }
    }

    /// The caller, where its key has that right.
    pub(super) fn may(&self, right: Right) -> Result<&Caller, ApiError> {
        if self.caller.rights.allow(right) { Ok(&self.caller) } else { Err(ApiError::denied(right)) }
    }

    /// The caller's account, where its key has that right in all of it: what is of all its domains is not for keys that are
    /// confined to some of them.
    pub(super) fn of_whole_account(&self, right: Right) -> Result<&str, ApiError> {
        let caller = self.may(right)?;
        if caller.within().is_some() {
            let why = "this key is confined to some domains; this is for keys of the whole account";
            return Err(ApiError::new(ErrorCode::Forbidden, why));
        }
        Ok(&caller.account)
    }

    /// The body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let mut reader = serde_json::Deserializer::from_slice(&self.body.bytes);
        let mut track = serde_path_to_error::Track::new();
        let mut unknown = None;
        let tracked = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
        let read = serde_ignored::deserialize(tracked, |path| {
            unknown.get_or_insert_with(|| path.to_string());
        });
        let malformed = |error: serde_json::Error, field: Option<String>| {
            let error = ApiError::new(ErrorCode::Malformed, format!("body: {error}"));
            field.into_iter().fold(error, ApiError::of_field)
        };
        let read: T = read.map_err(|error| {
            let field = track.path().to_string();
            malformed(error, (field != ".").then_some(field))
        })?;
        reader.end().map_err(|error| malformed(error, None))?;
        // What is not known is not passed over: a setting with a slip would be none.
        if let Some(field) = unknown {
            let why = format!("body: unknown field `{field}`, leave it out or see /v1/openapi.json");
            return Err(ApiError::new(ErrorCode::Malformed, why).of_field(field));
        }
        Ok(read)
    }

    /// What this request is to be done once as: under the `Idempotency-Key` that came with it.
    pub(super) fn once(&self) -> Result<Option<Once>, ApiError> {
        let Some(field) = self.parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let fits = |key: &&str| {
            (1..=ONCE_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let Some(key) = field.to_str().ok().filter(fits) else {
            let why = format!("idempotency-key: write 1 to {ONCE_KEY_BYTES_MAX} visible characters of ASCII");
            return Err(ApiError::new(ErrorCode::Malformed, why).of_field(IDEMPOTENCY_KEY));
        };
        let mut digest = Sha256::new();
        digest.update(self.parts.uri.path().as_bytes());
        digest.update([0]);
        digest.update(&self.body.bytes);
        Ok(Some(Once { key: key.to_owned(), digest: digest.finalize().into() }))
    }

    /// Refuses a key for what tells a secret, which is told once.
    pub(super) fn not_once(&self) -> Result<(), ApiError> {
        match self.parts.headers.contains_key(IDEMPOTENCY_KEY) {
            false => Ok(()),
            true => {
                let why = "idempotency-key: this answers a secret, which is kept nowhere to be told again; leave the key out";
                Err(ApiError::new(ErrorCode::Malformed, why).of_field(IDEMPOTENCY_KEY))
            }
        }
    }

    /// A field of the head, where it is there once and readable.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The query.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let Query(query) = Query::try_from_uri(&self.parts.uri).map_err(|error| {
            let said = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            // `NAME: why`, where it is one field's fault.
            let field = said.split_once(": ").map(|(name, _)| name.to_owned());
            let refused = ApiError::new(ErrorCode::Malformed, format!("query: {said}"));
            field.into_iter().fold(refused, ApiError::of_field)
        })?;
        Ok(query)
    }
}

/// The one name in a path, decoded.
pub(super) struct Name(pub(super) String);

impl FromRequestParts<Api> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Name, ApiError> {
        let name = Path::<String>::from_request_parts(parts, api).await;
        let Path(name) = name.map_err(|_| ApiError::new(ErrorCode::NotFound, "no such path"))?;
        Ok(Name(name))
    }
}
