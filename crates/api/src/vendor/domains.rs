//! Domains in the vendor's terms: a list, one of them, and its origins.

use freshen_control::{Control, DomainRecord, ManageError, NewServerCertificate, ServerCertificate};
use freshen_ledger::{Error, Refusal};
use freshen_model::domain::{Origin, Settings};
use serde::{Deserialize, Serialize};

use super::functions::{asked_for, configured};
use super::{Action, ErrorKind, Function, Params, Reply, VendorError, refusals};
use crate::gate::Caller;

/// Rows a page, if not said and at most.
const PAGE_SIZE_DEFAULT: u32 = 20;
const PAGE_SIZE_MAX: u32 = 50;
const PAGE_NUMBER_MAX: u32 = 100_000;
/// Domains of one call.
const NAMES_MAX: usize = 50;
/// What the vendor calls the first origin, and those behind it.
const PRIORITY_FIRST: u32 = 20;
const PRIORITY_BACKUP: u32 = 30;

/// A call about domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainCall {
    /// Add a domain with these origins.
    Add(String, Vec<Origin>),
    /// Change a domain's origins.
    Update(String, Vec<Origin>),
    /// Remove a domain.
    Delete(String),
    /// Start these domains, or stop them.
    Stop(Vec<String>, bool),
    /// Configure these domains.
    Configure(Vec<String>, Vec<Function>),
    /// Set a domain's certificate, or take it away.
    Certificate(String, Option<NewServerCertificate>),
    /// Tell how these functions of a domain are configured, or all.
    Configs(String, Vec<String>),
    /// Tell of one domain.
    Detail(String),
    /// List domains.
    List(DomainQuery),
}

/// A filter and a page of the list of domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainQuery {
    name: Option<String>,
    search: Search,
    status: Option<Status>,
    page_number: u32,
    page_size: u32,
}

/// Where a domain stands. The vendor has more words, for states in which no domain is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Online,
    Offline,
    Other,
}

impl Status {
    fn of(settings: &Settings) -> Status {
        if settings.stopped { Status::Offline } else { Status::Online }
    }

    fn word(settings: &Settings) -> &'static str {
        if settings.stopped { "offline" } else { "online" }
    }
}

/// How a name is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    Contains,
    Begins,
    Ends,
    Is,
}

impl DomainCall {
    /// Reads the parameters of an action about domains.
    pub(super) fn parse(action: Action, params: &Params) -> Result<DomainCall, VendorError> {
        let name = || {
            let name = params.text("DomainName").ok_or(ErrorKind::MissingParameter("DomainName"))?;
            Ok::<_, VendorError>(name.to_ascii_lowercase())
        };
        Ok(match action {
            Action::AddVodDomain => DomainCall::Add(name()?, sources(params)?),
            Action::UpdateVodDomain => DomainCall::Update(name()?, sources(params)?),
            Action::DeleteVodDomain => DomainCall::Delete(name()?),
            Action::BatchStartVodDomain => DomainCall::Stop(names(params)?, false),
            Action::BatchStopVodDomain => DomainCall::Stop(names(params)?, true),
            Action::BatchSetVodDomainConfigs => {
                DomainCall::Configure(names(params)?, Function::parse(params)?)
            }
            Action::SetVodDomainSSLCertificate => {
                DomainCall::Certificate(name()?, server_certificate(params)?)
            }
            Action::DescribeVodDomainConfigs => DomainCall::Configs(name()?, asked_for(params)),
            Action::DescribeVodDomainDetail => DomainCall::Detail(name()?),
            _ => DomainCall::List(DomainQuery::parse(params)?),
        })
    }
}

impl DomainQuery {
    fn parse(params: &Params) -> Result<DomainQuery, VendorError> {
        let search = match params.text("DomainSearchType") {
            None | Some("fuzzy_match") => Search::Contains,
            Some("pre_match") => Search::Begins,
            Some("suf_match") => Search::Ends,
            Some("full_match") => Search::Is,
            Some(_) => return Err(ErrorKind::invalid("DomainSearchType").into()),
        };
        let status = match params.text("DomainStatus") {
            None => None,
            Some("online") => Some(Status::Online),
            Some("offline") => Some(Status::Offline),
            Some("configuring" | "configure_failed" | "checking" | "check_failed") => Some(Status::Other),
            Some(_) => return Err(ErrorKind::invalid("DomainStatus").into()),
        };
        Ok(DomainQuery {
            name: params.text("DomainName").map(str::to_ascii_lowercase),
            search,
            status,
            page_number: params.positive("PageNumber", PAGE_NUMBER_MAX)?.unwrap_or(1),
            page_size: params.positive("PageSize", PAGE_SIZE_MAX)?.unwrap_or(PAGE_SIZE_DEFAULT),
        })
    }

