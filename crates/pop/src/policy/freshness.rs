//! How old a response is, and how old it may get: RFC 9111 §4.2.

use super::cache_control::Directives;
use super::date;
use freshen_model::domain::Lifetimes;
use http::{HeaderMap, StatusCode, header};
use std::time::Duration;

/// The longest lifetime that is guessed from a Last-Modified date.
const HEURISTIC_MAX: Duration = Duration::from_secs(86_400);
/// The share of the time since its last change that a response is guessed to stay fresh, RFC 9111 §4.2.2.
const HEURISTIC_DIVISOR: u32 = 10;
/// The greatest age taken at its word, in seconds, RFC 9111 §1.2.2.
const AGE_MAX: u64 = 1 << 31;

/// How long the response may be used without asking, counted from its generation at the origin. `received` is the
/// wall-clock time since 1970 that stands in for a Date.
///
/// `lifetimes` are the words of the domain's owner. Nothing of them makes what is `no-store` or `private` storable.
/// `override_s` counts for what is no error and could be stored at all; `negative_ttl_s` for 404, 405, 410, 414 and 501.
pub fn lifetime(
    lifetimes: &Lifetimes,
    status: StatusCode,
    headers: &HeaderMap,
    governing: &Directives,
    received: Duration,
) -> Duration {
    // A 304 may say so of what is stored already.
    if governing.private || governing.forbids_storing(status) {
        return Duration::ZERO;
    }
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let storable = heuristically_cacheable(status) || says_lifetime(headers, governing) || governing.public;
    if let Some(fixed) = lifetimes.override_s.filter(|_| status.as_u16() < 400 && storable) {
        return seconds(fixed);
    }
    if governing.no_cache {
        return Duration::ZERO;
    }
    if let Some(seconds) = governing.s_maxage.or(governing.max_age) {
        return Duration::from_secs(seconds);
    }
    let generated = date(headers, header::DATE).unwrap_or(received);
    if !governing.targeted && headers.contains_key(header::EXPIRES) {
        // Several or unreadable dates: expired already.
        return date(headers, header::EXPIRES).map_or(Duration::ZERO, |end| end.saturating_sub(generated));
    }
    if !heuristically_cacheable(status) && !governing.public {
        return Duration::ZERO;
    }
    let negative = lifetimes.negative_ttl_s.filter(|_| status.as_u16() >= 400);
    if let Some(said) = negative.or(lifetimes.default_ttl_s) {
        return seconds(said);
    }
    match date(headers, header::LAST_MODIFIED) {
        Some(modified) => (generated.saturating_sub(modified) / HEURISTIC_DIVISOR).min(HEURISTIC_MAX),
        None => Duration::ZERO,
    }
}

/// Whether the response itself says how long it stays fresh.
pub fn says_lifetime(headers: &HeaderMap, governing: &Directives) -> bool {
    governing.max_age.is_some()
        || governing.s_maxage.is_some()
        || (!governing.targeted && headers.contains_key(header::EXPIRES))
}

/// Statuses that may be stored without being asked to, RFC 9110 §15.1 (206 apart: parts are not stored).
pub fn heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// The age of a response when it was received, RFC 9111 §4.2.3. Of several Age values the first counts, §5.1.
///
/// `asked` and `received` are wall-clock times since 1970.
pub fn initial_age(headers: &HeaderMap, asked: Duration, received: Duration) -> Duration {
    let apparent = date(headers, header::DATE).map_or(Duration::ZERO, |date| received.saturating_sub(date));
    let said = headers.get(header::AGE).and_then(|age| age.to_str().ok()).unwrap_or_default();
    let said = said.split(',').next().unwrap_or_default().trim();
    let readable = !said.is_empty() && said.bytes().all(|b| b.is_ascii_digit());
    let said = if readable { said.parse::<u64>().unwrap_or(AGE_MAX).min(AGE_MAX) } else { 0 };
    let corrected = Duration::from_secs(said) + received.saturating_sub(asked);
    apparent.max(corrected)
}

