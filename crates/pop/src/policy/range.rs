//! Range requests for one range of a whole: RFC 9110 §14.

use super::freshness::date;
use http::{HeaderMap, header};

/// What part of a body a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// These bytes, first and last included.
    Bytes {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// Bytes that are not there: 416.
    Unsatisfiable,
}

/// What part of a body of `length` bytes the request wants.
///
/// Several ranges, other units and what cannot be read are answered with the whole, as RFC 9110 §14.2 allows. An If-Range
/// that does not name the stored response asks for the whole.
pub fn wanted(request: &HeaderMap, stored: &HeaderMap, length: u64) -> Part {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Part::Whole };
    let Some(set) = line.to_str().ok().and_then(|line| line.trim().strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    if !still_the_same(request, stored) {
        return Part::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Part::Whole };
    let number = |digits: &str| match digits.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) => {
            let last = last.unwrap_or(u64::MAX);
            if last < first {
                Part::Whole
            } else if first >= length {
                Part::Unsatisfiable
            } else {
                Part::Bytes { first, last: last.min(length - 1) }
            }
        }
        (Some(None), Some(Some(suffix))) if suffix == 0 || length == 0 => Part::Unsatisfiable,
        (Some(None), Some(Some(suffix))) => {
            Part::Bytes { first: length.saturating_sub(suffix), last: length - 1 }
        }
        _ => Part::Whole,
    }
}

/// If-Range, RFC 9110 §13.1.5: a strong tag, or the exact date of change.
fn still_the_same(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(condition) = request.get(header::IF_RANGE) else { return true };
    let tag = stored.get(header::ETAG);
    if condition.as_bytes().starts_with(b"\"") {
        return tag == Some(condition);
    }
    let named = date(request, header::IF_RANGE);
    named.is_some() && named == date(stored, header::LAST_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn one_range_of_ten_bytes() {
        for (range, part) in [
            ("bytes=0-0", Part::Bytes { first: 0, last: 0 }),
            ("bytes=2-", Part::Bytes { first: 2, last: 9 }),
            ("bytes=2-99", Part::Bytes { first: 2, last: 9 }),
            ("bytes=-3", Part::Bytes { first: 7, last: 9 }),
            ("bytes=-99", Part::Bytes { first: 0, last: 9 }),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("lines=0-1", Part::Whole),
        ] {
            assert_eq!(wanted(&headers(&[("range", range)]), &HeaderMap::new(), 10), part, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), &HeaderMap::new(), 10), Part::Whole);
    }

    #[test]
    fn if_range_wants_the_same_version() {
        let stored = headers(&[("etag", "\"a\""), ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT")]);
        let part =
            |condition| wanted(&headers(&[("range", "bytes=0-0"), ("if-range", condition)]), &stored, 10);
        assert_eq!(part("\"a\""), Part::Bytes { first: 0, last: 0 });
        assert_eq!(part("\"b\""), Part::Whole);
        assert_eq!(part("W/\"a\""), Part::Whole);
        assert_eq!(part("Sun, 09 Sep 2001 01:46:40 GMT"), Part::Bytes { first: 0, last: 0 });
        assert_eq!(part("Sun, 09 Sep 2001 01:46:41 GMT"), Part::Whole);
    }
}
