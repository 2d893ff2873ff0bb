//! What a POP process is told at its start; what its domains are, it learns from the log.

mod purge_method;

pub use purge_method::PurgeMethod;

use freshen_model::domain::{PREFETCH_BYTES_PER_S_MIN, Settings};
use freshen_model::ids::PopId;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Semaphore;

const DAY_MS: u64 = 86_400_000;

/// The configuration of one POP process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name, as registered with control.
    pub id: PopId,
    /// Its data folder; one POP, one folder.
    pub data: PathBuf,
    /// Where viewers connect, `address:port`.
    pub listen: String,
    /// Where viewers connect by TLS, `address:port`; nowhere if not set. It needs a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_listen: Option<String>,
    /// A folder of further certificates: each `NAME.crt` (PEM, with its chain) with the key of `NAME.key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_dir: Option<PathBuf>,
    /// Milliseconds between looks at the certificates' files; SIGHUP looks at once.
    #[serde(default = "defaults::certificates_check_ms")]
    pub certificates_check_ms: u64,
    /// Where other POPs connect, `address:port`; nowhere if not set, and then this POP is nobody's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_listen: Option<String>,
    /// Where other POPs reach `peer_listen`, `host:port`; as it stands there if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// Where health and metrics are, `address:port`.
    pub admin_listen: String,
    /// Control's fleet listener, `host:port`.
    pub control: String,
    /// The token that control gave when the POP was registered: a secret, a dot, and the pin of control's key, by which
    /// the line to control is TLS. A token of before has no pin, and goes in the clear.
    pub token: Token,
    /// Memory for hot entries and slices, bytes.
    #[serde(default = "defaults::memory_bytes_max")]
    pub memory_bytes_max: u64,
    /// Disk for bodies and entries, bytes.
    #[serde(default = "defaults::disk_bytes_max")]
    pub disk_bytes_max: u64,
    /// Bytes that stay free on the disk, for the index and for others: with less, nothing is stored and room is made.
    #[serde(default = "defaults::disk_reserve_bytes")]
    pub disk_reserve_bytes: u64,
    /// The largest object that is stored, bytes; larger ones pass through.
    #[serde(default = "defaults::object_bytes_max")]
    pub object_bytes_max: u64,
    /// Viewers' connections at one time.
    #[serde(default = "defaults::connections_max")]
    pub connections_max: usize,
    /// Bytes of a request's or response's head.
    #[serde(default = "defaults::head_bytes_max")]
    pub head_bytes_max: usize,
    /// Fills at one time; a request over that is answered 503.
    #[serde(default = "defaults::fills_max")]
    pub fills_max: usize,
    /// URLs and directories in the purge index; a rule over that evicts its cache space.
    #[serde(default = "defaults::rules_max")]
    pub rules_max: usize,
    /// Certificates (PEM) that origins are trusted by beside those of the machine; for origins with a CA of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_ca_file: Option<PathBuf>,
    /// Milliseconds for connecting to an origin.
    #[serde(default = "defaults::origin_connect_ms_max")]
    pub origin_connect_ms_max: u64,
    /// Milliseconds until an origin's response begins.
    #[serde(default = "defaults::origin_head_ms_max")]
    pub origin_head_ms_max: u64,
    /// Milliseconds of silence within an origin's response.
    #[serde(default = "defaults::origin_silence_ms_max")]
    pub origin_silence_ms_max: u64,
    /// Milliseconds a viewer may take to send a request's head.
    ///
    /// The same time is allowed for a TLS handshake, and for a connection on which nothing is asked.
    #[serde(default = "defaults::viewer_head_ms_max")]
    pub viewer_head_ms_max: u64,
    /// Milliseconds in which a viewer must take some bytes of his answer, or send some of his body.
    #[serde(default = "defaults::viewer_silence_ms_max")]
    pub viewer_silence_ms_max: u64,
    /// Milliseconds between sweeps.
    #[serde(default = "defaults::sweep_interval_ms")]
    pub sweep_interval_ms: u64,
    /// Milliseconds a sweep waits for older fills to end before it gives their storing up.
    #[serde(default = "defaults::sweep_patience_ms")]
    pub sweep_patience_ms: u64,
    /// Prefetches fetched at one time.
    #[serde(default = "defaults::prefetches_at_once")]
    pub prefetches_at_once: usize,
    /// Files prefetched at one time from one origin; fewer while it is slow or fails.
    #[serde(default = "defaults::prefetches_at_once_per_origin")]
    pub prefetches_at_once_per_origin: usize,
    /// Times that a prefetched file is tried before it counts as failed.
    #[serde(default = "defaults::prefetch_tries_max")]
    pub prefetch_tries_max: u32,
    /// Bytes a second that all prefetches together may fetch; no limit if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefetch_bytes_per_s_max: Option<u64>,
    /// Certificates for `tls_listen`; the first one is shown to viewers who ask for a name that none is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateFiles>,
    /// How requests with the method PURGE at the admin listener are answered; refused if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_method: Option<PurgeMethod>,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The certificate and its chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}

