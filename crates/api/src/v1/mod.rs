//! The API of Freshen itself, at `/v1`.

pub mod wire;
