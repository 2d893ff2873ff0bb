//! The POPs of the installation: everybody signed in sees them, admins change them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use freshen_control::PopView;
use freshen_model::ids::PopId;
use freshen_model::rights::Right;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::ApiError;
use super::page::{Page, Paging};
use super::signed::{Name, SignedRequest};
use super::wire::{NewPop, PopList, PopRequest, PopRow};
use crate::router::Api;

pub(super) async fn list(State(api): State<Api>, request: SignedRequest) -> Result<Json<PopList>, ApiError> {
    request.may(Right::Read)?;
    let Paging { limit, cursor } = request.query()?;
    let page = Page::<String>::of("pops", limit, cursor.as_deref())?;
    let mut pops = api.control.pops();
    pops.retain(|pop| page.place.as_deref().is_none_or(|behind| pop.id.as_str() > behind));
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = pops.len() > limit;
    pops.truncate(limit);
    let next = pops.last().filter(|_| more).map(|pop| pop.id.to_string());
    let pin = Some(api.control.line_key().pin());
    Ok(Json(PopList { pops: pops.into_iter().map(row).collect(), pin, next: page.next(next)? }))
}

pub(super) async fn add(State(api): State<Api>, request: SignedRequest) -> Result<Json<NewPop>, ApiError> {
    request.admin()?;
    let PopRequest { id, area, region } = request.json()?;
    let new = api.control.add_pop(&id, area, &region).await?;
    Ok(Json(NewPop { id, token: new.token }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    /// Its machine is known to serve nobody any more.
    #[serde(default)]
    destroyed: bool,
}

pub(super) async fn remove(
    State(api): State<Api>,
    Name(id): Name,
    request: SignedRequest,
) -> Result<StatusCode, ApiError> {
    request.admin()?;
    let Removal { destroyed } = request.query()?;
    let pop: PopId = id.parse().map_err(|_| ApiError::not_found("POP", &id))?;
    if destroyed {
        api.control.destroy_pop(&pop).await?;
    } else {
        api.control.remove_pop(&pop).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn row(pop: PopView) -> PopRow {
    PopRow {
        id: pop.id,
        area: pop.area,
        region: pop.region,
        watermark: pop.watermark,
        end: pop.end,
        lag: pop.lag,
        connected: pop.connected,
        tls: pop.tls,
        last_contact_ms: pop.last_contact_ms,
        may_hold_lease: pop.may_hold_lease,
        left: pop.left,
    }
}
