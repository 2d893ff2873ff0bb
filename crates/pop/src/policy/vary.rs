//! What a response varies by, and which requests it therefore answers: RFC 9110 §12.5.5, RFC 9111 §4.1.

use super::fields;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// Fields a response may vary by.
pub const NAMES_MAX: usize = 32;

/// Languages that are put in order; what names more is compared as it stands.
const LANGUAGES_MAX: usize = 64;

/// The fields a response varies by: lower case, sorted, without repeats. Empty: it varies by nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VaryBy(Box<[String]>);

impl VaryBy {
    /// Reads all `Vary` lines of a response.
    ///
    /// `None`: no request tells another one's answer from its own (`*`), or what is said cannot be read, or it names
    /// more than [`NAMES_MAX`] fields. Such a response is not reused.
    pub fn of(response: &HeaderMap) -> Option<VaryBy> {
        let mut names = Vec::new();
        for line in response.get_all(header::VARY) {
            for name in line.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                // `*` is a token as well, so that it has to be looked for.
                let name = (name != "*").then(|| name.parse::<HeaderName>().ok()).flatten()?;
                if names.iter().any(|known| known == name.as_str()) {
                    continue;
                }
                if names.len() == NAMES_MAX {
                    return None;
                }
                names.push(name.as_str().to_owned());
            }
        }
        names.sort_unstable();
        Some(VaryBy(names.into()))
    }

    /// Whether one response answers every request for its URL.
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// The normalised values that a request has for these fields; equal texts mean that one response serves both requests.
    ///
    /// A line for each field, `=` before its value, or `-` where the request does not have it. Values hold no line
    /// breaks, so that nothing can be mistaken for something else.
    pub fn select(&self, request: &HeaderMap) -> String {
        let mut text = String::new();
        for name in &self.0 {
            if name == header::ACCEPT_ENCODING.as_str() {
                text.push_str(if fields::accepts_gzip(request) { "=gzip" } else { "=identity" });
            } else if !request.contains_key(name) {
                text.push('-');
            } else {
                text.push('=');
                let from = text.len();
                combine(request.get_all(name).iter(), &mut text);
                if name == header::ACCEPT_LANGUAGE.as_str()
                    && let Some(languages) = languages(&text[from..])
                {
                    text.truncate(from);
                    text.push_str(&languages);
                }
            }
            text.push('\n');
        }
        text
    }
}

/// Adds all lines of one field as one: items parted by `, `, whatever the spaces around their commas were.
fn combine<'a>(lines: impl Iterator<Item = &'a HeaderValue>, text: &mut String) {
    let mut first = true;
    for line in lines {
        let (mut quoted, mut escaped) = (false, false);
        // A comma inside quotes belongs to its item.
        let items = line.as_bytes().split(|byte| {
            let parts = *byte == b',' && !quoted;
            quoted ^= *byte == b'"' && !escaped;
            escaped = quoted && *byte == b'\\' && !escaped;
            parts
        });
        for item in items {
            if !first {
                text.push_str(", ");
            }
            first = false;
            // One character for each byte: different bytes stay different.
            text.extend(item.trim_ascii().iter().map(|byte| char::from(*byte)));
        }
    }
}

/// An Accept-Language without what makes no difference: case, spaces, `q=1`, what nobody asked for, and the order of
/// languages of one weight, which RFC 9110 §12.5.4 gives no meaning. `None` where it is not one.
fn languages(field: &str) -> Option<String> {
    let mut found = Vec::new();
    for item in field.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (range, weight) = match item.split_once(';') {
            Some((range, parameter)) => (range.trim_end(), thousandths(parameter)?),
            None => (item, 1000),
        };
        if range.is_empty() || found.len() == LANGUAGES_MAX {
            return None;
        }
        found.push((Reverse(weight), range.to_ascii_lowercase()));
    }
    // What is refused only tells something beside a `*` that would include it.
    if !found.iter().any(|(weight, range)| range == "*" && weight.0 > 0) {
        found.retain(|(weight, _)| weight.0 > 0);
    }
    found.sort_unstable();
    found.dedup();
    let words = found.into_iter().map(|(Reverse(weight), range)| match weight {
        1000 => range,
        _ => format!("{range};q={weight}"),
    });
    Some(words.collect::<Vec<_>>().join(", "))
}

