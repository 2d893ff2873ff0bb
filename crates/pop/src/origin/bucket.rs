//! Reading a private bucket: AWS Signature Version 4 for the service `s3`, as Amazon's S3 API reference has it
//! («Authenticating Requests: Using the Authorization Header»).

use freshen_model::domain::Bucket;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};

/// SHA-256 of nothing: requests to a bucket have no body.
const EMPTY_DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const X_AMZ_DATE: &str = "x-amz-date";
const X_AMZ_CONTENT_SHA256: &str = "x-amz-content-sha256";
/// All but the characters that a signed path has as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Why a request is not sent to a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotForBucket {
    /// It could change the bucket.
    #[error("a bucket is only read, by GET and HEAD")]
    Method,
    /// It names the bucket, whose answer would be a list of what is in it, or could leave it.
    #[error("this path names no object of a bucket")]
    Path,
    /// The secret is not known here.
    #[error("the bucket's secret access key is not known, set it anew")]
    Secret,
}

/// The path that asks a bucket for the object at `path_and_query` of the domain.
///
/// Encoded as it is signed, so that both sides sign the same. Without the query: it would ask for something else than the
/// object (its access list, its versions), with this domain's signature, or bring the viewer's own signature along.
pub fn object_path(bucket: &Bucket, path_and_query: &str) -> Result<String, NotForBucket> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let name: Vec<u8> = percent_decode_str(path).collect();
    let leaves = name.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b".."));
    if leaves || name.iter().all(|byte| *byte == b'/') {
        return Err(NotForBucket::Path);
    }
    let path = percent_encode(&name, ENCODED);
    Ok(match &bucket.bucket {
        Some(bucket) => format!("/{bucket}{path}"),
        None => path.to_string(),
    })
}

/// Makes the fields of a viewer's request those of a signed request for `path` of [`object_path`].
///
/// Taken out are the viewer's own credentials, which are for the domain and not for the bucket. `wall` is the time since
/// 1970; stores refuse signatures that are more than about 15 minutes off.
pub fn sign(
    bucket: &Bucket,
    method: &Method,
    path: &str,
    host: &str,
    headers: &mut HeaderMap,
    wall: Duration,
) -> Result<(), NotForBucket> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(NotForBucket::Method);
    }
    let secret = bucket.secret_access_key.plain().ok_or(NotForBucket::Secret)?;
    let foreign = headers.keys().filter(|name| name.as_str().starts_with("x-amz-")).cloned();
    for name in foreign.chain([header::AUTHORIZATION, header::COOKIE]).collect::<Vec<_>>() {
        headers.remove(name);
    }
    let time = timestamp(wall);
    let signed = [("host", host), (X_AMZ_CONTENT_SHA256, EMPTY_DIGEST), (X_AMZ_DATE, time.as_str())];
    let authorization = authorization(bucket, secret, method, path, &signed, &time);
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| NotForBucket::Secret);
    let mut authorization = value(&authorization)?;
    authorization.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, authorization);
    headers.insert(X_AMZ_DATE, value(&time)?);
    headers.insert(X_AMZ_CONTENT_SHA256, HeaderValue::from_static(EMPTY_DIGEST));
    Ok(())
}

