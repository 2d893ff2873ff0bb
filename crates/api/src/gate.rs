//! The gate of both APIs: from a request to the caller who signed it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use freshen_control::Control;
use freshen_control::manage::bearer_id;
use freshen_ledger::{AccessKey, Error};
use freshen_model::rights::{Right, Rights};
use http::request::Parts;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::listener::Beside;
use crate::nonce_log::NonceLog;
use crate::pace::Paces;
use crate::signature::{self, Nonces, Request, SignatureError, Signed};

/// Nonces that are remembered, of all keys and of one; about 100 bytes each.
const NONCES_MAX: usize = 1_000_000;
const NONCES_OF_KEY_MAX: usize = 250_000;

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account the key acts for.
    pub account: String,
    /// Whether that account is an admin, and the key may act as one.
    pub admin: bool,
    /// The key.
    pub access_key_id: String,
    /// What the key may do.
    pub rights: Rights,
    /// Whether these are temporary credentials, or a bearer token.
    pub temporary: bool,
}

impl Caller {
    /// The account beyond whose things the caller sees and manages nothing; `None` for admins.
    pub fn confines(&self) -> Option<&str> {
        (!self.admin).then_some(self.account.as_str())
    }

    /// The domains beyond which the key reaches nothing; `None` where it reaches all.
    pub fn within(&self) -> Option<&BTreeSet<String>> {
        self.rights.domains.as_ref()
    }
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The signature is missing, wrong, too old or used before.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// There is no such access key.
    #[error("no such access key")]
    UnknownKey,
    /// The access key is disabled. Told only to who holds its secret.
    #[error("the access key is disabled")]
    DisabledKey,
    /// Temporary credentials without their token. This and what follows is told only to who holds the secret.
    #[error("the security token is missing")]
    TokenMissing,
    /// Temporary credentials after their time.
    #[error("the security token has expired")]
    TokenExpired,
    /// A token that does not belong to these credentials.
    #[error("the security token is not that of this access key")]
    TokenMismatch,
    /// The account sends more requests than it may.
    #[error("more requests than the account may send, try again in {} ms", retry_after.as_millis())]
    TooFast {
        /// When there is room again.
        retry_after: Duration,
    },
    /// What was sent could not be kept from being sent again.
    #[error("the nonce cannot be kept: {0}")]
    NonceNotKept(std::io::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] Error),
}

/// Why nobody is let in for a bearer token.
#[derive(Debug, thiserror::Error)]
pub enum BearerRefused {
    /// No such token; the same where its id is known.
    #[error("no such bearer token")]
    Unknown,
    /// It is disabled. This and what follows is told only to who holds it.
    #[error("the bearer token is disabled, make another")]
    Disabled,
    /// Its time is over.
    #[error("the bearer token has expired, make another")]
    Expired,
    /// As for who signs.
    #[error(transparent)]
    Otherwise(#[from] Refused),
}

/// The gate, with the memory of who went through it.
pub struct Gate {
    control: Arc<Control>,
    nonces: Mutex<Nonces>,
    log: NonceLog,
    paces: Mutex<Paces>,
}

impl Gate {
    /// A gate to that control, which keeps what went through in `folder` and knows what went through before.
    pub fn open(control: Arc<Control>, folder: &Path) -> io::Result<Gate> {
        let mut nonces = Nonces::new(NONCES_MAX, NONCES_OF_KEY_MAX);
        let now = control.wall_ms().div_euclid(1_000);
        let (log, kept) = NonceLog::open(folder, now)?;
        kept.into_iter().for_each(|seen| nonces.restore(seen));
        Ok(Gate { control, nonces: Mutex::new(nonces), log, paces: Mutex::default() })
    }

    /// Says who signed a request, once only for each.
    pub async fn admit(&self, request: &Request<'_>) -> Result<Caller, Refused> {
        let signed = signature::parse(request)?;
        signed.fresh(self.now())?;
        let key = self.control.key(&signed.access_key_id).await?.ok_or(Refused::UnknownKey)?;
        if key.bearer {
            return Err(Refused::UnknownKey);
        }
        let verified = signed.verify(&key.secret)?;
        if key.disabled {
            return Err(Refused::DisabledKey);
        }
        self.token(&signed, &key)?;
        let seen = self.nonces.lock().remember(verified, self.now())?;
        self.log.keep(&seen, self.now()).map_err(Refused::NonceNotKept)?;
        self.paced(key)
    }

    /// Says who holds a bearer token. Nothing keeps it from being sent again: whoever has it may.
    pub async fn admit_bearer(&self, token: &str) -> Result<Caller, BearerRefused> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let key = match bearer_id(token) {
            Some(id) => self.control.key(id).await.map_err(Refused::Ledger)?,
            None => None,
        };
        let key = key.filter(|key| key.bearer).ok_or(BearerRefused::Unknown)?;
        let kept = key.temporary.as_ref().ok_or(BearerRefused::Unknown)?;
        if !bool::from(digest.ct_eq(&kept.token_digest)) {
            return Err(BearerRefused::Unknown);
        }
        if key.disabled {
            return Err(BearerRefused::Disabled);
        }
        if self.control.wall_ms() >= kept.expires_ms {
            return Err(BearerRefused::Expired);
        }
        Ok(self.paced(key)?)
    }

    /// Lets in who is known, unless the account sends more than it may.
    fn paced(&self, key: AccessKey) -> Result<Caller, Refused> {
        let pace = self.paces.lock().take(&key.account, key.requests_per_s, self.control.steady());
        pace.map_err(|retry_after| Refused::TooFast { retry_after })?;
        Ok(Caller {
            account: key.account,
            admin: key.admin && key.rights.allow(Right::Admin),
            access_key_id: key.id,
            rights: key.rights,
            temporary: key.temporary.is_some(),
        })
    }

    /// Whether somebody who was let in and is still there may stay: his key is not disabled, nor its time over.
    pub async fn keeps(&self, caller: &Caller) -> Result<bool, Error> {
        let key = self.control.key(&caller.access_key_id).await?;
        let in_time = |key: &AccessKey| {
            key.temporary.as_ref().is_none_or(|temporary| self.control.wall_ms() < temporary.expires_ms)
        };
        Ok(key.is_some_and(|key| !key.disabled && in_time(&key)))
    }

    /// Checks that temporary credentials come with their token in its time, and others with none.
    fn token(&self, signed: &Signed, key: &AccessKey) -> Result<(), Refused> {
        match (&signed.security_token, &key.temporary) {
            (None, None) => Ok(()),
            (Some(_), None) => Err(Refused::TokenMismatch),
            (None, Some(_)) => Err(Refused::TokenMissing),
            (Some(token), Some(temporary)) => {
                let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
                if !bool::from(digest.ct_eq(&temporary.token_digest)) {
                    return Err(Refused::TokenMismatch);
                }
                if self.control.wall_ms() >= temporary.expires_ms {
                    return Err(Refused::TokenExpired);
                }
                Ok(())
            }
        }
    }

    /// The time by control's wall clock, in unix seconds.
    fn now(&self) -> i64 {
        self.control.wall_ms().div_euclid(1_000)
    }
}

/// A request as its signature covers it.
pub fn request<'a>(parts: &'a Parts, body: &'a [u8]) -> Request<'a> {
    Request {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: long_query(parts).or(parts.uri.query()).unwrap_or_default(),
        headers: &parts.headers,
        body,
    }
}

/// The query where it was too long for the head.
pub(crate) fn long_query(parts: &Parts) -> Option<&str> {
    parts.extensions.get::<Beside>()?.query.as_deref()
}
