//! Dates in fields: RFC 9110 §5.6.7, read as a cache has to read them.

use std::time::Duration;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Where the two digits of an obsolete year begin to mean the last century.
const CENTURY_TURNS_AT: u64 = 70;

/// A date in one of the three forms that have to be understood, as time since 1970; `None` for anything else.
///
/// Each form is taken to the letter, but for case (RFC 9111 §4.2) and for whether the day of the week is the right one.
pub fn parse(text: &str) -> Option<Duration> {
    let (day, rest) = text.split_once(' ')?;
    let (day, month, year, time) = match day.strip_suffix(',') {
        Some(day) if is_weekday(day, 3) => of_fixdate(rest)?,
        Some(day) if is_weekday(day, usize::MAX) => of_rfc850(rest)?,
        None if is_weekday(day, 3) => of_asctime(rest)?,
        _ => return None,
    };
    seconds(day, month, year, time).map(Duration::from_secs)
}

/// `06 Nov 1994 08:49:37 GMT`
fn of_fixdate(text: &str) -> Option<(u64, usize, u64, &str)> {
    let [day, month, year, time] = parts(greenwich(text)?, ' ')?;
    Some((number(day, 2)?, month_of(month)?, number(year, 4)?, time))
}

/// `06-Nov-94 08:49:37 GMT`
fn of_rfc850(text: &str) -> Option<(u64, usize, u64, &str)> {
    let [date, time] = parts(greenwich(text)?, ' ')?;
    let [day, month, year] = parts(date, '-')?;
    let year = number(year, 2)?;
    let century = if year < CENTURY_TURNS_AT { 2000 } else { 1900 };
    Some((number(day, 2)?, month_of(month)?, century + year, time))
}

/// `Nov  6 08:49:37 1994`
fn of_asctime(text: &str) -> Option<(u64, usize, u64, &str)> {
    let (month, rest) = text.split_once(' ')?;
    let (day, digits) = match rest.strip_prefix(' ') {
        Some(rest) => (rest, 1),
        None => (rest, 2),
    };
    let [day, time, year] = parts(day, ' ')?;
    Some((number(day, digits)?, month_of(month)?, number(year, 4)?, time))
}

fn greenwich(text: &str) -> Option<&str> {
    let (rest, zone) = text.rsplit_once(' ')?;
    zone.eq_ignore_ascii_case("GMT").then_some(rest)
}

/// The parts between separators, if there are exactly so many.
fn parts<const COUNT: usize>(text: &str, separator: char) -> Option<[&str; COUNT]> {
    let mut parts = [""; COUNT];
    let mut found = text.split(separator);
    for part in &mut parts {
        *part = found.next()?;
    }
    found.next().is_none().then_some(parts)
}

fn is_weekday(text: &str, letters: usize) -> bool {
    WEEKDAYS.iter().any(|day| day[..letters.min(day.len())].eq_ignore_ascii_case(text))
}

fn month_of(text: &str) -> Option<usize> {
    MONTHS.iter().position(|month| month.eq_ignore_ascii_case(text))
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let sound = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.parse().ok()).flatten()
}

/// Seconds since 1970 of a day, a month counted from 0, a year and `08:49:37`. A leap second counts as the next one.
fn seconds(day: u64, month: usize, year: u64, time: &str) -> Option<u64> {
    let [hour, minute, second] = parts(time, ':')?;
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leaps(year) > leaps(year.checked_sub(1)?);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let sound =
        year >= 1970 && (1..=lengths[month]).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let days = (year.checked_sub(1970)?) * 365 + leaps(year - 1) - leaps(1969)
        + lengths[..month].iter().sum::<u64>()
        + day.checked_sub(1)?;
    sound.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::SystemTime;

    fn read(text: &str) -> Option<u64> {
        parse(text).map(|time| time.as_secs())
    }

    #[test]
    fn three_forms_in_any_case() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 nOV 1994 08:49:37 gmt",
            // Whoever computes the day of the week wrongly still means the date.
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(read(text), Some(784_111_777), "{text}");
        }
        assert_eq!(read("Thu, 18 Aug 2050 02:01:18 GMT"), read("Thursday, 18-Aug-50 02:01:18 GMT"));
        assert_eq!(read("Thu, 18 Aug 2050 02:01:18 GMT"), read("Thu Aug 18 02:01:18 2050"));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(read("Sun, 21 Nov 2286 04:46:39 GMT"), Some(10_000_039_599));
        assert_eq!(read("Wed, 31 Dec 1998 23:59:60 GMT"), read("Fri, 01 Jan 1999 00:00:00 GMT"));
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18-Aug-50 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 8 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Tue, 29 Feb 2050 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 31 Apr 2050 02:01:18 GMT",
            "Thu, 18 Foo 2050 02:01:18 GMT",
            "Foo, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 1969 02:01:18 GMT",
            "Thu, 18 Aug 0000 02:01:18 GMT",
            "Thu Aug 8 02:01:18 2050",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_is_read_as_it_is_written(second in 0u64..253_402_300_800) {
            let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            prop_assert_eq!(read(&text), Some(second));
        }

        #[test]
        fn nothing_panics(text in "\\PC*", near in "(Thu|Thursday),? [0-9 -]{0,4}(Aug)?[0-9 :-]{0,16}( GMT)?") {
            let _ = (parse(&text), parse(&near));
        }
    }
}
