//! Parts of a body: RFC 9110 §14 and §15.3.7.

use super::freshness::date;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Parts in one answer.
pub const PARTS_MAX: usize = 16;
/// Ranges that are read of one request.
const SPECS_MAX: usize = 64;
/// Overlaps among them; more are no honest question, RFC 9110 §14.2.
const OVERLAPS_MAX: usize = 2;
/// A gap that is sent along, because the head of another part would take as much.
const GAP_BYTES_MAX: u64 = 80;
/// How much older than its answer a date of change must be to tell two versions apart.
const DATE_STRONG_AFTER: Duration = Duration::from_secs(60);

/// What a request wants of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    Whole,
    /// One part.
    One(RangeInclusive<u64>),
    /// At least two and at most [`PARTS_MAX`] parts that do not touch, in the order asked for.
    Several(Vec<RangeInclusive<u64>>),
    /// Bytes that are not there: 416.
    Unsatisfiable,
}

/// What a request that names one range wants of a body whose length is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// From here on.
    First {
        /// The first byte.
        first: u64,
        /// The last byte; `None`: to the end.
        last: Option<u64>,
    },
    /// So many last bytes.
    Suffix(u64),
}

/// What the request wants of a body of `length` bytes.
///
/// Other units, what cannot be read and what asks for too many parts are answered with the whole, as RFC 9110 §14.2
/// allows. So is an If-Range that does not name the stored response.
pub fn ranges(request: &HeaderMap, stored_headers: &HeaderMap, length: u64) -> Wanted {
    let Some(specs) = specs(request) else { return Wanted::Whole };
    if !still_the_same(request, stored_headers) {
        return Wanted::Whole;
    }
    if length == 0 && specs.iter().any(|spec| matches!(spec, Opening::Suffix(1..))) {
        // It can be satisfied, but no Content-Range can say so.
        return Wanted::Whole;
    }
    let Some(mut parts) = coalesce(specs.into_iter().filter_map(|spec| spec.within(length))) else {
        return Wanted::Whole;
    };
    match parts.len() {
        0 => Wanted::Unsatisfiable,
        1 => Wanted::One(parts.remove(0)),
        2..=PARTS_MAX => Wanted::Several(parts),
        _ => Wanted::Whole,
    }
}

