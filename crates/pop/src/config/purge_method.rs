//! Who may purge by HTTP's custom method PURGE at the admin listener, and as whom control is asked then.

use super::Token;
use freshen_model::network::Network;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The longest that an answer waits for completion, milliseconds.
pub const WAIT_MS_MAX: u64 = 30_000;
/// A shorter secret could be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// How requests with the method PURGE are answered: forwarded to control, as a client with one access key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeMethod {
    /// Control's listener for users, `http://host:port`.
    pub endpoint: String,
    /// The access key that all these purges are made with.
    pub access_key_id: String,
    /// Its secret.
    pub access_key_secret: Token,
    /// Addresses and networks that may ask; the machine's own if not set.
    #[serde(default = "loopback")]
    pub from: Vec<Network>,
    /// What a request must bring besides, as `Authorization: Bearer …` or `Fastly-Key: …`; nothing if not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Token>,
    /// Milliseconds an answer waits for the purge to be complete; after that it says that the task goes on.
    #[serde(default = "wait_ms")]
    pub wait_ms: u64,
}

impl PurgeMethod {
    /// Says which field cannot be, and why.
    pub fn validate(&self) -> Result<(), String> {
        if self.wait_ms > WAIT_MS_MAX {
            return Err(format!("purge_method.wait_ms: {} is more than {WAIT_MS_MAX}", self.wait_ms));
        }
        // A field's value can be nothing else.
        let fits = |secret: &Token| {
            secret.0.len() >= SECRET_BYTES_MIN && secret.0.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if self.secret.as_ref().is_some_and(|secret| !fits(secret)) {
            let why = format!("write {SECRET_BYTES_MIN} or more printable ASCII characters without spaces");
            return Err(format!("purge_method.secret: {why}"));
        }
        Ok(())
    }

    /// Whether who connects from there may ask.
    pub fn lets_in(&self, from: IpAddr) -> bool {
        self.from.iter().any(|network| network.contains(from))
    }
}

fn loopback() -> Vec<Network> {
    Network::LOOPBACK.to_vec()
}

fn wait_ms() -> u64 {
    5_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_list_only_the_machine_itself_may_ask() {
        let text = "endpoint = \"http://127.0.0.1:8080\"\naccess_key_id = \"a\"\naccess_key_secret = \"hush-hush\"\n";
        let purge: PurgeMethod = toml::from_str(text).unwrap();
        assert!(purge.lets_in("127.0.0.1".parse().unwrap()) && purge.lets_in("::1".parse().unwrap()));
        assert!(
            !purge.lets_in("192.0.2.1".parse().unwrap()) && !purge.lets_in("2001:db8::1".parse().unwrap())
        );
        assert_eq!((purge.secret.as_ref(), purge.wait_ms), (None, 5_000));
        assert!(!format!("{purge:?}").contains("hush"), "{purge:?}");
        let with = |more: &str| toml::from_str::<PurgeMethod>(&format!("{text}{more}")).unwrap().validate();
        assert!(with("secret = \"0123456789abcdef\"").is_ok());
        assert!(with("secret = \"short\"").unwrap_err().contains("purge_method.secret"));
        assert!(with("secret = \"0123456789 abcdef\"").unwrap_err().contains("purge_method.secret"));
        assert!(with("wait_ms = 30001").unwrap_err().contains("purge_method.wait_ms"));
    }
}
