//! What the standard says of caching: headers in, decision out. No IO, no clock of its own.
//!
//! RFC 9111 for a shared cache, with RFC 9213 (fields for CDNs), RFC 5861 (stale use), RFC 8246 (`immutable`) and RFC
//! 9211 (`Cache-Status`); RFC 9110 for conditional and range requests. A response is judged as it came
//! (`storing::judge`), its fields are made those that are stored (`fields::stamp`, `fields::prepare`), and what its use
//! depends on is worked out once (`terms::Terms`, `vary::VaryBy`).

pub mod cache_control;
pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod fields;
pub mod freshness;
pub mod invalidation;
pub mod range;
pub mod storing;
pub mod tags;
pub mod targeted;
pub mod terms;
pub mod vary;
