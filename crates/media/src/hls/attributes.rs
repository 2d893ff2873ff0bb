//! Attribute lists (RFC 8216 §4.2): `NAME=value,NAME="quoted, value"`.

/// The attributes of one tag.
pub struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    /// Reads them; the error says what is wrong.
    pub fn parse(text: &'a str) -> Result<Attributes<'a>, &'static str> {
        let mut attributes = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, behind) = rest.split_once('=').ok_or("an attribute without =")?;
            let (value, behind) = match behind.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or("a quotation mark that is not closed")?,
                None => behind.split_at(behind.find(',').unwrap_or(behind.len())),
            };
            attributes.push((name.trim(), value.trim()));
            rest = match behind.trim_start() {
                "" => "",
                behind => behind.strip_prefix(',').ok_or("no comma between two attributes")?.trim_start(),
            };
        }
        Ok(Attributes(attributes))
    }

    /// The value of one, without its quotation marks; of several with this name the first counts.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_commas_belong_to_the_value() {
        let attributes =
            Attributes::parse(r#"BANDWIDTH=1280000, CODECS="avc1,mp4a", URI="a,b=c.m3u8" "#).unwrap();
        assert_eq!(attributes.get("BANDWIDTH"), Some("1280000"));
        assert_eq!(attributes.get("CODECS"), Some("avc1,mp4a"));
        assert_eq!(attributes.get("URI"), Some("a,b=c.m3u8"));
        assert_eq!(attributes.get("AUDIO"), None);
    }

    #[test]
    fn what_is_malformed_is_said() {
        assert_eq!(Attributes::parse("BANDWIDTH").err(), Some("an attribute without ="));
        assert_eq!(Attributes::parse("URI=\"x").err(), Some("a quotation mark that is not closed"));
        assert_eq!(Attributes::parse("URI=\"x\"y=1").err(), Some("no comma between two attributes"));
    }
}
