//! Times as the vendor writes them: UTC, `2017-10-10T12:02:54Z`.

use std::fmt;

/// The text is not `YYYY-MM-DDThh:mm:ssZ`, with or without a fraction of the seconds, or names no real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed timestamp, expected YYYY-MM-DDThh:mm:ssZ")]
pub struct Malformed;

/// Reads a timestamp into whole unix seconds; a fraction of one to nine digits is accepted and cut off.
pub fn parse(text: &str) -> Result<i64, Malformed> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !is_fraction_and_zone(&bytes[19..]) {
        return Err(Malformed);
    }
    for (at, separator) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if bytes[at] != separator {
            return Err(Malformed);
        }
    }
    let number = |from: usize, to: usize| digits(&bytes[from..to]).ok_or(Malformed);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_date = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return Err(Malformed);
    }
    Ok(days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Writes unix seconds as `YYYY-MM-DDThh:mm:ssZ`.
pub fn format(unix_seconds: i64) -> impl fmt::Display {
    Timestamp(unix_seconds)
}

struct Timestamp(i64);

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date_from_epoch(self.0.div_euclid(86_400));
        let second = self.0.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

fn is_fraction_and_zone(rest: &[u8]) -> bool {
    match rest {
        b"Z" => true,
        [b'.', fraction @ .., b'Z'] => (1..=9).contains(&fraction.len()) && digits(fraction).is_some(),
        _ => false,
    }
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days in a 400-year cycle of the Gregorian calendar.
const CYCLE_DAYS: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01. Years are counted from March, so that the leap day comes last in them.
const EPOCH_DAYS: i64 = 719_468;

fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - EPOCH_DAYS
}

fn date_from_epoch(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let (cycle, day_of_cycle) = (days.div_euclid(CYCLE_DAYS), days.rem_euclid(CYCLE_DAYS));
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_read_and_write() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2017-10-10T12:02:54Z", 1_507_636_974),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2038-01-19T03:14:08Z", 2_147_483_648),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
            assert_eq!(format(seconds).to_string(), text);
        }
    }

    #[test]
    fn a_fraction_is_accepted_and_cut_off() {
        assert_eq!(parse("2017-10-10T12:02:54.999Z"), Ok(1_507_636_974));
        assert_eq!(parse("2017-10-10T12:02:54.123456789Z"), Ok(1_507_636_974));
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            "",
            "now",
            "1507636974",
            "2017-10-10 12:02:54Z",
            "2017-10-10T12:02:54",
            "2017-10-10T12:02:54+08:00",
            "2017-10-10T12:02:54.Z",
            "2017-10-10T12:02:54.1234567890Z",
            "2017-10-10T12:02Z",
            "2017-02-29T12:02:54Z",
            "2017-13-01T12:02:54Z",
            "2017-00-01T12:02:54Z",
            "2017-10-00T12:02:54Z",
            "2017-10-10T24:02:54Z",
            "2017-10-10T12:60:54Z",
            "2017-10-10T12:02:60Z",
            "+017-10-10T12:02:54Z",
            "２017-10-10T12:02:54Z",
        ] {
            assert_eq!(parse(text), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_of_four_digit_years_comes_back(seconds in -62_167_219_200_i64..253_402_300_800) {
            prop_assert_eq!(parse(&format(seconds).to_string()), Ok(seconds));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
