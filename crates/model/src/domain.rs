//! The settings of a domain: where its content comes from, its cache space and policies. They travel to the POPs as orders.

mod home;
mod origin;
mod query;
mod tags;
mod ttl;

pub use home::{BadHome, Home};
pub use origin::{BadOrigin, Bucket, Origin};
pub use query::{BadQueryPolicy, QueryPolicy};
pub use tags::{BadTagField, PartedBy, TAG_FIELDS_MAX, TagField};
pub use ttl::{
    BadTtlRule, Lifetimes, TTL_MATCH_BYTES_MAX, TTL_RULES_MAX, TTL_S_MAX, TtlMode, TtlRule, WEIGHT_MIN, When,
};

use crate::secret::{SealingKey, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Origins of a domain, backups included.
pub const ORIGINS_MAX: usize = 16;
/// The most that `retries` may say.
pub const RETRIES_MAX: u8 = 5;
/// The least that prefetches may be slowed down to, bytes a second: slower, and origins hang up.
pub const PREFETCH_BYTES_PER_S_MIN: u64 = 64 << 10;
/// Milliseconds that a timeout may be set to.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 100..=600_000;

/// The settings of one accelerated host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The server the content comes from.
    pub origin: Origin,
    /// Servers with the same content, asked in this order while the ones before fail; at most [`ORIGINS_MAX`] with the
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<Origin>,
    /// How often a GET or HEAD that brought no answer is sent again, 0 to [`RETRIES_MAX`].
    #[serde(default = "retries")]
    pub retries: u8,
    /// Milliseconds until an origin's answer begins, tries and backups included; absent: as the POP is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_head_ms_max: Option<u32>,
    /// Milliseconds of silence within an origin's answer; absent: as the POP is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_silence_ms_max: Option<u32>,
    /// Another domain whose cache this one shares; absent: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_cache: Option<String>,
    /// What of a query belongs to the key.
    #[serde(default)]
    pub query: QueryPolicy,
    /// What a POP may do with its cache while it holds no lease.
    #[serde(default)]
    pub no_lease: NoLease,
    /// Whether an `expire`d copy may be served when the origin fails.
    #[serde(default)]
    pub purged_stale_if_error: bool,
    /// Freshness in seconds of answers that say nothing about it; absent: the standard's heuristic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl_s: Option<u32>,
    /// The same for answers that there is nothing (404, 410 and their like); absent: as other answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative_ttl_s: Option<u32>,
    /// Freshness by path, at most [`TTL_RULES_MAX`]; the first rule that matches counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ttl: Vec<TtlRule>,
    /// How parts of large objects are asked for.
    #[serde(default)]
    pub ranges: Ranges,
    /// Which POP fetches from the origin for the others.
    #[serde(default)]
    pub home: Home,
    /// In which fields the origin names the tags of its answers, at most [`TAG_FIELDS_MAX`].
    #[serde(default = "TagField::usual")]
    pub tag_fields: Vec<TagField>,
    /// Whether viewers get these fields.
    #[serde(default)]
    pub show_tags: bool,
    /// Whether the domain is stopped: POPs refuse its viewers and nothing of it is prefetched; what is cached stays, and is
    /// purged as ever.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Requests a second that prefetches of a POP may send, at least 1; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefetch_requests_per_s: Option<u32>,
    /// Bytes a second that prefetches of a POP may fetch, at least [`PREFETCH_BYTES_PER_S_MIN`]; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefetch_bytes_per_s: Option<u64>,
}

impl Settings {
    /// Settings that say nothing but where the content comes from.
    pub fn of_origin(origin: Origin) -> Settings {
        Settings {
            origin,
            backups: Vec::new(),
            retries: retries(),
            origin_head_ms_max: None,
            origin_silence_ms_max: None,
            share_cache: None,
            query: QueryPolicy::default(),
            no_lease: NoLease::default(),
            purged_stale_if_error: false,
            default_ttl_s: None,
            negative_ttl_s: None,
            ttl: Vec::new(),
            ranges: Ranges::default(),
            home: Home::default(),
            tag_fields: TagField::usual(),
            show_tags: false,
            stopped: false,
            prefetch_requests_per_s: None,
            prefetch_bytes_per_s: None,
        }
    }

