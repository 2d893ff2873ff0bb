//! What an access key may do, and to which domains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A thing that an access key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Submit purges.
    Purge,
    /// Submit prefetches.
    Prefetch,
    /// See tasks, quotas, domains and checks.
    Read,
    /// Manage keys and domains of its account; all of the installation, where the account is an admin's.
    Admin,
}

impl Right {
    /// All of them.
    pub const ALL: [Right; 4] = [Right::Purge, Right::Prefetch, Right::Read, Right::Admin];

    /// The word used in the API and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Purge => "purge",
            Right::Prefetch => "prefetch",
            Right::Read => "read",
            Right::Admin => "admin",
        }
    }

    /// Reads what [`Right::as_str`] wrote.
    pub fn from_word(word: &str) -> Option<Right> {
        Right::ALL.into_iter().find(|right| right.as_str() == word)
    }
}

/// What an access key may do. What it may not, its account may with another key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rights {
    /// These things.
    pub may: BTreeSet<Right>,
    /// To these domains of its account only, lower case; absent: to all. Whoever is confined to some domains manages none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<BTreeSet<String>>,
}

impl Default for Rights {
    fn default() -> Rights {
        Rights { may: Right::ALL.into(), domains: None }
    }
}

impl Rights {
    /// Whether it may do that at all.
    pub fn allow(&self, right: Right) -> bool {
        self.may.contains(&right) && (right != Right::Admin || self.domains.is_none())
    }

    /// Whether it may do what it may to that domain, which is written in lower case.
    pub fn reach(&self, domain: &str) -> bool {
        self.domains.as_ref().is_none_or(|domains| domains.contains(domain))
    }

    /// Whether others may do all that these may.
    pub fn are_within(&self, others: &Rights) -> bool {
        let domains = match (&self.domains, &others.domains) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(others)) => own.is_subset(others),
        };
        domains && self.may.is_subset(&others.may)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(may: &[Right], domains: Option<&[&str]>) -> Rights {
        let domains = domains.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        Rights { may: may.iter().copied().collect(), domains }
    }

    #[test]
    fn what_is_not_given_is_not_allowed() {
        let purger = rights(&[Right::Purge], Some(&["a.example"]));
        assert!(purger.allow(Right::Purge) && !purger.allow(Right::Prefetch) && !purger.allow(Right::Read));
        assert!(purger.reach("a.example") && !purger.reach("b.example"));
        let all = Rights::default();
        assert!(Right::ALL.into_iter().all(|right| all.allow(right)) && all.reach("b.example"));
        let confined = rights(&Right::ALL, Some(&["a.example"]));
        assert!(!confined.allow(Right::Admin), "an admin of one domain could give himself the others");
        assert!(!rights(&[], None).allow(Right::Read));
    }

    #[test]
    fn rights_grow_in_both_ways() {
        let (all, one) = (Rights::default(), rights(&[Right::Read], Some(&["a.example"])));
        assert!(one.are_within(&all) && !all.are_within(&one) && one.are_within(&one));
        assert!(!rights(&[Right::Read], None).are_within(&one));
        assert!(!rights(&[Right::Read], Some(&["b.example"])).are_within(&one));
        assert!(!rights(&[Right::Purge], Some(&["a.example"])).are_within(&one));
        assert!(rights(&[], Some(&[])).are_within(&one));
    }

    #[test]
    fn every_right_has_its_word() {
        for right in Right::ALL {
            assert_eq!(Right::from_word(right.as_str()), Some(right));
            assert_eq!(serde_json::to_value(right).unwrap(), right.as_str());
        }
        let given: Rights = serde_json::from_str(r#"{"may":["purge"]}"#).unwrap();
        assert_eq!(given, rights(&[Right::Purge], None));
        assert!(serde_json::from_str::<Rights>(r#"{"domain":"a"}"#).is_err());
    }
}
