//! Whether a response may be stored: RFC 9111 §3, for a shared cache.

use super::cache_control::Directives;
use super::freshness;
use super::vary::VaryBy;
use freshen_model::domain::Lifetimes;
use http::{HeaderMap, StatusCode, header};
use std::time::Duration;

const CDN_CACHE_CONTROL: header::HeaderName = header::HeaderName::from_static("cdn-cache-control");

/// Why a response is not stored; also the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStored {
    /// The origin says `no-store`.
    NoStore,
    /// The origin says `private`.
    Private,
    /// The request carried credentials, and the origin does not say that the answer is for everybody.
    Authorised,
    /// It sets a cookie, and the origin does not say that it is for everybody.
    SetsCookie,
    /// It is a part, or an answer to nobody's question.
    Partial,
    /// Its status is not stored without being asked for.
    Status,
    /// Nobody can tell which requests it answers.
    Varies,
    /// It would never be fresh and could not be revalidated.
    NeverFresh,
    /// It ends when the connection does, so that nobody can tell whether it was cut off.
    EndUnknown,
    /// Longer than this POP stores.
    TooLarge,
    /// The disk has no room for it now.
    NoRoom,
}

impl NotStored {
    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            NotStored::NoStore => "no_store",
            NotStored::Private => "private",
            NotStored::Authorised => "authorised",
            NotStored::SetsCookie => "sets_cookie",
            NotStored::Partial => "partial",
            NotStored::Status => "status",
            NotStored::Varies => "varies",
            NotStored::NeverFresh => "never_fresh",
            NotStored::EndUnknown => "end_unknown",
            NotStored::TooLarge => "too_large",
            NotStored::NoRoom => "no_room",
        }
    }

    /// For people, in the words of the one who could change it.
    pub fn explain(self, headers: &HeaderMap) -> String {
        let said = |name: header::HeaderName| {
            let value = headers.get(&name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            format!("{name}: {value}")
        };
        match self {
            NotStored::NoStore | NotStored::Private => {
                let targeted = Directives::governing(headers).targeted;
                said(if targeted { CDN_CACHE_CONTROL } else { header::CACHE_CONTROL })
            }
            NotStored::Authorised => "the request carries Authorization".into(),
            NotStored::SetsCookie => "the answer sets a cookie and is not public".into(),
            NotStored::Partial => "the origin sent a part where the whole was asked for".into(),
            NotStored::Status => "the status is not cacheable".into(),
            NotStored::Varies => said(header::VARY),
            NotStored::NeverFresh => "neither a lifetime nor a validator".into(),
            NotStored::EndUnknown => {
                "neither Content-Length nor chunked: the end of the body is not told".into()
            }
            NotStored::TooLarge => "larger than the POP's object_bytes_max".into(),
            NotStored::NoRoom => "the POP's disk has no room".into(),
        }
    }
}

/// Whether the response to a GET may be stored and shared, and what it varies by.
///
/// To be asked of the fields as the origin sent them; [`super::fields::prepare`] then removes what is not stored.
pub fn judge(
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    lifetimes: &Lifetimes,
) -> Result<VaryBy, NotStored> {
    let governing = Directives::governing(response);
    if governing.forbids_storing(status) {
        return Err(NotStored::NoStore);
    }
    if governing.private {
        return Err(NotStored::Private);
    }
    if matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) || status.as_u16() < 200 {
        return Err(NotStored::Partial);
    }
    if request.contains_key(header::AUTHORIZATION) && !governing.shares_authorised() {
        return Err(NotStored::Authorised);
    }
    let asked_to = freshness::says_lifetime(response, &governing) || governing.public;
    if !asked_to && !freshness::heuristically_cacheable(status) {
        return Err(NotStored::Status);
    }
    let withheld = governing.withheld().any(|name| name == header::SET_COOKIE);
    if response.contains_key(header::SET_COOKIE) && !governing.public && !withheld {
        return Err(NotStored::SetsCookie);
    }
    let vary = VaryBy::of(response).ok_or(NotStored::Varies)?;
    let validator = response.contains_key(header::ETAG) || response.contains_key(header::LAST_MODIFIED);
    let lifetime = freshness::lifetime(lifetimes, status, response, &governing, Duration::ZERO);
    if lifetime.is_zero() && !validator {
        return Err(NotStored::NeverFresh);
    }
    Ok(vary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn of(
        request: &[(&'static str, &'static str)],
        status: u16,
        response: &[(&'static str, &'static str)],
    ) -> Result<(), NotStored> {
        let status = StatusCode::from_u16(status).unwrap();
        judge(&map(request), status, &map(response), &Lifetimes::default()).map(|_| ())
    }

    const FRESH: (&str, &str) = ("cache-control", "max-age=60");
    const EXPIRES: (&str, &str) = ("expires", "Sun, 09 Sep 2001 01:46:40 GMT");

    #[test]
    fn what_a_shared_cache_may_store() {
        for status in
            [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599]
        {
            assert_eq!(of(&[], status, &[FRESH]), Ok(()), "{status}");
        }
        for response in [
            &[FRESH, ("vary", "cookie, accept")][..],
            &[("etag", "\"a\"")],
            &[("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT")],
            &[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")],
            &[("cache-control", "max-age=60, no-store, must-understand")],
            &[("cache-control", "max-age=60, public"), ("set-cookie", "a=b")],
            &[("cache-control", "max-age=60, no-cache=\"set-cookie\""), ("set-cookie", "a=b")],
            &[("cache-control", "max-age=60, private=\"x\"")],
            &[FRESH, ("pragma", "no-cache")],
        ] {
            assert_eq!(of(&[], 200, response), Ok(()), "{response:?}");
        }
        assert_eq!(of(&[], 599, &[("cache-control", "public"), ("etag", "\"a\"")]), Ok(()));
    }

    #[test]
    fn what_it_may_not() {
        for (status, response, why) in [
            (200, &[("cache-control", "no-store, max-age=60")][..], NotStored::NoStore),
            (599, &[("cache-control", "no-store, must-understand, max-age=60")], NotStored::NoStore),
            (200, &[FRESH, ("cdn-cache-control", "no-store")], NotStored::NoStore),
            (200, &[("cache-control", "private, max-age=60")], NotStored::Private),
            (200, &[FRESH, ("cdn-cache-control", "private")], NotStored::Private),
            (200, &[FRESH, ("set-cookie", "a=b")], NotStored::SetsCookie),
            (206, &[FRESH], NotStored::Partial),
            (304, &[FRESH], NotStored::Partial),
            (103, &[FRESH], NotStored::Partial),
            (302, &[("etag", "\"a\"")], NotStored::Status),
            (302, &[("cdn-cache-control", "foo"), EXPIRES, ("etag", "\"a\"")], NotStored::Status),
            (200, &[FRESH, ("vary", "accept-encoding, *")], NotStored::Varies),
            (200, &[], NotStored::NeverFresh),
            (200, &[("cache-control", "max-age=0")], NotStored::NeverFresh),
        ] {
            assert_eq!(of(&[], status, response), Err(why), "{response:?}");
        }
    }

    #[test]
    fn credentials_are_minded() {
        let with = |line| of(&[("authorization", "x")], 200, &[("cache-control", line)]);
        assert_eq!(with("max-age=60"), Err(NotStored::Authorised));
        for shared in ["max-age=60, public", "s-maxage=60", "max-age=60, must-revalidate"] {
            assert_eq!(with(shared), Ok(()), "{shared}");
        }
        assert_eq!(with("max-age=60, proxy-revalidate"), Err(NotStored::Authorised));
    }
}