    fn fits(&self, domain: &DomainRecord) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        let (is, domain) = (Status::of(&domain.settings), &domain.name);
        self.status.is_none_or(|status| status == is)
            && match self.search {
                Search::Contains => domain.contains(name),
                Search::Begins => domain.starts_with(name),
                Search::Ends => domain.ends_with(name),
                Search::Is => domain == name,
            }
    }
}

/// One origin, as it is sent.
#[derive(Deserialize)]
struct Source {
    content: String,
    #[serde(default)]
    port: Option<Number>,
    #[serde(default)]
    priority: Option<Number>,
}

/// Some send numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    pub(super) fn value(&self) -> Option<u64> {
        match self {
            Number::Number(number) => Some(*number),
            Number::Text(text) => text.parse().ok(),
        }
    }
}

/// The origins of `Sources`, those of the first priority first. Port 443 is TLS, as with the vendor.
fn sources(params: &Params) -> Result<Vec<Origin>, VendorError> {
    let text = params.text("Sources").ok_or(ErrorKind::MissingParameter("Sources"))?;
    let malformed = |why: String| ErrorKind::Malformed("Sources").because(why);
    let expected =
        r#"expected a JSON array like [{"content":"192.0.2.1","type":"ipaddr","priority":"20","port":80}]"#;
    let sources: Vec<Source> = serde_json::from_str(text).map_err(|_| malformed(expected.into()))?;
    let mut origins = Vec::new();
    for source in &sources {
        let number = |number: &Option<Number>, default| match number {
            None => Ok(default),
            Some(number) => number.value().ok_or_else(|| malformed("a port or priority is no number".into())),
        };
        let (port, priority) = (number(&source.port, 80)?, number(&source.priority, PRIORITY_FIRST.into())?);
        let scheme = if port == 443 { "https" } else { "http" };
        let origin: Result<Origin, _> = format!("{scheme}://{}:{port}", source.content).parse();
        origins.push((priority, origin.map_err(|why| malformed(format!("{}: {why}", source.content)))?));
    }
    origins.sort_by_key(|(priority, _)| *priority);
    if origins.is_empty() {
        return Err(malformed("name at least one".into()));
    }
    Ok(origins.into_iter().map(|(_, origin)| origin).collect())
}

/// The domains of `DomainNames`, each once.
fn names(params: &Params) -> Result<Vec<String>, VendorError> {
    let text = params.text("DomainNames").ok_or(ErrorKind::MissingParameter("DomainNames"))?;
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(|name| name.trim().to_ascii_lowercase()) {
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() > NAMES_MAX {
            return Err(ErrorKind::Malformed("DomainNames").because(format!("at most {NAMES_MAX} domains")));
        }
    }
    Ok(names)
}

/// The certificate of `SSLPub` and `SSLPri`; `None` where there shall be none.
fn server_certificate(params: &Params) -> Result<Option<NewServerCertificate>, VendorError> {
    let text = |name: &'static str| params.text(name).ok_or(ErrorKind::MissingParameter(name));
    if !matches!(params.text("CertType"), None | Some("upload")) {
        let why = "certificates are sent here, expected upload";
        return Err(ErrorKind::invalid("CertType").because(why));
    }
    let title = params.text("CertName").map(str::to_owned);
    match text("SSLProtocol")? {
        "on" => {
            let (chain, key) = (text("SSLPub")?.to_owned(), text("SSLPri")?.to_owned());
            Ok(Some(NewServerCertificate { title, chain, key }))
        }
        "off" => Ok(None),
        _ => Err(ErrorKind::invalid("SSLProtocol").because("expected on or off")),
    }
}

