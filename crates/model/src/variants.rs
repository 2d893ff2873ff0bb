//! Variants: as whom a prefetch asks for each object.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Variants of one object that one prefetch warms at most.
pub const VARIANTS_MAX: usize = 8;
/// Fields that it names at most.
pub const FIELDS_MAX: usize = 16;
/// Bytes of one value.
pub const VALUE_BYTES_MAX: usize = 256;

/// Fields by which origins choose between variants of an object; client hints (`sec-ch-…`) are beside them.
const FIELDS: [&str; 14] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "device-memory",
    "downlink",
    "dpr",
    "ect",
    "origin",
    "rtt",
    "save-data",
    "user-agent",
    "viewport-width",
    "width",
];
const HINTS: &str = "sec-ch-";
const ACCEPT_ENCODING: &str = "accept-encoding";

/// Fields of requests, each with the values to ask with: a variant for each combination. None: as viewers who accept gzip,
/// and as those who don't.
///
/// What an order brings is taken as it is: a POP that finds something in it that it cannot ask with says so of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Variants(BTreeMap<String, Vec<String>>);

/// Why nothing can be prefetched with such fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVariants {
    /// A field that no variant depends on, or that must not be sent in somebody's name.
    #[error(
        "header {0}: variants of an object depend on Accept, Accept-Charset, Accept-Encoding, Accept-Language, Origin, User-Agent, \
         Save-Data, DPR, Width and the like, or Sec-CH-…; leave this one out"
    )]
    Field(String),
    /// A field without values, or with one that cannot be sent.
    #[error("header {0}: a value is 1 to {VALUE_BYTES_MAX} visible characters of ASCII")]
    Value(String),
    /// More fields than may be named.
    #[error("{0} headers, name at most {FIELDS_MAX}")]
    TooManyFields(usize),
    /// More combinations than are warmed.
    #[error("the headers make {0} variants of each file, name at most {VARIANTS_MAX}")]
    TooMany(usize),
}

impl Variants {
    /// The same as they are asked with: names in lower case, values once. Where some field is named, and Accept-Encoding is
    /// not, it is gzip and identity.
    pub fn checked(&self) -> Result<Variants, BadVariants> {
        if self.0.len() > FIELDS_MAX {
            return Err(BadVariants::TooManyFields(self.0.len()));
        }
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (said, values) in &self.0 {
            let name = said.trim().to_ascii_lowercase();
            let named = || said.chars().take(80).collect();
            if !FIELDS.contains(&&*name) && !is_hint(&name) {
                return Err(BadVariants::Field(named()));
            }
            let kept = fields.entry(name).or_default();
            for value in values.iter().map(|value| value.trim()) {
                if value.len() > VALUE_BYTES_MAX || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                    return Err(BadVariants::Value(named()));
                }
                if !value.is_empty() && !kept.iter().any(|known| known == value) {
                    kept.push(value.to_owned());
                }
            }
            if kept.is_empty() {
                return Err(BadVariants::Value(named()));
            }
        }
        if !fields.is_empty() {
            let both = || ["gzip", "identity"].map(str::to_owned).into();
            fields.entry(ACCEPT_ENCODING.to_owned()).or_insert_with(both);
        }
        let checked = Variants(fields);
        match checked.count() {
            count if count > VARIANTS_MAX => Err(BadVariants::TooMany(count)),
            _ => Ok(checked),
        }
    }

    /// These fields and those.
    pub fn and(self, others: Variants) -> Variants {
        self.0.into_iter().chain(others.0).collect()
    }

    /// Each value as a field of a request, `accept-language: de`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}")))
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many variants it names; zero where it names nothing.
    pub fn count(&self) -> usize {
        match self.is_empty() {
            true => 0,
            false => self.0.values().map(Vec::len).fold(1, usize::saturating_mul),
        }
    }

    /// The requests that it stands for, each with its fields by name; at most [`VARIANTS_MAX`], and none where it names
    /// nothing.
    pub fn requests(&self) -> Vec<Vec<(&str, &str)>> {
        let mut requests = if self.is_empty() { Vec::new() } else { vec![Vec::new()] };
        for (name, values) in &self.0 {
            let field = |value| (name.as_str(), String::as_str(value));
            let with_each = |request: Vec<_>| {
                values.iter().map(move |value| [request.clone(), vec![field(value)]].concat())
            };
            requests = requests.into_iter().flat_map(with_each).take(VARIANTS_MAX).collect();
        }
        requests
    }

    /// Values of Accept-Encoding that welcome codings for which POPs do not ask origins.
    pub fn not_asked_for(&self) -> impl Iterator<Item = &str> {
        let values = self.0.get(ACCEPT_ENCODING).map(Vec::as_slice).unwrap_or_default();
        values.iter().map(String::as_str).filter(|value| {
            let mut codings = value.split(',').map(|item| item.split(';').next().unwrap_or_default().trim());
            codings.any(|coding| {
                !["gzip", "x-gzip", "identity", "*"].iter().any(|known| coding.eq_ignore_ascii_case(known))
            })
        })
    }
}

fn is_hint(name: &str) -> bool {
    name.strip_prefix(HINTS).is_some_and(|rest| {
        (1..=40).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    })
}

impl FromIterator<(String, Vec<String>)> for Variants {
    fn from_iter<Fields: IntoIterator<Item = (String, Vec<String>)>>(said: Fields) -> Variants {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, values) in said {
            fields.entry(name).or_default().extend(values);
        }
        Variants(fields)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Variants {
    fn from_iter<Fields: IntoIterator<Item = (&'a str, &'a str)>>(said: Fields) -> Variants {
        said.into_iter().map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).collect()
    }
}

