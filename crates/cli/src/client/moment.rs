//! Moments, as people write and read them. All are UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_S: i64 = 86_400;

/// Now, seconds since 1970.
pub fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Reads a moment to come, as seconds since 1970: `2026-12-24T02:00:00Z` (RFC 3339, with any offset), `02:00` (the next
/// time that a clock shows it in UTC), or `+90s`, `+30m`, `+2h`, `+1d` from `now_s` on.
pub fn parse(text: &str, now_s: i64) -> Result<i64, String> {
    let read = match text.strip_prefix('+') {
        Some(after) => span(after).and_then(|span| now_s.checked_add(span)),
        None if text.len() <= 5 => time_of_day(text).map(|of_day| {
            let today = now_s - now_s.rem_euclid(DAY_S) + of_day;
            if today > now_s { today } else { today + DAY_S }
        }),
        None => timestamp(text),
    };
    read.ok_or_else(|| format!("{text:?} is no time: write +2h, 02:00 (UTC) or 2026-12-24T02:00:00Z"))
}

/// Reads how long something takes: seconds, or a number with s, m, h or d.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, "s"),
    };
    let seconds = match unit {
        "d" => 86_400.0,
        "h" => 3_600.0,
        "m" => 60.0,
        _ => 1.0,
    };
    let number: f64 =
        digits.parse().map_err(|_| format!("{text:?} is no duration: write 90, 90s, 5m, 2h or 1d"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

fn span(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => DAY_S,
        _ => return None,
    };
    number(&text[..text.len() - 1])?.checked_mul(unit)
}

fn time_of_day(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (two_digits(hours, 23)?, two_digits(minutes, 59)?);
    Some(hours * 3_600 + minutes * 60)
}

/// RFC 3339 §5.6; fractions of seconds are cut off.
fn timestamp(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let (date, offset_s) = match rest.strip_suffix(['Z', 'z']) {
        Some(time) => ((date, time), 0),
        None => {
            let at = rest.rfind(['+', '-'])?;
            let offset_s = time_of_day(&rest[at + 1..])?;
            ((date, &rest[..at]), if rest[at..].starts_with('-') { -offset_s } else { offset_s })
        }
    };
    // What is left is what the API's own timestamps are.
    let (date, time) = date;
    freshen_api::timestamp::parse(&format!("{date}T{time}Z")).ok().map(|local_s| local_s - offset_s)
}

fn two_digits(text: &str, max: i64) -> Option<i64> {
    number(text).filter(|number| text.len() == 2 && *number <= max)
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A moment, to be read by people; seconds since 1970.
pub fn show(at_s: i64) -> String {
    freshen_api::timestamp::format(at_s).to_string()
}

/// The time of day of a moment, to be read by people; milliseconds since 1970.
pub fn clock(at_ms: i64) -> String {
    let seconds = at_ms.div_euclid(1_000).rem_euclid(DAY_S);
    format!("{:02}:{:02}:{:02} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A span of time, to be read by people.
pub fn span_text(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T12:00:00Z.
    const NOON: i64 = 1_795_348_800;

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, at) in [
            ("+90s", NOON + 90),
            ("+30m", NOON + 1_800),
            ("+2h", NOON + 7_200),
            ("+1d", NOON + DAY_S),
            ("12:01", NOON + 60),
            ("12:00", NOON + DAY_S),
            ("02:00", NOON + 14 * 3_600),
            ("2026-11-22T13:00:00Z", NOON + 3_600),
            ("2026-11-22T13:00:00+01:00", NOON),
            ("2026-11-22 07:00:00.5-05:00", NOON),
        ] {
            assert_eq!(parse(text, NOON), Ok(at), "{text}");
        }
        for text in
            ["", "+", "+2", "+2w", "+-2h", "24:00", "2:00", "noon", "2026-13-01T00:00:00Z", "2026-11-22"]
        {
            assert!(parse(text, NOON).unwrap_err().contains("is no time"), "{text}");
        }
    }
}
