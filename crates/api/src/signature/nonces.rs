//! The memory of what was sent, so that nothing is accepted twice.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::{SignatureError, Verified, WINDOW_SECONDS};

/// Remembers the nonces of each access key for as long as their timestamps would be accepted again.
///
/// Bounded as a whole and per key, so that one key can't fill it for the others. When full it refuses; it never
/// forgets what could still be replayed.
#[derive(Debug)]
pub struct Nonces {
    total_max: usize,
    per_key_max: usize,
    total: usize,
    /// By access key.
    seen: HashMap<Digest128, HashSet<Digest128>>,
    /// The last second at which each nonce could be replayed.
    expiry: BTreeMap<i64, Vec<(Digest128, Digest128)>>,
    /// Everything that expired before this second is forgotten, whatever our clock says later.
    forgotten_before: i64,
}

/// A nonce or an access key's id may be 256 bytes; a hash is enough to know it again.
type Digest128 = [u8; 16];

/// A nonce that went through, as it is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The last second at which it could be replayed, in unix seconds.
    pub until: i64,
    /// The access key.
    pub key: [u8; 16],
    /// The nonce.
    pub nonce: [u8; 16],
}

impl Nonces {
    /// A memory of at most `total_max` nonces, at most `per_key_max` for each access key.
    ///
    /// Each takes about 100 bytes. A key that sends `r` requests a second needs up to 1,800 × `r`, since a
    /// timestamp may lie 15 minutes ahead.
    pub fn new(total_max: usize, per_key_max: usize) -> Nonces {
        let (seen, expiry) = (HashMap::new(), BTreeMap::new());
        Nonces { total_max, per_key_max, total: 0, seen, expiry, forgotten_before: i64::MIN }
    }

    /// Remembers the nonce of a verified request, or says that it was there before or that there is no room.
    /// `now` is in unix seconds.
    pub fn remember(&mut self, verified: Verified<'_>, now: i64) -> Result<Seen, SignatureError> {
        let Verified(signed) = verified;
        self.forget_expired(now);
        let until = signed.timestamp.saturating_add(WINDOW_SECONDS);
        if until < self.forgotten_before {
            return Err(SignatureError::TimestampExpired);
        }
        let seen = Seen { until, key: digest(&signed.access_key_id), nonce: digest(&signed.nonce) };
        let of_key = self.seen.get(&seen.key);
        if of_key.is_some_and(|nonces| nonces.contains(&seen.nonce)) {
            return Err(SignatureError::NonceUsed);
        }
        if of_key.map_or(0, HashSet::len) >= self.per_key_max {
            return Err(SignatureError::KeyNoncesFull);
        }
        if self.total >= self.total_max {
            return Err(SignatureError::NoncesFull);
        }
        self.restore(seen);
        Ok(seen)
    }

    /// Remembers what went through in an earlier run, room or not.
    pub fn restore(&mut self, seen: Seen) {
        if self.seen.entry(seen.key).or_default().insert(seen.nonce) {
            self.expiry.entry(seen.until).or_default().push((seen.key, seen.nonce));
            self.total += 1;
        }
    }

    /// How many nonces are remembered.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    fn forget_expired(&mut self, now: i64) {
        if now <= self.forgotten_before {
            return;
        }
        self.forgotten_before = now;
        let kept = self.expiry.split_off(&now);
        let expired = std::mem::replace(&mut self.expiry, kept);
        for (key, digest) in expired.into_values().flatten() {
            self.total -= 1;
            if let Some(nonces) = self.seen.get_mut(&key) {
                nonces.remove(&digest);
                if nonces.is_empty() {
                    self.seen.remove(&key);
                }
            }
        }
    }
}

