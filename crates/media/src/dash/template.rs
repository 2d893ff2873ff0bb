//! Templates of addresses: `video_$RepresentationID$_$Number%05d$.m4s` (ISO/IEC 23009-1 §5.3.9.4.4).

/// The widest that a number may be filled up to; wider than any number.
const WIDTH_MAX: usize = 20;

/// A template, read.
pub struct Template<'a>(Vec<Piece<'a>>);

enum Piece<'a> {
    Text(&'a str),
    Number(usize),
    Time(usize),
}

impl<'a> Template<'a> {
    /// Reads it; the error names the identifier that is wrong.
    pub fn parse(text: &'a str, representation: &'a str, bandwidth: &'a str) -> Result<Template<'a>, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            let (identifier, behind) = behind.split_once('$').ok_or("a $ that is not closed")?;
            let (name, width) = match identifier.split_once('%') {
                Some((name, format)) => (name, width(format).ok_or(format!("%{format} is no %0…d"))?),
                None => (identifier, 1),
            };
            pieces.push(Piece::Text(before));
            pieces.push(match name {
                "" => Piece::Text("$"),
                "RepresentationID" => Piece::Text(representation),
                "Bandwidth" => Piece::Text(bandwidth),
                "Number" => Piece::Number(width),
                "Time" => Piece::Time(width),
                _ => return Err(format!("${name}$ is not understood")),
            });
            rest = behind;
        }
        pieces.push(Piece::Text(rest));
        Ok(Template(pieces))
    }

    /// The address of one segment.
    pub fn fill(&self, number: u64, time: u64) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match *piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Number(width) => out.push_str(&format!("{number:0width$}")),
                Piece::Time(width) => out.push_str(&format!("{time:0width$}")),
            }
        }
        out
    }
}

/// `05d`.
fn width(format: &str) -> Option<usize> {
    let digits = format.strip_prefix('0')?.strip_suffix('d')?;
    digits.parse().ok().filter(|width| *width <= WIDTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        Ok(Template::parse(text, "v1", "800000")?.fill(7, 90_000))
    }

    #[test]
    fn identifiers_are_replaced() {
        assert_eq!(filled("a.m4s").unwrap(), "a.m4s");
        assert_eq!(filled("$RepresentationID$/$Number%05d$.m4s").unwrap(), "v1/00007.m4s");
        assert_eq!(filled("$Bandwidth$-$Time$-$Number$$$").unwrap(), "800000-90000-7$");
        assert_eq!(filled("$Time%03d$").unwrap(), "90000");
    }

    #[test]
    fn others_are_refused() {
        for text in ["$Number", "$SubNumber$", "$Number%5x$", "$Number%0999999999d$", "$number$"] {
            assert!(filled(text).is_err(), "{text}");
        }
    }
}
