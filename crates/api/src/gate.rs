//! The gate of both APIs: from a request to the caller who signed it.

use std::sync::Arc;

use freshen_control::Control;
use freshen_ledger::Error;
use http::request::Parts;
use parking_lot::Mutex;

use crate::signature::{self, Nonces, Request, SignatureError};

/// Nonces that are remembered, of all keys and of one; about 100 bytes each.
const NONCES_MAX: usize = 1_000_000;
const NONCES_OF_KEY_MAX: usize = 250_000;

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account the key acts for.
    pub account: String,
    /// Whether that account is an admin.
    pub admin: bool,
    /// The key.
    pub access_key_id: String,
}

impl Caller {
    /// The account beyond whose things the caller sees and manages nothing; `None` for admins.
    pub fn confines(&self) -> Option<&str> {
        (!self.admin).then_some(self.account.as_str())
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
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] Error),
}

/// The gate, with the memory of who went through it.
pub struct Gate {
    control: Arc<Control>,
    nonces: Mutex<Nonces>,
}

impl Gate {
    /// A gate to that control.
    pub fn new(control: Arc<Control>) -> Gate {
        Gate { control, nonces: Mutex::new(Nonces::new(NONCES_MAX, NONCES_OF_KEY_MAX)) }
    }

    /// Says who signed a request, once only for each.
    pub async fn admit(&self, request: &Request<'_>) -> Result<Caller, Refused> {
        let signed = signature::parse(request)?;
        signed.fresh(self.now())?;
        let key = self.control.key(&signed.access_key_id).await?.ok_or(Refused::UnknownKey)?;
        let verified = signed.verify(&key.secret)?;
        if key.disabled {
            return Err(Refused::DisabledKey);
        }
        self.nonces.lock().remember(verified, self.now())?;
        Ok(Caller { account: key.account, admin: key.admin, access_key_id: key.id })
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
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body,
    }
}
