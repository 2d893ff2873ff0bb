//! Conditional requests: RFC 9110 §13.

use super::freshness::date;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Whether a viewer's GET or HEAD is answered with 304 by a response with these fields.
///
/// If-None-Match is compared weakly and, where present, alone decides.
pub fn not_modified(request: &HeaderMap, status: StatusCode, response: &HeaderMap) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        let ours = response.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(opaque);
        return request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(tags)
            .any(|tag| tag == "*" || Some(opaque(tag)) == ours);
    }
    let since = date(request, header::IF_MODIFIED_SINCE);
    let modified = date(response, header::LAST_MODIFIED);
    matches!((since, modified), (Some(since), Some(modified)) if modified <= since)
}

/// The tag without its weakness mark.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// The entity tags of a field; a comma inside quotes belongs to its tag.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(str::trim)
    .filter(|tag| !tag.is_empty())
}

/// The fields that ask the origin whether the stored response still stands; `None` where it has no validator.
pub fn validators(stored: &HeaderMap) -> Option<Vec<(header::HeaderName, HeaderValue)>> {
    let mut fields = Vec::new();
    if let Some(tag) = stored.get(header::ETAG) {
        fields.push((header::IF_NONE_MATCH, tag.clone()));
    }
    if let Some(modified) = stored.get(header::LAST_MODIFIED) {
        fields.push((header::IF_MODIFIED_SINCE, modified.clone()));
    }
    (!fields.is_empty()).then_some(fields)
}

/// Whether a 304 with these fields can speak of the stored response: its tag, where it has one, is the stored one.
pub fn confirms(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    let tag = |headers: &HeaderMap| {
        headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(|t| opaque(t).to_owned())
    };
    match (tag(not_modified), tag(stored)) {
        (Some(theirs), Some(ours)) => theirs == ours,
        (Some(_), None) => false,
        (None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

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
}
