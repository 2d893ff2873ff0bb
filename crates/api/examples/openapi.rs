//! Prints the OpenAPI document of `/v1`: `cargo run -p freshen-api --example openapi > docs/reference/openapi.json`.
#![allow(clippy::print_stdout, reason = "that is what it is for")]

fn main() {
    print!("{}", freshen_api::v1::openapi::text());
}
