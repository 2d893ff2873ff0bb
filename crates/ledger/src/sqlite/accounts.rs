//! Accounts and their access keys.

use super::{cut_to, from_json, now_ms, sql, to_json, unsql};
use crate::{AccessKey, Account, Error, Found, NewAccessKey, Refusal, TEMPORARY_KEYS_MAX, Temporary};
use freshen_model::quota::Limits;
use rusqlite::{Connection, Row, params};

const ACCOUNT: &str = "SELECT name, admin, limits, created_ms FROM accounts";
const KEY: &str = "SELECT keys.id, secret, account, admin, limits, rights, disabled, token_digest, expires_ms, bearer FROM keys JOIN accounts ON accounts.name = keys.account";

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

/// Some of them, behind a name.
pub(super) fn behind(
    connection: &Connection,
    name: Option<&str>,
    limit: u64,
) -> Result<Found<Account, String>, Error> {
    let query = format!("{ACCOUNT} WHERE name > ? ORDER BY name LIMIT ?");
    let mut statement = connection.prepare_cached(&query)?;
    let values = params![name.unwrap_or_default(), sql(limit.saturating_add(1))];
    let rows = statement.query_and_then(values, account)?.collect::<Result<_, _>>()?;
    Ok(cut_to(limit, rows, |account: &Account| account.name.clone()))
}

pub(super) fn one(connection: &Connection, name: &str) -> Result<Option<Account>, Error> {
    let mut statement = connection.prepare_cached(&format!("{ACCOUNT} WHERE name = ?"))?;
    statement.query_and_then([name], account)?.next().transpose()
}

/// The account, or the refusal that there is none.
pub(super) fn existing(connection: &Connection, name: &str) -> Result<Account, Error> {
    one(connection, name)?.ok_or_else(|| unknown(name))
}

/// How long expired credentials are remembered, so that their holder is told so.
const EXPIRED_KEPT_MS: i64 = 3_600_000;

/// Adds a key; `secret` is already sealed.
pub(super) fn put_key(connection: &Connection, new: &NewAccessKey, secret: &str) -> Result<(), Error> {
    existing(connection, &new.account)?;
    if key(connection, &new.id)?.is_some() {
        return Err(Refusal::Exists { what: "access key", name: new.id.clone() }.into());
    }
    if new.temporary.is_some() {
        make_room(connection, &new.account)?;
    }
    let temporary = new.temporary.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO keys (id, secret, account, rights, token_digest, expires_ms, bearer)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            new.id,
            secret,
            new.account,
            to_json(&new.rights)?,
            temporary.map(|temporary| temporary.token_digest),
            temporary.map(|temporary| temporary.expires_ms),
            new.bearer
        ])?;
    Ok(())
}

fn make_room(connection: &Connection, account: &str) -> Result<(), Error> {
    connection
        .prepare_cached("DELETE FROM keys WHERE expires_ms < ?")?
        .execute([now_ms() - EXPIRED_KEPT_MS])?;
    let count = connection
        .prepare_cached("SELECT count(*) FROM keys WHERE account = ? AND expires_ms IS NOT NULL")?
        .query_row([account], |row| Ok(unsql(row.get(0)?)))?;
    if count >= TEMPORARY_KEYS_MAX {
        let why = format!(
            "{account} has {count} temporary credentials and bearer tokens, wait until some have expired"
        );
        return Err(Refusal::Unfit(why).into());
    }
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
    statement.query_and_then([id], access_key)?.next().transpose()
}

pub(super) fn keys(connection: &Connection, account: &str) -> Result<Vec<AccessKey>, Error> {
    let mut statement = connection.prepare_cached(&format!("{KEY} WHERE account = ? ORDER BY keys.id"))?;
    statement.query_and_then([account], access_key)?.collect()
}

/// Some of an account's keys, or of all, behind an id.
pub(super) fn keys_behind(
    connection: &Connection,
    account: Option<&str>,
    id: Option<&str>,
    limit: u64,
) -> Result<Found<AccessKey, String>, Error> {
    let of_account = if account.is_some() { "account = ?1" } else { "?1 IS NULL" };
    let query = format!("{KEY} WHERE {of_account} AND keys.id > ?2 ORDER BY keys.id LIMIT ?3");
    let mut statement = connection.prepare_cached(&query)?;
    let values = params![account, id.unwrap_or_default(), sql(limit.saturating_add(1))];
    let rows = statement.query_and_then(values, access_key)?.collect::<Result<_, _>>()?;
    Ok(cut_to(limit, rows, |key: &AccessKey| key.id.clone()))
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

/// A key whose secret is still sealed.
fn access_key(row: &Row<'_>) -> Result<AccessKey, Error> {
    let (limits, rights): (String, String) = (row.get(4)?, row.get(5)?);
    let limits: Limits = from_json(&limits)?;
    let (token, expires_ms): (Option<[u8; 32]>, Option<i64>) = (row.get(7)?, row.get(8)?);
    Ok(AccessKey {
        id: row.get(0)?,
        secret: row.get(1)?,
        account: row.get(2)?,
        admin: row.get(3)?,
        requests_per_s: limits.requests_per_s,
        rights: from_json(&rights)?,
        disabled: row.get(6)?,
        temporary: token
            .zip(expires_ms)
            .map(|(token_digest, expires_ms)| Temporary { token_digest, expires_ms }),
        bearer: row.get(9)?,
    })
}