/// The field that proves who asks: a digest of the request under a key of this day, region and service. `signed` are the
/// fields that are signed, by name in lower case, in the order of their names.
fn authorization(
    bucket: &Bucket,
    secret: &str,
    method: &Method,
    path: &str,
    signed: &[(&str, &str)],
    time: &str,
) -> String {
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let fields: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    // The empty line is the query.
    let request = format!("{method}\n{path}\n\n{fields}\n{names}\n{EMPTY_DIGEST}");
    let day = time.split('T').next().unwrap_or_default();
    let scope = format!("{day}/{}/s3/aws4_request", bucket.region);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
    let first = format!("AWS4{secret}").into_bytes();
    let key = [day, &bucket.region, "s3", "aws4_request"].iter().fold(first, |key, part| mac(&key, part));
    let signature = hex::encode(mac(&key, &text));
    let id = &bucket.access_key_id;
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope},SignedHeaders={names},Signature={signature}")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of every length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// `20130524T000000Z`, made of `Fri, 24 May 2013 00:00:00 GMT`.
fn timestamp(wall: Duration) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + wall);
    let month = MONTHS.find(&date[8..11]).map_or(0, |place| place / 3 + 1);
    format!("{}{month:02}{}T{}Z", &date[12..16], &date[5..7], date[17..25].replace(':', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::secret::Secret;
    use http::HeaderName;

    fn bucket(name: Option<&str>) -> Bucket {
        Bucket {
            region: "us-east-1".into(),
            bucket: name.map(str::to_owned),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_access_key: Secret::Plain("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into()),
        }
    }

    /// The reference's own example, «GET Object».
    #[test]
    fn the_example_of_the_reference_is_signed_as_there() {
        let time = timestamp(Duration::from_secs(1_369_353_600));
        assert_eq!(time, "20130524T000000Z");
        let signed = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", EMPTY_DIGEST),
            ("x-amz-date", time.as_str()),
        ];
        let bucket = bucket(None);
        let secret = bucket.secret_access_key.plain().unwrap();
        let authorization = authorization(&bucket, secret, &Method::GET, "/test.txt", &signed, &time);
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }

    #[test]
    fn times_are_written_as_they_are_signed() {
        for (seconds, written) in
            [(0, "19700101T000000Z"), (951_782_399, "20000228T235959Z"), (1_735_689_599, "20241231T235959Z")]
        {
            assert_eq!(timestamp(Duration::from_secs(seconds)), written);
        }
    }

    #[test]
    fn paths_name_objects_of_the_bucket_and_nothing_else() {
        let path = |path: &str| object_path(&bucket(Some("films")), path);
        for (asked, sent) in [
            ("/a.mp4", "/films/a.mp4"),
            ("/a.mp4?acl", "/films/a.mp4"),
            ("/a+b%20c%2Fd~%7E(1)", "/films/a%2Bb%20c/d~~%281%29"),
            ("/%C3%A4/", "/films/%C3%A4/"),
            ("/...", "/films/..."),
            ("//a", "/films//a"),
        ] {
            assert_eq!(path(asked).as_deref(), Ok(sent));
        }
        for asked in ["/", "/?list-type=2", "//", "/%2F", "/%2F..%2Fother/a", "/a/%2e%2E/b", "/a/."] {
            assert_eq!(path(asked), Err(NotForBucket::Path), "{asked}");
        }
        assert_eq!(object_path(&bucket(None), "/a").as_deref(), Ok("/a"));
    }

    #[test]
    fn the_viewers_credentials_stay_here() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "x-amz-date", "x-amz-security-token", "range", "accept"] {
            headers.insert(name, HeaderValue::from_static("viewer's"));
        }
        let now = Duration::from_secs(1_369_353_600);
        sign(&bucket(None), &Method::GET, "/a", "h", &mut headers, now).unwrap();
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "authorization", "range", "x-amz-content-sha256", "x-amz-date"]);
        assert_eq!(headers["x-amz-date"], "20130524T000000Z");
        assert!(
            headers["authorization"]
                .to_str()
                .unwrap()
                .contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date,")
        );
        for method in [Method::PUT, Method::DELETE, Method::POST, Method::OPTIONS] {
            let refused = sign(&bucket(None), &method, "/a", "h", &mut headers, now);
            assert_eq!(refused, Err(NotForBucket::Method), "{method}");
        }
        let mut sealed = bucket(None);
        sealed.secret_access_key = Secret::withheld();
        assert_eq!(sign(&sealed, &Method::GET, "/a", "h", &mut headers, now), Err(NotForBucket::Secret));
    }
}
