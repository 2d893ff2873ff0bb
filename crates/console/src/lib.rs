//! What people see of control in a browser: one status page, at `/ui/`.
//!
//! **Invariant:** the console changes nothing. Without a sign-in there is no account, so its page shows the fleet's health
//! and counts, and no URL, domain, task or account; and it makes a browser fetch nothing from anywhere else.

mod page;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use freshen_control::Control;

use status::Statuses;

/// Nothing but the page's own style sheet: no script, no picture, no frame, no form.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The console's paths, all below `/ui`.
pub fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/ui", get(async || Redirect::permanent("/ui/")))
        .route("/ui/", get(status_page))
        .route("/ui/freshen.css", get(style_sheet))
        .route("/ui/{*rest}", get(no_page))
        .with_state(Arc::new(Statuses::new(control)))
}

async fn status_page(State(statuses): State<Arc<Statuses>>) -> impl IntoResponse {
    (HEADERS, page::status(&statuses.now().await))
}

async fn style_sheet() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], HEADERS, include_str!("freshen.css"))
}

async fn no_page() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, HEADERS, page::no_page())
}
