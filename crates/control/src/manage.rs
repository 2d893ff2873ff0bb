//! Managing what an installation consists of: accounts, keys, domains, POPs, limits.

pub(crate) mod settings;

use crate::control::Control;
use crate::secret::{self, NoRandom};
use freshen_fleet::JoinToken;
use freshen_ledger::{
    AccessKey, Account, DomainRecord, Error, Found, NewAccessKey, PopRecord, Refusal, Temporary,
};
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::ids::PopId;
use freshen_model::location::host_of;
use freshen_model::quota::{Limits, Quota, day};
use freshen_model::rights::Rights;
use settings::check_settings;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// A name or setting that cannot be.
    #[error("{field}: {reason}")]
    Unfit {
        /// Which.
        field: &'static str,
        /// What is wrong, and what may be written.
        reason: String,
    },
    /// The ledger refused or failed.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// No secret could be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// A new access key with its secret, told once. The secret stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// New temporary credentials, told once. Secret and token stay out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Id and secret.
    pub key: NewKey,
    /// The token that goes with each request.
    pub token: String,
    /// Until when they are good, wall-clock milliseconds since 1970.
    pub expires_ms: i64,
}

/// A new bearer token, told once. It stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NewBearer {
    /// Its id, by which it is disabled; public.
    pub id: String,
    /// The token.
    pub token: String,
    /// Until when it is good, wall-clock milliseconds since 1970.
    pub expires_ms: i64,
}

impl fmt::Debug for NewBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewBearer({}, until {})", self.id, self.expires_ms)
    }
}

/// The id in a bearer token; `None` where the text is none.
pub fn bearer_id(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(BEARER_PREFIX)?.rsplit_once('_')?;
    (!secret.is_empty() && KEY_ID_LENGTHS.contains(&id.len())).then_some(id)
}

/// A new POP with its token, told once. The token stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPop {
    /// As registered.
    pub record: PopRecord,
    /// What it authenticates with, and by which it knows control.
    pub token: String,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey({})", self.id)
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewToken({}, until {})", self.key.id, self.expires_ms)
    }
}

impl fmt::Debug for NewPop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewPop({})", self.record.id)
    }
}

/// How long temporary credentials may be good: the vendor's 15 minutes to 12 hours, and less where that does.
const TOKEN_LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(12 * 3_600);
/// How long bearer tokens may be good.
const BEARER_LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(366 * 86_400);
/// What a bearer token begins with, so that whoever finds one in a log or a repository knows what it is.
const BEARER_PREFIX: &str = "freshen_";
/// What their ids begin with.
const BEARER_ID_PREFIX: &str = "BT.";
/// What the ids of temporary credentials begin with, as the vendor's.
const TEMPORARY_ID_PREFIX: &str = "STS.";
/// Domains that a key may be confined to.
const DOMAINS_OF_KEY_MAX: usize = 100;

/// Lengths of ids and secrets that are made here, as the vendor's.
const KEY_ID_LENGTH: usize = 20;
const SECRET_LENGTH: usize = 32;
/// Lengths that are accepted of ids and secrets chosen elsewhere.
const KEY_ID_LENGTHS: RangeInclusive<usize> = 1..=64;
const SECRET_LENGTHS: RangeInclusive<usize> = 8..=128;
const NAME_LENGTHS: RangeInclusive<usize> = 1..=64;

// ---- accounts and keys ----

impl Control {
    /// Adds an account with default limits.
    pub async fn add_account(&self, name: &str, admin: bool) -> Result<Account, ManageError> {
        account_name(name)?;
        Ok(self.ledger.add_account(name, admin).await?)
    }

