//! Which fields belong to a hop, and what one hop passes to the next.

use super::cache_control::Directives;
use super::vary::thousandths;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::time::{Duration, SystemTime};

const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a message is not the same without: how it is framed, chosen, cached or let in. RFC 9110 §7.6.1 forbids to list
/// such fields in `Connection`; who does so nevertheless takes nothing from those behind this cache.
const ESSENTIAL: [HeaderName; 19] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    HeaderName::from_static("cdn-cache-control"),
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::HOST,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::RANGE,
    header::VARY,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
];

/// Whether nobody may have this field dropped on the way.
pub(super) fn is_essential(name: &HeaderName) -> bool {
    ESSENTIAL.contains(name)
}

/// Removes what belongs to the hop: the fields RFC 9110 §7.6.1 and RFC 9111 §3.1 name, and those that `Connection` lists.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !is_essential(name))
        .collect();
    for name in listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Makes the fields of a response those that are stored: without what belongs to the hop, and without what the origin
/// keeps from caches field by field (RFC 9111 §5.2.2.4 and §5.2.2.7).
pub fn prepare(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    let governing = Directives::governing(headers);
    for name in governing.withheld() {
        headers.remove(name);
    }
}

/// What a response has for the one who asked only: of the fields it was `sent` with, those that [`prepare`] and
/// [`freshen`] do not let others have, cookies among them unless the whole is said to be for everybody.
pub fn for_the_asker(governing: &Directives, sent: &HeaderMap) -> HeaderMap {
    let mut names: Vec<_> = governing.withheld().collect();
    if !governing.public {
        names.push(&header::SET_COOKIE);
    }
    if !names.iter().any(|name| sent.contains_key(*name)) {
        return HeaderMap::new();
    }
    let mut passed = sent.clone();
    strip_hop_by_hop(&mut passed);
    let kept = passed.iter().filter(|(name, _)| names.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Makes the fields of a stored response those of a 304 in its place, RFC 9110 §15.4.5: without what describes the body
/// that is not sent, but for what its validation needs.
pub fn shorten_to_not_modified(headers: &mut HeaderMap) {
    for name in [
        header::ACCEPT_RANGES,
        header::CONTENT_DISPOSITION,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("repr-digest"),
    ] {
        headers.remove(name);
    }
    if headers.contains_key(header::ETAG) {
        headers.remove(header::LAST_MODIFIED);
    }
}

/// Removes what makes a request conditional or partial: a fill asks for the whole.
pub fn strip_conditions(headers: &mut HeaderMap) {
    for name in [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::IF_RANGE,
        header::RANGE,
    ] {
        headers.remove(name);
    }
}

/// Takes the fields of a 304 into a stored response, RFC 9111 §3.2: all but `Content-Length` and what belongs to the hop
/// or is kept from caches. A cookie comes along only where the whole is said to be for everybody.
pub fn freshen(stored: &mut HeaderMap, update: &HeaderMap) {
    let mut update = update.clone();
    strip_hop_by_hop(&mut update);
    update.remove(header::CONTENT_LENGTH);
    // The age of the older response is not that of this one.
    stored.remove(header::AGE);
    for name in update.keys() {
        stored.remove(name);
    }
    for (name, value) in &update {
        stored.append(name, value.clone());
    }
    prepare(stored);
    if !Directives::governing(stored).public {
        stored.remove(header::SET_COOKIE);
    }
}

/// Gives a response without a Date the time at which it was received, since 1970: RFC 9110 §6.6.1. A Date that is there
/// is never changed.
pub fn stamp(headers: &mut HeaderMap, received: Duration) {
    if headers.contains_key(header::DATE) {
        return;
    }
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + received);
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(header::DATE, value);
    }
}

/// The fields of a request that only says whether gzip is welcome.
pub fn asking(gzip: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if gzip {
        headers.insert(header::ACCEPT_ENCODING, http::HeaderValue::from_static("gzip"));
    }
    headers
}

