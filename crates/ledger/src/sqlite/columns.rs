//! What stands in a column, and how it gets there and back.

use crate::{Error, Found};
use rusqlite::types::{FromSqlError, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        Error::Engine(error.to_string())
    }
}

/// A count as SQLite keeps it: its integers end at 2⁶³ - 1, which is taken for everything above.
pub(super) fn sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What [`sql`] made; there are no negative counts.
pub(super) fn unsql(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Rows that were read with one more than the limit, without that one; its being there says that there are more.
pub(super) fn cut_to<T, P>(limit: u64, mut rows: Vec<T>, place: impl Fn(&T) -> P) -> Found<T, P> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(place);
    Found { rows, next }
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Engine(format!("cannot be written as JSON: {error}")))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Engine(format!("unreadable JSON in the file: {error}")))
}

/// Reads a column whose type has a text form.
pub(super) fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    value: ValueRef<'_>,
) -> Result<T, Error> {
    let parsed = value.as_str().and_then(|text| text.parse().map_err(FromSqlError::other));
    Ok(parsed.map_err(rusqlite::Error::from)?)
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Engine(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
