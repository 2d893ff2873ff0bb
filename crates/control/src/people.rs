//! People of the console: who they are, how they sign in, and what they did.
//!
//! A browser holds a random session id, and the ledger its digest: who reads the ledger signs in as nobody. Passwords are
//! kept as Argon2 hashes. A try to sign in is counted before its password is looked at.

mod attempts;
mod passwords;

use crate::config::Config;
use crate::control::Control;
use crate::manage::{ManageError, word};
use crate::secret::{self, NoRandom};
use attempts::Attempts;
use freshen_ledger::{Deed, Error, Pass, Refusal, User};
use freshen_model::role::{Role, USER_NAME_BYTES_MAX};
use parking_lot::Mutex;
use passwords::{NoHash, Passwords};
use std::net::IpAddr;
use std::time::Duration;

/// Lengths of passwords, in bytes; the longest is bounded since it is hashed before anybody is known.
pub const PASSWORD_LENGTHS: std::ops::RangeInclusive<usize> = 10..=256;
/// Length of a password that is made here: about 119 bits.
const MADE_PASSWORD_LENGTH: usize = 20;
/// The longest text of a deed, in characters.
const DETAIL_MAX: usize = 500;

/// What signing in takes.
pub(crate) struct People {
    passwords: Passwords,
    attempts: Mutex<Attempts>,
    session: Duration,
}

impl People {
    pub(crate) fn new(config: &Config) -> People {
        People {
            passwords: Passwords::new(config.password_memory_kib, config.password_passes),
            attempts: Mutex::default(),
            session: Duration::from_secs(config.session_s),
        }
    }
}

/// A session just opened. Its id stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// What the browser shows from now on.
    pub id: String,
    /// Who.
    pub user: User,
    /// How long it lasts.
    pub lifetime: Duration,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session(of {})", self.user.name)
    }
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such user, or another password; which of them is not said.
    #[error("user name or password are not right")]
    Wrong,
    /// Too many tries by this user or from this address.
    #[error("too many tries, wait {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// More people sign in at this moment than passwords can be looked at.
    #[error("too many people sign in at this moment, try again")]
    Busy,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// No session id could be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl From<NoHash> for ManageError {
    fn from(error: NoHash) -> ManageError {
        ManageError::Ledger(Error::Engine(format!("the password cannot be hashed: {error}")))
    }
}

// ---- users ----

impl Control {
    /// Adds a user; gives the password, which is made where none is given and told once.
    pub async fn add_user(
        &self,
        name: &str,
        account: &str,
        role: Role,
        password: Option<String>,
    ) -> Result<String, ManageError> {
        word("user", name, 1..=USER_NAME_BYTES_MAX, "._@-")?;
        let password = password_or_new(password)?;
        let hash = self.people.passwords.hash(password.clone()).await?;
        let user = User {
            name: name.to_owned(),
            account: account.to_owned(),
            role,
            password: hash,
            created_ms: self.wall_ms(),
        };
        self.ledger.add_user(user).await?;
        Ok(password)
    }

    /// Changes a user's password, and ends all the user's sessions; gives the password as [`Control::add_user`] does.
    pub async fn set_password(&self, user: &str, password: Option<String>) -> Result<String, ManageError> {
        let password = password_or_new(password)?;
        let hash = self.people.passwords.hash(password.clone()).await?;
        self.ledger.set_password(user, &hash).await?;
        Ok(password)
    }

    /// Removes a user; whoever is signed in as that one is so no more.
    pub async fn remove_user(&self, user: &str) -> Result<(), Error> {
        self.ledger.remove_user(user).await
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        self.ledger.users().await
    }

    /// One user.
    pub async fn user(&self, name: &str) -> Result<Option<User>, Error> {
        self.ledger.user(name).await
    }
}

fn password_or_new(password: Option<String>) -> Result<String, ManageError> {
    let Some(password) = password else { return Ok(secret::alphanumeric(MADE_PASSWORD_LENGTH)?) };
    if PASSWORD_LENGTHS.contains(&password.len()) {
        return Ok(password);
    }
    let (shortest, longest) = (PASSWORD_LENGTHS.start(), PASSWORD_LENGTHS.end());
    Err(ManageError::Unfit { field: "password", reason: format!("write {shortest} to {longest} bytes") })
}

