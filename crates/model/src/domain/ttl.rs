//! How long answers stay fresh, by path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules that a domain may have.
pub const TTL_RULES_MAX: usize = 100;
/// Bytes of a rule's path or suffix.
pub const TTL_MATCH_BYTES_MAX: usize = 1_024;
/// The longest freshness that may be set, a year in seconds.
pub const TTL_S_MAX: u32 = 31_536_000;

/// How long answers of certain paths stay fresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TtlRule {
    /// Which paths.
    pub when: When,
    /// Seconds, 0 to [`TTL_S_MAX`].
    pub ttl_s: u32,
    /// Against what the origin says.
    #[serde(default)]
    pub mode: TtlMode,
    /// Where it was put among rules that were set one by one: in front of those of less weight. The order of the rules
    /// alone says which counts.
    #[serde(default = "weight_min", skip_serializing_if = "is_weight_min")]
    pub weight: u8,
}

/// The weight of a rule that says none.
pub const WEIGHT_MIN: u8 = 1;

fn weight_min() -> u8 {
    WEIGHT_MIN
}

fn is_weight_min(weight: &u8) -> bool {
    *weight == WEIGHT_MIN
}

/// The paths that a rule is for. They are those of keys: normalised, without query, in the case they are written in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Those that begin with this text; it begins with `/`, and names a directory where it ends with one.
    Path(String),
    /// Those that end with this text; it begins with `.`.
    Suffix(String),
}

/// What a rule is against what the origin says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TtlMode {
    /// Only for answers that say nothing about their freshness.
    #[default]
    Default,
    /// Whatever the origin says.
    Override,
}

/// What a domain's settings say of the freshness of one path's answers, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// For answers that say nothing about it; `None`: the standard's heuristic.
    pub default_ttl_s: Option<u32>,
    /// The same for answers that there is nothing (404, 410 and their like); `None`: as other answers.
    pub negative_ttl_s: Option<u32>,
    /// In place of what the origin says.
    pub override_s: Option<u32>,
}

impl When {
    /// Whether a path is meant.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            When::Path(prefix) => path.starts_with(prefix.as_str()),
            When::Suffix(suffix) => path.ends_with(suffix.as_str()),
        }
    }
}

/// A text or rule that is no TTL rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule:?} is not a TTL rule: {reason}")]
pub struct BadTtlRule {
    /// The text, cut at 200 characters.
    pub rule: String,
    /// What is wrong, and what to write.
    pub reason: String,
}

impl TtlRule {
    /// Says what cannot be about a rule that was not read from text.
    pub fn check(&self) -> Result<(), BadTtlRule> {
        let (text, first, what) = match &self.when {
            When::Path(text) => (text, '/', "a path begins with /"),
            When::Suffix(text) => (text, '.', "a suffix begins with ."),
        };
        let bad =
            |reason: String| Err(BadTtlRule { rule: self.to_string().chars().take(200).collect(), reason });
        if !text.starts_with(first) {
            return bad(what.into());
        }
        if text.len() > TTL_MATCH_BYTES_MAX {
            return bad(format!("a path or suffix is at most {TTL_MATCH_BYTES_MAX} bytes long"));
        }
        // Keys have no such characters: the rule could never match.
        if let Some(raw) = text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '*')) {
            return bad(match raw {
                '?' | '#' => format!("{raw:?} is not in paths, a rule is for the path alone"),
                '*' => {
                    "there are no wildcards, a path is matched by its beginning, a suffix by its end".into()
                }
                _ => format!("{raw:?} is not in paths, write it percent-encoded"),
            });
        }
        if matches!(self.when, When::Suffix(_)) && (text.contains('/') || text.len() == 1) {
            return bad("a suffix is . and at least one character, without /".into());
        }
        if self.ttl_s > TTL_S_MAX {
            return bad(format!("{} seconds are more than a year ({TTL_S_MAX})", self.ttl_s));
        }
        Ok(())
    }
}