/// The only two things an Accept-Encoding is taken for: whether gzip is welcome. What a viewer prefers beyond that does
/// not reach the origin, so that one object has at most two variants and a prefetch can warm them all.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for line in headers.get_all(header::ACCEPT_ENCODING) {
        for item in line.to_str().unwrap_or_default().split(',') {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, "q=1"));
            let coding = coding.trim();
            let welcome = thousandths(parameters).is_some_and(|weight| weight > 0);
            if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                return welcome;
            }
            if coding == "*" {
                any = Some(welcome);
            }
        }
    }
    any.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn fields_of_the_hop_stay_behind() {
        let mut map = headers(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("etag", "\"a\""),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }

    #[test]
    fn what_a_message_is_not_the_same_without_stays() {
        let mut map = headers(&[
            ("connection", "close, etag, cache-control, authorization, a"),
            ("etag", "\"a\""),
            ("cache-control", "no-store"),
            ("authorization", "x"),
            ("proxy-authentication-info", "x"),
            ("a", "1"),
        ]);
        strip_hop_by_hop(&mut map);
        let left = headers(&[("etag", "\"a\""), ("cache-control", "no-store"), ("authorization", "x")]);
        assert_eq!(map, left);
    }

    #[test]
    fn fields_kept_from_caches_are_not_stored() {
        let said = ("cache-control", "max-age=60, no-cache=\"a\", private=\"B, set-cookie\"");
        let mut map =
            headers(&[said, ("a", "1"), ("b", "2"), ("set-cookie", "x=y"), ("c", "3"), ("te", "x")]);
        prepare(&mut map);
        assert_eq!(map, headers(&[said, ("c", "3")]));
    }

    #[test]
    fn fields_kept_from_caches_are_for_the_one_who_asked() {
        let said = ("cache-control", "max-age=60, no-cache=\"a, te\", private=\"A, set-cookie\"");
        let cookies = [("set-cookie", "x=y"), ("set-cookie", "z=z")];
        let others = [("a", "1"), ("te", "x"), ("c", "3")];
        let mut map = headers(&[said]);
        for (name, value) in cookies.into_iter().chain(others) {
            map.append(name, HeaderValue::from_static(value));
        }
        let mut his = HeaderMap::new();
        for (name, value) in cookies.into_iter().chain([("a", "1")]) {
            his.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(for_the_asker(&Directives::governing(&map), &map), his);
        map.insert("cache-control", HeaderValue::from_static("max-age=60"));
        his.remove("a");
        assert_eq!(for_the_asker(&Directives::governing(&map), &map), his);
        map.insert("cache-control", HeaderValue::from_static("max-age=60, public"));
        assert!(for_the_asker(&Directives::governing(&map), &map).is_empty());
    }

    #[test]
    fn a_304_of_our_own_says_nothing_of_the_body() {
        let kept = [
            ("etag", "\"a\""),
            ("cache-control", "max-age=60"),
            ("vary", "a"),
            ("date", "x"),
            ("expires", "x"),
            ("content-location", "/a"),
            ("age", "1"),
            ("x", "y"),
        ];
        let mut map = headers(&kept);
        for gone in ["content-type", "content-encoding", "content-length", "last-modified", "accept-ranges"] {
            map.insert(gone, HeaderValue::from_static("z"));
        }
        shorten_to_not_modified(&mut map);
        assert_eq!(map, headers(&kept));
        let mut dated = headers(&[("last-modified", "x")]);
        shorten_to_not_modified(&mut dated);
        assert!(dated.contains_key("last-modified"));
    }

    #[test]
    fn who_says_no_date_gets_that_of_receipt() {
        let mut map = HeaderMap::new();
        stamp(&mut map, Duration::from_secs(1_000_000_000));
        assert_eq!(map, headers(&[("date", "Sun, 09 Sep 2001 01:46:40 GMT")]));
        stamp(&mut map, Duration::from_secs(1_000_000_001));
        assert_eq!(map, headers(&[("date", "Sun, 09 Sep 2001 01:46:40 GMT")]));
    }

    #[test]
    fn a_304_brings_nothing_that_is_kept_from_caches() {
        let said = ("cache-control", "max-age=1, no-cache=\"x\"");
        let mut stored = headers(&[said]);
        freshen(&mut stored, &headers(&[("x", "1"), ("y", "2"), ("te", "z")]));
        assert_eq!(stored, headers(&[said, ("y", "2")]));
    }

    #[test]
    fn a_304_brings_no_cookie_for_everybody() {
        let mut stored = headers(&[("age", "5")]);
        freshen(&mut stored, &headers(&[("set-cookie", "a=b"), ("date", "now")]));
        assert_eq!(stored, headers(&[("date", "now")]));
        freshen(&mut stored, &headers(&[("set-cookie", "a=b"), ("cache-control", "public")]));
        assert!(stored.contains_key("set-cookie"));
    }

    #[test]
    fn a_304_updates_all_but_the_length() {
        let mut stored = headers(&[("content-length", "5"), ("etag", "\"a\""), ("x", "old"), ("kept", "1")]);
        freshen(&mut stored, &headers(&[("content-length", "0"), ("x", "new"), ("date", "now")]));
        assert_eq!(
            stored,
            headers(&[
                ("content-length", "5"),
                ("etag", "\"a\""),
                ("x", "new"),
                ("kept", "1"),
                ("date", "now")
            ])
        );
    }

    #[test]
    fn gzip_is_welcome_or_not() {
        for (field, welcome) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.2", true),
            ("gzip;q=0", false),
            ("*", true),
            ("*;q=0", false),
            ("identity", false),
            ("gzip;q=0, *", false),
            ("", false),
            ("gzip; q=0.001", true),
            ("gzip;q=nan", false),
            ("gzip;q=2", false),
        ] {
            assert_eq!(accepts_gzip(&headers(&[("accept-encoding", field)])), welcome, "{field}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
