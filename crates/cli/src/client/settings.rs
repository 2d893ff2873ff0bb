//! A domain's settings on the command line.

use super::connection::ClientError;
use freshen_model::domain::{
    Bucket, Home, NoLease, Origin, QueryPolicy, Ranges, Settings, TagField, TtlRule,
};
use freshen_model::secret::Secret;
use std::str::FromStr;

/// A domain's settings, as far as they are given.
#[derive(clap::Args)]
pub struct SettingsOptions {
    /// Where the content comes from, `http://host[:port]` or `https://host[:port]`. Several in their order: the later
    /// ones have the same content and are asked while those before fail.
    #[arg(long)]
    origin: Vec<Origin>,
    /// The Host field sent to the origin [default: the domain].
    #[arg(long)]
    host_header: Option<OrNone<String>>,
    /// Share the cache (and origin and query policy) of this domain.
    #[arg(long, value_name = "DOMAIN")]
    share_cache: Option<OrNone<String>>,
    /// What of a query tells objects apart: keep, ignore, only:a,b or drop:a,b.
    #[arg(long)]
    query: Option<QueryPolicy>,
    /// What a POP without a lease does: revalidate, refetch or serve.
    #[arg(long)]
    no_lease: Option<NoLease>,
    /// Serve copies that a purge expired while the origin fails.
    #[arg(long)]
    purged_stale_if_error: Option<bool>,
    /// Seconds of freshness for answers that say nothing about it.
    #[arg(long, value_name = "SECONDS")]
    default_ttl_s: Option<OrNone<u32>>,
    /// Seconds of freshness for answers that there is nothing, where they say nothing about it.
    #[arg(long, value_name = "SECONDS")]
    negative_ttl_s: Option<OrNone<u32>>,
    /// Freshness by path: `/path=SECONDS` or `.suffix=SECONDS` for answers that say nothing about it, with `!` behind it
    /// whatever they say. Several in their order, of which the first that matches counts; they replace those of before.
    #[arg(long, value_name = "RULE")]
    ttl: Vec<OrNone<TtlRule>>,
    /// How often a GET or HEAD that brought no answer is sent again, 0 to 5.
    #[arg(long)]
    retries: Option<u8>,
    /// Milliseconds until the origin's answer begins, retries included [default: as the POP is configured].
    #[arg(long, value_name = "MS")]
    origin_head_ms_max: Option<OrNone<u32>>,
    /// Milliseconds of silence within the origin's answer [default: as the POP is configured].
    #[arg(long, value_name = "MS")]
    origin_silence_ms_max: Option<OrNone<u32>>,
    /// The origin is a private bucket of an S3-compatible store in this region; `none`: it is none any more.
    #[arg(long, value_name = "REGION")]
    s3_region: Option<OrNone<String>>,
    /// The bucket's name, put before the path [default: the origin's host names it].
    #[arg(long, value_name = "NAME")]
    s3_bucket: Option<OrNone<String>>,
    /// The access key id that reads the bucket.
    #[arg(long, value_name = "ID")]
    s3_access_key_id: Option<String>,
    /// Its secret [default: FRESHEN_S3_SECRET_ACCESS_KEY of the environment, where no list of processes shows it]. It is
    /// never told again.
    #[arg(long, value_name = "SECRET", requires = "s3_access_key_id")]
    s3_secret_access_key: Option<String>,
    /// How parts of large objects are asked for: slices, or whole for origins whose ranges lie.
    #[arg(long)]
    ranges: Option<Ranges>,
    /// Which POP asks the origin for the others: off (each for itself), region or fleet (each object has its home among
    /// these POPs), or the id of one POP.
    #[arg(long)]
    home: Option<Home>,
    /// A field in which the origin names tags, `comma:NAME` or `space:NAME`; several, or none, in place of those of before
    /// [default: comma:cache-tag space:surrogate-key].
    #[arg(long, value_name = "FIELD")]
    tag_field: Vec<OrNone<TagField>>,
    /// Whether viewers get these fields.
    #[arg(long)]
    show_tags: Option<bool>,
    /// Requests a second that prefetches of each POP may send [default: no limit].
    #[arg(long, value_name = "N")]
    prefetch_requests_per_s: Option<OrNone<u32>>,
    /// Bytes a second that prefetches of each POP may fetch, at least 65536 [default: no limit].
    #[arg(long, value_name = "BYTES")]
    prefetch_bytes_per_s: Option<OrNone<u64>>,
}

/// A setting's new value; `none` takes it back.
#[derive(Clone, Debug, PartialEq)]
struct OrNone<T>(Option<T>);

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<OrNone<T>, T::Err> {
        if text == "none" { Ok(OrNone(None)) } else { text.parse().map(|value| OrNone(Some(value))) }
    }
}

/// Gives a setting its new value, where there is one.
fn change<T>(setting: &mut Option<T>, given: Option<OrNone<T>>) {
    if let Some(OrNone(value)) = given {
        *setting = value;
    }
}

