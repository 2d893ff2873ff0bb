//! The settings of a domain: its origin, cache space and policies. They travel to the POPs as orders.

use serde::{Deserialize, Serialize};

/// The settings of one accelerated host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The server the content comes from.
    pub origin: Origin,
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
}

impl Settings {
    /// Settings that say nothing but where the content comes from.
    pub fn of_origin(origin: Origin) -> Settings {
        Settings {
            origin,
            share_cache: None,
            query: QueryPolicy::default(),
            no_lease: NoLease::default(),
            purged_stale_if_error: false,
            default_ttl_s: None,
        }
    }

    /// The cache space of the domain `name` with these settings.
    pub fn space<'a>(&'a self, name: &'a str) -> &'a str {
        self.share_cache.as_deref().unwrap_or(name)
    }

    /// Whether what was cached under `before` may be something else than what these settings would fetch.
    pub fn fetches_otherwise_than(&self, before: &Settings) -> bool {
        self.origin != before.origin || self.query != before.query || self.share_cache != before.share_cache
    }
}

/// Where a domain's content is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `host:port`; reached by HTTP/1.1.
    pub address: String,
    /// Whether the connection is TLS, the origin's certificate verified for the host in the address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// The `Host` field sent to it; absent: the domain that the viewer asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_header: Option<String>,
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
        Ok(Origin { address: format!("{}:{port}", host.to_ascii_lowercase()), tls, host_header: None })
    }
}

/// What of a query belongs to the key; the same for viewers, purges and prefetches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueryPolicy {
    /// All of it, in its order.
    #[default]
    Keep,
    /// Nothing of it.
    Ignore,
    /// Only the named parameters.
    Only(Vec<String>),
    /// All but the named parameters.
    Drop(Vec<String>),
}

impl QueryPolicy {
    /// What is left of `query`; `None` where nothing is.
    pub fn apply(&self, query: &str) -> Option<String> {
        let keeps = |keep: &dyn Fn(&str) -> bool| {
            let kept: Vec<&str> = query
                .split('&')
                .filter(|parameter| keep(parameter.split('=').next().unwrap_or_default()))
                .collect();
            (!kept.is_empty()).then(|| kept.join("&"))
        };
        match self {
            QueryPolicy::Keep => Some(query.to_owned()),
            QueryPolicy::Ignore => None,
            QueryPolicy::Only(names) => keeps(&|name| names.iter().any(|kept| kept == name)),
            QueryPolicy::Drop(names) => keeps(&|name| !names.iter().any(|dropped| dropped == name)),
        }
    }
}

impl std::str::FromStr for QueryPolicy {
    type Err = BadQueryPolicy;

    /// Reads `keep`, `ignore`, `only:a,b` or `drop:a,b`.
    fn from_str(text: &str) -> Result<QueryPolicy, BadQueryPolicy> {
        let names = |list: &str| {
            let names: Vec<String> = list.split(',').map(str::to_owned).collect();
            (names.len() <= 100 && names.iter().all(|name| !name.is_empty() && name.len() <= 200))
                .then_some(names)
                .ok_or_else(|| BadQueryPolicy(text.chars().take(200).collect()))
        };
        match text.split_once(':') {
            None if text == "keep" => Ok(QueryPolicy::Keep),
            None if text == "ignore" => Ok(QueryPolicy::Ignore),
            Some(("only", list)) => Ok(QueryPolicy::Only(names(list)?)),
            Some(("drop", list)) => Ok(QueryPolicy::Drop(names(list)?)),
            _ => Err(BadQueryPolicy(text.chars().take(200).collect())),
        }
    }
}

/// Words that are no query policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a query policy: write keep, ignore, only:a,b or drop:a,b")]
pub struct BadQueryPolicy(pub String);

/// What a POP without a lease does with a copy the origin has not lately confirmed to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    #[test]
    fn query_policies_keep_what_they_say() {
        let apply = |policy: &str, query: &str| policy.parse::<QueryPolicy>().unwrap().apply(query);
        assert_eq!(apply("keep", "b=1&a=2").as_deref(), Some("b=1&a=2"));
        assert_eq!(apply("ignore", "b=1"), None);
        assert_eq!(apply("only:a", "b=1&a=2&a"), Some("a=2&a".into()));
        assert_eq!(apply("drop:a", "a=2"), None);
        assert!("only:".parse::<QueryPolicy>().is_err());
    }
}
