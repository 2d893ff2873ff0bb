//! Receipts: what a POP signs of an order, and the keys it signs with (Ed25519, RFC 8032).
//!
//! A statement is signed as the very text that travels and is kept, so that whoever verifies it has nothing to put into
//! any form first.

use crate::certificate::Certificate;
use crate::count::Count;
use crate::ids::{LogId, OrderId, PopId, Seq, TaskId};
use crate::rule::Rule;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The key that a POP or control signs with. It stays out of `Debug`.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl SigningKey {
    /// The key of a seed of 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
        // It fails for seeds of other lengths only.
        SigningKey(Ed25519KeyPair::from_seed_unchecked(seed).unwrap_or_else(|_| unreachable!()))
    }

    /// What its signatures are verified with.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs a statement.
    pub fn sign(&self, statement: &Statement) -> Signed {
        // Only maps with keys that are no strings could fail, and there are none.
        let text = serde_json::to_string(statement).unwrap_or_default();
        let signature = hex::encode(self.0.sign(text.as_bytes()).as_ref());
        Signed { statement: text, signature }
    }
}

/// What signatures are verified with: 64 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// A SHA-256 digest: 64 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// A key or digest that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key or digest is 64 hexadecimal digits")]
pub struct BadHex;

hexadecimal!(PublicKey, 32, BadHex);
hexadecimal!(Digest, 32, BadHex);

/// A statement with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signed {
    /// What was signed, byte by byte: the JSON of a [`Statement`].
    pub statement: String,
    /// The signature, 128 hexadecimal digits.
    pub signature: String,
}

/// Why a signed statement proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The key did not sign this text.
    #[error("its signature is not of this text by this key")]
    Signature,
    /// The text is no statement that this program knows.
    #[error("what is signed is no statement that this program knows")]
    Unknown,
}

impl Signed {
    /// What it says, if `key` signed it.
    pub fn verified(&self, key: &PublicKey) -> Result<Statement, Unproven> {
        let signature = hex::decode(&self.signature).map_err(|_| Unproven::Signature)?;
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(self.statement.as_bytes(), &signature)
            .map_err(|_| Unproven::Signature)?;
        self.unverified()
    }

    /// What it says, whoever signed it.
    pub fn unverified(&self) -> Result<Statement, Unproven> {
        serde_json::from_str(&self.statement).map_err(|_| Unproven::Unknown)
    }
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "statement", rename_all = "snake_case")]
pub enum Statement {
    /// By a POP.
    Confirmed(Confirmed),
    /// By a POP.
    Accounted(Accounted),
    /// By a POP.
    StartedOver(StartedOver),
    /// By control.
    Certificate(Box<Certificate>),
}

/// Which order a POP speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderName {
    /// The POP that speaks.
    pub pop: PopId,
    /// The log.
    pub log: LogId,
    /// The task.
    pub task: TaskId,
    /// The order's random name.
    pub order: OrderId,
    /// The order's place.
    pub seq: Seq,
}

/// This POP has durably applied that order: from then on, nothing that its rules match is used as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Which order.
    #[serde(flatten)]
    pub order: OrderName,
    /// How many rules it had.
    pub rules: u64,
    /// What they were; see [`digest_of`].
    pub digest: Digest,
    /// The POP's watermark then.
    pub watermark: Seq,
    /// When, by the POP's wall clock, milliseconds since 1970.
    pub applied_ms: i64,
}

/// This is what the order matched of what this POP held when it applied it. Replaces one that was said before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounted {
    /// Which order.
    #[serde(flatten)]
    pub order: OrderName,
    /// What matched.
    #[serde(flatten)]
    pub count: Count,
    /// Whether what was evicted has been deleted.
    pub reclaimed: bool,
    /// When it was counted, by the POP's wall clock, milliseconds since 1970.
    pub counted_ms: i64,
}

/// This POP gave up everything it held, and is where all orders up to `seq` lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedOver {
    /// The POP that speaks.
    pub pop: PopId,
    /// The log.
    pub log: LogId,
    /// Up to this order nothing is left to be purged.
    pub seq: Seq,
    /// That order's random name.
    pub order: OrderId,
    /// When, by the POP's wall clock, milliseconds since 1970.
    pub at_ms: i64,
}

/// A rule as its digest is made of it: the text that orders carry.
pub fn text_of(rule: &Rule) -> String {
    // Only maps with keys that are no strings could fail, and there are none.
    serde_json::to_string(rule).unwrap_or_default()
}

/// The digest of an order's rules: SHA-256 over the SHA-256 of each rule's [text](text_of), in their order. Whoever has
/// the digests of all rules and the text of one can show that this one was among them.
pub fn digest_of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Digest {
    let mut all = Sha256::new();
    for text in texts {
        all.update(Sha256::digest(text.as_ref().as_bytes()));
    }
    Digest(all.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::rule::{Matcher, Mode};

    fn statement() -> Statement {
        Statement::StartedOver(StartedOver {
            pop: "pop-a".parse().unwrap(),
            log: LogId([1; 16]),
            seq: Seq(7),
            order: OrderId([2; 16]),
            at_ms: 5,
        })
    }

    #[test]
    fn a_signature_is_of_one_text_by_one_key() {
        let key = SigningKey::from_seed(&[1; 32]);
        let other = SigningKey::from_seed(&[2; 32]);
        let signed = key.sign(&statement());
        assert_eq!(signed.verified(&key.public()), Ok(statement()));
        assert_eq!(signed, key.sign(&statement()), "made again it is the same");
        assert_eq!(signed.verified(&other.public()), Err(Unproven::Signature));
        let more = Signed { statement: signed.statement.replace("\"seq\":7", "\"seq\":8"), ..signed.clone() };
        assert_ne!(more, signed);
        assert_eq!(more.verified(&key.public()), Err(Unproven::Signature));
        for broken in ["", "00", "xyz", &signed.signature[2..]] {
            let broken = Signed { signature: broken.into(), ..signed.clone() };
            assert_eq!(broken.verified(&key.public()), Err(Unproven::Signature));
        }
        assert_eq!("ab".parse::<PublicKey>(), Err(BadHex));
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
    }

    /// RFC 8032 §7.1, test 1: the public key of that seed.
    #[test]
    fn the_keys_are_those_of_the_standard() {
        let digest: Digest =
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60".parse().unwrap();
        let key = SigningKey::from_seed(&digest.0);
        assert_eq!(
            key.public().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }

    #[test]
    fn a_digest_tells_rules_and_their_order_apart() {
        let rule = |path: &str| {
            let key = Key::from_parts("a.example", path, None);
            text_of(&Rule::new(Matcher::Url { key }, Mode::Evict))
        };
        let of = |paths: &[&str]| digest_of(paths.iter().map(|path| rule(path)));
        assert_eq!(of(&["/a", "/b"]), of(&["/a", "/b"]));
        for other in [&["/b", "/a"][..], &["/a"], &["/a", "/b", "/b"], &[]] {
            assert_ne!(of(other), of(&["/a", "/b"]));
        }
    }

    #[test]
    fn a_signing_key_is_in_no_debug_output() {
        let key = SigningKey::from_seed(&[1; 32]);
        assert!(!format!("{key:?}").contains(&hex::encode([1; 32])));
    }
}
