//! Callbacks: what control tells an address that a user named, signed so that the receiver knows who speaks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// The longest address, in bytes.
pub const URL_BYTES_MAX: usize = 1_024;
/// The longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest id, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Callbacks of one account that wait to be sent.
pub const WAITING_MAX: u64 = 10_000;
/// Callbacks of one account that are remembered, waiting or not; of those that ended the oldest go first.
pub const KEPT_MAX: u64 = 20_000;

/// A callback that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCallback {
    /// Its name, the same for each time it is sent; what is queued under a name that is there changes nothing.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// What happened, one word.
    pub event: String,
    /// Where to.
    pub url: String,
    /// JSON, at most [`BODY_BYTES_MAX`].
    pub body: String,
    /// When it happened, wall-clock milliseconds since 1970; from then on it may be sent.
    pub at_ms: i64,
}

/// A callback as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Callback {
    /// Its name, which the receiver is told.
    pub id: String,
    /// What happened, one word.
    pub event: String,
    /// Where to.
    pub url: String,
    /// What became of it.
    pub state: CallbackState,
    /// How often it was sent.
    pub tries: u32,
    /// When it was queued, wall-clock milliseconds since 1970.
    pub created_ms: i64,
    /// When it is sent next, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<i64>,
    /// When it was taken, or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// What came of the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// What became of a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CallbackState {
    /// It is sent, or sent again, in its time.
    Waiting,
    /// The receiver answered 2xx.
    Delivered,
    /// It was sent as often as the configuration says, and never taken.
    Failed,
}

/// Why an address cannot be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCallbackUrl {
    /// Longer than [`URL_BYTES_MAX`].
    #[error("it is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Neither `http://` nor `https://`.
    #[error("write http:// or https:// before it")]
    NoScheme,
    /// No host.
    #[error("it names no host")]
    NoHost,
    /// `name:password@` before the host.
    #[error("it has a name or a password before its host, leave them out")]
    UserInfo,
    /// Something that no address has.
    #[error("it has a character that must be percent-encoded, or a fragment")]
    Character,
}

/// Whether it can be the address of a callback. Where it leads to is looked at when it is called.
pub fn check_url(url: &str) -> Result<(), BadCallbackUrl> {
    if url.len() > URL_BYTES_MAX {
        return Err(BadCallbackUrl::TooLong);
    }
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let rest = rest.ok_or(BadCallbackUrl::NoScheme)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(BadCallbackUrl::UserInfo);
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err(BadCallbackUrl::NoHost);
    }
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\' | b'"' | b'<' | b'>');
    if url.bytes().all(fits) { Ok(()) } else { Err(BadCallbackUrl::Character) }
}

/// What an account's callbacks are signed with. It stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackSecret(Vec<u8>);

impl fmt::Debug for CallbackSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackSecret")
    }
}

impl CallbackSecret {
    /// A secret of 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> CallbackSecret {
        CallbackSecret(bytes.to_vec())
    }

    /// The secret that a text is: what [`CallbackSecret::to_text`] wrote, else the text itself.
    pub fn of_text(text: &str) -> CallbackSecret {
        let written = text.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        CallbackSecret(written.unwrap_or_else(|| text.as_bytes().to_vec()))
    }

    /// The secret as receivers write it, `whsec_` and base64: only its owner may see it.
    pub fn to_text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// The value of `webhook-signature` for a body that is sent at that time, in unix seconds.
    pub fn sign(&self, id: &str, at_s: i64, body: &str) -> String {
        sign(&self.0, id, at_s, body)
    }
}

/// As the specification of Standard Webhooks 1.0.0 has it, for which receivers find libraries in many languages.
fn sign(secret: &[u8], id: &str, at_s: i64, body: &str) -> String {
    // HMAC takes keys of every length.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!());
    mac.update(format!("{id}.{at_s}.").as_bytes());
    mac.update(body.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_as_its_specification_has_it() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let secret = CallbackSecret::new([7; 32]);
        let text = secret.to_text();
        assert_eq!(STANDARD.decode(text.strip_prefix("whsec_").unwrap()).unwrap(), [7; 32]);
        assert_eq!(CallbackSecret::of_text(&text), secret);
        assert_eq!(CallbackSecret::of_text("whsec_?").0, b"whsec_?");
        assert_eq!(format!("{secret:?}"), "CallbackSecret");
        let signed = secret.sign("a", 1, "{}");
        for (id, at_s, body) in [("b", 1, "{}"), ("a", 2, "{}"), ("a", 1, "[]")] {
            assert_ne!(secret.sign(id, at_s, body), signed);
        }
    }

    #[test]
    fn what_cannot_be_called_says_why() {
        for url in ["http://a.example", "https://a.example:8443/x?y=z", "http://[2001:db8::1]/", "http://a?b"]
        {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        let long = format!("http://a.example/{}", "x".repeat(URL_BYTES_MAX));
        for (url, why) in [
            (long.as_str(), BadCallbackUrl::TooLong),
            ("a.example", BadCallbackUrl::NoScheme),
            ("ftp://a.example/", BadCallbackUrl::NoScheme),
            ("file:///etc/passwd", BadCallbackUrl::NoScheme),
            ("http:///x", BadCallbackUrl::NoHost),
            ("http://:80/x", BadCallbackUrl::NoHost),
            ("http://a@b.example/", BadCallbackUrl::UserInfo),
            ("http://a.example/ b", BadCallbackUrl::Character),
            ("http://a.example/#b", BadCallbackUrl::Character),
            ("http://a.example/\r\nx: y", BadCallbackUrl::Character),
            ("http://a.example\\@b/", BadCallbackUrl::UserInfo),
        ] {
            assert_eq!(check_url(url), Err(why), "{url}");
        }
    }
}
