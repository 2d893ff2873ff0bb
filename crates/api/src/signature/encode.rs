//! Parameters on the wire, and the one canonical spelling that both signature schemes sign.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// The most bytes that a query and a form body may have together. A thousand lines of a kilobyte each fit in,
/// percent-encoded throughout.
pub const PARAMS_BYTES_MAX: usize = 4 << 20;

/// The most parameters that a request may have.
pub const PARAMS_MAX: usize = 128;

/// The longest name of a parameter, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Decoded parameters by name. Sorted, because that is the order in which they are signed.
pub type Pairs = BTreeMap<String, String>;

/// Why a query or form cannot be read into [`Pairs`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairsError {
    /// More than a limit of this module allows.
    #[error(
        "parameters too large: at most {PARAMS_MAX} of them, {PARAMS_BYTES_MAX} bytes together, {NAME_BYTES_MAX} a name"
    )]
    TooLarge,
    /// A name or value that is not UTF-8 once decoded.
    #[error("parameter {name} is not UTF-8")]
    NotUtf8 {
        /// The name, as far as it is readable.
        name: String,
    },
    /// One name twice. What was signed and what is meant could differ, so neither is taken.
    #[error("parameter {name} appears more than once")]
    Repeated {
        /// The name.
        name: String,
    },
}

/// Percent-encodes as both schemes do: `A-Za-z0-9-_.~` stay, every other byte becomes `%XX` in upper case.
pub fn encode(text: &str) -> impl std::fmt::Display + '_ {
    const SIGNED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, SIGNED)
}

/// Reads query strings and form bodies into one set of parameters.
///
/// `+` and `%20` are both a space; a `%` that starts no escape stands for itself; a name without `=` has an
/// empty value.
pub fn pairs(sources: &[&[u8]]) -> Result<Pairs, PairsError> {
    if sources.iter().map(|source| source.len()).sum::<usize>() > PARAMS_BYTES_MAX {
        return Err(PairsError::TooLarge);
    }
    let mut pairs = Pairs::new();
    let spelled = sources.iter().flat_map(|source| source.split(|byte| *byte == b'&'));
    for pair in spelled.filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        if equals > 3 * NAME_BYTES_MAX {
            return Err(PairsError::TooLarge);
        }
        let name = decode(&pair[..equals]).map_err(|name| PairsError::NotUtf8 { name })?;
        if name.len() > NAME_BYTES_MAX || pairs.len() == PARAMS_MAX {
            return Err(PairsError::TooLarge);
        }
        let value = pair.get(equals + 1..).unwrap_or_default();
        let Ok(value) = decode(value) else { return Err(PairsError::NotUtf8 { name }) };
        if pairs.contains_key(&name) {
            return Err(PairsError::Repeated { name });
        }
        pairs.insert(name, value);
    }
    Ok(pairs)
}

/// The parameters as they are signed: sorted by name, encoded, joined; empty values keep their `=`.
pub fn canonical<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        let separator = if text.is_empty() { "" } else { "&" };
        text.push_str(&format!("{separator}{}={}", encode(name), encode(value)));
    }
    text
}

/// Decodes one name or value; what is not UTF-8 comes back as readable as it gets.
fn decode(spelled: &[u8]) -> Result<String, String> {
    let spaced: Vec<u8> = spelled.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(bytes).map_err(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(source: &str) -> Vec<(String, String)> {
        pairs(&[source.as_bytes()]).unwrap().into_iter().collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn encoding_keeps_only_unreserved_characters() {
        assert_eq!(encode("aZ09-_.~ *+/中\n").to_string(), "aZ09-_.~%20%2A%2B%2F%E4%B8%AD%0A");
    }

    #[test]
    fn spaces_escapes_and_empty_values_are_read() {
        assert_eq!(
            one("b=1+2%203&&a=&c&d=x=y%3d&e=100%"),
            [pair("a", ""), pair("b", "1 2 3"), pair("c", ""), pair("d", "x=y="), pair("e", "100%")]
        );
    }

    #[test]
    fn query_and_form_are_merged_and_sorted() {
        let both = pairs(&[b"Version=2&Action=1", b"Force=true"]).unwrap();
        assert_eq!(canonical(&both), "Action=1&Force=true&Version=2");
    }

    #[test]
    fn names_differ_by_case() {
        assert_eq!(one("a=1&A=2").len(), 2);
    }

    #[test]
    fn a_repeated_name_is_refused_wherever_it_is() {
        let repeated = Err(PairsError::Repeated { name: "a".into() });
        assert_eq!(pairs(&[b"a=1&a=1"]), repeated);
        assert_eq!(pairs(&[b"a=1", b"%61=2"]), repeated);
    }

    #[test]
    fn what_is_not_utf8_is_refused_by_name() {
        assert_eq!(pairs(&[b"a=%FF"]), Err(PairsError::NotUtf8 { name: "a".into() }));
        assert_eq!(pairs(&[b"%FF=a"]), Err(PairsError::NotUtf8 { name: "\u{FFFD}".into() }));
    }

    #[test]
    fn limits_hold() {
        let many: String = (0..=PARAMS_MAX).map(|n| format!("p{n}=&")).collect();
        assert_eq!(pairs(&[many.as_bytes()]), Err(PairsError::TooLarge));
        for name in ["n".repeat(NAME_BYTES_MAX + 1), "%FF".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(pairs(&[name.as_bytes()]), Err(PairsError::TooLarge));
        }
        assert_eq!(pairs(&[&vec![b'&'; PARAMS_BYTES_MAX], b"a"]), Err(PairsError::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_canonical_reads_back_as_itself(set in proptest::collection::btree_map("\\PC{1,8}", any::<String>(), 0..8)) {
            let canonical = canonical(&set);
            prop_assert_eq!(pairs(&[canonical.as_bytes()]).unwrap(), set);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = pairs(&[&bytes]);
        }
    }
}
