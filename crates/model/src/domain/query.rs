//! What of a query belongs to the key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What of a query belongs to the key; the same for viewers, purges and prefetches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueryPolicy {
    /// All of it, in its order.
    #[default]
    Keep,
    /// Nothing of it.
    Ignore,
    /// Only the named parameters.
    Only(Vec<String>),
    /// All but the named parameters.
    Drop(Vec<String>),
}

impl QueryPolicy {
    /// What is left of `query`; `None` where nothing is.
    pub fn apply<'a>(&self, query: Cow<'a, str>) -> Option<Cow<'a, str>> {
        let keeps = |keep: &dyn Fn(&str) -> bool| {
            let kept: Vec<&str> = query
                .split('&')
                .filter(|parameter| keep(parameter.split('=').next().unwrap_or_default()))
                .collect();
            (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
        };
        match self {
            QueryPolicy::Keep => Some(query),
            QueryPolicy::Ignore => None,
            QueryPolicy::Only(names) => keeps(&|name| names.iter().any(|kept| kept == name)),
            QueryPolicy::Drop(names) => keeps(&|name| !names.iter().any(|dropped| dropped == name)),
        }
    }
}

impl std::fmt::Display for QueryPolicy {
    /// As [`QueryPolicy`] is read from text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            QueryPolicy::Keep => f.write_str("keep"),
            QueryPolicy::Ignore => f.write_str("ignore"),
            QueryPolicy::Only(names) => write!(f, "only:{}", names.join(",")),
            QueryPolicy::Drop(names) => write!(f, "drop:{}", names.join(",")),
        }
    }
}

impl std::str::FromStr for QueryPolicy {
    type Err = BadQueryPolicy;

    /// Reads `keep`, `ignore`, `only:a,b` or `drop:a,b`.
    fn from_str(text: &str) -> Result<QueryPolicy, BadQueryPolicy> {
        let names = |list: &str| {
            let names: Vec<String> = list.split(',').map(str::to_owned).collect();
            (names.len() <= 100 && names.iter().all(|name| !name.is_empty() && name.len() <= 200))
                .then_some(names)
                .ok_or_else(|| BadQueryPolicy(text.chars().take(200).collect()))
        };
        match text.split_once(':') {
            None if text == "keep" => Ok(QueryPolicy::Keep),
            None if text == "ignore" => Ok(QueryPolicy::Ignore),
            Some(("only", list)) => Ok(QueryPolicy::Only(names(list)?)),
            Some(("drop", list)) => Ok(QueryPolicy::Drop(names(list)?)),
            _ => Err(BadQueryPolicy(text.chars().take(200).collect())),
        }
    }
}

/// Words that are no query policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a query policy: write keep, ignore, only:a,b or drop:a,b")]
pub struct BadQueryPolicy(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_policies_keep_what_they_say() {
        let apply =
            |policy: &str, query: &'static str| policy.parse::<QueryPolicy>().unwrap().apply(query.into());
        assert_eq!(apply("keep", "b=1&a=2").as_deref(), Some("b=1&a=2"));
        assert_eq!(apply("ignore", "b=1"), None);
        assert_eq!(apply("only:a", "b=1&a=2&a"), Some("a=2&a".into()));
        assert_eq!(apply("drop:a", "a=2"), None);
        for text in ["keep", "ignore", "only:a,b", "drop:a"] {
            assert_eq!(text.parse::<QueryPolicy>().unwrap().to_string(), text);
        }
        assert!("only:".parse::<QueryPolicy>().is_err());
    }
}
