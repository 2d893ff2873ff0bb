//! `freshen account`, `key` and `pop`: what an installation consists of.

use super::connection::{ClientError, Connection, encode, print_json};
use super::outcome::Outcome;
use crate::say::say;
use clap::Subcommand;
use freshen_api::v1::wire::{
    AccountList, AccountRow, KeyKind, KeyList, KeyRequest, KeyRow, NewBearerToken, NewKey, NewPop, NewToken,
    NotifyView, PopRequest, TokenRequest,
};
use freshen_model::area::Area;
use freshen_model::ids::PopId;
use freshen_model::quota::{Limits, QuotaKind};
use freshen_model::rights::{Right, Rights};
use http::Method;
use serde_json::json;
use std::time::Duration;

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
        /// Purges a day that ignore the query.
        #[arg(long)]
        query: Option<u64>,
        /// Purges by pattern a day.
        #[arg(long)]
        regex: Option<u64>,
        /// Purges by tag a day; a tag counts once for each domain.
        #[arg(long)]
        tag: Option<u64>,
        /// Requests a second.
        #[arg(long)]
        requests_per_s: Option<u64>,
        /// URL purges of one domain a minute.
        #[arg(long)]
        urls_per_minute: Option<u64>,
        /// Directory purges of one domain a minute.
        #[arg(long)]
        directories_per_minute: Option<u64>,
        /// Lines of prefetches that have not ended.
        #[arg(long)]
        prefetch_queue: Option<u64>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Tell, or set, where the ends of an account's tasks are told: a signed POST to an address.
    Notify {
        /// Its name.
        name: String,
        /// The address from now on, `http://` or `https://`.
        #[arg(long, value_name = "URL", conflicts_with = "off")]
        to: Option<String>,
        /// Nowhere from now on.
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make temporary credentials: id, secret and a token, told once. Elsewhere they are known as STS credentials.
    Token {
        /// How long they are good: seconds, or with a unit (90s, 15m, 12h).
        #[arg(long, default_value = "1h", value_parser = super::moment::duration)]
        expires: Duration,
        /// The account they act for [default: the caller's].
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        rights: RightsOptions,
        #[command(flatten)]
        connection: Connection,
    },
}

/// What a key may do.
#[derive(clap::Args)]
pub struct RightsOptions {
    /// What it may do: purge, prefetch, read, admin. Several may be given [default: all].
    #[arg(long = "right", value_name = "RIGHT", value_parser = right)]
    may: Vec<Right>,
    /// The domain it reaches. Several may be given [default: all of the account].
    #[arg(long = "domain", value_name = "DOMAIN")]
    domains: Vec<String>,
}

fn right(word: &str) -> Result<Right, String> {
    Right::from_word(word).ok_or_else(|| "write purge, prefetch, read or admin".to_owned())
}

impl RightsOptions {
    fn rights(self) -> Rights {
        let all = Rights::default();
        Rights {
            may: if self.may.is_empty() { all.may } else { self.may.into_iter().collect() },
            domains: (!self.domains.is_empty()).then(|| self.domains.into_iter().collect()),
        }
    }
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
        rights: RightsOptions,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make a bearer token, told once: it goes with each request as `Authorization: Bearer`, and signs nothing.
    Token {
        /// How long it is good: seconds, or with a unit (15m, 12h, 90d).
        #[arg(long, default_value = "90d", value_parser = super::moment::duration)]
        expires: Duration,
        /// The account it acts for [default: the caller's].
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        rights: RightsOptions,
        #[command(flatten)]
        connection: Connection,
    },
    /// List keys, temporary credentials and bearer tokens, without their secrets.
    List {
        /// Of this account [default: the caller's; for admins all].
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Disable an access key or a bearer token for good.
    Disable {
        /// Its id.
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
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
                let open = |list: AccountList| (list.accounts, list.next);
                let (accounts, _) = connection.open()?.list("/v1/accounts?", usize::MAX, open).await?;
                let list = AccountList { accounts, next: None };
                let row = |account: &AccountRow| {
                    let admin = if account.admin { "  admin" } else { "" };
                    let limit = |kind: QuotaKind| format!("{} {}", kind.as_str(), account.limits.of(kind));
                    let limits: Vec<String> = QuotaKind::ALL.into_iter().map(limit).collect();
                    format!("{:<24} a day: {}{admin}", account.name, limits.join(", "))
                };
                tell(&connection, &list, || list.accounts.iter().map(row).collect::<Vec<_>>().join("\n"))
            }
            AccountCommand::Notify { name, to, off, connection } => {
                let (control, path) = (connection.open()?, format!("/v1/accounts/{}/notify", encode(&name)));
                let view = if to.is_some() || off {
                    let view = NotifyView { notify: to };
                    let () = control.call(Method::PUT, &path, Some(&view)).await?;
                    view
                } else {
                    control.get(&path).await?
                };
                tell(&connection, &view, || match &view.notify {
                    Some(url) => format!("the ends of {name}'s tasks are told to {url}"),
                    None => format!("the ends of {name}'s tasks are told nowhere; --to URL sets where"),
                })
            }
            AccountCommand::Token { expires, account, rights, connection } => {
                let request =
                    TokenRequest { account, rights: Some(rights.rights()), expires_s: expires.as_secs() };
                let token: NewToken =
                    connection.open()?.call(Method::POST, "/v1/tokens", Some(&request)).await?;
                tell(&connection, &token, || {
                    format!(
                        "temporary credentials of {}, good until {}\n  id      {}\n  secret  {}\n  token   {}   (shown once)",
                        token.account,
                        super::moment::clock(token.expires_ms),
                        token.id,
                        token.secret,
                        token.security_token
                    )
                })
            }
            AccountCommand::Limits {
                name,
                url,
                directory,
                prefetch,
                query,
                regex,
                tag,
                requests_per_s,
                urls_per_minute,
                directories_per_minute,
                prefetch_queue,
                connection,
            } => {
                let control = connection.open()?;
                let account: AccountRow = control.get(&format!("/v1/accounts/{}", encode(&name))).await?;
                let now = account.limits;
                let limits = Limits {
                    url: url.unwrap_or(now.url),
                    directory: directory.unwrap_or(now.directory),
                    prefetch: prefetch.unwrap_or(now.prefetch),
                    query: query.unwrap_or(now.query),
                    regex: regex.unwrap_or(now.regex),
                    tag: tag.unwrap_or(now.tag),
                    requests_per_s: requests_per_s.unwrap_or(now.requests_per_s),
                    urls_per_minute: urls_per_minute.unwrap_or(now.urls_per_minute),
                    directories_per_minute: directories_per_minute.unwrap_or(now.directories_per_minute),
                    prefetch_queue: prefetch_queue.unwrap_or(now.prefetch_queue),
                };
                let path = format!("/v1/accounts/{}/limits", encode(&name));
                let account: AccountRow = control.call(Method::PUT, &path, Some(&limits)).await?;
                tell(&connection, &account, || format!("limits of {name} changed"))
            }
        }
    }
}

