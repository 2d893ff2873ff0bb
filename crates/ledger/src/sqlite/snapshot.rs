//! What a POP takes up instead of orders it cannot have.

use super::{domains, orders, pops, tasks};
use crate::Error;
use freshen_model::ids::{LogId, PopId};
use freshen_model::order::{End, Snapshot};
use rusqlite::Connection;

/// The state that all orders led to.
pub(super) fn of(connection: &Connection, log: LogId, pop: &PopId) -> Result<Snapshot, Error> {
    let End { seq, id } = orders::end(connection)?;
    let domains = domains::all(connection, None)?;
    Ok(Snapshot {
        log,
        seq,
        id,
        domains: domains.into_iter().map(|domain| (domain.name, domain.settings)).collect(),
        member: pops::area_of_member(connection, pop)?,
        prefetches: tasks::prefetches_open(connection, pop)?,
    })
}
