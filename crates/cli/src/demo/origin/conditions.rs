//! What a request's conditions ask for: nothing new, a part, or all of it (RFC 9110, 13 and 14).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

use super::representation::Representation;

/// How much of the body is sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Ranged {
    Whole,
    /// `length` bytes, at least one, from `first` on.
    Part {
        first: u64,
        length: u64,
    },
    Unsatisfiable,
}

/// Whether the client already has this representation.
pub fn not_modified(asked: &HeaderMap, found: &Representation) -> bool {
    if asked.contains_key(IF_NONE_MATCH) {
        // With If-None-Match present, If-Modified-Since says nothing (RFC 9110, 13.1.3).
        return asked
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .any(|line| line.trim() == "*" || line.split(',').any(|tag| opaque(tag.trim()) == found.etag));
    }
    date(asked, IF_MODIFIED_SINCE).is_some_and(|since| whole_seconds(found.modified) <= since)
}

/// The part the client asked for, if it asked for one, in a way that is understood, of this very version.
pub fn range(asked: &HeaderMap, found: &Representation, now: SystemTime) -> Ranged {
    let Some(wanted) = asked.get(RANGE).and_then(|range| range.to_str().ok()) else { return Ranged::Whole };
    if asked.contains_key(IF_RANGE) && !if_range_holds(asked, found, now) {
        return Ranged::Whole;
    }
    parse_range(wanted, found.version.size)
}

fn if_range_holds(asked: &HeaderMap, found: &Representation, now: SystemTime) -> bool {
    if let Some(date) = date(asked, IF_RANGE) {
        // A date tells versions apart only when a second has passed since (RFC 9110, 8.8.2.2).
        let settled = now.duration_since(found.modified).is_ok_and(|age| age >= Duration::from_secs(1));
        return settled && date == whole_seconds(found.modified);
    }
    asked.get(IF_RANGE).is_some_and(|tag| tag.as_bytes() == found.etag.as_bytes())
}

/// One range of bytes; several, or anything else, is answered with the whole body, as a server may.
fn parse_range(text: &str, size: u64) -> Ranged {
    let Some((unit, spec)) = text.split_once('=') else { return Ranged::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Ranged::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranged::Whole;
    }
    match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            None => Ranged::Whole,
            Some(length) if length == 0 || size == 0 => Ranged::Unsatisfiable,
            Some(length) => Ranged::Part { first: size.saturating_sub(length), length: length.min(size) },
        },
        (first, last) => {
            let Some(first) = number(first) else { return Ranged::Whole };
            let last = match last {
                "" => u64::MAX,
                last => match number(last) {
                    Some(last) if last >= first => last,
                    _ => return Ranged::Whole,
                },
            };
            if first >= size {
                return Ranged::Unsatisfiable;
            }
            Ranged::Part { first, length: last.min(size - 1) - first + 1 }
        }
    }
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// An entity tag without its weakness, which does not matter to If-None-Match.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn date(asked: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(asked.get(name)?.to_str().ok()?).ok()
}

/// HTTP dates have no fractions, so a file is compared without its own.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_the_rest_is_answered_whole() {
        let part = |first, length| Ranged::Part { first, length };
        assert_eq!(parse_range("bytes=0-0", 10), part(0, 1));
        assert_eq!(parse_range("bytes=2-5", 10), part(2, 4));
        assert_eq!(parse_range("bytes=2-", 10), part(2, 8));
        assert_eq!(parse_range("bytes=2-99", 10), part(2, 8));
        assert_eq!(parse_range("bytes=-3", 10), part(7, 3));
        assert_eq!(parse_range("bytes=-99", 10), part(0, 10));
        assert_eq!(parse_range(&format!("bytes=0-{}", u64::MAX), 10), part(0, 10));
        for beyond in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(parse_range(beyond, 10), Ranged::Unsatisfiable, "{beyond}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Ranged::Unsatisfiable);
        assert_eq!(parse_range("bytes=-5", 0), Ranged::Unsatisfiable);
        for odd in ["bytes=5-2", "bytes=0-1,3-4", "bytes=+1-2", "bytes=-", "bytes", "lines=0-1", "bytes=a-b"]
        {
            assert_eq!(parse_range(odd, 10), Ranged::Whole, "{odd}");
        }
    }
}
