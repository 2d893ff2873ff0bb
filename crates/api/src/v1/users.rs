//! People who sign in to the console; admins manage them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use freshen_control::User;

use super::error::ApiError;
use super::signed::{Name, SignedRequest};
use super::wire::{NewUser, PasswordRequest, UserList, UserRequest, UserRow};
use crate::router::Api;

pub(super) async fn list(State(api): State<Api>, request: SignedRequest) -> Result<Json<UserList>, ApiError> {
    request.admin()?;
    Ok(Json(UserList { users: api.control.users().await?.into_iter().map(row).collect() }))
}

pub(super) async fn add(State(api): State<Api>, request: SignedRequest) -> Result<Json<NewUser>, ApiError> {
    request.admin()?;
    let UserRequest { name, account, role, password } = request.json()?;
    let account = account.unwrap_or_else(|| request.caller.account.clone());
    let given = password.is_some();
    let password = api.control.add_user(&name, &account, role, password).await?;
    told(&api, &name, password, given).await
}

pub(super) async fn set_password(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<Json<NewUser>, ApiError> {
    request.admin()?;
    let PasswordRequest { password } = request.json()?;
    let given = password.is_some();
    let password = api.control.set_password(&name, password).await?;
    told(&api, &name, password, given).await
}

pub(super) async fn remove(
    State(api): State<Api>,
    Name(name): Name,
    request: SignedRequest,
) -> Result<StatusCode, ApiError> {
    request.admin()?;
    api.control.remove_user(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The user, with the password where the caller does not know it.
async fn told(api: &Api, name: &str, password: String, given: bool) -> Result<Json<NewUser>, ApiError> {
    let user = api.control.user(name).await?.ok_or_else(|| ApiError::not_found("user", name))?;
    Ok(Json(NewUser { user: row(user), password: (!given).then_some(password) }))
}

fn row(user: User) -> UserRow {
    UserRow { name: user.name, account: user.account, role: user.role, created_ms: user.created_ms }
}
