//! Why a file could not be made warm, whether another try may help, and when.

use super::scheduler::{Ending, FAILURES_MAX, RETRY_AFTER_MAX};
use crate::origin::OriginError;
use crate::policy::date;
use crate::store::run::Broken;
use http::{HeaderMap, StatusCode, header};
use std::time::Duration;

/// The pause before the second try; it doubles with each, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why one file could not be made warm.
#[derive(Debug)]
pub struct NotWarm {
    /// In words; the vendor's where it has some.
    pub reason: String,
    /// Whether another try may help.
    pub again: bool,
    /// What it tells of the origin.
    fault: Option<Fault>,
}

/// What went wrong at the origin.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fault {
    /// Others that are asked for now would fare no better.
    out_of_order: bool,
    /// How long it wants to be left alone.
    retry_after: Option<Duration>,
}

impl NotWarm {
    /// For a reason that is not the origin's.
    pub fn new(reason: impl Into<String>, again: bool) -> NotWarm {
        NotWarm { reason: reason.into(), again, fault: None }
    }

    /// The origin's answer says so; `now` is the wall clock's time.
    pub fn refused(status: StatusCode, headers: &HeaderMap, now: Duration) -> NotWarm {
        let reason = format!("Origin Return StatusCode {}", status.as_u16());
        let too_many = status == StatusCode::TOO_MANY_REQUESTS;
        let again = status.is_server_error() || too_many || status == StatusCode::REQUEST_TIMEOUT;
        let fault = again.then(|| Fault {
            out_of_order: too_many || matches!(status.as_u16(), 502..=504),
            retry_after: retry_after(headers, now),
        });
        NotWarm { reason, again, fault }
    }

    /// There was no answer.
    pub fn unanswered(error: &OriginError) -> NotWarm {
        let reason = match error.timed_out() {
            true => "Origin Timeout".to_owned(),
            false => format!("Internal Error: {error}"),
        };
        NotWarm { reason, again: true, fault: Some(Fault { out_of_order: true, retry_after: None }) }
    }

    /// Its body did not come to its end.
    pub fn broken(broken: &Broken) -> NotWarm {
        let fault = matches!(broken, Broken::Origin(_)).then(Fault::default);
        NotWarm { reason: broken.to_string(), again: true, fault }
    }

    /// The origin fails on and on.
    pub fn given_up(reason: &str) -> NotWarm {
        let reason = format!("{reason}; the origin was out of order {FAILURES_MAX} times on end");
        NotWarm { reason, again: false, fault: None }
    }

    /// What the scheduler is to know.
    pub fn ending(&self) -> Ending {
        match &self.fault {
            None => Ending::Answered(None),
            Some(Fault { out_of_order, retry_after }) => Ending::Failed {
                out_of_order: *out_of_order,
                retry_after: *retry_after,
                reason: self.reason.clone(),
            },
        }
    }

    /// How long to wait before the next try, after so many; `None` where there is none.
    pub fn pause_after(&self, tries: u32, tries_max: u32) -> Option<Duration> {
        if !self.again || tries >= tries_max {
            return None;
        }
        let pause = (PAUSE_MIN * 2_u32.pow(tries.saturating_sub(1).min(16))).min(PAUSE_MAX);
        let told = self.fault.as_ref().and_then(|fault| fault.retry_after).unwrap_or_default();
        Some(pause.max(told.min(RETRY_AFTER_MAX)))
    }
}

/// When to come again, RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
    match seconds() {
        Some(seconds) => seconds.map(Duration::from_secs),
        None => date::parse(text).map(|at| at.saturating_sub(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after: &str) -> NotWarm {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, retry_after.parse().unwrap())]);
        // 1994-11-06T08:49:37Z
        NotWarm::refused(StatusCode::from_u16(status).unwrap(), &headers, Duration::from_secs(784_111_777))
    }

    #[test]
    fn tries_are_bounded_and_their_pauses_grow() {
        let broken = NotWarm::broken(&Broken::Origin("cut".into()));
        let pauses: Vec<_> = (1..).map_while(|tries| broken.pause_after(tries, 9)).collect();
        assert_eq!(
            pauses,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000].map(Duration::from_millis)
        );
        assert_eq!(NotWarm::new("not cacheable", false).pause_after(1, 2), None);
        for (status, again) in
            [(404, false), (403, false), (408, true), (429, true), (500, true), (503, true)]
        {
            assert_eq!(refused(status, "0").pause_after(1, 2).is_some(), again, "{status}");
        }
    }

    #[test]
    fn retry_after_is_heeded_up_to_a_limit() {
        let seconds = |text| refused(503, text).pause_after(1, 2).unwrap().as_secs_f64();
        assert_eq!(seconds("7"), 7.0);
        assert_eq!(seconds("0"), 0.5);
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:07 GMT"), 30.0);
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), 0.5, "past");
        assert_eq!(seconds("86400"), 300.0);
        assert_eq!(seconds("99999999999999999999999"), 0.5, "no number of seconds");
        assert_eq!(seconds("soon"), 0.5);
    }

    #[test]
    fn what_says_nothing_of_others_leaves_the_origin_in_order() {
        let out_of_order = |not_warm: NotWarm| match not_warm.ending() {
            Ending::Failed { out_of_order, .. } => Some(out_of_order),
            _ => None,
        };
        assert_eq!(out_of_order(refused(503, "")), Some(true));
        assert_eq!(out_of_order(refused(500, "")), Some(false));
        assert_eq!(out_of_order(refused(404, "")), None);
        assert_eq!(out_of_order(NotWarm::broken(&Broken::Changed)), None);
    }
}
