//! The console: what people see and do in a browser, at `/ui/`.
//!
//! Pages are made here, on the server; without scripts every form still works, and htmx makes them livelier. `Person`
//! says who asks and what that person may do, `Sent` that a form comes from a page of ours.
//!
//! **Invariant:** the console is one more client of control's services and decides nothing itself. It shows nothing to
//! whom it does not know, changes nothing but by a POST of a page of its own, keeps who did it, and makes a browser load
//! nothing from elsewhere.

mod accounts;
mod assets;
mod chart;
mod check;
mod domains;
mod fields;
mod fleet;
mod layout;
mod library;
mod me;
mod moment;
mod overview;
mod person;
mod records;
mod refresh;
mod refused;
mod sent;
mod sign_in;
mod trail;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Redirect, Response};
use axum::routing::{get, post};
use freshen_control::Control;
use freshen_model::order::Steer;
use tokio_util::sync::CancellationToken;

use overview::Statuses;
use person::Person;
use records::record::steer;
use refused::Refused;

/// Own scripts and styles, both as files: nothing inline, nothing from elsewhere, no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every handler needs.
#[derive(Clone)]
struct Console(Arc<Parts>);

struct Parts {
    control: Arc<Control>,
    /// Whether browsers reach it by https only.
    https: bool,
    /// The name of the session's cookie. Cookies know no ports, so each installation has its own.
    cookie: String,
    statuses: Statuses,
    /// Ends what would go on for as long as somebody looks.
    stop: CancellationToken,
}

impl Console {
    fn control(&self) -> &Arc<Control> {
        &self.0.control
    }
}

/// The console's paths, all below `/ui`. `https`: browsers reach it by https only. Live pages end once `stop` is cancelled.
///
/// Addresses of browsers are those that requests carry as `ConnectInfo<SocketAddr>`; without it nobody enters by a link.
pub fn router(control: Arc<Control>, https: bool, stop: CancellationToken) -> Router {
    let log = control.log_id().to_string();
    let cookie = format!("freshen_{}", log.chars().take(12).collect::<String>());
    let statuses = Statuses::new(control.clone());
    let console = Console(Arc::new(Parts { control, https, cookie, statuses, stop }));
    Router::new()
        .route("/ui", get(async || Redirect::permanent("/ui/")))
        .route("/ui/", get(overview::page))
        .route("/ui/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/ui/sign-out", post(sign_in::sign_out))
        .route("/ui/enter", get(sign_in::enter))
        .route("/ui/me", get(me::page).post(me::change))
        .route("/ui/refresh", get(async || Redirect::to("/ui/refresh/purge")))
        .route("/ui/refresh/purge", get(refresh::purge::page).post(refresh::purge::submit))
        .route("/ui/refresh/purge/look", post(refresh::purge::look))
        .route("/ui/refresh/purge/preview", post(refresh::purge::preview))
        .route("/ui/refresh/prefetch", get(refresh::prefetch::page).post(refresh::prefetch::submit))
        .route("/ui/refresh/prefetch/look", post(refresh::prefetch::look))
        .route("/ui/refresh/prefetch/preview", post(refresh::prefetch::preview))
        .route("/ui/refresh/records", get(records::list::page))
        .route("/ui/refresh/records/live", get(records::live::list))
        .route("/ui/refresh/records/{id}", get(records::record::page))
        .route("/ui/refresh/records/{id}/live", get(records::live::record))
        .route("/ui/refresh/records/{id}/receipt.json", get(records::record::receipt))
        .route("/ui/refresh/records/{id}/pause", post(|a, b, c| steer(Steer::Pause, a, b, c)))
        .route("/ui/refresh/records/{id}/resume", post(|a, b, c| steer(Steer::Resume, a, b, c)))
        .route("/ui/refresh/records/{id}/cancel", post(|a, b, c| steer(Steer::Cancel, a, b, c)))
        .route("/ui/check", get(check::page))
        .route("/ui/fleet", get(fleet::page))
        .route("/ui/fleet/pops", get(fleet::part))
        .route("/ui/domains", get(domains::list))
        .route("/ui/domains/new", get(domains::new).post(domains::add))
        .route("/ui/domains/{name}", get(domains::one).post(domains::set))
        .route("/ui/domains/{name}/remove", post(domains::remove))
        .route("/ui/library", get(library::page).post(library::add))
        .route("/ui/library/remove", post(library::remove))
        .route("/ui/quotas", get(accounts::quotas))
        .route("/ui/accounts", get(accounts::list).post(accounts::add))
        .route("/ui/accounts/{name}", get(accounts::one))
        .route("/ui/accounts/{name}/limits", post(accounts::set_limits))
        .route("/ui/accounts/{name}/keys", post(accounts::add_key))
        .route("/ui/accounts/{name}/keys/disable", post(accounts::disable_key))
        .route("/ui/users", get(users::page).post(users::add))
        .route("/ui/users/password", post(users::set_password))
        .route("/ui/users/remove", post(users::remove))
        .route("/ui/trail", get(trail::page))
        .route("/ui/assets/{name}", get(assets::one))
        .route("/ui/{*rest}", get(no_page))
        .layer(axum::middleware::map_response(guarded))
        .with_state(console)
}

async fn no_page(_: Person) -> Refused {
    Refused::NotFound("page")
}

/// What every answer says to the browser.
async fn guarded(mut response: Response) -> Response {
    let fields: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: under that a browser would not say either which origin a form is from.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fields {
        // What is there is better known by who put it there.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
