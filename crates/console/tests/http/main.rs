//! The console over real HTTP, of a control on a real ledger.
#![allow(clippy::unwrap_used, reason = "tests and their stage")]

mod fleet;
mod management;
mod people;
mod refresh;
mod stage;
mod strangers;
