//! The `Cache-Control` response field, RFC 9111 §5.2.2.

use http::{HeaderMap, header};
use std::time::Duration;

/// The longest lifetime taken at its word, in seconds; RFC 9111 §1.2.2 asks for at least 2³¹.
const SECONDS_MAX: u64 = 1 << 31;

/// What a response says of its caching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// May not be stored.
    pub no_store: bool,
    /// May be stored but not used without asking the origin (the qualified form counts as the plain one).
    pub no_cache: bool,
    /// Not for shared caches (the qualified form counts as the plain one).
    pub private: bool,
    /// For everybody, cookies and credentials in the request notwithstanding.
    pub public: bool,
    /// Never to be used stale.
    pub must_revalidate: bool,
    /// Never to be used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// Lifetime in seconds.
    pub max_age: Option<u64>,
    /// Lifetime in seconds for shared caches.
    pub s_maxage: Option<u64>,
    /// Seconds past its lifetime in which it may be used while it is revalidated, RFC 5861 §3.
    pub stale_while_revalidate: Option<u64>,
    /// Seconds past its lifetime in which it may be used when the origin fails, RFC 5861 §4.
    pub stale_if_error: Option<u64>,
}

impl CacheControl {
    /// Reads all `Cache-Control` lines of a response.
    pub fn of(headers: &HeaderMap) -> CacheControl {
        let mut out = CacheControl::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            for (name, value) in directives(&String::from_utf8_lossy(line.as_bytes())) {
                out.take(&name, value.as_deref());
            }
        }
        out
    }

    fn take(&mut self, name: &str, value: Option<&str>) {
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "max-age" => shorten(&mut self.max_age, value),
            "s-maxage" => shorten(&mut self.s_maxage, value),
            "stale-while-revalidate" => shorten(&mut self.stale_while_revalidate, value),
            "stale-if-error" => shorten(&mut self.stale_if_error, value),
            _ => {}
        }
    }

    /// Whether a response to a request with credentials may be shared, RFC 9111 §3.5.
    pub fn shares_authorised(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }

    /// Whether a stale copy may never be used, RFC 9111 §4.2.4.
    pub fn forbids_stale(&self) -> bool {
        self.insists_on_validation() || self.s_maxage.is_some()
    }

    /// Whether a copy may be used `past` its lifetime while it is revalidated.
    ///
    /// `s-maxage` alone does not forbid it, as it does other stale use (RFC 9111 §5.2.2.10): an origin that names the
    /// window beside it means shared caches.
    pub fn serves_while_revalidating(&self, past: Duration) -> bool {
        !self.insists_on_validation()
            && self.stale_while_revalidate.is_some_and(|seconds| past < Duration::from_secs(seconds))
    }

    fn insists_on_validation(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache
    }
}

/// Where a directive is repeated the shortest counts; what is no number of seconds counts as none at all, stale at once.
fn shorten(seconds: &mut Option<u64>, value: Option<&str>) {
    let digits = value.filter(|value| !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()));
    let said = digits.map_or(0, |digits| digits.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX));
    *seconds = Some(seconds.map_or(said, |before| before.min(said)));
}

/// The directives of one line, names in lower case; commas inside quotes do not part them.
fn directives(line: &str) -> Vec<(String, Option<String>)> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in line.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => {
                escaped = true;
                continue;
            }
            '"' => {
                quoted = !quoted;
                continue;
            }
            ',' if !quoted => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    let split = |part: String| match part.split_once('=') {
        Some((name, value)) => (name.trim().to_ascii_lowercase(), Some(value.trim().to_owned())),
        None => (part.trim().to_ascii_lowercase(), None),
    };
    parts.into_iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&'static str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::CACHE_CONTROL, http::HeaderValue::from_static(line));
        }
        CacheControl::of(&headers)
    }

    #[test]
    fn directives_are_read_as_written() {
        let read = of(&["Public, MAX-AGE=60", "s-maxage=\"30\""]);
        assert!(read.public);
        assert_eq!((read.max_age, read.s_maxage), (Some(60), Some(30)));
        assert!(of(&["private=\"a, no-store\""]).private);
        assert!(!of(&["private=\"a, no-store\""]).no_store);
    }

    #[test]
    fn the_window_for_revalidation_is_exact() {
        let serves = |line, past| of(&[line]).serves_while_revalidating(Duration::from_secs(past));
        assert!(serves("s-maxage=1, stale-while-revalidate=10", 9));
        assert!(!serves("max-age=1, stale-while-revalidate=10", 10));
        assert!(!serves("max-age=1", 0));
        for insists in ["must-revalidate", "proxy-revalidate", "no-cache"] {
            let mut control = of(&["max-age=1, stale-while-revalidate=10"]);
            control.take(insists, None);
            assert!(!control.serves_while_revalidating(Duration::ZERO), "{insists}");
        }
    }

    #[test]
    fn doubtful_lifetimes_are_short() {
        assert_eq!(of(&["max-age=60, max-age=10"]).max_age, Some(10));
        assert_eq!(of(&["max-age=-1"]).max_age, Some(0));
        assert_eq!(of(&["max-age"]).max_age, Some(0));
        assert_eq!(of(&["max-age=99999999999999999999999"]).max_age, Some(SECONDS_MAX));
    }
}
