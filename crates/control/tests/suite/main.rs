//! Control's promises, on the real ledger and over loopback.
#![allow(clippy::unwrap_used, reason = "tests and their stage")]

mod deferred;
mod membership;
mod people;
mod prefetches;
mod purges;
mod receipts;
mod stage;
mod submission;
