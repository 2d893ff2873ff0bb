//! A dry run: what a purge would match, without purging it.

use crate::ids::{PopId, Seq};
use crate::rule::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The hottest URLs that are told.
pub const HOTTEST_MAX: usize = 10;

/// What is asked of a POP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewQuestion {
    /// The rules that would be the order's.
    pub rules: Vec<Rule>,
}

/// What would be matched at one POP, or at all of them together. Of copies that are purged already nothing is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// Objects of which some copy would be matched.
    pub objects: u64,
    /// Copies: an object has one for each variant.
    pub copies: u64,
    /// What is stored of their bodies, bytes.
    pub bytes: u64,
    /// All bytes that are stored.
    pub bytes_held: u64,
    /// Objects that were looked at.
    pub looked_at: u64,
    /// False where there was more to look at than there is time for: every count is «at least».
    pub whole: bool,
    /// Copies that are stale already: the origin is asked before their next use in any case.
    pub stale: u64,
    /// Seconds until the first of the others is stale by itself; absent: there are no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_expires_s: Option<u64>,
    /// Seconds until all of them are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_expires_s: Option<u64>,
    /// What the purge would cost the origin, if each copy is asked for again.
    pub cost: Cost,
    /// The part of it that is to be expected soon: copies that were asked for more than once since they came.
    pub cost_soon: Cost,
    /// The hottest first; at most [`HOTTEST_MAX`].
    pub hottest: Vec<Hot>,
}

/// Requests to an origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Requests in all.
    pub requests: u64,
    /// Those of them that send validators: while the object is unchanged they cost no body.
    pub conditional: u64,
    /// Body bytes of the others.
    pub bytes: u64,
    /// Body bytes of the conditional ones, should all those objects have changed.
    pub bytes_if_changed: u64,
}

/// A hot object among those matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hot {
    /// Cache space, path and query.
    pub url: String,
    /// How often it was asked for in the last minutes, estimated from a sample.
    pub uses: u64,
    /// Body bytes of its copies.
    pub bytes: u64,
}

/// One POP's part of a dry run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewRow {
    /// The POP.
    pub pop: PopId,
    /// Its watermark when it looked; absent where it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Seq>,
    /// What would be matched; absent where it could not be asked.
    #[serde(flatten)]
    pub found: Option<Preview>,
    /// Why it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Preview {
    /// The share of what is stored that would be matched, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.bytes_held == 0 { 0.0 } else { (self.bytes as f64 / self.bytes_held as f64).min(1.0) }
    }

    /// Adds what another POP found.
    pub fn add(&mut self, other: &Preview) {
        self.objects += other.objects;
        self.copies += other.copies;
        self.bytes += other.bytes;
        self.bytes_held += other.bytes_held;
        self.looked_at += other.looked_at;
        self.whole &= other.whole;
        self.stale += other.stale;
        self.first_expires_s = [self.first_expires_s, other.first_expires_s].into_iter().flatten().min();
        self.last_expires_s = self.last_expires_s.max(other.last_expires_s);
        self.cost.add(&other.cost);
        self.cost_soon.add(&other.cost_soon);
        for hot in &other.hottest {
            match self.hottest.iter_mut().find(|known| known.url == hot.url) {
                Some(known) => {
                    known.uses += hot.uses;
                    known.bytes += hot.bytes;
                }
                None => self.hottest.push(hot.clone()),
            }
        }
        self.keep_hottest();
    }

    /// Sorts the hottest to the front, and forgets the others.
    pub fn keep_hottest(&mut self) {
        self.hottest.sort_by(|one, other| {
            (other.uses, other.bytes, &one.url).cmp(&(one.uses, one.bytes, &other.url))
        });
        self.hottest.truncate(HOTTEST_MAX);
    }
}

impl Cost {
    /// Adds what another would cost.
    pub fn add(&mut self, other: &Cost) {
        self.requests += other.requests;
        self.conditional += other.conditional;
        self.bytes += other.bytes;
        self.bytes_if_changed += other.bytes_if_changed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pops_find_adds_up() {
        let hot = |url: &str, uses| Hot { url: url.into(), uses, bytes: 1 };
        let one = Preview {
            objects: 1,
            whole: true,
            first_expires_s: Some(40),
            last_expires_s: Some(50),
            hottest: vec![hot("a", 3), hot("b", 2)],
            ..Preview::default()
        };
        let mut sum = Preview { whole: true, ..Preview::default() };
        sum.add(&one);
        sum.add(&Preview { hottest: vec![hot("b", 2)], last_expires_s: Some(60), ..one.clone() });
        assert_eq!((sum.objects, sum.first_expires_s, sum.last_expires_s), (2, Some(40), Some(60)));
        let hottest: Vec<_> = sum.hottest.iter().map(|hot| (hot.url.as_str(), hot.uses)).collect();
        assert_eq!(hottest, [("b", 4), ("a", 3)]);
        sum.add(&Preview { whole: false, ..one });
        assert!(!sum.whole);
    }
}