// ---- signing in ----

impl Control {
    /// Opens a session for who knows the user's password.
    pub async fn sign_in(
        &self,
        name: &str,
        password: String,
        from: Option<IpAddr>,
    ) -> Result<Session, SignInError> {
        if name.len() > USER_NAME_BYTES_MAX || password.len() > *PASSWORD_LENGTHS.end() {
            return Err(SignInError::Wrong);
        }
        self.people.attempts.lock().take(name, from, self.steady()).map_err(SignInError::TooMany)?;
        let user = self.ledger.user(name).await?;
        let hash = user.as_ref().map(|user| user.password.clone());
        let right = self.people.passwords.verify(password, hash).await.map_err(|_| SignInError::Busy)?;
        match user {
            Some(user) if right => {
                self.people.attempts.lock().forget(name);
                self.open_session(user).await
            }
            _ => Err(SignInError::Wrong),
        }
    }

    /// Whether this is the user's password; counted as a try to sign in.
    pub async fn knows_password(&self, name: &str, password: String) -> Result<(), SignInError> {
        let session = self.sign_in(name, password, None).await?;
        Ok(self.sign_out(&session.id).await?)
    }

    /// Makes a link's token, with which the user signs in once, without a password.
    pub async fn make_sign_in_link(&self, user: &str, lifetime: Duration) -> Result<String, ManageError> {
        let token = secret::token()?;
        let expires_ms = self.in_future_ms(lifetime);
        let link = Pass { digest: secret::digest(&token), user: user.to_owned(), expires_ms };
        self.ledger.put_sign_in_link(link).await?;
        Ok(token)
    }

    /// Opens a session for who has such a token; it is used up.
    pub async fn sign_in_by_link(&self, token: &str) -> Result<Session, SignInError> {
        let user = self.ledger.take_sign_in_link(secret::digest(token), self.wall_ms()).await?;
        self.open_session(user.ok_or(SignInError::Wrong)?).await
    }

    async fn open_session(&self, user: User) -> Result<Session, SignInError> {
        let (id, lifetime) = (secret::token()?, self.people.session);
        let expires_ms = self.in_future_ms(lifetime);
        let session = Pass { digest: secret::digest(&id), user: user.name.clone(), expires_ms };
        match self.ledger.open_session(session, self.wall_ms()).await {
            // Removed in this very moment.
            Err(Error::Refused(Refusal::NotFound { .. })) => Err(SignInError::Wrong),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(Session { id, user, lifetime }),
        }
    }

    fn in_future_ms(&self, lifetime: Duration) -> i64 {
        self.wall_ms().saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX))
    }

    /// Whose session that is, if it has not ended.
    pub async fn user_of_session(&self, id: &str) -> Result<Option<User>, Error> {
        self.ledger.user_of_session(secret::digest(id), self.wall_ms()).await
    }

    /// Ends a session.
    pub async fn sign_out(&self, id: &str) -> Result<(), Error> {
        self.ledger.end_session(secret::digest(id)).await
    }
}

// ---- the audit trail ----

impl Control {
    /// Keeps what somebody is about to do, before it is done; gives the number for [`Control::end_deed`].
    pub async fn begin_deed(
        &self,
        user: &User,
        address: Option<IpAddr>,
        what: &str,
        detail: &str,
    ) -> Result<u64, Error> {
        let deed = Deed {
            number: 0,
            at_ms: self.wall_ms(),
            user: user.name.clone(),
            account: user.account.clone(),
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            what: what.to_owned(),
            detail: detail.chars().take(DETAIL_MAX).collect(),
            outcome: None,
        };
        self.ledger.begin_deed(deed).await
    }

    /// Notes what came of it.
    pub async fn end_deed(&self, number: u64, outcome: &str) -> Result<(), Error> {
        let outcome: String = outcome.chars().take(DETAIL_MAX).collect();
        self.ledger.end_deed(number, &outcome).await
    }

    /// Deeds with numbers below `before`, the newest first; of one user where that is given.
    pub async fn deeds(&self, before: u64, user: Option<&str>, limit: u64) -> Result<Vec<Deed>, Error> {
        self.ledger.deeds(before, user, limit).await
    }
}
