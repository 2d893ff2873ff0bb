//! How often one may try to sign in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Tries that a user has at once, and how soon another is added.
const OF_USER: Rate = Rate { at_once: 10, every: Duration::from_secs(6) };
/// The same of an address, behind which there may be many people.
const OF_ADDRESS: Rate = Rate { at_once: 30, every: Duration::from_secs(2) };
/// Users and addresses that are remembered; those that did nothing for a minute need not be.
const WHO_MAX: usize = 10_000;

#[derive(Clone, Copy)]
struct Rate {
    at_once: u32,
    every: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    User(String),
    Address(IpAddr),
}

/// The tries of the last minute, by user and by address.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// When each would have all its tries again, on the steady clock.
    full_at: HashMap<Who, Duration>,
}

impl Attempts {
    /// Takes one try, at `now`; else says how long to wait, and takes none.
    pub(super) fn take(&mut self, user: &str, from: Option<IpAddr>, now: Duration) -> Result<(), Duration> {
        self.make_room(now);
        let of_address = from.map(|address| (Who::Address(network(address)), OF_ADDRESS));
        let both = [Some((Who::User(user.to_owned()), OF_USER)), of_address];
        let mut taken = Vec::new();
        for (who, rate) in both.into_iter().flatten() {
            let full_at = self.full_at.get(&who).map_or(now, |full_at| (*full_at).max(now)) + rate.every;
            if let Some(early) = full_at.checked_sub(now + rate.every * rate.at_once)
                && !early.is_zero()
            {
                return Err(early);
            }
            taken.push((who, full_at));
        }
        self.full_at.extend(taken);
        Ok(())
    }

    /// Gives a user all tries back, who was right.
    pub(super) fn forget(&mut self, user: &str) {
        self.full_at.remove(&Who::User(user.to_owned()));
    }

    /// Where there is no room: the one that will have all its tries first is forgotten.
    fn make_room(&mut self, now: Duration) {
        if self.full_at.len() < WHO_MAX {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        while self.full_at.len() >= WHO_MAX {
            let first = self.full_at.iter().min_by_key(|(_, full_at)| **full_at);
            let Some(first) = first.map(|(who, _)| who.clone()) else { return };
            self.full_at.remove(&first);
        }
    }
}

/// An address, or of IPv6 the network that one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_user_has_some_tries_at_once_and_one_more_every_few_seconds() {
        let mut attempts = Attempts::default();
        let at = |s: u64| Duration::from_secs(1_000 + s);
        for n in 0..10 {
            let from = address(&format!("192.0.2.{n}"));
            assert_eq!(attempts.take("ann", from, at(0)), Ok(()));
        }
        assert_eq!(attempts.take("ann", address("192.0.2.99"), at(0)), Err(Duration::from_secs(6)));
        assert_eq!(attempts.take("bob", address("192.0.2.99"), at(0)), Ok(()), "each has their own");
        assert_eq!(attempts.take("ann", None, at(6)), Ok(()));
        assert!(attempts.take("ann", None, at(6)).is_err());
        attempts.forget("ann");
        assert_eq!(attempts.take("ann", None, at(6)), Ok(()));
    }

    #[test]
    fn an_address_has_its_tries_whatever_names_it_tries() {
        let mut attempts = Attempts::default();
        let now = Duration::from_secs(1_000);
        for n in 0..30 {
            // One customer's network is one address, and one of IPv4 is the same in the dress of IPv6.
            let from = address(&format!("2001:db8::{n}"));
            assert_eq!(attempts.take(&format!("user-{n}"), from, now), Ok(()));
        }
        assert!(attempts.take("another", address("2001:db8::ffff"), now).is_err());
        assert!(attempts.take("another", address("2001:db8:0:1::1"), now).is_ok());
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), address("192.0.2.1").unwrap());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_those_with_the_fewest_tries_first() {
        let mut attempts = Attempts::default();
        let now = Duration::from_secs(1_000);
        for _ in 0..10 {
            attempts.take("ann", None, now).unwrap();
        }
        for n in 0..WHO_MAX + 500 {
            attempts.take(&format!("user-{n}"), None, now).unwrap();
        }
        assert!(attempts.full_at.len() <= WHO_MAX);
        assert!(attempts.take("ann", None, now).is_err(), "who tried most is remembered longest");
    }
}
