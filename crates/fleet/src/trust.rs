//! Which certificates are trusted: the machine's, and those of a file.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// TLS for connecting to others, whose certificates must be signed by what the machine trusts or by one of `file` (PEM).
///
/// An error says what of the file cannot be read.
pub fn trust(file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let machines = rustls_native_certs::load_native_certs();
    for error in machines.errors {
        tracing::warn!(%error, "a certificate of the machine is not trusted");
    }
    roots.add_parsable_certificates(machines.certs);
    if let Some(file) = file {
        let said = |error: String| format!("{}: {error}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| said(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| said(error.to_string()))?;
            roots.add(certificate).map_err(|error| said(error.to_string()))?;
        }
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