/// What several options of one name come to: nothing given, `none` alone, or values.
fn list<T>(option: &str, given: Vec<OrNone<T>>) -> Result<Option<Vec<T>>, ClientError> {
    let count = given.len();
    let values: Vec<T> = given.into_iter().filter_map(|OrNone(value)| value).collect();
    match (count, values.len()) {
        (0, _) => Ok(None),
        (1, _) => Ok(Some(values)),
        (count, kept) if count == kept => Ok(Some(values)),
        _ => Err(ClientError::Usage(format!("{option} none stands alone"))),
    }
}

impl SettingsOptions {
    /// The first origin, if one is given.
    pub fn origin(&self) -> Option<Origin> {
        self.origin.first().cloned()
    }

    /// The domain whose cache is to be shared, if one is given.
    pub fn shared(&self) -> Option<String> {
        self.share_cache.clone().and_then(|OrNone(domain)| domain)
    }

    /// `settings` with what is given in place of what is there.
    pub fn over(self, mut settings: Settings) -> Result<Settings, ClientError> {
        let (host_header, bucket) = (settings.origin.host_header.clone(), settings.origin.s3.clone());
        let mut origins = self.origin.into_iter();
        if let Some(origin) = origins.next() {
            settings.origin = origin;
            settings.backups = origins.collect();
            for origin in settings.origins_mut() {
                (origin.host_header, origin.s3) = (host_header.clone(), bucket.clone());
            }
        }
        let s3 = BucketOptions {
            region: self.s3_region,
            bucket: self.s3_bucket,
            access_key_id: self.s3_access_key_id,
            secret_access_key: self.s3_secret_access_key,
        };
        for origin in settings.origins_mut() {
            origin.s3 = s3.clone().over(origin.s3.take())?;
        }
        for origin in settings.origins_mut() {
            change(&mut origin.host_header, self.host_header.clone());
        }
        change(&mut settings.share_cache, self.share_cache);
        settings.query = self.query.unwrap_or(settings.query);
        settings.no_lease = self.no_lease.unwrap_or(settings.no_lease);
        settings.purged_stale_if_error = self.purged_stale_if_error.unwrap_or(settings.purged_stale_if_error);
        change(&mut settings.default_ttl_s, self.default_ttl_s);
        change(&mut settings.negative_ttl_s, self.negative_ttl_s);
        settings.ttl = list("--ttl", self.ttl)?.unwrap_or(settings.ttl);
        settings.retries = self.retries.unwrap_or(settings.retries);
        change(&mut settings.origin_head_ms_max, self.origin_head_ms_max);
        change(&mut settings.origin_silence_ms_max, self.origin_silence_ms_max);
        settings.ranges = self.ranges.unwrap_or(settings.ranges);
        if let Some(home) = &self.home {
            settings.home = home.clone();
        }
        settings.tag_fields = list("--tag-field", self.tag_field)?.unwrap_or(settings.tag_fields);
        settings.show_tags = self.show_tags.unwrap_or(settings.show_tags);
        change(&mut settings.prefetch_requests_per_s, self.prefetch_requests_per_s);
        change(&mut settings.prefetch_bytes_per_s, self.prefetch_bytes_per_s);
        Ok(settings)
    }
}

/// Where a bucket's secret is looked for when an access key id is given without one.
const SECRET_VARIABLE: &str = "FRESHEN_S3_SECRET_ACCESS_KEY";

/// What is given of a bucket.
#[derive(Clone)]
struct BucketOptions {
    region: Option<OrNone<String>>,
    bucket: Option<OrNone<String>>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
}

impl BucketOptions {
    fn over(self, bucket: Option<Bucket>) -> Result<Option<Bucket>, ClientError> {
        let given = self.bucket.is_some() || self.access_key_id.is_some();
        let mut bucket = match (self.region, bucket) {
            (Some(OrNone(None)), _) => return Ok(None),
            (Some(OrNone(Some(region))), Some(bucket)) => Bucket { region, ..bucket },
            (Some(OrNone(Some(region))), None) => {
                let access_key_id = self.access_key_id.clone();
                let access_key_id = access_key_id
                    .ok_or_else(|| ClientError::Usage("a bucket is read with --s3-access-key-id".into()))?;
                Bucket { region, bucket: None, access_key_id, secret_access_key: Secret::withheld() }
            }
            (None, Some(bucket)) => bucket,
            (None, None) if given => return Err(ClientError::Usage("a bucket is in a --s3-region".into())),
            (None, None) => return Ok(None),
        };
        change(&mut bucket.bucket, self.bucket);
        if let Some(id) = self.access_key_id {
            let secret = self.secret_access_key.or_else(|| std::env::var(SECRET_VARIABLE).ok());
            let secret = secret.map_or_else(Secret::withheld, Secret::Plain);
            (bucket.access_key_id, bucket.secret_access_key) = (id, secret);
        }
        Ok(Some(bucket))
    }
}