    /// All its origins, in the order in which they are asked.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        std::iter::once(&self.origin).chain(&self.backups)
    }

    /// The same, to be changed.
    pub fn origins_mut(&mut self) -> impl Iterator<Item = &mut Origin> {
        std::iter::once(&mut self.origin).chain(&mut self.backups)
    }

    /// Seals the secrets for the disk.
    pub fn seal(&mut self, key: &SealingKey) {
        self.buckets_mut().for_each(|bucket| bucket.seal(key));
    }

    /// Opens the secrets; says whether all are.
    pub fn open(&mut self, key: &SealingKey) -> bool {
        let mut all = true;
        for bucket in self.buckets_mut() {
            all &= bucket.open(key);
        }
        all
    }

    /// Withholds the secrets, to be shown.
    pub fn withhold_secrets(&mut self) {
        self.buckets_mut().for_each(|bucket| bucket.secret_access_key = Secret::withheld());
    }

    /// Puts the secrets of `before` in place of those that are withheld here, each for the same access key id.
    pub fn keep_secrets(&mut self, before: &Settings) {
        for bucket in self.buckets_mut().filter(|bucket| bucket.secret_access_key.is_withheld()) {
            let mut known = before.origins().filter_map(|origin| origin.s3.as_ref());
            if let Some(known) = known.find(|known| known.access_key_id == bucket.access_key_id) {
                bucket.secret_access_key = known.secret_access_key.clone();
            }
        }
    }

    fn buckets_mut(&mut self) -> impl Iterator<Item = &mut Bucket> {
        self.origins_mut().filter_map(|origin| origin.s3.as_mut())
    }

    /// The cache space of the domain `name` with these settings.
    pub fn space<'a>(&'a self, name: &'a str) -> &'a str {
        self.share_cache.as_deref().unwrap_or(name)
    }

    /// Whether what was cached under `before` may be something else than what these settings would fetch.
    pub fn fetches_otherwise_than(&self, before: &Settings) -> bool {
        // A backup has the same content, so that one more changes nothing; one less may be where a copy came from.
        let knows = |origin: &Origin| self.origins().any(|other| other.serves_as(origin));
        let other_origins = !self.origin.serves_as(&before.origin) || !before.origins().all(knows);
        let trusts_ranges_less = self.ranges == Ranges::Whole && before.ranges == Ranges::Slices;
        // What was stored before has no tags of a field that was none then, and no purge by tag would find it.
        let finds_more_tags = self.tag_fields.iter().any(|field| !before.tag_fields.contains(field));
        other_origins
            || self.query != before.query
            || self.share_cache != before.share_cache
            || trusts_ranges_less
            || finds_more_tags
    }

    /// How long answers of `path` stay fresh by these settings; a query behind it is passed over.
    pub fn lifetimes_for(&self, path: &str) -> Lifetimes {
        let path = path.split('?').next().unwrap_or_default();
        let mut lifetimes = Lifetimes {
            default_ttl_s: self.default_ttl_s,
            negative_ttl_s: self.negative_ttl_s,
            override_s: None,
        };
        match self.ttl.iter().find(|rule| rule.when.matches(path)) {
            Some(TtlRule { ttl_s, mode: TtlMode::Default, .. }) => lifetimes.default_ttl_s = Some(*ttl_s),
            Some(TtlRule { ttl_s, mode: TtlMode::Override, .. }) => lifetimes.override_s = Some(*ttl_s),
            None => {}
        }
        lifetimes
    }
}

fn retries() -> u8 {
    1
}

/// What a POP without a lease does with a copy the origin has not lately confirmed to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoLease {
    /// Asks the origin with the copy's validators; a 304 counts.
    #[default]
    Revalidate,
    /// Fetches anew; for origins whose validators lie.
    Refetch,
    /// Uses the copy; a purge is then complete only when every POP has confirmed it.
    Serve,
}

impl std::fmt::Display for NoLease {
    /// As [`NoLease`] is read from text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NoLease::Revalidate => "revalidate",
            NoLease::Refetch => "refetch",
            NoLease::Serve => "serve",
        })
    }
}

impl std::str::FromStr for NoLease {
    type Err = BadNoLease;

    fn from_str(text: &str) -> Result<NoLease, BadNoLease> {
        match text {
            "revalidate" => Ok(NoLease::Revalidate),
            "refetch" => Ok(NoLease::Refetch),
            "serve" => Ok(NoLease::Serve),
            _ => Err(BadNoLease(text.chars().take(80).collect())),
        }
    }
}

/// A word that is no choice of `no_lease`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a choice of no_lease: write revalidate, refetch or serve")]
pub struct BadNoLease(pub String);

/// How a POP asks an origin for parts of large objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ranges {
    /// By ranges, slice by slice, where the origin has them.
    #[default]
    Slices,
    /// Never: always for the whole object; for origins whose ranges lie.
    Whole,
}

impl std::fmt::Display for Ranges {
    /// As [`Ranges`] is read from text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ranges::Slices => "slices",
            Ranges::Whole => "whole",
        })
    }
}

impl std::str::FromStr for Ranges {
    type Err = BadRanges;

    fn from_str(text: &str) -> Result<Ranges, BadRanges> {
        match text {
            "slices" => Ok(Ranges::Slices),
            "whole" => Ok(Ranges::Whole),
            _ => Err(BadRanges(text.chars().take(80).collect())),
        }
    }
}

