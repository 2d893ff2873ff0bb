//! Accounts and their access keys.

use super::{from_json, now_ms, to_json};
use crate::{AccessKey, Account, Error, Refusal};
use freshen_model::quota::Limits;
use rusqlite::{Connection, OptionalExtension, Row, params};

const ACCOUNT: &str = "SELECT name, admin, limits, created_ms FROM accounts";
const KEY: &str = "SELECT keys.id, secret, account, admin, disabled FROM keys JOIN accounts ON accounts.name = keys.account";

pub(super) fn add(connection: &Connection, name: &str, admin: bool) -> Result<Account, Error> {
    if one(connection, name)?.is_some() {
        return Err(Refusal::Exists { what: "account", name: name.to_owned() }.into());
    }
    let account = Account { name: name.to_owned(), admin, limits: Limits::default(), created_ms: now_ms() };
    let limits = to_json(&account.limits)?;
    connection.prepare_cached("INSERT INTO accounts VALUES (?, ?, ?, ?)")?.execute(params![
        name,
        admin,
        limits,
        account.created_ms
    ])?;
    Ok(account)
}

pub(super) fn set_limits(connection: &Connection, name: &str, limits: Limits) -> Result<(), Error> {
    let changed = connection
        .prepare_cached("UPDATE accounts SET limits = ?2 WHERE name = ?1")?
        .execute(params![name, to_json(&limits)?])?;
    if changed == 0 { Err(unknown(name)) } else { Ok(()) }
}

pub(super) fn all(connection: &Connection) -> Result<Vec<Account>, Error> {
    let mut statement = connection.prepare_cached(&format!("{ACCOUNT} ORDER BY name"))?;
    statement.query_and_then([], account)?.collect()
}

pub(super) fn one(connection: &Connection, name: &str) -> Result<Option<Account>, Error> {
    let mut statement = connection.prepare_cached(&format!("{ACCOUNT} WHERE name = ?"))?;
    statement.query_and_then([name], account)?.next().transpose()
}

/// The account, or the refusal that there is none.
pub(super) fn existing(connection: &Connection, name: &str) -> Result<Account, Error> {
    one(connection, name)?.ok_or_else(|| unknown(name))
}

pub(super) fn add_key(connection: &Connection, account: &str, id: &str, secret: &str) -> Result<(), Error> {
    existing(connection, account)?;
    if key(connection, id)?.is_some() {
        return Err(Refusal::Exists { what: "access key", name: id.to_owned() }.into());
    }
    connection
        .prepare_cached("INSERT INTO keys (id, secret, account) VALUES (?, ?, ?)")?
        .execute([id, secret, account])?;
    Ok(())
}

pub(super) fn disable_key(connection: &Connection, id: &str) -> Result<(), Error> {
    let changed = connection.prepare_cached("UPDATE keys SET disabled = 1 WHERE id = ?")?.execute([id])?;
    if changed == 0 {
        return Err(Refusal::NotFound { what: "access key", name: id.to_owned() }.into());
    }
    Ok(())
}

pub(super) fn key(connection: &Connection, id: &str) -> Result<Option<AccessKey>, Error> {
    let mut statement = connection.prepare_cached(&format!("{KEY} WHERE keys.id = ?"))?;
    Ok(statement.query_row([id], access_key).optional()?)
}

pub(super) fn keys(connection: &Connection, account: &str) -> Result<Vec<AccessKey>, Error> {
    let mut statement = connection.prepare_cached(&format!("{KEY} WHERE account = ? ORDER BY keys.id"))?;
    Ok(statement.query_map([account], access_key)?.collect::<Result<_, _>>()?)
}

fn unknown(name: &str) -> Error {
    Refusal::NotFound { what: "account", name: name.to_owned() }.into()
}

fn account(row: &Row<'_>) -> Result<Account, Error> {
    let limits: String = row.get(2)?;
    Ok(Account {
        name: row.get(0)?,
        admin: row.get(1)?,
        limits: from_json(&limits)?,
        created_ms: row.get(3)?,
    })
}

fn access_key(row: &Row<'_>) -> Result<AccessKey, rusqlite::Error> {
    Ok(AccessKey {
        id: row.get(0)?,
        secret: row.get(1)?,
        account: row.get(2)?,
        admin: row.get(3)?,
        disabled: row.get(4)?,
    })
}
