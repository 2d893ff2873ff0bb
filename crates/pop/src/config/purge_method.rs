//! Who may purge by HTTP's custom method PURGE at the admin listener, and as whom control is asked then.

use super::Token;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::str::FromStr;

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
    vec![
        Network { address: [127, 0, 0, 0].into(), bits: 8 },
        Network { address: IpAddr::from(LOOPBACK_6), bits: 128 },
    ]
}

const LOOPBACK_6: [u16; 8] = [0, 0, 0, 0, 0, 0, 0, 1];

fn wait_ms() -> u64 {
    5_000
}

/// An address (`10.1.2.3`) or a network (`10.0.0.0/8`), of IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether the address is of this network. An IPv4 address within IPv6 counts as what it is.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                // Shifting out all bits leaves none to compare.
                let front = |address: std::net::Ipv4Addr| address.to_bits().checked_shr(shift).unwrap_or(0);
                front(network) == front(address)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                let front = |address: std::net::Ipv6Addr| address.to_bits().checked_shr(shift).unwrap_or(0);
                front(network) == front(address)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let malformed = || format!("{text:?} is neither an address (10.1.2.3) nor a network (10.0.0.0/8)");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| malformed())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(bits_max);
        if bits > bits_max {
            return Err(malformed());
        }
        Ok(Network { address, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Network, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        format!("{}/{}", network.address, network.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn networks_contain_their_addresses_and_no_other() {
        assert!(contains("10.1.0.0/16", "10.1.255.1") && !contains("10.1.0.0/16", "10.2.0.1"));
        assert!(contains("10.1.2.3", "10.1.2.3") && !contains("10.1.2.3", "10.1.2.4"));
        assert!(contains("10.1.2.3", "::ffff:10.1.2.3"), "as a listener for both families shows it");
        assert!(contains("0.0.0.0/0", "192.0.2.1") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1") && !contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("::/0", "2001:db8::1"));
        for malformed in ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(malformed.parse::<Network>().is_err(), "{malformed}");
        }
    }

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
