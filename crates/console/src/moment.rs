//! Times and numbers, as people read them.

use std::fmt::Write as _;

use maud::{Markup, html};
use time::OffsetDateTime;

/// A wall-clock time in milliseconds since 1970, as UTC to the second; machines get it whole.
pub(crate) fn time(ms: i64) -> Markup {
    let (day, clock) = day_and_clock(ms);
    html! { time datetime={ (day) "T" (clock) "Z" } { (day) " " (clock) } }
}

fn day_and_clock(ms: i64) -> (String, String) {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let day = format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day());
    (day, format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second()))
}

/// How long ago, in the largest unit that fits.
pub(crate) fn ago(then_ms: Option<i64>, at_ms: i64) -> String {
    let Some(then_ms) = then_ms else { return "never".into() };
    match (at_ms - then_ms).max(0) / 1_000 {
        0 => "now".into(),
        seconds @ 1..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// A number with its thousands apart.
pub(crate) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_unit_that_fits() {
        let ago = |seconds: i64| ago(Some(0), seconds * 1_000);
        let told: Vec<String> = [-5, 0, 119, 120, 7_200, 172_800].map(ago).into();
        assert_eq!(told, ["now", "now", "119 s ago", "2 min ago", "2 h ago", "2 days ago"]);
        assert_eq!(super::ago(None, 0), "never");
        let noon = time(1_795_348_800_123).into_string();
        assert_eq!(noon, r#"<time datetime="2026-11-22T12:00:00Z">2026-11-22 12:00:00</time>"#);
    }

    #[test]
    fn numbers_are_told_with_their_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }
}
