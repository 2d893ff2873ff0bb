//! The tables, and the steps that bring an older file's tables up to date.

use crate::{Error, Refusal};
use rusqlite::{Connection, TransactionBehavior};

/// Marks a file as a ledger («Fres»), so that no other program's database is taken for one.
const APPLICATION_ID: i64 = 0x4672_6573;

/// Each step leads from the version before it to its place in this list, from 1. Steps that were released never change.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
];

/// Brings the tables up to date; an empty file gets all of them.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |pragma: &str| transaction.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let application_id = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let empty = number("SELECT count(*) FROM sqlite_schema")? == 0;
    if application_id != APPLICATION_ID && !(empty && application_id == 0 && version == 0) {
        return Err(Refusal::Unfit("the file is a database, but no ledger".into()).into());
    }
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len()).ok_or_else(|| {
        let known = MIGRATIONS.len();
        Refusal::Unfit(format!("the ledger has version {version}, this program knows versions up to {known}"))
    })?;
    for (step, version) in MIGRATIONS.iter().zip(1..).skip(done) {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_becomes_a_ledger_and_stays_one() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let version: usize =
            connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap() as usize;
        assert_eq!(version, MIGRATIONS.len());
    }

    #[test]
    fn a_ledger_from_a_newer_program_and_a_foreign_database_are_refused() {
        let mut newer = Connection::open_in_memory().unwrap();
        migrate(&mut newer).unwrap();
        newer.pragma_update(None, "user_version", MIGRATIONS.len() as i64 + 1).unwrap();
        assert!(matches!(migrate(&mut newer), Err(Error::Refused(Refusal::Unfit(_)))));

        let mut foreign = Connection::open_in_memory().unwrap();
        foreign.execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
        assert!(matches!(migrate(&mut foreign), Err(Error::Refused(Refusal::Unfit(_)))));
    }
}
