//! Traffic in the vendor's terms: bytes, bandwidth and hit rates of domains, in spans of time.

use freshen_control::Control;
use freshen_control::traffic::TrafficPoint;
use freshen_model::traffic::Traffic;
use serde::Serialize;

use super::{Action, ErrorKind, Params, Reply, VendorError, refusals};
use crate::gate::Caller;
use crate::timestamp;

/// Domains of one call.
const DOMAINS_MAX: usize = 500;
const DAY_S: i64 = 86_400;
/// The spans there are, and for how long a time each is taken where none is asked for.
const SPANS: [(i64, i64); 3] = [(300, 3 * DAY_S), (3_600, 31 * DAY_S), (DAY_S, 366 * DAY_S)];
/// Values of one answer; where there would be more, the span is chosen by the time.
const VALUES_MAX: i64 = 9_000;

/// A question for the traffic of domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficQuery {
    /// Of these domains together; of all that the caller reaches, where none is named.
    domains: Vec<String>,
    /// From when, in unix seconds.
    from_s: i64,
    /// Until when.
    until_s: i64,
    /// Seconds of a span.
    span_s: i64,
}

impl TrafficQuery {
    pub(super) fn parse(params: &Params, now: i64) -> Result<TrafficQuery, VendorError> {
        let mut domains: Vec<String> = Vec::new();
        for name in params.text("DomainName").unwrap_or_default().split(',').map(str::trim) {
            if !name.is_empty() && !domains.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                domains.push(name.to_ascii_lowercase());
            }
            if domains.len() > DOMAINS_MAX {
                return Err(
                    ErrorKind::Malformed("DomainName").because(format!("at most {DOMAINS_MAX} domains"))
                );
            }
        }
        for name in ["IspNameEn", "LocationNameEn"] {
            if params.text(name).is_some() {
                let why = "traffic is not told by provider or place";
                return Err(ErrorKind::ValueNotSupported(name).because(why));
            }
        }
        let time = |name: &'static str| {
            let time = params.text(name).map(timestamp::parse).transpose();
            time.map_err(|_| ErrorKind::Malformed(name))
        };
        let (from_s, until_s) = match (time("StartTime")?, time("EndTime")?) {
            // What runs is told, too, if it began this very second.
            (None, None) => (now + 1 - DAY_S, now + 1),
            (Some(_), None) | (None, Some(_)) => return Err(ErrorKind::TimeSingle.into()),
            (Some(from), Some(until)) if until <= from => return Err(ErrorKind::EndTimeMismatch.into()),
            (Some(from), Some(until)) => (from, until),
        };
        let time_s = until_s - from_s;
        let usual = SPANS.iter().find(|(_, longest)| time_s <= *longest).map(|(span, _)| *span);
        let Some(usual) = usual else {
            return Err(ErrorKind::Malformed("EndTime").because("at most 366 days"));
        };
        let asked = params.text("Interval").and_then(|text| text.parse().ok());
        let fits = |span: &i64| SPANS.iter().any(|(known, _)| known == span) && time_s / span <= VALUES_MAX;
        Ok(TrafficQuery { domains, from_s, until_s, span_s: asked.filter(fits).unwrap_or(usual) })
    }
}

/// Tells it.
pub(super) async fn of(
    control: &Control,
    caller: &Caller,
    action: Action,
    query: TrafficQuery,
) -> Result<Reply, VendorError> {
    let own = control.domains(Some(&caller.account)).await.map_err(refusals::of_ledger)?;
    let reached = |name: &String| caller.rights.reach(name);
    let own: Vec<String> = own.into_iter().map(|domain| domain.name).collect();
    if let Some(foreign) = query.domains.iter().find(|name| !own.contains(name)) {
        return Err(ErrorKind::DomainNotFound.because(format!("{foreign:?}")));
    }
    if let Some(beyond) = query.domains.iter().find(|name| !reached(name)) {
        return Err(refusals::out_of_reach(caller, action, beyond));
    }
    let asked = if query.domains.is_empty() {
        own.into_iter().filter(reached).collect()
    } else {
        query.domains.clone()
    };
    let points = control.traffic(&asked, (query.from_s, query.until_s), query.span_s).await;
    let points = points.map_err(refusals::of_ledger)?;
    let head = Head {
        domain_name: query.domains.join(","),
        start_time: timestamp::format(query.from_s).to_string(),
        end_time: timestamp::format(query.until_s).to_string(),
        data_interval: query.span_s.to_string(),
    };
    let total =
        |of: fn(&Traffic) -> u64| points.iter().map(|point| of(&point.all())).sum::<u64>().to_string();
    let bps = |bytes: u64| (u128::from(bytes) * 8 / query.span_s.unsigned_abs() as u128).to_string();
    Ok(Reply::Traffic(match action {
        Action::DescribeVodDomainTrafficData => TrafficReply::Viewers {
            head,
            total_traffic: total(|traffic| traffic.bytes),
            traffic_data_per_interval: Modules::of(&points, viewer_bytes),
        },
        Action::DescribeVodDomainHitRateData => {
            TrafficReply::HitRate { head, hit_rate_interval: Modules::of(&points, hit_rate) }
        }
        Action::DescribeVodDomainSrcBpsData => TrafficReply::OriginBps {
            head,
            src_bps_data_per_interval: Modules::of(&points, |point| {
                let all = point.all();
                Value::of(point, bps(all.origin_bytes), bps(all.origin_tls_bytes))
            }),
        },
        _ => TrafficReply::Origins {
            head,
            total_traffic: total(|traffic| traffic.origin_bytes),
            src_traffic_data_per_interval: Modules::of(&points, |point| {
                let all = point.all();
                Value::of(point, all.origin_bytes.to_string(), all.origin_tls_bytes.to_string())
            }),
        },
    }))
}

