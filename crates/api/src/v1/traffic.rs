//! Traffic of domains, and what their origins cost.

use axum::Json;
use axum::extract::State;
use freshen_model::traffic::{SPAN_S, Traffic};
use schemars::JsonSchema;
use serde::Deserialize;

use super::domains::readable;
use super::error::ApiError;
use super::signed::{Name, SignedRequest};
use super::wire::{ErrorCode, TrafficPoint, TrafficTotal, TrafficView};
use crate::router::Api;
use crate::timestamp;

const DAY_S: i64 = 86_400;
/// The spans that may be asked for, in seconds.
const SPANS_S: [i64; 3] = [SPAN_S, 3_600, DAY_S];
/// Spans of one answer.
const POINTS_MAX: i64 = 9_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// From when, a time in UTC; by default 24 hours before the end.
    from: Option<String>,
    /// Until when; by default now.
    until: Option<String>,
    /// How long each interval is: 300, 3600 or 86400 seconds.
    interval_s: Option<i64>,
}

pub(super) async fn of(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<TrafficView>, ApiError> {
    let domain = readable(&api, &request, &name).await?;
    let Wanted { from, until, interval_s } = request.query()?;
    let unfit = |why: String| ApiError::new(ErrorCode::Malformed, format!("query: {why}"));
    let time = |text: Option<String>, default| match text {
        None => Ok(default),
        Some(text) => timestamp::parse(&text)
            .map_err(|_| unfit(format!("{text:?} is no time, write 2026-03-01T12:00:00Z"))),
    };
    // What runs is told, too, if it began this very second.
    let until_s = time(until, api.control.wall_ms().div_euclid(1_000) + 1)?;
    let from_s = time(from, until_s - DAY_S)?;
    let interval_s = interval_s.unwrap_or(SPAN_S);
    if !SPANS_S.contains(&interval_s) {
        return Err(unfit(format!("interval_s is one of {SPANS_S:?}")));
    }
    if until_s <= from_s || (until_s - from_s) / interval_s > POINTS_MAX {
        return Err(unfit(format!(
            "from is before until, and there are at most {POINTS_MAX} intervals between"
        )));
    }
    let points =
        api.control.traffic(std::slice::from_ref(&domain.name), (from_s, until_s), interval_s).await?;
    let total = points.iter().fold(Traffic::default(), |total, point| total.plus(&point.all()));
    let price = api.control.prices().of(total.origin_bytes, total.origin_requests);
    Ok(Json(TrafficView {
        domain: domain.name,
        from: timestamp::format(from_s).to_string(),
        until: timestamp::format(until_s).to_string(),
        interval_s,
        total: TrafficTotal { traffic: total, price },
        points: points
            .into_iter()
            .map(|point| TrafficPoint { at: timestamp::format(point.at_s).to_string(), traffic: point.all() })
            .collect(),
    }))
}
