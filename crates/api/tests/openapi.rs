//! The OpenAPI document that is checked in says what the code does.

use freshen_api::v1::openapi;

const CHECKED_IN: &str = include_str!("../../../docs/reference/openapi.json");

#[test]
fn the_document_is_what_the_code_gives() {
    let given = openapi::text();
    let line = given.lines().zip(CHECKED_IN.lines()).zip(1..).find(|((given, checked), _)| given != checked);
    if let Some(((given, checked), number)) = line {
        panic!("line {number} is {checked:?} and should be {given:?}: {HOW}");
    }
    assert_eq!(given.lines().count(), CHECKED_IN.lines().count(), "{HOW}");
}

const HOW: &str = "cargo run -p freshen-api --example openapi > docs/reference/openapi.json";
