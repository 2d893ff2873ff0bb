//! The messages about certificates of domains.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `PUT /v1/domains/{name}/certificate`, answered by a [`ServerCertificateView`], as `GET` is: what viewers of the domain are
/// shown by POPs' TLS listeners. `DELETE` takes it away: POPs then show what their files say.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerCertificateRequest {
    /// The certificate, then those that lead to its issuer; PEM, at most 64 KiB. It must be valid now and for the domain.
    pub certificate: String,
    /// Its private key, PEM without a password, at most 16 KiB. It is told to POPs and to nobody again.
    pub key: String,
    /// What to call it, at most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A domain's certificate, without its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerCertificateView {
    /// The domain.
    pub domain: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The certificate with its chain, PEM.
    pub certificate: String,
    /// The DNS names it is for.
    pub names: Vec<String>,
    /// Until when it is valid, wall-clock milliseconds since 1970.
    pub expires_ms: i64,
    /// When it was set, wall-clock milliseconds since 1970.
    pub set_ms: i64,
}
