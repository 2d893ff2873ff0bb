//! Conditional requests: RFC 9110 §13 and RFC 9111 §4.3.
//!
//! If-Match and If-Unmodified-Since are for origins, and no cache evaluates them (RFC 9111 §4.3.2).

use super::freshness::date;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// Whether a viewer's GET or HEAD is answered with 304 by a response with these fields.
///
/// If-None-Match is compared weakly and, where present, alone decides. Conditions ask about successful answers only, RFC
/// 9110 §13.2.1. A response without Last-Modified counts as changed at its Date, RFC 9111 §4.3.2.
pub fn not_modified(request: &HeaderMap, status: StatusCode, response: &HeaderMap) -> bool {
    if !status.is_success() {
        return false;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        let ours = response.get(header::ETAG).map(|tag| opaque(tag.as_bytes()));
        let lines = request.get_all(header::IF_NONE_MATCH).iter();
        return lines
            .flat_map(|line| tags(line.as_bytes()))
            .any(|tag| tag == b"*" || Some(opaque(tag)) == ours);
    }
    let Some(since) = date(request, header::IF_MODIFIED_SINCE) else { return false };
    let from =
        if response.contains_key(header::LAST_MODIFIED) { header::LAST_MODIFIED } else { header::DATE };
    date(response, from).is_some_and(|modified| modified <= since)
}

/// The tag without its weakness mark.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The entity tags of a field; a comma inside quotes belongs to its tag.
fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
    .filter(|tag| !tag.is_empty())
}

/// The fields that ask the origin whether the stored response still stands; `None` where it has no validator.
pub fn validators(stored: &HeaderMap) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut fields = Vec::new();
    if let Some(tag) = stored.get(header::ETAG) {
        fields.push((header::IF_NONE_MATCH, tag.clone()));
    }
    if let Some(modified) = stored.get(header::LAST_MODIFIED) {
        fields.push((header::IF_MODIFIED_SINCE, modified.clone()));
    }
    (!fields.is_empty()).then_some(fields)
}

/// Whether a 304 with these fields names the stored response. The origin answers for what it has; another cache has a copy,
/// which may be older and yet not changed since the date it was asked about.
pub fn names(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    let named = [header::ETAG, header::LAST_MODIFIED].iter().any(|name| not_modified.contains_key(name));
    named && confirms(not_modified, stored)
}

/// Whether a 304 with these fields can speak of the stored response, RFC 9111 §4.3.4: it names no other tag, nor, where
/// there is no tag, another date of change.
pub fn confirms(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    let tag = |headers: &HeaderMap| headers.get(header::ETAG).map(|tag| opaque(tag.as_bytes()).to_vec());
    match (tag(not_modified), tag(stored)) {
        (Some(theirs), ours) => ours.is_some_and(|ours| theirs == ours),
        (None, Some(_)) => true,
        (None, None) => match not_modified.get(header::LAST_MODIFIED) {
            Some(theirs) => {
                let said = |headers| date(headers, header::LAST_MODIFIED);
                stored.get(header::LAST_MODIFIED) == Some(theirs)
                    || (said(stored).is_some() && said(stored) == said(not_modified))
            }
            None => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn if_none_match_decides_before_if_modified_since() {
        let stored = headers(&[("etag", "\"a,b\""), ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT")]);
        let matches =
            |pairs: &[(&'static str, &'static str)]| not_modified(&headers(pairs), StatusCode::OK, &stored);
        assert!(matches(&[("if-none-match", "\"x\", W/\"a,b\"")]));
        assert!(matches(&[("if-none-match", "*")]));
        assert!(!matches(&[("if-none-match", "\"a\"")]));
        let same = ("if-modified-since", "Sun, 09 Sep 2001 01:46:40 GMT");
        assert!(matches(&[same]));
        assert!(!matches(&[("if-none-match", "\"x\""), same]));
        assert!(!matches(&[("if-modified-since", "Sun, 09 Sep 2001 01:46:39 GMT")]));
        assert!(!not_modified(&headers(&[same]), StatusCode::NOT_FOUND, &stored));
    }

    #[test]
    fn conditions_ask_about_success() {
        let request = headers(&[("if-none-match", "*")]);
        for (status, matches) in [(200, true), (203, true), (204, true), (301, false), (404, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(not_modified(&request, status, &HeaderMap::new()), matches, "{status}");
        }
        let origins =
            headers(&[("if-match", "\"x\""), ("if-unmodified-since", "Sun, 09 Sep 2001 01:46:40 GMT")]);
        assert!(!not_modified(&origins, StatusCode::OK, &HeaderMap::new()));
    }

    #[test]
    fn tags_are_bytes() {
        let map =
            |name, bytes: &[u8]| [(name, HeaderValue::from_bytes(bytes).unwrap())].into_iter().collect();
        let tag = |ours: &[u8], theirs: &[u8]| {
            not_modified(&map(header::IF_NONE_MATCH, theirs), StatusCode::OK, &map(header::ETAG, ours))
        };
        assert!(tag(b"\"\xfc\"", b"\"\xfc\""));
        assert!(!tag(b"\"\xfc\"", b"\"\xfd\""));
        assert!(!tag(b"\"a\"", b"\"A\""));
        assert!(tag(b"W/\"a\"", b"\"a\""));
    }

    #[test]
    fn dates_of_every_form_and_of_the_answer_itself() {
        let since = |line, stored: &[_]| {
            not_modified(&headers(&[("if-modified-since", line)]), StatusCode::OK, &headers(stored))
        };
        let modified = [("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT")];
        assert!(since("Sunday, 09-Sep-01 01:46:40 GMT", &modified));
        assert!(since("Sun Sep  9 01:46:40 2001", &modified));
        assert!(!since("x", &modified));
        let dated = [("date", "Sun, 09 Sep 2001 01:46:40 GMT")];
        assert!(since("Sun, 09 Sep 2001 01:46:40 GMT", &dated));
        assert!(!since("Sun, 09 Sep 2001 01:46:39 GMT", &dated));
        assert!(!since("Sun, 09 Sep 2001 01:46:40 GMT", &[("last-modified", "x"), dated[0]]));
    }

    #[test]
    fn a_304_speaks_of_what_it_names() {
        let speaks = |theirs: &[_], ours: &[_]| confirms(&headers(theirs), &headers(ours));
        let (a, weak, b) = (("etag", "\"a\""), ("etag", "W/\"a\""), ("etag", "\"b\""));
        let old = ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT");
        let new = ("last-modified", "Sun, 09 Sep 2001 01:46:41 GMT");
        assert!(speaks(&[a], &[weak]) && speaks(&[], &[a]) && speaks(&[], &[]) && speaks(&[], &[old]));
        assert!(!speaks(&[b], &[a]) && !speaks(&[a], &[old]));
        assert!(speaks(&[old], &[old]) && !speaks(&[new], &[old]) && speaks(&[new], &[a, old]));
    }
}