/// The one range that a request names, before the length is known. `None`: the whole, several, or not to be read.
///
/// If-Range is not looked at; [`ranges`] does that once there is a response to hold it against.
pub fn opening(request: &HeaderMap) -> Option<Opening> {
    match specs(request)?.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

impl Opening {
    fn within(self, length: u64) -> Option<RangeInclusive<u64>> {
        let end = length.checked_sub(1)?;
        match self {
            Opening::First { first, last } if first < length => Some(first..=last.unwrap_or(end).min(end)),
            Opening::Suffix(count @ 1..) => Some(length.saturating_sub(count)..=end),
            _ => None,
        }
    }

    /// `0-4`, `5-` or `-6`.
    fn parse(text: &str) -> Option<Opening> {
        let (first, last) = text.split_once('-')?;
        if first.is_empty() {
            return number(last).map(Opening::Suffix);
        }
        let first = number(first)?;
        let last = if last.is_empty() { None } else { Some(number(last)?) };
        last.is_none_or(|last| first <= last).then_some(Opening::First { first, last })
    }
}

/// The ranges of a request's one Range field; `None` where there is none to be honoured.
fn specs(request: &HeaderMap) -> Option<Vec<Opening>> {
    let mut lines = request.get_all(header::RANGE).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let (unit, set) = line.to_str().ok()?.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for spec in set.split(',').map(str::trim).filter(|spec| !spec.is_empty()) {
        if specs.len() == SPECS_MAX {
            return None;
        }
        specs.push(Opening::parse(spec)?);
    }
    (!specs.is_empty()).then_some(specs)
}

/// Parts that overlap, or nearly touch, become one, at the place of the first. `None` where too many overlap.
fn coalesce(asked: impl Iterator<Item = RangeInclusive<u64>>) -> Option<Vec<RangeInclusive<u64>>> {
    let mut parts: Vec<RangeInclusive<u64>> = Vec::new();
    let mut overlaps = 0;
    for mut new in asked {
        let mut place = parts.len();
        // From the end, so that the place is the first of those that became one.
        for at in (0..parts.len()).rev() {
            let old = &parts[at];
            overlaps += usize::from(new.start() <= old.end() && old.start() <= new.end());
            let near = |before: &RangeInclusive<u64>, after: &RangeInclusive<u64>| {
                *after.start() <= before.end().saturating_add(GAP_BYTES_MAX + 1)
            };
            if near(old, &new) && near(&new, old) {
                new = *new.start().min(old.start())..=*new.end().max(old.end());
                parts.remove(at);
                place = at;
            }
        }
        parts.insert(place, new);
    }
    (overlaps <= OVERLAPS_MAX).then_some(parts)
}

/// Digits alone; what no `u64` holds is beyond every body.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// If-Range, RFC 9110 §13.1.5: a strong tag, or the exact date of change where that tells versions apart.
fn still_the_same(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let mut lines = request.get_all(header::IF_RANGE).iter();
    let Some(condition) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    if is_strong(condition) {
        return stored.get(header::ETAG) == Some(condition);
    }
    let named = date(request, header::IF_RANGE);
    named.is_some() && named == date(stored, header::LAST_MODIFIED) && dates_are_strong(stored)
}

/// What tells this version of the object from any other, byte by byte: a strong tag, else its date of change where the
/// answer came so much later that there was no other change in the same second (RFC 9110 §8.8.2.2).
pub fn strong_validator(headers: &HeaderMap) -> Option<HeaderValue> {
    match headers.get(header::ETAG) {
        Some(tag) if is_strong(tag) => Some(tag.clone()),
        _ if dates_are_strong(headers) => headers.get(header::LAST_MODIFIED).cloned(),
        _ => None,
    }
}

/// An opaque tag without `W/`, RFC 9110 §8.8.3.
fn is_strong(tag: &HeaderValue) -> bool {
    let inner = tag.as_bytes().strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.is_some_and(|inner| inner.iter().all(|byte| *byte > b' ' && !matches!(byte, b'"' | 0x7f)))
}

fn dates_are_strong(headers: &HeaderMap) -> bool {
    match (date(headers, header::LAST_MODIFIED), date(headers, header::DATE)) {
        (Some(modified), Some(generated)) => modified + DATE_STRONG_AFTER <= generated,
        _ => false,
    }
}

/// What part of its object an origin's 206 holds: the `Content-Range` field, RFC 9110 §14.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte, not before the first.
    pub last: u64,
    /// The length of the whole, beyond the last byte; `None` where the origin does not know it (`*`).
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads the one Content-Range of a 206; `None` where it is absent, repeated or not exactly what RFC 9110 writes.
    pub fn of(headers: &HeaderMap) -> Option<ContentRange> {
        let (range, total) = content_range(headers)?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (exact(first)?, exact(last)?);
        let total = if total == "*" { None } else { Some(exact(total)?) };
        let sound = first <= last && total.is_none_or(|total| last < total);
        sound.then_some(ContentRange { first, last, total })
    }

    /// The length of the whole that a 416 tells (`bytes */10`).
    pub fn total_of_unsatisfied(headers: &HeaderMap) -> Option<u64> {
        match content_range(headers)? {
            ("*", total) => exact(total),
            _ => None,
        }
    }
}

fn content_range(headers: &HeaderMap) -> Option<(&str, &str)> {
    let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let (unit, rest) = line.to_str().ok()?.split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then(|| rest.split_once('/')).flatten()
}

