//! Who signs in to the console, and what they did there.

use freshen_model::role::Role;
use std::fmt;

/// People of one installation.
pub const USERS_MAX: u64 = 10_000;
/// Sessions that one person has at one time; the oldest goes for one more.
pub const SESSIONS_OF_USER_MAX: u64 = 20;
/// Deeds that are kept; the oldest goes for one more.
pub const DEEDS_MAX: u64 = 1_000_000;

/// A person who may sign in. The password's hash stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name, with which they sign in.
    pub name: String,
    /// The account they belong to.
    pub account: String,
    /// What they may do.
    pub role: Role,
    /// The password's hash with its salt and cost, as a PHC string.
    pub password: String,
    /// Wall-clock milliseconds since 1970.
    pub created_ms: i64,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({}, {} of {})", self.name, self.role.as_str(), self.account)
    }
}

/// Something that only its holder knows, and that stands for a user for a time: a session, or a link to sign in once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// SHA-256 of what the holder shows.
    pub digest: [u8; 32],
    /// Whom it stands for.
    pub user: String,
    /// Until when it is good, wall-clock milliseconds since 1970.
    pub expires_ms: i64,
}

/// What somebody did in the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Its number; later ones have higher ones. 0 while it is not kept yet.
    pub number: u64,
    /// Wall-clock milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub user: String,
    /// For which account.
    pub account: String,
    /// From which address; empty where that is not known.
    pub address: String,
    /// What was done, a short phrase: `purge`, `add domain` …
    pub what: String,
    /// To what, in words.
    pub detail: String,
    /// What came of it; absent: it is under way, or control stopped before it knew.
    pub outcome: Option<String>,
}
