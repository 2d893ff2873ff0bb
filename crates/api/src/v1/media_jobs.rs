//! Media jobs of the caller's account: what was wanted of which media, and the task of each.

use axum::Json;
use axum::extract::State;
use freshen_model::media_job::MediaJob;
use freshen_model::rights::Right;

use super::error::ApiError;
use super::page::{Page, Paging};
use super::signed::{Name, SignedRequest};
use super::wire::MediaJobList;
use crate::router::Api;

pub(super) async fn list(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<MediaJobList>, ApiError> {
    let Paging { limit, cursor } = request.query()?;
    let page = Page::<u64>::of("media jobs", limit, cursor.as_deref())?;
    let account = request.of_whole_account(Right::Read)?;
    let found = api.control.media_jobs(account, page.place, page.limit).await?;
    Ok(Json(MediaJobList { jobs: found.rows, next: page.next(found.next)? }))
}

pub(super) async fn one(
    State(api): State<Api>,
    Name(id): Name,
    request: SignedRequest,
) -> Result<Json<MediaJob>, ApiError> {
    let account = request.of_whole_account(Right::Read)?;
    let job = api.control.media_job(account, &id).await?;
    Ok(Json(job.ok_or_else(|| ApiError::not_found("media job", &id))?))
}
