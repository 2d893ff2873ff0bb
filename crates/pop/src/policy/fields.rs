//! Which fields belong to a hop, and what one hop passes to the next.

use http::{HeaderMap, HeaderName, header};

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Removes what belongs to the hop: the fields RFC 9110 §7.6.1 names, and those that `Connection` lists.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
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

/// Takes the fields of a 304 into a stored response, RFC 9111 §3.2: all but `Content-Length` and what belongs to the hop.
pub fn freshen(stored: &mut HeaderMap, update: &HeaderMap) {
    let mut update = update.clone();
    strip_hop_by_hop(&mut update);
    update.remove(header::CONTENT_LENGTH);
    for name in update.keys() {
        stored.remove(name);
    }
    for (name, value) in &update {
        stored.append(name, value.clone());
    }
}

/// The only two things an Accept-Encoding is taken for: whether gzip is welcome. What a viewer prefers beyond that does
/// not reach the origin, so that one object has at most two variants and a prefetch can warm them all.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for line in headers.get_all(header::ACCEPT_ENCODING) {
        for item in line.to_str().unwrap_or_default().split(',') {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters
                .split(';')
                .find_map(|p| p.trim().strip_prefix("q="))
                .map_or(1.0, |q| q.trim().parse::<f32>().unwrap_or(0.0));
            match coding.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => return weight > 0.0,
                "*" => any = Some(weight > 0.0),
                _ => {}
            }
        }
    }
    any.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
        ] {
            assert_eq!(accepts_gzip(&headers(&[("accept-encoding", field)])), welcome, "{field}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
