//! Pages of lists: how many rows, and a cursor that says behind which to go on.
//!
//! A cursor is what `next` of the page before said. It names a place in the list's order, not a count: what is added or
//! removed meanwhile shifts nothing. Clients are to make nothing of it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::wire::ErrorCode;

/// Rows of a page, if not said, and at most.
const ROWS_DEFAULT: u64 = 20;
const ROWS_MAX: u64 = 100;
/// A cursor is this long at most, in bytes.
const CURSOR_BYTES_MAX: usize = 1_000;

/// The query of a list that takes nothing else.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// Rows of a page, 1 to 100; 20 if not said.
    pub(super) limit: Option<u64>,
    /// `next` of the page before.
    pub(super) cursor: Option<String>,
}

/// The page that is wanted of the list `of`, whose places are `P`.
pub(super) struct Page<P> {
    of: &'static str,
    pub(super) limit: u64,
    pub(super) place: Option<P>,
}

impl<P: Serialize + DeserializeOwned> Page<P> {
    /// Reads the query's `limit` and `cursor`.
    pub(super) fn of(
        of: &'static str,
        limit: Option<u64>,
        cursor: Option<&str>,
    ) -> Result<Page<P>, ApiError> {
        let limit = limit.unwrap_or(ROWS_DEFAULT);
        if !(1..=ROWS_MAX).contains(&limit) {
            let why = format!("query: limit is 1 to {ROWS_MAX}; `next` of a page leads to the next one");
            return Err(ApiError::new(ErrorCode::Malformed, why).of_field("limit"));
        }
        let place = cursor.map(|cursor| {
            read(of, cursor).ok_or_else(|| {
                let why = "query: the cursor is none of this list, send `next` of its page before";
                ApiError::new(ErrorCode::Malformed, why).of_field("cursor")
            })
        });
        Ok(Page { of, limit, place: place.transpose()? })
    }

    /// The cursor of the next page.
    pub(super) fn next(&self, place: Option<P>) -> Result<Option<String>, ApiError> {
        let written = place.map(|place| serde_json::to_vec(&(self.of, place))).transpose();
        let written = written.map_err(|error| ApiError::internal(&error))?;
        Ok(written.map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }
}

fn read<P: DeserializeOwned>(of: &str, cursor: &str) -> Option<P> {
    if cursor.len() > CURSOR_BYTES_MAX {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (list, place): (String, P) = serde_json::from_slice(&bytes).ok()?;
    (list == of).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_its_list_and_unspoilt() {
        let page = Page::<(i64, u64)>::of("tasks", None, None).unwrap();
        assert_eq!((page.limit, page.place), (20, None));
        let cursor = page.next(Some((-5, 7))).unwrap().unwrap();
        let read =
            |of, cursor: &str| Page::<(i64, u64)>::of(of, Some(1), Some(cursor)).map(|page| page.place);
        assert_eq!(read("tasks", &cursor).unwrap(), Some((-5, 7)));
        let long = "A".repeat(CURSOR_BYTES_MAX + 1);
        for (of, cursor) in
            [("domains", cursor.as_str()), ("tasks", &cursor[1..]), ("tasks", "é"), ("tasks", &long)]
        {
            let refused = read(of, cursor).unwrap_err();
            assert_eq!(refused.0.field.as_deref(), Some("cursor"), "{cursor}");
        }
        for limit in [0, 101] {
            assert!(Page::<u64>::of("tasks", Some(limit), None).is_err(), "{limit}");
        }
    }
}
