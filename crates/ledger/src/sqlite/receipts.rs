//! What POPs have signed, and the keys they and control sign with.

use super::{from_json, random, sql, to_json};
use crate::{Error, PopReceipt, ReceiptsKept, TaskReceipts};
use freshen_model::certificate::PopKey;
use freshen_model::ids::{LogId, OrderId, PopId, Seq, TaskId};
use freshen_model::receipt::{OrderName, PublicKey, Signed, Statement, text_of};
use freshen_model::rule::Rule;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The seed of control's key; a new ledger gets one.
pub(super) fn seed(connection: &Connection) -> Result<[u8; 32], Error> {
    let fresh: [u8; 32] = random()?;
    connection.execute("UPDATE control SET receipt_seed = ? WHERE receipt_seed IS NULL", [fresh])?;
    Ok(connection.query_row("SELECT receipt_seed FROM control", [], |row| row.get(0))?)
}

/// Keeps what the order of a purge says.
pub(super) fn keep_order(
    connection: &Connection,
    task: TaskId,
    order: OrderId,
    rules: &[Rule],
) -> Result<(), Error> {
    let texts: Vec<String> = rules.iter().map(text_of).collect();
    connection
        .prepare_cached("INSERT INTO task_orders (task, id, rules) VALUES (?, ?, ?)")?
        .execute(params![sql(task.0), order.0, to_json(&texts)?])?;
    Ok(())
}

/// Keeps a key and what was signed with it; what speaks of another log or of no task is passed over. Gives the tasks
/// that it speaks of, and whether the key is a new one of a POP that had another.
pub(super) fn keep(
    connection: &Connection,
    log: LogId,
    receipts: &ReceiptsKept,
) -> Result<(Vec<TaskId>, bool), Error> {
    let changed = introduce(connection, receipts)?;
    let mut tasks = Vec::new();
    for (statement, signed) in &receipts.statements {
        match statement {
            Statement::Confirmed(confirmed) if confirmed.order.log == log => {
                let kept = keep_part(connection, receipts, &confirmed.order, "confirmed", signed)?;
                tasks.extend(kept.then_some(confirmed.order.task));
            }
            Statement::Accounted(accounted) if accounted.order.log == log => {
                let kept = keep_part(connection, receipts, &accounted.order, "accounted", signed)?;
                tasks.extend(kept.then_some(accounted.order.task));
            }
            Statement::StartedOver(over) if over.log == log => {
                connection
                    .prepare_cached(
                        "INSERT INTO starts_over (pop, seq, key, statement, signature) VALUES (?, ?, ?, ?, ?)
                         ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![
                        receipts.pop.as_str(),
                        sql(over.seq.0),
                        receipts.key.0,
                        signed.statement,
                        signed.signature
                    ])?;
            }
            _ => {}
        }
    }
    Ok((tasks, changed))
}

fn introduce(connection: &Connection, receipts: &ReceiptsKept) -> Result<bool, Error> {
    let others: i64 = connection
        .prepare_cached("SELECT count(*) FROM pop_keys WHERE pop = ? AND key <> ?")?
        .query_row(params![receipts.pop.as_str(), receipts.key.0], |row| row.get(0))?;
    let new = connection
        .prepare_cached(
            "INSERT INTO pop_keys (pop, key, data, first_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )?
        .execute(params![receipts.pop.as_str(), receipts.key.0, receipts.data.0, receipts.at_ms])?;
    Ok(new > 0 && others > 0)
}

/// A part that was signed with another key than the other part is kept alone: one row speaks by one key.
fn keep_part(
    connection: &Connection,
    receipts: &ReceiptsKept,
    order: &OrderName,
    part: &str,
    signed: &Signed,
) -> Result<bool, Error> {
    // By name: in a ledger that went back, the task's number may be another task's by now.
    let known = connection
        .prepare_cached("SELECT 1 FROM task_orders WHERE task = ? AND id = ?")?
        .exists(params![sql(order.task.0), order.order.0])?;
    if !known {
        return Ok(false);
    }
    let other = if part == "confirmed" { "accounted" } else { "confirmed" };
    let changed = connection
        .prepare_cached(&format!(
            "INSERT INTO receipts (task, pop, key, {part}, {part}_signature) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET
                 {other} = CASE key WHEN ?3 THEN {other} END,
                 {other}_signature = CASE key WHEN ?3 THEN {other}_signature END,
                 key = ?3, {part} = ?4, {part}_signature = ?5"
        ))?
        .execute(params![
            sql(order.task.0),
            receipts.pop.as_str(),
            receipts.key.0,
            signed.statement,
            signed.signature
        ])?;
    Ok(changed > 0)
}

/// Everything there is of a task.
pub(super) fn of_task(connection: &Connection, task: TaskId, seq: Seq) -> Result<TaskReceipts, Error> {
    let order = connection
        .prepare_cached("SELECT id, rules FROM task_orders WHERE task = ?")?
        .query_row([sql(task.0)], |row| Ok((OrderId(row.get(0)?), row.get::<_, String>(1)?)))
        .optional()?;
    let order = match order {
        Some((id, rules)) => Some((id, from_json(&rules)?)),
        None => None,
    };
    let mut statement = connection.prepare_cached(
        "SELECT pop, key, confirmed, confirmed_signature, accounted, accounted_signature
         FROM receipts WHERE task = ? ORDER BY pop",
    )?;
    let rows = statement.query_map([sql(task.0)], |row| {
        Ok(PopReceipt {
            pop: pop(row, 0)?,
            key: PublicKey(row.get(1)?),
            confirmed: signed(row, 2)?,
            accounted: signed(row, 4)?,
        })
    })?;
    let pops = rows.collect::<Result<_, _>>()?;
    // The first one behind the order says most closely when it was done.
    let mut statement = connection.prepare_cached(
        "SELECT pop, key, statement, signature, min(seq) FROM starts_over WHERE seq >= ? GROUP BY pop ORDER BY pop",
    )?;
    let rows = statement.query_map([sql(seq.0)], |row| {
        let signed = Signed { statement: row.get(2)?, signature: row.get(3)? };
        Ok((pop(row, 0)?, PublicKey(row.get(1)?), signed))
    })?;
    Ok(TaskReceipts { order, pops, starts_over: rows.collect::<Result<_, _>>()? })
}

/// Every key there was, the oldest first.
pub(super) fn keys(connection: &Connection) -> Result<Vec<PopKey>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT pop, key, first_ms FROM pop_keys ORDER BY first_ms, pop")?;
    let rows = statement.query_map([], |row| {
        Ok(PopKey { pop: pop(row, 0)?, key: PublicKey(row.get(1)?), first_ms: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn pop(row: &Row<'_>, column: usize) -> Result<PopId, rusqlite::Error> {
    let unfit = |error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error));
    row.get::<_, String>(column)?.parse().map_err(unfit)
}

fn signed(row: &Row<'_>, column: usize) -> Result<Option<Signed>, rusqlite::Error> {
    let (statement, signature): (Option<String>, Option<String>) = (row.get(column)?, row.get(column + 1)?);
    Ok(statement.zip(signature).map(|(statement, signature)| Signed { statement, signature }))
}
