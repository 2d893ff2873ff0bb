//! Domains and their settings.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use freshen_control::{DomainRecord, ManageError, NewServerCertificate, ServerCertificate};
use freshen_model::rights::Right;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::ApiError;
use super::page::Page;
use super::signed::{Name, SignedRequest};
use super::wire::{DomainList, DomainRow, ErrorCode, ServerCertificateRequest, ServerCertificateView};
use crate::router::Api;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// With this in their name.
    text: Option<String>,
    /// Rows of a page, 1 to 100; 20 if not said.
    limit: Option<u64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

pub(super) async fn list(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<DomainList>, ApiError> {
    let caller = request.may(Right::Read)?;
    let Wanted { text, limit, cursor } = request.query()?;
    let page = Page::<String>::of("domains", limit, cursor.as_deref())?;
    let (confines, behind) = (caller.confines(), page.place.as_deref());
    let mut found = api.control.domains_behind(confines, text.as_deref(), behind, page.limit).await?;
    // A key of some domains gets short pages, maybe empty ones; they lead to the last all the same.
    found.rows.retain(|domain| caller.rights.reach(&domain.name));
    Ok(Json(DomainList { domains: found.rows.into_iter().map(row).collect(), next: page.next(found.next)? }))
}

pub(super) async fn one(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<DomainRow>, ApiError> {
    Ok(Json(row(readable(&api, &request, &name).await?)))
}

/// The domain of that name, if the caller may read it.
pub(super) async fn readable(
    api: &Api,
    request: &SignedRequest,
    name: &str,
) -> Result<DomainRecord, ApiError> {
    let caller = request.may(Right::Read)?;
    let domain = api.control.own_domain(caller.confines(), name).await?;
    match caller.rights.reach(&domain.name) {
        true => Ok(domain),
        false => Err(ApiError::not_found("domain", &domain.name)),
    }
}

pub(super) async fn add(State(api): State<Api>, request: SignedRequest) -> Result<Json<DomainRow>, ApiError> {
    // A domain names an origin, and with it where POPs connect to: that is for the operator to say.
    request.admin()?;
    let DomainRow { name, account, settings } = request.json()?;
    let account = account.unwrap_or_else(|| request.caller.account.clone());
    Ok(Json(row(api.control.add_domain(&account, &name, &settings).await.map_err(of_settings)?)))
}

pub(super) async fn set(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<DomainRow>, ApiError> {
    let mut body: DomainRow = request.json()?;
    let confines = request.may(Right::Admin)?.confines();
    let domain = api.control.own_domain(confines, &name).await?;
    let unfit = |why: String| Err(ApiError::new(ErrorCode::Unfit, why));
    if body.name != domain.name {
        return unfit(format!(
            "the path names {}, the body {:?}; a domain keeps its name",
            domain.name, body.name
        ));
    }
    if body.account.is_some_and(|account| account != domain.account) {
        return unfit(format!("{} is {}'s; a domain keeps its account", domain.name, domain.account));
    }
    body.settings.keep_secrets(&domain.settings);
    if !body.settings.origins().eq(domain.settings.origins()) {
        request.admin()?;
    }
    Ok(Json(row(api.control.set_domain(confines, &name, &body.settings).await.map_err(of_settings)?)))
}

pub(super) async fn remove(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<StatusCode, ApiError> {
    api.control.remove_domain(request.may(Right::Admin)?.confines(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn certificate(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<ServerCertificateView>, ApiError> {
    let domain = readable(&api, &request, &name).await?;
    let certificate = api.control.server_certificate(Some(&domain.account), &domain.name).await?;
    Ok(Json(certificate_view(certificate)))
}

pub(super) async fn set_certificate(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<ServerCertificateView>, ApiError> {
    let ServerCertificateRequest { certificate: chain, key, title } = request.json()?;
    let confines = request.may(Right::Admin)?.confines();
    let new = NewServerCertificate { title, chain, key };
    Ok(Json(certificate_view(api.control.set_server_certificate(confines, &name, new).await?)))
}

pub(super) async fn remove_certificate(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<StatusCode, ApiError> {
    api.control.remove_server_certificate(request.may(Right::Admin)?.confines(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn certificate_view(certificate: ServerCertificate) -> ServerCertificateView {
    let seconds = i64::try_from(certificate.until_s).unwrap_or(i64::MAX);
    ServerCertificateView {
        domain: certificate.domain,
        title: certificate.title,
        certificate: certificate.chain,
        names: certificate.names,
        expires_ms: seconds.saturating_mul(1_000),
        set_ms: certificate.set_ms,
    }
}

/// What cannot be of a domain, by the name that it has in the body.
fn of_settings(error: ManageError) -> ApiError {
    let field = match &error {
        ManageError::Unfit { field: "domain", .. } => Some("name".to_owned()),
        ManageError::Unfit { field, .. } => Some(format!("settings.{field}")),
        _ => None,
    };
    field.into_iter().fold(error.into(), ApiError::of_field)
}

/// A domain as it is shown: without its secrets, which are told to nobody again.
fn row(mut domain: DomainRecord) -> DomainRow {
    domain.settings.withhold_secrets();
    DomainRow { name: domain.name, account: Some(domain.account), settings: domain.settings }
}