/// The weight `q=0.125` as 125, RFC 9110 §12.4.2.
pub(super) fn thousandths(parameter: &str) -> Option<u16> {
    let text = parameter.trim();
    let text = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = digits.bytes().chain(std::iter::repeat(b'0')).take(3);
    let part = part.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (HeaderName::from_static(name), HeaderValue::from_static(line))).collect()
    }

    fn by(lines: &[&'static str]) -> Option<VaryBy> {
        VaryBy::of(&headers("vary", lines))
    }

    #[test]
    fn names_are_a_set() {
        let names = |lines| by(lines).map(|by| by.0.join(" "));
        assert_eq!(names(&["Foo, bar", " FOO ,,", ""]), Some("bar foo".into()));
        assert_eq!(names(&["**"]), Some("**".into()));
        assert!(by(&[]).unwrap().is_nothing());
        assert!(by(&[""]).unwrap().is_nothing());
        assert!(!by(&["a"]).unwrap().is_nothing());
    }

    #[test]
    fn a_star_in_every_spelling_and_what_cannot_be_read() {
        for lines in [
            &["*"][..],
            &[" * "],
            &["*, *"],
            &["foo, *"],
            &["*, foo"],
            &[", *"],
            &["foo", "*"],
            &["", "*"],
            &["a b"],
            &["\"a\""],
        ] {
            assert_eq!(by(lines), None, "{lines:?}");
        }
        let many = |count: usize| {
            let line = (0..count).map(|n| format!("x{n}")).collect::<Vec<_>>().join(",");
            let map = [(header::VARY, HeaderValue::from_str(&line).unwrap())].into_iter().collect();
            VaryBy::of(&map).is_some()
        };
        assert!(many(NAMES_MAX));
        assert!(!many(NAMES_MAX + 1));
    }

    #[test]
    fn requests_that_mean_the_same_are_the_same() {
        let same = |name: &'static str, a: &[&'static str], b: &[&'static str]| {
            let by = VaryBy(Box::new([name.to_owned()]));
            by.select(&headers(name, a)) == by.select(&headers(name, b))
        };
        assert!(same("foo", &["1,2"], &[" 1 ,  2 "]));
        assert!(same("foo", &["1, 2"], &["1", "2"]));
        assert!(!same("foo", &["1"], &["2"]));
        assert!(!same("foo", &["a"], &["A"]));
        assert!(!same("foo", &["1, 2"], &["2, 1"]));
        assert!(!same("foo", &["\"1,2\""], &["\"1, 2\""]));
        assert!(same("foo", &["\"\\\"\",2"], &["\"\\\"\", 2"]));
        assert!(!same("foo", &[""], &[]));
        assert!(!same("foo", &[], &["-"]));

        assert!(same("accept-encoding", &["gzip, br"], &["br;q=1.0, GZIP;q=0.2"]));
        assert!(same("accept-encoding", &["br"], &[]));
        assert!(!same("accept-encoding", &["gzip"], &["gzip;q=0"]));

        assert!(same("accept-language", &["en, de"], &["DE;q=1.0,en"]));
        assert!(same("accept-language", &["en;q=0.5, de"], &["de", "en; q=0.50"]));
        assert!(same("accept-language", &["en, fr;q=0"], &["en"]));
        assert!(!same("accept-language", &["*, fr;q=0"], &["*"]));
        assert!(!same("accept-language", &["en, de;q=0.5"], &["en;q=0.5, de"]));
        assert!(!same("accept-language", &["en, de;q=0.5"], &["en, de"]));
        assert!(!same("accept-language", &["en"], &[]));
        assert!(!same("accept-language", &["en;q=2"], &["en"]));
    }

    #[test]
    fn a_value_of_one_field_is_not_taken_for_that_of_another() {
        let by = by(&["a, b"]).unwrap();
        let a = headers("a", &["1"]);
        let b = headers("b", &["1"]);
        assert_ne!(by.select(&a), by.select(&b));
        let bytes = |bytes: &[u8]| {
            let value = HeaderValue::from_bytes(bytes).unwrap();
            by.select(&[(HeaderName::from_static("a"), value)].into_iter().collect())
        };
        assert_ne!(bytes(&[0xfe]), bytes(&[0xff]));
    }

    #[test]
    fn weights_have_at_most_three_digits() {
        for (text, weight) in [
            ("q=1", Some(1000)),
            ("q=1.000", Some(1000)),
            ("Q=0.5", Some(500)),
            ("q=0.", Some(0)),
            ("q=0.1234", None),
            ("q=1.001", None),
            ("q=-1", None),
            ("q=", None),
            ("x=1", None),
        ] {
            assert_eq!(thousandths(text), weight, "{text}");
        }
    }
}
