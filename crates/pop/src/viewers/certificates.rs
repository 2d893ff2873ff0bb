//! The POP's certificates: read from files, chosen by the name a viewer asks for, and read anew when the files change.

use crate::config::{CertificateFiles, Config};
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use webpki::EndEntityCert;

/// Certificates in one installation's hands; more in a folder are an error of whoever fills it.
const CERTIFICATES_MAX: usize = 10_000;
/// Bytes of a file with a certificate's chain or key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The certificates that viewers are shown.
pub struct Certificates {
    listed: Vec<CertificateFiles>,
    folder: Option<PathBuf>,
    provider: Arc<CryptoProvider>,
    shown: RwLock<Shown>,
    /// What was last read of each pair of files.
    read: Mutex<Vec<Pair>>,
}

/// A pair of files as it was last read.
struct Pair {
    files: CertificateFiles,
    /// `None` where it was never read.
    stamps: Option<[Option<Stamp>; 2]>,
    /// The last good reading.
    good: Option<Arc<Named>>,
}

/// A certificate with its key, and the names it is for.
struct Named {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
}

/// Tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// What a handshake looks into.
#[derive(Default)]
struct Shown {
    /// By the whole name.
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the first label, for `*.` names.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// For viewers who ask for no name or one that nobody has.
    first: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads all certificates that the configuration names. An error says which file cannot be, and why.
    pub fn open(config: &Config) -> Result<Certificates, String> {
        let certificates = Certificates {
            listed: config.certificates.clone(),
            folder: config.certificate_dir.clone(),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            shown: RwLock::default(),
            read: Mutex::default(),
        };
        let errors = certificates.read_anew();
        match errors.into_iter().next() {
            Some(error) => Err(error),
            None if certificates.shown.read().first.is_none() => {
                Err("tls_listen: no certificate for it; name some in certificates or certificate_dir".into())
            }
            None => Ok(certificates),
        }
    }

    /// The settings of the TLS listener: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, resumption by tickets.
    pub fn server_config(self: &Arc<Certificates>) -> Result<ServerConfig, String> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Tickets are sealed and kept by the viewer: resumption costs no memory here.
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| error.to_string())?;
        Ok(config)
    }

    /// Reads what has changed since the last time; gives what cannot be read, whose last good reading stays.
    pub fn read_anew(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let mut before = self.read.lock();
        let sources = match self.sources() {
            Ok(sources) => sources,
            Err(error) => return vec![error],
        };
        let mut now = Vec::with_capacity(sources.len());
        let mut changed = sources.len() != before.len();
        for files in sources {
            let there = before.iter().position(|pair| pair.files == files).map(|at| before.swap_remove(at));
            let stamps = Some([stamp(&files.cert_file), stamp(&files.key_file)]);
            let mut pair = there.unwrap_or(Pair { files, stamps: None, good: None });
            if pair.stamps != stamps {
                pair.stamps = stamps;
                match self.load(&pair.files) {
                    Ok(named) => {
                        pair.good = Some(Arc::new(named));
                        changed = true;
                    }
                    Err(error) => errors.push(error),
                }
            }
            now.push(pair);
        }
        // What is left of `before` was taken away.
        changed |= !before.is_empty();
        *before = now;
        if changed {
            let shown = Shown::of(before.iter().filter_map(|pair| pair.good.as_deref()));
            // An emptied folder is a mistake, not a wish for a listener that greets nobody.
            if shown.first.is_some() {
                *self.shown.write() = shown;
            }
        }
        errors
    }

    /// The pairs of files: the listed ones, then those of the folder by name.
    fn sources(&self) -> Result<Vec<CertificateFiles>, String> {
        let mut sources = self.listed.clone();
        if let Some(folder) = &self.folder {
            let said = |error: std::io::Error| format!("certificate_dir {}: {error}", folder.display());
            let mut found = Vec::new();
            for entry in fs::read_dir(folder).map_err(said)? {
                let cert_file = entry.map_err(said)?.path();
                if cert_file.extension().is_some_and(|extension| extension == "crt") {
                    let key_file = cert_file.with_extension("key");
                    found.push(CertificateFiles { cert_file, key_file });
                }
                if found.len() > CERTIFICATES_MAX {
                    return Err(format!(
                        "certificate_dir {}: more than {CERTIFICATES_MAX} certificates",
                        folder.display()
                    ));
                }
            }
            found.sort_by(|one, other| one.cert_file.cmp(&other.cert_file));
            sources.extend(found);
        }
        Ok(sources)
    }

    fn load(&self, files: &CertificateFiles) -> Result<Named, String> {
        let said = |path: &Path, error: String| format!("certificate {}: {error}", path.display());
        let (cert, key) = (&files.cert_file, &files.key_file);
        let text = read(cert).map_err(|error| said(cert, error))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| said(cert, error.to_string()))?;
        let text = read(key).map_err(|error| said(key, error))?;
        let key_der = PrivateKeyDer::from_pem_slice(&text).map_err(|error| said(key, error.to_string()))?;
        let first = chain.first().ok_or_else(|| said(cert, "there is none in this file".into()))?;
        let names = EndEntityCert::try_from(first)
            .map_err(|error| said(cert, error.to_string()))?
            .valid_dns_names()
            .map(str::to_ascii_lowercase)
            .collect();
        // Refuses a key of another certificate.
        let key = CertifiedKey::from_der(chain, key_der, &self.provider)
            .map_err(|error| said(key, format!("{error} (for {})", cert.display())))?;
        Ok(Named { key: Arc::new(key), names })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.read().choose(hello.server_name())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("listed", &self.listed).field("folder", &self.folder).finish()
    }
}

