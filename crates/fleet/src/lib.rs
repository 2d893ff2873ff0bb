//! What lies between control and its POPs: the log pushed one way, heartbeats the other, and questions in between.
//!
//! **Invariant:** this crate moves messages and judges none of them: whether an order applies, a heartbeat counts or a
//! lease holds is decided by the state machines of `freshen-model`. A POP opens every connection; control never calls one.
//! What a POP is and knows goes to whom its token pins, and to nobody else.

pub mod causes;
pub mod certified;
pub mod host;
pub mod hub;
pub mod line;
pub mod link;
pub mod trust;
pub mod wire;

pub use causes::causes;
pub use certified::{Certified, Misfit};
pub use host::Host;
pub use hub::{AskError, Hub};
pub use line::{BadToken, JoinToken, LineKey};
pub use link::{Event, HttpLink, Link, LinkError};
pub use trust::trust;
