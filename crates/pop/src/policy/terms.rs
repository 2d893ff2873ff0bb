//! On what terms a stored response is used: worked out once, when it is stored.

use super::cache_control::Directives;
use super::freshness;
use freshen_model::domain::Lifetimes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long, and how much longer, a stored response may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How old it may get and still be used without asking.
    pub lifetime: Duration,
    /// How long past that it may be used while it is revalidated, RFC 5861 §3; zero for not at all.
    pub while_revalidating: Duration,
    /// How long past that it may be used when the origin fails, RFC 5861 §4; zero for not at all, [`Duration::MAX`] for
    /// as long as there is nothing better.
    pub if_error: Duration,
    /// Does not change while it is fresh, RFC 8246.
    pub immutable: bool,
}

impl Terms {
    /// The terms of a response as the origin sent it. `received` is the wall-clock time since 1970.
    pub fn of(status: StatusCode, headers: &HeaderMap, lifetimes: &Lifetimes, received: Duration) -> Terms {
        let governing = Directives::governing(headers);
        Terms {
            lifetime: freshness::lifetime(lifetimes, status, headers, &governing, received),
            while_revalidating: governing.window_while_revalidating(),
            if_error: governing.window_if_error(),
            immutable: governing.immutable,
        }
    }

    /// Whether it may be used at this age without asking.
    pub fn fresh(&self, age: Duration) -> bool {
        age < self.lifetime
    }

    /// Whether it may be used at this age while it is revalidated.
    pub fn serves_while_revalidating(&self, age: Duration) -> bool {
        age.saturating_sub(self.lifetime) < self.while_revalidating
    }

    /// Whether it may be used at this age when the origin fails.
    pub fn serves_if_error(&self, age: Duration) -> bool {
        age.saturating_sub(self.lifetime) < self.if_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header};

    fn of(line: &'static str) -> Terms {
        let headers = [(header::CACHE_CONTROL, HeaderValue::from_static(line))].into_iter().collect();
        Terms::of(StatusCode::OK, &headers, &Lifetimes::default(), Duration::ZERO)
    }

    #[test]
    fn each_window_ends_to_the_second() {
        let terms = of("max-age=10, stale-while-revalidate=5, stale-if-error=7, immutable");
        let at = |age| {
            let age = Duration::from_secs(age);
            (terms.fresh(age), terms.serves_while_revalidating(age), terms.serves_if_error(age))
        };
        assert_eq!(at(9), (true, true, true));
        assert_eq!(at(10), (false, true, true));
        assert_eq!(at(15), (false, false, true));
        assert_eq!(at(17), (false, false, false));
        assert!(terms.immutable);
    }

    #[test]
    fn without_a_word_only_a_failing_origin_counts() {
        let late = Duration::from_secs(1 << 40);
        assert!(of("max-age=1").serves_if_error(late));
        assert!(!of("max-age=1").serves_while_revalidating(Duration::from_secs(1)));
        assert!(!of("max-age=1, must-revalidate").serves_if_error(Duration::from_secs(1)));
    }
}
