//! ACS3-HMAC-SHA256, the vendor's second scheme: an `Authorization` header over method, path, query, chosen
//! headers and the hash of the body. Freshen's own `/v1` is signed the same way, with its real path.
//!
//! Source: "V3 request body and signature" of the Alibaba Cloud SDK documentation.

use hmac::{Hmac, KeyInit, Mac};
use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::encode::{canonical, pairs};
use super::{Request, Scheme, SignatureError, Signed, field};
use crate::timestamp;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// The longest `Authorization` header, in bytes.
const AUTHORIZATION_BYTES_MAX: usize = 8 << 10;

const INCOMPLETE_LIST: SignatureError =
    SignatureError::Incomplete("SignedHeaders must be lower-case names, sorted, each once");
const INCOMPLETE_HEADER: SignatureError =
    SignatureError::Incomplete("a signed header is missing, repeated or not UTF-8");

/// The request's `Authorization` header, if it is one of the ACS3 family.
pub fn authorization(headers: &HeaderMap) -> Result<Option<&str>, SignatureError> {
    let is_acs3 = |value: &&HeaderValue| value.as_bytes().starts_with(b"ACS3-");
    if !headers.get_all(header::AUTHORIZATION).iter().any(|value| is_acs3(&value)) {
        return Ok(None);
    }
    single(headers, "authorization")
}

/// Reads an ACS3 `Authorization` header and the `x-acs-*` headers beside it.
pub fn parse(request: &Request<'_>, authorization: &str) -> Result<Signed, SignatureError> {
    let claim = Claim::parse(authorization)?;
    let header = |name: &str| single(request.headers, name);
    let date = header("x-acs-date")?.ok_or(SignatureError::Missing("Timestamp"))?;
    let timestamp = timestamp::parse(date).map_err(|_| SignatureError::TimestampMalformed)?;
    let nonce = field("SignatureNonce", header("x-acs-signature-nonce")?)?;
    let claimed_hash = field("ContentSha256", header("x-acs-content-sha256")?)?;
    if header("x-acs-accesskey-id")?.is_some_and(|id| id != claim.access_key_id) {
        return Err(SignatureError::Incomplete("x-acs-accesskey-id differs from Credential"));
    }
    covers_what_it_must(request.headers, claim.signed_headers)?;
    let signed = Signed {
        scheme: Scheme::Acs3,
        access_key_id: claim.access_key_id.to_owned(),
        timestamp,
        nonce: nonce.to_owned(),
        security_token: header("x-acs-security-token")?.filter(|token| !token.is_empty()).map(str::to_owned),
        string_to_sign: string_to_sign(&canonical_request(request, claim.signed_headers)?),
        claimed_signature: claim.signature.to_owned(),
    };
    if claimed_hash != hash(request.body) {
        return Err(signed.does_not_match());
    }
    Ok(signed)
}

/// What a client of ours is about to send.
pub struct Unsigned<'a> {
    /// The HTTP method, upper case.
    pub method: &'a str,
    /// The path as it will be sent.
    pub path: &'a str,
    /// The query as it will be sent, without its `?`.
    pub query: &'a str,
    /// The `Host` header, with the port where there is one.
    pub host: &'a str,
    /// The `Content-Type` header, if any.
    pub content_type: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
    /// The name of the action.
    pub action: &'a str,
    /// The version of the API that has this action.
    pub version: &'a str,
    /// When, in unix seconds.
    pub date: i64,
    /// Anything that was not used before with this key within the time window.
    pub nonce: &'a str,
}

/// The access key a client signs with.
pub struct Credentials<'a> {
    /// The key's id.
    pub access_key_id: &'a str,
    /// The key's secret.
    pub secret: &'a str,
    /// The token, for temporary credentials.
    pub security_token: Option<&'a str>,
}

