//! The media library of the caller's account.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use freshen_model::rights::Right;
use serde::Deserialize;

use super::error::ApiError;
use super::signed::{Name, SignedRequest};
use super::wire::{ErrorCode, StreamList, StreamsRequest};
use crate::router::Api;

/// Streams of one answer, if not said, and at most.
const STREAMS_DEFAULT: u64 = 100;
const STREAMS_MAX: u64 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    media: Option<String>,
    limit: Option<u64>,
    #[serde(default)]
    offset: u64,
}

/// The account whose library it is. A library names addresses of all the account's domains, so it is not for keys that are
/// confined to some of them.
fn library_of(request: &SignedRequest, right: Right) -> Result<&str, ApiError> {
    let caller = request.may(right)?;
    if caller.within().is_some() {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "this key is confined to some domains; the library is for keys of the whole account",
        ));
    }
    Ok(&caller.account)
}

pub(super) async fn list(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<StreamList>, ApiError> {
    let Wanted { media, limit, offset } = request.query()?;
    let limit = limit.unwrap_or(STREAMS_DEFAULT);
    if !(1..=STREAMS_MAX).contains(&limit) {
        return Err(ApiError::new(ErrorCode::Malformed, format!("query: limit is 1 to {STREAMS_MAX}")));
    }
    let account = library_of(&request, Right::Read)?;
    let page = api.control.streams(account, media.as_deref(), offset, limit).await?;
    Ok(Json(StreamList { streams: page.rows, total: page.total }))
}

pub(super) async fn add(State(api): State<Api>, request: SignedRequest) -> Result<StatusCode, ApiError> {
    let StreamsRequest { streams } = request.json()?;
    api.control.add_streams(library_of(&request, Right::Admin)?, streams).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(api): State<Api>,
    Name(media): Name,
    request: SignedRequest,
) -> Result<StatusCode, ApiError> {
    api.control.remove_media(library_of(&request, Right::Admin)?, &media).await?;
    Ok(StatusCode::NO_CONTENT)
}
