//! The key of an object: one pure function makes it, for the POP, for purges, for prefetches and for the API alike.

use crate::domain::{QueryPolicy, Settings};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The longest path and query, in bytes, that is looked up, purged or prefetched.
pub const PATH_AND_QUERY_BYTES_MAX: usize = 8_192;

/// Names one object: cache space, path and query, all normalised.
///
/// Kept as one text `space NUL path [? query]`, whose byte order puts a directory's objects side by side.
#[derive(Clone)]
pub struct Key {
    text: Arc<str>,
    space_len: u32,
    path_end: u32,
}

/// Why a path and query cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// A `%` that no two hexadecimal digits follow.
    #[error("a % without two hexadecimal digits behind it, write %25")]
    Percent,
    /// Does not begin with `/`.
    #[error("the path does not begin with /")]
    NotAbsolute,
    /// Longer than [`PATH_AND_QUERY_BYTES_MAX`].
    #[error("path and query are longer than 8192 bytes")]
    TooLong,
}

impl Key {
    /// Makes the key of `path_and_query` (as in a request line, without fragment) in the domain's cache space.
    ///
    /// RFC 3986 §6.2.2: percent-encoding in upper case, unreserved characters decoded, dot segments removed; `//`, `%2F`
    /// and the order of the query are kept. Then the domain's query policy.
    pub fn new(space: &str, query_policy: &QueryPolicy, path_and_query: &str) -> Result<Key, BadPath> {
        if path_and_query.len() > PATH_AND_QUERY_BYTES_MAX {
            return Err(BadPath::TooLong);
        }
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let path = match path {
            "" => Cow::Borrowed("/"),
            path if path.starts_with('/') => remove_dot_segments(normalise_percent(path)?),
            _ => return Err(BadPath::NotAbsolute),
        };
        let query = match query {
            Some(query) => query_policy.apply(normalise_percent(query)?),
            None => None,
        };
        Ok(Key::from_parts(space, &path, query.as_deref()))
    }

    /// Makes the key of `path_and_query` as `settings` of the domain `name` say.
    pub fn in_domain(name: &str, settings: &Settings, path_and_query: &str) -> Result<Key, BadPath> {
        Key::new(settings.space(name), &settings.query, path_and_query)
    }

    /// Puts together parts that are normalised already, as when read back from a store.
    pub fn from_parts(space: &str, path: &str, query: Option<&str>) -> Key {
        let mut text = String::with_capacity(space.len() + path.len() + query.map_or(0, str::len) + 2);
        text.push_str(space);
        text.push('\0');
        text.push_str(path);
        let path_end = text.len() as u32;
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        Key { text: text.into(), space_len: space.len() as u32, path_end }
    }

    /// Reads a key back from [`Key::as_str`]; `None` where the text is none.
    pub fn from_text(text: &str) -> Option<Key> {
        let (space, rest) = text.split_once('\0')?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        path.starts_with('/').then(|| Key::from_parts(space, path, query))
    }

    /// The whole key, `space NUL path [? query]`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The cache space.
    pub fn space(&self) -> &str {
        &self.text[..self.space_len as usize]
    }

    /// The path, beginning with `/`.
    pub fn path(&self) -> &str {
        &self.text[self.space_len as usize + 1..self.path_end as usize]
    }

    /// The query without its `?`, if there is one (it may be empty).
    pub fn query(&self) -> Option<&str> {
        self.text.get(self.path_end as usize + 1..)
    }

    /// The key of the path alone.
    pub fn without_query(&self) -> Key {
        Key { text: self.as_str_without_query().into(), ..*self }
    }

    /// Its text without the query.
    pub fn as_str_without_query(&self) -> &str {
        &self.text[..self.path_end as usize]
    }

    /// Path and query as a request line carries them.
    pub fn path_and_query(&self) -> &str {
        &self.text[self.space_len as usize + 1..]
    }
}

/// The text by which every key of a cache space begins.
pub fn space_prefix(space: &str) -> String {
    format!("{space}\0")
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.space(), self.path_and_query())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Key::from_text(&text).ok_or_else(|| serde::de::Error::custom("not a key"))
    }
}