/// Why a client's request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A text that no header can carry.
    #[error("not a header value: {0}")]
    HeaderValue(#[from] InvalidHeaderValue),
    /// A query that the server would refuse.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// The headers to send with a request, `host` and `content-type` among them, all of them signed.
pub fn sign(unsigned: &Unsigned<'_>, credentials: &Credentials<'_>) -> Result<HeaderMap, SignError> {
    let date = timestamp::format(unsigned.date).to_string();
    let hash = hash(unsigned.body);
    let values = [
        ("content-type", unsigned.content_type),
        ("host", Some(unsigned.host)),
        ("x-acs-accesskey-id", credentials.security_token.map(|_| credentials.access_key_id)),
        ("x-acs-action", Some(unsigned.action)),
        ("x-acs-content-sha256", Some(&hash)),
        ("x-acs-date", Some(&date)),
        ("x-acs-security-token", credentials.security_token),
        ("x-acs-signature-nonce", Some(unsigned.nonce)),
        ("x-acs-version", Some(unsigned.version)),
    ];
    let mut headers = HeaderMap::new();
    let mut names = Vec::new();
    for (name, value) in values {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
            names.push(name);
        }
    }
    let Unsigned { method, path, query, body, .. } = *unsigned;
    let signed_headers = names.join(";");
    let request = Request { method, path, query, headers: &headers, body };
    let string_to_sign = string_to_sign(&canonical_request(&request, &signed_headers)?);
    let (id, signature) = (credentials.access_key_id, signature(credentials.secret, &string_to_sign));
    let authorization =
        format!("{ALGORITHM} Credential={id},SignedHeaders={signed_headers},Signature={signature}");
    headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&authorization)?);
    Ok(headers)
}

/// The canonical request, whose hash is signed. `signed_headers` are names joined by `;`.
pub fn canonical_request(request: &Request<'_>, signed_headers: &str) -> Result<String, SignatureError> {
    let query = canonical(&pairs(&[request.query.as_bytes()])?);
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        let value = single(request.headers, name)?.ok_or(INCOMPLETE_HEADER)?;
        headers.push_str(&format!("{name}:{value}\n"));
    }
    let Request { method, path, body, .. } = request;
    Ok(format!("{method}\n{path}\n{query}\n{headers}\n{signed_headers}\n{}", hash(body)))
}

/// The signature of a string, lower-case hexadecimal. The key is the bare secret.
pub fn signature(secret: &str, string_to_sign: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key length");
    mac.update(string_to_sign.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn string_to_sign(canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{}", hash(canonical_request.as_bytes()))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What an `Authorization` header says.
struct Claim<'a> {
    access_key_id: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn parse(authorization: &'a str) -> Result<Claim<'a>, SignatureError> {
        if authorization.len() > AUTHORIZATION_BYTES_MAX {
            return Err(SignatureError::Incomplete("Authorization is too long"));
        }
        let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if algorithm != ALGORITHM {
            return Err(SignatureError::Method);
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let place = match part.split_once('=') {
                Some(("Credential", value)) => credential.replace(value),
                Some(("SignedHeaders", value)) => signed_headers.replace(value),
                Some(("Signature", value)) => signature.replace(value),
                _ => return Err(SignatureError::Incomplete("unknown field in Authorization")),
            };
            if place.is_some() {
                return Err(SignatureError::Incomplete("a field of Authorization appears twice"));
            }
        }
        Ok(Claim {
            access_key_id: field("AccessKeyId", credential)?,
            signed_headers: signed_headers.ok_or(INCOMPLETE_LIST)?,
            signature: field("Signature", signature)?,
        })
    }
}

/// The client chooses what it signs, but not freely: `host`, and every `x-acs-*` header that is there, since
/// each of them means something.
fn covers_what_it_must(headers: &HeaderMap, signed_headers: &str) -> Result<(), SignatureError> {
    let names: Vec<&str> = signed_headers.split(';').collect();
    let is_sorted = names.windows(2).all(|pair| pair[0] < pair[1]);
    let is_name = |name: &&str| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if !is_sorted || !names.iter().all(is_name) {
        return Err(INCOMPLETE_LIST);
    }
    let must_sign = |name: &&str| *name == "host" || name.starts_with("x-acs-");
    let is_signed = |name: &str| names.binary_search(&name).is_ok();
    if !is_signed("host") || !headers.keys().map(HeaderName::as_str).filter(must_sign).all(is_signed) {
        return Err(SignatureError::Incomplete("SignedHeaders must name host and every x-acs-* header"));
    }
    Ok(())
}

/// The value of a header, trimmed. One that is there twice has no one meaning and is refused.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(INCOMPLETE_HEADER);
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| INCOMPLETE_HEADER)?;
    Ok(Some(text.trim()))
}
