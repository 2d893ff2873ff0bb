//! The configuration of the control process.

use crate::resolver;
use crate::traffic::Prices;
use freshen_model::network::Network;
use freshen_model::secret::Secret;
use freshen_model::traffic::Amount;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a control process is told; domains, POPs and accounts are not configuration, they live in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder of the ledger.
    pub data: PathBuf,
    /// A file with the key that seals secrets in the ledger, 64 hexadecimal digits; absent: `secrets.key` in `data`, made
    /// at the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_key_file: Option<PathBuf>,
    /// Where users are served: `host:port`.
    pub listen: String,
    /// Where POPs are served: `host:port`.
    pub fleet_listen: String,
    /// Whether POPs are served by TLS only; those whose token is of before, without control's pin, are then refused.
    pub fleet_tls_required: bool,
    /// How long a POP may use its cache after its last proof of the log's end, 1,000 to 600,000.
    pub lease_ms: u64,
    /// How far east of UTC the zone is at whose midnight the quota day begins; 480 is UTC+8.
    pub quota_day_offset_minutes: i32,
    /// How long after its submission an unfinished prefetch has failed.
    pub prefetch_deadline_s: u64,
    /// How long traffic is kept, in days, 1 to 400.
    pub traffic_retention_days: u32,
    /// What 1,000,000,000 bytes from origins cost, as a decimal number: `"0.02"`; absent: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin_gb_price: Option<Amount>,
    /// What 10,000 requests to origins cost; absent: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin_10k_requests_price: Option<Amount>,
    /// The currency of both, told beside amounts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub price_currency: String,
    /// How long orders are kept for a POP that does not confirm them; at least the lease.
    pub log_retention_s: u64,
    /// Whether people reach the console by https only, through a proxy before `listen`: browsers then send its cookie
    /// over nothing else.
    pub console_https: bool,
    /// How long somebody who signed in to the console stays so, 60 to 2,592,000 (30 days).
    pub session_s: u64,
    /// Memory that hashing a password takes, 8 to 1,048,576 KiB.
    pub password_memory_kib: u32,
    /// Passes over that memory, 1 to 100.
    pub password_passes: u32,
    /// How control calls addresses that users named.
    pub outbound: Outbound,
    /// Who is asked for media that are not in a library; absent: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_resolver: Option<MediaResolver>,
}

/// Who is asked for media that are not in a library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaResolver {
    /// Where he listens; `outbound` holds for him, too.
    pub url: String,
    /// What he verifies the question by; at least 16 characters, as they are or as `whsec_` and base64.
    pub secret: Secret,
    /// For one question, 100 to 60,000. Whoever submits a media job waits for it.
    #[serde(default = "resolver_time_ms_max")]
    pub time_ms_max: u64,
    /// How long an answer is believed, 0 to 86,400.
    #[serde(default = "resolver_ttl_s")]
    pub ttl_s: u64,
}

fn resolver_time_ms_max() -> u64 {
    2_000
}

fn resolver_ttl_s() -> u64 {
    60
}

/// How control calls addresses that users or the operator named, to tell them something or to ask them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbound {
    /// Addresses and networks that may be called though they are loopback, private, the machine's own or otherwise special.
    pub allow: Vec<Network>,
    /// Certificates (PEM) that receivers are trusted by beside those of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// For one call, from the name's resolution to the answer's end; 100 to 60,000.
    pub time_ms_max: u64,
    /// How often a callback is sent, if nobody takes it; 1 to 50.
    pub tries_max: u32,
    /// Before it is sent a second time; each further time is three times as long, up to an hour. 1 to 3,600,000.
    pub retry_after_ms: u64,
}

