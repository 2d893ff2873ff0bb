//! The commands as a new user gives them: `freshen demo` and `freshen serve` run as processes of their own, and everything is
//! asked of them through the command line or plain HTTP.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its stage too")]

mod command;
mod counts;
mod demo;
mod ports;
mod process;
#[path = "../fleet/viewer.rs"]
mod viewer;

mod bad_input;
mod caching;
mod console;
mod directory;
mod exit_code;
mod health;
mod json;
mod prefetch;
mod preview;
mod serve;
mod settings;
mod survival;
mod tree;
