//! From a request's head to what shall be purged. Each form is one that some client sends; what could be read in two ways,
//! or would purge more than it says, is refused with what to send instead.

use super::Refusal;
use http::request::Parts;
use http::{HeaderMap, header};

/// Tags of one request; more do not fit the largest head anyway.
const TAGS_MAX: usize = 1_000;

/// What shall be purged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// One URL or directory.
    Line {
        /// The line that is submitted, `http://host/path`.
        line: String,
        /// Whether it is a directory.
        directory: bool,
        /// Ask the origin before the next use, instead of never using it again.
        soft: bool,
    },
    /// Whatever has one of these tags.
    Tags {
        /// The domain.
        host: String,
        /// Without duplicates, in the order they came in.
        tags: Vec<String>,
        /// As above.
        soft: bool,
    },
}

/// Reads a request; its body says nothing.
pub(super) fn read(head: &Parts) -> Result<Asked, Refusal> {
    let host = host(head)?;
    let soft = is_soft(&head.headers)?;
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    if let Some(tags) = tags(&head.headers)? {
        if !matches!(target, "/" | "*") {
            let why = format!("a purge by tag has no path, but this one has {target}; send PURGE /");
            return Err(Refusal::bad(why));
        }
        return Ok(match tags {
            Tagged::Everything => Asked::Line { line: format!("http://{host}/"), directory: true, soft },
            Tagged::With(tags) => Asked::Tags { host, tags, soft },
        });
    }
    let (path, directory) = path(target, field(&head.headers, "x-purge-method")?)?;
    Ok(Asked::Line { line: format!("http://{host}{path}"), directory, soft })
}

/// The host of an absolute target, else of the one Host field; without its port.
fn host(head: &Parts) -> Result<String, Refusal> {
    let missing = || Refusal::bad("name the domain: one Host field, or PURGE http://domain/path");
    if let Some(host) = head.uri.host() {
        return Ok(host.to_ascii_lowercase());
    }
    let authority = field(&head.headers, header::HOST.as_str())?.ok_or_else(missing)?;
    let authority: http::uri::Authority = authority.parse().map_err(|_| missing())?;
    if authority.as_str().contains('@') {
        return Err(missing());
    }
    Ok(authority.host().to_ascii_lowercase())
}

/// Hard unless a field says soft.
fn is_soft(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mode = match field(headers, "x-purge-mode")? {
        None => None,
        Some(mode) if mode.eq_ignore_ascii_case("soft") => Some(true),
        Some(mode) if mode.eq_ignore_ascii_case("hard") => Some(false),
        Some(other) => return Err(Refusal::bad(format!("X-Purge-Mode is soft or hard, not {other:?}"))),
    };
    let mut asked = false;
    for name in ["fastly-soft-purge", "x-magento-purge-soft"] {
        asked |= field(headers, name)?.is_some_and(|value| value != "0");
    }
    if mode == Some(false) && asked {
        return Err(Refusal::bad("X-Purge-Mode says hard, and another field says soft; send one of them"));
    }
    Ok(mode.unwrap_or(asked))
}

/// What fields about tags name.
#[derive(Debug, PartialEq, Eq)]
enum Tagged {
    Everything,
    With(Vec<String>),
}

fn tags(headers: &HeaderMap) -> Result<Option<Tagged>, Refusal> {
    if let Some(pattern) = field(headers, "x-magento-tags-pattern")? {
        return magento(pattern).map(Some);
    }
    let mut tags: Vec<String> = Vec::new();
    let mut there = false;
    for (name, between) in [("surrogate-key", [' ', '\t']), ("cache-tag", [',', ' '])] {
        for value in headers.get_all(name) {
            there = true;
            let value = value.to_str().map_err(|_| unreadable(name))?;
            let named = value.split(between).map(str::trim).filter(|tag| !tag.is_empty());
            named.for_each(|tag| add(&mut tags, tag));
        }
    }
    match (there, tags.len()) {
        (false, _) => Ok(None),
        (true, 0) => Err(Refusal::bad("Surrogate-Key or Cache-Tag is there, but names no tag")),
        (true, 1..=TAGS_MAX) => Ok(Some(Tagged::With(tags))),
        (true, _) => Err(Refusal::bad(format!("at most {TAGS_MAX} tags at once; send several requests"))),
    }
}

