//! What a domain's settings may be.

use super::{ManageError, NAME_LENGTHS, domain_name, unfit, word};
use freshen_model::domain::{
    Bucket, ORIGINS_MAX, Origin, PREFETCH_BYTES_PER_S_MIN, QueryPolicy, RETRIES_MAX, Settings,
    TAG_FIELDS_MAX, TIMEOUT_MS, TTL_RULES_MAX, TTL_S_MAX,
};
use freshen_model::location::is_host_name;
use std::ops::RangeInclusive;

/// Parameters that a query policy may name.
const QUERY_NAMES_MAX: usize = 100;
const QUERY_NAME_BYTES_MAX: usize = 200;
const BUCKET_LENGTHS: RangeInclusive<usize> = 1..=255;
const BUCKET_KEY_LENGTHS: RangeInclusive<usize> = 1..=256;

/// Says what of a domain's settings cannot be.
pub(crate) fn check_settings(settings: &Settings) -> Result<(), ManageError> {
    check_origins(settings)?;
    if let Some(other) = &settings.share_cache
        && domain_name(other)? != *other
    {
        return unfit("share_cache", format!("{other:?} is no domain in lower case"));
    }
    match &settings.query {
        QueryPolicy::Only(names) | QueryPolicy::Drop(names) => {
            let fits = |name: &String| (1..=QUERY_NAME_BYTES_MAX).contains(&name.len());
            if names.is_empty() || names.len() > QUERY_NAMES_MAX || !names.iter().all(fits) {
                let reason =
                    format!("name 1 to {QUERY_NAMES_MAX} parameters of 1 to {QUERY_NAME_BYTES_MAX} bytes");
                return unfit("query", reason);
            }
        }
        QueryPolicy::Keep | QueryPolicy::Ignore => {}
    }
    check_tag_fields(settings)?;
    check_prefetches(settings)?;
    check_lifetimes(settings)
}

fn check_prefetches(settings: &Settings) -> Result<(), ManageError> {
    if settings.prefetch_requests_per_s == Some(0) {
        return unfit("prefetch requests a second", "write 1 or more".into());
    }
    if settings.prefetch_bytes_per_s.is_some_and(|per_s| per_s < PREFETCH_BYTES_PER_S_MIN) {
        return unfit("prefetch bytes a second", format!("write {PREFETCH_BYTES_PER_S_MIN} or more"));
    }
    Ok(())
}

fn check_tag_fields(settings: &Settings) -> Result<(), ManageError> {
    let fields = &settings.tag_fields;
    if fields.len() > TAG_FIELDS_MAX {
        return unfit("tag_fields", format!("{} are more than {TAG_FIELDS_MAX}", fields.len()));
    }
    for (place, field) in fields.iter().enumerate() {
        if fields[..place].iter().any(|other| other.name == field.name) {
            return unfit("tag_fields", format!("{} is named twice", field.name));
        }
    }
    Ok(())
}

fn check_origins(settings: &Settings) -> Result<(), ManageError> {
    for (place, origin) in settings.origins().enumerate() {
        check_origin(origin)?;
        if let Some(bucket) = &origin.s3 {
            // Who shares a cache fetches as its domain does, with that one's secrets.
            check_bucket(bucket, settings.share_cache.is_some())?;
        }
        if settings.origins().take(place).any(|other| other.serves_as(origin)) {
            return unfit("origin", format!("{origin} is named twice"));
        }
    }
    let count = settings.origins().count();
    if count > ORIGINS_MAX {
        return unfit("origin", format!("{count} origins are more than {ORIGINS_MAX}"));
    }
    if settings.retries > RETRIES_MAX {
        return unfit("retries", format!("{} is more than {RETRIES_MAX}", settings.retries));
    }
    for (field, ms) in [
        ("origin_head_ms_max", settings.origin_head_ms_max),
        ("origin_silence_ms_max", settings.origin_silence_ms_max),
    ] {
        if ms.is_some_and(|ms| !TIMEOUT_MS.contains(&ms)) {
            let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
            return unfit(field, format!("write {least} to {most} milliseconds"));
        }
    }
    Ok(())
}

fn check_origin(origin: &Origin) -> Result<(), ManageError> {
    match origin.to_string().parse::<Origin>() {
        Err(error) => return unfit("origin", error.to_string()),
        Ok(read) if read.address != origin.address => {
            return unfit("origin", format!("write host:port, as in {}", read.address));
        }
        Ok(_) => {}
    }
    if let Some(host) = &origin.host_header {
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        if !is_host_name(&name.to_ascii_lowercase()) || port.parse::<u16>().is_err() {
            return unfit("origin.host_header", format!("{host:?} is no host name with or without port"));
        }
    }
    Ok(())
}

