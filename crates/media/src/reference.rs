//! References in playlists: from what is written there to a location (RFC 3986 §5).

use freshen_model::domain::QueryPolicy;
use freshen_model::key::{BadPath, Key};
use freshen_model::location::{BadUrl, Location, host_of};

/// Where a reference leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Url {
    /// Something that `http` or `https` fetches, its path normalised.
    Web(Place),
    /// Anything else: `data:`, `skd:`, `urn:`, or an address instead of a name.
    Other(String),
}

/// A [`Location`] whose path and query are normalised as a key's are, so that equal ones name the same object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Lower case, without port and trailing dot.
    pub host: String,
    /// Begins with `/`; holds the query.
    pub path_and_query: String,
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReference {
    /// Its host.
    #[error(transparent)]
    Host(#[from] BadUrl),
    /// Its path.
    #[error(transparent)]
    Path(#[from] BadPath),
}

/// What references are relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(Place);

impl Place {
    /// Normalises; the query is kept whole, whatever the domain's settings make of it later.
    fn new(host: String, path_and_query: &str) -> Result<Place, BadReference> {
        let key = Key::new("", &QueryPolicy::Keep, path_and_query)?;
        Ok(Place { host, path_and_query: key.path_and_query().to_owned() })
    }
}

impl From<Place> for Location {
    fn from(place: Place) -> Location {
        Location { host: place.host, path_and_query: place.path_and_query }
    }
}

impl Base {
    /// A playlist's own place.
    pub fn of(host: &str, path_and_query: &str) -> Result<Base, BadReference> {
        Ok(Base(Place::new(host.to_owned(), path_and_query)?))
    }

    /// The same, of one that a playlist named.
    pub fn at(place: Place) -> Base {
        Base(place)
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.0
    }

    /// Resolves a reference, as RFC 3986 §5.2.2 says. The fragment is dropped; what no URI may hold raw is encoded.
    pub fn resolve(&self, reference: &str) -> Result<Url, BadReference> {
        let reference = reference.trim().split('#').next().unwrap_or_default();
        if let Some((scheme, rest)) = scheme_of(reference) {
            let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
            return match rest.strip_prefix("//") {
                Some(rest) if is_web => with_authority(reference, rest),
                _ => Ok(Url::Other(reference.to_owned())),
            };
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return with_authority(reference, rest);
        }
        let here = &self.0.path_and_query;
        let path = here.split('?').next().unwrap_or_default();
        let merged = match reference.as_bytes().first() {
            None => here.clone(),
            Some(b'/') => reference.to_owned(),
            Some(b'?') => format!("{path}{reference}"),
            // Up to the last slash of what is here.
            Some(_) => format!("{}{reference}", &path[..=path.rfind('/').unwrap_or(0)]),
        };
        Ok(Url::Web(Place::new(self.0.host.clone(), &merged)?))
    }

    /// The base that a base reference (`BaseURL`) makes of this one; `None` where that is no web address.
    pub fn join(&self, reference: &str) -> Result<Option<Base>, BadReference> {
        Ok(match self.resolve(reference)? {
            Url::Web(place) => Some(Base(place)),
            Url::Other(_) => None,
        })
    }

    /// A parameter of its query, as it is written there.
    pub(crate) fn query_parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.0.path_and_query.split_once('?')?;
        let mut parameters = query.split('&').map(|both| both.split_once('=').unwrap_or((both, "")));
        parameters.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    }

    /// This place itself.
    pub fn itself(&self) -> Url {
        Url::Web(self.0.clone())
    }
}

fn with_authority(reference: &str, rest: &str) -> Result<Url, BadReference> {
    let (authority, path) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err(BadUrl::UserInfo.into());
    }
    let host = match host_of(authority) {
        Ok(host) => host.into_owned(),
        // A server of its own, which is no domain of anybody's.
        Err(BadUrl::Address(_)) => return Ok(Url::Other(reference.to_owned())),
        Err(bad) => return Err(bad.into()),
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Url::Web(Place::new(host, &path)?))
}

