//! `freshen domain`: what is served, and how.

use super::connection::{ClientError, Connection, encode};
use super::manage::tell;
use super::outcome::Outcome;
use super::settings::{SettingsOptions, settings_rows};
use clap::Subcommand;
use freshen_api::timestamp;
use freshen_api::v1::wire::{
    DomainList, DomainRow, ServerCertificateRequest, ServerCertificateView, TrafficView,
};
use freshen_model::domain::Settings;
use freshen_model::traffic::Traffic;
use http::Method;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The longest file of PEM that is sent, bytes; what control takes is less.
const PEM_BYTES_MAX: u64 = 1 << 20;

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
        settings: Box<SettingsOptions>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Change a domain's settings; what is not given stays, `none` takes a setting back.
    Set {
        /// The domain.
        name: String,
        #[command(flatten)]
        settings: Box<SettingsOptions>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Refuse a domain's viewers until it is started again; what is cached stays.
    Stop {
        /// The domain.
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Serve a domain again that was stopped.
    Start {
        /// The domain.
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a domain's traffic: what viewers got, how much of it from copies, and what came from origins and cost.
    Traffic {
        /// The domain.
        name: String,
        /// From when, as 2026-03-01T12:00:00Z [default: 24 hours before the end].
        #[arg(long)]
        from: Option<String>,
        /// Until when [default: now].
        #[arg(long)]
        until: Option<String>,
        /// How long each row is.
        #[arg(long, value_enum, default_value_t = Interval::Hour)]
        interval: Interval,
        #[command(flatten)]
        connection: Connection,
    },
    /// Set the certificate that a domain's viewers are shown by every POP's TLS listener, show it, or take it away.
    Certificate {
        /// The domain.
        name: String,
        /// A file with the certificate and then those that lead to its issuer, PEM.
        #[arg(long, requires = "key", conflicts_with = "remove")]
        certificate: Option<PathBuf>,
        /// A file with its key, PEM without a password.
        #[arg(long, requires = "certificate")]
        key: Option<PathBuf>,
        /// What to call it.
        #[arg(long, requires = "certificate")]
        title: Option<String>,
        /// Take it away: POPs show what their own files say.
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Show a domain's settings.
    Show {
        /// The domain.
        name: String,
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

impl DomainCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            DomainCommand::Add { name, account, settings, connection } => {
                let control = connection.open()?;
                let settings = match (settings.origin(), settings.shared()) {
                    (Some(origin), _) => settings.over(Settings::of_origin(origin))?,
                    (None, Some(shared)) => {
                        let primary: DomainRow =
                            control.get(&format!("/v1/domains/{}", encode(&shared))).await?;
                        settings.over(Settings::of_origin(primary.settings.origin))?
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
                let request = DomainRow { settings: settings.over(domain.settings)?, ..domain };
                let domain: DomainRow = control.call(Method::PUT, &path, Some(&request)).await?;
                tell(&connection, &domain, || format!("settings of {} changed", domain.name))
            }
            DomainCommand::Traffic { name, from, until, interval, connection } => {
                let mut path =
                    format!("/v1/domains/{}/traffic?interval_s={}", encode(&name), interval.seconds());
                for (word, time) in [("from", from), ("until", until)] {
                    if let Some(time) = time {
                        path.push_str(&format!("&{word}={}", encode(&time)));
                    }
                }
                let view: TrafficView = connection.open()?.get(&path).await?;
                tell(&connection, &view, || traffic_rows(&view).join("\n"))
            }
            DomainCommand::Certificate { name, certificate, key, title, remove, connection } => {
                let path = format!("/v1/domains/{}/certificate", encode(&name));
                if remove {
                    let () = connection.open()?.call(Method::DELETE, &path, None::<&()>).await?;
                    return tell(&connection, &json!({ "domain": name, "removed": true }), || {
                        format!("the certificate of {name} is taken away; POPs show what their files say")
                    });
                }
                let (Some(certificate), Some(key)) = (certificate, key) else {
                    let view: ServerCertificateView = connection.open()?.get(&path).await?;
                    return tell(&connection, &view, || certificate_rows(&view));
                };
                let request = ServerCertificateRequest {
                    certificate: text_of(&certificate)?,
                    key: text_of(&key)?,
                    title,
                };
                let view: ServerCertificateView =
                    connection.open()?.call(Method::PUT, &path, Some(&request)).await?;
                tell(&connection, &view, || certificate_rows(&view))
            }
            DomainCommand::Stop { name, connection } => stop(&name, true, &connection).await,
            DomainCommand::Start { name, connection } => stop(&name, false, &connection).await,
            DomainCommand::Show { name, connection } => {
                let domain: DomainRow =
                    connection.open()?.get(&format!("/v1/domains/{}", encode(&name))).await?;
                tell(&connection, &domain, || {
                    let owner = domain.account.as_deref().unwrap_or_default();
                    let head = format!("{}  account {owner}", domain.name);
                    let rows = settings_rows(&domain.settings);
                    let rows = rows.into_iter().map(|(name, value)| format!("  {name:<24}{value}"));
                    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
                })
            }
            DomainCommand::List { connection } => {
                let open = |list: DomainList| (list.domains, list.next);
                let (domains, _) = connection.open()?.list("/v1/domains?", usize::MAX, open).await?;
                let list = DomainList { domains, next: None };
                let row = |domain: &DomainRow| {
                    let shares = domain.settings.share_cache.as_ref();
                    let shares = shares.map_or(String::new(), |with| format!("  shares the cache of {with}"));
                    let account = domain.account.as_deref().unwrap_or_default();
                    let stopped = if domain.settings.stopped { "  stopped" } else { "" };
                    format!(
                        "{:<32} from {:<24} account {account}{shares}{stopped}",
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

/// Stops a domain, or starts it again.
async fn stop(name: &str, stopped: bool, connection: &Connection) -> Result<Outcome, ClientError> {
    let control = connection.open()?;
    let path = format!("/v1/domains/{}", encode(name));
    let mut domain: DomainRow = control.get(&path).await?;
    domain.settings.stopped = stopped;
    let domain: DomainRow = control.call(Method::PUT, &path, Some(&domain)).await?;
    tell(connection, &domain, || {
        let now = if stopped { "stopped: its viewers get 403" } else { "served" };
        format!("{} is {now}", domain.name)
    })
}

/// A file of PEM.
fn text_of(path: &Path) -> Result<String, ClientError> {
    let bytes = super::file::read(path, PEM_BYTES_MAX)?;
    String::from_utf8(bytes)
        .map_err(|_| ClientError::Usage(format!("{}: this is no PEM, which is text", path.display())))
}

fn certificate_rows(view: &ServerCertificateView) -> String {
    let title = view.title.as_deref().map(|title| format!("\n  title   {title}")).unwrap_or_default();
    let (names, until) = (view.names.join(", "), timestamp::format(view.expires_ms.div_euclid(1_000)));
    format!("certificate of {}{title}\n  names   {names}\n  until   {until}", view.domain)
}

/// How long a row of traffic is.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Interval {
    /// Five minutes.
    #[value(name = "5m")]
    FiveMinutes,
    /// An hour.
    #[value(name = "1h")]
    Hour,
    /// A day, of UTC.
    #[value(name = "1d")]
    Day,
}

impl Interval {
    fn seconds(self) -> u32 {
        match self {
            Interval::FiveMinutes => 300,
            Interval::Hour => 3_600,
            Interval::Day => 86_400,
        }
    }
}

/// A row for each interval with traffic, and one for all.
fn traffic_rows(view: &TrafficView) -> Vec<String> {
    let row = |name: &str, traffic: &Traffic| {
        let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        format!(
            "{name:<22}{:>12}{:>16}{:>9.2}{:>14}{:>16}",
            traffic.requests,
            traffic.bytes,
            share(traffic.hit_bytes, traffic.bytes),
            traffic.origin_requests,
            traffic.origin_bytes
        )
    };
    let heads = ("requests", "bytes", "hit %", "from origin", "origin bytes");
    let mut rows = vec![format!(
        "{:<22}{:>12}{:>16}{:>9}{:>14}{:>16}",
        view.domain, heads.0, heads.1, heads.2, heads.3, heads.4
    )];
    let any = view.points.iter().filter(|point| !point.traffic.is_none());
    rows.extend(any.map(|point| row(&point.at, &point.traffic)));
    rows.push(row("total", &view.total.traffic));
    if view.total.price.origin_cost.is_some() {
        rows.push(format!("from origins{}", view.total.price));
    }
    rows
}
