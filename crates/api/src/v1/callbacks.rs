//! Callbacks of the caller's account: what became of them, and what they are signed with.

use axum::Json;
use axum::extract::State;
use freshen_model::rights::Right;

use super::error::ApiError;
use super::page::{Page, Paging};
use super::signed::SignedRequest;
use super::wire::{CallbackList, CallbackSecretView};
use crate::router::Api;

pub(super) async fn list(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<CallbackList>, ApiError> {
    let Paging { limit, cursor } = request.query()?;
    let page = Page::<u64>::of("callbacks", limit, cursor.as_deref())?;
    let account = request.of_whole_account(Right::Read)?;
    let found = api.control.callbacks(account, page.place, page.limit).await?;
    Ok(Json(CallbackList { callbacks: found.rows, next: page.next(found.next)? }))
}

pub(super) async fn secret(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<CallbackSecretView>, ApiError> {
    let account = request.of_whole_account(Right::Admin)?;
    Ok(Json(CallbackSecretView { secret: api.control.callback_secret(account).to_text() }))
}
