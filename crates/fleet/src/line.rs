//! The line between control and POPs kept private: control's key, and the pin by which a POP knows that key.
//!
//! TLS 1.3 with raw public keys (RFC 7250). A certificate would add names, dates and somebody who signs it, and the pin
//! says all that is to be known: this key, or nobody.

use freshen_model::receipt::Digest;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8, RFC 8410 §7.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Control's key on the line to its POPs (Ed25519), ready to be shown. It stays out of `Debug`.
#[derive(Clone)]
pub struct LineKey {
    pin: Digest,
    config: Arc<ServerConfig>,
}

impl fmt::Debug for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineKey({})", self.pin)
    }
}

impl LineKey {
    /// The key of a seed of 32 secret bytes: the same one for the same seed. An error says what the TLS library lacks.
    pub fn from_seed(seed: &[u8; 32]) -> Result<LineKey, String> {
        let said = |error: Error| format!("the key for the line to POPs: {error}");
        let provider = provider();
        let der = [PKCS8_ED25519.as_slice(), seed.as_slice()].concat();
        let key = PrivateKeyDer::Pkcs8(der.into());
        let key = provider.key_provider.load_private_key(key).map_err(said)?;
        let public = key.public_key().ok_or("the key for the line to POPs shows no public one")?.to_vec();
        let pin = pin_of(&public);
        let shown = Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], key));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(said)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(shown)));
        // A POP's connections live long: nothing is kept for those that come back.
        config.send_tls13_tickets = 0;
        Ok(LineKey { pin, config: Arc::new(config) })
    }

    /// By which POPs know it.
    pub fn pin(&self) -> Digest {
        self.pin
    }

    /// TLS for the fleet's listener.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

/// What a POP is given when it is registered: a secret to be known by, and, but for POPs of before, the pin of the one
/// control that may be told it. As text the secret, a dot and the pin. It stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// What the POP proves itself with.
    pub secret: String,
    /// SHA-256 of control's public key (SubjectPublicKeyInfo in DER); absent: the line is not private.
    pub pin: Option<Digest>,
}

/// A token with something else behind its dot than a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("behind the dot of a token stands control's pin, 64 hexadecimal digits; `freshen pop list` tells it")]
pub struct BadToken;

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl FromStr for JoinToken {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<JoinToken, BadToken> {
        let Some((secret, pin)) = text.split_once('.') else {
            return Ok(JoinToken { secret: text.to_owned(), pin: None });
        };
        Ok(JoinToken { secret: secret.to_owned(), pin: Some(pin.parse().map_err(|_| BadToken)?) })
    }
}

impl JoinToken {
    /// The text of it: a secret.
    pub fn to_text(&self) -> String {
        match self.pin {
            Some(pin) => format!("{}.{pin}", self.secret),
            None => self.secret.clone(),
        }
    }
}

/// TLS for a POP that speaks with whoever has the key of that pin, and with nobody else.
pub(crate) fn to_pinned(pin: Digest) -> Result<ClientConfig, String> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { pin, algorithms }))
        .with_no_client_auth();
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes one key for control's.
#[derive(Debug)]
struct Pinned {
    pin: Digest,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (shown, pin) = (pin_of(shown), self.pin);
        if shown == pin {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!("it shows the key with the pin {shown}, and not {pin}")))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _shown: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken on this line".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn pin_of(public_key: &[u8]) -> Digest {
    Digest(Sha256::digest(public_key).into())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_key() {
        let pin = |seed| LineKey::from_seed(&[seed; 32]).unwrap().pin();
        assert_eq!(pin(1), pin(1));
        assert_ne!(pin(1), pin(2));
    }

    #[test]
    fn a_token_has_its_pin_behind_a_dot_and_stays_out_of_debug() {
        let pin = LineKey::from_seed(&[1; 32]).unwrap().pin();
        let text = format!("hush.{pin}");
        let token: JoinToken = text.parse().unwrap();
        assert_eq!(token, JoinToken { secret: "hush".into(), pin: Some(pin) });
        assert_eq!(token.to_text(), text);
        assert!(!format!("{token:?}").contains("hush"));
        let before: JoinToken = "hush".parse().unwrap();
        assert_eq!((before.pin, before.to_text()), (None, "hush".to_owned()));
        for broken in ["hush.", "hush.00", &format!("hush.{pin}.{pin}")] {
            assert_eq!(broken.parse::<JoinToken>(), Err(BadToken), "{broken}");
        }
    }
}