fn check_bucket(bucket: &Bucket, shares: bool) -> Result<(), ManageError> {
    word("origin.s3.region", &bucket.region, NAME_LENGTHS, "-_")?;
    if let Some(name) = &bucket.bucket {
        word("origin.s3.bucket", name, BUCKET_LENGTHS, ".-_")?;
    }
    word("origin.s3.access_key_id", &bucket.access_key_id, BUCKET_KEY_LENGTHS, "._-")?;
    match bucket.secret_access_key.plain() {
        Some(secret)
            if BUCKET_KEY_LENGTHS.contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(())
        }
        None if shares => Ok(()),
        Some(_) => unfit("origin.s3.secret_access_key", "write 1 to 256 printable ASCII characters".into()),
        None => unfit("origin.s3.secret_access_key", format!("give the one of {}", bucket.access_key_id)),
    }
}

fn check_lifetimes(settings: &Settings) -> Result<(), ManageError> {
    for (field, seconds) in
        [("default_ttl_s", settings.default_ttl_s), ("negative_ttl_s", settings.negative_ttl_s)]
    {
        if seconds.is_some_and(|seconds| seconds > TTL_S_MAX) {
            return unfit(field, format!("write 0 to {TTL_S_MAX} seconds"));
        }
    }
    if settings.ttl.len() > TTL_RULES_MAX {
        return unfit("ttl", format!("{} are more than {TTL_RULES_MAX}", settings.ttl.len()));
    }
    match settings.ttl.iter().find_map(|rule| rule.check().err()) {
        Some(error) => unfit("ttl", error.to_string()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::domain::When;
    use freshen_model::secret::Secret;

    #[test]
    fn settings_that_cannot_be_are_named() {
        let origin = |address: &str| {
            let mut settings = Settings::of_origin("http://a.example".parse().unwrap());
            settings.origin.address = address.into();
            settings
        };
        assert!(check_settings(&origin("127.0.0.1:8090")).is_ok());
        let said = |settings: &Settings| check_settings(settings).unwrap_err().to_string();
        assert_eq!(said(&origin("a.example")), "origin: write host:port, as in a.example:80");
        assert!(said(&origin("a/b:80")).starts_with("origin: an origin is http://host[:port] or https://"));
        let mut settings = origin("a.example:80");
        settings.origin.host_header = Some("a\r\nb".into());
        assert!(said(&settings).starts_with("origin.host_header:"));
        settings.origin.host_header = Some("www.a.example:8080".into());
        settings.query = QueryPolicy::Only(vec![String::new()]);
        assert!(said(&settings).starts_with("query:"));
        settings.query = QueryPolicy::Keep;
        settings.backups = (1..=ORIGINS_MAX).map(|n| format!("http://b{n}").parse().unwrap()).collect();
        assert_eq!(said(&settings), "origin: 17 origins are more than 16");
        settings.backups.truncate(1);
        settings.backups.push(settings.backups[0].clone());
        assert_eq!(said(&settings), "origin: http://b1:80 is named twice");
        settings.backups.clear();
        settings.origin.s3 = Some(Bucket {
            region: "eu-1".into(),
            bucket: Some("a/b".into()),
            access_key_id: "reader".into(),
            secret_access_key: Secret::withheld(),
        });
        assert!(said(&settings).starts_with("origin.s3.bucket: write 1 to 255 letters"));
        settings.origin.s3.as_mut().unwrap().bucket = None;
        assert_eq!(said(&settings), "origin.s3.secret_access_key: give the one of reader");
        settings.origin.s3.as_mut().unwrap().secret_access_key = Secret::Plain("a\nb".into());
        assert!(said(&settings).starts_with("origin.s3.secret_access_key: write 1 to 256"));
        settings.origin.s3 = None;
        settings.retries = 6;
        assert_eq!(said(&settings), "retries: 6 is more than 5");
        settings.retries = 0;
        settings.origin_head_ms_max = Some(99);
        assert_eq!(said(&settings), "origin_head_ms_max: write 100 to 600000 milliseconds");
        settings.origin_head_ms_max = None;
        settings.negative_ttl_s = Some(TTL_S_MAX + 1);
        assert_eq!(said(&settings), "negative_ttl_s: write 0 to 31536000 seconds");
        settings.negative_ttl_s = Some(0);
        settings.prefetch_requests_per_s = Some(0);
        assert_eq!(said(&settings), "prefetch requests a second: write 1 or more");
        settings.prefetch_requests_per_s = Some(1);
        settings.prefetch_bytes_per_s = Some(65_535);
        assert_eq!(said(&settings), "prefetch bytes a second: write 65536 or more");
        settings.prefetch_bytes_per_s = None;
        settings.ttl = vec!["/a/=1".parse().unwrap(); TTL_RULES_MAX + 1];
        assert_eq!(said(&settings), "ttl: 101 are more than 100");
        settings.ttl.truncate(1);
        settings.ttl[0].when = When::Path("a".into());
        assert_eq!(said(&settings), "ttl: \"a=1\" is not a TTL rule: a path begins with /");
    }
}
