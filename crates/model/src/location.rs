//! A submitted URL: what a line of a purge or prefetch names, or exactly why it names nothing.

use std::borrow::Cow;

/// The longest URL that is accepted, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// Whether a line must say `http://` or `https://`; the vendor's API accepts `host/path` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A line without one is refused.
    Required,
    /// A line without one is read as if it had one.
    Optional,
}

/// Host and path of a submitted URL, not yet normalised into a key (that takes the domain's settings).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Lower case, without port and trailing dot.
    pub host: String,
    /// Begins with `/`; holds the query.
    pub path_and_query: String,
}

/// Why a submitted URL is refused; the text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's text says it")]
pub enum BadUrl {
    #[error("no scheme, write http:// or https:// before it")]
    NoScheme,
    #[error("scheme {0:?}, only http and https are cached")]
    ForeignScheme(String),
    #[error("raw space in URL, write %20")]
    Space,
    #[error("raw control character in URL, write it percent-encoded")]
    Control,
    #[error("raw non-ASCII character {0:?} in URL, write it as percent-encoded UTF-8")]
    NonAscii(char),
    #[error("user information before @ is not part of a cached URL, remove it")]
    UserInfo,
    #[error("a fragment (#) never reaches a server, remove it or write %23")]
    Fragment,
    #[error("no host")]
    NoHost,
    #[error("{0:?} is not a host name")]
    BadHost(String),
    #[error("{0:?} is an address, name the accelerated domain")]
    Address(String),
    #[error("wildcards (*) are not matched, name the URL or purge its directory")]
    Wildcard,
    #[error("raw {0:?} in URL, write it percent-encoded")]
    NotUri(char),
    #[error("a % without two hexadecimal digits behind it, write %25")]
    Percent,
    #[error("longer than 2048 bytes")]
    TooLong,
    #[error("several URLs on one line, write one a line")]
    Several,
}

impl Location {
    /// Reads one line.
    pub fn parse(text: &str, scheme: Scheme) -> Result<Location, BadUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(BadUrl::TooLong);
        }
        refuse_characters(text)?;
        let rest = strip_scheme(text, scheme)?;
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(BadUrl::UserInfo);
        }
        let host = host_of(authority)?.into_owned();
        if path.contains(",http://") || path.contains(",https://") {
            return Err(BadUrl::Several);
        }
        let path_and_query = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Location { host, path_and_query })
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// Whether a query is written, even an empty one.
    pub fn has_query(&self) -> bool {
        self.path_and_query.contains('?')
    }
}

/// Reads a line that names a host, and behind it a pattern of paths, which is not looked at: `http://host/pattern`.
pub fn host_and_pattern(text: &str, scheme: Scheme) -> Result<(String, &str), BadUrl> {
    if text.len() > URL_BYTES_MAX {
        return Err(BadUrl::TooLong);
    }
    let rest = strip_scheme(text, scheme)?;
    let (authority, pattern) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    refuse_characters(authority)?;
    if authority.contains('@') {
        return Err(BadUrl::UserInfo);
    }
    Ok((host_of(authority)?.into_owned(), pattern))
}

/// The host of an authority or `Host` field: lower case, without port and trailing dot.
///
/// Errors name what is wrong with it; an IP address is refused, since no domain is called that.
pub fn host_of(authority: &str) -> Result<Cow<'_, str>, BadUrl> {
    if authority.starts_with('[') {
        return Err(BadUrl::Address(authority.to_owned()));
    }
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) => return Err(BadUrl::BadHost(authority.to_owned())),
        None => authority,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    };
    if name.is_empty() {
        return Err(BadUrl::NoHost);
    }
    if name.contains('*') {
        return Err(BadUrl::Wildcard);
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(BadUrl::Address(name.into_owned()));
    }
    if is_host_name(&name) { Ok(name) } else { Err(BadUrl::BadHost(name.into_owned())) }
}

/// Whether `name` is a lower-case DNS name: labels of 1 to 63 letters, digits, `-`, `_`, at most 253 bytes in all.
pub fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        })
}