/// Does it.
pub(super) async fn perform(
    control: &Control,
    caller: &Caller,
    action: Action,
    call: DomainCall,
) -> Result<Reply, VendorError> {
    let own = async |name: &str| {
        let domain = control.own_domain(Some(&caller.account), name).await.map_err(refusal)?;
        match caller.rights.reach(&domain.name) {
            true => Ok(domain),
            false => Err(refusals::out_of_reach(caller, action, &domain.name)),
        }
    };
    // An origin is where POPs connect to: that is for the operator to say.
    let as_operator =
        || if caller.admin { Ok(()) } else { Err(refusals::denied(caller, action, action.right())) };
    match call {
        DomainCall::Add(name, origins) => {
            as_operator()?;
            let settings = with_origins(None, origins)?;
            control.add_domain(&caller.account, &name, &settings).await.map_err(refusal)?;
            Ok(Reply::Done {})
        }
        DomainCall::Update(name, origins) => {
            let domain = own(&name).await?;
            let settings = with_origins(Some(&domain.settings), origins)?;
            if !settings.origins().eq(domain.settings.origins()) {
                as_operator()?;
            }
            control.set_domain(Some(&caller.account), &name, &settings).await.map_err(refusal)?;
            Ok(Reply::Done {})
        }
        DomainCall::Delete(name) => {
            control.remove_domain(Some(&caller.account), &name).await.map_err(refusal)?;
            Ok(Reply::Done {})
        }
        DomainCall::Stop(names, stopped) => {
            for name in &names {
                own(name).await?;
            }
            let stop = |settings: &mut Settings| {
                settings.stopped = stopped;
                Ok(())
            };
            change(control, caller, &names, stop).await
        }
        DomainCall::Configure(names, functions) => {
            for name in &names {
                own(name).await?;
            }
            let configure = |settings: &mut Settings| {
                let before = settings.clone();
                functions.iter().try_for_each(|function| function.apply(settings))?;
                if settings.origins().eq(before.origins()) { Ok(()) } else { as_operator() }
            };
            change(control, caller, &names, configure).await
        }
        DomainCall::Certificate(name, new) => {
            let (name, account) = (own(&name).await?.name, Some(caller.account.as_str()));
            match new {
                Some(new) => control.set_server_certificate(account, &name, new).await.map(drop)?,
                // Off is off, also a second time.
                None if control.has_server_certificate(&name) => {
                    control.remove_server_certificate(account, &name).await?;
                }
                None => {}
            }
            Ok(Reply::Done {})
        }
        DomainCall::Configs(name, functions) => {
            Ok(Reply::DomainConfigs { domain_configs: configured(&own(&name).await?.settings, &functions) })
        }
        DomainCall::Detail(name) => {
            let domain = own(&name).await?;
            let certificate = match control.has_server_certificate(&domain.name) {
                true => Some(control.server_certificate(Some(&caller.account), &domain.name).await?),
                false => None,
            };
            Ok(Reply::DomainDetail { domain_detail: detail(domain, certificate) })
        }
        DomainCall::List(query) => {
            let mut domains = control.domains(Some(&caller.account)).await.map_err(refusals::of_ledger)?;
            domains.retain(|domain| query.fits(domain) && caller.rights.reach(&domain.name));
            let (number, size) = (query.page_number, query.page_size);
            let total_count = domains.len() as u64;
            let page = domains.into_iter().skip((number as usize - 1) * size as usize).take(size as usize);
            let domains = Domains { page_data: page.map(|domain| row(control, domain)).collect() };
            Ok(Reply::Domains { page_number: number, page_size: size, total_count, domains })
        }
    }
}

/// Changes domains, each checked before the first is changed.
async fn change(
    control: &Control,
    caller: &Caller,
    names: &[String],
    change: impl Fn(&mut Settings) -> Result<(), VendorError>,
) -> Result<Reply, VendorError> {
    control.change_domains(Some(&caller.account), names, change).await?;
    Ok(Reply::Done {})
}

/// The settings of before, or the defaults, with these origins; what is known of one that stays is kept.
fn with_origins(before: Option<&Settings>, origins: Vec<Origin>) -> Result<Settings, VendorError> {
    let known = |origin: Origin| {
        let same = |known: &&Origin| known.address == origin.address && known.tls == origin.tls;
        before.and_then(|before| before.origins().find(same).cloned()).unwrap_or(origin)
    };
    let mut origins = origins.into_iter().map(known);
    let first = origins.next().ok_or(ErrorKind::MissingParameter("Sources"))?;
    let backups: Vec<Origin> = origins.collect();
    Ok(match before {
        Some(before) => Settings { origin: first, backups, ..before.clone() },
        None => Settings { backups, ..Settings::of_origin(first) },
    })
}

