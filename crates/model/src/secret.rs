//! Secrets in settings: plain in memory and between control and POPs, sealed on disk, and never shown.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

const NONCE_BYTES: usize = 24;

/// A secret. It stays out of `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Secret {
    /// As it is used.
    Plain(String),
    /// As it lies on a disk: nonce and ciphertext in hexadecimal.
    Sealed {
        /// Both.
        sealed: String,
    },
    /// As it is shown.
    Withheld {
        /// Always true: there is one.
        set: bool,
    },
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Plain(_) => "(secret)",
            Secret::Sealed { .. } => "(sealed secret)",
            Secret::Withheld { .. } => "(withheld secret)",
        })
    }
}

impl Secret {
    /// The secret as it is used; `None` while it is sealed or withheld.
    pub fn plain(&self) -> Option<&str> {
        match self {
            Secret::Plain(text) => Some(text),
            Secret::Sealed { .. } | Secret::Withheld { .. } => None,
        }
    }

    /// A secret that only says that there is one.
    pub fn withheld() -> Secret {
        Secret::Withheld { set: true }
    }

    /// Whether this only says that there is one.
    pub fn is_withheld(&self) -> bool {
        matches!(self, Secret::Withheld { .. })
    }

    /// This secret sealed for the disk; `of` says whose it is, and it can only be opened as his.
    pub fn sealed(&self, key: &SealingKey, of: &str) -> Secret {
        match self {
            Secret::Plain(text) => Secret::Sealed { sealed: key.seal(text, of) },
            other => other.clone(),
        }
    }

    /// This secret opened; what this key did not seal stays sealed.
    pub fn opened(&self, key: &SealingKey, of: &str) -> Secret {
        match self {
            Secret::Sealed { sealed } => key.open(sealed, of).map_or_else(|| self.clone(), Secret::Plain),
            other => other.clone(),
        }
    }
}

/// What seals secrets: XChaCha20-Poly1305 under a key of 32 bytes. It stays out of `Debug`.
///
/// The nonce is a keyed digest of the secret and whose it is (RFC 5297's idea): the same secret is sealed to the same
/// text, so that settings can be compared while sealed, and no nonce is ever used for two secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey([u8; 32]);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}

impl SealingKey {
    /// A key of 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> SealingKey {
        SealingKey(bytes)
    }

    /// A key made of another secret that has as much randomness, as a POP's token.
    pub fn derived_from(secret: &str) -> SealingKey {
        SealingKey(digest(secret.as_bytes(), &[b"freshen: sealing key"]))
    }

    /// Reads 64 hexadecimal digits, white space around them apart; `None` where there are others.
    pub fn from_hex(text: &str) -> Option<SealingKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(SealingKey(bytes))
    }

    /// The key as [`SealingKey::from_hex`] reads it: a secret.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// A secret for another purpose; who knows it learns nothing of this key.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        digest(&self.0, &[b"derive", purpose.as_bytes()])
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&digest(&self.0, &[b"encrypt"]).into())
    }

    fn seal(&self, plain: &str, of: &str) -> String {
        let length = (of.len() as u64).to_be_bytes();
        let synthetic = digest(&self.0, &[b"nonce", &length, of.as_bytes(), plain.as_bytes()]);
        let mut sealed = synthetic[..NONCE_BYTES].to_vec();
        let mut nonce = XNonce::default();
        nonce.copy_from_slice(&sealed);
        let payload = Payload { msg: plain.as_bytes(), aad: of.as_bytes() };
        // It fails for texts of 256 GiB only; nothing is sealed then, and nothing can be opened.
        sealed.extend(self.cipher().encrypt(&nonce, payload).unwrap_or_default());
        hex::encode(sealed)
    }

    fn open(&self, sealed: &str, of: &str) -> Option<String> {
        let sealed = hex::decode(sealed).ok()?;
        let (nonce_bytes, ciphertext) = sealed.split_at_checked(NONCE_BYTES)?;
        let mut nonce = XNonce::default();
        nonce.copy_from_slice(nonce_bytes);
        let payload = Payload { msg: ciphertext, aad: of.as_bytes() };
        String::from_utf8(self.cipher().decrypt(&nonce, payload).ok()?).ok()
    }
}

fn digest(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of every length.
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_as_the_same_ones_only() {
        let (key, other) = (SealingKey::new([1; 32]), SealingKey::derived_from("token"));
        let plain = Secret::Plain("hush".into());
        let sealed = plain.sealed(&key, "ann");
        assert_ne!(sealed, plain);
        assert_eq!(sealed.plain(), None);
        assert_eq!(sealed.sealed(&key, "ann"), sealed, "nothing is sealed twice");
        assert_eq!(plain.sealed(&key, "ann"), sealed, "settings are compared while sealed");
        assert_ne!(plain.sealed(&key, "bob"), sealed);
        assert_eq!(sealed.opened(&key, "ann"), plain);
        for (key, of) in [(&other, "ann"), (&key, "bob")] {
            assert_eq!(sealed.opened(key, of), sealed);
        }
        let Secret::Sealed { sealed: text } = &sealed else { panic!("{sealed:?}") };
        for broken in ["", "00", "xyz", &text[2..], &text.replace(&text[..1], "g")] {
            let broken = Secret::Sealed { sealed: broken.into() };
            assert_eq!(broken.opened(&key, "ann"), broken);
        }
        assert_eq!(SealingKey::from_hex(&format!("{}\n", key.to_hex())), Some(key));
        assert_eq!(SealingKey::from_hex("abc"), None);
    }

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let secret = Secret::Plain("hush".into());
        assert!(!format!("{secret:?} {:?}", SealingKey::derived_from("hush")).contains("hush"));
        assert_eq!(serde_json::to_string(&Secret::withheld()).unwrap(), r#"{"set":true}"#);
        let sealed = secret.sealed(&SealingKey::new([0; 32]), "");
        for secret in [secret, sealed, Secret::withheld()] {
            let text = serde_json::to_string(&secret).unwrap();
            assert_eq!(serde_json::from_str::<Secret>(&text).unwrap(), secret);
        }
    }
}
