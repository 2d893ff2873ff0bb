//! Certificates with their keys, as viewers are shown them: read, held against each other, and what they say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use freshen_model::receipt::Digest;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage};

/// Characters of a line in PEM, RFC 7468 §2.
const PEM_LINE: usize = 64;

/// A certificate with its chain and its key. The key stays out of `Debug`.
#[derive(Clone)]
pub struct Certified {
    /// Ready to be shown.
    pub shown: Arc<CertifiedKey>,
    /// The DNS names it is for, lower case; `*.` stands for one label.
    pub names: Vec<String>,
    /// From when it is valid, Unix seconds.
    pub from_s: u64,
    /// Until when.
    pub until_s: u64,
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certified").field("names", &self.names).field("until_s", &self.until_s).finish()
    }
}

/// What of the two cannot be, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The certificate or its chain.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The key.
    #[error("key: {0}")]
    Key(String),
}

impl Certified {
    /// Reads a certificate with the chain behind it, and its key, all PEM.
    pub fn read(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Certified, Misfit> {
        let unfit = |why: &dyn fmt::Display| Misfit::Certificate(why.to_string());
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|error| unfit(&error))?;
        let first = chain.first().ok_or_else(|| unfit(&"there is no certificate (PEM) in it"))?;
        let leaf = EndEntityCert::try_from(first).map_err(|error| unfit(&error))?;
        let names = leaf.valid_dns_names().map(str::to_ascii_lowercase).collect();
        let (from_s, until_s) = validity(&leaf);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            Misfit::Key(format!("{error}; write one private key (PEM) that no password protects"))
        })?;
        // Refuses a key of another certificate.
        let shown = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Misfit::Key("it is not the key of this certificate".into()),
            other => Misfit::Key(other.to_string()),
        })?;
        Ok(Certified { shown: Arc::new(shown), names, from_s, until_s })
    }

    /// Whether it is for that name, lower case.
    pub fn is_for(&self, name: &str) -> bool {
        let behind_first = name.split_once('.').map(|(_, rest)| rest);
        self.names.iter().any(|own| match own.strip_prefix("*.") {
            Some(rest) => behind_first == Some(rest),
            None => own == name,
        })
    }

    /// The chain as PEM, with nothing else in it.
    pub fn chain_pem(&self) -> String {
        let mut pem = String::new();
        for certificate in &self.shown.cert {
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            let text = STANDARD.encode(certificate);
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (line, behind) = rest.split_at(rest.len().min(PEM_LINE));
                pem.push_str(line);
                pem.push('\n');
                rest = behind;
            }
            pem.push_str("-----END CERTIFICATE-----\n");
        }
        pem
    }

    /// Which one this is: SHA-256 of its chain. A key is no part of it, since a certificate has only one.
    pub fn digest(&self) -> Digest {
        let mut digest = Sha256::new();
        for certificate in &self.shown.cert {
            digest.update((certificate.len() as u64).to_be_bytes());
            digest.update(certificate);
        }
        Digest(digest.finalize().into())
    }
}

/// From when until when it is valid. The library tells times of a certificate where they forbid its use.
fn validity(leaf: &EndEntityCert<'_>) -> (u64, u64) {
    let refusal = |at_s: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at_s));
        leaf.verify_for_usage(&[], &[], &[], at, KeyUsage::server_auth(), None, None).err()
    };
    let from_s = match refusal(0) {
        Some(Error::CertNotValidYet { not_before, .. }) => not_before.as_secs(),
        _ => 0,
    };
    let until_s = match refusal(u64::MAX) {
        Some(Error::CertExpired { not_after, .. }) => not_after.as_secs(),
        // It ends before it begins.
        _ => 0,
    };
    (from_s, until_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn read(chain: &str, key: &str) -> Result<Certified, Misfit> {
        Certified::read(chain.as_bytes(), key.as_bytes(), &rustls::crypto::ring::default_provider())
    }

    fn made(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 2);
        params.not_after = date_time_ymd(2027, 1, 2);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn what_a_certificate_says_is_read() {
        let (chain, key) = made(&["A.example", "*.a.example"]);
        let certified = read(&chain, &key).unwrap();
        assert_eq!(certified.names, ["a.example", "*.a.example"]);
        assert_eq!((certified.from_s, certified.until_s), (1_767_312_000, 1_798_848_000));
        for (name, is) in [
            ("a.example", true),
            ("b.a.example", true),
            ("c.b.a.example", false),
            ("b.example", false),
            ("example", false),
        ] {
            assert_eq!(certified.is_for(name), is, "{name}");
        }
        assert!(!format!("{certified:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_chain_is_kept_without_what_else_stood_there() {
        let (leaf, key) = made(&["a.example"]);
        let (issuer, _) = made(&["ca.example"]);
        let certified = read(&format!("{key}\nwords\n{leaf}{issuer}"), &key).unwrap();
        let pem = certified.chain_pem();
        assert!(!pem.contains("PRIVATE") && !pem.contains("words"), "{pem}");
        let again = read(&pem, &key).unwrap();
        assert_eq!((again.shown.cert.len(), again.digest()), (2, certified.digest()));
        assert_eq!(again.chain_pem(), pem);
        assert_ne!(read(&leaf, &key).unwrap().digest(), certified.digest());
    }

    #[test]
    fn what_does_not_fit_is_told_apart() {
        let (chain, key) = made(&["a.example"]);
        let (_, other) = made(&["a.example"]);
        let said = |chain: &str, key: &str| read(chain, key).unwrap_err().to_string();
        assert_eq!(said(&chain, &other), "key: it is not the key of this certificate");
        assert_eq!(said(&key, &key), "certificate: there is no certificate (PEM) in it");
        assert!(said(&chain, &chain).starts_with("key: "), "{}", said(&chain, &chain));
        let torn = chain.replace("-----END CERTIFICATE-----", "");
        assert!(said(&torn, &key).starts_with("certificate: "), "{}", said(&torn, &key));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(said(nonsense, &key).starts_with("certificate: "), "{}", said(nonsense, &key));
    }
}