impl From<ManageError> for VendorError {
    fn from(error: ManageError) -> VendorError {
        refusal(error)
    }
}

fn refusal(error: ManageError) -> VendorError {
    let detail = error.to_string();
    match error {
        ManageError::Unfit { field: "domain", .. } => ErrorKind::Malformed("DomainName").because(detail),
        ManageError::Unfit { field: "certificate", .. } => ErrorKind::Malformed("SSLPub").because(detail),
        ManageError::Unfit { field: "key", .. } => ErrorKind::Malformed("SSLPri").because(detail),
        ManageError::Unfit { field: "title", .. } => ErrorKind::Malformed("CertName").because(detail),
        ManageError::Unfit { .. } | ManageError::Ledger(Error::Refused(Refusal::Unfit(_))) => {
            ErrorKind::IllegalOperation.because(detail)
        }
        ManageError::Ledger(Error::Refused(Refusal::NotFound { .. })) => ErrorKind::DomainNotFound.into(),
        ManageError::Ledger(Error::Refused(Refusal::Exists { .. })) => ErrorKind::DomainExists.into(),
        ManageError::Ledger(error) => refusals::of_ledger(error),
        ManageError::NoRandom(_) => ErrorKind::InternalError.into(),
    }
}

// ---- answers; texts that nobody here knows are empty ----

/// The level of nesting around the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Domains {
    page_data: Vec<DomainRow>,
}

/// A domain of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DomainRow {
    domain_name: String,
    cname: &'static str,
    domain_status: &'static str,
    description: &'static str,
    ssl_protocol: &'static str,
    sandbox: &'static str,
    gmt_created: &'static str,
    gmt_modified: &'static str,
    sources: Sources,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DomainDetail {
    domain_name: String,
    cname: &'static str,
    domain_status: &'static str,
    description: &'static str,
    #[serde(rename = "SSLProtocol")]
    ssl_protocol: &'static str,
    gmt_created: &'static str,
    gmt_modified: &'static str,
    cert_name: String,
    #[serde(rename = "SSLPub")]
    ssl_pub: String,
    scope: &'static str,
    sources: Sources,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sources {
    source: Vec<SourceRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SourceRow {
    content: String,
    port: u32,
    priority: String,
    r#type: &'static str,
}

/// Whether control handed a certificate out; of files of the POPs it knows nothing.
fn ssl_protocol(certificate: bool) -> &'static str {
    if certificate { "on" } else { "off" }
}

fn row(control: &Control, domain: DomainRecord) -> DomainRow {
    DomainRow {
        ssl_protocol: ssl_protocol(control.has_server_certificate(&domain.name)),
        sources: source_rows(&domain.settings),
        domain_status: Status::word(&domain.settings),
        domain_name: domain.name,
        cname: "",
        description: "",
        sandbox: "normal",
        gmt_created: "",
        gmt_modified: "",
    }
}

fn detail(domain: DomainRecord, certificate: Option<ServerCertificate>) -> DomainDetail {
    let ssl_protocol = ssl_protocol(certificate.is_some());
    let (title, ssl_pub) = certificate.map(|its| (its.title, its.chain)).unwrap_or_default();
    DomainDetail {
        ssl_protocol,
        cert_name: title.unwrap_or_default(),
        ssl_pub,
        sources: source_rows(&domain.settings),
        domain_status: Status::word(&domain.settings),
        domain_name: domain.name,
        cname: "",
        description: "",
        gmt_created: "",
        gmt_modified: "",
        scope: "global",
    }
}

fn source_rows(settings: &Settings) -> Sources {
    let source = settings.origins().enumerate().map(|(at, origin)| {
        let (host, port) = origin.address.rsplit_once(':').unwrap_or((&origin.address, ""));
        let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        SourceRow {
            content: host.to_owned(),
            port: port.parse().unwrap_or_default(),
            priority: if at == 0 { PRIORITY_FIRST } else { PRIORITY_BACKUP }.to_string(),
            r#type: if is_address { "ipaddr" } else { "domain" },
        }
    });
    Sources { source: source.collect() }
}
