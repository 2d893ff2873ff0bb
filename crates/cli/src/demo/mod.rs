//! What `freshen demo` is made of: an origin with a sample site, and the supervisor of the parts.

pub mod origin;
pub mod parent;
pub mod site;
pub mod supervisor;