/// Settings for people: the options' names, and what they are.
pub fn settings_rows(settings: &Settings) -> Vec<(&'static str, String)> {
    let number =
        |setting: Option<u32>, none: &str| setting.map_or(none.to_owned(), |value| value.to_string());
    let text = |setting: &Option<String>, none: &str| setting.clone().unwrap_or(none.to_owned());
    let mut rows: Vec<_> = settings.origins().map(|origin| ("origin", origin.to_string())).collect();
    rows.extend([
        ("retries", settings.retries.to_string()),
        ("origin-head-ms-max", number(settings.origin_head_ms_max, "as the POP")),
        ("origin-silence-ms-max", number(settings.origin_silence_ms_max, "as the POP")),
        ("host-header", text(&settings.origin.host_header, "the domain")),
        ("share-cache", text(&settings.share_cache, "its own")),
        ("query", settings.query.to_string()),
        ("no-lease", settings.no_lease.to_string()),
        ("purged-stale-if-error", settings.purged_stale_if_error.to_string()),
        ("default-ttl-s", number(settings.default_ttl_s, "guessed")),
        ("negative-ttl-s", number(settings.negative_ttl_s, "as other answers")),
        ("ranges", settings.ranges.to_string()),
        ("home", settings.home.to_string()),
        ("show-tags", settings.show_tags.to_string()),
        ("stopped", settings.stopped.to_string()),
        ("prefetch-requests-per-s", number(settings.prefetch_requests_per_s, "no limit")),
        ("prefetch-bytes-per-s", settings.prefetch_bytes_per_s.map_or("no limit".into(), |n| n.to_string())),
    ]);
    rows.extend(settings.tag_fields.iter().map(|field| ("tag-field", field.to_string())));
    if let Some(bucket) = &settings.origin.s3 {
        rows.extend([
            ("s3-region", bucket.region.clone()),
            ("s3-bucket", text(&bucket.bucket, "the origin's host")),
            ("s3-access-key-id", bucket.access_key_id.clone()),
            ("s3-secret-access-key", "set".into()),
        ]);
    }
    rows.extend(settings.ttl.iter().map(|rule| ("ttl", rule.to_string())));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: SettingsOptions,
    }

    fn given(line: &str) -> Result<Settings, String> {
        let words = std::iter::once("set").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let before = Settings {
            default_ttl_s: Some(5),
            ttl: vec!["/old/=1".parse().unwrap()],
            ..Settings::of_origin("http://a".parse().unwrap())
        };
        line.settings.over(before).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_given_replaces_and_none_takes_back() {
        let paced = given("--prefetch-requests-per-s 20 --prefetch-bytes-per-s 1000000").unwrap();
        assert_eq!((paced.prefetch_requests_per_s, paced.prefetch_bytes_per_s), (Some(20), Some(1_000_000)));
        assert!(settings_rows(&paced).contains(&("prefetch-requests-per-s", "20".into())));
        let same = given("").unwrap();
        assert_eq!((same.default_ttl_s, same.ttl.len()), (Some(5), 1));
        let set = given("--ttl /live/=2 --ttl .m3u8=2! --default-ttl-s none --ranges whole").unwrap();
        let rules: Vec<String> = set.ttl.iter().map(|rule| rule.to_string()).collect();
        assert_eq!(rules, ["/live/=2", ".m3u8=2!"]);
        assert_eq!((set.default_ttl_s, set.ranges), (None, Ranges::Whole));
        let origins = |line: &str| given(line).unwrap().origins().map(Origin::to_string).collect::<Vec<_>>();
        assert_eq!(origins("--retries 3"), ["http://a:80"]);
        assert_eq!(origins("--origin http://b --origin https://c"), ["http://b:80", "https://c:443"]);
        let hosted = given("--origin http://b --origin http://c --host-header h").unwrap();
        assert!(hosted.origins().all(|origin| origin.host_header.as_deref() == Some("h")));
        let of = |line: &str| given(line).unwrap().origin.s3;
        let bucket =
            of("--s3-region eu-1 --s3-bucket films --s3-access-key-id id --s3-secret-access-key hush");
        let bucket = bucket.unwrap();
        assert_eq!(
            (bucket.bucket.as_deref(), bucket.secret_access_key.plain()),
            (Some("films"), Some("hush"))
        );
        let shown = format!("{:?}", settings_rows(&given("--s3-region r --s3-access-key-id i").unwrap()));
        assert!(shown.contains("s3-region") && !shown.contains("hush"));
        assert_eq!(of("--s3-region none"), None);
        for missing in ["--s3-bucket b", "--s3-region r", "--s3-region r --s3-secret-access-key s"] {
            assert!(given(missing).is_err(), "{missing}");
        }
        assert_eq!(given("--ttl none").unwrap().ttl, []);
        assert!(given("--ttl none --ttl /a=1").unwrap_err().contains("--ttl none stands alone"));
        assert!(given("--ttl live=1").unwrap_err().contains("begins with /, or a suffix"));
        let fields = |line: &str| given(line).unwrap().tag_fields;
        assert_eq!(fields(""), TagField::usual());
        assert_eq!(fields("--tag-field comma:X-Tags"), ["comma:x-tags".parse().unwrap()]);
        assert_eq!(fields("--tag-field none"), []);
        assert!(given("--tag-field x-tags").unwrap_err().contains("write comma:NAME or space:NAME"));
        assert!(given("--ranges some").unwrap_err().contains("write slices or whole"));
    }
}
