//! How old a response is, and how old it may get: RFC 9111 §4.2.

use super::cache_control::CacheControl;
use http::{HeaderMap, StatusCode, header};
use std::time::{Duration, SystemTime};

/// The longest lifetime that is guessed from a Last-Modified date.
const HEURISTIC_MAX: Duration = Duration::from_secs(86_400);
/// The share of the time since its last change that a response is guessed to stay fresh, RFC 9111 §4.2.2.
const HEURISTIC_DIVISOR: u32 = 10;

/// How long the response may be used without asking, counted from its generation at the origin.
pub fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    default_ttl_s: Option<u32>,
    received: Duration,
) -> Duration {
    let control = CacheControl::of(headers);
    if control.no_cache {
        return Duration::ZERO;
    }
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Duration::from_secs(seconds);
    }
    let generated = date(headers, header::DATE).unwrap_or(received);
    if headers.contains_key(header::EXPIRES) {
        // Several or unreadable dates: expired already.
        return date(headers, header::EXPIRES).map_or(Duration::ZERO, |end| end.saturating_sub(generated));
    }
    if !heuristically_cacheable(status) {
        return Duration::ZERO;
    }
    if let Some(seconds) = default_ttl_s {
        return Duration::from_secs(u64::from(seconds));
    }
    match date(headers, header::LAST_MODIFIED) {
        Some(modified) => (generated.saturating_sub(modified) / HEURISTIC_DIVISOR).min(HEURISTIC_MAX),
        None => Duration::ZERO,
    }
}

/// Whether the response itself says how long it stays fresh.
pub fn is_explicit(headers: &HeaderMap) -> bool {
    let control = CacheControl::of(headers);
    control.max_age.is_some() || control.s_maxage.is_some() || headers.contains_key(header::EXPIRES)
}

/// Statuses that may be stored without being asked to, RFC 9110 §15.1 (206 apart: parts are not stored).
pub fn heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The age of a response when it was received, RFC 9111 §4.2.3.
///
/// `asked` and `received` are wall-clock times since 1970.
pub fn initial_age(headers: &HeaderMap, asked: Duration, received: Duration) -> Duration {
    let apparent = date(headers, header::DATE).map_or(Duration::ZERO, |date| received.saturating_sub(date));
    let said = headers.get(header::AGE).and_then(|age| age.to_str().ok()).unwrap_or_default();
    let said = said.split(',').next().unwrap_or_default().trim();
    let readable = !said.is_empty() && said.bytes().all(|b| b.is_ascii_digit());
    let said = if readable { said.parse::<u64>().unwrap_or(1 << 31).min(1 << 31) } else { 0 };
    let corrected = Duration::from_secs(said) + received.saturating_sub(asked);
    apparent.max(corrected)
}

/// A date field, as time since 1970; `None` where it is absent, repeated or no date.
pub fn date(headers: &HeaderMap, name: header::HeaderName) -> Option<Duration> {
    let mut lines = headers.get_all(name).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let time = httpdate::parse_http_date(line.to_str().ok()?).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn lifetime_s(pairs: &[(&'static str, &'static str)]) -> u64 {
        lifetime(StatusCode::OK, &headers(pairs), None, Duration::from_secs(1_000_000_000)).as_secs()
    }

    const DATE: (&str, &str) = ("date", "Sun, 09 Sep 2001 01:46:40 GMT");

    #[test]
    fn the_most_specific_lifetime_counts() {
        assert_eq!(lifetime_s(&[("cache-control", "max-age=60, s-maxage=30")]), 30);
        assert_eq!(lifetime_s(&[("cache-control", "max-age=60"), ("expires", "0")]), 60);
        assert_eq!(lifetime_s(&[DATE, ("expires", "Sun, 09 Sep 2001 01:47:40 GMT")]), 60);
        assert_eq!(lifetime_s(&[("expires", "0")]), 0);
        assert_eq!(lifetime_s(&[("cache-control", "no-cache, max-age=60")]), 0);
    }

    #[test]
    fn a_lifetime_is_guessed_only_from_a_date_of_change() {
        assert_eq!(lifetime_s(&[DATE, ("last-modified", "Sun, 09 Sep 2001 01:45:00 GMT")]), 10);
        assert_eq!(lifetime_s(&[DATE, ("last-modified", "Thu, 01 Jan 1970 00:00:01 GMT")]), 86_400);
        assert_eq!(lifetime_s(&[DATE, ("etag", "\"a\"")]), 0);
        let gone = lifetime(StatusCode::FOUND, &headers(&[DATE]), Some(60), Duration::ZERO);
        assert_eq!(gone, Duration::ZERO);
    }

    #[test]
    fn age_adds_what_was_said_and_what_passed() {
        let second = Duration::from_secs(1);
        let age = |pairs: &[(&'static str, &'static str)], asked: u64| {
            initial_age(&headers(pairs), second * asked as u32, second * 1_000_000_000).as_secs()
        };
        assert_eq!(age(&[DATE], 1_000_000_000), 0);
        assert_eq!(age(&[("age", "10")], 999_999_998), 12);
        assert_eq!(age(&[("age", "nonsense")], 1_000_000_000), 0);
        assert_eq!(age(&[("date", "Sun, 09 Sep 2001 01:46:00 GMT"), ("age", "10")], 1_000_000_000), 40);
    }
}