fn digest(nonce: &str) -> Digest128 {
    let mut half = Digest128::default();
    half.copy_from_slice(&Sha256::digest(nonce.as_bytes())[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Scheme, Signed};

    const NOW: i64 = 1_800_000_000;

    fn signed(key: &str, nonce: &str, timestamp: i64) -> Signed {
        Signed {
            scheme: Scheme::Acs3,
            access_key_id: key.into(),
            timestamp,
            nonce: nonce.into(),
            security_token: None,
            string_to_sign: String::new(),
            claimed_signature: String::new(),
        }
    }

    fn send(nonces: &mut Nonces, request: &Signed, now: i64) -> Result<(), SignatureError> {
        request.fresh(now)?;
        nonces.remember(Verified(request), now).map(drop)
    }

    #[test]
    fn what_went_through_before_is_known_again() {
        let request = signed("a", "1", NOW);
        let seen = Nonces::new(1, 1).remember(Verified(&request), NOW).unwrap();
        let mut nonces = Nonces::new(1, 1);
        nonces.restore(seen);
        nonces.restore(seen);
        assert_eq!(nonces.len(), 1);
        assert_eq!(send(&mut nonces, &request, NOW), Err(SignatureError::NonceUsed));
        assert_eq!(send(&mut nonces, &signed("b", "1", NOW), NOW), Err(SignatureError::NoncesFull));
    }

    #[test]
    fn a_nonce_is_used_once_by_each_key() {
        let mut nonces = Nonces::new(10, 10);
        assert_eq!(send(&mut nonces, &signed("a", "1", NOW), NOW), Ok(()));
        assert_eq!(send(&mut nonces, &signed("a", "1", NOW), NOW), Err(SignatureError::NonceUsed));
        assert_eq!(send(&mut nonces, &signed("b", "1", NOW), NOW), Ok(()));
        assert_eq!(send(&mut nonces, &signed("a", "2", NOW), NOW), Ok(()));
    }

    #[test]
    fn a_replay_is_refused_at_every_second_from_ahead_of_the_window_to_behind_it() {
        let request = signed("a", "1", NOW);
        let mut nonces = Nonces::new(10, 10);
        assert_eq!(send(&mut nonces, &request, NOW - WINDOW_SECONDS), Ok(()));
        for now in NOW - WINDOW_SECONDS..=NOW + WINDOW_SECONDS {
            assert_eq!(send(&mut nonces, &request, now), Err(SignatureError::NonceUsed), "{}", now - NOW);
        }
        let after = NOW + WINDOW_SECONDS + 1;
        assert_eq!(send(&mut nonces, &request, after), Err(SignatureError::TimestampExpired));
        assert_eq!(send(&mut nonces, &signed("a", "1", after), after), Ok(()));
        assert_eq!(nonces.len(), 1);
    }

    #[test]
    fn a_clock_set_back_opens_no_replay() {
        let request = signed("a", "1", NOW);
        let mut nonces = Nonces::new(10, 10);
        assert_eq!(send(&mut nonces, &request, NOW), Ok(()));
        let later = NOW + WINDOW_SECONDS + 100;
        assert_eq!(send(&mut nonces, &signed("a", "2", later), later), Ok(()));
        assert_eq!(send(&mut nonces, &request, NOW), Err(SignatureError::TimestampExpired));
    }

    #[test]
    fn a_full_key_is_refused_alone_and_recovers() {
        let mut nonces = Nonces::new(10, 2);
        assert_eq!(send(&mut nonces, &signed("a", "1", NOW), NOW), Ok(()));
        assert_eq!(send(&mut nonces, &signed("a", "2", NOW), NOW), Ok(()));
        assert_eq!(send(&mut nonces, &signed("a", "3", NOW), NOW), Err(SignatureError::KeyNoncesFull));
        assert_eq!(send(&mut nonces, &signed("b", "1", NOW), NOW), Ok(()));
        let later = NOW + WINDOW_SECONDS + 1;
        assert_eq!(send(&mut nonces, &signed("a", "3", later), later), Ok(()));
        assert_eq!(nonces.len(), 1);
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing() {
        let mut nonces = Nonces::new(2, 2);
        assert_eq!(send(&mut nonces, &signed("a", "1", NOW), NOW), Ok(()));
        assert_eq!(send(&mut nonces, &signed("b", "1", NOW), NOW), Ok(()));
        assert_eq!(send(&mut nonces, &signed("c", "1", NOW), NOW), Err(SignatureError::NoncesFull));
        assert_eq!(send(&mut nonces, &signed("a", "1", NOW), NOW), Err(SignatureError::NonceUsed));
    }
}
