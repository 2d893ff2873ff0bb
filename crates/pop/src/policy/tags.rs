//! The tags of an answer, as the fields that the domain names list them.

use freshen_model::domain::Settings;
use freshen_model::tag::Tags;
use http::HeaderMap;

/// The tags that an answer lists; their fields are taken out unless the domain shows them to viewers.
///
/// To be called before fields that belong to the hop are removed: no `Connection` may take a tag away. What is no text
/// matches any tag.
pub fn take(headers: &mut HeaderMap, settings: &Settings) -> Tags {
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
    let tags = if readable { Tags::of(names) } else { Tags::unknown() };
    hide(headers, settings);
    tags
}

/// Takes out the fields that list tags, unless the domain shows them to viewers.
pub fn hide(headers: &mut HeaderMap, settings: &Settings) {
    if !settings.show_tags {
        for field in &settings.tag_fields {
            headers.remove(&field.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
        assert_eq!(take(&mut headers, &settings()), Tags::of(["a", "b", "c", "d"]));
        assert_eq!(headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x"]);
        let mut shown = answer();
        take(&mut shown, &Settings { show_tags: true, ..settings() });
        assert_eq!(shown, answer());
        let mut none = answer();
        assert_eq!(take(&mut none, &Settings { tag_fields: Vec::new(), ..settings() }), Tags::default());
        assert_eq!(none, answer());
    }

    #[test]
    fn p1_what_cannot_be_read_matches_any_tag() {
        let mut headers = answer();
        headers.append("cache-tag", HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(take(&mut headers, &settings()).any());
        assert!(!headers.contains_key("cache-tag"));
    }
}