/// A word that is no choice of `ranges`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a choice of ranges: write slices or whole")]
pub struct BadRanges(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::of_origin("http://origin.example".parse().unwrap())
    }

    fn bucket(id: &str, secret: &str) -> Bucket {
        Bucket {
            region: "eu-1".into(),
            bucket: Some("films".into()),
            access_key_id: id.into(),
            secret_access_key: Secret::Plain(secret.into()),
        }
    }

    fn of_bucket(id: &str, secret: &str) -> Settings {
        let mut settings = settings();
        settings.origin.s3 = Some(bucket(id, secret));
        settings
    }

    #[test]
    fn secrets_are_sealed_withheld_and_kept() {
        let key = SealingKey::new([7; 32]);
        let plain = of_bucket("key", "hush");
        let mut other = plain.clone();
        other.seal(&key);
        let text = serde_json::to_string(&other).unwrap();
        assert!(!text.contains("hush") && !format!("{plain:?}").contains("hush"), "{text}");
        assert!(!other.clone().open(&SealingKey::new([8; 32])));
        assert!(other.open(&key) && other == plain);
        other.withhold_secrets();
        assert_ne!(other, plain);
        other.backups.push(other.origin.clone());
        other.keep_secrets(&plain);
        assert!(other.origins().all(|origin| *origin == plain.origin));
        let mut foreign = of_bucket("another", "hush");
        foreign.withhold_secrets();
        foreign.keep_secrets(&plain);
        assert!(
            foreign.origin.s3.unwrap().secret_access_key.is_withheld(),
            "another key's secret is another"
        );
        assert!(!of_bucket("new", "new").fetches_otherwise_than(&plain), "a new key reads the same bucket");
    }

    #[test]
    fn settings_of_before_are_read_as_they_were_meant() {
        let before = r#"{"origin":{"address":"origin.example:80"},"query":"keep","no_lease":"revalidate","purged_stale_if_error":false}"#;
        assert_eq!(serde_json::from_str::<Settings>(before).unwrap(), settings());
        assert_eq!(
            serde_json::from_str::<Settings>(r#"{"origin":{"address":"origin.example:80"}}"#).unwrap(),
            settings()
        );
    }

    #[test]
    fn the_first_rule_that_matches_says_how_long() {
        let rules = ["/live/thumb/=60", ".m3u8=2!", "/live/=5!", ".jpg=600"];
        let settings = Settings {
            ttl: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
            default_ttl_s: Some(100),
            negative_ttl_s: Some(3),
            ..settings()
        };
        let of = |path: &str| {
            let Lifetimes { default_ttl_s, negative_ttl_s, override_s } = settings.lifetimes_for(path);
            assert_eq!(negative_ttl_s, Some(3), "{path}");
            (default_ttl_s, override_s)
        };
        assert_eq!(of("/live/thumb/a.m3u8"), (Some(60), None));
        assert_eq!(of("/vod/a.m3u8"), (Some(100), Some(2)));
        assert_eq!(of("/live/a.jpg"), (Some(100), Some(5)));
        assert_eq!(of("/a.jpg"), (Some(600), None));
        assert_eq!(of("/a.jpg?x=1"), (Some(600), None), "a query is no part of the path");
        assert_eq!(of("/a.JPG"), (Some(100), None));
        assert_eq!(of("/live"), (Some(100), None));
        assert_eq!(
            Settings { ttl: Vec::new(), default_ttl_s: None, negative_ttl_s: None, ..settings }
                .lifetimes_for("/"),
            Lifetimes::default()
        );
    }

    #[test]
    fn cached_content_is_given_up_where_it_may_be_another() {
        let before = settings();
        let changed = |change: &dyn Fn(&mut Settings)| {
            let mut after = settings();
            change(&mut after);
            after.fetches_otherwise_than(&before)
        };
        assert!(!changed(&|_| {}));
        assert!(changed(&|after| after.origin.address = "other.example:80".into()));
        assert!(changed(&|after| after.query = QueryPolicy::Ignore));
        assert!(changed(&|after| after.share_cache = Some("b.example".into())));
        assert!(
            changed(&|after| after.ranges = Ranges::Whole),
            "what was put together from ranges may be a lie"
        );
        assert!(!changed(&|after| after.default_ttl_s = Some(1)));
        assert!(!changed(&|after| after.retries = 5));
        assert!(!changed(&|after| after.stopped = true));
        assert!(changed(&|after| after.origin.s3 = Some(bucket("key", "secret"))));
        assert!(!changed(&|after| after.backups = vec!["http://b".parse().unwrap()]));
        let backed = Settings { backups: vec!["http://b".parse().unwrap()], ..settings() };
        assert!(settings().fetches_otherwise_than(&backed), "a copy may be the backup's");
        let mut swapped = backed.clone();
        std::mem::swap(&mut swapped.origin, &mut swapped.backups[0]);
        assert!(swapped.fetches_otherwise_than(&backed));
        assert!(!changed(&|after| after.ttl = vec!["/=1!".parse().unwrap()]));
        assert!(changed(&|after| after.tag_fields = vec!["comma:x-tags".parse().unwrap()]));
        assert!(!changed(&|after| after.tag_fields.truncate(1)));
        assert!(!changed(&|after| after.show_tags = true));
        let whole = Settings { ranges: Ranges::Whole, ..settings() };
        assert!(!settings().fetches_otherwise_than(&whole));
    }
}
