//! The parameters of a request, from query and form, as typed values.

use http::HeaderMap;

use super::{ErrorKind, VendorError};
use crate::signature::{Pairs, Request, acs3};

/// All parameters of a request, merged; names are case-sensitive. Those nobody asks for are accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct Params(Pairs);

impl Params {
    /// Reads query and form.
    pub fn of(request: &Request<'_>) -> Result<Params, VendorError> {
        Ok(Params(request.pairs()?))
    }

    /// A text; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        #[cfg(test)]
        asked::note(name);
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A boolean, `true` or `false` in any case.
    pub fn boolean(&self, name: &'static str) -> Result<Option<bool>, VendorError> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(ErrorKind::invalid(name).because("expected true or false")),
        }
    }

    /// A decimal number from one to `max`.
    pub fn positive(&self, name: &'static str, max: u32) -> Result<Option<u32>, VendorError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (1..=max).contains(number));
        let number = number.filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        number.map(Some).ok_or_else(|| ErrorKind::invalid(name).because(format!("expected 1 to {max}")))
    }

    /// Whether the request means to be signed with HMAC-SHA1, well or not.
    pub(super) fn is_hmac_sha1(&self, headers: &HeaderMap) -> bool {
        const MARKS: [&str; 4] = ["AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion"];
        let is_acs3 = !matches!(acs3::authorization(headers), Ok(None));
        !is_acs3 && MARKS.iter().any(|mark| self.0.contains_key(*mark))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Params {
    fn from(pairs: [(&str, &str); N]) -> Params {
        Params(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Which parameters were asked for, on one thread, for the test of the page that lists them.
#[cfg(test)]
pub(super) mod asked {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static NAMES: RefCell<BTreeSet<String>> = RefCell::default();
    }

    pub fn begin() {
        NAMES.take();
    }

    pub fn note(name: &str) {
        NAMES.with_borrow_mut(|names| names.insert(name.to_owned()));
    }

    pub fn end() -> BTreeSet<String> {
        NAMES.take()
    }
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
}

impl Format {
    /// The format asked for. Absent, or `None` as one old SDK sends it: XML where the request is of the HMAC-SHA1 kind,
    /// else JSON. An error is to be answered in JSON.
    pub fn of(request: &Request<'_>, params: &Params) -> Result<Format, VendorError> {
        let is = |text: &str, format: &str| text.eq_ignore_ascii_case(format);
        match params.text("Format") {
            Some(text) if is(text, "json") => Ok(Format::Json),
            Some(text) if is(text, "xml") => Ok(Format::Xml),
            Some(text) if !is(text, "none") => Err(ErrorKind::InvalidFormat.into()),
            _ if params.is_hmac_sha1(request.headers) => Ok(Format::Xml),
            _ => Ok(Format::Json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T: std::fmt::Debug>(result: Result<T, VendorError>) -> String {
        result.unwrap_err().code().into_owned()
    }

    #[test]
    fn query_and_form_are_merged() {
        let (plain, mut form) = (HeaderMap::new(), HeaderMap::new());
        form.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        let params = |headers: &HeaderMap| {
            let (query, body) = ("a=1+2", b"b=3%204");
            Params::of(&Request { method: "POST", path: "/", query, headers, body }).unwrap()
        };
        assert_eq!((params(&plain).text("a"), params(&plain).text("b")), (Some("1 2"), None));
        assert_eq!((params(&form).text("a"), params(&form).text("b")), (Some("1 2"), Some("3 4")));
        assert_eq!((params(&form).text("A"), params(&form).text("B")), (None, None));
    }

    #[test]
    fn booleans_are_read_in_any_case() {
        let params = Params::from([("a", "True"), ("b", "false"), ("c", ""), ("d", "1")]);
        assert_eq!(params.boolean("a").unwrap(), Some(true));
        assert_eq!(params.boolean("b").unwrap(), Some(false));
        assert_eq!(params.boolean("c").unwrap(), None);
        assert_eq!(code(params.boolean("d")), "Invalidd");
    }

    #[test]
    fn numbers_are_decimal_and_bounded() {
        for (text, number) in [("1", Ok(Some(1))), ("50", Ok(Some(50))), ("", Ok(None))] {
            assert_eq!(Params::from([("PageSize", text)]).positive("PageSize", 50), number);
        }
        for text in ["0", "51", "-1", "+1", "1.0", " 1", "x", "99999999999999999999"] {
            assert_eq!(
                code(Params::from([("PageSize", text)]).positive("PageSize", 50)),
                "InvalidPageSize",
                "{text}"
            );
        }
    }

    #[test]
    fn the_format_is_as_asked_for_else_as_the_scheme_has_it() {
        let plain = HeaderMap::new();
        let mut acs3 = HeaderMap::new();
        acs3.insert("authorization", "ACS3-HMAC-SHA256 Credential=a".parse().unwrap());
        let format = |headers: &HeaderMap, query: &str| {
            let request = Request { method: "GET", path: "/", query, headers, body: b"" };
            Format::of(&request, &Params::of(&request).unwrap())
        };
        for (query, expected) in
            [("Format=JSON", Format::Json), ("Format=json", Format::Json), ("Format=xml", Format::Xml)]
        {
            assert_eq!(format(&plain, query), Ok(expected));
            assert_eq!(format(&acs3, query), Ok(expected));
        }
        for query in ["Signature=a", "Signature=a&Format=", "Signature=a&Format=None"] {
            assert_eq!(format(&plain, query), Ok(Format::Xml), "{query}");
            assert_eq!(format(&acs3, query), Ok(Format::Json), "{query}");
        }
        assert_eq!(format(&plain, ""), Ok(Format::Json));
        assert_eq!(code(format(&plain, "Format=yaml")), "InvalidParameter.Format");
    }
}
