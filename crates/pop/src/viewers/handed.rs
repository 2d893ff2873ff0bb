//! The certificates that control hands out: each for one domain, kept sealed on disk, so that a POP which starts while
//! control is away shows them.

use crate::Pop;
use freshen_fleet::link::Link;
use freshen_fleet::wire::{CertificateName, CertificateWanted, HandedCertificate};
use freshen_fleet::{Certified, LinkError};
use freshen_model::receipt::Digest;
use freshen_model::secret::{SealingKey, Secret};
use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs};
use tokio::sync::watch;

/// Between two tries to get what is missing.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What control handed out, as viewers are shown it.
pub struct Handed {
    folder: PathBuf,
    sealing: SealingKey,
    provider: Arc<CryptoProvider>,
    /// By domain.
    shown: RwLock<HashMap<String, Shown>>,
    /// Which domains have one, as control said last; `None` until then.
    named: watch::Sender<Option<Arc<Vec<CertificateName>>>>,
}

struct Shown {
    digest: Digest,
    key: Arc<CertifiedKey>,
}

/// A file's content.
#[derive(Serialize, Deserialize)]
struct Kept {
    domain: String,
    chain: String,
    /// Sealed as the domain's.
    key: Secret,
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handed").field("folder", &self.folder).finish()
    }
}

impl Handed {
    /// Takes up what lies in `folder`, made where it is missing. What cannot be read there is told, and comes anew from
    /// control.
    pub fn open(folder: PathBuf, sealing: SealingKey, provider: Arc<CryptoProvider>) -> io::Result<Handed> {
        fs::create_dir_all(&folder)?;
        let (shown, named) = (RwLock::default(), watch::Sender::new(None));
        let handed = Handed { folder, sealing, provider, shown, named };
        for entry in fs::read_dir(&handed.folder)? {
            let file = entry?.path();
            match handed.read(&file) {
                Ok((domain, shown)) => {
                    handed.shown.write().insert(domain, shown);
                }
                Err(why) => {
                    tracing::warn!(file = %file.display(), %why, "a certificate of control's comes anew");
                    fs::remove_file(&file)?;
                }
            }
        }
        Ok(handed)
    }

    fn read(&self, file: &Path) -> Result<(String, Shown), String> {
        if file.extension().is_none_or(|extension| extension != "json") {
            return Err("it is only part of one".into());
        }
        if fs::metadata(file).map_err(|error| error.to_string())?.len() > FILE_BYTES_MAX {
            return Err("too long".into());
        }
        let text = fs::read(file).map_err(|error| error.to_string())?;
        let kept: Kept = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let key = kept.key.opened(&self.sealing, &owner(&kept.domain));
        let key = key.plain().ok_or("its key is sealed with another POP's token")?;
        Ok((kept.domain, self.certified(&kept.chain, key)?))
    }

    fn certified(&self, chain: &str, key: &str) -> Result<Shown, String> {
        let certified = Certified::read(chain.as_bytes(), key.as_bytes(), &self.provider);
        let certified = certified.map_err(|error| error.to_string())?;
        Ok(Shown { digest: certified.digest(), key: certified.shown })
    }

    /// The certificate of a domain, lower case.
    pub fn of(&self, domain: &str) -> Option<Arc<CertifiedKey>> {
        self.shown.read().get(domain).map(|shown| shown.key.clone())
    }

    /// How many domains have one here.
    pub fn count(&self) -> usize {
        self.shown.read().len()
    }

    /// Takes in which domains have one now.
    pub fn name(&self, names: Arc<Vec<CertificateName>>) {
        self.named.send_replace(Some(names));
    }

    /// Shows no more what is not named any more; gives the domains whose certificate is to be asked for.
    fn keep_to(&self, names: &[CertificateName]) -> io::Result<Vec<String>> {
        let named: HashMap<_, _> = names.iter().map(|name| (name.domain.as_str(), name.digest)).collect();
        let gone: Vec<String> = {
            let shown = self.shown.read();
            shown.keys().filter(|domain| !named.contains_key(domain.as_str())).cloned().collect()
        };
        // A file that stays is no reason to go on showing it.
        let mut removed = Ok(());
        for domain in &gone {
            removed = removed.and(fs::remove_file(self.file(domain)));
            self.shown.write().remove(domain);
        }
        removed?;
        if !gone.is_empty() {
            fs::File::open(&self.folder)?.sync_all()?;
        }
        let shown = self.shown.read();
        let is_missing =
            |name: &&CertificateName| shown.get(&name.domain).is_none_or(|shown| shown.digest != name.digest);
        Ok(names.iter().filter(is_missing).map(|name| name.domain.clone()).collect())
    }

    /// Keeps a certificate, durably, and shows it from now on.
    fn take(&self, handed: HandedCertificate) -> Result<(), String> {
        let key = handed.key.plain().ok_or("it came without its key")?;
        let shown = self.certified(&handed.chain, key)?;
        let HandedCertificate { domain, chain, key } = handed;
        let kept = Kept { key: key.sealed(&self.sealing, &owner(&domain)), domain: domain.clone(), chain };
        self.write(&kept).map_err(|error| error.to_string())?;
        self.shown.write().insert(domain, shown);
        Ok(())
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        let file = self.file(&kept.domain);
        // Whole or not at all, as the one before would be lost.
        let new = file.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut made = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        made.write_all(&serde_json::to_vec(kept).map_err(io::Error::other)?)?;
        made.sync_all()?;
        fs::rename(&new, &file)?;
        fs::File::open(&self.folder)?.sync_all()
    }

    /// Named by a digest: what a domain is called need not be fit for a file.
    fn file(&self, domain: &str) -> PathBuf {
        self.folder.join(format!("{}.json", Digest(Sha256::digest(domain).into())))
    }
}

