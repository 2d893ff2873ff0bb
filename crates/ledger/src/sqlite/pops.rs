//! POPs: member → removed → gone, and back again under a new token.

use super::{orders, parsed, sql, unsql};
use crate::{Error, PopRecord, Refusal, Remembered, Submission};
use freshen_model::area::Area;
use freshen_model::ids::{DataId, PopId, Seq};
use freshen_model::order::Body;
use freshen_model::protocol::roster;
use rusqlite::{Connection, OptionalExtension, Row, params};

const POP: &str = "SELECT id, area, region, token_digest, joined_seq, left_seq, data, boot_number, watermark,
         heard_ms, usable_from
     FROM pops WHERE gone = 0";

pub(super) fn add(
    connection: &Connection,
    id: &PopId,
    area: Area,
    region: &str,
    token_digest: [u8; 32],
) -> Result<PopRecord, Error> {
    if is_member(connection, id)? {
        return Err(Refusal::Exists { what: "POP", name: id.to_string() }.into());
    }
    let body = Body::Join { pop: id.clone(), area, region: region.to_owned() };
    let joined = orders::append(connection, &body)?;
    connection
        .prepare_cached(
            "INSERT INTO pops (id, area, region, token_digest, joined_seq, usable_from)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (id) DO UPDATE SET
                 usable_from = CASE gone WHEN 1 THEN ?5 ELSE usable_from END,
                 area = ?2, region = ?3, token_digest = ?4, joined_seq = ?5, left_seq = NULL, gone = 0",
        )?
        .execute(params![id.as_str(), area.as_str(), region, token_digest, sql(joined.0)])?;
    existing(connection, id)
}

pub(super) fn remove(connection: &Connection, id: &PopId) -> Result<PopRecord, Error> {
    if existing(connection, id)?.left.is_some() {
        return Err(Refusal::Unfit(format!("POP {id} is removed already")).into());
    }
    let left = orders::append(connection, &Body::Leave { pop: id.clone() })?;
    connection
        .prepare_cached("UPDATE pops SET left_seq = ?2 WHERE id = ?1")?
        .execute(params![id.as_str(), sql(left.0)])?;
    existing(connection, id)
}

/// Notes that a removed POP is gone; one that came back meanwhile is not.
pub(super) fn set_gone(connection: &Connection, id: &PopId) -> Result<(), Error> {
    if is_member(connection, id)? {
        return Err(Refusal::Unfit(format!("POP {id} is a member, remove it first")).into());
    }
    let changed =
        connection.prepare_cached("UPDATE pops SET gone = 1 WHERE id = ?")?.execute([id.as_str()])?;
    if changed == 0 { Err(unknown(id)) } else { Ok(()) }
}

/// All POPs that are not gone.
pub(super) fn all(connection: &Connection) -> Result<Vec<PopRecord>, Error> {
    connection.prepare_cached(&format!("{POP} ORDER BY id"))?.query_and_then([], pop)?.collect()
}

fn is_member(connection: &Connection, id: &PopId) -> Result<bool, Error> {
    Ok(area_of_member(connection, id)?.is_some())
}

/// The area of a member; `None` where it is none.
pub(super) fn area_of_member(connection: &Connection, id: &PopId) -> Result<Option<Area>, Error> {
    Ok(all(connection)?.into_iter().find(|pop| pop.id == *id && pop.left.is_none()).map(|pop| pop.area))
}

/// The POPs that a task waits for: the members in its area and regions, and for purges the removed ones not gone, which
/// may still be using their caches.
pub(super) fn scope(connection: &Connection, submission: &Submission) -> Result<Vec<PopId>, Error> {
    let Submission { kind, area, terms, .. } = submission;
    let (area, regions) = (*area, &terms.regions);
    let scope: Vec<PopId> = all(connection)?
        .into_iter()
        .filter(|pop| roster::in_scope(pop.area, pop.left.is_some(), area, kind.is_purge()))
        .filter(|pop| regions.is_empty() || regions.contains(&pop.region))
        .map(|pop| pop.id)
        .collect();
    match area {
        _ if !scope.is_empty() => Ok(scope),
        _ if !regions.is_empty() => {
            Err(Refusal::Unfit("no POP is registered in these regions and this area".into()).into())
        }
        Some(area) => Err(Refusal::Unfit(format!("no POP is registered in area {}", area.as_str())).into()),
        None => Err(Refusal::Unfit("no POP is registered in this installation".into()).into()),
    }
}

/// Keeps what must be remembered of POPs' data folders; POPs that are not known have nothing to remember.
pub(super) fn remember(connection: &Connection, seats: &[Remembered]) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "UPDATE pops SET
             data = ?2, boot_number = ?3, watermark = ?4, heard_ms = ?5, usable_from = min(usable_from, ?4)
         WHERE id = ?1",
    )?;
    for seat in seats {
        let (boot_number, watermark) = (sql(seat.boot_number), sql(seat.watermark.0));
        statement.execute(params![seat.pop.as_str(), seat.data.0, boot_number, watermark, seat.heard_ms])?;
    }
    Ok(())
}

fn existing(connection: &Connection, id: &PopId) -> Result<PopRecord, Error> {
    let mut statement = connection.prepare_cached(&format!("{POP} AND id = ?"))?;
    let found = statement.query_row([id.as_str()], |row| Ok(pop(row))).optional()?;
    found.unwrap_or_else(|| Err(unknown(id)))
}

fn unknown(id: &PopId) -> Error {
    Refusal::NotFound { what: "POP", name: id.to_string() }.into()
}

fn pop(row: &Row<'_>) -> Result<PopRecord, Error> {
    let id: PopId = parsed(row.get_ref(0)?)?;
    let remembered = match row.get(6)? {
        None => None,
        Some(data) => Some(Remembered {
            pop: id.clone(),
            data: DataId(data),
            boot_number: unsql(row.get(7)?),
            watermark: Seq(unsql(row.get(8)?)),
            heard_ms: row.get(9)?,
        }),
    };
    Ok(PopRecord {
        id,
        area: parsed(row.get_ref(1)?)?,
        region: row.get(2)?,
        token_digest: row.get(3)?,
        joined: Seq(unsql(row.get(4)?)),
        left: row.get::<_, Option<i64>>(5)?.map(|left| Seq(unsql(left))),
        usable_from: Seq(unsql(row.get(10)?)),
        remembered,
    })
}
