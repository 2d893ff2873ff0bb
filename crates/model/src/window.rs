//! Daily windows: the hours in which a prefetch may fetch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const MINUTE_MS: i64 = 60_000;
const DAY_MIN: u16 = 24 * 60;
/// The farthest that a clock on earth is from UTC, minutes.
const OFFSET_MIN_MAX: i16 = 14 * 60;

/// Hours of each day, as `02:00-06:00+08:00`: from the first minute to just before the last, by a clock that is so far from
/// UTC (`Z`: not at all). One that ends before it begins lasts over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// Minute of the day when it opens.
    opens_min: u16,
    /// Minute of the day when it closes; never the same.
    closes_min: u16,
    /// Minutes east of UTC.
    offset_min: i16,
}

/// A text that is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no window: write 02:00-06:00+08:00, or 22:30-05:00Z; two times that differ, and the clock's offset"
)]
pub struct BadWindow(pub String);

impl Window {
    /// Whether it is open, wall-clock milliseconds since 1970.
    pub fn is_open(&self, at_ms: i64) -> bool {
        let minute = self.minute(at_ms);
        match self.opens_min < self.closes_min {
            true => (self.opens_min..self.closes_min).contains(&minute),
            false => minute >= self.opens_min || minute < self.closes_min,
        }
    }

    /// When it next opens or closes after that time, in the same milliseconds.
    pub fn changes_ms(&self, at_ms: i64) -> i64 {
        let next = if self.is_open(at_ms) { self.closes_min } else { self.opens_min };
        let minutes = (next + DAY_MIN - self.minute(at_ms)) % DAY_MIN;
        // The minute that it changes in has not come: it would have changed.
        at_ms - at_ms.rem_euclid(MINUTE_MS) + i64::from(minutes) * MINUTE_MS
    }

    /// The minute of the day on its clock.
    fn minute(&self, at_ms: i64) -> u16 {
        let minutes = at_ms.div_euclid(MINUTE_MS).saturating_add(self.offset_min.into());
        minutes.rem_euclid(DAY_MIN.into()) as u16
    }
}

impl FromStr for Window {
    type Err = BadWindow;

    fn from_str(text: &str) -> Result<Window, BadWindow> {
        read(text).ok_or_else(|| BadWindow(text.chars().take(80).collect()))
    }
}

fn read(text: &str) -> Option<Window> {
    let (opens, rest) = text.split_once('-')?;
    let (closes, offset) = (rest.get(..5)?, rest.get(5..)?);
    let offset_min = match (offset.get(..1)?, offset.get(1..)?) {
        ("Z" | "z", "") => 0,
        ("+", east) => i16::try_from(time(east)?).ok()?,
        ("-", west) => -i16::try_from(time(west)?).ok()?,
        _ => return None,
    };
    let (opens_min, closes_min) = (time(opens)?, time(closes)?);
    let fits = opens_min != closes_min && (-OFFSET_MIN_MAX..=OFFSET_MIN_MAX).contains(&offset_min);
    fits.then_some(Window { opens_min, closes_min, offset_min })
}

/// `hh:mm` as minutes.
fn time(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten().filter(|number| *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

impl fmt::Display for Window {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (opens, closes) = (self.opens_min, self.closes_min);
        write!(f, "{:02}:{:02}-{:02}:{:02}", opens / 60, opens % 60, closes / 60, closes % 60)?;
        let (sign, away) = (if self.offset_min < 0 { '-' } else { '+' }, self.offset_min.unsigned_abs());
        match away {
            0 => f.write_str("Z"),
            _ => write!(f, "{sign}{:02}:{:02}", away / 60, away % 60),
        }
    }
}

impl TryFrom<String> for Window {
    type Error = BadWindow;

    fn try_from(text: String) -> Result<Window, BadWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> String {
        window.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-22T00:00:00Z.
    const MIDNIGHT: i64 = 1_795_305_600_000;

    fn at(hours: i64, minutes: i64) -> i64 {
        MIDNIGHT + (hours * 60 + minutes) * MINUTE_MS
    }

    fn window(text: &str) -> Window {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_opens_and_closes_by_its_own_clock() {
        let morning = window("02:00-06:00+08:00");
        for (at_ms, open, changes) in [
            (at(17, 59), false, at(18, 0)),
            (at(18, 0), true, at(22, 0)),
            (at(22, 0) - 1, true, at(22, 0)),
            (at(22, 0), false, at(42, 0)),
        ] {
            assert_eq!((morning.is_open(at_ms), morning.changes_ms(at_ms)), (open, changes));
        }
    }

    #[test]
    fn a_window_that_ends_before_it_begins_lasts_over_midnight() {
        let night = window("22:30-05:00Z");
        for (at_ms, open, changes) in [
            (at(22, 29), false, at(22, 30)),
            (at(22, 30), true, at(29, 0)),
            (at(4, 59), true, at(5, 0)),
            (at(5, 0), false, at(22, 30)),
        ] {
            assert_eq!((night.is_open(at_ms), night.changes_ms(at_ms)), (open, changes));
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "02:00",
            "02:00-06:00",
            "2:00-6:00Z",
            "02:00-02:00Z",
            "24:00-06:00Z",
            "02:60-06:00Z",
            "02:00-06:00+15:00",
            "02:00-06:00+8",
            "02:00 - 06:00Z",
            "02:00-06:00ZZ",
            "02:00-06:0é+08:00",
            "02:00-06:00+08:00 ",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Window>("\"never\"").is_err());
    }

    proptest! {
        #[test]
        fn a_window_is_written_as_it_is_read_and_changes_when_it_says(
            opens in 0..DAY_MIN, closes in 0..DAY_MIN, offset in -840..=840_i16, at_ms in -1_000_000_000_000..4_000_000_000_000_i64,
        ) {
            prop_assume!(opens != closes);
            let window = Window { opens_min: opens, closes_min: closes, offset_min: offset };
            prop_assert_eq!(window.to_string().parse(), Ok(window));
            let changes = window.changes_ms(at_ms);
            prop_assert!(changes > at_ms && changes <= at_ms + 86_400_000);
            prop_assert_eq!(window.is_open(changes - 1), window.is_open(at_ms));
            prop_assert_ne!(window.is_open(changes), window.is_open(at_ms));
        }
    }
}
