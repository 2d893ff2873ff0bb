//! Control's promises, on the real ledger and over loopback.
#![allow(clippy::unwrap_used, reason = "tests and their stage")]

mod callbacks;
mod deferred;
mod line;
mod media_jobs;
mod membership;
mod people;
mod prefetches;
mod purges;
mod receipts;
mod receiver;
mod server_certificates;
mod stage;
mod steering;
mod submission;
