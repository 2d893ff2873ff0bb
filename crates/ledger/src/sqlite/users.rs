//! People, their sessions, and links to sign in.

use super::{accounts, parsed, sql, unsql};
use crate::people::{Pass, SESSIONS_OF_USER_MAX, USERS_MAX, User};
use crate::{Error, Refusal};
use rusqlite::{Connection, Row, params};

const USER: &str =
    "SELECT users.name, users.account, users.role, users.password, users.created_ms FROM users";

pub(super) fn add(connection: &Connection, user: &User) -> Result<(), Error> {
    accounts::existing(connection, &user.account)?;
    if one(connection, &user.name)?.is_some() {
        return Err(Refusal::Exists { what: "user", name: user.name.clone() }.into());
    }
    let count: i64 = connection.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
    if unsql(count) >= USERS_MAX {
        return Err(Refusal::Unfit(format!("there are {USERS_MAX} users, which is the most")).into());
    }
    connection.prepare_cached("INSERT INTO users VALUES (?, ?, ?, ?, ?)")?.execute(params![
        user.name,
        user.account,
        user.role.as_str(),
        user.password,
        user.created_ms
    ])?;
    Ok(())
}

/// Changes the password; whoever was signed in with the old one is so no more.
pub(super) fn set_password(connection: &Connection, name: &str, password: &str) -> Result<(), Error> {
    let changed = connection
        .prepare_cached("UPDATE users SET password = ?2 WHERE name = ?1")?
        .execute([name, password])?;
    if changed == 0 {
        return Err(unknown(name));
    }
    forget_passes(connection, name)
}

pub(super) fn remove(connection: &Connection, name: &str) -> Result<(), Error> {
    forget_passes(connection, name)?;
    let removed = connection.prepare_cached("DELETE FROM users WHERE name = ?")?.execute([name])?;
    if removed == 0 { Err(unknown(name)) } else { Ok(()) }
}

pub(super) fn one(connection: &Connection, name: &str) -> Result<Option<User>, Error> {
    let mut statement = connection.prepare_cached(&format!("{USER} WHERE name = ?"))?;
    statement.query_and_then([name], user)?.next().transpose()
}

pub(super) fn all(connection: &Connection) -> Result<Vec<User>, Error> {
    let mut statement = connection.prepare_cached(&format!("{USER} ORDER BY name"))?;
    statement.query_and_then([], user)?.collect()
}

/// Opens a session; expired ones are forgotten, and the user's oldest where there are too many.
pub(super) fn open_session(connection: &Connection, pass: &Pass, at_ms: i64) -> Result<(), Error> {
    if one(connection, &pass.user)?.is_none() {
        return Err(unknown(&pass.user));
    }
    connection.prepare_cached("DELETE FROM sessions WHERE expires_ms <= ?")?.execute([at_ms])?;
    connection
        .prepare_cached("INSERT INTO sessions (digest, user, expires_ms) VALUES (?, ?, ?)")?
        .execute(params![pass.digest, pass.user, pass.expires_ms])?;
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE number IN
             (SELECT number FROM sessions WHERE user = ?1 ORDER BY number DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![pass.user, sql(SESSIONS_OF_USER_MAX)])?;
    Ok(())
}

/// Whose session it is, if it is good at that time.
pub(super) fn of_session(
    connection: &Connection,
    digest: [u8; 32],
    at_ms: i64,
) -> Result<Option<User>, Error> {
    let query = format!("{USER} JOIN sessions ON user = users.name WHERE digest = ? AND expires_ms > ?");
    let mut statement = connection.prepare_cached(&query)?;
    statement.query_and_then(params![digest, at_ms], user)?.next().transpose()
}

pub(super) fn end_session(connection: &Connection, digest: [u8; 32]) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM sessions WHERE digest = ?")?.execute([digest])?;
    Ok(())
}

/// Keeps a link to sign in, in place of the user's former ones.
pub(super) fn put_link(connection: &Connection, pass: &Pass) -> Result<(), Error> {
    if one(connection, &pass.user)?.is_none() {
        return Err(unknown(&pass.user));
    }
    connection.prepare_cached("DELETE FROM sign_in_links WHERE user = ?")?.execute([&pass.user])?;
    connection.prepare_cached("INSERT INTO sign_in_links VALUES (?, ?, ?)")?.execute(params![
        pass.digest,
        pass.user,
        pass.expires_ms
    ])?;
    Ok(())
}

/// Uses a link up; gives its user, if it was good at that time.
pub(super) fn take_link(
    connection: &Connection,
    digest: [u8; 32],
    at_ms: i64,
) -> Result<Option<User>, Error> {
    let taken: Option<(String, i64)> = connection
        .prepare_cached("DELETE FROM sign_in_links WHERE digest = ? RETURNING user, expires_ms")?
        .query_map([digest], |row| Ok((row.get(0)?, row.get(1)?)))?
        .next()
        .transpose()?;
    match taken {
        Some((user, expires_ms)) if expires_ms > at_ms => one(connection, &user),
        _ => Ok(None),
    }
}

fn forget_passes(connection: &Connection, user: &str) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM sessions WHERE user = ?")?.execute([user])?;
    connection.prepare_cached("DELETE FROM sign_in_links WHERE user = ?")?.execute([user])?;
    Ok(())
}

fn unknown(name: &str) -> Error {
    Refusal::NotFound { what: "user", name: name.to_owned() }.into()
}

fn user(row: &Row<'_>) -> Result<User, Error> {
    Ok(User {
        name: row.get(0)?,
        account: row.get(1)?,
        role: parsed(row.get_ref(2)?)?,
        password: row.get(3)?,
        created_ms: row.get(4)?,
    })
}
