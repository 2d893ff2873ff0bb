//! What a viewer's other requests make unusable: RFC 9111 §4.4.

use freshen_model::location;
use http::{HeaderMap, Method, StatusCode, header};

/// Methods that change nothing, in the registry of RFC 9110 §16.1.1. Of any other nobody knows, and it counts as one
/// that does.
const SAFE: [&str; 9] = ["GET", "HEAD", "OPTIONS", "PRI", "PROPFIND", "QUERY", "REPORT", "SEARCH", "TRACE"];

/// Whether the answer to a request of this method makes copies of its URL unusable.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !SAFE.contains(&method.as_str()) && (status.is_success() || status.is_redirection())
}

/// Path and query of what Location and Content-Location name besides: on the same host only, or one host could have
/// another one's copies thrown away.
///
/// `host` is the one of the request, in lower case and without port, `path_and_query` what it was for. Dot segments are
/// left in, for the key to remove.
pub fn also(host: &str, path_and_query: &str, response: &HeaderMap) -> Vec<String> {
    let mut found = Vec::new();
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let mut lines = response.get_all(name).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { continue };
        let named = line.to_str().ok().and_then(|text| resolve(host, path_and_query, text.trim()));
        found.extend(named.filter(|named| named != path_and_query));
    }
    found.dedup();
    found
}

/// The path and query of a URI reference, RFC 3986 §5.2; `None` where it is on another host or no HTTP.
fn resolve(host: &str, base: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let path = base.split('?').next().unwrap_or_default();
    let scheme_end = reference.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
    let rest = match scheme_end {
        Some(end) if reference[end..].starts_with(':') => {
            let scheme = &reference[..end];
            let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
            http.then(|| &reference[end + 1..]).filter(|rest| rest.starts_with("//"))?
        }
        _ => reference,
    };
    if let Some(rest) = rest.strip_prefix("//") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let same = location::host_of(authority).is_ok_and(|named| named == host);
        return same.then(|| if path.starts_with('/') { path.to_owned() } else { format!("/{path}") });
    }
    match rest.chars().next() {
        None => Some(base.to_owned()),
        Some('/') => Some(rest.to_owned()),
        Some('?') => Some(format!("{path}{rest}")),
        Some(_) => {
            let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
            Some(format!("{folder}{rest}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn only_success_of_what_may_change_something() {
        for (method, changes) in [
            ("POST", true),
            ("PUT", true),
            ("DELETE", true),
            ("PATCH", true),
            ("M-SEARCH", true),
            ("FOO", true),
            ("get", true),
            ("GET", false),
            ("HEAD", false),
            ("OPTIONS", false),
            ("TRACE", false),
            ("PROPFIND", false),
            ("REPORT", false),
            ("SEARCH", false),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for (status, ends_well) in [(200, true), (204, true), (303, true), (404, false), (500, false)] {
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(invalidates(&method, status), changes && ends_well, "{method} {status}");
            }
        }
    }

    fn named(reference: &str) -> Vec<String> {
        let line = HeaderValue::from_str(reference).unwrap();
        also("a.example", "/d/x?q=1", &[(header::LOCATION, line)].into_iter().collect())
    }

    #[test]
    fn references_are_resolved_on_the_same_host() {
        for (reference, path) in [
            ("/y?z", "/y?z"),
            ("y", "/d/y"),
            ("../y", "/d/../y"),
            ("?r", "/d/x?r"),
            ("/y#part", "/y"),
            ("http://a.example/y", "/y"),
            ("HTTPS://A.Example:8443/y?z", "/y?z"),
            ("//a.example?z", "/?z"),
            ("http://a.example", "/"),
        ] {
            assert_eq!(named(reference), [path], "{reference}");
        }
        for reference in
            ["http://b.example/y", "//b.example/y", "ftp://a.example/y", "mailto:x", "http:y", "", "x?q=1"]
        {
            assert_eq!(named(reference), [""; 0], "{reference}");
        }
    }

    #[test]
    fn both_fields_count_and_one_value_of_each() {
        let mut map = HeaderMap::new();
        map.insert(header::LOCATION, HeaderValue::from_static("/a"));
        map.insert(header::CONTENT_LOCATION, HeaderValue::from_static("/b"));
        assert_eq!(also("a.example", "/", &map), ["/a", "/b"]);
        map.append(header::LOCATION, HeaderValue::from_static("/c"));
        assert_eq!(also("a.example", "/", &map), ["/b"]);
    }

    proptest! {
        #[test]
        fn nothing_panics(base in "/\\PC*", reference in "\\PC*", near in "(http|x)?:?/{0,3}[a-z.]*[?#/:é]*") {
            let _ = (resolve("a.example", &base, &reference), resolve("a", &base, &near));
        }
    }
}