/// A secret that stays out of `Debug`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Config {
    /// A configuration with defaults for all that has some.
    pub fn new(
        id: PopId,
        data: PathBuf,
        listen: String,
        admin_listen: String,
        control: String,
        token: String,
    ) -> Config {
        Config {
            id,
            data,
            listen,
            tls_listen: None,
            certificate_dir: None,
            certificates_check_ms: defaults::certificates_check_ms(),
            peer_listen: None,
            peer_address: None,
            admin_listen,
            control,
            token: Token(token),
            memory_bytes_max: defaults::memory_bytes_max(),
            disk_bytes_max: defaults::disk_bytes_max(),
            disk_reserve_bytes: defaults::disk_reserve_bytes(),
            object_bytes_max: defaults::object_bytes_max(),
            connections_max: defaults::connections_max(),
            head_bytes_max: defaults::head_bytes_max(),
            fills_max: defaults::fills_max(),
            rules_max: defaults::rules_max(),
            origin_ca_file: None,
            origin_connect_ms_max: defaults::origin_connect_ms_max(),
            origin_head_ms_max: defaults::origin_head_ms_max(),
            origin_silence_ms_max: defaults::origin_silence_ms_max(),
            viewer_head_ms_max: defaults::viewer_head_ms_max(),
            viewer_silence_ms_max: defaults::viewer_silence_ms_max(),
            sweep_interval_ms: defaults::sweep_interval_ms(),
            sweep_patience_ms: defaults::sweep_patience_ms(),
            prefetches_at_once: defaults::prefetches_at_once(),
            prefetches_at_once_per_origin: defaults::prefetches_at_once_per_origin(),
            prefetch_tries_max: defaults::prefetch_tries_max(),
            prefetch_bytes_per_s_max: None,
            certificates: Vec::new(),
            purge_method: None,
        }
    }

    /// How long an origin of this domain may be silent within an answer.
    pub fn origin_silence_max(&self, settings: &Settings) -> Duration {
        Duration::from_millis(settings.origin_silence_ms_max.map_or(self.origin_silence_ms_max, u64::from))
    }

    /// How long an origin of this domain may take until its answer begins.
    pub fn origin_head_max(&self, settings: &Settings) -> Duration {
        Duration::from_millis(settings.origin_head_ms_max.map_or(self.origin_head_ms_max, u64::from))
    }

    /// Where other POPs can ask this one.
    pub fn announced(&self) -> Option<String> {
        let listen = self.peer_listen.as_ref()?;
        Some(self.peer_address.as_ref().unwrap_or(listen).clone())
    }

    /// Says which field cannot be, and why.
    pub fn validate(&self) -> Result<(), String> {
        let at_least = |field: &str, value: u64, least: u64| {
            (value >= least).then_some(()).ok_or(format!("{field}: {value} is less than {least}"))
        };
        at_least("memory_bytes_max", self.memory_bytes_max, 8 << 20)?;
        at_least("disk_bytes_max", self.disk_bytes_max, 192 << 20)?;
        at_least("object_bytes_max", self.object_bytes_max, 1 << 20)?;
        at_least("connections_max", self.connections_max as u64, 1)?;
        at_least("head_bytes_max", self.head_bytes_max as u64, 8 << 10)?;
        at_least("fills_max", self.fills_max as u64, 1)?;
        at_least("rules_max", self.rules_max as u64, 1)?;
        for (field, value) in [
            ("viewer_head_ms_max", self.viewer_head_ms_max),
            ("viewer_silence_ms_max", self.viewer_silence_ms_max),
            ("certificates_check_ms", self.certificates_check_ms),
        ] {
            at_least(field, value, 100)?;
            if value > DAY_MS {
                return Err(format!("{field}: {value} is more than a day, {DAY_MS}"));
            }
        }
        if self.connections_max > Semaphore::MAX_PERMITS {
            return Err(format!("connections_max: more than {}", Semaphore::MAX_PERMITS));
        }
        if self.tls_listen.is_none() && (!self.certificates.is_empty() || self.certificate_dir.is_some()) {
            return Err("certificates: there is no tls_listen where they would be shown".into());
        }
        match (&self.peer_listen, &self.peer_address) {
            (None, Some(_)) => return Err("peer_address: there is no peer_listen behind it".into()),
            (Some(listen), None) if of_every_address(listen) => {
                return Err(format!(
                    "peer_listen: {listen} is of every address; name in peer_address where other POPs reach it"
                ));
            }
            _ => {}
        }
        at_least("sweep_interval_ms", self.sweep_interval_ms, 10)?;
        at_least("prefetches_at_once", self.prefetches_at_once as u64, 1)?;
        at_least("prefetches_at_once_per_origin", self.prefetches_at_once_per_origin as u64, 1)?;
        at_least("prefetch_tries_max", u64::from(self.prefetch_tries_max), 1)?;
        let least = PREFETCH_BYTES_PER_S_MIN;
        at_least("prefetch_bytes_per_s_max", self.prefetch_bytes_per_s_max.unwrap_or(least), least)?;
        if self.object_bytes_max > self.disk_bytes_max / 2 {
            return Err("object_bytes_max: more than half of disk_bytes_max".into());
        }
        self.purge_method.as_ref().map_or(Ok(()), PurgeMethod::validate)
    }
}

