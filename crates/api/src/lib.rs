//! What people and programs call: the vendor-compatible API and Freshen's own.
//!
//! This crate is the only place with vendor spelling. [`signature`] says who signed a request, [`vendor`] turns
//! a signed request into a typed call and a typed reply into the bytes that the vendor's SDKs expect.
//! Everything here is pure: no IO, and the time is passed in.

pub mod signature;
pub mod timestamp;
pub mod v1;
pub mod vendor;
