//! Accounts, their limits, and access keys.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use freshen_control::{Account, NewBearer};
use freshen_ledger::AccessKey;
use freshen_model::quota::Limits;
use freshen_model::rights::{Right, Rights};
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::ApiError;
use super::page::{Page, Paging};
use super::signed::{Name, SignedRequest};
use super::wire::{
    AccountList, AccountRow, ErrorCode, KeyKind, KeyList, KeyRequest, KeyRow, NewBearerToken, NewKey,
    NewToken, NotifyView, TokenRequest,
};
use crate::router::Api;

pub(super) async fn list(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<AccountList>, ApiError> {
    request.admin()?;
    let Paging { limit, cursor } = request.query()?;
    let page = Page::<String>::of("accounts", limit, cursor.as_deref())?;
    let found = api.control.accounts_behind(page.place.as_deref(), page.limit).await?;
    Ok(Json(AccountList {
        accounts: found.rows.into_iter().map(row).collect(),
        next: page.next(found.next)?,
    }))
}

pub(super) async fn one(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<AccountRow>, ApiError> {
    let caller = request.may(Right::Read)?;
    let own = caller.confines().is_none_or(|account| account == name);
    let account = if own { api.control.account(&name).await? } else { None };
    Ok(Json(row(account.ok_or_else(|| ApiError::not_found("account", &name))?)))
}

pub(super) async fn add(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<AccountRow>, ApiError> {
    request.admin()?;
    let AccountRow { name, admin, limits } = request.json()?;
    let mut account = api.control.add_account(&name, admin).await?;
    if limits != account.limits {
        api.control.set_limits(&name, limits).await?;
        account.limits = limits;
    }
    Ok(Json(row(account)))
}

pub(super) async fn set_limits(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<AccountRow>, ApiError> {
    request.admin()?;
    let limits: Limits = request.json()?;
    api.control.set_limits(&name, limits).await?;
    let account = api.control.account(&name).await?;
    Ok(Json(row(account.ok_or_else(|| ApiError::not_found("account", &name))?)))
}

pub(super) async fn notify(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<NotifyView>, ApiError> {
    request.may(Right::Read)?;
    let account = account_of(&request, Some(name))?;
    Ok(Json(NotifyView { notify: api.control.notify(&account).await? }))
}

pub(super) async fn set_notify(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<StatusCode, ApiError> {
    request.may(Right::Admin)?;
    let NotifyView { notify } = request.json()?;
    let account = account_of(&request, Some(name))?;
    api.control.set_notify(&account, notify.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn add_key(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<NewKey>, ApiError> {
    may_make_keys(&request)?;
    let KeyRequest { account, rights } = request.json()?;
    let account = account_of(&request, account)?;
    let rights = given(&request, rights)?;
    let key = api.control.add_key_with(&account, rights.clone()).await?;
    Ok(Json(NewKey { id: key.id, secret: key.secret, account, rights }))
}

pub(super) async fn add_token(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<NewToken>, ApiError> {
    may_make_keys(&request)?;
    let TokenRequest { account, rights, expires_s } = request.json()?;
    let account = account_of(&request, account)?;
    let rights = given(&request, rights)?;
    let token = api.control.issue(&account, rights, Duration::from_secs(expires_s)).await?;
    let (id, secret) = (token.key.id, token.key.secret);
    Ok(Json(NewToken { id, secret, security_token: token.token, account, expires_ms: token.expires_ms }))
}

pub(super) async fn add_bearer(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<NewBearerToken>, ApiError> {
    may_make_keys(&request)?;
    let TokenRequest { account, rights, expires_s } = request.json()?;
    let account = account_of(&request, account)?;
    let rights = given(&request, rights)?;
    let made = api.control.issue_bearer(&account, rights.clone(), Duration::from_secs(expires_s)).await?;
    let NewBearer { id, token, expires_ms } = made;
    Ok(Json(NewBearerToken { id, token, account, rights, expires_ms }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedKeys {
    /// Of this account; absent: of the caller's, for admins of all.
    account: Option<String>,
    /// Rows of a page, 1 to 100; 20 if not said.
    limit: Option<u64>,
    /// `next` of the page before.
    cursor: Option<String>,
}

pub(super) async fn list_keys(
    State(api): State<Api>,
    request: SignedRequest,
) -> Result<Json<KeyList>, ApiError> {
    let caller = request.may(Right::Admin)?;
    let WantedKeys { account, limit, cursor } = request.query()?;
    let page = Page::<String>::of("keys", limit, cursor.as_deref())?;
    let account = account.as_deref().or(caller.confines());
    if account.is_some_and(|account| account != caller.account) {
        request.admin()?;
    }
    let found = api.control.keys_behind(account, page.place.as_deref(), page.limit).await?;
    let row = |key: AccessKey| KeyRow {
        kind: match (&key.temporary, key.bearer) {
            (_, true) => KeyKind::Bearer,
            (Some(_), false) => KeyKind::Temporary,
            (None, false) => KeyKind::Key,
        },
        id: key.id,
        account: key.account,
        rights: key.rights,
        disabled: key.disabled,
        expires_ms: key.temporary.map(|temporary| temporary.expires_ms),
    };
    Ok(Json(KeyList { keys: found.rows.into_iter().map(row).collect(), next: page.next(found.next)? }))
}

/// Temporary credentials make no others, which might outlive them.
fn may_make_keys(request: &SignedRequest) -> Result<(), ApiError> {
    request.not_once()?;
    if request.may(Right::Admin)?.temporary {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "temporary credentials and bearer tokens make no keys, sign with an access key",
        ));
    }
    Ok(())
}

/// The rights that a new key gets: all, if not said. Nobody gives what he has not got.
fn given(request: &SignedRequest, rights: Option<Rights>) -> Result<Rights, ApiError> {
    let (rights, own) = (rights.unwrap_or_default(), &request.caller.rights);
    if rights.are_within(own) {
        return Ok(rights);
    }
    let beyond: Vec<&str> = rights.may.difference(&own.may).map(|right| right.as_str()).collect();
    let why = format!(
        "this access key has not the right {} itself and cannot give it: name the new key's rights, or ask with another key",
        beyond.join(", ")
    );
    Err(ApiError::new(ErrorCode::Forbidden, why).of_field("rights.may"))
}

/// The account that a key is for: the caller's, or any for an admin.
fn account_of(request: &SignedRequest, account: Option<String>) -> Result<String, ApiError> {
    let account = account.unwrap_or_else(|| request.caller.account.clone());
    if account != request.caller.account {
        request.admin()?;
    }
    Ok(account)
}

pub(super) async fn disable_key(
    State(api): State<Api>,
    Name(id): Name,
    request: SignedRequest,
) -> Result<StatusCode, ApiError> {
    request.may(Right::Admin)?;
    let key = api.control.key(&id).await?;
    let own = key.filter(|key| request.caller.confines().is_none_or(|account| account == key.account));
    let key = own.ok_or_else(|| ApiError::not_found("key", &id))?;
    api.control.disable_key(&key.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn row(account: Account) -> AccountRow {
    AccountRow { name: account.name, admin: account.admin, limits: account.limits }
}
