//! How POPs know each other: each request and each answer is signed with the key of the pair.
//!
//! A request's signature covers who asks whom for what, where the asker stands, and a number that is answered once. The
//! key is that of two runs of two processes, so no number comes back. An answer's signature covers the request's number,
//! the status and what the home has checked; it says that a member of the fleet speaks, not that nobody on the line
//! changed a field or a body: who can do that must be kept from the line, as from that to control.

use freshen_model::ids::{PopId, Seq};
use freshen_model::peers::PairKey;
use freshen_model::protocol::fill::Level;
use freshen_model::protocol::home::Ask;
use http::HeaderName;
use std::str::FromStr;
use std::time::Duration;

/// The field of a request with its [`Credential`].
pub static ASK: HeaderName = HeaderName::from_static("freshen-ask");
/// The field of an answer with what was checked.
pub static CHECKED: HeaderName = HeaderName::from_static("freshen-checked");

/// Numbers below the highest one that may still come; requests overtake each other.
const WINDOW: u64 = 16_384;

/// Who asks, where it stands, and what it wants to be no older than; signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Who asks.
    pub asker: PopId,
    /// Where it stands.
    pub ask: Ask,
    /// How far from the origin it counts itself for this object.
    pub level: Level,
    /// The prefetch that it asks for.
    pub order: Option<Seq>,
    /// The request's number in this run of the asker.
    pub number: u64,
    /// Copies older than this were changed since.
    pub newer_than: Option<Duration>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The POP that is asked.
    pub home: &'a PopId,
    /// The domain.
    pub host: &'a str,
    /// Path and query.
    pub path_and_query: &'a str,
}

impl Credential {
    fn fields(&self) -> String {
        let Ask { log, watermark, watermark_id } = self.ask;
        let or_none = |number: Option<u128>| number.map_or("-".to_owned(), |number| number.to_string());
        let newer_than = or_none(self.newer_than.map(|age| age.as_millis()));
        let order = or_none(self.order.map(|order| order.0.into()));
        let Credential { asker, level, number, .. } = self;
        format!("{asker} {log} {watermark} {watermark_id} {number} {newer_than} {level} {order}")
    }

    fn signed_text(&self, target: Target<'_>) -> String {
        let Target { home, host, path_and_query } = target;
        // None of them has a line's end in it.
        format!("freshen ask 2\n{}\n{home}\nGET\n{host}\n{path_and_query}", self.fields())
    }

    /// The field's value, for this target.
    pub fn sign(&self, key: &PairKey, target: Target<'_>) -> String {
        let signature = hex::encode(key.sign(self.signed_text(target).as_bytes()));
        format!("{} {signature}", self.fields())
    }

    /// Reads a field's value; gives the signature with it, to be verified with the asker's key.
    pub fn read(value: &str) -> Option<(Credential, [u8; 32])> {
        let mut parts = value.split(' ');
        let mut next = || parts.next();
        let asker = next()?.parse().ok()?;
        let ask = Ask {
            log: next()?.parse().ok()?,
            watermark: Seq(decimal(next()?)?),
            watermark_id: next()?.parse().ok()?,
        };
        let number = decimal(next()?)?;
        let newer_than = match next()? {
            "-" => None,
            text => Some(Duration::from_millis(decimal(text)?)),
        };
        let level = decimal(next()?)?;
        let order = match next()? {
            "-" => None,
            text => Some(Seq(decimal(text)?)),
        };
        let mut signature = [0; 32];
        hex::decode_to_slice(next()?, &mut signature).ok()?;
        let credential = Credential { asker, ask, level, order, number, newer_than };
        parts.next().is_none().then_some((credential, signature))
    }

    /// Whether the asker has signed just this, for this target.
    pub fn verifies(&self, key: &PairKey, target: Target<'_>, signature: &[u8]) -> bool {
        key.verifies(self.signed_text(target).as_bytes(), signature)
    }
}

/// Digits only: what is signed again must be what was read.
fn decimal<N: FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// What a home says of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered<'a> {
    /// The POP that answers.
    pub home: &'a PopId,
    /// The POP that asked.
    pub asker: &'a PopId,
    /// The number of its request.
    pub number: u64,
    /// The answer's status.
    pub status: u16,
}

impl Answered<'_> {
    fn signed_text(&self, checked: Seq) -> String {
        let Answered { home, asker, number, status } = self;
        format!("freshen answer 1\n{home}\n{asker}\n{number}\n{status}\n{checked}")
    }

    /// The field's value: no rule up to `checked` matches this answer.
    pub fn sign(&self, key: &PairKey, checked: Seq) -> String {
        format!("{checked} {}", hex::encode(key.sign(self.signed_text(checked).as_bytes())))
    }

    /// Reads a field's value; `None` where it is none, or not signed by that home for that request.
    pub fn verify(&self, key: &PairKey, value: &str) -> Option<Seq> {
        let (checked, signature) = value.split_once(' ')?;
        let checked = Seq(decimal(checked)?);
        let signature = hex::decode(signature).ok()?;
        key.verifies(self.signed_text(checked).as_bytes(), &signature).then_some(checked)
    }
}

