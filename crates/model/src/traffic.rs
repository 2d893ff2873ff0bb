//! What a domain's traffic comes to: counted by POPs, kept by control in spans of five minutes.

use crate::area::Area;
use crate::ids::{BootId, PopId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The shortest span that is told apart, in seconds.
pub const SPAN_S: i64 = 300;
/// Domains that one heartbeat tells of; more wait for the next one.
pub const REPORTED_MAX: usize = 1_000;

/// What was counted of a domain. Bytes are those of bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Traffic {
    /// Answers to viewers.
    pub requests: u64,
    /// Their bytes, as far as they were handed over.
    pub bytes: u64,
    /// Those of these bytes that went by TLS.
    pub tls_bytes: u64,
    /// Answers from a copy, asked for at the origin or not: `HIT`, `REVALIDATED` and `STALE`.
    pub hits: u64,
    /// Their bytes.
    pub hit_bytes: u64,
    /// Those of these bytes that went by TLS.
    pub tls_hit_bytes: u64,
    /// Requests to origins.
    pub origin_requests: u64,
    /// The bytes of their answers.
    pub origin_bytes: u64,
    /// Those of these bytes that came by TLS.
    pub origin_tls_bytes: u64,
}

impl Traffic {
    /// The counts in the order of their fields.
    pub fn counts(&self) -> [u64; 9] {
        [
            self.requests,
            self.bytes,
            self.tls_bytes,
            self.hits,
            self.hit_bytes,
            self.tls_hit_bytes,
            self.origin_requests,
            self.origin_bytes,
            self.origin_tls_bytes,
        ]
    }

    /// What has these counts, in the order of the fields.
    pub fn of_counts(counts: [u64; 9]) -> Traffic {
        let [
            requests,
            bytes,
            tls_bytes,
            hits,
            hit_bytes,
            tls_hit_bytes,
            origin_requests,
            origin_bytes,
            origin_tls_bytes,
        ] = counts;
        Traffic {
            requests,
            bytes,
            tls_bytes,
            hits,
            hit_bytes,
            tls_hit_bytes,
            origin_requests,
            origin_bytes,
            origin_tls_bytes,
        }
    }

    /// Both together.
    pub fn plus(&self, other: &Traffic) -> Traffic {
        self.with(other, u64::saturating_add)
    }

    /// What came since `before`, of the same process.
    pub fn since(&self, before: &Traffic) -> Traffic {
        self.with(before, u64::saturating_sub)
    }

    /// Whether there was none.
    pub fn is_none(&self) -> bool {
        *self == Traffic::default()
    }

    fn with(&self, other: &Traffic, join: fn(u64, u64) -> u64) -> Traffic {
        let (mut counts, others) = (self.counts(), other.counts());
        counts.iter_mut().zip(others).for_each(|(count, other)| *count = join(*count, other));
        Traffic::of_counts(counts)
    }
}

/// What a POP's process counted of a domain since it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The domain.
    pub domain: String,
    /// Since the start; never less than before.
    #[serde(flatten)]
    pub total: Traffic,
}

/// How much of what a POP's process counted is in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The POP.
    pub pop: PopId,
    /// The domain.
    pub domain: String,
    /// Its process.
    pub boot: BootId,
    /// So much.
    pub total: Traffic,
}

/// A domain's traffic in a span of time, in the POPs of an area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began, in unix seconds.
    pub at_s: i64,
    /// Where.
    pub area: Area,
    /// What was counted.
    pub traffic: Traffic,
}

/// When the span began that `at_s` is in, in unix seconds.
pub fn span_of(at_s: i64, span_s: i64) -> i64 {
    at_s.div_euclid(span_s) * span_s
}

/// A sum of money in millionths of some currency's unit; as text a decimal number, `0.085`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct Amount(pub u64);

/// A text that is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no amount: write a decimal number with at most six places, as in 0.085")]
pub struct BadAmount(pub String);

const MILLION: u64 = 1_000_000;

impl Amount {
    /// What `count` of something comes to at this price for each `per` of it, rounded down.
    pub fn times(self, count: u64, per: u64) -> Amount {
        let amount = u128::from(self.0) * u128::from(count) / u128::from(per.max(1));
        Amount(u64::try_from(amount).unwrap_or(u64::MAX))
    }

    /// Both together.
    pub fn plus(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }
}

/// What origins cost, where prices are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Price {
    /// What the bytes and requests of origins come to, a decimal number as text; absent where no price is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_cost: Option<Amount>,
    /// In which currency, as it is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl std::fmt::Display for Price {
    /// For people: ` for 0.17 EUR`; nothing where no price is known.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(cost) = self.origin_cost else { return Ok(()) };
        write!(f, " for {cost}")?;
        self.currency.as_ref().map_or(Ok(()), |currency| write!(f, " {currency}"))
    }
}

impl std::fmt::Display for Amount {
    /// As [`Amount`] is read from text, with two places or more.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = format!("{:06}", self.0 % MILLION);
        let kept = places.trim_end_matches('0').len().max(2);
        write!(f, "{}.{}", self.0 / MILLION, &places[..kept])
    }
}

impl std::str::FromStr for Amount {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Amount, BadAmount> {
        let bad = || BadAmount(text.chars().take(40).collect());
        let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(places) || places.len() > 6 {
            return Err(bad());
        }
        let millionths: u64 = format!("{places:0<6}").parse().map_err(|_| bad())?;
        let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(MILLION));
        whole.and_then(|whole| whole.checked_add(millionths)).map(Amount).ok_or_else(bad)
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_since_is_what_is_more() {
        let before = Traffic::of_counts([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let more = Traffic { requests: 1, origin_bytes: 100, ..Traffic::default() };
        let after = before.plus(&more);
        assert_eq!((after.requests, after.origin_bytes), (2, 108));
        assert_eq!(after.since(&before), more);
        assert!(before.since(&after).is_none() && after.since(&after).is_none());
        let text = r#"{"domain":"a.example","requests":1,"something_new":5}"#;
        let read: Counted = serde_json::from_str(text).unwrap();
        assert_eq!(read.total, Traffic { requests: 1, ..Traffic::default() });
    }

    #[test]
    fn spans_begin_at_their_multiples() {
        assert_eq!((span_of(1_799, 300), span_of(1_800, 300), span_of(-1, 300)), (1_500, 1_800, -300));
    }

    #[test]
    fn amounts_are_exact() {
        for (text, millionths, shown) in [
            ("0.085", 85_000, "0.085"),
            ("12", 12_000_000, "12.00"),
            ("0.000001", 1, "0.000001"),
            ("3.1", 3_100_000, "3.10"),
        ] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!((amount.0, amount.to_string().as_str()), (millionths, shown), "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "1,5", "0.0000001", "99999999999999999999"] {
            assert_eq!(text.parse::<Amount>(), Err(BadAmount(text.into())), "{text}");
        }
        let gigabyte: Amount = "0.08".parse().unwrap();
        assert_eq!(gigabyte.times(1_500_000_000, 1_000_000_000).to_string(), "0.12");
        assert_eq!(gigabyte.times(u64::MAX, 1), Amount(u64::MAX));
    }
}
