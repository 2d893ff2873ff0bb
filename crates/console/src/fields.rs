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

    /// A form that is filled in already.
    pub(crate) fn of(filled: &[(&str, &str)]) -> Fields {
        Fields(filled.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The same with one field more; one without a value is left out.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Fields {
        if !value.is_empty() {
            self.0.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Every value of that name that is typed.
    pub(crate) fn each(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim());
        values.filter(|value| !value.is_empty())
    }

    /// The first value of that name, without spaces around it; empty where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.whole(name).trim()
    }

    /// The same as it was typed.
    pub(crate) fn whole(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The value of that name, where one is typed.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Whether a box of that name is ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// What was typed line by line, with its place from 1; empty lines are passed over.
    pub(crate) fn lines(&self, name: &str) -> Vec<(usize, String)> {
        let lines = self.whole(name).lines().zip(1..);
        lines
            .map(|(line, place)| (place, line.trim().to_owned()))
            .filter(|(_, line)| !line.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_send_them() {
        let fields =
            Fields::read(b"urls=http%3A%2F%2Fa.example%2Fx%0D%0A%0D%0A+b+&force=on&to=a&to=b&empty=");
        assert_eq!(fields.lines("urls"), [(1, "http://a.example/x".to_owned()), (3, "b".to_owned())]);
        assert!(fields.ticked("force") && !fields.ticked("empty") && !fields.ticked("none"));
        assert_eq!((fields.given("to"), fields.given("empty")), (Some("a"), None));
        let fields = fields.with("to", "c").with("none", "");
        assert_eq!(fields.each("to").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(fields.each("none").count(), 0);
    }
}
