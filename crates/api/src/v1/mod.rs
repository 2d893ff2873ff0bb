//! The API of Freshen itself, at `/v1`: JSON, signed with ACS3-HMAC-SHA256 over the real path, or with a bearer token.
//!
//! The action and version that the scheme's headers name are free text here; method and path say what is meant. Accounts
//! see and manage their own domains, tasks and keys; admins everybody's, and accounts and POPs too. What is another
//! account's is answered exactly like what is not there.

mod accounts;
mod domains;
mod error;
mod events;
mod media;
mod page;
mod pops;
mod signed;
mod tasks;
mod users;
pub mod wire;

use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::{any, get, post, put};

use crate::router::Api;
use error::ApiError;
use wire::ErrorCode;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/purge", post(tasks::purge))
        .route("/v1/purge/dry-run", post(tasks::dry_run))
        .route("/v1/prefetch", post(tasks::prefetch))
        .route("/v1/tasks", get(tasks::list))
        .route("/v1/tasks/{id}", get(tasks::one))
        .route("/v1/tasks/{id}/events", get(events::of_task))
        .route("/v1/events", get(events::of_tasks))
        .route("/v1/tasks/{id}/cancel", post(tasks::cancel))
        .route("/v1/tasks/{id}/receipt", get(tasks::receipt))
        .route("/v1/receipt-keys", get(tasks::receipt_keys))
        .route("/v1/quota", get(tasks::quota))
        .route("/v1/check", get(tasks::check))
        .route("/v1/media", get(media::list).post(media::add))
        .route("/v1/media/{id}", axum::routing::delete(media::remove))
        .route("/v1/pops", get(pops::list).post(pops::add))
        .route("/v1/pops/{id}", axum::routing::delete(pops::remove))
        .route("/v1/accounts", get(accounts::list).post(accounts::add))
        .route("/v1/accounts/{name}", get(accounts::one))
        .route("/v1/accounts/{name}/limits", put(accounts::set_limits))
        .route("/v1/users", get(users::list).post(users::add))
        .route("/v1/users/{name}", axum::routing::delete(users::remove))
        .route("/v1/users/{name}/password", put(users::set_password))
        .route("/v1/keys", get(accounts::list_keys).post(accounts::add_key))
        .route("/v1/tokens", post(accounts::add_token))
        .route("/v1/bearer-tokens", post(accounts::add_bearer))
        .route("/v1/keys/{id}/disable", post(accounts::disable_key))
        .route("/v1/domains", get(domains::list).post(domains::add))
        .route("/v1/domains/{name}", get(domains::one).put(domains::set).delete(domains::remove))
        .method_not_allowed_fallback(bad_method)
        .route("/v1", any(not_found))
        .route("/v1/", any(not_found))
        .route("/v1/{*rest}", any(not_found))
}

async fn bad_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorCode::BadMethod, format!("{} does not take {method}", uri.path()))
}

async fn not_found(uri: Uri) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("no path {}", uri.path()))
}
