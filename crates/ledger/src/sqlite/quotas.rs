//! Quota use: lines submitted, by account, quota day and kind.

use super::{accounts, sql, unsql};
use crate::{Account, Error, Refusal};
use freshen_model::quota::{Quota, QuotaKind};
use rusqlite::{Connection, OptionalExtension, params};

/// Counts `lines`, or refuses them all.
pub(super) fn count(
    connection: &Connection,
    account: &Account,
    day: i64,
    kind: QuotaKind,
    lines: u64,
) -> Result<(), Error> {
    let quota = one(connection, account, day, kind)?;
    if lines > quota.remaining() {
        return Err(Refusal::OverQuota { quota, lines }.into());
    }
    connection
        .prepare_cached(
            "INSERT INTO usage VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET used = used + excluded.used",
        )?
        .execute(params![account.name, day, kind.as_str(), sql(lines)])?;
    Ok(())
}

/// What an account has used on a day, of every kind.
pub(super) fn all(connection: &Connection, account: &str, day: i64) -> Result<Vec<Quota>, Error> {
    let account = accounts::existing(connection, account)?;
    QuotaKind::ALL.into_iter().map(|kind| one(connection, &account, day, kind)).collect()
}

fn one(connection: &Connection, account: &Account, day: i64, kind: QuotaKind) -> Result<Quota, Error> {
    let used: Option<i64> = connection
        .prepare_cached("SELECT used FROM usage WHERE account = ? AND day = ? AND kind = ?")?
        .query_row(params![account.name, day, kind.as_str()], |row| row.get(0))
        .optional()?;
    Ok(Quota { kind, limit: account.limits.of(kind), used: unsql(used.unwrap_or(0)) })
}
