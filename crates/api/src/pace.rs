//! How fast an account may send requests.

use std::collections::HashMap;
use std::time::Duration;

/// Accounts that are remembered at one time; those that were quiet for a second need not be.
const ACCOUNTS_MAX: usize = 10_000;

/// A bucket for each account, which holds as many requests as it may send in a second, and fills up in one.
#[derive(Debug, Default)]
pub struct Paces {
    accounts: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// When it would be full, by the steady clock.
    full_at: Duration,
}

impl Paces {
    /// Takes one request out of the account's bucket, at `now` by a steady clock; else says how long to wait.
    pub fn take(&mut self, account: &str, requests_per_s: u64, now: Duration) -> Result<(), Duration> {
        const FULL: Duration = Duration::from_secs(1);
        let Some(step) = FULL.checked_div(u32::try_from(requests_per_s).unwrap_or(u32::MAX)) else {
            return Err(FULL);
        };
        if self.accounts.len() >= ACCOUNTS_MAX {
            self.accounts.retain(|_, bucket| bucket.full_at > now);
        }
        let full_at = self.accounts.get(account).map_or(now, |bucket| bucket.full_at.max(now)) + step;
        match full_at.checked_sub(now + FULL) {
            Some(early) if !early.is_zero() => Err(early),
            _ => {
                self.accounts.insert(account.to_owned(), Bucket { full_at });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_as_it_may_and_fills_up_evenly() {
        let mut paces = Paces::default();
        let at = |ms: u64| Duration::from_millis(5_000 + ms);
        for _ in 0..50 {
            assert_eq!(paces.take("ann", 50, at(0)), Ok(()));
        }
        assert_eq!(paces.take("ann", 50, at(0)), Err(Duration::from_millis(20)));
        assert_eq!(paces.take("bob", 50, at(0)), Ok(()), "each account has its own");
        assert_eq!(paces.take("ann", 50, at(19)), Err(Duration::from_millis(1)));
        assert_eq!(paces.take("ann", 50, at(20)), Ok(()));
        assert_eq!(paces.take("ann", 50, at(20)), Err(Duration::from_millis(20)));
        let steady = (0..500).filter(|n| paces.take("ann", 50, at(2_000 + n * 10)).is_ok()).count();
        assert_eq!(steady, 50 + 249, "twice as many as it may: the bucket, then every second one");
    }

    #[test]
    fn none_a_second_is_none() {
        assert_eq!(Paces::default().take("ann", 0, Duration::ZERO), Err(Duration::from_secs(1)));
        assert_eq!(Paces::default().take("ann", u64::MAX, Duration::ZERO), Ok(()));
    }
}
