//! Passwords, as Argon2id hashes.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::Arc;
use tokio::sync::{OnceCell, Semaphore};

/// Hashes at one time: each takes a core and the memory that is set.
const AT_ONCE_MAX: usize = 2;
/// Hashes that wait for their turn.
const WAITING_MAX: usize = 32;

/// Hashes passwords, and looks whether they are right; never on the threads of the async runtime.
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// The hash of nobody's password: who asks for an unknown user waits as long as for a known one.
    nobodys: OnceCell<String>,
}

/// No hash was made: too many wait, or the settings cannot be.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoHash(String);

impl Passwords {
    /// With that much work a hash: memory in KiB, and passes over it.
    pub(super) fn new(memory_kib: u32, passes: u32) -> Passwords {
        // Bounds are checked with the configuration; the default is no worse than none.
        let params = Params::new(memory_kib, passes, 1, None).unwrap_or_default();
        Passwords {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            waiting: Arc::new(Semaphore::new(AT_ONCE_MAX + WAITING_MAX)),
            nobodys: OnceCell::new(),
        }
    }

    /// The hash of a password, with a new salt, as a PHC string.
    pub(super) async fn hash(&self, password: String) -> Result<String, NoHash> {
        let argon2 = self.argon2.clone();
        self.in_turn(move || {
            let hash = argon2.hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| NoHash(error.to_string()))
        })
        .await?
    }

    /// Whether the password is that of the hash; never, where there is no hash, and that takes as long.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, NoHash> {
        let known = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.nobodys.get_or_try_init(|| self.hash("nobody's".into())).await?.clone(),
        };
        let argon2 = self.argon2.clone();
        let right = self.in_turn(move || argon2.verify_password(password.as_bytes(), hash.as_str()).is_ok());
        Ok(right.await? && known)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoHash> {
        let failed = |error: &dyn std::fmt::Display| NoHash(error.to_string());
        let waits = self.waiting.clone().try_acquire_owned().map_err(|error| failed(&error))?;
        let turn = self.at_once.clone().acquire_owned().await.map_err(|error| failed(&error))?;
        let work = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, also where nobody waits for it any more.
            let _held = (waits, turn);
            work()
        });
        work.await.map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_an_unknown_user_has_none() {
        let passwords = Passwords::new(8, 1);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse".into()).await.unwrap(), "each has its salt");
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("battery staple".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("nobody's".into(), None).await.unwrap());
        assert!(!passwords.verify("x".into(), Some("no hash".into())).await.unwrap());
    }

    #[tokio::test]
    async fn the_work_factor_of_an_older_hash_is_its_own() {
        let hash = Passwords::new(8, 2).hash("correct horse".into()).await.unwrap();
        assert!(Passwords::new(16, 1).verify("correct horse".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn more_than_may_wait_are_turned_away() {
        let passwords = Passwords::new(8, 1);
        let all =
            passwords.waiting.clone().try_acquire_many_owned((AT_ONCE_MAX + WAITING_MAX) as u32).unwrap();
        assert!(passwords.hash("correct horse".into()).await.is_err());
        drop(all);
        assert!(passwords.hash("correct horse".into()).await.is_ok());
    }
}
