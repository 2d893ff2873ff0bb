//! Times, sizes and numbers, as people read them.

use std::fmt::Write as _;

use maud::{Markup, html};
use time::OffsetDateTime;

/// A wall-clock time in milliseconds since 1970, as UTC to the second; machines get it whole.
pub(crate) fn time(ms: i64) -> Markup {
    let (day, clock) = day_and_clock(ms);
    html! { time datetime={ (day) "T" (clock) "Z" } { (day) " " (clock) } }
}

/// The same to the minute, for where there is little room: without the year.
pub(crate) fn minute(ms: i64) -> String {
    let (day, clock) = day_and_clock(ms);
    format!("{} {}", day.get(5..).unwrap_or_default(), clock.get(..5).unwrap_or_default())
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

/// A span of time, to two digits or so.
pub(crate) fn span(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms @ 1_000..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        ms @ 60_000..7_200_000 => format!("{} min {} s", ms / 60_000, ms / 1_000 % 60),
        ms => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// Bytes in the unit that leaves one to three digits before the point.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if value < 999.5 || units.peek().is_none() {
            let whole = unit == "B" || value >= 99.95;
            return if whole { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_000.0;
    }
    count.to_string()
}

/// What a field for date and time holds, which is UTC here; milliseconds since 1970.
pub(crate) fn read_time(text: &str) -> Option<i64> {
    let (day, clock) = text.split_once('T')?;
    let mut day = day.splitn(3, '-').map(|part| part.parse::<i32>().ok());
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let mut clock = clock.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().flatten().unwrap_or(0));
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = time::Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
    let at = date.with_hms(hour, minute, second).ok()?.assume_utc();
    at.unix_timestamp().checked_mul(1_000)
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

/// `1 line`, `2 lines`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    format!("{} {one}{}", number(count), if count == 1 { "" } else { "s" })
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
        assert_eq!([7, 1_250, 65_000, 7_260_000].map(span), ["7 ms", "1.2 s", "1 min 5 s", "2 h 1 min"]);
        let noon = time(1_795_348_800_123).into_string();
        assert_eq!(minute(1_795_348_859_999), "11-22 12:00");
        assert_eq!(noon, r#"<time datetime="2026-11-22T12:00:00Z">2026-11-22 12:00:00</time>"#);
    }

    #[test]
    fn a_field_for_date_and_time_is_read() {
        assert_eq!(read_time("2026-11-22T12:00"), Some(1_795_348_800_000));
        assert_eq!(read_time("2026-11-22T12:00:05"), Some(1_795_348_805_000));
        for none in ["", "soon", "2026-13-22T12:00", "2026-11-22", "2026-11-22T25:00", "99999999-01-01T00:00"]
        {
            assert_eq!(read_time(none), None, "{none}");
        }
    }

    #[test]
    fn numbers_are_told_with_their_thousands_and_bytes_in_their_unit() {
        let told = [0, 999, 1_000, 99_940, 123_456, 1 << 30, u64::MAX].map(bytes);
        assert_eq!(told, ["0 B", "999 B", "1.0 kB", "99.9 kB", "123 kB", "1.1 GB", "18446744 TB"]);
        assert_eq!([counted(1, "line"), counted(2_000, "line")], ["1 line", "2,000 lines"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }
}
