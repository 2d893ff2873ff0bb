//! Refilling: what a purge matched and was hot is fetched again, unasked.

use crate::rule::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Objects that a POP refills at most, whatever is said.
pub const OBJECTS_MAX: u32 = 10_000;

/// How much is fetched again: the hottest, up to whichever bound is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// Objects at each POP; absent: [`OBJECTS_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<u32>,
    /// Bytes of their bodies at each POP; absent: any number. An object that would go beyond is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Bound {
    /// Whether it bounds anything, and leaves anything.
    pub fn is_fit(&self) -> bool {
        let objects = self.objects.is_none_or(|objects| (1..=OBJECTS_MAX).contains(&objects));
        objects && self.bytes != Some(0) && (self.objects, self.bytes) != (None, None)
    }
}

/// Reads `500` as objects, `200MB` and `2GiB` as bytes.
impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Bound, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let power = |base: u64, power| Some(base.pow(power));
        let unit = match &text[digits.len()..] {
            "" => None,
            "kB" | "KB" => power(1_000, 1),
            "MB" => power(1_000, 2),
            "GB" => power(1_000, 3),
            "KiB" => power(1_024, 1),
            "MiB" => power(1_024, 2),
            "GiB" => power(1_024, 3),
            _ => return Err(bad(text)),
        };
        let number: u64 = digits.parse().map_err(|_| bad(text))?;
        let bound = match unit {
            None => Bound { objects: Some(u32::try_from(number).map_err(|_| bad(text))?), bytes: None },
            Some(unit) => {
                Bound { objects: None, bytes: Some(number.checked_mul(unit).ok_or_else(|| bad(text))?) }
            }
        };
        bound.is_fit().then_some(bound).ok_or_else(|| bad(text))
    }
}

fn bad(text: &str) -> String {
    format!("{text:?} is no bound: write 1 to {OBJECTS_MAX} objects, or bytes such as 200MB or 2GiB")
}

/// What a prefetch refills, as its order says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refill {
    /// How much.
    pub bound: Bound,
    /// What the purge before it matches, line by line.
    pub rules: Vec<Rule>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_read_as_objects_or_bytes() {
        let read = |text: &str| text.parse::<Bound>();
        assert_eq!(read("500"), Ok(Bound { objects: Some(500), bytes: None }));
        assert_eq!(read("200MB"), Ok(Bound { objects: None, bytes: Some(200_000_000) }));
        assert_eq!(read("2GiB"), Ok(Bound { objects: None, bytes: Some(2 << 30) }));
        for text in
            ["", "0", "0MB", "10001", "-1", "5 MB", "5TB", "MB", "99999999999999999999GB", "99999999999GiB"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(!Bound { objects: None, bytes: None }.is_fit());
    }
}
