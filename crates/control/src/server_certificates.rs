//! The certificates that viewers of domains are shown: looked over, kept, and handed to POPs.

use crate::control::Control;
use crate::manage::{ManageError, unfit};
use freshen_fleet::wire::{CertificateName, HandedCertificate};
use freshen_fleet::{Certified, Misfit};
use freshen_ledger::{Error, Ledger, Refusal, ServerCertificate};
use freshen_model::secret::Secret;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// Bytes of a certificate with its chain, and of a key, as they are given.
const CHAIN_BYTES_MAX: usize = 64 << 10;
const KEY_BYTES_MAX: usize = 16 << 10;
/// Certificates of a chain.
const CHAIN_MAX: usize = 10;
/// Characters of a title.
const TITLE_MAX: usize = 128;

/// A certificate to be set. Its key stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NewServerCertificate {
    /// What its owner calls it.
    pub title: Option<String>,
    /// With its chain, PEM.
    pub chain: String,
    /// Its key, PEM.
    pub key: String,
}

impl fmt::Debug for NewServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewServerCertificate({:?})", self.title)
    }
}

/// Which domains have a certificate, as POPs are told.
pub(crate) struct Handing {
    names: watch::Sender<Arc<Vec<CertificateName>>>,
    /// Held from reading to telling: an older reading must not come last.
    reading: Mutex<()>,
}

impl Handing {
    pub(crate) async fn begin(ledger: &dyn Ledger) -> Result<Handing, Error> {
        let handing = Handing { names: watch::Sender::default(), reading: Mutex::default() };
        handing.read(ledger).await?;
        Ok(handing)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Vec<CertificateName>>> {
        self.names.subscribe()
    }

    /// Tells POPs what the ledger has now.
    async fn read(&self, ledger: &dyn Ledger) -> Result<(), Error> {
        let _reading = self.reading.lock().await;
        let names = ledger.server_certificates().await?.into_iter();
        let names: Vec<_> = names.map(|(domain, digest)| CertificateName { domain, digest }).collect();
        self.names.send_if_modified(|told| {
            let news = **told != names;
            *told = Arc::new(names);
            news
        });
        Ok(())
    }
}

/// A domain's certificate as a POP gets it.
pub(crate) async fn hand(ledger: &dyn Ledger, domain: &str) -> Result<Option<HandedCertificate>, String> {
    let found = ledger.server_certificate(domain).await.map_err(|error| error.to_string())?;
    let Some(ServerCertificate { domain, chain, key, .. }) = found else { return Ok(None) };
    if key.plain().is_none() {
        return Err(format!(
            "the key of {domain}'s certificate cannot be opened with this key for secrets; set it anew"
        ));
    }
    Ok(Some(HandedCertificate { domain, chain, key }))
}

impl Control {
    /// Sets the certificate that a domain's viewers are shown, in place of the one before; of `account` where that is given.
    /// POPs show it within moments, by their TLS listeners, and by no others.
    ///
    /// Refused, saying why, where certificate and key do not belong together, or are not for that domain or this time.
    pub async fn set_server_certificate(
        &self,
        account: Option<&str>,
        domain: &str,
        new: NewServerCertificate,
    ) -> Result<ServerCertificate, ManageError> {
        let domain = self.own_domain(account, domain).await?.name;
        let certified = look_over(&domain, &new, self.wall_ms().div_euclid(1_000))?;
        let certificate = ServerCertificate {
            chain: certified.chain_pem(),
            digest: certified.digest(),
            names: certified.names,
            until_s: certified.until_s,
            domain,
            title: new.title,
            key: Secret::Plain(new.key),
            set_ms: self.wall_ms(),
        };
        self.ledger.set_server_certificate(certificate.clone()).await?;
        self.tell_server_certificates().await?;
        Ok(without_key(certificate))
    }

    /// Removes a domain's certificate; of `account` where that is given. POPs show what their files say again.
    pub async fn remove_server_certificate(
        &self,
        account: Option<&str>,
        domain: &str,
    ) -> Result<(), ManageError> {
        let domain = self.own_domain(account, domain).await?.name;
        if !self.ledger.remove_server_certificate(&domain).await? {
            return Err(none_of(&domain));
        }
        Ok(self.tell_server_certificates().await?)
    }

    /// A domain's certificate without its key, which is told to nobody but POPs; of `account` where that is given.
    pub async fn server_certificate(
        &self,
        account: Option<&str>,
        domain: &str,
    ) -> Result<ServerCertificate, ManageError> {
        let domain = self.own_domain(account, domain).await?.name;
        let found = self.ledger.server_certificate(&domain).await?;
        found.map(without_key).ok_or_else(|| none_of(&domain))
    }

    /// Whether the domain of that name has a certificate.
    pub fn has_server_certificate(&self, domain: &str) -> bool {
        let names = self.members.handing.watch();
        let names = names.borrow();
        names.binary_search_by(|name| name.domain.as_str().cmp(domain)).is_ok()
    }

    /// Tells POPs what there is now.
    pub(crate) async fn tell_server_certificates(&self) -> Result<(), Error> {
        self.members.handing.read(self.ledger.as_ref()).await
    }
}

fn none_of(domain: &str) -> ManageError {
    Error::from(Refusal::NotFound { what: "certificate of", name: domain.to_owned() }).into()
}

fn without_key(certificate: ServerCertificate) -> ServerCertificate {
    ServerCertificate { key: Secret::withheld(), ..certificate }
}

/// What certificate and key say, if the domain's viewers may be shown them now.
fn look_over(domain: &str, new: &NewServerCertificate, now_s: i64) -> Result<Certified, ManageError> {
    if new.title.as_ref().is_some_and(|title| title.len() > TITLE_MAX || title.contains(char::is_control)) {
        return unfit("title", format!("write at most {TITLE_MAX} bytes of text"));
    }
    for (field, given, most) in
        [("certificate", &new.chain, CHAIN_BYTES_MAX), ("key", &new.key, KEY_BYTES_MAX)]
    {
        if given.len() > most {
            return unfit(field, format!("{} bytes are more than {most}", given.len()));
        }
    }
    let ring = rustls::crypto::ring::default_provider();
    let certified = match Certified::read(new.chain.as_bytes(), new.key.as_bytes(), &ring) {
        Ok(certified) => certified,
        Err(Misfit::Certificate(why)) => return unfit("certificate", why),
        Err(Misfit::Key(why)) => return unfit("key", why),
    };
    if certified.shown.cert.len() > CHAIN_MAX {
        let count = certified.shown.cert.len();
        return unfit("certificate", format!("a chain of {count} is longer than {CHAIN_MAX}"));
    }
    let now_s = u64::try_from(now_s).unwrap_or_default();
    if certified.until_s < now_s {
        return unfit("certificate", format!("it expired {} ago", span(now_s - certified.until_s)));
    }
    if certified.from_s > now_s {
        return unfit("certificate", format!("it is valid in {} only", span(certified.from_s - now_s)));
    }
    if !certified.is_for(domain) {
        let names = certified.names.join(", ");
        let names = if names.is_empty() { "no name at all" } else { &names };
        return unfit("certificate", format!("it is for {names}, and not for {domain}"));
    }
    Ok(certified)
}

/// A time as people say it.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "seconds"),
        120..7_200 => (seconds / 60, "minutes"),
        7_200..172_800 => (seconds / 3_600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}