fn key_row(key: &KeyRow) -> String {
    let kind = match key.kind {
        KeyKind::Key => "key",
        KeyKind::Temporary => "temporary",
        KeyKind::Bearer => "bearer",
    };
    let may: Vec<&str> = key.rights.may.iter().map(|right| right.as_str()).collect();
    let domains = key.rights.domains.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    let until = key.expires_ms.map(|ms| format!(", until {}", super::moment::show(ms.div_euclid(1_000))));
    let disabled = if key.disabled { ", disabled" } else { "" };
    let (may, until) = (may.join(" "), until.unwrap_or_default());
    format!("{:<24} {kind:<9} {:<16} {may} {domains}{until}{disabled}", key.id, key.account)
}

impl KeyCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            KeyCommand::Add { account, rights, connection } => {
                let request = KeyRequest { account, rights: Some(rights.rights()) };
                let key: NewKey = connection.open()?.call(Method::POST, "/v1/keys", Some(&request)).await?;
                tell(&connection, &key, || {
                    format!(
                        "key of {}\n  id      {}\n  secret  {}   (shown once)",
                        key.account, key.id, key.secret
                    )
                })
            }
            KeyCommand::Token { expires, account, rights, connection } => {
                let request =
                    TokenRequest { account, rights: Some(rights.rights()), expires_s: expires.as_secs() };
                let made: NewBearerToken =
                    connection.open()?.call(Method::POST, "/v1/bearer-tokens", Some(&request)).await?;
                tell(&connection, &made, || {
                    format!(
                        "bearer token of {}, good until {}\n  id     {}\n  token  {}   (shown once)",
                        made.account,
                        super::moment::show(made.expires_ms.div_euclid(1_000)),
                        made.id,
                        made.token
                    )
                })
            }
            KeyCommand::List { account, connection } => {
                let of = account.map(|name| format!("account={}&", encode(&name))).unwrap_or_default();
                let open = |list: KeyList| (list.keys, list.next);
                let path = format!("/v1/keys?{of}");
                let (keys, _) = connection.open()?.list(&path, usize::MAX, open).await?;
                let list = KeyList { keys, next: None };
                tell(&connection, &list, || list.keys.iter().map(key_row).collect::<Vec<_>>().join("\n"))
            }
            KeyCommand::Disable { id, connection } => {
                let path = format!("/v1/keys/{}/disable", encode(&id));
                let () = connection.open()?.call(Method::POST, &path, None::<&()>).await?;
                tell(&connection, &json!({ "id": id, "disabled": true }), || format!("key {id} disabled"))
            }
        }
    }
}

impl PopCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            PopCommand::List { connection } => {
                let list = connection.open()?.pops().await?;
                let row = |pop: &freshen_api::v1::wire::PopRow| {
                    let heard = pop
                        .last_contact_ms
                        .map_or("never heard".into(), |ms| format!("heard {}", super::moment::clock(ms)));
                    let state = match (pop.left, pop.connected) {
                        (Some(_), _) => "removed, not confirmed",
                        (None, true) if pop.tls => "connected",
                        (None, true) => "connected in the clear",
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
                tell(&connection, &list, || {
                    let pin = list.pin.map(|pin| format!("control's pin: {pin}"));
                    list.pops.iter().map(row).chain(pin).collect::<Vec<_>>().join("\n")
                })
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

/// Prints what was done: as JSON where that is asked for, else as text.
pub(super) fn tell(
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
