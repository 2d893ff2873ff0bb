//! What a purge matches, and what becomes of it.

use crate::key::{Key, space_prefix};
use crate::pattern::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a matched copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Revalidate with the origin before the next use; a 304 keeps the copy.
    Expire,
    /// Never use it again; fetch anew, without validators.
    Evict,
}

/// What a rule matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "match", rename_all = "lowercase")]
pub enum Matcher {
    /// One object, query included, with all its variants.
    Url {
        /// The object.
        key: Key,
    },
    /// Every object whose path begins with the directory's.
    Directory {
        /// The directory: a path that ends with `/`, no query.
        key: Key,
    },
    /// Every object of one path, whatever its query.
    Query {
        /// The path; no query.
        key: Key,
    },
    /// Every object of a cache space whose path and query a pattern matches.
    Regex {
        /// The space.
        space: String,
        /// What the whole of path and query must match.
        pattern: Pattern,
    },
    /// Every copy in a cache space that the origin gave a tag.
    Tag {
        /// The space.
        space: String,
        /// The tag.
        tag: String,
    },
    /// Every object of a cache space.
    Space {
        /// The space.
        space: String,
    },
    /// Every object: what a rule is taken for that cannot be understood at all.
    Everything,
}

impl Matcher {
    /// The cache space beyond which it matches nothing; `None` where it matches everything.
    pub fn space(&self) -> Option<&str> {
        match self {
            Matcher::Url { key } | Matcher::Directory { key } | Matcher::Query { key } => Some(key.space()),
            Matcher::Space { space } | Matcher::Regex { space, .. } | Matcher::Tag { space, .. } => {
                Some(space)
            }
            Matcher::Everything => None,
        }
    }

    /// How the text of every key begins that it may match; others may begin so, too.
    pub fn prefix(&self) -> String {
        match self {
            Matcher::Url { key } | Matcher::Directory { key } | Matcher::Query { key } => {
                key.as_str().to_owned()
            }
            Matcher::Space { space } | Matcher::Regex { space, .. } | Matcher::Tag { space, .. } => {
                space_prefix(space)
            }
            Matcher::Everything => String::new(),
        }
    }
}

/// One rule of a purge order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// What it matches.
    #[serde(flatten)]
    pub matcher: Matcher,
    /// What becomes of it.
    pub mode: Mode,
    /// False where this program could not read the rule and took it for the widest thing it may mean.
    #[serde(skip)]
    pub understood: bool,
}

impl Rule {
    /// A rule as a submission makes it.
    pub fn new(matcher: Matcher, mode: Mode) -> Rule {
        Rule { matcher, mode, understood: true }
    }

    /// The widest thing that a rule this program cannot read may mean.
    fn widest(value: &serde_json::Value) -> Rule {
        let space = value.get("space").and_then(|space| space.as_str()).map(str::to_owned).or_else(|| {
            let text = value.get("key")?.as_str()?;
            Some(text.split_once('\0')?.0.to_owned())
        });
        let matcher = match space {
            Some(space) => Matcher::Space { space },
            None => Matcher::Everything,
        };
        Rule { matcher, mode: Mode::Evict, understood: false }
    }
}

/// Never fails on a rule from a newer version: it becomes the widest thing it may mean, since a rule that stops the log
/// or is passed over would leave what it purges in use.
impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Known {
            #[serde(flatten)]
            matcher: Matcher,
            mode: Mode,
        }
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(match Known::deserialize(&value) {
            Ok(known) => Rule::new(known.matcher, known.mode),
            Err(_) => Rule::widest(&value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_survives_the_wire() {
        let (key, space) = (Key::from_parts("a.example", "/d/", None), || "a.example".to_owned());
        for matcher in [
            Matcher::Url { key: key.clone() },
            Matcher::Directory { key: key.clone() },
            Matcher::Query { key },
            Matcher::Regex { space: space(), pattern: Pattern::new("/.*") },
            Matcher::Tag { space: space(), tag: "t".into() },
            Matcher::Space { space: space() },
            Matcher::Everything,
        ] {
            let rule = Rule::new(matcher, Mode::Expire);
            let text = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), rule);
        }
    }

    #[test]
    fn an_unknown_rule_is_the_widest_it_may_mean() {
        let read = |text: &str| serde_json::from_str::<Rule>(text).unwrap();
        let rule = read(r#"{"match":"moon","space":"a.example","mode":"expire"}"#);
        assert_eq!(rule.matcher, Matcher::Space { space: "a.example".into() });
        assert_eq!((rule.mode, rule.understood), (Mode::Evict, false));
        assert_eq!(read(r#"{"match":"moon","mode":"evict"}"#).matcher, Matcher::Everything);
        let keyed = read("{\"match\":\"url\",\"key\":\"a.example\\u0000/x\",\"mode\":\"moon\"}");
        assert_eq!(keyed.matcher, Matcher::Space { space: "a.example".into() });
    }
}
