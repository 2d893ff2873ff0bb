//! Whether a response may be stored: RFC 9111 §3, for a shared cache.

use super::cache_control::CacheControl;
use super::freshness;
use http::{HeaderMap, StatusCode, header};

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
    /// It varies by more than Accept-Encoding.
    Varies,
    /// It would never be fresh and could not be revalidated.
    NeverFresh,
    /// A transfer coding that is not understood.
    TransferCoding,
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
            NotStored::TransferCoding => "transfer_coding",
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
            NotStored::NoStore | NotStored::Private => said(header::CACHE_CONTROL),
            NotStored::Authorised => "the request carries Authorization".into(),
            NotStored::SetsCookie => "the answer sets a cookie and is not public".into(),
            NotStored::Partial => "the origin sent a part where the whole was asked for".into(),
            NotStored::Status => "the status is not cacheable".into(),
            NotStored::Varies => said(header::VARY),
            NotStored::NeverFresh => "neither a lifetime nor a validator".into(),
            NotStored::TransferCoding => said(header::TRANSFER_ENCODING),
            NotStored::EndUnknown => {
                "neither Content-Length nor chunked: the end of the body is not told".into()
            }
            NotStored::TooLarge => "larger than the POP's object_bytes_max".into(),
            NotStored::NoRoom => "the POP's disk has no room".into(),
        }
    }
}

/// What a stored response may vary by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vary {
    /// Nothing: it answers every request for its URL.
    Nothing,
    /// Accept-Encoding.
    AcceptEncoding,
}

/// What a response varies by; `None` where it is more than this cache keeps apart.
pub fn vary(headers: &HeaderMap) -> Option<Vary> {
    let mut vary = Vary::Nothing;
    for line in headers.get_all(header::VARY) {
        for name in line.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !name.eq_ignore_ascii_case("accept-encoding") {
                return None;
            }
            vary = Vary::AcceptEncoding;
        }
    }
    Some(vary)
}

/// Whether the response to a GET may be stored and shared, and what it varies by.
pub fn may_store(
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    default_ttl_s: Option<u32>,
) -> Result<Vary, NotStored> {
    let control = CacheControl::of(response);
    if control.no_store {
        return Err(NotStored::NoStore);
    }
    if control.private {
        return Err(NotStored::Private);
    }
    if matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) || status.as_u16() < 200 {
        return Err(NotStored::Partial);
    }
    if request.contains_key(header::AUTHORIZATION) && !control.shares_authorised() {
        return Err(NotStored::Authorised);
    }
    if response.contains_key(header::SET_COOKIE) && !control.public {
        return Err(NotStored::SetsCookie);
    }
    let explicit = freshness::is_explicit(response) || control.public;
    if !explicit && !freshness::heuristically_cacheable(status) {
        return Err(NotStored::Status);
    }
    let vary = vary(response).ok_or(NotStored::Varies)?;
    let validator = response.contains_key(header::ETAG) || response.contains_key(header::LAST_MODIFIED);
    let lifetime = freshness::lifetime(status, response, default_ttl_s, std::time::Duration::ZERO);
    if lifetime.is_zero() && !validator {
        return Err(NotStored::NeverFresh);
    }
    Ok(vary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn judge(
        request: &[(&'static str, &'static str)],
        status: u16,
        response: &[(&'static str, &'static str)],
    ) -> Result<Vary, NotStored> {
        let map = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
        };
        may_store(&map(request), StatusCode::from_u16(status).unwrap(), &map(response), None)
    }

    #[test]
    fn what_a_shared_cache_may_store() {
        let fresh = ("cache-control", "max-age=60");
        assert_eq!(judge(&[], 200, &[fresh]), Ok(Vary::Nothing));
        assert_eq!(judge(&[], 200, &[fresh, ("vary", "accept-encoding")]), Ok(Vary::AcceptEncoding));
        assert_eq!(judge(&[], 200, &[("etag", "\"a\"")]), Ok(Vary::Nothing));
        assert_eq!(judge(&[], 404, &[fresh]), Ok(Vary::Nothing));
        assert_eq!(judge(&[], 302, &[fresh]), Ok(Vary::Nothing));
        assert_eq!(
            judge(&[("authorization", "x")], 200, &[("cache-control", "public, max-age=60")]),
            Ok(Vary::Nothing)
        );
        for (request, status, response, why) in [
            (vec![], 200, vec![("cache-control", "no-store, max-age=60")], NotStored::NoStore),
            (vec![], 200, vec![("cache-control", "private")], NotStored::Private),
            (vec![("authorization", "x")], 200, vec![fresh], NotStored::Authorised),
            (vec![], 200, vec![fresh, ("set-cookie", "a=b")], NotStored::SetsCookie),
            (vec![], 206, vec![fresh], NotStored::Partial),
            (vec![], 302, vec![("etag", "\"a\"")], NotStored::Status),
            (vec![], 200, vec![fresh, ("vary", "cookie")], NotStored::Varies),
            (vec![], 200, vec![fresh, ("vary", "accept-encoding, *")], NotStored::Varies),
            (vec![], 200, vec![], NotStored::NeverFresh),
        ] {
            assert_eq!(judge(&request, status, &response), Err(why), "{response:?}");
        }
    }
}
