//! What responses and requests say of their caching: RFC 9111 §5.2, RFC 5861, RFC 8246.

use super::{fields, targeted};
use http::{HeaderMap, HeaderName, StatusCode, header};
use std::borrow::Cow;
use std::time::Duration;

/// The longest lifetime taken at its word, in seconds; RFC 9111 §1.2.2 asks for at least 2³¹.
pub(super) const SECONDS_MAX: u64 = 1 << 31;
/// Fields that `no-cache="…"` and `private="…"` may name; of more, the directive counts as meaning all.
const FIELDS_MAX: usize = 32;

/// What a response says of its caching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Said in a field for caches like this one, so that Expires says nothing: RFC 9213 §2.2.
    pub targeted: bool,
    /// May not be stored.
    pub no_store: bool,
    /// May be stored but not used without asking the origin.
    pub no_cache: bool,
    /// Of these fields the same: they are not stored.
    pub no_cache_fields: Vec<HeaderName>,
    /// Not for shared caches.
    pub private: bool,
    /// Of these fields the same: they are not stored.
    pub private_fields: Vec<HeaderName>,
    /// For everybody, cookies and credentials in the request notwithstanding.
    pub public: bool,
    /// Never to be used stale.
    pub must_revalidate: bool,
    /// Never to be used stale by a shared cache.
    pub proxy_revalidate: bool,
    /// To be stored only by who understands its status, who then need not mind `no_store`.
    pub must_understand: bool,
    /// Does not change while it is fresh, RFC 8246.
    pub immutable: bool,
    /// Lifetime in seconds.
    pub max_age: Option<u64>,
    /// Lifetime in seconds for shared caches.
    pub s_maxage: Option<u64>,
    /// Seconds past its lifetime in which it may be used while it is revalidated, RFC 5861 §3.
    pub stale_while_revalidate: Option<u64>,
    /// Seconds past its lifetime in which it may be used when the origin fails, RFC 5861 §4.
    pub stale_if_error: Option<u64>,
}

impl Directives {
    /// What decides for this cache: `CDN-Cache-Control` where it is there and sound, else `Cache-Control`.
    pub fn governing(headers: &HeaderMap) -> Directives {
        targeted::cdn_cache_control(headers).unwrap_or_else(|| Directives::of_cache_control(headers))
    }

    /// Reads all `Cache-Control` lines of a response, whatever else there is.
    pub fn of_cache_control(headers: &HeaderMap) -> Directives {
        let mut out = Directives::default();
        for line in headers.get_all(header::CACHE_CONTROL) {
            for (name, argument) in directives(&String::from_utf8_lossy(line.as_bytes())) {
                let seconds = argument.seconds();
                let listed = match &argument {
                    Argument::Text(text) => names(text),
                    Argument::None | Argument::Unsound => None,
                };
                out.take(&name.to_ascii_lowercase(), seconds, listed);
            }
        }
        out
    }

    /// Takes one directive in. Where a lifetime is repeated the shortest counts.
    pub(super) fn take(&mut self, name: &str, seconds: u64, listed: Option<Vec<HeaderName>>) {
        let shorten =
            |known: &mut Option<u64>| *known = Some(known.map_or(seconds, |known| known.min(seconds)));
        match (name, listed) {
            ("no-store", _) => self.no_store = true,
            ("no-cache", Some(listed)) => self.no_cache_fields.extend(listed),
            ("no-cache", None) => self.no_cache = true,
            ("private", Some(listed)) => self.private_fields.extend(listed),
            ("private", None) => self.private = true,
            ("public", _) => self.public = true,
            ("must-revalidate", _) => self.must_revalidate = true,
            ("proxy-revalidate", _) => self.proxy_revalidate = true,
            ("must-understand", _) => self.must_understand = true,
            ("immutable", _) => self.immutable = true,
            ("max-age", _) => shorten(&mut self.max_age),
            ("s-maxage", _) => shorten(&mut self.s_maxage),
            ("stale-while-revalidate", _) => shorten(&mut self.stale_while_revalidate),
            ("stale-if-error", _) => shorten(&mut self.stale_if_error),
            _ => {}
        }
    }

    /// Whether a response of this status may not be stored, RFC 9111 §5.2.2.3 and §5.2.2.5.
    pub fn forbids_storing(&self, status: StatusCode) -> bool {
        if self.must_understand { !understands(status) } else { self.no_store }
    }

    /// Whether a response to a request with credentials may be shared, RFC 9111 §3.5.
    pub fn shares_authorised(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }

    /// The fields that may not be stored with the response.
    pub fn withheld(&self) -> impl Iterator<Item = &HeaderName> {
        self.no_cache_fields.iter().chain(&self.private_fields)
    }

    /// How long past its lifetime a copy may be used while it is revalidated.
    ///
    /// `s-maxage` alone does not forbid it, as it does other stale use (RFC 9111 §5.2.2.10): an origin that names the
    /// window beside it means shared caches.
    pub fn window_while_revalidating(&self) -> Duration {
        match self.stale_while_revalidate {
            Some(seconds) if !self.insists_on_validation() => Duration::from_secs(seconds),
            _ => Duration::ZERO,
        }
    }

