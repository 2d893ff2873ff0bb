//! The POP's certificates, chosen by the name a viewer asks for: what control handed out for that domain, else those of
//! files, which are read anew when they change.

use super::Handed;
use crate::config::{CertificateFiles, Config};
use freshen_fleet::{Certified, Misfit};
use freshen_model::secret::SealingKey;
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Certificates in one installation's hands; more in a folder are an error of whoever fills it.
const CERTIFICATES_MAX: usize = 10_000;
/// Bytes of a file with a certificate's chain or key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The certificates that viewers are shown.
pub struct Certificates {
    listed: Vec<CertificateFiles>,
    folder: Option<PathBuf>,
    provider: Arc<CryptoProvider>,
    handed: Arc<Handed>,
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
    /// Reads all certificates that the configuration names, and those that control handed out before, whose keys `sealing`
    /// opens. An error says which file cannot be, and why.
    pub fn open(config: &Config, sealing: SealingKey) -> Result<Certificates, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let folder = config.data.join("certificates");
        let handed = Handed::open(folder.clone(), sealing, provider.clone());
        let handed = handed.map_err(|error| format!("data folder {}: {error}", folder.display()))?;
        let certificates = Certificates {
            listed: config.certificates.clone(),
            folder: config.certificate_dir.clone(),
            provider,
            handed: Arc::new(handed),
            shown: RwLock::default(),
            read: Mutex::default(),
        };
        let errors = certificates.read_anew();
        let (files, any) = (config.certificate_dir.is_some(), certificates.shown.read().first.is_some());
        match errors.into_iter().next() {
            Some(error) => Err(error),
            None if files && !any => Err("certificate_dir: no certificate in it".into()),
            None => Ok(certificates),
        }
    }

    /// Those that control hands out.
    pub fn handed(&self) -> &Arc<Handed> {
        &self.handed
    }

    /// The certificate for the name that a viewer asks for.
    fn for_name(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let handed = name.as_deref().and_then(|name| self.handed.of(name));
        handed.or_else(|| self.shown.read().choose(name.as_deref()))
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
        let chain = read(cert).map_err(|error| said(cert, error))?;
        let secret = read(key).map_err(|error| said(key, error))?;
        let certified = Certified::read(&chain, &secret, &self.provider).map_err(|error| match error {
            Misfit::Certificate(why) => said(cert, why),
            Misfit::Key(why) => said(key, format!("{why} (for {})", cert.display())),
        })?;
        Ok(Named { key: certified.shown, names: certified.names })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(hello.server_name())
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

    /// The certificate for a name, lower case: its own, else that of a wildcard for its last labels, else the first.
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
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
    use rustls::pki_types::CertificateDer;
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
        let data = folder.path().join("data");
        let mut config = Config::new("pop-1".parse().unwrap(), data, text(), text(), text(), text());
        config.certificate_dir = Some(folder.path().to_owned());
        config
    }

    fn open(config: &Config) -> Result<Certificates, String> {
        Certificates::open(config, SealingKey::derived_from("token"))
    }

    fn chosen(certificates: &Certificates, name: Option<&str>) -> CertificateDer<'static> {
        certificates.for_name(name).unwrap().cert[0].clone()
    }

    #[test]
    fn a_name_finds_its_own_certificate_then_a_wildcard_then_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(&folder, "1", &["first.example"]);
        let wild = write(&folder, "2", &["*.example.com"]);
        let own = write(&folder, "3", &["www.example.com", "example.com"]);
        let certificates = open(&config(&folder)).unwrap();
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
        let certificates = open(&config(&folder)).unwrap();
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
        let error = open(&config(&folder)).unwrap_err();
        assert!(error.contains("a.key"), "{error}");
        fs::remove_file(folder.path().join("a.key")).unwrap();
        let error = open(&config(&folder)).unwrap_err();
        assert!(error.contains("a.key"), "{error}");
    }

    #[test]
    fn a_folder_without_certificates_is_a_mistake_and_none_at_all_waits_for_control() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        let error = open(&config).unwrap_err();
        assert!(error.contains("no certificate"), "{error}");
        config.certificate_dir = None;
        assert!(open(&config).unwrap().for_name(Some("a.example")).is_none());
    }
}
