//! Any bytes, as a request: see `tests/fuzz/request.rs`, which says what must hold.
#![no_main]

#[path = "../../tests/fuzz/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| request::check(bytes));
