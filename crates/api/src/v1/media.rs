//! The media library of the caller's account.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use freshen_control::StreamPlace;
use freshen_model::rights::Right;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::ApiError;
use super::page::Page;
use super::signed::{Name, SignedRequest};
use super::wire::{StreamList, StreamsRequest};
use crate::router::Api;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Of this medium.
    media: Option<String>,
    /// Rows of a page, 1 to 100; 20 if not said.
    limit: Option<u64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

pub(super) async fn list(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<StreamList>, ApiError> {
    let Wanted { media, limit, cursor } = request.query()?;
    let page = Page::<(String, u64)>::of("media", limit, cursor.as_deref())?;
    let account = request.of_whole_account(Right::Read)?;
    let place = page.place.clone().map(|(media, number)| StreamPlace { media, number });
    let found = api.control.streams(account, media.as_deref(), place, page.limit).await?;
    let next = page.next(found.next.map(|place| (place.media, place.number)))?;
    Ok(Json(StreamList { streams: found.rows, next }))
}

pub(super) async fn add(State(api): State<Api>, request: SignedRequest) -> Result<StatusCode, ApiError> {
    let StreamsRequest { streams } = request.json()?;
    api.control.add_streams(request.of_whole_account(Right::Admin)?, streams).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(api): State<Api>,
    Name(media): Name,
    request: SignedRequest,
) -> Result<StatusCode, ApiError> {
    api.control.remove_media(request.of_whole_account(Right::Admin)?, &media).await?;
    Ok(StatusCode::NO_CONTENT)
}