impl Shown {
    /// Where several certificates have a name, the first one has it.
    fn of<'a>(all: impl Iterator<Item = &'a Named>) -> Shown {
        let mut shown = Shown::default();
        for named in all {
            for name in &named.names {
                let (place, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut shown.wildcard, rest),
                    None => (&mut shown.exact, name.as_str()),
                };
                place.entry(name.to_owned()).or_insert_with(|| named.key.clone());
            }
            shown.first.get_or_insert_with(|| named.key.clone());
        }
        shown
    }

    /// The certificate for a name: its own, else that of a wildcard for its last labels, else the first.
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let name = name.as_deref();
        let fits = name.and_then(|name| {
            let wild = || name.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest));
            self.exact.get(name).or_else(wild)
        });
        fits.or(self.first.as_ref()).cloned()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| error.to_string();
    let bytes = fs::metadata(path).map_err(said)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("{bytes} bytes, which is more than {FILE_BYTES_MAX}"));
    }
    fs::read(path).map_err(said)
}

/// `None` for a file that is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let there = fs::metadata(path).ok()?;
    Some(Stamp { inode: there.ino(), bytes: there.len(), changed: (there.mtime(), there.mtime_nsec()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use tempfile::TempDir;

    /// Writes a certificate for `names` and its key as `stem`.crt and `stem`.key.
    fn write(folder: &TempDir, stem: &str, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(folder.path().join(format!("{stem}.crt")), made.cert.pem()).unwrap();
        fs::write(folder.path().join(format!("{stem}.key")), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    fn config(folder: &TempDir) -> Config {
        let text = String::new;
        let mut config = Config::new("pop-1".parse().unwrap(), "data".into(), text(), text(), text(), text());
        config.certificate_dir = Some(folder.path().to_owned());
        config
    }

    fn chosen(certificates: &Certificates, name: Option<&str>) -> CertificateDer<'static> {
        certificates.shown.read().choose(name).unwrap().cert[0].clone()
    }

    #[test]
    fn a_name_finds_its_own_certificate_then_a_wildcard_then_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(&folder, "1", &["first.example"]);
        let wild = write(&folder, "2", &["*.example.com"]);
        let own = write(&folder, "3", &["www.example.com", "example.com"]);
        let certificates = Certificates::open(&config(&folder)).unwrap();
        for (name, expected) in [
            (Some("www.example.com"), &own),
            (Some("WWW.Example.com"), &own),
            (Some("example.com"), &own),
            (Some("other.example.com"), &wild),
            (Some("a.other.example.com"), &first),
            (Some("nobody.test"), &first),
            (None, &first),
        ] {
            assert_eq!(&chosen(&certificates, name), expected, "{name:?}");
        }
    }

    #[test]
    fn what_changes_is_read_anew_and_what_breaks_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let old = write(&folder, "a", &["a.example"]);
        let certificates = Certificates::open(&config(&folder)).unwrap();
        assert_eq!(certificates.read_anew(), Vec::<String>::new());
        fs::write(folder.path().join("a.crt"), "broken").unwrap();
        let errors = certificates.read_anew();
        assert!(errors.len() == 1 && errors[0].contains("a.crt"), "{errors:?}");
        assert_eq!(chosen(&certificates, Some("a.example")), old);
        assert_eq!(certificates.read_anew(), Vec::<String>::new(), "told once for each change");
        let new = write(&folder, "a", &["a.example"]);
        let added = write(&folder, "b", &["b.example"]);
        assert_eq!(certificates.read_anew(), Vec::<String>::new());
        assert_eq!(chosen(&certificates, Some("a.example")), new);
        assert_eq!(chosen(&certificates, Some("b.example")), added);
        fs::remove_file(folder.path().join("b.crt")).unwrap();
        assert_eq!(certificates.read_anew(), Vec::<String>::new());
        assert_eq!(chosen(&certificates, Some("b.example")), new, "taken away");
    }

    #[test]
    fn a_key_of_another_certificate_and_a_missing_one_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "a", &["a.example"]);
        write(&folder, "b", &["b.example"]);
        fs::copy(folder.path().join("b.key"), folder.path().join("a.key")).unwrap();
        let error = Certificates::open(&config(&folder)).unwrap_err();
        assert!(error.contains("a.key"), "{error}");
        fs::remove_file(folder.path().join("a.key")).unwrap();
        let error = Certificates::open(&config(&folder)).unwrap_err();
        assert!(error.contains("a.key"), "{error}");
    }

    #[test]
    fn a_listener_needs_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let error = Certificates::open(&config(&folder)).unwrap_err();
        assert!(error.contains("no certificate"), "{error}");
    }
}