    /// How long past its lifetime a copy may be used when the origin fails; [`Duration::MAX`] where nothing limits it.
    /// `s-maxage` is taken as in [`Directives::window_while_revalidating`].
    pub fn window_if_error(&self) -> Duration {
        match self.stale_if_error {
            _ if self.insists_on_validation() => Duration::ZERO,
            Some(seconds) => Duration::from_secs(seconds),
            None if self.s_maxage.is_some() => Duration::ZERO,
            None => Duration::MAX,
        }
    }

    /// What a 304 makes `private` or `no-store` afterwards is not served without asking either.
    fn insists_on_validation(&self) -> bool {
        let unstorable = self.private || (self.no_store && !self.must_understand);
        self.must_revalidate || self.proxy_revalidate || self.no_cache || unstorable
    }
}

/// What a request says of its caching, RFC 9111 §5.2.1. What cannot be read is as if it were not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestControl {
    /// Ask the origin first.
    pub no_cache: bool,
    /// Keep nothing of this request.
    pub no_store: bool,
    /// Only what is not older, in seconds.
    pub max_age: Option<u64>,
    /// Only what stays fresh so long, in seconds.
    pub min_fresh: Option<u64>,
    /// Also what is past its lifetime by so many seconds; [`u64::MAX`]: by any.
    pub max_stale: Option<u64>,
    /// From the cache or not at all: 504.
    pub only_if_cached: bool,
}

impl RequestControl {
    /// Reads all `Cache-Control` lines of a request. `Pragma` is not looked at, RFC 9111 §5.4.
    pub fn of(request: &HeaderMap) -> RequestControl {
        let mut out = RequestControl::default();
        for line in request.get_all(header::CACHE_CONTROL) {
            for (name, argument) in directives(&String::from_utf8_lossy(line.as_bytes())) {
                let seconds = argument.sound_seconds();
                match name.to_ascii_lowercase().as_str() {
                    "no-cache" => out.no_cache = true,
                    "no-store" => out.no_store = true,
                    "only-if-cached" => out.only_if_cached = true,
                    "max-age" => out.max_age = seconds.or(out.max_age),
                    "min-fresh" => out.min_fresh = seconds.or(out.min_fresh),
                    "max-stale" if argument == Argument::None => out.max_stale = Some(u64::MAX),
                    "max-stale" => out.max_stale = seconds.or(out.max_stale),
                    _ => {}
                }
            }
        }
        out
    }
}

/// Statuses whose rules this cache knows and keeps: those of RFC 9110 §15 that may be stored.
fn understands(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=205 | 300..=303 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// What stands behind a directive's name.
#[derive(Debug, PartialEq, Eq)]
enum Argument<'a> {
    None,
    Text(Cow<'a, str>),
    /// Not a token and not one quoted string.
    Unsound,
}

impl Argument<'_> {
    /// Seconds; what is no number of seconds counts as none at all, stale at once.
    fn seconds(&self) -> u64 {
        self.sound_seconds().unwrap_or(0)
    }

    fn sound_seconds(&self) -> Option<u64> {
        let Argument::Text(text) = self else { return None };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX))
    }
}

/// The fields listed in an argument; `None` where that means all, because it is empty or cannot be read, or because the
/// response could not be understood any more without them.
pub(super) fn names(text: &str) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let name: HeaderName = name.parse().ok()?;
        if fields::is_essential(&name) || names.len() == FIELDS_MAX {
            return None;
        }
        names.push(name);
    }
    (!names.is_empty()).then_some(names)
}

/// The directives of one line. Commas inside quotes do not part them; a quote that never ends is no quote, so that it
/// hides nothing behind it.
fn directives(line: &str) -> impl Iterator<Item = (&str, Argument<'_>)> {
    let mut rest = Some(line);
    let parts = std::iter::from_fn(move || {
        let line = rest?;
        let mut at = 0;
        while let Some(byte) = line.as_bytes().get(at) {
            match byte {
                b',' => {
                    rest = Some(&line[at + 1..]);
                    return Some(&line[..at]);
                }
                b'"' => at = closing_quote(line, at).map_or(at + 1, |end| end + 1),
                _ => at += 1,
            }
        }
        rest = None;
        Some(line)
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(|part| match part.split_once('=') {
        None => (part, Argument::None),
        Some((name, value)) => (name.trim_end(), argument(name, value)),
    })
}

fn argument<'a>(name: &str, value: &'a str) -> Argument<'a> {
    let spaced = name.ends_with([' ', '\t']) || value.starts_with([' ', '\t']);
    let whole = closing_quote(value, 0).is_some_and(|end| end + 1 == value.len());
    if spaced || (value.contains('"') && !whole) {
        return Argument::Unsound;
    }
    if !whole {
        return Argument::Text(Cow::Borrowed(value));
    }
    let inner = &value[1..value.len() - 1];
    if !inner.contains('\\') {
        return Argument::Text(Cow::Borrowed(inner));
    }
    let mut escaped = false;
    let plain = inner.chars().filter(|c| {
        escaped = *c == '\\' && !escaped;
        !escaped
    });
    Argument::Text(Cow::Owned(plain.collect()))
}

