//! Domains; whatever changes one appends the order that tells the POPs.

use super::{accounts, cut_to, from_json, orders, server_certificates, sql, to_json, traffic, unsql};
use crate::{DOMAINS_OF_ACCOUNT_MAX, DomainRecord, Error, Found, Refusal};
use freshen_model::domain::{NoLease, Settings};
use freshen_model::ids::Seq;
use freshen_model::order::Body;
use rusqlite::{Connection, Row, ToSql, params};
use std::collections::BTreeSet;

const DOMAIN: &str = "SELECT name, account, settings, seq FROM domains";

pub(super) fn add(
    connection: &Connection,
    account: &str,
    name: &str,
    settings: &Settings,
) -> Result<DomainRecord, Error> {
    accounts::existing(connection, account)?;
    if one(connection, name)?.is_some() {
        return Err(Refusal::Exists { what: "domain", name: name.to_owned() }.into());
    }
    let count = connection
        .prepare_cached("SELECT count(*) FROM domains WHERE account = ?")?
        .query_row([account], |row| Ok(unsql(row.get(0)?)))?;
    if count >= DOMAINS_OF_ACCOUNT_MAX {
        let why = format!("{account} has {count} domains, which is the most; remove one first");
        return Err(Refusal::Unfit(why).into());
    }
    let settings = effective(connection, account, name, settings)?;
    let seq = append(connection, name, None, Some(&settings))?;
    connection
        .prepare_cached("INSERT INTO domains (name, account, settings, seq) VALUES (?, ?, ?, ?)")?
        .execute(params![name, account, to_json(&settings)?, sql(seq.0)])?;
    Ok(DomainRecord { name: name.to_owned(), account: account.to_owned(), settings, seq })
}

pub(super) fn set(connection: &Connection, name: &str, settings: &Settings) -> Result<DomainRecord, Error> {
    let mut domain = existing(connection, name)?;
    let sharers = sharers(connection, name)?;
    if let (Some(primary), Some(sharer)) = (&settings.share_cache, sharers.first()) {
        let sharer = &sharer.name;
        let text = format!("{name} cannot share the cache of {primary}: {sharer} shares the cache of {name}");
        return Err(Refusal::Unfit(text).into());
    }
    let settings = effective(connection, &domain.account, name, settings)?;
    change(connection, &mut domain, settings)?;
    for mut sharer in sharers {
        let followed = following(&sharer.settings, &domain.settings);
        change(connection, &mut sharer, followed)?;
    }
    Ok(domain)
}

pub(super) fn remove(connection: &Connection, name: &str) -> Result<(), Error> {
    let domain = existing(connection, name)?;
    if let Some(sharer) = sharers(connection, name)?.first() {
        return Err(Refusal::Unfit(format!("{} shares the cache of {name}", sharer.name)).into());
    }
    append(connection, name, Some(&domain.settings), None)?;
    server_certificates::remove(connection, name)?;
    connection.prepare_cached("DELETE FROM domains WHERE name = ?")?.execute([name])?;
    traffic::forget_domain(connection, name)
}

pub(super) fn one(connection: &Connection, name: &str) -> Result<Option<DomainRecord>, Error> {
    Ok(select(connection, &format!("{DOMAIN} WHERE name = ?"), &[&name])?.pop())
}

pub(super) fn all(connection: &Connection, account: Option<&str>) -> Result<Vec<DomainRecord>, Error> {
    match account {
        None => select(connection, &format!("{DOMAIN} ORDER BY name"), &[]),
        Some(account) => {
            select(connection, &format!("{DOMAIN} WHERE account = ? ORDER BY name"), &[&account])
        }
    }
}

/// Some of them, behind a name; those with `text` in their name, where that is given.
pub(super) fn behind(
    connection: &Connection,
    account: Option<&str>,
    text: Option<&str>,
    name: Option<&str>,
    limit: u64,
) -> Result<Found<DomainRecord, String>, Error> {
    // The planner cannot know that a parameter is null: two texts, each with its index.
    let of_account = if account.is_some() { "account = ?1" } else { "?1 IS NULL" };
    let query = format!(
        "{DOMAIN} WHERE {of_account} AND name > ?2 AND (?3 IS NULL OR instr(name, lower(?3))) ORDER BY name LIMIT ?4"
    );
    let values: [&dyn ToSql; 4] = [&account, &name.unwrap_or_default(), &text, &sql(limit.saturating_add(1))];
    let rows = select(connection, &query, &values)?;
    Ok(cut_to(limit, rows, |domain: &DomainRecord| domain.name.clone()))
}

/// Refuses unless every domain of `read` is the account's and still has the settings it was read with.
pub(super) fn unchanged<'a>(
    connection: &Connection,
    account: &str,
    read: impl Iterator<Item = (&'a String, &'a Seq)>,
) -> Result<(), Error> {
    for (name, seq) in read {
        let domain = existing(connection, name)?;
        if domain.account != account {
            return Err(unknown(name));
        }
        if domain.seq != *seq {
            return Err(Refusal::SettingsChanged(name.clone()).into());
        }
    }
    Ok(())
}

