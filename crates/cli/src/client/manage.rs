//! `freshen account`, `key`, `domain` and `pop`: what an installation consists of.

use super::connection::{ClientError, Connection, encode, print_json};
use super::outcome::Outcome;
use crate::say::say;
use clap::Subcommand;
use freshen_api::v1::wire::{
    AccountList, AccountRow, DomainList, DomainRow, KeyRequest, NewKey, NewPop, PopList, PopRequest,
};
use freshen_model::area::Area;
use freshen_model::domain::{NoLease, Origin, QueryPolicy, Settings};
use freshen_model::ids::PopId;
use freshen_model::quota::Limits;
use http::Method;
use serde_json::json;

/// Accounts.
#[derive(Subcommand)]
pub enum AccountCommand {
    /// Add an account.
    Add {
        /// Its name.
        name: String,
        /// It may manage accounts, keys, domains and POPs.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// List accounts.
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Change an account's daily limits; what is not given stays.
    Limits {
        /// Its name.
        name: String,
        /// URL purges a day.
        #[arg(long)]
        url: Option<u64>,
        /// Directory purges a day.
        #[arg(long)]
        directory: Option<u64>,
        /// Prefetches a day.
        #[arg(long)]
        prefetch: Option<u64>,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Access keys.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make an access key; its secret is told once.
    Add {
        /// The account it acts for [default: the caller's].
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Disable an access key for good.
    Disable {
        /// Its id.
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Domains.
#[derive(Subcommand)]
pub enum DomainCommand {
    /// Serve a domain from an origin.
    Add {
        /// The host name viewers use.
        name: String,
        /// The account that owns it [default: the caller's].
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        settings: SettingsOptions,
        #[command(flatten)]
        connection: Connection,
    },
    /// Change a domain's settings; what is not given stays.
    Set {
        /// The domain.
        name: String,
        #[command(flatten)]
        settings: SettingsOptions,
        #[command(flatten)]
        connection: Connection,
    },
    /// List domains.
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Serve a domain no more.
    Remove {
        /// The domain.
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}

/// A domain's settings, as far as they are given.
#[derive(clap::Args)]
pub struct SettingsOptions {
    /// Where the content comes from, `http://host[:port]` or `https://host[:port]`.
    #[arg(long)]
    origin: Option<Origin>,
    /// The Host field sent to the origin [default: the domain].
    #[arg(long)]
    host_header: Option<String>,
    /// Share the cache (and origin and query policy) of this domain.
    #[arg(long, value_name = "DOMAIN")]
    share_cache: Option<String>,
    /// What of a query tells objects apart: keep, ignore, only:a,b or drop:a,b.
    #[arg(long)]
    query: Option<QueryPolicy>,
    /// What a POP without a lease does: revalidate, refetch or serve.
    #[arg(long)]
    no_lease: Option<NoLease>,
    /// Serve copies that a purge expired while the origin fails.
    #[arg(long)]
    purged_stale_if_error: Option<bool>,
    /// Seconds of freshness for answers that say nothing about it.
    #[arg(long)]
    default_ttl_s: Option<u32>,
}

impl SettingsOptions {
    fn over(self, mut settings: Settings) -> Settings {
        if let Some(origin) = self.origin {
            settings.origin = Origin { host_header: settings.origin.host_header, ..origin };
        }
        settings.origin.host_header = self.host_header.or(settings.origin.host_header);
        settings.share_cache = self.share_cache.or(settings.share_cache);
        settings.query = self.query.unwrap_or(settings.query);
        settings.no_lease = self.no_lease.unwrap_or(settings.no_lease);
        settings.purged_stale_if_error = self.purged_stale_if_error.unwrap_or(settings.purged_stale_if_error);
        settings.default_ttl_s = self.default_ttl_s.or(settings.default_ttl_s);
        settings
    }
}

/// POPs.
#[derive(Subcommand)]
pub enum PopCommand {
    /// List POPs, how far each is in the log, and when it was heard.
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Register a POP; its token is told once.
    Add {
        /// Its name.
        id: PopId,
        /// domestic or overseas.
        #[arg(long)]
        area: Area,
        /// Its region, a free word.
        #[arg(long, default_value = "default")]
        region: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Remove a POP: it uses its cache no more once it heard of it.
    Remove {
        /// Its name.
        id: PopId,
        /// Its machine is known to serve nobody any more: nothing waits for it.
        #[arg(long)]
        destroyed: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

impl AccountCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            AccountCommand::Add { name, admin, connection } => {
                let request = AccountRow { name, admin, limits: Limits::default() };
                let account: AccountRow =
                    connection.open()?.call(Method::POST, "/v1/accounts", Some(&request)).await?;
                tell(&connection, &account, || format!("account {} added", account.name))
            }
            AccountCommand::List { connection } => {
                let list: AccountList = connection.open()?.get("/v1/accounts").await?;
                let row = |account: &AccountRow| {
                    let Limits { url, directory, prefetch } = account.limits;
                    let admin = if account.admin { "  admin" } else { "" };
                    format!(
                        "{:<24} a day: {url} URLs, {directory} directories, {prefetch} prefetches{admin}",
                        account.name
                    )
                };
                tell(&connection, &list, || list.accounts.iter().map(row).collect::<Vec<_>>().join("\n"))
            }
            AccountCommand::Limits { name, url, directory, prefetch, connection } => {
                let control = connection.open()?;
                let list: AccountList = control.get("/v1/accounts").await?;
                let account = list.accounts.into_iter().find(|account| account.name == name);
                let now = account.ok_or_else(|| ClientError::Usage(format!("no account {name:?}")))?.limits;
                let limits = Limits {
                    url: url.unwrap_or(now.url),
                    directory: directory.unwrap_or(now.directory),
                    prefetch: prefetch.unwrap_or(now.prefetch),
                };
                let path = format!("/v1/accounts/{}/limits", encode(&name));
                let account: AccountRow = control.call(Method::PUT, &path, Some(&limits)).await?;
                tell(&connection, &account, || format!("limits of {name} changed"))
            }
        }
    }
}

impl KeyCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            KeyCommand::Add { account, connection } => {
                let request = KeyRequest { account };
                let key: NewKey = connection.open()?.call(Method::POST, "/v1/keys", Some(&request)).await?;
                tell(&connection, &key, || {
                    format!(
                        "key of {}\n  id      {}\n  secret  {}   (shown once)",
                        key.account, key.id, key.secret
                    )
                })
            }
            KeyCommand::Disable { id, connection } => {
                let path = format!("/v1/keys/{}/disable", encode(&id));
                let () = connection.open()?.call(Method::POST, &path, None::<&()>).await?;
                tell(&connection, &json!({ "id": id, "disabled": true }), || format!("key {id} disabled"))
            }
        }
    }
}

impl DomainCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            DomainCommand::Add { name, account, settings, connection } => {
                let control = connection.open()?;
                let settings = match (&settings.origin, &settings.share_cache) {
                    (Some(origin), _) => {
                        let origin = origin.clone();
                        settings.over(Settings::of_origin(origin))
                    }
                    (None, Some(shared)) => {
                        let list: DomainList = control.get("/v1/domains").await?;
                        let primary = list.domains.into_iter().find(|domain| domain.name == *shared);
                        let primary =
                            primary.ok_or_else(|| ClientError::Usage(format!("no domain {shared:?}")))?;
                        settings.over(Settings::of_origin(primary.settings.origin))
                    }
                    (None, None) => {
                        return Err(ClientError::Usage(
                            "give --origin http://host[:port] or https://host[:port]".into(),
                        ));
                    }
                };
                let request = DomainRow { name, account, settings };
                let domain: DomainRow = control.call(Method::POST, "/v1/domains", Some(&request)).await?;
                tell(&connection, &domain, || {
                    format!("{} is served from {}", domain.name, domain.settings.origin)
                })
            }
            DomainCommand::Set { name, settings, connection } => {
                let control = connection.open()?;
                let path = format!("/v1/domains/{}", encode(&name));
                let domain: DomainRow = control.get(&path).await?;
                let request = DomainRow { settings: settings.over(domain.settings), ..domain };
                let domain: DomainRow = control.call(Method::PUT, &path, Some(&request)).await?;
                tell(&connection, &domain, || format!("settings of {} changed", domain.name))
            }
            DomainCommand::List { connection } => {
                let list: DomainList = connection.open()?.get("/v1/domains").await?;
                let row = |domain: &DomainRow| {
                    let shares = domain.settings.share_cache.as_ref();
                    let shares = shares.map_or(String::new(), |with| format!("  shares the cache of {with}"));
                    let account = domain.account.as_deref().unwrap_or_default();
                    format!(
                        "{:<32} from {:<24} account {account}{shares}",
                        domain.name, domain.settings.origin
                    )
                };
                tell(&connection, &list, || list.domains.iter().map(row).collect::<Vec<_>>().join("\n"))
            }
            DomainCommand::Remove { name, connection } => {
                let path = format!("/v1/domains/{}", encode(&name));
                let () = connection.open()?.call(Method::DELETE, &path, None::<&()>).await?;
                tell(&connection, &json!({ "name": name, "removed": true }), || {
                    format!("{name} is served no more")
                })
            }
        }
    }
}

