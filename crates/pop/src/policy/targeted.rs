//! `CDN-Cache-Control`: what an origin says to caches like this one only, RFC 9213.

use super::cache_control::{Directives, SECONDS_MAX, names};
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

static CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// What `CDN-Cache-Control` says. `None`: it is absent, empty or not sound to the last letter, and is then as if it were
/// not there (RFC 9213 §2.1).
pub fn cdn_cache_control(headers: &HeaderMap) -> Option<Directives> {
    let mut lines = headers.get_all(&CDN_CACHE_CONTROL).iter();
    let mut text = lines.next()?.as_bytes().to_vec();
    for line in lines {
        text.extend_from_slice(b", ");
        text.extend_from_slice(line.as_bytes());
    }
    let said: Dictionary = Parser::new(&text).parse().ok()?;
    let mut out = Directives { targeted: true, ..Directives::default() };
    for (name, value) in &said {
        take(&mut out, name.as_str(), value)?;
    }
    (!said.is_empty()).then_some(out)
}

/// Takes one member in; `None` where a directive that is known has a value of the wrong type. Parameters mean nothing.
fn take(out: &mut Directives, name: &str, value: &ListEntry) -> Option<()> {
    let value = match value {
        ListEntry::Item(item) => Some(&item.bare_item),
        ListEntry::InnerList(_) => None,
    };
    match name {
        "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error" => {
            let Some(BareItem::Integer(seconds)) = value else { return None };
            let seconds = u64::try_from(i64::from(*seconds)).unwrap_or(0).min(SECONDS_MAX);
            out.take(name, seconds, None);
        }
        "no-cache" | "private" => match value {
            Some(BareItem::Boolean(true)) => out.take(name, 0, None),
            Some(BareItem::Boolean(false)) => {}
            Some(BareItem::String(listed)) => out.take(name, 0, names(listed.as_str())),
            _ => return None,
        },
        "no-store" | "public" | "must-revalidate" | "proxy-revalidate" | "must-understand" | "immutable" => {
            match value {
                Some(BareItem::Boolean(true)) => out.take(name, 0, None),
                Some(BareItem::Boolean(false)) => {}
                _ => return None,
            }
        }
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(lines: &[&'static str]) -> Option<Directives> {
        let name = || CDN_CACHE_CONTROL.clone();
        let lines = lines.iter().map(|line| (name(), HeaderValue::from_static(line)));
        cdn_cache_control(&lines.collect())
    }

    #[test]
    fn a_sound_field_decides() {
        let read = of(&["foobar, max-age=3600;x=1", "stale-if-error=5, no-cache=\"set-cookie, x\""]).unwrap();
        assert!(read.targeted && !read.no_cache);
        assert_eq!((read.max_age, read.stale_if_error), (Some(3600), Some(5)));
        assert_eq!(read.no_cache_fields.len(), 2);
        assert!(of(&["private"]).unwrap().private);
        assert!(!of(&["private=?0"]).unwrap().private);
        assert!(of(&["no-store"]).unwrap().no_store);
        assert_eq!(of(&["max-age=99999999999"]).unwrap().max_age, Some(SECONDS_MAX));
        assert_eq!(of(&["max-age=-1"]).unwrap().max_age, Some(0));
        assert_eq!(of(&["max-age=1, max-age=5"]).unwrap().max_age, Some(5));
    }

    #[test]
    fn what_is_not_sound_is_as_if_it_were_not_there() {
        for line in [
            "",
            "max-age=10000, &&&&&",
            "max-age=\"10000\"",
            "max-age=1.5",
            "max-age",
            "max-age =1",
            "max-age= 1",
            "MaX-aGe=1",
            "max-age=1,",
            "max-age=9999999999999999",
            "no-store=1",
            "private=(a b)",
        ] {
            assert_eq!(of(&[line]), None, "{line}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn it_alone_decides() {
        let mut headers: HeaderMap =
            [(CDN_CACHE_CONTROL.clone(), HeaderValue::from_static("max-age=5"))].into_iter().collect();
        headers.insert("cache-control", HeaderValue::from_static("no-store, max-age=9"));
        let read = Directives::governing(&headers);
        assert!(!read.no_store);
        assert_eq!(read.max_age, Some(5));
        headers.insert(&CDN_CACHE_CONTROL, HeaderValue::from_static("max-age=x"));
        assert!(Directives::governing(&headers).no_store);
    }
}
