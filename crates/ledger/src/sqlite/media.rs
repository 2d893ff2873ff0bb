//! The media library.

use super::{accounts, cut_to, from_json, sql, to_json, unsql};
use crate::{Error, Found, Refusal, StreamPlace};
use freshen_model::media::{STREAMS_OF_ACCOUNT_MAX, STREAMS_OF_MEDIA_MAX, Stream};
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// Adds streams, all or none; one whose address the medium has already takes the place of that.
pub(super) fn add(connection: &Connection, account: &str, streams: &[Stream]) -> Result<(), Error> {
    accounts::existing(connection, account)?;
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO streams (account, media, url, stream) VALUES (?, ?, ?, ?)")?;
    for stream in streams {
        insert.execute(params![account, stream.media, stream.url, to_json(stream)?])?;
    }
    let media: BTreeSet<&str> = streams.iter().map(|stream| stream.media.as_str()).collect();
    for id in media {
        let count = count(connection, account, Some(id))?;
        if count > STREAMS_OF_MEDIA_MAX {
            let why = format!("media {id} would have {count} streams, at most {STREAMS_OF_MEDIA_MAX} fit");
            return Err(Refusal::Unfit(why).into());
        }
    }
    let count = count(connection, account, None)?;
    if count > STREAMS_OF_ACCOUNT_MAX {
        let why = format!("the library would have {count} streams, at most {STREAMS_OF_ACCOUNT_MAX} fit");
        return Err(Refusal::Unfit(why).into());
    }
    Ok(())
}

/// Some of an account's streams by medium, those of one the newest first.
pub(super) fn behind(
    connection: &Connection,
    account: &str,
    media: Option<&str>,
    place: Option<StreamPlace>,
    limit: u64,
) -> Result<Found<Stream, StreamPlace>, Error> {
    let of_medium = if media.is_some() { "media = ?2" } else { "?2 IS NULL" };
    let place = place.unwrap_or(StreamPlace { media: String::new(), number: u64::MAX });
    let mut statement = connection.prepare_cached(&format!(
        "SELECT stream, media, number FROM streams
         WHERE account = ?1 AND {of_medium} AND media >= ?3 AND (media > ?3 OR number < ?4)
         ORDER BY media, number DESC LIMIT ?5"
    ))?;
    let values = params![account, media, place.media, sql(place.number), sql(limit.saturating_add(1))];
    let rows = statement.query_and_then(values, |row| {
        let place = StreamPlace { media: row.get(1)?, number: unsql(row.get(2)?) };
        Ok::<_, Error>((from_json(&row.get::<_, String>(0)?)?, place))
    })?;
    let found = cut_to(limit, rows.collect::<Result<Vec<_>, _>>()?, |(_, place)| place.clone());
    Ok(Found { rows: found.rows.into_iter().map(|(stream, _)| stream).collect(), next: found.next })
}

/// The streams of these media, those of each the newest first.
pub(super) fn of(
    connection: &Connection,
    account: &str,
    media: Vec<String>,
) -> Result<Vec<(String, Vec<Stream>)>, Error> {
    let mut known = Vec::new();
    for id in media {
        let streams = behind(connection, account, Some(&id), None, STREAMS_OF_MEDIA_MAX)?.rows;
        if !streams.is_empty() {
            known.push((id, streams));
        }
    }
    Ok(known)
}

/// Removes a medium with all its streams.
pub(super) fn remove(connection: &Connection, account: &str, media: &str) -> Result<(), Error> {
    let removed = connection
        .prepare_cached("DELETE FROM streams WHERE account = ? AND media = ?")?
        .execute([account, media])?;
    match removed {
        0 => Err(Refusal::NotFound { what: "media", name: media.to_owned() }.into()),
        _ => Ok(()),
    }
}

fn count(connection: &Connection, account: &str, media: Option<&str>) -> Result<u64, Error> {
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM streams WHERE account = ?1 AND (?2 IS NULL OR media = ?2)")?;
    Ok(unsql(statement.query_row(params![account, media], |row| row.get(0))?))
}