fn strip_scheme(text: &str, scheme: Scheme) -> Result<&str, BadUrl> {
    match text.split_once("://") {
        Some((name, rest)) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
            if name.eq_ignore_ascii_case("http") || name.eq_ignore_ascii_case("https") {
                Ok(rest)
            } else {
                Err(BadUrl::ForeignScheme(name.to_owned()))
            }
        }
        _ if scheme == Scheme::Required => Err(BadUrl::NoScheme),
        _ => Ok(text),
    }
}

fn refuse_characters(text: &str) -> Result<(), BadUrl> {
    let bytes = text.as_bytes();
    for (at, c) in text.char_indices() {
        match c {
            ' ' => return Err(BadUrl::Space),
            c if c.is_ascii_control() => return Err(BadUrl::Control),
            c if !c.is_ascii() => return Err(BadUrl::NonAscii(c)),
            '#' => return Err(BadUrl::Fragment),
            '*' => return Err(BadUrl::Wildcard),
            '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => return Err(BadUrl::NotUri(c)),
            '%' if !bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)) => {
                return Err(BadUrl::Percent);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Location, BadUrl> {
        Location::parse(text, Scheme::Required)
    }

    #[test]
    fn a_url_gives_host_and_path() {
        for (text, host, path_and_query) in [
            ("http://Demo.Localhost:8081/a.txt", "demo.localhost", "/a.txt"),
            ("HTTPS://example.com.", "example.com", "/"),
            ("https://example.com?x=1", "example.com", "/?x=1"),
            ("http://example.com/d/?q=a%20b", "example.com", "/d/?q=a%20b"),
        ] {
            let location = parse(text).unwrap();
            assert_eq!((location.host.as_str(), location.path_and_query.as_str()), (host, path_and_query));
        }
        assert_eq!(Location::parse("example.com/a", Scheme::Optional).unwrap().host, "example.com");
    }

    #[test]
    fn a_pattern_stands_behind_its_host() {
        let read = |text| host_and_pattern(text, Scheme::Required);
        assert_eq!(read("http://A.example:80/[0-9]+.*$"), Ok(("a.example".into(), "/[0-9]+.*$")));
        assert_eq!(read("https://a.example"), Ok(("a.example".into(), "")));
        assert_eq!(read("http://.*/a"), Err(BadUrl::Wildcard));
        assert_eq!(read("http://u@a.example/a"), Err(BadUrl::UserInfo));
        assert_eq!(read("a.example/a"), Err(BadUrl::NoScheme));
        assert_eq!(host_and_pattern("a.example/a", Scheme::Optional), Ok(("a.example".into(), "/a")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long = format!("http://example.com/{}", "a".repeat(URL_BYTES_MAX));
        for (text, why) in [
            ("example.com/a", BadUrl::NoScheme),
            ("ftp://example.com/a", BadUrl::ForeignScheme("ftp".into())),
            ("http://example.com/a b", BadUrl::Space),
            ("http://example.com/a\tb", BadUrl::Control),
            ("http://example.com/é", BadUrl::NonAscii('é')),
            ("http://u:p@example.com/", BadUrl::UserInfo),
            ("http://example.com/#top", BadUrl::Fragment),
            ("http:///a", BadUrl::NoHost),
            ("http://127.0.0.1/a", BadUrl::Address("127.0.0.1".into())),
            ("http://[::1]/a", BadUrl::Address("[::1]".into())),
            ("http://*.example.com/a", BadUrl::Wildcard),
            ("http://example.com/*.jpg", BadUrl::Wildcard),
            ("http://exa_mple..com/", BadUrl::BadHost("exa_mple..com".into())),
            ("http://example.com:x/", BadUrl::BadHost("example.com:x".into())),
            ("http://example.com/a|b", BadUrl::NotUri('|')),
            ("http://example.com/%4", BadUrl::Percent),
            ("http://example.com/a,http://example.com/b", BadUrl::Several),
            (long.as_str(), BadUrl::TooLong),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
