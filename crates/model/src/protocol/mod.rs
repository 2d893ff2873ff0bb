//! The purge protocol as state machines: events in, effects out; no IO, no sockets, no clock.
//!
//! A POP's side: [`follower`] applies the log and answers what may be used; [`lease`] says whether its view of the log is
//! young enough; [`index`] holds the rules; [`copy`] and [`fill`] are what rules are held against. Control's side:
//! [`roster`] judges heartbeats and says whom a task waits for, [`completion`] decides when a task is done,
//! [`retention`] which orders nobody needs any more. Between POPs: [`home`].

pub mod completion;
pub mod copy;
pub mod fill;
pub mod follower;
pub mod heartbeat;
pub mod home;
pub mod index;
pub mod lease;
pub mod marks;
pub mod now;
mod places;
pub mod retention;
pub mod roster;
