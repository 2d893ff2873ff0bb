//! What the standard says of caching: headers in, decision out. No IO, no clock of its own.
//!
//! RFC 9111 for a shared cache, RFC 9110 for conditional and range requests.

pub mod cache_control;
pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod fields;
pub mod freshness;
pub mod invalidation;
pub mod range;
pub mod storing;
pub mod targeted;
pub mod terms;
pub mod vary;
