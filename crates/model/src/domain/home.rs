//! Which POP fetches a domain's objects from the origin for the others.

use crate::ids::PopId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Among which POPs each object has a home, which asks the origin for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Home {
    /// None: each POP asks the origin.
    Off,
    /// Those of the asker's region.
    Region,
    /// All.
    #[default]
    Fleet,
    /// One POP is the home of all objects: a shield.
    Pop(PopId),
}

/// A text that is no choice of `home`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a choice of home: write off, region, fleet or the id of a POP")]
pub struct BadHome(pub String);

impl fmt::Display for Home {
    /// As [`Home`] is read from text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Home::Off => "off",
            Home::Region => "region",
            Home::Fleet => "fleet",
            Home::Pop(pop) => pop.as_str(),
        })
    }
}

impl FromStr for Home {
    type Err = BadHome;

    fn from_str(text: &str) -> Result<Home, BadHome> {
        match text {
            "off" => Ok(Home::Off),
            "region" => Ok(Home::Region),
            "fleet" => Ok(Home::Fleet),
            _ => text.parse().map(Home::Pop).map_err(|_| BadHome(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for Home {
    type Error = BadHome;

    fn try_from(text: String) -> Result<Home, BadHome> {
        text.parse()
    }
}

impl From<Home> for String {
    fn from(home: Home) -> String {
        home.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_is_read_as_it_is_written() {
        for text in ["off", "region", "fleet", "pop-1"] {
            let home: Home = text.parse().unwrap();
            assert_eq!(home.to_string(), text);
            let json = serde_json::to_string(&home).unwrap();
            assert_eq!(serde_json::from_str::<Home>(&json).unwrap(), home);
        }
        assert_eq!("pop-1".parse(), Ok(Home::Pop("pop-1".parse().unwrap())));
        assert!("Some POP".parse::<Home>().unwrap_err().to_string().contains("write off, region, fleet"));
    }
}