pub(super) fn existing(connection: &Connection, name: &str) -> Result<DomainRecord, Error> {
    one(connection, name)?.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    Refusal::NotFound { what: "domain", name: name.to_owned() }.into()
}

fn sharers(connection: &Connection, name: &str) -> Result<Vec<DomainRecord>, Error> {
    select(connection, &format!("{DOMAIN} WHERE share_cache = ? ORDER BY name"), &[&name])
}

/// What `settings` come to for the domain `name`: one that shares a cache fetches as that cache's domain does.
fn effective(
    connection: &Connection,
    account: &str,
    name: &str,
    settings: &Settings,
) -> Result<Settings, Error> {
    let Some(primary) = &settings.share_cache else {
        return Ok(settings.clone());
    };
    let unfit = |why: String| Error::from(Refusal::Unfit(format!("{name} cannot share a cache: {why}")));
    if primary == name {
        return Err(unfit("it names itself".into()));
    }
    let other = one(connection, primary)?.ok_or_else(|| unfit(format!("no domain {primary:?}")))?;
    if other.account != account {
        return Err(unfit(format!("{primary} belongs to another account")));
    }
    if let Some(third) = &other.settings.share_cache {
        return Err(unfit(format!("{primary} itself shares the cache of {third}")));
    }
    Ok(following(settings, &other.settings))
}

fn following(settings: &Settings, primary: &Settings) -> Settings {
    Settings {
        origin: primary.origin.clone(),
        backups: primary.backups.clone(),
        query: primary.query.clone(),
        ranges: primary.ranges,
        ..settings.clone()
    }
}

/// Gives a domain other settings; the same ones change nothing and append nothing.
fn change(connection: &Connection, domain: &mut DomainRecord, settings: Settings) -> Result<(), Error> {
    if domain.settings == settings {
        return Ok(());
    }
    domain.seq = append(connection, &domain.name, Some(&domain.settings), Some(&settings))?;
    connection
        .prepare_cached("UPDATE domains SET settings = ?2, seq = ?3 WHERE name = ?1")?
        .execute(params![domain.name, to_json(&settings)?, sql(domain.seq.0)])?;
    domain.settings = settings;
    Ok(())
}

fn append(
    connection: &Connection,
    name: &str,
    before: Option<&Settings>,
    after: Option<&Settings>,
) -> Result<Seq, Error> {
    let settings = after.cloned().map(Box::new);
    let seq = orders::append(connection, &Body::Domain { name: name.to_owned(), settings })?;
    let served = served_space(name, before);
    if let Some(space) = served
        && served != served_space(name, after)
    {
        let mut note =
            connection.prepare_cached("INSERT OR REPLACE INTO serve_ended (space, seq) VALUES (?, ?)")?;
        // Under its name too: it may come back, or be found in another space.
        for ended in [space, name] {
            note.execute(params![ended, sql(seq.0)])?;
        }
    }
    Ok(seq)
}

/// The cache space that POPs serve the domain `name` from without a lease, where these settings let them.
fn served_space<'a>(name: &'a str, settings: Option<&'a Settings>) -> Option<&'a str> {
    settings.filter(|settings| settings.no_lease == NoLease::Serve).map(|settings| settings.space(name))
}

/// How far a POP must be so that it uses nothing of these domains' cache spaces without a lease; `None` where some domain
/// lets POPs do so now.
pub(super) fn fence_from<'a>(
    connection: &Connection,
    names: impl Iterator<Item = &'a String>,
) -> Result<Option<Seq>, Error> {
    let mut spaces = BTreeSet::new();
    for name in names {
        spaces.insert(existing(connection, name)?.settings.space(name).to_owned());
    }
    let mut ended =
        connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM serve_ended WHERE space = ?")?;
    let mut from = Seq::ZERO;
    for space in &spaces {
        for user in select(connection, &format!("{DOMAIN} WHERE name = ?1 OR share_cache = ?1"), &[space])? {
            if user.settings.no_lease == NoLease::Serve {
                return Ok(None);
            }
            from = from.max(Seq(unsql(ended.query_row([&user.name], |row| row.get(0))?)));
        }
    }
    Ok(Some(from))
}

fn select(connection: &Connection, query: &str, values: &[&dyn ToSql]) -> Result<Vec<DomainRecord>, Error> {
    connection.prepare_cached(query)?.query_and_then(values, domain)?.collect()
}

fn domain(row: &Row<'_>) -> Result<DomainRecord, Error> {
    Ok(DomainRecord {
        name: row.get(0)?,
        account: row.get(1)?,
        settings: from_json(&row.get::<_, String>(2)?)?,
        seq: Seq(unsql(row.get(3)?)),
    })
}
