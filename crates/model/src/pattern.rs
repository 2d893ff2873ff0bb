//! A pattern of URLs: a regular expression that the whole of a key's path and query must match.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1_024;
/// What a compiled pattern may take, and as much again for what matching finds out on the way; bytes.
const COMPILED_BYTES_MAX: usize = 64 << 10;
/// How deep groups and repetitions may be nested.
const NEST_MAX: u32 = 32;

/// A regular expression over a key's path and query, as the key has them: percent-encodings in upper case, a `?` before
/// the query. The whole must match, as if the pattern stood between `^` and `$`; `.` and classes are of ASCII characters.
///
/// Matching takes time in proportion to the length of the text, whatever the pattern: there are no back-references and no
/// look-around. Compiled once, at the first need, for all clones.
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    compiled: Arc<OnceLock<Result<Regex, BadPattern>>>,
}

/// Why a text is no pattern; says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Longer than [`PATTERN_BYTES_MAX`].
    #[error("longer than 1024 bytes, purge a directory instead")]
    TooLong,
    /// It could match nothing, since no path begins otherwise.
    #[error("the pattern does not begin with /, write /.* before it to match in every directory")]
    NotAbsolute,
    /// It could match nothing, since keys hold none.
    #[error("raw {0:?} in the pattern, which no URL holds, write it percent-encoded")]
    NotUri(char),
    /// A regular expression has none, or one that takes too long to match.
    #[error("not a regular expression: {0}; write \\ before a character that stands for itself")]
    Syntax(String),
    /// It takes more than 64 KiB when compiled.
    #[error("too large when compiled, write fewer or smaller repetitions, or purge a directory instead")]
    TooLarge,
}

impl Pattern {
    /// A pattern of that text, not compiled yet: whether it is one at all, [`Pattern::compile`] says.
    pub fn new(text: &str) -> Pattern {
        Pattern { text: text.into(), compiled: Arc::default() }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Compiles it, unless that is done already.
    pub fn compile(&self) -> Result<&Regex, BadPattern> {
        self.compiled.get_or_init(|| compile(&self.text)).as_ref().map_err(Clone::clone)
    }

    /// Whether it matches the whole of that path and query; never, where it does not compile.
    pub fn matches(&self, path_and_query: &str) -> bool {
        self.compile().is_ok_and(|regex| regex.is_match(path_and_query.as_bytes()))
    }
}

/// Several patterns as one, so that a text that none of them matches is read once.
#[derive(Debug)]
pub struct Patterns(Option<RegexSet>);

impl Patterns {
    /// These patterns; those that do not compile match nothing.
    pub fn new<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Patterns {
        let texts: Vec<String> = patterns
            .filter(|pattern| pattern.compile().is_ok())
            .map(|pattern| anchored(&pattern.text))
            .collect();
        let bytes_max = COMPILED_BYTES_MAX * texts.len().max(1);
        let built = RegexSetBuilder::new(texts)
            .unicode(false)
            .size_limit(bytes_max)
            .dfa_size_limit(bytes_max)
            .nest_limit(NEST_MAX)
            .build();
        Patterns(built.ok())
    }

    /// False only where none of them matches.
    pub fn may_match(&self, path_and_query: &str) -> bool {
        self.0.as_ref().is_none_or(|any| any.is_match(path_and_query.as_bytes()))
    }
}

fn compile(text: &str) -> Result<Regex, BadPattern> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(BadPattern::TooLong);
    }
    if !text.starts_with('/') {
        return Err(BadPattern::NotAbsolute);
    }
    if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(BadPattern::NotUri(c));
    }
    // By itself first: what is balanced only between the anchors would take them apart.
    build(text)?;
    build(&anchored(text))
}

fn anchored(text: &str) -> String {
    format!("^(?:{text})$")
}

fn build(text: &str) -> Result<Regex, BadPattern> {
    let built = RegexBuilder::new(text)
        .unicode(false)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NEST_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => BadPattern::TooLarge,
        error => BadPattern::Syntax(reason(&error)),
    })
}

/// The last line of what the engine says, which draws the pattern before it.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        Ok(Pattern::new(&std::borrow::Cow::<'de, str>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).compile().unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn the_whole_of_path_and_query_must_match() {
        for (pattern, inside, outside) in [
            ("/[0-9][a-z].*.jpg", "/1a/b/c.jpg", "/1a/b/c.jpg?v=1"),
            ("/a/[^/]*", "/a/b?c=1", "/a/b/c"),
            ("/a", "/a", "/ab"),
            ("/a|/b", "/b", "/b/a"),
            (r"/a\?v=[0-9]+", "/a?v=12", "/a"),
            (r"/\w+\.(?i:jpe?g)", "/x_1.JPG", "/x-1.jpg"),
            ("/.*%2F.*", "/a%2Fb", "/a%2fb"),
        ] {
            assert!(matches(pattern, inside), "{pattern} {inside}");
            assert!(!matches(pattern, outside), "{pattern} {outside}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told_why() {
        let why = |text: &str| Pattern::new(text).compile().unwrap_err();
        assert_eq!(why("[0-9]+"), BadPattern::NotAbsolute);
        assert_eq!(why("/a b"), BadPattern::NotUri(' '));
        assert_eq!(why("/é"), BadPattern::NotUri('é'));
        assert_eq!(why(&format!("/{}", "a".repeat(PATTERN_BYTES_MAX))), BadPattern::TooLong);
        assert_eq!(why("/(?:[a-z]{1,1000}){1,1000}"), BadPattern::TooLarge);
        for text in
            ["/(", "/[a", "/(?=a)", "/(a)\\1", "/a)(", &format!("/{}{}", "(".repeat(40), ")".repeat(40))]
        {
            let BadPattern::Syntax(reason) = why(text) else { panic!("{text}") };
            assert!(!reason.is_empty() && !reason.contains('\n'), "{text}: {reason}");
        }
    }

    #[test]
    fn p1_none_of_several_is_passed_over() {
        let patterns = ["/a", "/(", "/b/.*[.]jpg", "/c{1,9}"].map(Pattern::new);
        let any = Patterns::new(patterns.iter());
        for (text, due) in [("/a", true), ("/b/x.jpg", true), ("/cc", true), ("/", false), ("/aa", false)] {
            assert_eq!(any.may_match(text), due, "{text}");
            assert_eq!(patterns.iter().any(|pattern| pattern.matches(text)), due, "{text}");
        }
    }

    #[test]
    fn a_pattern_travels_as_its_text() {
        let pattern = Pattern::new("/a\\?b");
        let text = serde_json::to_string(&pattern).unwrap();
        assert_eq!(serde_json::from_str::<Pattern>(&text).unwrap(), pattern);
    }
}