impl PopCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            PopCommand::List { connection } => {
                let list: PopList = connection.open()?.get("/v1/pops").await?;
                let row = |pop: &freshen_api::v1::wire::PopRow| {
                    let heard = pop
                        .last_contact_ms
                        .map_or("never heard".into(), |ms| format!("heard {}", super::task::clock(ms)));
                    let state = match (pop.left, pop.connected) {
                        (Some(_), _) => "removed, not confirmed",
                        (None, true) => "connected",
                        (None, false) => "not connected",
                    };
                    let place = format!("{} of {}", pop.watermark, pop.end);
                    format!(
                        "{:<16} {:<9} {:<12} {place:>12}  {state}, {heard}",
                        pop.id.as_str(),
                        pop.area.as_str(),
                        pop.region
                    )
                };
                tell(&connection, &list, || list.pops.iter().map(row).collect::<Vec<_>>().join("\n"))
            }
            PopCommand::Add { id, area, region, connection } => {
                let request = PopRequest { id, area, region };
                let pop: NewPop = connection.open()?.call(Method::POST, "/v1/pops", Some(&request)).await?;
                tell(&connection, &pop, || {
                    format!(
                        "{} registered\n  token  {}   (shown once; goes into its pop.toml)",
                        pop.id, pop.token
                    )
                })
            }
            PopCommand::Remove { id, destroyed, connection } => {
                let path = format!("/v1/pops/{id}?destroyed={destroyed}");
                let () = connection.open()?.call(Method::DELETE, &path, None::<&()>).await?;
                tell(&connection, &json!({ "id": id, "removed": true }), || format!("{id} is removed"))
            }
        }
    }
}

fn tell(
    connection: &Connection,
    value: &impl serde::Serialize,
    text: impl FnOnce() -> String,
) -> Result<Outcome, ClientError> {
    if connection.json {
        print_json(value)?;
    } else {
        say(&text());
    }
    Ok(Outcome::Done)
}