/// RFC 3986 §3.1: a letter, then letters, digits, `+`, `-`, `.`, before the first colon.
fn scheme_of(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme =
        scheme.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && scheme.bytes().all(letters);
    is_scheme.then_some((scheme, rest))
}

impl Url {
    /// Its bytes in memory.
    pub(crate) fn len(&self) -> usize {
        match self {
            Url::Web(place) => place.host.len() + place.path_and_query.len(),
            Url::Other(text) => text.len(),
        }
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Url::Web(place) => write!(f, "http://{}{}", place.host, place.path_and_query),
            Url::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(reference: &str) -> String {
        Base::of("a.example", "/b/c/d;p?q").unwrap().resolve(reference).unwrap().to_string()
    }

    /// RFC 3986 §5.4, its fragments dropped.
    #[test]
    fn the_examples_of_the_standard_hold() {
        for (reference, target) in [
            ("g:h", "g:h"),
            ("g", "http://a.example/b/c/g"),
            ("./g", "http://a.example/b/c/g"),
            ("g/", "http://a.example/b/c/g/"),
            ("/g", "http://a.example/g"),
            ("//g", "http://g/"),
            ("?y", "http://a.example/b/c/d;p?y"),
            ("g?y", "http://a.example/b/c/g?y"),
            ("#s", "http://a.example/b/c/d;p?q"),
            ("g?y#s", "http://a.example/b/c/g?y"),
            (";x", "http://a.example/b/c/;x"),
            ("", "http://a.example/b/c/d;p?q"),
            (".", "http://a.example/b/c/"),
            ("./", "http://a.example/b/c/"),
            ("..", "http://a.example/b/"),
            ("../g", "http://a.example/b/g"),
            ("../..", "http://a.example/"),
            ("../../g", "http://a.example/g"),
            ("../../../g", "http://a.example/g"),
            ("/./g", "http://a.example/g"),
            ("/../g", "http://a.example/g"),
            ("g.", "http://a.example/b/c/g."),
            ("..g", "http://a.example/b/c/..g"),
            ("./../g", "http://a.example/b/g"),
            ("g/../h", "http://a.example/b/c/h"),
            ("g;x=1/../y", "http://a.example/b/c/y"),
            ("g?y/../x", "http://a.example/b/c/g?y/../x"),
        ] {
            assert_eq!(resolved(reference), target, "{reference:?}");
        }
    }

    #[test]
    fn what_is_written_carelessly_is_read_as_players_do() {
        for (reference, target) in [
            ("HTTPS://B.Example:8443/x?y=1", "http://b.example/x?y=1"),
            ("teil eins.ts", "http://a.example/b/c/teil%20eins.ts"),
            ("\u{e9}.ts", "http://a.example/b/c/%C3%A9.ts"),
            ("a|b[1].ts", "http://a.example/b/c/a%7Cb%5B1%5D.ts"),
            ("%7euser", "http://a.example/b/c/~user"),
            ("data:text/plain,x", "data:text/plain,x"),
            ("http://127.0.0.1/x", "http://127.0.0.1/x"),
            ("//[::1]:80/x", "//[::1]:80/x"),
            ("12:30.ts", "http://a.example/b/c/12:30.ts"),
        ] {
            assert_eq!(resolved(reference), target, "{reference:?}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let base = Base::of("a.example", "/").unwrap();
        for (reference, why) in [
            ("100%.ts", BadReference::Path(BadPath::Percent)),
            ("http://u:p@a.example/", BadReference::Host(BadUrl::UserInfo)),
            ("http:///x", BadReference::Host(BadUrl::NoHost)),
        ] {
            assert_eq!(base.resolve(reference), Err(why), "{reference:?}");
        }
        assert!(base.resolve(&"a".repeat(9_000)).is_err());
    }
}