/// Upper-cases percent-encodings, decodes those of unreserved characters, encodes what no URI may hold raw.
fn normalise_percent(text: &str) -> Result<Cow<'_, str>, BadPath> {
    let bytes = text.as_bytes();
    // As most are: a `%` is no such character.
    if bytes.iter().all(|byte| is_uri_character(*byte)) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'%' {
            let high = bytes.get(at + 1).and_then(hex_value).ok_or(BadPath::Percent)?;
            let low = bytes.get(at + 2).and_then(hex_value).ok_or(BadPath::Percent)?;
            push_octet(&mut out, high * 16 + low, is_unreserved);
            at += 3;
        } else {
            push_octet(&mut out, byte, is_uri_character);
            at += 1;
        }
    }
    Ok(Cow::Owned(out))
}

fn hex_value(byte: &u8) -> Option<u8> {
    (*byte as char).to_digit(16).map(|digit| digit as u8)
}

fn push_octet(out: &mut String, octet: u8, raw: fn(u8) -> bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if raw(octet) {
        out.push(octet as char);
    } else {
        out.push('%');
        out.push(DIGITS[usize::from(octet >> 4)] as char);
        out.push(DIGITS[usize::from(octet & 15)] as char);
    }
}

/// RFC 3986 §2.3.
fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

/// What a path or query may hold raw: unreserved, sub-delims, `:`, `@`, `/`, `?`.
fn is_uri_character(octet: u8) -> bool {
    is_unreserved(octet)
        || matches!(
            octet,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
                | b'?'
        )
}

/// RFC 3986 §5.2.4, for a path that begins with `/`.
fn remove_dot_segments(path: Cow<'_, str>) -> Cow<'_, str> {
    if !path.contains("/.") {
        return path;
    }
    let mut out: Vec<&str> = Vec::new();
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." if last => out.push(""),
            "." => {}
            ".." => {
                out.pop();
                if last {
                    out.push("");
                }
            }
            segment => out.push(segment),
        }
    }
    Cow::Owned(format!("/{}", out.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> Key {
        Key::new("s", &QueryPolicy::Keep, text).unwrap()
    }

    #[test]
    fn spellings_of_one_url_have_one_key() {
        for (spelling, path_and_query) in [
            ("", "/"),
            ("/%7euser/%61", "/~user/a"),
            ("/a%2fb", "/a%2Fb"),
            ("/a//b", "/a//b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2E%2e/c", "/c"),
            ("/a/..", "/"),
            ("/..//x", "//x"),
            ("/a/b/.", "/a/b/"),
            ("/x?b=2&a=%7e", "/x?b=2&a=~"),
            ("/x?", "/x?"),
            ("/a{b}", "/a%7Bb%7D"),
            ("/x?q=a/../b", "/x?q=a/../b"),
        ] {
            assert_eq!(key(spelling).path_and_query(), path_and_query, "{spelling}");
        }
        assert_eq!(Key::new("s", &QueryPolicy::Keep, "/%zz"), Err(BadPath::Percent));
        assert_eq!(Key::new("s", &QueryPolicy::Keep, "x"), Err(BadPath::NotAbsolute));
    }

    #[test]
    fn parts_are_found_again() {
        let key = key("/d/x?y=1");
        assert_eq!((key.space(), key.path(), key.query()), ("s", "/d/x", Some("y=1")));
        assert_eq!(Key::from_text(key.as_str()), Some(key));
        assert_eq!(self::key("/d/x").query(), None);
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key(path in "/[a-zA-Z0-9%/.?&=~{} é]{0,40}") {
            if let Ok(once) = Key::new("s", &QueryPolicy::Keep, &path) {
                let twice = Key::new("s", &QueryPolicy::Keep, once.path_and_query()).unwrap();
                prop_assert_eq!(&once, &twice);
                prop_assert_eq!(Key::from_text(once.as_str()), Some(once));
            }
        }

        /// RFC 3986 §6.2.2.1 and §6.2.2.2: any character may be spelled as its percent-encoding, in either case.
        #[test]
        fn equivalent_spellings_have_one_key(path in "(/[a-z0-9._~-]{0,6}){1,5}", upper: bool, mask in prop::collection::vec(any::<bool>(), 40)) {
            let spelled: String = path.chars().zip(mask.iter().cycle()).map(|(c, encode)| match (c, encode) {
                ('/', _) | (_, false) => c.to_string(),
                (c, true) if upper => format!("%{:02X}", c as u32),
                (c, true) => format!("%{:02x}", c as u32),
            }).collect();
            prop_assert_eq!(key(&spelled), key(&path));
        }
    }
}
