//! What our own half signs, our other half verifies; and nothing but that.

use freshen_api::signature::acs3::{self, Credentials, Unsigned};
use freshen_api::signature::encode::{canonical, encode};
use freshen_api::signature::{Pairs, Request, Scheme, SignatureError, Signed, hmac_sha1, parse};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

const NOW: i64 = 1_800_000_000;
const CREDENTIALS: Credentials<'static> =
    Credentials { access_key_id: "demo", secret: "demo-secret", security_token: None };

fn unsigned<'a>(path: &'a str, query: &'a str, body: &'a [u8]) -> Unsigned<'a> {
    Unsigned {
        method: "POST",
        path,
        query,
        host: "127.0.0.1:8080",
        content_type: Some("application/json"),
        body,
        action: "Purge",
        version: "v1",
        date: NOW,
        nonce: "n-1",
    }
}

fn accepted(request: &Request<'_>) -> bool {
    parse(request).is_ok_and(|signed| signed.verify(CREDENTIALS.secret).is_ok())
}

fn refusal(result: Result<Signed, SignatureError>) -> SignatureError {
    result.expect_err("refused")
}

/// A signed request of the first scheme, as a query.
fn hmac_sha1_query(change: impl FnOnce(&mut Pairs)) -> String {
    let fields = [
        ("AccessKeyId", "demo"),
        ("SignatureMethod", "Hmac-Sha1"),
        ("SignatureNonce", "n-1"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", "2027-01-15T08:00:00.250Z"),
    ];
    let mut pairs: Pairs = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    change(&mut pairs);
    let signature = hmac_sha1::signature(CREDENTIALS.secret, &hmac_sha1::string_to_sign("GET", &pairs));
    let query = canonical(&pairs);
    format!("{query}&Signature={}", encode(&signature))
}

fn parse_query(query: &str) -> Result<Signed, SignatureError> {
    parse(&Request { method: "GET", path: "/", query, headers: &HeaderMap::new(), body: b"" })
}

proptest! {
    #[test]
    fn acs3_round_trip_and_one_flipped_bit(
        path in "/[!-~&&[^?#]]{0,20}",
        params in proptest::collection::btree_map("[A-Za-z]{1,8}", any::<String>(), 0..6),
        body: Vec<u8>,
        at: prop::sample::Index,
        bit in 0..7_u32,
    ) {
        let query = canonical(&params);
        let headers = acs3::sign(&unsigned(&path, &query, &body), &CREDENTIALS).unwrap();
        let request = Request { method: "POST", path: &path, query: &query, headers: &headers, body: &body };
        let signed = parse(&request).unwrap();
        prop_assert_eq!((signed.timestamp, signed.nonce.as_str()), (NOW, "n-1"));
        prop_assert!(signed.verify(CREDENTIALS.secret).is_ok());
        prop_assert!(signed.verify("demo-secreT").is_err());
        let other = Request { method: "GET", ..request };
        prop_assert!(!accepted(&other));

        let mut target = format!("{path}?{query}").into_bytes();
        let mut changed_body = body.clone();
        let at = at.index(target.len() + body.len());
        let byte = if at < target.len() { &mut target[at] } else { &mut changed_body[at - path.len() - 1 - query.len()] };
        *byte ^= 1 << bit;
        let target = String::from_utf8(target).unwrap();
        let (changed_path, changed_query) = target.split_once('?').unwrap_or((&target, ""));
        let changed = Request { path: changed_path, query: changed_query, body: &changed_body, ..request };
        let same_meaning = changed_path == path && changed_body == body
            && changed.pairs().is_ok_and(|pairs| pairs == params);
        prop_assert_eq!(accepted(&changed), same_meaning);
    }

    #[test]
    fn hmac_sha1_round_trip_in_query_and_form(
        params in proptest::collection::btree_map("[a-z]{1,8}", any::<String>(), 0..6),
        at: prop::sample::Index,
    ) {
        let query = hmac_sha1_query(|pairs| pairs.extend(params));
        prop_assert!(parse_query(&query).unwrap().verify(CREDENTIALS.secret).is_ok());

        // The same parameters, split anywhere between query and form.
        let pairs: Vec<&str> = query.split('&').collect();
        let (query, form) = pairs.split_at(at.index(pairs.len() + 1));
        let (query, form) = (query.join("&"), form.join("&"));
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("Application/x-www-form-urlencoded; charset=utf-8"));
        let request = Request { method: "GET", path: "/", query: &query, headers: &headers, body: form.as_bytes() };
        prop_assert!(accepted(&request));
        let other = Request { method: "POST", ..request };
        prop_assert!(!accepted(&other));
        let other = Request { path: "/v1/purge", ..request };
        prop_assert!(!accepted(&other));
    }

    #[test]
    fn no_authorization_panics(text in "ACS3-HMAC-SHA256 [ -~]{0,80}", query in "[ -~]{0,40}") {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", text.parse().unwrap());
        let other = Request { method: "GET", path: "/", query: &query, headers: &headers, body: b"" };
        prop_assert!(!accepted(&other));
    }
}

#[test]
fn a_fraction_and_a_lower_case_method_are_accepted() {
    let signed = parse_query(&hmac_sha1_query(|_| ())).unwrap();
    assert_eq!(signed.scheme, Scheme::HmacSha1);
    assert_eq!(signed.timestamp, 1_800_000_000);
    signed.verify(CREDENTIALS.secret).unwrap();
}