fn viewer_bytes(point: &TrafficPoint) -> AreaValue {
    let all = point.all();
    AreaValue {
        time_stamp: timestamp::format(point.at_s).to_string(),
        value: all.bytes.to_string(),
        domestic_value: point.domestic.bytes.to_string(),
        overseas_value: point.overseas.bytes.to_string(),
        https_value: all.tls_bytes.to_string(),
        https_domestic_value: point.domestic.tls_bytes.to_string(),
        https_overseas_value: point.overseas.tls_bytes.to_string(),
    }
}

fn hit_rate(point: &TrafficPoint) -> Value {
    let all = point.all();
    Value::of(point, percent(all.hit_bytes, all.bytes), percent(all.tls_hit_bytes, all.tls_bytes))
}

/// A share in percent, with two places at most, rounded down; `0` of nothing.
fn percent(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole.max(1));
    match hundredths % 100 {
        0 => (hundredths / 100).to_string(),
        places => format!("{}.{places:02}", hundredths / 100),
    }
}

// ---- answers; all fields are texts ----

/// What every answer about traffic has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Head {
    domain_name: String,
    start_time: String,
    end_time: String,
    data_interval: String,
}

/// An answer about traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the fields are the vendor's")]
pub enum TrafficReply {
    /// Bytes to viewers.
    #[serde(rename_all = "PascalCase")]
    Viewers {
        #[serde(flatten)]
        head: Head,
        total_traffic: String,
        traffic_data_per_interval: Modules<AreaValue>,
    },
    /// The share of them that came from copies.
    #[serde(rename_all = "PascalCase")]
    HitRate {
        #[serde(flatten)]
        head: Head,
        hit_rate_interval: Modules<Value>,
    },
    /// Bytes from origins.
    #[serde(rename_all = "PascalCase")]
    Origins {
        #[serde(flatten)]
        head: Head,
        total_traffic: String,
        src_traffic_data_per_interval: Modules<Value>,
    },
    /// Bits a second from origins.
    #[serde(rename_all = "PascalCase")]
    OriginBps {
        #[serde(flatten)]
        head: Head,
        src_bps_data_per_interval: Modules<Value>,
    },
}

/// The level of nesting around the values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Modules<V> {
    data_module: Vec<V>,
}

impl<V> Modules<V> {
    fn of(points: &[TrafficPoint], value: impl Fn(&TrafficPoint) -> V) -> Modules<V> {
        Modules { data_module: points.iter().map(value).collect() }
    }
}

/// A value at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Value {
    time_stamp: String,
    value: String,
    https_value: String,
}

impl Value {
    fn of(point: &TrafficPoint, value: String, https_value: String) -> Value {
        Value { time_stamp: timestamp::format(point.at_s).to_string(), value, https_value }
    }
}

/// A value at a time, by area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AreaValue {
    time_stamp: String,
    value: String,
    domestic_value: String,
    overseas_value: String,
    https_value: String,
    https_domestic_value: String,
    https_overseas_value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn parse(params: &[(&str, &str); 3]) -> Result<TrafficQuery, VendorError> {
        TrafficQuery::parse(&Params::from(*params), NOW)
    }

    #[test]
    fn the_span_is_as_asked_for_or_as_the_time_is_long() {
        let at = |days: i64| timestamp::format(NOW - days * DAY_S).to_string();
        for (days, interval, span_s) in [
            (1, "", 300),
            (3, "", 300),
            (4, "", 3_600),
            (31, "", 3_600),
            (32, "", DAY_S),
            (366, "", DAY_S),
            (4, "300", 300),
            (32, "300", DAY_S),
            (1, "86400", DAY_S),
            (1, "60", 300),
        ] {
            let query =
                parse(&[("StartTime", &at(days)), ("EndTime", &at(0)), ("Interval", interval)]).unwrap();
            assert_eq!(query.span_s, span_s, "{days} days, {interval:?}");
        }
        let query = parse(&[("DomainName", "A.example, b.example,a.example"), ("", ""), ("", "")]).unwrap();
        assert_eq!((query.from_s, query.until_s, query.domains.len()), (NOW + 1 - DAY_S, NOW + 1, 2));
        for (params, code) in [
            ([("StartTime", at(367).as_str()), ("EndTime", &at(0)), ("", "")], "InvalidEndTime.Malformed"),
            ([("StartTime", &at(0)), ("EndTime", &at(0)), ("", "")], "InvalidEndTime.Mismatch"),
            ([("StartTime", &at(1)), ("", ""), ("", "")], "MissingParameter"),
            ([("IspNameEn", "alibaba"), ("", ""), ("", "")], "InvalidIspNameEn.ValueNotSupported"),
        ] {
            assert_eq!(parse(&params).unwrap_err().code(), code);
        }
    }

    #[test]
    fn shares_are_rounded_down() {
        let cases = [
            (1, 3, "33.33"),
            (0, 0, "0"),
            (5, 5, "100"),
            (1, 20_001, "0"),
            (9_999, 10_000, "99.99"),
            (1, 20, "5"),
        ];
        for (part, whole, text) in cases {
            assert_eq!(percent(part, whole), text);
        }
    }
}
