//! The media library.

use super::{accounts, from_json, sql, to_json, unsql};
use crate::{Error, Refusal, TaskPage};
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

/// An account's streams by medium, those of one the newest first; of one medium where that is given.
pub(super) fn page(
    connection: &Connection,
    account: &str,
    media: Option<&str>,
    offset: u64,
    limit: u64,
) -> Result<TaskPage<Stream>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT stream FROM streams WHERE account = ?1 AND (?2 IS NULL OR media = ?2)
         ORDER BY media, number DESC LIMIT ?3 OFFSET ?4",
    )?;
    let rows = statement
        .query_map(params![account, media, sql(limit), sql(offset)], |row| row.get::<_, String>(0))?
        .map(|text| from_json(&text?));
    Ok(TaskPage { rows: rows.collect::<Result<_, Error>>()?, total: count(connection, account, media)? })
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