/// Whose key it is, so that no file can be put in another's place.
fn owner(domain: &str) -> String {
    format!("certificate of {domain}")
}

impl Pop {
    /// Gets from control what it names, and gives up what it names no more.
    pub(crate) async fn keep_handed_certificates(self: Arc<Pop>, handed: Arc<Handed>, link: Arc<dyn Link>) {
        let mut named = handed.named.subscribe();
        let mut retry = RETRY_MIN;
        self.metrics.certificates.set(handed.count() as f64);
        loop {
            let Some(names) = named.borrow_and_update().clone() else {
                if named.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let missing = self.get_handed(&handed, &link, names).await;
            self.metrics.certificates.set(handed.count() as f64);
            self.metrics.certificates_missing.set(missing as f64);
            retry = if missing == 0 { RETRY_MIN } else { (retry * 2).min(RETRY_MAX) };
            tokio::select! {
                changed = named.changed() => match changed {
                    Ok(()) => retry = RETRY_MIN,
                    Err(_) => return,
                },
                () = tokio::time::sleep(retry), if missing > 0 => {}
            }
        }
    }

    /// One round; gives how many are missing still.
    async fn get_handed(
        &self,
        handed: &Arc<Handed>,
        link: &Arc<dyn Link>,
        names: Arc<Vec<CertificateName>>,
    ) -> usize {
        let keeping = handed.clone();
        let wanted = tokio::task::spawn_blocking(move || keeping.keep_to(&names)).await;
        let wanted = match wanted {
            Ok(Ok(wanted)) => wanted,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a certificate that control took back lies in the data folder still");
                return 1;
            }
            Err(error) => {
                tracing::debug!(%error, "stopping");
                return 1;
            }
        };
        if !wanted.is_empty() && !link.is_private() {
            self.metrics.certificate_errors.increment(1);
            tracing::warn!(
                certificates = wanted.len(),
                "control hands certificates out, but not over a line in the clear: write a dot and the pin that \
                 `freshen pop list` tells behind this POP's token"
            );
            return wanted.len();
        }
        let mut missing = 0;
        for domain in wanted {
            if let Err(why) = self.get_one(handed, link, &domain).await {
                missing += 1;
                self.metrics.certificate_errors.increment(1);
                tracing::warn!(domain, why, "its certificate could not be had from control");
            }
        }
        missing
    }

    async fn get_one(&self, handed: &Arc<Handed>, link: &Arc<dyn Link>, domain: &str) -> Result<(), String> {
        let wanted = CertificateWanted { pop: self.config.id.clone(), domain: domain.to_owned() };
        let answer: Result<HandedCertificate, LinkError> = link.certificate(&wanted).await;
        let certificate = answer.map_err(|error| error.to_string())?;
        if certificate.domain != domain {
            return Err(format!("control gave that of {}", certificate.domain));
        }
        let keeping = handed.clone();
        let kept = tokio::task::spawn_blocking(move || keeping.take(certificate)).await;
        kept.map_err(|error| error.to_string())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn open(folder: &TempDir, token: &str) -> Handed {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Handed::open(folder.path().join("certificates"), SealingKey::derived_from(token), provider).unwrap()
    }

    fn made(domain: &str) -> HandedCertificate {
        let made = rcgen::generate_simple_self_signed(vec![domain.to_owned()]).unwrap();
        let key = Secret::Plain(made.signing_key.serialize_pem());
        HandedCertificate { domain: domain.into(), chain: made.cert.pem(), key }
    }

    fn name(domain: &str, digest: Digest) -> CertificateName {
        CertificateName { domain: domain.into(), digest }
    }

    #[test]
    fn what_is_handed_out_is_kept_sealed_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let handed = open(&folder, "token");
        let (a, b) = (made("a.example"), made("b.example"));
        handed.take(a.clone()).unwrap();
        handed.take(b).unwrap();
        let digest = handed.shown.read()["a.example"].digest;
        drop(handed);

        for entry in fs::read_dir(folder.path().join("certificates")).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE"), "{text}");
            let key = a.key.plain().unwrap().lines().nth(1).unwrap();
            assert!(!text.contains(key));
        }
        let handed = open(&folder, "token");
        assert!(handed.of("a.example").is_some() && handed.count() == 2);
        assert_eq!(handed.keep_to(&[name("a.example", digest)]).unwrap(), Vec::<String>::new());
        assert_eq!(handed.count(), 1);
        // Another one of the same domain: the one of before is shown until it is here.
        let other = Digest([0; 32]);
        assert_eq!(handed.keep_to(&[name("a.example", other)]).unwrap(), ["a.example"]);
        assert!(handed.of("a.example").is_some());
        drop(handed);

        // Who has the files without the token has nothing.
        let handed = open(&folder, "another token");
        assert_eq!((handed.count(), handed.keep_to(&[]).unwrap().len()), (0, 0));
        assert_eq!(fs::read_dir(folder.path().join("certificates")).unwrap().count(), 0);
    }

    #[test]
    fn a_key_in_anothers_place_and_a_torn_file_come_anew() {
        let folder = tempfile::tempdir().unwrap();
        let handed = open(&folder, "token");
        handed.take(made("a.example")).unwrap();
        handed.take(made("b.example")).unwrap();
        let (a, b) = (handed.file("a.example"), handed.file("b.example"));
        drop(handed);
        let moved = fs::read_to_string(&a).unwrap().replace("\"a.example\"", "\"c.example\"");
        fs::write(&a, moved).unwrap();
        fs::write(&b, "{").unwrap();
        let handed = open(&folder, "token");
        assert_eq!(handed.count(), 0);
        assert!(!a.exists() && !b.exists());
    }
}
