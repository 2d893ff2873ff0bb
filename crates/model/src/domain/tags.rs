//! In which fields an origin names the tags of its answers.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// Fields that a domain may name.
pub const TAG_FIELDS_MAX: usize = 4;
/// The longest name of a field, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// What is no tag, whatever it is called: fields by which messages are framed, kept, chosen or told apart.
const OTHERS: [&str; 19] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
];

/// A field of an origin's answer that lists tags. In text `comma:NAME` or `space:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagField {
    /// Its name, in lower case.
    pub name: String,
    /// What parts the tags.
    pub parted_by: PartedBy,
}

/// What parts the tags of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartedBy {
    /// Commas, with white space around them.
    Comma,
    /// Spaces.
    Space,
}

/// Words that are no field of tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no field of tags: write comma:NAME or space:NAME, as in comma:Cache-Tag")]
pub struct BadTagField(pub String);

impl TagField {
    /// `Cache-Tag`, parted by commas, and `Surrogate-Key`, parted by spaces.
    pub fn usual() -> Vec<TagField> {
        let field = |name: &str, parted_by| TagField { name: name.to_owned(), parted_by };
        vec![field("cache-tag", PartedBy::Comma), field("surrogate-key", PartedBy::Space)]
    }

    /// The tags that a line of the field lists.
    pub fn tags<'a>(&self, line: &'a str) -> impl Iterator<Item = &'a str> {
        let parts: fn(char) -> bool = match self.parted_by {
            PartedBy::Comma => |c| c == ',',
            PartedBy::Space => |c| c == ' ' || c == '\t',
        };
        line.split(parts).map(|tag| tag.trim_matches([' ', '\t'])).filter(|tag| !tag.is_empty())
    }
}

impl std::fmt::Display for TagField {
    /// As [`TagField`] is read from text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.parted_by {
            PartedBy::Comma => write!(f, "comma:{}", self.name),
            PartedBy::Space => write!(f, "space:{}", self.name),
        }
    }
}

impl std::str::FromStr for TagField {
    type Err = BadTagField;

    fn from_str(text: &str) -> Result<TagField, BadTagField> {
        let bad = || BadTagField(text.chars().take(80).collect());
        let (word, name) = text.split_once(':').ok_or_else(bad)?;
        let parted_by = match word {
            "comma" => PartedBy::Comma,
            "space" => PartedBy::Space,
            _ => return Err(bad()),
        };
        let name = name.to_ascii_lowercase();
        // RFC 9110 §5.6.2.
        let token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && token && !OTHERS.contains(&name.as_str());
        if fits { Ok(TagField { name, parted_by }) } else { Err(bad()) }
    }
}

impl JsonSchema for TagField {
    fn schema_name() -> Cow<'static, str> {
        "TagField".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "`comma:NAME` or `space:NAME`: a field, and what parts the tags in it." })
    }
}

impl Serialize for TagField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TagField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TagField, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_lists_tags() {
        let tags = |field: &str, line: &'static str| {
            field.parse::<TagField>().unwrap().tags(line).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(tags("comma:Cache-Tag", "a, b c,,d "), ["a", "b c", "d"]);
        assert_eq!(tags("space:surrogate-key", " a  b,c"), ["a", "b,c"]);
        assert_eq!(tags("space:surrogate-key", ""), [""; 0]);
    }

    #[test]
    fn a_field_is_read_as_it_is_written() {
        for field in TagField::usual() {
            assert_eq!(field.to_string().parse(), Ok(field.clone()));
            let text = serde_json::to_string(&field).unwrap();
            assert_eq!(serde_json::from_str::<TagField>(&text).unwrap(), field);
        }
        for text in ["cache-tag", "comma:", "comma:a b", "tab:x", "comma:Set-Cookie", "comma:content-length"]
        {
            assert_eq!(text.parse::<TagField>(), Err(BadTagField(text.into())));
        }
    }
}
