//! Durations and times as XML Schema writes them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds of an `xs:duration` that is not negative; a year counts 365 days, a month 30.
pub fn duration(text: &str) -> Option<f64> {
    let mut rest = text.strip_prefix('P')?;
    let (mut seconds, mut in_time, mut any) = (0.0, false, false);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            if in_time {
                return None;
            }
            (in_time, rest) = (true, time);
            continue;
        }
        let at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..at].parse().ok()?;
        let unit = match (rest[at..].chars().next()?, in_time) {
            ('Y', false) => 31_536_000.0,
            ('M', false) => 2_592_000.0,
            ('D', false) => 86_400.0,
            ('H', true) => 3_600.0,
            ('M', true) => 60.0,
            ('S', true) => 1.0,
            _ => return None,
        };
        seconds += number * unit;
        // A unit is one byte.
        (rest, any) = (&rest[at + 1..], true);
    }
    (any && seconds.is_finite()).then_some(seconds)
}

/// Seconds since 1970 of an `xs:dateTime`; without a zone it is in UTC.
pub fn unix_seconds(text: &str) -> Option<f64> {
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let time = parse(text).or_else(|| parse(&format!("{text}Z")))?;
    Some(time.unix_timestamp_nanos() as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("PT4S", 4.0),
            ("PT0H1M59.89S", 119.89),
            ("P1DT2H", 93_600.0),
            ("P0Y0M0DT0H3M30.000S", 210.0),
            ("PT.5S", 0.5),
        ] {
            assert_eq!(duration(text), Some(seconds), "{text}");
        }
        for text in ["", "P", "PT", "4S", "-PT4S", "PT4", "P4S", "PTS", "PT1.2.3S", "PTT1S", "PT1\u{e9}"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        assert_eq!(unix_seconds("1970-01-02T00:00:00Z"), Some(86_400.0));
        assert_eq!(unix_seconds("1970-01-02T08:00:00.5+08:00"), Some(86_400.5));
        assert_eq!(unix_seconds("1970-01-02T00:00:00"), Some(86_400.0));
        assert_eq!(unix_seconds("yesterday"), None);
    }
}
