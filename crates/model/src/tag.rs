//! Tags: names that an origin gives its answers, so that all of a kind can be purged at once.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 1_024;
/// Tags that are kept of one copy.
pub const TAGS_MAX: usize = 256;
/// Bytes of all tags that are kept of one copy.
pub const TAGS_BYTES_MAX: usize = 16_384;

/// The tags of one copy. Cheap to clone.
///
/// What cannot be kept whole matches any tag: such a copy is purged too often, never too seldom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    /// In order, each once, a line each: in one piece, so that a look at them is a look into one place.
    names: Arc<str>,
    any: bool,
}

impl Tags {
    /// The tags of an answer that is not known yet, or cannot be understood: any.
    pub fn unknown() -> Tags {
        Tags { names: Arc::default(), any: true }
    }

    /// These tags, without repetitions; any, where they are more or longer than is kept. Empty ones are none.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Tags {
        let mut kept: Vec<&str> = Vec::new();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            // No field holds a line feed.
            if name.len() > TAG_BYTES_MAX || name.contains('\n') {
                return Tags::unknown();
            }
            if let Err(place) = kept.binary_search(&name) {
                if kept.len() == TAGS_MAX {
                    return Tags::unknown();
                }
                kept.insert(place, name);
            }
        }
        if kept.iter().map(|name| name.len()).sum::<usize>() > TAGS_BYTES_MAX {
            return Tags::unknown();
        }
        Tags { names: kept.join("\n").into(), any: false }
    }

    /// These and those: what a copy is called that got new tags with a 304, since its bytes are those of the old ones.
    pub fn with(&self, others: &Tags) -> Tags {
        if self.covers(others) {
            return self.clone();
        }
        if self.any || others.any {
            return Tags::unknown();
        }
        Tags::of(self.names().chain(others.names()))
    }

    /// Whether a rule for one of `others` is known to match a copy with these as well.
    pub fn covers(&self, others: &Tags) -> bool {
        let mut ours = self.names();
        // Both are in order.
        self.any || (!others.any && others.names().all(|name| ours.any(|own| own == name)))
    }

    /// Whether a rule for this tag matches.
    pub fn matches(&self, tag: &str) -> bool {
        self.any || self.names().any(|name| name == tag)
    }

    /// Whether a rule for any tag matches.
    pub fn any(&self) -> bool {
        self.any
    }

    /// The tags that are kept, in order; none where any tag matches.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.split('\n').filter(|name| !name.is_empty())
    }

    /// Bytes that they take, roughly.
    pub fn bytes(&self) -> u64 {
        self.names.len() as u64
    }
}

/// Why a text is no tag that could be purged; says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTag {
    /// Nothing.
    #[error("an empty tag")]
    Empty,
    /// Longer than [`TAG_BYTES_MAX`].
    #[error("a tag is at most 1024 bytes long")]
    TooLong,
    /// A character that parts tags, or that no field holds.
    #[error("{0:?} in a tag, write one tag a line")]
    Character(char),
}

/// Reads a tag that is to be purged. Upper and lower case are told apart.
pub fn parse(text: &str) -> Result<&str, BadTag> {
    let text = text.trim_matches([' ', '\t']);
    match text.chars().find(|c| *c == ',' || c.is_control()) {
        _ if text.is_empty() => Err(BadTag::Empty),
        _ if text.len() > TAG_BYTES_MAX => Err(BadTag::TooLong),
        Some(c) => Err(BadTag::Character(c)),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_kept_once_and_in_order() {
        let tags = Tags::of(["b", "a", "", "b"]);
        assert_eq!(tags.names().collect::<Vec<_>>(), ["a", "b"]);
        assert!(tags.matches("a") && !tags.matches("A") && !tags.any());
        assert!(!Tags::default().matches("a"));
    }

    #[test]
    fn p1_what_cannot_be_kept_matches_any_tag() {
        let many: Vec<String> = (0..=TAGS_MAX).map(|n| n.to_string()).collect();
        let long = "x".repeat(TAG_BYTES_MAX);
        let longs: Vec<String> = (0..17).map(|n| format!("{}{n:03}", &long[3..])).collect();
        for tags in [
            Tags::of(many.iter().map(String::as_str)),
            Tags::of([format!("{long}x").as_str()]),
            Tags::of(longs.iter().map(String::as_str)),
            Tags::of(["a\nb"]),
            Tags::unknown(),
        ] {
            assert!(tags.matches("whatever") && tags.any());
        }
        assert!(!Tags::of(many[1..].iter().map(String::as_str)).any());
        assert!(!Tags::of(longs[1..].iter().map(String::as_str)).any());
    }

    #[test]
    fn p1_a_304_takes_no_tag_away() {
        let old = Tags::of(["a", "b"]);
        let both = old.with(&Tags::of(["c", "b"]));
        assert_eq!(both, Tags::of(["a", "b", "c"]));
        assert!(both.covers(&old) && !old.covers(&both));
        assert!(old.with(&Tags::unknown()).any() && Tags::unknown().with(&old).any());
        let many: Vec<String> = (0..TAGS_MAX).map(|n| n.to_string()).collect();
        assert!(Tags::of(many.iter().map(String::as_str)).with(&old).any());
    }

    #[test]
    fn a_tag_to_purge_is_one() {
        assert_eq!(parse(" product 42\t"), Ok("product 42"));
        assert_eq!(parse("  "), Err(BadTag::Empty));
        assert_eq!(parse("a,b"), Err(BadTag::Character(',')));
        assert_eq!(parse("a\nb"), Err(BadTag::Character('\n')));
        assert_eq!(parse(&"x".repeat(TAG_BYTES_MAX + 1)), Err(BadTag::TooLong));
    }
}