/// Whether a listener is at every address of the machine.
fn of_every_address(listen: &str) -> bool {
    listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified())
}

mod defaults {
    pub fn memory_bytes_max() -> u64 {
        256 << 20
    }
    pub fn disk_bytes_max() -> u64 {
        10 << 30
    }
    pub fn disk_reserve_bytes() -> u64 {
        128 << 20
    }
    pub fn object_bytes_max() -> u64 {
        4 << 30
    }
    pub fn connections_max() -> usize {
        10_000
    }
    pub fn head_bytes_max() -> usize {
        64 << 10
    }
    pub fn fills_max() -> usize {
        2_048
    }
    pub fn rules_max() -> usize {
        1_000_000
    }
    pub fn origin_connect_ms_max() -> u64 {
        3_000
    }
    pub fn origin_head_ms_max() -> u64 {
        30_000
    }
    pub fn origin_silence_ms_max() -> u64 {
        30_000
    }
    pub fn viewer_head_ms_max() -> u64 {
        30_000
    }
    pub fn viewer_silence_ms_max() -> u64 {
        60_000
    }
    pub fn certificates_check_ms() -> u64 {
        10_000
    }
    pub fn sweep_interval_ms() -> u64 {
        30_000
    }
    pub fn sweep_patience_ms() -> u64 {
        600_000
    }
    pub fn prefetches_at_once() -> usize {
        16
    }
    pub fn prefetches_at_once_per_origin() -> usize {
        8
    }
    pub fn prefetch_tries_max() -> u32 {
        6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut Config)) -> Result<(), String> {
        let text = String::new;
        let mut config = Config::new("pop-1".parse().unwrap(), "data".into(), text(), text(), text(), text());
        change(&mut config);
        config.validate()
    }

    #[test]
    fn what_cannot_be_is_named() {
        assert_eq!(config(|_| {}), Ok(()));
        for (field, refused) in [
            ("viewer_head_ms_max", config(|config| config.viewer_head_ms_max = 0)),
            ("viewer_silence_ms_max", config(|config| config.viewer_silence_ms_max = u64::MAX)),
            ("certificates_check_ms", config(|config| config.certificates_check_ms = 99)),
            ("connections_max", config(|config| config.connections_max = usize::MAX)),
            ("certificates", config(|config| config.certificate_dir = Some("certificates".into()))),
            ("prefetch_bytes_per_s_max", config(|config| config.prefetch_bytes_per_s_max = Some(65_535))),
            ("peer_listen", config(|config| config.peer_listen = Some("0.0.0.0:8090".into()))),
            ("peer_address", config(|config| config.peer_address = Some("pop-1:8090".into()))),
        ] {
            assert!(refused.as_ref().is_err_and(|why| why.starts_with(field)), "{field}: {refused:?}");
        }
    }
}