    /// All accounts, by name.
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        self.ledger.accounts().await
    }

    /// Some of these, behind a name.
    pub async fn accounts_behind(
        &self,
        name: Option<&str>,
        limit: u64,
    ) -> Result<Found<Account, String>, Error> {
        self.ledger.accounts_behind(name, limit).await
    }

    /// One account.
    pub async fn account(&self, name: &str) -> Result<Option<Account>, Error> {
        self.ledger.account(name).await
    }

    /// Changes an account's daily limits.
    pub async fn set_limits(&self, account: &str, limits: Limits) -> Result<(), Error> {
        self.ledger.set_limits(account, limits).await
    }

    /// Where the ends of an account's tasks are told, if their submission says nothing.
    pub async fn notify(&self, account: &str) -> Result<Option<String>, Error> {
        self.ledger.notify(account).await
    }

    /// Changes that, for tasks to come.
    pub async fn set_notify(&self, account: &str, url: Option<&str>) -> Result<(), Error> {
        self.ledger.set_notify(account, url).await
    }

    /// What an account has used today, of every kind.
    pub async fn quota(&self, account: &str) -> Result<Vec<Quota>, Error> {
        let today = day(self.clock.wall_ms().div_euclid(1_000), self.quota_day_offset_s);
        self.ledger.quota(account, today).await
    }

    /// Adds an access key; what is not given is made.
    pub async fn add_key(
        &self,
        account: &str,
        id: Option<String>,
        secret: Option<String>,
    ) -> Result<NewKey, ManageError> {
        let id = match id {
            Some(id) => id,
            None => secret::alphanumeric(KEY_ID_LENGTH)?,
        };
        let secret = match secret {
            Some(secret) => secret,
            None => secret::alphanumeric(SECRET_LENGTH)?,
        };
        self.put_key(account, id, secret, Rights::default()).await
    }

    /// Adds an access key that may do that much.
    pub async fn add_key_with(&self, account: &str, rights: Rights) -> Result<NewKey, ManageError> {
        let (id, secret) = (secret::alphanumeric(KEY_ID_LENGTH)?, secret::alphanumeric(SECRET_LENGTH)?);
        self.put_key(account, id, secret, self.checked(account, rights).await?).await
    }

    /// Makes temporary credentials that may do that much, for that long.
    pub async fn issue(
        &self,
        account: &str,
        rights: Rights,
        lifetime: Duration,
    ) -> Result<NewToken, ManageError> {
        let expires_ms = self.end_of(lifetime, TOKEN_LIFETIMES)?;
        let rights = self.checked(account, rights).await?;
        let id = format!("{TEMPORARY_ID_PREFIX}{}", secret::alphanumeric(KEY_ID_LENGTH)?);
        let (secret, token) = (secret::alphanumeric(SECRET_LENGTH)?, secret::token()?);
        let temporary = Temporary { token_digest: secret::digest(&token), expires_ms };
        let new =
            NewAccessKey { rights, temporary: Some(temporary), ..NewAccessKey::of(account, &id, &secret) };
        self.ledger.put_key(new).await?;
        Ok(NewToken { key: NewKey { id, secret }, token, expires_ms })
    }

    /// Makes a bearer token that may do that much, for that long. Only its digest is kept.
    pub async fn issue_bearer(
        &self,
        account: &str,
        rights: Rights,
        lifetime: Duration,
    ) -> Result<NewBearer, ManageError> {
        let expires_ms = self.end_of(lifetime, BEARER_LIFETIMES)?;
        let rights = self.checked(account, rights).await?;
        let id = format!("{BEARER_ID_PREFIX}{}", secret::alphanumeric(KEY_ID_LENGTH)?);
        let token = format!("{BEARER_PREFIX}{id}_{}", secret::token()?);
        let temporary = Some(Temporary { token_digest: secret::digest(&token), expires_ms });
        // A secret that nobody is told.
        let unused = secret::alphanumeric(SECRET_LENGTH)?;
        let new = NewAccessKey { rights, temporary, bearer: true, ..NewAccessKey::of(account, &id, &unused) };
        self.ledger.put_key(new).await?;
        Ok(NewBearer { id, token, expires_ms })
    }

    /// When a lifetime that begins now is over.
    fn end_of(&self, lifetime: Duration, fit: RangeInclusive<Duration>) -> Result<i64, ManageError> {
        if !fit.contains(&lifetime) {
            let (shortest, longest) = (fit.start().as_secs(), fit.end().as_secs());
            return unfit("expires_s", format!("write {shortest} to {longest}"));
        }
        let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        Ok(self.clock.wall_ms().saturating_add(lifetime_ms))
    }

    /// Rights as they are kept: of domains that the account has, in lower case.
    async fn checked(&self, account: &str, mut rights: Rights) -> Result<Rights, ManageError> {
        if let Some(domains) = &mut rights.domains {
            let mut named = BTreeSet::new();
            for name in domains.iter().take(DOMAINS_OF_KEY_MAX + 1) {
                named.insert(self.own_domain(Some(account), name).await?.name);
            }
            if named.is_empty() || named.len() > DOMAINS_OF_KEY_MAX {
                return unfit("domains", format!("name 1 to {DOMAINS_OF_KEY_MAX}, or leave them out"));
            }
            *domains = named;
        }
        if rights.may.is_empty() {
            return unfit("may", "a key that may do nothing is of no use, name a right".into());
        }
        Ok(rights)
    }

    async fn put_key(
        &self,
        account: &str,
        id: String,
        secret: String,
        rights: Rights,
    ) -> Result<NewKey, ManageError> {
        // An id stands in headers and queries, between commas and quotes.
        word("key id", &id, KEY_ID_LENGTHS, "._-")?;
        if !SECRET_LENGTHS.contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return unfit("secret", "write 8 to 128 printable ASCII characters without spaces".into());
        }
        self.ledger.put_key(NewAccessKey { rights, ..NewAccessKey::of(account, &id, &secret) }).await?;
        Ok(NewKey { id, secret })
    }

    /// Disables an access key for good.
    pub async fn disable_key(&self, id: &str) -> Result<(), Error> {
        self.ledger.disable_key(id).await
    }

    /// One access key, disabled or not.
    pub async fn key(&self, id: &str) -> Result<Option<AccessKey>, Error> {
        self.ledger.key(id).await
    }

    /// Some of an account's keys, or of all, behind an id; without their secrets.
    pub async fn keys_behind(
        &self,
        account: Option<&str>,
        id: Option<&str>,
        limit: u64,
    ) -> Result<Found<AccessKey, String>, Error> {
        self.ledger.keys_behind(account, id, limit).await
    }

    /// An account's keys.
    pub async fn keys(&self, account: &str) -> Result<Vec<AccessKey>, Error> {
        self.ledger.keys(account).await
    }
}

