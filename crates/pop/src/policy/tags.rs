//! The tags of an answer, as the fields that the domain names list them.

use freshen_model::domain::Settings;
use freshen_model::protocol::fill::Source;
use freshen_model::tag::Tags;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The field in which a POP tells another all that the origin has ever called the version: a JSON list, or `null` for any.
static TAGS: HeaderName = HeaderName::from_static("freshen-tags");

/// The tags of an answer; their fields are taken out unless the domain shows them to viewers. Of another POP's answer, what
/// that POP says of its copy as well: the origin called it so in other answers. Where it says nothing readable, any.
///
/// To be called before fields that belong to the hop are removed: no `Connection` may take a tag away.
pub fn take(headers: &mut HeaderMap, settings: &Settings, source: Source) -> Tags {
    let mut tags = read(headers, settings);
    let said = headers.remove(&TAGS);
    if source != Source::Origin {
        let names = said.and_then(|said| serde_json::from_slice::<Option<Vec<String>>>(said.as_bytes()).ok());
        tags = tags.with(&match names.flatten() {
            Some(names) => Tags::of(names.iter().map(String::as_str)),
            None => Tags::unknown(),
        });
    }
    hide(headers, settings);
    tags
}

/// Tells another POP the tags of an answer.
pub fn hand_on(headers: &mut HeaderMap, tags: &Tags) {
    let names = (!tags.any()).then(|| tags.names().collect::<Vec<_>>());
    let value = serde_json::to_vec(&names).ok().and_then(|json| HeaderValue::from_bytes(&json).ok());
    headers.insert(&TAGS, value.unwrap_or(HeaderValue::from_static("null")));
}

/// The tags that the fields of an answer list. What is no text matches any tag.
pub fn read(headers: &HeaderMap, settings: &Settings) -> Tags {
    let mut names = Vec::new();
    let mut readable = true;
    for field in &settings.tag_fields {
        for line in headers.get_all(&field.name) {
            match std::str::from_utf8(line.as_bytes()) {
                Ok(line) => names.extend(field.tags(line)),
                Err(_) => readable = false,
            }
        }
    }
    if readable { Tags::of(names) } else { Tags::unknown() }
}

/// Takes out the fields that list tags, unless the domain shows them to viewers, and what POPs tell each other of them.
pub fn hide(headers: &mut HeaderMap, settings: &Settings) {
    headers.remove(&TAGS);
    if !settings.show_tags {
        for field in &settings.tag_fields {
            headers.remove(&field.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("cache-tag", "a, b"), ("cache-tag", "c"), ("surrogate-key", "d  a"), ("x", "y")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn settings() -> Settings {
        Settings::of_origin("http://origin".parse().unwrap())
    }

    #[test]
    fn tags_are_read_and_not_shown() {
        let mut headers = answer();
        assert_eq!(take(&mut headers, &settings(), Source::Origin), Tags::of(["a", "b", "c", "d"]));
        assert_eq!(headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x"]);
        let mut shown = answer();
        take(&mut shown, &Settings { show_tags: true, ..settings() }, Source::Origin);
        assert_eq!(shown, answer());
        let mut none = answer();
        assert_eq!(
            take(&mut none, &Settings { tag_fields: Vec::new(), ..settings() }, Source::Origin),
            Tags::default()
        );
        assert_eq!(none, answer());
    }

    #[test]
    fn p1_what_cannot_be_read_matches_any_tag() {
        let mut headers = answer();
        headers.append("cache-tag", HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(take(&mut headers, &settings(), Source::Origin).any());
        assert!(!headers.contains_key("cache-tag"));
    }

    #[test]
    fn p1_another_pop_tells_all_tags_of_its_copy() {
        let of_pop = Source::Pop { checked: freshen_model::ids::Seq(1), level: 1 };
        for tags in [Tags::default(), Tags::of(["a", "b c", "d,\"e\"", "é\t\\"]), Tags::unknown()] {
            let mut headers = answer();
            hand_on(&mut headers, &tags);
            let all = tags.with(&Tags::of(["a", "b", "c", "d"]));
            assert_eq!(take(&mut headers, &settings(), of_pop), all);
            assert_eq!(headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x"]);
        }
        assert!(take(&mut answer(), &settings(), of_pop).any(), "what it does not say may be anything");
        let mut headers = answer();
        hand_on(&mut headers, &Tags::of(["x"]));
        assert_eq!(take(&mut headers, &settings(), Source::Origin), Tags::of(["a", "b", "c", "d"]));
        headers.insert(&TAGS, HeaderValue::from_static("[\"a\""));
        assert!(take(&mut headers, &settings(), of_pop).any());
    }
}
