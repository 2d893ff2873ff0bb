//! The configuration of the control process.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
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
    /// How long a POP may use its cache after its last proof of the log's end, 1,000 to 600,000.
    pub lease_ms: u64,
    /// How far east of UTC the zone is at whose midnight the quota day begins; 480 is UTC+8.
    pub quota_day_offset_minutes: i32,
    /// How long after its submission an unfinished prefetch has failed.
    pub prefetch_deadline_s: u64,
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
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data: PathBuf::from("/var/lib/freshen/control"),
            secrets_key_file: None,
            listen: "127.0.0.1:8080".into(),
            fleet_listen: "127.0.0.1:8084".into(),
            lease_ms: 10_000,
            quota_day_offset_minutes: 480,
            prefetch_deadline_s: 86_400,
            log_retention_s: 259_200,
            console_https: false,
            session_s: 43_200,
            password_memory_kib: 19_456,
            password_passes: 2,
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
        Ok(())
    }

    /// The lease time.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
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
            ("quota_day_offset_minutes = 841", "quota_day_offset_minutes: 841 is outside -720 to 840"),
        ] {
            assert_eq!(config(text).validate().unwrap_err().to_string(), said);
        }
        let unknown = toml::from_str::<Config>("lease_s = 10").unwrap_err();
        assert!(unknown.to_string().contains("lease_s"), "{unknown}");
    }
}