impl Default for Outbound {
    fn default() -> Outbound {
        Outbound {
            allow: Vec::new(),
            ca_file: None,
            time_ms_max: 10_000,
            tries_max: 10,
            retry_after_ms: 5_000,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data: PathBuf::from("/var/lib/freshen/control"),
            secrets_key_file: None,
            listen: "127.0.0.1:8080".into(),
            fleet_listen: "127.0.0.1:8084".into(),
            fleet_tls_required: false,
            lease_ms: 10_000,
            quota_day_offset_minutes: 480,
            prefetch_deadline_s: 86_400,
            log_retention_s: 259_200,
            console_https: false,
            session_s: 43_200,
            password_memory_kib: 19_456,
            password_passes: 2,
            outbound: Outbound::default(),
            media_resolver: None,
            traffic_retention_days: 31,
            origin_gb_price: None,
            origin_10k_requests_price: None,
            price_currency: String::new(),
        }
    }
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct BadConfig {
    /// The setting.
    pub field: &'static str,
    /// What is wrong with it, and what may be written.
    pub reason: String,
}

/// Shorter leases end between two heartbeats, longer ones leave purges unbounded for people's patience.
const LEASE_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;
/// From 12 hours west to 14 hours east, as zones go.
const DAY_OFFSET_MINUTES: std::ops::RangeInclusive<i32> = -720..=840;
/// Of a domain with traffic all day about 50 KB a day.
const TRAFFIC_DAYS: std::ops::RangeInclusive<u32> = 1..=400;
/// A year; what lasts longer is a slip of the unit.
const SECONDS_MAX: u64 = 366 * 86_400;
/// A stolen laptop is noticed within a month.
const SESSION_S: std::ops::RangeInclusive<u64> = 60..=2_592_000;
/// From what tests take to what one machine has.
const PASSWORD_MEMORY_KIB: std::ops::RangeInclusive<u32> = 8..=1_048_576;
const PASSWORD_PASSES: std::ops::RangeInclusive<u32> = 1..=100;

impl Config {
    /// Says what is wrong with the first setting that cannot be.
    pub fn validate(&self) -> Result<(), BadConfig> {
        let bad = |field, reason: String| Err(BadConfig { field, reason });
        if self.data.as_os_str().is_empty() {
            return bad("data", "name a folder".into());
        }
        for (field, address) in [("listen", &self.listen), ("fleet_listen", &self.fleet_listen)] {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
                return bad(field, format!("{address:?} is no host:port, as in 127.0.0.1:8080"));
            }
        }
        if self.listen == self.fleet_listen && !self.listen.ends_with(":0") {
            return bad("fleet_listen", "must differ from listen".into());
        }
        if !LEASE_MS.contains(&self.lease_ms) {
            return bad("lease_ms", format!("{} is outside 1000 to 600000", self.lease_ms));
        }
        if !DAY_OFFSET_MINUTES.contains(&self.quota_day_offset_minutes) {
            let reason = format!("{} is outside -720 to 840", self.quota_day_offset_minutes);
            return bad("quota_day_offset_minutes", reason);
        }
        if !(1..=SECONDS_MAX).contains(&self.prefetch_deadline_s) {
            let reason = format!("{} is outside 1 to {SECONDS_MAX}", self.prefetch_deadline_s);
            return bad("prefetch_deadline_s", reason);
        }
        if self.log_retention_s > SECONDS_MAX || self.log_retention_s * 1_000 < self.lease_ms {
            let reason = format!(
                "{} is outside {} (the lease) to {SECONDS_MAX}",
                self.log_retention_s,
                self.lease_ms.div_ceil(1_000)
            );
            return bad("log_retention_s", reason);
        }
        if !SESSION_S.contains(&self.session_s) {
            return bad("session_s", format!("{} is outside 60 to 2592000", self.session_s));
        }
        if !PASSWORD_MEMORY_KIB.contains(&self.password_memory_kib) {
            let reason = format!("{} is outside 8 to 1048576", self.password_memory_kib);
            return bad("password_memory_kib", reason);
        }
        if !PASSWORD_PASSES.contains(&self.password_passes) {
            return bad("password_passes", format!("{} is outside 1 to 100", self.password_passes));
        }
        if !TRAFFIC_DAYS.contains(&self.traffic_retention_days) {
            let reason = format!("{} is outside 1 to 400", self.traffic_retention_days);
            return bad("traffic_retention_days", reason);
        }
        let letters = self.price_currency.chars().all(|c| c.is_ascii_alphabetic());
        if self.price_currency.len() > 8 || !letters {
            return bad("price_currency", "write at most 8 letters, as in EUR".into());
        }
        self.outbound.validate()?;
        self.media_resolver.as_ref().map_or(Ok(()), MediaResolver::validate)
    }

