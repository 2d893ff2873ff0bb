//! The pure domain of Freshen: keys, rules, orders, tasks, quotas and the purge protocol's state machines.
//!
//! **Invariant:** nothing here does IO, reads a clock or holds a lock. Time comes in as a value, effects go out as
//! values, so that the same types run in production and under a simulation.

#[macro_use]
mod hexadecimal;

pub mod area;
pub mod callback;
pub mod certificate;
pub mod check;
pub mod count;
pub mod domain;
pub mod expand;
pub mod follow;
pub mod ids;
pub mod key;
pub mod location;
pub mod media;
pub mod media_job;
pub mod network;
pub mod order;
pub mod pattern;
pub mod peers;
pub mod preview;
pub mod protocol;
pub mod quota;
pub mod receipt;
pub mod refill;
pub mod rights;
pub mod role;
pub mod rule;
pub mod secret;
pub mod tag;
pub mod task;
pub mod traffic;
pub mod variants;
pub mod window;