/// A date field, as time since 1970; `None` where it is absent, repeated or no date.
pub fn date(headers: &HeaderMap, name: header::HeaderName) -> Option<Duration> {
    let mut lines = headers.get_all(name).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    date::parse(line.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(
        status: StatusCode,
        headers: &HeaderMap,
        default_ttl_s: Option<u32>,
        received: Duration,
    ) -> Duration {
        let lifetimes = Lifetimes { default_ttl_s, ..Lifetimes::default() };
        lifetime(&lifetimes, status, headers, &Directives::governing(headers), received)
    }

    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    const NOW: Duration = Duration::from_secs(1_000_000_000);
    const DATE: (&str, &str) = ("date", "Sun, 09 Sep 2001 01:46:40 GMT");

    fn lifetime_s(pairs: &[(&'static str, &'static str)]) -> u64 {
        alone(StatusCode::OK, &headers(pairs), None, NOW).as_secs()
    }

    #[test]
    fn the_most_specific_lifetime_counts() {
        assert_eq!(lifetime_s(&[("cache-control", "max-age=60, s-maxage=30")]), 30);
        assert_eq!(lifetime_s(&[("cache-control", "max-age=60"), ("expires", "0")]), 60);
        assert_eq!(lifetime_s(&[DATE, ("expires", "Sun, 09 Sep 2001 01:47:40 GMT")]), 60);
        assert_eq!(lifetime_s(&[("date", "x"), ("expires", "Sun, 09 Sep 2001 01:47:40 GMT")]), 60);
        assert_eq!(lifetime_s(&[DATE, ("expires", "Sun, 09 Sep 2001 01:46:39 GMT")]), 0);
        let twice = ("expires", "Sun, 09 Sep 2001 01:47:40 GMT");
        let mut several = headers(&[DATE, twice]);
        several.append(header::EXPIRES, HeaderValue::from_static(twice.1));
        assert_eq!(alone(StatusCode::OK, &several, Some(60), NOW), Duration::ZERO);
        assert_eq!(lifetime_s(&[("expires", "0")]), 0);
        assert_eq!(lifetime_s(&[("cache-control", "no-cache, max-age=60")]), 0);
        assert_eq!(lifetime_s(&[("cache-control", "no-cache=\"a\", max-age=60")]), 60);
    }

    #[test]
    fn a_targeted_field_leaves_nothing_to_expires() {
        let said = ("cdn-cache-control", "max-age=5");
        assert_eq!(lifetime_s(&[said, ("cache-control", "max-age=60"), ("expires", "0")]), 5);
        let silent = [("cdn-cache-control", "foo"), DATE, ("expires", "Sun, 09 Sep 2001 01:47:40 GMT")];
        assert_eq!(lifetime_s(&silent), 0);
    }

    #[test]
    fn a_lifetime_is_guessed_only_from_a_date_of_change() {
        let modified = ("last-modified", "Sun, 09 Sep 2001 01:45:00 GMT");
        assert_eq!(lifetime_s(&[DATE, modified]), 10);
        assert_eq!(lifetime_s(&[DATE, ("last-modified", "Thu, 01 Jan 1970 00:00:01 GMT")]), 86_400);
        assert_eq!(lifetime_s(&[DATE, ("last-modified", "Sun, 09 Sep 2001 01:47:40 GMT")]), 0);
        assert_eq!(lifetime_s(&[DATE, ("etag", "\"a\"")]), 0);
        let of = |status, pairs: &[_]| {
            alone(StatusCode::from_u16(status).unwrap(), &headers(pairs), None, NOW).as_secs()
        };
        assert_eq!(of(404, &[DATE, modified]), 10);
        for status in [201, 202, 302, 403, 502, 503, 504, 599] {
            assert_eq!(of(status, &[DATE, modified]), 0, "{status}");
            assert_eq!(of(status, &[DATE, modified, ("cache-control", "public")]), 10, "{status}");
        }
    }

    #[test]
    fn the_owner_of_a_domain_may_say_otherwise() {
        let all = Lifetimes { default_ttl_s: Some(60), negative_ttl_s: Some(5), override_s: None };
        let fixed = Lifetimes { override_s: Some(9), ..all };
        let of = |lifetimes: Lifetimes, status, pairs: &[_]| {
            let headers = headers(pairs);
            let status = StatusCode::from_u16(status).unwrap();
            lifetime(&lifetimes, status, &headers, &Directives::governing(&headers), NOW).as_secs()
        };
        let said = [("cache-control", "max-age=100")];
        for (status, silent, saying, overridden) in
            [(200, 60, 100, 9), (404, 5, 100, 5), (501, 5, 100, 5), (302, 0, 100, 0), (503, 0, 100, 0)]
        {
            assert_eq!(of(all, status, &[]), silent, "{status}");
            assert_eq!(of(all, status, &said), saying, "{status}");
            assert_eq!(of(fixed, status, &[]), overridden, "{status}");
        }
        assert_eq!(of(fixed, 200, &said), 9);
        assert_eq!(of(fixed, 302, &said), 9);
        assert_eq!(of(fixed, 404, &said), 100);
        assert_eq!(of(fixed, 200, &[("cache-control", "no-cache")]), 9);
        for never in ["no-store, max-age=9", "private, max-age=9"] {
            assert_eq!(of(fixed, 200, &[("cache-control", never)]), 0, "{never}");
        }
    }

    #[test]
    fn age_adds_what_was_said_and_what_passed() {
        let second = Duration::from_secs(1);
        let age = |pairs: &[(&'static str, &'static str)], asked: u32| {
            initial_age(&headers(pairs), second * asked, NOW).as_secs()
        };
        assert_eq!(age(&[DATE], 1_000_000_000), 0);
        assert_eq!(age(&[("age", "10")], 999_999_998), 12);
        for ignored in ["nonsense", "-7200", "7200.0", "", "1 2"] {
            assert_eq!(age(&[("age", ignored)], 1_000_000_000), 0, "{ignored}");
        }
        assert_eq!(age(&[("age", "7200, 0")], 1_000_000_000), 7200);
        assert_eq!(age(&[("age", "0, 7200")], 1_000_000_000), 0);
        for long in ["2147483649", "99999999999999999999999"] {
            assert_eq!(age(&[("age", long)], 1_000_000_000), 1 << 31, "{long}");
        }
        assert_eq!(age(&[("date", "Sun, 09 Sep 2001 01:46:00 GMT"), ("age", "10")], 1_000_000_000), 40);
        let mut lines = headers(&[("age", "7200")]);
        lines.append(header::AGE, HeaderValue::from_static("0"));
        assert_eq!(initial_age(&lines, NOW, NOW).as_secs(), 7200);
    }
}