    /// Changes the names of files to what `beside` makes of them: as they stand beside the file that has them.
    pub fn resolve(&mut self, beside: impl Fn(&Path) -> PathBuf) {
        self.data = beside(&self.data);
        for file in [&mut self.secrets_key_file, &mut self.outbound.ca_file] {
            *file = file.take().map(|file| beside(&file));
        }
    }

    /// What origins cost.
    pub fn prices(&self) -> Prices {
        Prices {
            origin_gb: self.origin_gb_price,
            origin_10k_requests: self.origin_10k_requests_price,
            currency: self.price_currency.clone(),
        }
    }

    /// The lease time.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}

fn within(field: &'static str, value: u64, (least, most): (u64, u64)) -> Result<(), BadConfig> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(BadConfig { field, reason: format!("{value} is outside {least} to {most}") }),
    }
}

impl MediaResolver {
    fn validate(&self) -> Result<(), BadConfig> {
        resolver::look_over(self).map_err(|(field, reason)| BadConfig { field, reason })?;
        within("media_resolver.time_ms_max", self.time_ms_max, (100, 60_000))?;
        within("media_resolver.ttl_s", self.ttl_s, (0, 86_400))
    }
}

impl Outbound {
    fn validate(&self) -> Result<(), BadConfig> {
        within("outbound.time_ms_max", self.time_ms_max, (100, 60_000))?;
        within("outbound.tries_max", self.tries_max.into(), (1, 50))?;
        within("outbound.retry_after_ms", self.retry_after_ms, (1, 3_600_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_fit() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
    }

    #[test]
    fn a_bad_setting_is_named() {
        let config = |text: &str| toml::from_str::<Config>(text).unwrap();
        for (text, said) in [
            ("lease_ms = 999", "lease_ms: 999 is outside 1000 to 600000"),
            ("lease_ms = 600001", "lease_ms: 600001 is outside 1000 to 600000"),
            ("listen = 'here'", "listen: \"here\" is no host:port, as in 127.0.0.1:8080"),
            ("fleet_listen = '127.0.0.1:8080'", "fleet_listen: must differ from listen"),
            ("log_retention_s = 9", "log_retention_s: 9 is outside 10 (the lease) to 31622400"),
            ("prefetch_deadline_s = 0", "prefetch_deadline_s: 0 is outside 1 to 31622400"),
            ("session_s = 59", "session_s: 59 is outside 60 to 2592000"),
            ("password_memory_kib = 7", "password_memory_kib: 7 is outside 8 to 1048576"),
            ("password_passes = 0", "password_passes: 0 is outside 1 to 100"),
            ("outbound.tries_max = 0", "outbound.tries_max: 0 is outside 1 to 50"),
            (
                "media_resolver = { url = 'nowhere', secret = '0123456789abcdef' }",
                "media_resolver.url: write http:// or https:// before it",
            ),
            (
                "media_resolver = { url = 'http://a.example', secret = 'short' }",
                "media_resolver.secret: write 16 or more characters",
            ),
            ("outbound.time_ms_max = 99", "outbound.time_ms_max: 99 is outside 100 to 60000"),
            ("traffic_retention_days = 0", "traffic_retention_days: 0 is outside 1 to 400"),
            ("price_currency = 'E R'", "price_currency: write at most 8 letters, as in EUR"),
            ("quota_day_offset_minutes = 841", "quota_day_offset_minutes: 841 is outside -720 to 840"),
        ] {
            assert_eq!(config(text).validate().unwrap_err().to_string(), said);
        }
        let unknown = toml::from_str::<Config>("lease_s = 10").unwrap_err();
        assert!(unknown.to_string().contains("lease_s"), "{unknown}");
    }
}
