//! Both APIs over real HTTP: control on a real ledger, its listener on loopback, POPs that follow its log.

#![allow(missing_docs, reason = "the names of tests say what they are about")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its stage too")]

mod cdn;
mod domains;
mod error_codes;
mod health;
mod own;
mod own_callbacks;
mod own_certificates;
mod own_events;
mod own_management;
mod own_media;
mod own_once;
mod own_receipts;
mod rights;
mod scenario;
mod sdk;
mod stage;
mod traffic;
mod vendor;
mod vendor_media;
mod vendor_refusals;
