//! Where a domain's content is fetched.

use crate::secret::{SealingKey, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a domain's content is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// `host:port`; reached by HTTP/1.1.
    pub address: String,
    /// Whether the connection is TLS, the origin's certificate verified for the host in the address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// The `Host` field sent to it; absent: the domain that the viewer asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_header: Option<String>,
    /// What it takes to read there, where it is a private bucket of an S3-compatible store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<Bucket>,
}

/// A private bucket of an S3-compatible store, read by signed requests (AWS Signature Version 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Its region, as the store knows it.
    pub region: String,
    /// Its name, which is put before the path; absent: the origin's host names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Who reads.
    pub access_key_id: String,
    /// What that one signs with.
    pub secret_access_key: Secret,
}

impl Bucket {
    /// Its secret sealed for the disk.
    pub fn seal(&mut self, key: &SealingKey) {
        self.secret_access_key = self.secret_access_key.sealed(key, &self.access_key_id);
    }

    /// Its secret opened; says whether it is.
    pub fn open(&mut self, key: &SealingKey) -> bool {
        self.secret_access_key = self.secret_access_key.opened(key, &self.access_key_id);
        self.secret_access_key.plain().is_some()
    }
}

impl Origin {
    /// Whether both have the same content: everything but how they are reached and who asks.
    pub fn serves_as(&self, other: &Origin) -> bool {
        let bucket = |origin: &Origin| origin.s3.as_ref().map(|bucket| bucket.bucket.clone());
        self.address == other.address
            && self.tls == other.tls
            && self.host_header == other.host_header
            && bucket(self) == bucket(other)
    }
}

/// A text that names no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an origin is http://host[:port] or https://host[:port], not {0:?}")]
pub struct BadOrigin(pub String);

impl std::fmt::Display for Origin {
    /// As [`Origin`] is read from text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }
}

impl std::str::FromStr for Origin {
    type Err = BadOrigin;

    /// Reads `http://host[:port]` or `https://host[:port]`; the port is 80 or 443 where none is written.
    fn from_str(text: &str) -> Result<Origin, BadOrigin> {
        let malformed = || BadOrigin(text.chars().take(200).collect());
        let (tls, authority) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(authority), _) => (false, authority),
            (None, Some(authority)) => (true, authority),
            (None, None) => return Err(malformed()),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) => {
                (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(malformed)?)
            }
            _ => (authority, if tls { 443u16 } else { 80 }),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let known = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => crate::location::is_host_name(&host.to_ascii_lowercase()),
        };
        if !known {
            return Err(malformed());
        }
        Ok(Origin {
            address: format!("{}:{port}", host.to_ascii_lowercase()),
            tls,
            host_header: None,
            s3: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_or_refused() {
        for (text, address) in [
            ("http://origin.example", "origin.example:80"),
            ("http://Origin:8090/", "origin:8090"),
            ("http://127.0.0.1:8090", "127.0.0.1:8090"),
            ("http://[::1]:8090", "[::1]:8090"),
            ("http://[::1]", "[::1]:80"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().address, address);
        }
        let secure = "https://x".parse::<Origin>().unwrap();
        assert_eq!((secure.address.as_str(), secure.tls), ("x:443", true));
        assert_eq!(secure.to_string().parse::<Origin>(), Ok(secure));
        for text in ["x", "http://", "http://a:0", "http://a:99999", "http://a/b", "http://u@a", "http://::1"]
        {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
