//! The fleet log: orders under dense numbers, pruned from the front.

use super::{random, sql, unsql};
use crate::{Error, OrdersRead};
use freshen_model::ids::{OrderId, Seq};
use freshen_model::order::{Body, End, Order};
use freshen_model::protocol::roster::Place;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// What an order's JSON has around its body: names, seq, id.
const ENVELOPE_BYTES_MAX: usize = 96;

/// The log's end.
pub(super) fn end(connection: &Connection) -> Result<End, rusqlite::Error> {
    let newest = connection
        .prepare_cached("SELECT seq, id FROM orders ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok(End { seq: Seq(unsql(row.get(0)?)), id: order_id(row, 1)? }))
        .optional()?;
    Ok(newest.unwrap_or_default())
}

/// Appends an order behind the log's end.
pub(super) fn append(connection: &Connection, body: &Body) -> Result<Seq, Error> {
    Ok(append_named(connection, body)?.0)
}

/// The same, with the random name that the order got.
pub(super) fn append_named(connection: &Connection, body: &Body) -> Result<(Seq, OrderId), Error> {
    let seq = end(connection)?.seq.next();
    let id: [u8; 16] = random()?;
    connection.prepare_cached("INSERT INTO orders (seq, id, body) VALUES (?, ?, ?)")?.execute(params![
        sql(seq.0),
        id,
        super::to_json(body)?
    ])?;
    Ok((seq, OrderId(id)))
}

/// Orders behind `after`: at least one, then as many as fit.
pub(super) fn after(connection: &Connection, after: Seq, bytes_max: usize) -> Result<OrdersRead, Error> {
    let mut statement =
        connection.prepare_cached("SELECT seq, id, body FROM orders WHERE seq > ? ORDER BY seq")?;
    let mut rows = statement.query([sql(after.0)])?;
    let (mut orders, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let body: &str = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        bytes += body.len() + ENVELOPE_BYTES_MAX;
        if bytes > bytes_max && !orders.is_empty() {
            break;
        }
        orders.push(Order {
            seq: Seq(unsql(row.get(0)?)),
            id: order_id(row, 1)?,
            body: super::from_json(body)?,
        });
    }
    let contiguous = orders.first().is_none_or(|first| first.seq == after.next());
    Ok(OrdersRead { orders, contiguous })
}

/// What the log has at `seq`.
pub(super) fn place(connection: &Connection, seq: Seq) -> Result<Place, Error> {
    if seq == Seq::ZERO {
        let first: Option<i64> =
            connection.prepare_cached("SELECT min(seq) FROM orders")?.query_row([], |row| row.get(0))?;
        let whole = first.is_none_or(|first| first == 1);
        return Ok(if whole { Place::Order(OrderId::default()) } else { Place::Pruned });
    }
    match id_at(connection, seq)? {
        Some(id) => Ok(Place::Order(id)),
        None if seq > end(connection)?.seq => Ok(Place::Beyond),
        None => Ok(Place::Pruned),
    }
}

/// Forgets orders up to `seq`, but never the newest: the numbers behind it follow from it.
pub(super) fn prune(connection: &Connection, seq: Seq) -> Result<(), Error> {
    let last = seq.min(end(connection)?.seq.previous());
    connection.prepare_cached("DELETE FROM orders WHERE seq <= ?")?.execute([sql(last.0)])?;
    Ok(())
}

/// The id of the order at a place, where it is kept.
pub(super) fn id_at(connection: &Connection, seq: Seq) -> Result<Option<OrderId>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT id FROM orders WHERE seq = ?")?
        .query_row([sql(seq.0)], |row| order_id(row, 0))
        .optional()
}

fn order_id(row: &Row<'_>, column: usize) -> Result<OrderId, rusqlite::Error> {
    Ok(OrderId(row.get(column)?))
}
