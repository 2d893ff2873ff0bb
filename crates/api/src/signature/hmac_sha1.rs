//! HMAC-SHA1, the vendor's first scheme: everything in parameters, of the query, the form body, or both.
//!
//! Source: "Request signatures" of the ApsaraVideo VOD documentation (signature version 1.0).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::encode::{Pairs, canonical, encode};
use super::{Request, Scheme, SignatureError, Signed, field};
use crate::timestamp;

/// Reads the signature parameters.
///
/// Only `/` can be signed so: the path is not part of what is signed, and a signature for one path must not
/// open another.
pub fn parse(request: &Request<'_>) -> Result<Signed, SignatureError> {
    let pairs = request.pairs()?;
    let get = |name: &'static str| field(name, pairs.get(name).map(String::as_str));
    if pairs.get("SignatureType").is_some_and(|kind| !kind.is_empty()) {
        return Err(SignatureError::Invalid("SignatureType"));
    }
    let access_key_id = get("AccessKeyId")?;
    let claimed_signature = get("Signature")?;
    if !get("SignatureMethod")?.eq_ignore_ascii_case("HMAC-SHA1") || request.path != "/" {
        return Err(SignatureError::Method);
    }
    if get("SignatureVersion")? != "1.0" {
        return Err(SignatureError::Invalid("SignatureVersion"));
    }
    let nonce = get("SignatureNonce")?;
    let timestamp = pairs.get("Timestamp").filter(|text| !text.is_empty());
    let timestamp = timestamp.ok_or(SignatureError::Missing("Timestamp"))?;
    let timestamp = timestamp::parse(timestamp).map_err(|_| SignatureError::TimestampMalformed)?;
    Ok(Signed {
        scheme: Scheme::HmacSha1,
        access_key_id: access_key_id.to_owned(),
        timestamp,
        nonce: nonce.to_owned(),
        security_token: pairs.get("SecurityToken").filter(|token| !token.is_empty()).cloned(),
        string_to_sign: string_to_sign(request.method, &pairs),
        claimed_signature: claimed_signature.to_owned(),
    })
}

/// The string to sign: method, `/` and all parameters but the signature itself.
pub fn string_to_sign(method: &str, pairs: &Pairs) -> String {
    let signed = canonical(pairs.iter().filter(|(name, _)| *name != "Signature"));
    format!("{method}&%2F&{}", encode(&signed))
}

/// The signature of a string, base64. The key is the secret and an `&`.
pub fn signature(secret: &str, string_to_sign: &str) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()).expect("HMAC takes any key length");
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
