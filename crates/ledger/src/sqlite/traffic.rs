//! The books of traffic: what POPs counted, by domain, span and area.

use super::{from_json, parsed, sql, to_json, unsql};
use crate::{Error, TrafficEntry};
use freshen_model::ids::BootId;
use freshen_model::traffic::{Booked, Span, Traffic};
use rusqlite::{Connection, params};

/// Spans that are forgotten in one go.
const FORGOTTEN_MAX: usize = 10_000;

/// Adds entries, and notes how far POPs' counts are booked. What is of no domain is passed over.
pub(super) fn add(connection: &Connection, entries: &[TrafficEntry], booked: &[Booked]) -> Result<(), Error> {
    let mut add = connection.prepare_cached(
        "INSERT INTO traffic
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
         WHERE EXISTS (SELECT 1 FROM domains WHERE name = ?1)
         ON CONFLICT DO UPDATE SET
             requests = requests + excluded.requests,
             bytes = bytes + excluded.bytes,
             tls_bytes = tls_bytes + excluded.tls_bytes,
             hits = hits + excluded.hits,
             hit_bytes = hit_bytes + excluded.hit_bytes,
             tls_hit_bytes = tls_hit_bytes + excluded.tls_hit_bytes,
             origin_requests = origin_requests + excluded.origin_requests,
             origin_bytes = origin_bytes + excluded.origin_bytes,
             origin_tls_bytes = origin_tls_bytes + excluded.origin_tls_bytes",
    )?;
    for TrafficEntry { domain, span: Span { at_s, area, traffic } } in entries {
        let [a, b, c, d, e, f, g, h, i] = traffic.counts().map(sql);
        add.execute(params![domain, at_s, area.as_str(), a, b, c, d, e, f, g, h, i])?;
    }
    let mut note = connection.prepare_cached("INSERT OR REPLACE INTO traffic_booked VALUES (?, ?, ?, ?)")?;
    for Booked { pop, domain, boot, total } in booked {
        note.execute(params![pop.as_str(), domain, boot.0, to_json(total)?])?;
    }
    Ok(())
}

/// How far POPs' counts are booked.
pub(super) fn booked(connection: &Connection) -> Result<Vec<Booked>, Error> {
    let mut read = connection.prepare_cached("SELECT pop, domain, boot, total FROM traffic_booked")?;
    let rows = read.query_and_then([], |row| {
        Ok(Booked {
            pop: parsed(row.get_ref(0)?)?,
            domain: row.get(1)?,
            boot: BootId(row.get(2)?),
            total: from_json(&row.get::<_, String>(3)?)?,
        })
    })?;
    rows.collect()
}

/// The traffic of these domains together, from the first to before the second of these unix seconds, in spans of `span_s`.
pub(super) fn spans(
    connection: &Connection,
    domains: &[String],
    (from_s, until_s): (i64, i64),
    span_s: i64,
) -> Result<Vec<Span>, Error> {
    let mut read = connection.prepare_cached(
        "SELECT at_s - at_s % ?4 AS span, area, sum(requests), sum(bytes), sum(tls_bytes), sum(hits), sum(hit_bytes),
             sum(tls_hit_bytes), sum(origin_requests), sum(origin_bytes), sum(origin_tls_bytes)
         FROM traffic
         WHERE domain IN (SELECT value FROM json_each(?1)) AND at_s >= ?2 AND at_s < ?3
         GROUP BY span, area ORDER BY span, area",
    )?;
    let rows = read.query_and_then(params![to_json(&domains)?, from_s, until_s, span_s], |row| {
        let mut counts = [0; 9];
        for (place, count) in counts.iter_mut().enumerate() {
            *count = unsql(row.get(place + 2)?);
        }
        Ok(Span { at_s: row.get(0)?, area: parsed(row.get_ref(1)?)?, traffic: Traffic::of_counts(counts) })
    })?;
    rows.collect()
}

/// Forgets spans that began before; says whether more are left.
pub(super) fn forget(connection: &Connection, before_s: i64) -> Result<bool, Error> {
    let mut forget = connection.prepare_cached(
        "DELETE FROM traffic WHERE (domain, at_s, area) IN
             (SELECT domain, at_s, area FROM traffic WHERE at_s < ? LIMIT ?)",
    )?;
    Ok(forget.execute(params![before_s, sql(FORGOTTEN_MAX as u64)])? == FORGOTTEN_MAX)
}

/// Forgets the traffic of a domain that is removed: whoever has the name next is not to see it.
pub(super) fn forget_domain(connection: &Connection, domain: &str) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM traffic WHERE domain = ?")?.execute([domain])?;
    Ok(())
}
