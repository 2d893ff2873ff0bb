//! The fields of a form, as a browser sends them.

/// Names with their values, in the form's order; a name may be there several times.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

/// Fields of one form; more are not read.
const FIELDS_MAX: usize = 1_000;

impl Fields {
    /// Reads `application/x-www-form-urlencoded`, which is also what stands in a query.
    pub(crate) fn read(text: &[u8]) -> Fields {
        let pairs = form_urlencoded::parse(text).take(FIELDS_MAX);
        Fields(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value of that name, without spaces around it; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.whole(name).trim()
    }

    /// The same as it was typed.
    pub(crate) fn whole(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_send_them() {
        let fields = Fields::read(b"url=http%3A%2F%2Fa.example%2Fx+&to=a&to=b");
        assert_eq!((fields.text("url"), fields.whole("url")), ("http://a.example/x", "http://a.example/x "));
        assert_eq!((fields.text("to"), fields.text("none")), ("a", ""));
    }
}
