//! The first start of an installation: what must be there before anybody can sign a request.

use crate::config_file;
use anyhow::Context;
use freshen_control::Control;
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::ids::PopId;
use freshen_model::role::Role;
use std::path::Path;

/// Makes sure of an admin account with a key; a key that is there stays as it is.
///
/// `make` gives id and secret of a key that is missing, and keeps them for the user *before* control has them: a start
/// that is cut off in between is simply made again, where a key whose secret nobody knows would lock everybody out.
pub async fn admin(
    control: &Control,
    account: &str,
    make: impl FnOnce() -> anyhow::Result<(String, String)>,
) -> anyhow::Result<()> {
    if control.account(account).await?.is_none() {
        control.add_account(account, true).await?;
    }
    if control.keys(account).await?.is_empty() {
        let (id, secret) = make()?;
        control.add_key(account, Some(id), Some(secret)).await?;
    }
    Ok(())
}

/// Makes sure of an admin of the console with a new password, which is given.
pub async fn person(control: &Control, name: &str, account: &str) -> anyhow::Result<String> {
    if control.user(name).await?.is_some() {
        return Ok(control.set_password(name, None).await?);
    }
    Ok(control.add_user(name, account, Role::Admin, None).await?)
}

/// Makes sure of a domain with that origin; other settings of a domain that is there stay.
pub async fn domain(control: &Control, account: &str, name: &str, settings: &Settings) -> anyhow::Result<()> {
    let there = control.domains(Some(account)).await?.into_iter().find(|domain| domain.name == name);
    match there {
        Some(domain) if domain.settings.origin == settings.origin => {}
        Some(domain) => {
            let moved = Settings { origin: settings.origin.clone(), ..domain.settings };
            control.set_domain(Some(account), name, &moved).await?;
        }
        None => {
            control.add_domain(account, name, settings).await?;
        }
    }
    Ok(())
}

/// Makes sure of a POP with that configuration file; `make` gives the configuration for a new token. A file that is
/// there stays as it is, token and changes by hand included.
pub async fn pop(
    control: &Control,
    path: &Path,
    id: &PopId,
    area: Area,
    region: &str,
    make: impl FnOnce(String) -> freshen_pop::Config,
) -> anyhow::Result<()> {
    let known = control.pops().iter().any(|pop| pop.id == *id && pop.left.is_none());
    if known && path.exists() {
        return Ok(());
    }
    anyhow::ensure!(
        !known,
        "{id} is registered, but its configuration {} is gone; remove it with `freshen pop remove {id}`",
        path.display()
    );
    let made = control.add_pop(id, area, region).await?;
    config_file::write(
        path,
        "The configuration of one POP process. It holds the POP's token.",
        &make(made.token),
    )
    .context("the POP's configuration")
}
