//! A request of a known caller, as handlers take it.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use freshen_model::rights::Right;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::wire::ErrorCode;
use crate::body::Whole;
use crate::gate::{self, Caller};
use crate::router::Api;

/// A request whose signature is verified.
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
        let caller = api.gate.admit(&gate::request(&parts, &body.bytes)).await?;
        Ok(SignedRequest { caller, parts, body })
    }
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

    /// The body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body.bytes)
            .map_err(|error| ApiError::new(ErrorCode::Malformed, format!("body: {error}")))
    }

    /// A field of the head, where it is there once and readable.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The query.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let query = Query::try_from_uri(&self.parts.uri);
        let Query(query) =
            query.map_err(|error| ApiError::new(ErrorCode::Malformed, format!("query: {error}")))?;
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