/// For people: `accept-encoding: gzip or identity; accept-language: de`.
impl fmt::Display for Variants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, values)) in self.0.iter().enumerate() {
            let apart = if place == 0 { "" } else { "; " };
            write!(f, "{apart}{name}: {}", values.join(" or "))?;
        }
        Ok(())
    }
}

/// Reads a field as it is written in a request, `Accept-Language: de`.
impl FromStr for Variants {
    type Err = String;

    fn from_str(field: &str) -> Result<Variants, String> {
        let (name, value) = field.split_once(':').ok_or_else(|| {
            format!("{field:?} is no header: write it as in a request, Accept-Language: de")
        })?;
        Ok([(name.trim(), value.trim())].into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variants(pairs: &[(&str, &str)]) -> Variants {
        pairs.iter().copied().collect()
    }

    #[test]
    fn each_combination_is_a_variant() {
        let both =
            variants(&[("Accept-Language", "de"), ("accept-encoding", "gzip"), ("ACCEPT-language", " en ")]);
        let both = both.checked().unwrap();
        assert_eq!(both.count(), 2);
        assert_eq!(
            both.requests(),
            [
                [("accept-encoding", "gzip"), ("accept-language", "en")],
                [("accept-encoding", "gzip"), ("accept-language", "de")]
            ]
        );
        assert_eq!((Variants::default().count(), Variants::default().requests().len()), (0, 0));
        assert_eq!(Variants::default().checked(), Ok(Variants::default()));
    }

    #[test]
    fn codings_that_are_not_named_are_both() {
        let german = variants(&[("accept-language", "de"), ("accept-language", "de")]).checked().unwrap();
        assert_eq!(
            german.requests(),
            [
                [("accept-encoding", "gzip"), ("accept-language", "de")],
                [("accept-encoding", "identity"), ("accept-language", "de")]
            ]
        );
    }

    #[test]
    fn what_is_nobodys_variant_is_refused_by_name() {
        for name in [
            "Authorization",
            "Cookie",
            "Range",
            "If-None-Match",
            "If-Range",
            "Connection",
            "TE",
            "Host",
            "Via",
            "X-Forwarded-For",
            "Cache-Control",
            "Proxy-Authorization",
            "X-Api-Key",
            "Sec-CH-",
            "",
        ] {
            let refused = variants(&[("Accept", "*/*"), (name, "1")]).checked();
            assert_eq!(refused, Err(BadVariants::Field(name.into())), "{name}");
            assert!(BadVariants::Field(name.into()).to_string().starts_with(&format!("header {name}: ")));
        }
        for name in ["Accept", "Origin", "User-Agent", "Sec-CH-UA-Mobile", "DPR"] {
            assert!(variants(&[(name, "1")]).checked().is_ok(), "{name}");
        }
    }

    #[test]
    fn values_and_variants_are_bounded() {
        for value in ["", " ", "a\r\nCookie: b", "ü", &"x".repeat(VALUE_BYTES_MAX + 1)] {
            let refused = variants(&[("Accept", value)]).checked();
            assert_eq!(refused, Err(BadVariants::Value("Accept".into())), "{value:?}");
        }
        let of = |count: usize| -> Variants {
            let languages = (0..count).map(|n| format!("x-{n}")).collect();
            [("accept-language".to_owned(), languages)].into_iter().collect()
        };
        assert_eq!(of(4).checked().unwrap().count(), 8);
        assert_eq!(of(5).checked(), Err(BadVariants::TooMany(10)));
        assert_eq!(of(40).requests().len(), VARIANTS_MAX, "whatever an order says");
        let hints = (0..=FIELDS_MAX).map(|n| (format!("sec-ch-{}", "x".repeat(n + 1)), vec!["1".into()]));
        let hints: Variants = hints.collect();
        assert_eq!(hints.checked(), Err(BadVariants::TooManyFields(17)));
    }

    #[test]
    fn codings_that_pops_do_not_ask_for_are_known() {
        let said = ["br", "gzip", "identity", "gzip;q=0.5, *", "gzip, br;q=1"];
        let said: Variants = said.into_iter().map(|coding| ("accept-encoding", coding)).collect();
        assert_eq!(said.not_asked_for().collect::<Vec<_>>(), ["br", "gzip, br;q=1"]);
    }

    #[test]
    fn a_field_is_read_as_it_is_written_in_a_request() {
        let said = ["Accept-Language: de, en;q=0.5", "Origin:https://www.example.com:8443"];
        let read = said.map(|field| field.parse::<Variants>().unwrap());
        let both = read.into_iter().fold(Variants::default(), Variants::and);
        let same = [("Accept-Language", "de, en;q=0.5"), ("Origin", "https://www.example.com:8443")];
        assert_eq!(both, variants(&same));
        let again = both.lines().map(|line| line.parse::<Variants>().unwrap());
        assert_eq!(again.fold(Variants::default(), Variants::and), both);
        assert!("Accept-Language".parse::<Variants>().is_err());
        assert_eq!(
            both.checked().unwrap().to_string(),
            "accept-encoding: gzip or identity; accept-language: de, en;q=0.5; origin: https://www.example.com:8443"
        );
    }

    #[test]
    fn it_is_a_map_on_the_wire() {
        let text = r#"{"accept-encoding":["gzip"],"x-new":["1"]}"#;
        let read: Variants = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