impl std::fmt::Display for TtlRule {
    /// As a rule is read from text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (When::Path(text) | When::Suffix(text)) = &self.when;
        let mark = if self.mode == TtlMode::Override { "!" } else { "" };
        write!(f, "{text}={}{mark}", self.ttl_s)
    }
}

impl std::str::FromStr for TtlRule {
    type Err = BadTtlRule;

    /// Reads `/path=SECONDS` or `.suffix=SECONDS`; a `!` behind the seconds puts them in place of what the origin says.
    fn from_str(text: &str) -> Result<TtlRule, BadTtlRule> {
        let bad = |reason: &str| BadTtlRule { rule: text.chars().take(200).collect(), reason: reason.into() };
        let (what, seconds) = text.rsplit_once('=').ok_or_else(|| {
            bad("write /path=SECONDS or .suffix=SECONDS, with ! behind it to override the origin")
        })?;
        let when = match what.chars().next() {
            Some('/') => When::Path(what.to_owned()),
            Some('.') => When::Suffix(what.to_owned()),
            _ => {
                return Err(bad(
                    "before the = stands a path, which begins with /, or a suffix, which begins with .",
                ));
            }
        };
        let (seconds, mode) = match seconds.strip_suffix('!') {
            Some(seconds) => (seconds, TtlMode::Override),
            None => (seconds, TtlMode::Default),
        };
        let digits = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
        let ttl_s = seconds.parse().ok().filter(|_| digits);
        let ttl_s =
            ttl_s.ok_or_else(|| bad("behind the = stand seconds, 0 to 31536000, then perhaps a !"))?;
        let rule = TtlRule { when, ttl_s, mode, weight: WEIGHT_MIN };
        rule.check()?;
        Ok(rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_written_alike() {
        for text in ["/live/=2", "/=0", ".m3u8=2!", "/a=b=60", "/x%20y/=31536000!"] {
            assert_eq!(text.parse::<TtlRule>().unwrap().to_string(), text);
        }
        let rule: TtlRule = ".m3u8=2!".parse().unwrap();
        assert_eq!(
            rule,
            TtlRule { when: When::Suffix(".m3u8".into()), ttl_s: 2, mode: TtlMode::Override, weight: 1 }
        );
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(json, r#"{"when":{"suffix":".m3u8"},"ttl_s":2,"mode":"override"}"#);
        let brief = r#"{"when":{"path":"/live/"},"ttl_s":2}"#;
        assert_eq!(serde_json::from_str::<TtlRule>(brief).unwrap(), "/live/=2".parse().unwrap());
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        for (text, said) in [
            ("/live/", "write /path=SECONDS"),
            ("live/=2", "before the = stands a path"),
            ("*.m3u8=2", "before the = stands a path"),
            ("=2", "before the = stands a path"),
            ("/a*=2", "there are no wildcards"),
            ("/a?b=2", "'?' is not in paths"),
            ("/a b=2", "write it percent-encoded"),
            (".=2", "a suffix is . and at least"),
            (".a/b=2", "a suffix is . and at least"),
            ("/a=", "behind the = stand seconds"),
            ("/a=2!!", "behind the = stand seconds"),
            ("/a=+2", "behind the = stand seconds"),
            ("/a=-1", "behind the = stand seconds"),
            ("/a=31536001", "31536001 seconds are more than a year"),
            ("/a=99999999999", "behind the = stand seconds"),
        ] {
            let error = text.parse::<TtlRule>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{text:?} is not a TTL rule: ")) && error.contains(said),
                "{error}"
            );
        }
        assert!(format!("/{}=2", "a".repeat(TTL_MATCH_BYTES_MAX)).parse::<TtlRule>().is_err());
        let upside_down =
            TtlRule { when: When::Path(".m3u8".into()), ttl_s: 2, mode: TtlMode::Default, weight: 1 };
        assert!(upside_down.check().unwrap_err().to_string().ends_with("a path begins with /"));
    }
}
