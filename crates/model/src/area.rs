//! The area of a POP, by which a prefetch may be narrowed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a POP serves; the vendor's two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Inside the operator's own country.
    Domestic,
    /// Everywhere else.
    Overseas,
}

impl Area {
    /// The word used in the API, the configuration and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Area::Domestic => "domestic",
            Area::Overseas => "overseas",
        }
    }
}

impl std::str::FromStr for Area {
    type Err = BadArea;

    fn from_str(text: &str) -> Result<Self, BadArea> {
        match text {
            "domestic" => Ok(Area::Domestic),
            "overseas" => Ok(Area::Overseas),
            _ => Err(BadArea(text.chars().take(80).collect())),
        }
    }
}

/// A word that names no area.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an area: write domestic or overseas")]
pub struct BadArea(pub String);
