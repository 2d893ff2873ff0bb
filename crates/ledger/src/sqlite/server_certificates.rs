//! The certificates that viewers of domains are shown.

use super::{domains, from_json, parsed, sql, to_json, unsql};
use crate::{Error, Refusal, SERVER_CERTIFICATES_MAX, ServerCertificate};
use freshen_model::receipt::Digest;
use rusqlite::{Connection, Row, params};

/// Sets a domain's certificate in place of the one before; its key comes sealed.
pub(super) fn set(connection: &Connection, certificate: &ServerCertificate) -> Result<(), Error> {
    let domain = &certificate.domain;
    domains::existing(connection, domain)?;
    let others = connection
        .prepare_cached("SELECT count(*) FROM server_certificates WHERE domain != ?")?
        .query_row([domain], |row| Ok(unsql(row.get(0)?)))?;
    if others >= SERVER_CERTIFICATES_MAX {
        let why = format!("there are {others} certificates, which is the most; remove one first");
        return Err(Refusal::Unfit(why).into());
    }
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO server_certificates (domain, title, chain, key, digest, names, until_s, set_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            domain,
            certificate.title,
            certificate.chain,
            to_json(&certificate.key)?,
            certificate.digest.to_string(),
            to_json(&certificate.names)?,
            sql(certificate.until_s),
            certificate.set_ms,
        ])?;
    Ok(())
}

/// Removes a domain's certificate; says whether it had one.
pub(super) fn remove(connection: &Connection, domain: &str) -> Result<bool, Error> {
    let removed =
        connection.prepare_cached("DELETE FROM server_certificates WHERE domain = ?")?.execute([domain])?;
    Ok(removed > 0)
}

/// A domain's certificate, its key sealed.
pub(super) fn one(connection: &Connection, domain: &str) -> Result<Option<ServerCertificate>, Error> {
    let mut query = connection.prepare_cached(
        "SELECT domain, title, chain, key, digest, names, until_s, set_ms FROM server_certificates
         WHERE domain = ?",
    )?;
    let mut rows = query.query_and_then([domain], certificate)?;
    rows.next().transpose()
}

/// Which domains have one, by name.
pub(super) fn all(connection: &Connection) -> Result<Vec<(String, Digest)>, Error> {
    let mut query =
        connection.prepare_cached("SELECT domain, digest FROM server_certificates ORDER BY domain")?;
    query.query_and_then([], |row| Ok((row.get(0)?, parsed(row.get_ref(1)?)?)))?.collect()
}

fn certificate(row: &Row<'_>) -> Result<ServerCertificate, Error> {
    Ok(ServerCertificate {
        domain: row.get(0)?,
        title: row.get(1)?,
        chain: row.get(2)?,
        key: from_json(&row.get::<_, String>(3)?)?,
        digest: parsed(row.get_ref(4)?)?,
        names: from_json(&row.get::<_, String>(5)?)?,
        until_s: unsql(row.get(6)?),
        set_ms: row.get(7)?,
    })
}