/// The numbers that one asker has used with one key.
pub struct Seen {
    key: PairKey,
    highest: u64,
    bits: Box<[u64]>,
}

impl Seen {
    /// None yet.
    pub fn new(key: PairKey) -> Seen {
        Seen { key, highest: 0, bits: vec![0; (WINDOW / 64) as usize].into() }
    }

    /// Whether these are the numbers used with that key.
    pub fn is_of(&self, key: &PairKey) -> bool {
        self.key == *key
    }

    /// Takes a number once; one that was taken before, or is too old to tell, is refused.
    pub fn take(&mut self, number: u64) -> bool {
        if number == 0 || number.saturating_add(WINDOW) <= self.highest {
            return false;
        }
        if number > self.highest {
            for forgotten in (self.highest + 1..=number).rev().take(WINDOW as usize) {
                let (word, bit) = Seen::place(forgotten);
                self.bits[word] &= !bit;
            }
            self.highest = number;
        }
        let (word, bit) = Seen::place(number);
        let fresh = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        fresh
    }

    fn place(number: u64) -> (usize, u64) {
        let place = number % WINDOW;
        ((place / 64) as usize, 1 << (place % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::ids::{BootId, LogId, OrderId};
    use freshen_model::peers::Party;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn id(name: &str) -> PopId {
        name.parse().unwrap()
    }

    fn key(boot: u8) -> PairKey {
        let (one, other) = (id("a"), id("b"));
        let party = |pop, boot| Party { pop, joined: Seq(1), boot: BootId([boot; 16]) };
        PairKey::of(&[1; 32], party(&one, boot), party(&other, 1))
    }

    fn credential() -> Credential {
        let ask = Ask { log: LogId([1; 16]), watermark: Seq(7), watermark_id: OrderId([2; 16]) };
        let newer_than = Some(Duration::from_millis(1_500));
        Credential { asker: id("b"), ask, level: 2, order: Some(Seq(7)), number: 5, newer_than }
    }

    #[test]
    fn a_signature_is_for_one_asker_one_home_and_one_target() {
        let home = id("a");
        let target = Target { home: &home, host: "a.example", path_and_query: "/a?b" };
        let (read, signature) = Credential::read(&credential().sign(&key(1), target)).unwrap();
        assert_eq!(read, credential());
        assert!(read.verifies(&key(1), target, &signature));
        assert!(!read.verifies(&key(2), target, &signature), "of another run");
        let (other, elsewhere) = (id("c"), Target { host: "b.example", ..target });
        for target in
            [Target { home: &other, ..target }, elsewhere, Target { path_and_query: "/a", ..target }]
        {
            assert!(!read.verifies(&key(1), target, &signature));
        }
        let ahead = Ask { watermark: Seq(6), ..read.ask };
        for forged in [
            Credential { asker: id("c"), ..credential() },
            Credential { ask: ahead, ..credential() },
            Credential { number: 6, ..credential() },
            Credential { level: 3, ..credential() },
            Credential { order: None, ..credential() },
            Credential { newer_than: None, ..credential() },
        ] {
            assert!(!forged.verifies(&key(1), target, &signature));
        }
    }

    #[test]
    fn an_answer_is_for_one_request() {
        let (home, asker) = (id("a"), id("b"));
        let answered = Answered { home: &home, asker: &asker, number: 5, status: 200 };
        let value = answered.sign(&key(1), Seq(9));
        assert_eq!(answered.verify(&key(1), &value), Some(Seq(9)));
        assert_eq!(answered.verify(&key(2), &value), None);
        assert_eq!(Answered { number: 6, ..answered }.verify(&key(1), &value), None);
        assert_eq!(Answered { status: 304, ..answered }.verify(&key(1), &value), None);
        assert_eq!(answered.verify(&key(1), &value.replacen('9', "10", 1)), None);
        for nonsense in ["", "9", "9 ", "x y", "09 00"] {
            assert_eq!(answered.verify(&key(1), nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "\\PC*", words in proptest::collection::vec("[a-f0-9-]{0,40}", 0..9)) {
            let _ = Credential::read(&text);
            let _ = Credential::read(&words.join(" "));
        }

        #[test]
        fn a_number_is_taken_once(numbers in proptest::collection::vec(0..40_000u64, 1..200)) {
            let (mut seen, mut taken, mut highest) = (Seen::new(key(1)), HashSet::new(), 0);
            for number in numbers {
                let may = number > 0 && number + WINDOW > highest && !taken.contains(&number);
                prop_assert_eq!(seen.take(number), may);
                if may {
                    taken.insert(number);
                    highest = highest.max(number);
                }
            }
        }
    }
}
