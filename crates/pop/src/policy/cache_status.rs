//! What an answer says of its way through this cache: the `Cache-Status` field, RFC 9211.

use http::HeaderValue;
use std::fmt::{self, Display, Formatter, Write};

/// Bytes that a value takes at most, details apart; one buffer of this size does.
const VALUE_BYTES: usize = 128;

/// Why a request went on towards the origin, RFC 9211 §2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// The cache is not meant to answer it.
    Bypass,
    /// Its method asks for that.
    Method,
    /// Nothing was there for its URL.
    UriMiss,
    /// What was there answers other requests of its URL.
    VaryMiss,
    /// The request says that it wants no copy.
    Request,
    /// What was there was too old.
    Stale,
    /// Not all of what it wants was there.
    Partial,
}

impl Forward {
    /// The standard's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// Why it went on; `None`: it did not, it is a hit.
    pub forward: Option<Forward>,
    /// What the origin answered, where that is not what the viewer gets.
    pub forward_status: Option<u16>,
    /// The answer was stored.
    pub stored: bool,
    /// Somebody else's request brought it.
    pub collapsed: bool,
    /// Seconds for which it stays fresh; below zero since it is not any more.
    pub ttl_s: Option<i64>,
    /// What there is to say besides.
    pub detail: Option<&'a str>,
}

/// A cache's name as it stands in the field; made once.
#[derive(Debug, Clone)]
pub struct CacheName(String);

impl CacheName {
    /// The name as a token where it is one, else as a string.
    pub fn new(name: &str) -> CacheName {
        CacheName(TokenOrString(name).to_string())
    }
}

impl CacheStatus<'_> {
    /// Answered from the cache.
    pub const HIT: CacheStatus<'static> = CacheStatus {
        forward: None,
        forward_status: None,
        stored: false,
        collapsed: false,
        ttl_s: None,
        detail: None,
    };

    /// Not answered from the cache.
    pub const fn forwarded(forward: Forward) -> CacheStatus<'static> {
        CacheStatus { forward: Some(forward), ..CacheStatus::HIT }
    }

    /// The value for this cache, to be appended to what caches before it said.
    pub fn value(&self, name: &CacheName) -> HeaderValue {
        let mut text = String::with_capacity(name.0.len() + self.detail.map_or(0, str::len) + VALUE_BYTES);
        // A String takes everything.
        let _ = self.write(name, &mut text);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Freshen"))
    }

    fn write(&self, name: &CacheName, out: &mut String) -> fmt::Result {
        out.write_str(&name.0)?;
        match self.forward {
            None => out.write_str("; hit")?,
            Some(forward) => write!(out, "; fwd={}", forward.as_str())?,
        }
        if let Some(status) = self.forward_status {
            write!(out, "; fwd-status={status}")?;
        }
        if let Some(seconds) = self.ttl_s {
            write!(out, "; ttl={seconds}")?;
        }
        if self.stored {
            out.write_str("; stored")?;
        }
        if self.collapsed {
            out.write_str("; collapsed")?;
        }
        match self.detail {
            Some(detail) => write!(out, "; detail={}", TokenOrString(detail)),
            None => Ok(()),
        }
    }
}

/// A token of RFC 9651 §3.3.4 where it is one, else a string of §3.3.3, in which `?` stands for what no string holds.
struct TokenOrString<'a>(&'a str);

impl Display for TokenOrString<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let first = |c: char| c.is_ascii_alphabetic() || c == '*';
        let other = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c);
        if self.0.starts_with(first) && self.0.chars().all(other) {
            return out.write_str(self.0);
        }
        out.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(out, "\\{c}")?,
                ' '..='~' => out.write_char(c)?,
                _ => out.write_char('?')?,
            }
        }
        out.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sfv::{BareItem, Item, List, ListEntry, Parser};

    #[test]
    fn a_value_reads_as_the_standard_writes_it() {
        let name = CacheName::new("pop-asia");
        let value = |status: CacheStatus<'_>| status.value(&name).to_str().unwrap().to_owned();
        let hit = CacheStatus::default();
        assert_eq!(value(hit), "pop-asia; hit");
        assert_eq!(value(CacheStatus { ttl_s: Some(-5), ..hit }), "pop-asia; hit; ttl=-5");
        let fetched = CacheStatus {
            forward: Some(Forward::Stale),
            forward_status: Some(304),
            stored: true,
            collapsed: true,
            ttl_s: Some(60),
            detail: Some("not \"now\""),
        };
        let text =
            "pop-asia; fwd=stale; fwd-status=304; ttl=60; stored; collapsed; detail=\"not \\\"now\\\"\"";
        assert_eq!(value(fetched), text);
    }

    #[test]
    fn names_are_tokens_where_they_can_be() {
        for (name, written) in [
            ("pop.1", "pop.1"),
            ("1pop", "\"1pop\""),
            ("a b", "\"a b\""),
            ("", "\"\""),
            ("é\n", "\"??\""),
            ("a\\b", "\"a\\\\b\""),
        ] {
            assert_eq!(CacheName::new(name).0, written);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_can_be_read(
            name in "\\PC*",
            detail in ".*",
            ttl in -999_999_999_999_999i64..=999_999_999_999_999,
        ) {
            let status = CacheStatus { ttl_s: Some(ttl), detail: Some(&detail), ..CacheStatus::default() };
            let value = status.value(&CacheName::new(&name));
            let list: List = Parser::new(value.as_bytes()).parse().unwrap();
            let ListEntry::Item(Item { params, .. }) = &list[0] else { panic!("no item") };
            prop_assert_eq!(list.len(), 1);
            prop_assert_eq!(&params["hit"], &BareItem::Boolean(true));
            prop_assert_eq!(&params["ttl"], &BareItem::Integer(ttl.try_into().unwrap()));
            prop_assert!(params.contains_key("detail"));
        }
    }
}
