//! Names and numbers that tell things apart: orders, logs, POPs, data folders, boots, tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The place of an order in the fleet log; the first order has 1, and 0 is «before any order».
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before any order.
    pub const ZERO: Seq = Seq(0);

    /// The place after this one.
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }

    /// The place before this one; zero stays zero.
    pub fn previous(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts how often a POP had to give up everything it held (another log, a gap): a copy from an older epoch is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch that starts when this one is given up.
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        hexadecimal!($name, 16, BadId);
    };
}

random_id!(
    /// The random name of one order; tells a log from a restored or foreign one that reuses its numbers.
    OrderId
);
random_id!(
    /// The random name of a fleet log, made with it.
    LogId
);
random_id!(
    /// The random name of a POP's data folder, made with it.
    DataId
);
random_id!(
    /// The random name of one run of a POP process.
    BootId
);

/// An identity that is not 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identity is 32 hexadecimal digits")]
pub struct BadId;

/// The number of a task; users see its decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TaskId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a POP: 1 to 64 of `a-z`, `0-9`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct PopId(String);

/// A POP name outside its alphabet or length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a POP id: 1 to 64 of a-z, 0-9 and -")]
pub struct BadPopId(pub String);

impl PopId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for PopId {
    type Err = BadPopId;

    fn from_str(text: &str) -> Result<Self, BadPopId> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(PopId(text.to_owned())) } else { Err(BadPopId(text.chars().take(80).collect())) }
    }
}

impl<'de> Deserialize<'de> for PopId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for PopId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