/// Magento's pattern: `.*`, or `((^|,)TAG(,|$))` for each tag with `|` in between. It is no regular expression here.
fn magento(pattern: &str) -> Result<Tagged, Refusal> {
    const BEFORE: &str = "((^|,)";
    const BEHIND: &str = "(,|$))";
    if pattern == ".*" {
        return Ok(Tagged::Everything);
    }
    let other = || {
        let why = "X-Magento-Tags-Pattern: only .* and ((^|,)TAG(,|$)) are known, several of them with | in between";
        Refusal::bad(format!("{why}; send Surrogate-Key: TAG TAG"))
    };
    let mut tags = Vec::new();
    let mut rest = pattern;
    loop {
        let (tag, behind) =
            rest.strip_prefix(BEFORE).and_then(|rest| rest.split_once(BEHIND)).ok_or_else(other)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-:.".contains(c);
        if tag.is_empty() || !tag.chars().all(plain) {
            return Err(other());
        }
        add(&mut tags, tag);
        match behind.strip_prefix('|') {
            Some(next) => rest = next,
            None if behind.is_empty() => break,
            None => return Err(other()),
        }
    }
    if tags.len() > TAGS_MAX { Err(other()) } else { Ok(Tagged::With(tags)) }
}

fn add(tags: &mut Vec<String>, tag: &str) {
    if !tags.iter().any(|there| there == tag) {
        tags.push(tag.to_owned());
    }
}

/// The path of a URL, or of a directory where it ends with a star or the pattern for anything.
fn path<'a>(target: &'a str, method: Option<&str>) -> Result<(&'a str, bool), Refusal> {
    let regex = match method {
        None => None,
        Some(method) if ["default", "exact"].iter().any(|known| method.eq_ignore_ascii_case(known)) => {
            Some(false)
        }
        Some(method) if method.eq_ignore_ascii_case("regex") => Some(true),
        Some(other) => {
            return Err(Refusal::bad(format!("X-Purge-Method is default, exact or regex, not {other:?}")));
        }
    };
    let front = ["(.*)", ".*", "*"].iter().find_map(|anything| target.strip_suffix(anything));
    match (front, regex) {
        (None, None | Some(false)) => Ok((target, false)),
        (Some(_), Some(false)) => Err(Refusal::bad(
            "X-Purge-Method says one URL, but the path ends with a pattern; leave one of them out",
        )),
        (Some(front), _) if front.ends_with('/') && !front.contains('?') => Ok((front, true)),
        _ => Err(Refusal::bad(
            "only whole directories are purged by a pattern: /blog/.* or /blog/*; other URLs one by one",
        )),
    }
}

/// The one value of a field, if it is there.
fn field<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::bad(format!("{name} is there twice")));
    }
    value.to_str().map(|value| Some(value.trim())).map_err(|_| unreadable(name))
}