/// Where the quote that begins at `from` ends.
fn closing_quote(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (bytes.get(from) == Some(&b'"')).then_some(())?;
    let mut at = from + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(lines: &[&'static str]) -> Directives {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::CACHE_CONTROL, HeaderValue::from_static(line));
        }
        Directives::governing(&headers)
    }

    #[test]
    fn directives_are_read_as_written() {
        let read = of(&["Public, MAX-AGE=60,, immutable", "s-maxage=\"30\""]);
        assert!(read.public && read.immutable && !read.no_store);
        assert_eq!((read.max_age, read.s_maxage), (Some(60), Some(30)));
        for hidden in ["x=\"a, no-store\"", "x=\"a\\\", no-store, b\"", "private=\"a, no-store\""] {
            assert!(!of(&[hidden]).no_store, "{hidden}");
        }
        // Quotes that do not end hide nothing.
        for open in ["x=\"a, no-store", "x=\"a\\\", no-store", "x=a\", no-store"] {
            assert!(of(&[open]).no_store, "{open}");
        }
    }

    #[test]
    fn fields_may_be_meant_alone() {
        let read = of(&["private=\"X-A, set-cookie\", no-cache=\"x-b\""]);
        assert!(!read.private && !read.no_cache);
        let names: Vec<_> = read.withheld().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-b", "x-a", "set-cookie"]);
        assert_eq!(of(&["private=x-a"]).private_fields.len(), 1);
        assert!(of(&["private=\"x-a\", private"]).private);
        for all in
            ["private=\"\"", "private=\"a b\"", "private =\"x-a\"", "private=\"content-encoding\"", "private"]
        {
            assert!(of(&[all]).private, "{all}");
        }
        assert!(of(&["no-cache=\"\""]).no_cache);
    }

    #[test]
    fn windows_are_exact() {
        let window = |line| of(&[line]).window_while_revalidating();
        assert_eq!(window("s-maxage=1, stale-while-revalidate=10"), Duration::from_secs(10));
        assert_eq!(window("max-age=1"), Duration::ZERO);
        for insists in ["must-revalidate", "proxy-revalidate", "no-cache", "private", "no-store"] {
            let mut control = of(&["max-age=1, stale-while-revalidate=10, stale-if-error=10"]);
            control.take(insists, 0, None);
            assert_eq!(control.window_while_revalidating(), Duration::ZERO, "{insists}");
            assert_eq!(control.window_if_error(), Duration::ZERO, "{insists}");
        }
        let window = |line| of(&[line]).window_if_error();
        assert_eq!(window("max-age=1"), Duration::MAX);
        assert_eq!(window("s-maxage=1"), Duration::ZERO);
        assert_eq!(window("s-maxage=1, stale-if-error=5"), Duration::from_secs(5));
    }

    #[test]
    fn doubtful_lifetimes_are_short() {
        assert_eq!(of(&["max-age=60, max-age=10"]).max_age, Some(10));
        assert_eq!(of(&["max-age=10", "max-age=60"]).max_age, Some(10));
        assert_eq!(of(&["max-age=003600"]).max_age, Some(3600));
        assert_eq!(of(&["max-age=99999999999999999999999"]).max_age, Some(SECONDS_MAX));
        for none in ["-1", "'60'", "60.0", "a60", "60a", " 60", "\"60\"a", "\"60", ""] {
            let headers =
                [(header::CACHE_CONTROL, HeaderValue::from_str(&format!("max-age={none}")).unwrap())];
            assert_eq!(Directives::governing(&headers.into_iter().collect()).max_age, Some(0), "{none}");
        }
        assert_eq!(of(&["max-age"]).max_age, Some(0));
        assert_eq!(of(&["max-age =60"]).max_age, Some(0));
        assert_eq!(of(&["x=\"max-age=3600\", max-age=1"]).max_age, Some(1));
    }

    #[test]
    fn who_understands_the_status_may_store() {
        let line = "no-store, must-understand";
        assert!(!of(&[line]).forbids_storing(StatusCode::OK));
        assert!(of(&[line]).forbids_storing(StatusCode::from_u16(599).unwrap()));
        assert!(of(&["must-understand"]).forbids_storing(StatusCode::from_u16(599).unwrap()));
        assert!(of(&["no-store"]).forbids_storing(StatusCode::OK));
    }

    #[test]
    fn requests_have_directives_of_their_own() {
        let read = |line| {
            RequestControl::of(
                &[(header::CACHE_CONTROL, HeaderValue::from_static(line))].into_iter().collect(),
            )
        };
        let all = read("no-cache, NO-STORE, max-age=1, min-fresh=2, max-stale=3, only-if-cached");
        assert!(all.no_cache && all.no_store && all.only_if_cached);
        assert_eq!((all.max_age, all.min_fresh, all.max_stale), (Some(1), Some(2), Some(3)));
        assert_eq!(read("max-stale").max_stale, Some(u64::MAX));
        assert_eq!(read("max-stale=x, max-age=x, min-fresh"), RequestControl::default());
    }
}