// ---- domains ----

impl Control {
    /// Adds a domain; POPs serve it from its order on.
    pub async fn add_domain(
        &self,
        account: &str,
        name: &str,
        settings: &Settings,
    ) -> Result<DomainRecord, ManageError> {
        let name = domain_name(name)?;
        check_settings(settings)?;
        Ok(self.ledger.add_domain(account, &name, settings).await?)
    }

    /// Changes a domain's settings; of `account` where that is given.
    pub async fn set_domain(
        &self,
        account: Option<&str>,
        name: &str,
        settings: &Settings,
    ) -> Result<DomainRecord, ManageError> {
        let domain = self.own_domain(account, name).await?;
        check_settings(settings)?;
        Ok(self.ledger.set_domain(&domain.name, settings).await?)
    }

    /// Changes some of the settings of domains; of `account` where that is given. All are read and checked before the first
    /// is changed, and changes of this kind wait for each other, so that none is lost.
    pub async fn change_domains<E: From<ManageError>>(
        &self,
        account: Option<&str>,
        names: &[String],
        change: impl Fn(&mut Settings) -> Result<(), E>,
    ) -> Result<(), E> {
        let _alone = self.changing_domains.lock().await;
        let mut changed = Vec::with_capacity(names.len());
        for name in names {
            let mut domain = self.own_domain(account, name).await?;
            change(&mut domain.settings)?;
            check_settings(&domain.settings)?;
            changed.push(domain);
        }
        for domain in changed {
            let set = self.ledger.set_domain(&domain.name, &domain.settings).await;
            set.map_err(ManageError::from)?;
        }
        Ok(())
    }

    /// Removes a domain; of `account` where that is given.
    pub async fn remove_domain(&self, account: Option<&str>, name: &str) -> Result<(), ManageError> {
        let domain = self.own_domain(account, name).await?;
        self.ledger.remove_domain(&domain.name).await?;
        Ok(self.tell_server_certificates().await?)
    }

    /// All domains by name, or an account's.
    pub async fn domains(&self, account: Option<&str>) -> Result<Vec<DomainRecord>, Error> {
        self.ledger.domains(account).await
    }