#[test]
fn each_missing_parameter_is_named() {
    for name in ["AccessKeyId", "SignatureMethod", "SignatureNonce", "SignatureVersion", "Timestamp"] {
        let query = hmac_sha1_query(|pairs| drop(pairs.remove(name)));
        assert_eq!(refusal(parse_query(&query)), SignatureError::Missing(name));
        let query = hmac_sha1_query(|pairs| drop(pairs.insert(name.into(), String::new())));
        assert_eq!(refusal(parse_query(&query)), SignatureError::Missing(name));
    }
    assert_eq!(refusal(parse_query("")), SignatureError::Missing("AccessKeyId"));
    assert_eq!(refusal(parse_query("AccessKeyId=demo")), SignatureError::Missing("Signature"));
}

#[test]
fn each_value_that_cannot_be_accepted_has_its_error() {
    for (name, value, error) in [
        ("SignatureMethod", "HMAC-SHA256", SignatureError::Method),
        ("SignatureVersion", "2.0", SignatureError::Invalid("SignatureVersion")),
        ("SignatureType", "BEARERTOKEN", SignatureError::Invalid("SignatureType")),
        ("Timestamp", "2027-01-15 08:00:00", SignatureError::TimestampMalformed),
        ("SignatureNonce", &"n".repeat(257), SignatureError::Invalid("SignatureNonce")),
        ("AccessKeyId", "a\nb", SignatureError::Invalid("AccessKeyId")),
    ] {
        let query = hmac_sha1_query(|pairs| drop(pairs.insert(name.into(), value.into())));
        assert_eq!(refusal(parse_query(&query)), error);
    }
}

#[test]
fn acs3_must_sign_host_and_every_x_acs_header() {
    let headers = acs3::sign(&unsigned("/", "", b""), &CREDENTIALS).unwrap();
    let refusal_of = |change: &dyn Fn(&mut HeaderMap)| {
        let mut headers = headers.clone();
        change(&mut headers);
        refusal(parse(&Request { method: "POST", path: "/", query: "", headers: &headers, body: b"" }))
    };
    let edit = |from: &str, to: &str| {
        let authorization = headers["authorization"].to_str().unwrap().replace(from, to);
        refusal_of(&|headers| drop(headers.insert("authorization", authorization.parse().unwrap())))
    };
    let is_incomplete = |error| matches!(error, SignatureError::Incomplete(_));
    assert!(is_incomplete(edit("host;", "")));
    assert!(is_incomplete(edit("x-acs-action;", "")));
    assert!(is_incomplete(edit("host;x-acs-action", "x-acs-action;host")));
    assert!(is_incomplete(edit("host;", "Host;")));
    assert!(is_incomplete(edit("Signature=", "Sig=")));
    assert!(is_incomplete(edit("Credential=demo", "Credential=demo,Credential=demo")));
    assert!(is_incomplete(refusal_of(&|headers| drop(
        headers.insert("x-acs-bearer-token", HeaderValue::from_static("t"))
    ))));
    assert!(is_incomplete(refusal_of(&|headers| assert!(
        headers.append("host", HeaderValue::from_static("b"))
    ))));
    assert_eq!(edit("ACS3-HMAC-SHA256", "ACS3-HMAC-SM3"), SignatureError::Method);
    assert_eq!(edit("Credential=demo", "Credential="), SignatureError::Missing("AccessKeyId"));
    for (header, name) in [
        ("x-acs-date", "Timestamp"),
        ("x-acs-signature-nonce", "SignatureNonce"),
        ("x-acs-content-sha256", "ContentSha256"),
    ] {
        assert_eq!(refusal_of(&|headers| drop(headers.remove(header))), SignatureError::Missing(name));
    }
}

#[test]
fn temporary_credentials_are_signed_with_their_token() {
    let credentials = Credentials { security_token: Some("token"), ..CREDENTIALS };
    let headers = acs3::sign(&unsigned("/", "", b""), &credentials).unwrap();
    let signed =
        parse(&Request { method: "POST", path: "/", query: "", headers: &headers, body: b"" }).unwrap();
    assert_eq!(signed.security_token.as_deref(), Some("token"));
    signed.verify(CREDENTIALS.secret).unwrap();
}

#[test]
fn what_no_header_can_carry_is_not_signed() {
    let request = Unsigned { nonce: "a\nb", ..unsigned("/", "", b"") };
    assert!(acs3::sign(&request, &CREDENTIALS).is_err());
}

#[test]
fn a_false_hash_of_the_body_is_refused_however_it_is_signed() {
    let mut headers = acs3::sign(&unsigned("/", "", b"body"), &CREDENTIALS).unwrap();
    headers.insert("x-acs-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
    let request = Request { method: "POST", path: "/", query: "", headers: &headers, body: b"body" };
    let SignatureError::DoesNotMatch { string_to_sign } = refusal(parse(&request)) else {
        panic!("another error")
    };

    let authorization = headers["authorization"].to_str().unwrap();
    let (unsigned, _) = authorization.split_once("Signature=").unwrap();
    let signature = acs3::signature(CREDENTIALS.secret, &string_to_sign);
    let authorization = format!("{unsigned}Signature={signature}").parse().unwrap();
    headers.insert("authorization", authorization);
    let request = Request { method: "POST", path: "/", query: "", headers: &headers, body: b"body" };
    assert!(matches!(refusal(parse(&request)), SignatureError::DoesNotMatch { .. }));
}
