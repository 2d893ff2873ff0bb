//! What a person who signs in to the console may do.

use crate::rights::Right;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The longest name of a person, in bytes.
pub const USER_NAME_BYTES_MAX: usize = 64;

/// A person's role. Each may do all that the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees what belongs to the account.
    Viewer,
    /// Purges and prefetches for the account, too.
    Operator,
    /// Manages the installation: all accounts and what belongs to them.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// Whether it has that right; the words are those of access keys.
    pub fn may(self, right: Right) -> bool {
        match right {
            Right::Read => true,
            Right::Purge | Right::Prefetch => self >= Role::Operator,
            Right::Admin => self == Role::Admin,
        }
    }

    /// The word used in the console, the API and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(word: &str) -> Result<Role, BadRole> {
        Role::ALL.into_iter().find(|role| role.as_str() == word).ok_or_else(|| BadRole(word.to_owned()))
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: write viewer, operator or admin")]
pub struct BadRole(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_what_its_name_says() {
        let may = |role: Role| Right::ALL.map(|right| role.may(right));
        // Purge, prefetch, read, admin.
        assert_eq!(may(Role::Viewer), [false, false, true, false]);
        assert_eq!(may(Role::Operator), [true, true, true, false]);
        assert_eq!(may(Role::Admin), [true; 4]);
    }

    #[test]
    fn every_role_has_its_word() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert!("root".parse::<Role>().is_err());
    }
}
