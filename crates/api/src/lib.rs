//! What people and programs call: the vendor-compatible API and Freshen's own.
//!
//! This crate is the only place with vendor spelling. [`signature`] says who signed a request, [`gate`] whether that
//! caller may come in, [`vendor`] and [`v1`] turn a request into calls of control and its answers into what clients
//! expect; [`router()`] puts them together, [`serve()`] carries them over TCP.
//!
//! **Invariant:** nothing is decided here about caches, tasks or quotas: that is control's. And nothing is done for
//! a request before the [`gate`] has verified who signed it, but for health and the OpenAPI document, which tell nothing about
//! anybody.

pub mod body;
pub mod gate;
pub mod health;
mod listener;
mod nonce_log;
pub mod pace;
mod router;
pub mod signature;
pub mod timestamp;
pub mod v1;
pub mod vendor;

pub use listener::serve;
pub use router::{RenderMetrics, router};
