//! Who signed a request, and whether it is true.
//!
//! Two schemes are spoken: HMAC-SHA1 ([`hmac_sha1`], parameters in query or form) and ACS3-HMAC-SHA256
//! ([`acs3`], an `Authorization` header). A request goes through four steps, each its own function:
//!
//! 1. [`parse`]: what the request claims; nothing is believed yet.
//! 2. [`Signed::fresh`]: its timestamp is at most [`WINDOW_SECONDS`] off.
//! 3. [`Signed::verify`]: with the secret of the access key it names, constant in time.
//! 4. [`Nonces::remember`]: it was not sent before. Takes a [`Verified`], so that strangers can't fill the memory.

pub mod acs3;
pub mod encode;
pub mod hmac_sha1;
mod nonces;

use std::fmt;

use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

pub use encode::{Pairs, PairsError};
pub use nonces::{Nonces, Seen};

/// How far a request's timestamp may be from our clock, either way.
pub const WINDOW_SECONDS: i64 = 15 * 60;

/// The longest access key id, nonce or signature, in bytes.
pub const FIELD_BYTES_MAX: usize = 256;

/// A request as it came over the wire, undecoded.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The real HTTP method, upper case.
    pub method: &'a str,
    /// The path as sent, without the query.
    pub path: &'a str,
    /// The query as sent, without its `?`; empty if there is none.
    pub query: &'a str,
    /// The headers, `host` among them.
    pub headers: &'a HeaderMap,
    /// The whole body, already freed of any transfer coding.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// The parameters of the query and, where the content type says form, of the body.
    pub fn pairs(&self) -> Result<Pairs, PairsError> {
        let form = if self.has_form() { self.body } else { b"" };
        encode::pairs(&[self.query.as_bytes(), form])
    }

    fn has_form(&self) -> bool {
        let Some(Ok(content_type)) = self.headers.get(header::CONTENT_TYPE).map(|value| value.to_str())
        else {
            return false;
        };
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }
}

/// The signature schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `SignatureMethod=HMAC-SHA1`. Its signature covers neither path nor headers.
    HmacSha1,
    /// `Authorization: ACS3-HMAC-SHA256`.
    Acs3,
}

/// What a request claims about its signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Signed {
    /// How it is signed.
    pub scheme: Scheme,
    /// Whose secret it claims to be signed with; no control characters.
    pub access_key_id: String,
    /// When it claims to be signed, in unix seconds.
    pub timestamp: i64,
    /// What makes it unlike any other request of that access key.
    pub nonce: String,
    /// The token of temporary credentials, if it has one.
    pub security_token: Option<String>,
    /// The string to sign, as calculated here.
    pub string_to_sign: String,
    /// The signature it carries: base64 for HMAC-SHA1, hexadecimal for ACS3.
    pub claimed_signature: String,
}

/// Tokens stay out of logs, and with them the string to sign that may contain one.
impl fmt::Debug for Signed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signed")
            .field("scheme", &self.scheme)
            .field("access_key_id", &self.access_key_id)
            .field("timestamp", &self.timestamp)
            .field("nonce", &self.nonce)
            .finish_non_exhaustive()
    }
}

/// Proof that a request's signature was verified.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a>(&'a Signed);

/// Why a request's signature is refused, one variant per error of the vendor's gateway.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A parameter, or the header that stands for it, is not there; named as the parameter.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A parameter has a value that cannot be accepted.
    #[error("{0} is not valid")]
    Invalid(&'static str),
    /// A signature method that is not spoken here, or not on this path.
    #[error("signature method not supported")]
    Method,
    /// The `Authorization` header is malformed, or does not cover what it must.
    #[error("incomplete signature: {0}")]
    Incomplete(&'static str),
    /// The timestamp is not in the vendor's format.
    #[error("malformed timestamp")]
    TimestampMalformed,
    /// The timestamp is more than [`WINDOW_SECONDS`] away from our clock.
    #[error("timestamp is more than 15 minutes off")]
    TimestampExpired,
    /// The signature is not that of the string to sign. The outside message echoes it, logs never do.
    #[error("signature does not match")]
    DoesNotMatch {
        /// The string to sign, as calculated here.
        string_to_sign: String,
    },
    /// This nonce came before.
    #[error("nonce was used already")]
    NonceUsed,
    /// This access key has sent more requests within the window than are remembered for one key.
    #[error("too many requests of one access key to remember their nonces")]
    KeyNoncesFull,
    /// All access keys together have sent more requests within the window than are remembered.
    #[error("too many requests to remember their nonces")]
    NoncesFull,
    /// The parameters cannot be read.
    #[error(transparent)]
    Params(#[from] PairsError),
}

/// As the message: a string to sign may contain a token.
impl fmt::Debug for SignatureError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SignatureError({self})")
    }
}

/// Reads who claims to have signed a request, and how. Believes nothing; see [`Signed::verify`].
///
/// An `Authorization` header of the ACS3 family decides for that scheme, any other is ignored.
pub fn parse(request: &Request<'_>) -> Result<Signed, SignatureError> {
    match acs3::authorization(request.headers)? {
        Some(authorization) => acs3::parse(request, authorization),
        None => hmac_sha1::parse(request),
    }
}

impl Signed {
    /// Checks that the timestamp is within [`WINDOW_SECONDS`] of `now`, in unix seconds.
    pub fn fresh(&self, now: i64) -> Result<(), SignatureError> {
        if now.abs_diff(self.timestamp) > WINDOW_SECONDS.unsigned_abs() {
            return Err(SignatureError::TimestampExpired);
        }
        Ok(())
    }

    /// Checks the claimed signature against the secret, in a time that does not tell where they differ.
    pub fn verify(&self, secret: &str) -> Result<Verified<'_>, SignatureError> {
        let signature = match self.scheme {
            Scheme::HmacSha1 => hmac_sha1::signature(secret, &self.string_to_sign),
            Scheme::Acs3 => acs3::signature(secret, &self.string_to_sign),
        };
        if !bool::from(signature.as_bytes().ct_eq(self.claimed_signature.as_bytes())) {
            return Err(self.does_not_match());
        }
        Ok(Verified(self))
    }

    fn does_not_match(&self) -> SignatureError {
        SignatureError::DoesNotMatch { string_to_sign: self.string_to_sign.clone() }
    }
}

/// A field that must be there, short and without control characters.
fn field<'a>(name: &'static str, value: Option<&'a str>) -> Result<&'a str, SignatureError> {
    let value = value.filter(|value| !value.is_empty()).ok_or(SignatureError::Missing(name))?;
    if value.len() > FIELD_BYTES_MAX || value.contains(char::is_control) {
        return Err(SignatureError::Invalid(name));
    }
    Ok(value)
}