/// Digits alone that a `u64` holds.
fn exact(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The frame of an answer with several parts: `multipart/byteranges`, RFC 9110 §14.6.
///
/// It is sent as [`Multipart::part_head`] and the part's bytes for each part, then [`Multipart::end`].
#[derive(Debug, Clone)]
pub struct Multipart {
    boundary: String,
    content_type: Option<HeaderValue>,
    length: u64,
}

impl Multipart {
    /// The frame for parts of a body of `length` bytes and this Content-Type. `chance` are random bytes: no body may
    /// hold the boundary.
    pub fn new(chance: [u8; 16], content_type: Option<HeaderValue>, length: u64) -> Multipart {
        Multipart { boundary: hex::encode(chance), content_type, length }
    }

    /// The Content-Type of the answer; its parts carry that of the object.
    pub fn content_type(&self) -> HeaderValue {
        let text = format!("multipart/byteranges; boundary={}", self.boundary);
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("multipart/byteranges"))
    }

    /// What comes before the bytes of this part.
    pub fn part_head(&self, part: &RangeInclusive<u64>) -> Bytes {
        let mut head = format!("\r\n--{}\r\n", self.boundary).into_bytes();
        if let Some(content_type) = &self.content_type {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(content_type.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let range = format!("Content-Range: bytes {}-{}/{}\r\n\r\n", part.start(), part.end(), self.length);
        head.extend_from_slice(range.as_bytes());
        head.into()
    }

    /// What comes after the last part.
    pub fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }

    /// The Content-Length of the answer with these parts.
    pub fn content_length(&self, parts: &[RangeInclusive<u64>]) -> u64 {
        let part = |part| self.part_head(part).len() as u64 + (part.end() - part.start() + 1);
        parts.iter().map(part).sum::<u64>() + self.end().len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn of(range: &str, length: u64) -> Wanted {
        let range = [(header::RANGE, HeaderValue::from_str(range).unwrap())].into_iter().collect();
        ranges(&range, &HeaderMap::new(), length)
    }

    #[test]
    fn one_range_of_ten_bytes() {
        for (range, wanted) in [
            ("bytes=0-0", Wanted::One(0..=0)),
            ("Bytes=2-", Wanted::One(2..=9)),
            ("bytes=2-99", Wanted::One(2..=9)),
            ("bytes=-3", Wanted::One(7..=9)),
            ("bytes=-99", Wanted::One(0..=9)),
            ("bytes=, 3-4 ,", Wanted::One(3..=4)),
            ("bytes=0-99999999999999999999999", Wanted::One(0..=9)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=10-, -0", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,5-2", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1 - 2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=,", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ] {
            assert_eq!(of(range, 10), wanted, "{range}");
        }
        assert_eq!(ranges(&HeaderMap::new(), &HeaderMap::new(), 10), Wanted::Whole);
        let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]);
        assert_eq!(ranges(&twice, &HeaderMap::new(), 10), Wanted::Whole);
    }

    #[test]
    fn nothing_of_an_empty_body() {
        assert_eq!(of("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(of("bytes=-0", 0), Wanted::Unsatisfiable);
        assert_eq!(of("bytes=-5", 0), Wanted::Whole);
    }

    #[test]
    fn several_ranges_keep_their_order_and_become_one_where_they_touch() {
        for (range, wanted) in [
            ("bytes=500-509, 0-9", Wanted::Several(vec![500..=509, 0..=9])),
            ("bytes=0-9, 5000-, 500-509", Wanted::Several(vec![0..=9, 500..=509])),
            ("bytes=0-9, 10-19", Wanted::One(0..=19)),
            ("bytes=0-9, 90-99", Wanted::One(0..=99)),
            ("bytes=0-9, 91-99", Wanted::Several(vec![0..=9, 91..=99])),
            ("bytes=90-99, 0-9", Wanted::One(0..=99)),
            ("bytes=800-, 0-9, 300-309, 100-299, 5-120", Wanted::Several(vec![800..=999, 0..=309])),
            ("bytes=0-9, 3-5, 4-5", Wanted::One(0..=9)),
            ("bytes=0-9, 3-5, 4-5, 5-5", Wanted::Whole),
        ] {
            assert_eq!(of(range, 1000), wanted, "{range}");
        }
    }

    #[test]
    fn parts_are_bounded() {
        let many = |count: u64| {
            let specs: Vec<_> = (0..count).map(|n| format!("{}-{}", n * 1000, n * 1000)).collect();
            of(&format!("bytes={}", specs.join(",")), 1_000_000)
        };
        assert!(matches!(many(PARTS_MAX as u64), Wanted::Several(parts) if parts.len() == PARTS_MAX));
        assert_eq!(many(PARTS_MAX as u64 + 1), Wanted::Whole);
        // All of them touch, but there are more than anybody reads.
        let touching: Vec<_> = (0..=SPECS_MAX).map(|n| format!("{n}-{n}")).collect();
        assert_eq!(of(&format!("bytes={}", touching[1..].join(",")), 1000), Wanted::One(1..=64));
        assert_eq!(of(&format!("bytes={}", touching.join(",")), 1000), Wanted::Whole);
    }

    #[test]
    fn one_range_opens_before_the_length_is_known() {
        for (range, expected) in [
            ("bytes=5-", Some(Opening::First { first: 5, last: None })),
            ("bytes=5-6", Some(Opening::First { first: 5, last: Some(6) })),
            ("bytes=-7", Some(Opening::Suffix(7))),
            ("bytes=6-5", None),
            ("bytes=0-1, 3-4", None),
            ("x", None),
        ] {
            assert_eq!(opening(&headers(&[("range", range)])), expected, "{range}");
        }
        assert_eq!(opening(&HeaderMap::new()), None);
    }

    const MODIFIED: (&str, &str) = ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT");

    #[test]
    fn if_range_wants_the_same_version() {
        let later = ("date", "Sun, 09 Sep 2001 01:47:40 GMT");
        let soon = ("date", "Sun, 09 Sep 2001 01:47:39 GMT");
        let part = |stored: &[_], condition| {
            let request = headers(&[("range", "bytes=0-0"), ("if-range", condition)]);
            ranges(&request, &headers(stored), 10) == Wanted::One(0..=0)
        };
        let stored = [("etag", "\"a\""), MODIFIED, later];
        assert!(part(&stored, "\"a\""));
        assert!(!part(&stored, "\"b\""));
        assert!(!part(&stored, "W/\"a\""));
        assert!(!part(&[("etag", "W/\"a\"")], "W/\"a\""));
        assert!(part(&stored, "Sun, 09 Sep 2001 01:46:40 GMT"));
        assert!(!part(&stored, "Sun, 09 Sep 2001 01:46:41 GMT"));
        assert!(!part(&[MODIFIED, soon], "Sun, 09 Sep 2001 01:46:40 GMT"));
        assert!(!part(&[MODIFIED], "Sun, 09 Sep 2001 01:46:40 GMT"));
        assert!(!part(&[], "nonsense"));
        let twice = headers(&[("range", "bytes=0-0"), ("if-range", "\"a\""), ("if-range", "\"a\"")]);
        assert_eq!(ranges(&twice, &headers(&stored), 10), Wanted::Whole);
    }

    #[test]
    fn a_strong_validator_names_one_version() {
        let strong = |pairs: &[_]| strong_validator(&headers(pairs)).map(|v| v.to_str().unwrap().to_owned());
        let later = ("date", "Sun, 09 Sep 2001 01:47:40 GMT");
        assert_eq!(strong(&[("etag", "\"a\""), MODIFIED, later]).as_deref(), Some("\"a\""));
        assert_eq!(strong(&[("etag", "W/\"a\""), MODIFIED, later]).as_deref(), Some(MODIFIED.1));
        assert_eq!(strong(&[MODIFIED]), None);
        for unsound in ["a", "\"", "\"a", "\"a\"b\"", "\"a b\"", "W/\"a\""] {
            assert_eq!(strong(&[("etag", unsound)]), None, "{unsound}");
        }
    }

    #[test]
    fn content_range_is_read_strictly() {
        let read = |line| ContentRange::of(&headers(&[("content-range", line)]));
        assert_eq!(read("bytes 0-4/10"), Some(ContentRange { first: 0, last: 4, total: Some(10) }));
        assert_eq!(read("bytes 4-4/*"), Some(ContentRange { first: 4, last: 4, total: None }));
        for wrong in [
            "bytes 4-3/10",
            "bytes 0-10/10",
            "bytes */10",
            "bytes 0-4",
            "bytes=0-4/10",
            "bytes  0-4/10",
            "bytes 0-/10",
            "bytes +0-4/10",
            "bytes 0-4/",
            "bytes 0-99999999999999999999/*",
            "lines 0-4/10",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let twice = headers(&[("content-range", "bytes 0-4/10"), ("content-range", "bytes 0-4/10")]);
        assert_eq!(ContentRange::of(&twice), None);
        let total = |line| ContentRange::total_of_unsatisfied(&headers(&[("content-range", line)]));
        assert_eq!(total("bytes */10"), Some(10));
        assert_eq!(total("bytes */*"), None);
        assert_eq!(total("bytes 0-4/10"), None);
    }

    #[test]
    fn parts_are_framed_and_counted() {
        let frame = Multipart::new([7; 16], Some(HeaderValue::from_static("text/plain")), 1000);
        let parts = [0..=1, 500..=501];
        let mut sent = Vec::new();
        for part in &parts {
            sent.extend_from_slice(&frame.part_head(part));
            sent.extend_from_slice(b"ab");
        }
        sent.extend_from_slice(&frame.end());
        assert_eq!(frame.content_length(&parts), sent.len() as u64);
        let boundary = "07".repeat(16);
        let expected = format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/1000\r\n\r\nab\
             \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 500-501/1000\r\n\r\nab\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
        assert!(frame.content_type().to_str().unwrap().ends_with(&boundary));
    }
}