    /// Some of these, behind a name; those with `text` in their name, where that is given.
    pub async fn domains_behind(
        &self,
        account: Option<&str>,
        text: Option<&str>,
        name: Option<&str>,
        limit: u64,
    ) -> Result<Found<DomainRecord, String>, Error> {
        self.ledger.domains_behind(account, text, name, limit).await
    }

    /// One domain. Another account's is refused like an unknown one.
    pub async fn own_domain(&self, account: Option<&str>, name: &str) -> Result<DomainRecord, ManageError> {
        let name = domain_name(name)?;
        let domain = self.ledger.domain(&name).await?;
        let own = domain.filter(|domain| account.is_none_or(|account| account == domain.account));
        own.ok_or_else(|| Error::from(Refusal::NotFound { what: "domain", name }).into())
    }
}

// ---- POPs ----

impl Control {
    /// Registers a POP; its token is told once and only its digest kept.
    pub async fn add_pop(&self, id: &PopId, area: Area, region: &str) -> Result<NewPop, ManageError> {
        word("region", region, NAME_LENGTHS, "._- ")?;
        let secret = secret::token()?;
        let record = self.ledger.add_pop(id, area, region, secret::digest(&secret)).await?;
        self.members.put(record.clone());
        self.progress.doubt_pops();
        let token = JoinToken { secret, pin: Some(self.line_key().pin()) };
        Ok(NewPop { record, token: token.to_text() })
    }

    /// Removes a POP. It stays in the scope of later purges until it confirmed its removal.
    pub async fn remove_pop(&self, id: &PopId) -> Result<PopRecord, Error> {
        let record = self.ledger.remove_pop(id).await?;
        self.members.put(record.clone());
        self.progress.doubt_pops();
        Ok(record)
    }

    /// Notes that an operator declared a POP's machine destroyed: it serves nobody any more, so nothing waits for it.
    /// Removes it where that was not done.
    pub async fn destroy_pop(&self, id: &PopId) -> Result<(), Error> {
        let pops = self.ledger.pops().await?;
        let known = pops.iter().find(|pop| pop.id == *id);
        let known = known.ok_or_else(|| Refusal::NotFound { what: "POP", name: id.to_string() })?;
        let left = match known.left {
            Some(left) => left,
            None => self.remove_pop(id).await?.left.unwrap_or_default(),
        };
        self.ledger.pop_gone(id).await?;
        self.members.gone(id, left);
        self.progress.doubt_pops();
        Ok(())
    }
}

// ---- what names and settings may be ----

pub(crate) fn unfit<T>(field: &'static str, reason: String) -> Result<T, ManageError> {
    Err(ManageError::Unfit { field, reason })
}

fn account_name(name: &str) -> Result<(), ManageError> {
    word("account", name, NAME_LENGTHS, "._-")
}

/// A word of letters, digits and `also`.
pub(crate) fn word(
    field: &'static str,
    text: &str,
    lengths: RangeInclusive<usize>,
    also: &str,
) -> Result<(), ManageError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    if lengths.contains(&text.len()) && text.chars().all(fits) {
        return Ok(());
    }
    let (shortest, longest) = (lengths.start(), lengths.end());
    unfit(field, format!("write {shortest} to {longest} letters, digits or any of {also:?}"))
}

/// The domain as it is kept: lower case, without trailing dot.
pub(crate) fn domain_name(name: &str) -> Result<String, ManageError> {
    let bad = |reason: String| ManageError::Unfit { field: "domain", reason };
    if name.contains(':') && !name.starts_with('[') {
        return Err(bad(format!("{name:?} has a port, leave it out")));
    }
    host_of(name).map(Cow::into_owned).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_host_names() {
        assert_eq!(domain_name("Demo.LocalHost.").unwrap(), "demo.localhost");
        for (name, said) in [
            ("127.0.0.1", "domain: \"127.0.0.1\" is an address, name the accelerated domain"),
            ("[::1]", "domain: \"[::1]\" is an address, name the accelerated domain"),
            ("*.example.com", "domain: wildcards (*) are not matched, name the URL or purge its directory"),
            ("a b", "domain: \"a b\" is not a host name"),
            ("a:80", "domain: \"a:80\" has a port, leave it out"),
        ] {
            assert_eq!(domain_name(name).unwrap_err().to_string(), said);
        }
    }
}