fn unreadable(name: &str) -> Refusal {
    Refusal::bad(format!("{name} has characters other than visible ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, StatusCode};

    fn asked(target: &str, fields: &[(&str, &str)]) -> Result<Asked, Refusal> {
        let mut request = Request::builder().method("PURGE").uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        read(&request.body(()).unwrap().into_parts().0)
    }

    fn line(target: &str, fields: &[(&str, &str)]) -> (String, bool, bool) {
        match asked(target, &[fields, &[("host", "Shop.Example:6081")]].concat()) {
            Ok(Asked::Line { line, directory, soft }) => (line, directory, soft),
            other => panic!("{target} {fields:?}: {other:?}"),
        }
    }

    fn url(text: &str, directory: bool, soft: bool) -> (String, bool, bool) {
        (format!("http://shop.example{text}"), directory, soft)
    }

    fn tagged(fields: &[(&str, &str)]) -> Vec<String> {
        match asked("/", &[fields, &[("host", "shop.example")]].concat()) {
            Ok(Asked::Tags { tags, .. }) => tags,
            other => panic!("{fields:?}: {other:?}"),
        }
    }

    fn refused(target: &str, fields: &[(&str, &str)]) -> String {
        let refusal = asked(target, &[fields, &[("host", "shop.example")]].concat()).unwrap_err();
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        refusal.text
    }

    #[test]
    fn a_url_is_purged_as_the_host_field_or_the_target_names_it() {
        assert_eq!(line("/a?b=1", &[]), url("/a?b=1", false, false));
        assert_eq!(line("http://SHOP.example:81/a", &[]), url("/a", false, false));
        assert_eq!(line("/a", &[("x-purge-method", "default")]), url("/a", false, false));
        assert_eq!(line("/a", &[("x-purge-method", "exact")]), url("/a", false, false));
        let nobody = asked("/a", &[]).unwrap_err();
        assert!(nobody.text.contains("Host"), "{nobody:?}");
        assert!(asked("/a", &[("host", "a.example"), ("host", "b.example")]).is_err());
        assert!(asked("/a", &[("host", "user@a.example")]).is_err());
    }

    #[test]
    fn soft_and_hard() {
        assert_eq!(line("/a", &[("x-purge-mode", "soft")]), url("/a", false, true));
        assert_eq!(line("/a", &[("x-purge-mode", "HARD")]), url("/a", false, false));
        assert_eq!(line("/a", &[("fastly-soft-purge", "1")]), url("/a", false, true));
        assert_eq!(line("/a", &[("fastly-soft-purge", "0")]), url("/a", false, false));
        assert!(refused("/a", &[("x-purge-mode", "gentle")]).contains("soft or hard"));
        assert!(
            refused("/a", &[("x-purge-mode", "hard"), ("fastly-soft-purge", "1")]).contains("one of them")
        );
    }

    #[test]
    fn a_pattern_for_all_of_a_directory_purges_the_directory() {
        for everything in ["/.*", "/*", "/(.*)"] {
            assert_eq!(line(everything, &[]), url("/", true, false), "{everything}");
        }
        assert_eq!(line("/blog/.*", &[("x-purge-method", "regex")]), url("/blog/", true, false));
        for other in ["/blog.*", "/blog*", "/?x=.*", "/a?b=/.*"] {
            assert!(refused(other, &[]).contains("whole directories"), "{other}");
        }
        assert!(refused("/blog/[a-z]", &[("x-purge-method", "regex")]).contains("whole directories"));
        assert!(refused("/blog/.*", &[("x-purge-method", "exact")]).contains("one URL"));
        assert!(refused("/blog/", &[("x-purge-method", "fuzzy")]).contains("fuzzy"));
    }

    #[test]
    fn tags_come_in_three_fields() {
        assert_eq!(tagged(&[("surrogate-key", "a b  a c")]), ["a", "b", "c"]);
        assert_eq!(tagged(&[("cache-tag", "a,b, c")]), ["a", "b", "c"]);
        let pattern = "((^|,)cat_p_1(,|$))|((^|,)cms_b(,|$))";
        assert_eq!(tagged(&[("x-magento-tags-pattern", pattern)]), ["cat_p_1", "cms_b"]);
        assert_eq!(line("/", &[("x-magento-tags-pattern", ".*")]), url("/", true, false));
        for other in ["", "cat_p_1", "((^|,)(,|$))", "((^|,)a.*b(,|$))", "((^|,)a(,|$))b", "((^|,)a(,|$))|"] {
            assert!(refused("/", &[("x-magento-tags-pattern", other)]).contains("Surrogate-Key"), "{other}");
        }
        assert!(refused("/", &[("surrogate-key", " ")]).contains("no tag"));
        assert!(refused("/page", &[("surrogate-key", "a")]).contains("no path"));
        let many: Vec<String> = (0..=TAGS_MAX).map(|tag| tag.to_string()).collect();
        assert!(refused("/", &[("surrogate-key", &many.join(" "))]).contains("at most"));
    }
}
