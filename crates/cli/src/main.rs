//! The `freshen` binary.
#![allow(dead_code, reason = "temporary: the commands that use these parts are not here yet")]

mod demo;

fn main() {}
