//! The API of Freshen itself, at `/v1`: JSON, signed with ACS3-HMAC-SHA256 over the real path, or with a bearer token.
//!
//! The action and version that the scheme's headers name are free text here; method and path say what is meant. Accounts
//! see and manage their own domains, tasks and keys; admins everybody's, and accounts and POPs too. What is another
//! account's is answered exactly like what is not there.

mod accounts;
mod callbacks;
mod domains;
mod error;
mod events;
mod media;
mod media_jobs;
pub mod openapi;
mod page;
mod pops;
mod signed;
mod tasks;
mod traffic;
mod users;
pub mod wire;

use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::{self, any};
use freshen_model::certificate::{CertificateFile, Keys};
use freshen_model::expand::PrefetchDryRun;
use freshen_model::media_job::MediaJob;
use freshen_model::quota::Limits;

use crate::router::Api;
use error::ApiError;
use openapi::{Operation, delete, get, post, put};
use page::Paging;
use wire::{
    AccountList, AccountRow, CallbackList, CallbackSecretView, CheckView, DomainList, DomainRow, DryRunView,
    ErrorCode, KeyList, KeyRequest, MediaJobList, NewBearerToken, NewKey, NewPop, NewToken, NewUser,
    NotifyView, PasswordRequest, PopList, PopRequest, PrefetchRequest, PurgeRequest, QuotaView,
    ServerCertificateRequest, ServerCertificateView, StreamList, StreamsRequest, TaskList, TaskView,
    TokenRequest, TrafficView, UserList, UserRequest,
};

/// Where a domain's certificate is.
const CERTIFICATE: &str = "/v1/domains/{name}/certificate";

/// Everything that `/v1` does: the router and the document are made of this.
fn operations() -> Vec<Operation> {
    vec![
        post("/v1/purge", "purge", "Purge on every POP", tasks::purge)
            .takes::<PurgeRequest>()
            .gives::<TaskView>(),
        post("/v1/purge/dry-run", "dryRun", "Ask every POP what a purge would match", tasks::dry_run)
            .takes::<PurgeRequest>()
            .gives::<DryRunView>(),
        post("/v1/prefetch", "prefetch", "Fetch into every POP before viewers ask", tasks::prefetch)
            .takes::<PrefetchRequest>()
            .gives::<TaskView>(),
        post(
            "/v1/prefetch/dry-run",
            "expandPrefetch",
            "Ask what a prefetch leads to",
            tasks::prefetch_dry_run,
        )
        .takes::<PrefetchRequest>()
        .gives::<PrefetchDryRun>(),
        get("/v1/tasks", "listTasks", "List tasks, the newest first", tasks::list)
            .asks::<tasks::Wanted>()
            .gives::<TaskList>(),
        get("/v1/tasks/{id}", "getTask", "Read a task, or wait until it has changed", tasks::one)
            .asks::<tasks::Wait>()
            .gives::<TaskView>(),
        get("/v1/tasks/{id}/events", "followTask", "Follow a task to its end", events::of_task)
            .asks::<events::Wanted>()
            .tells::<TaskView>(),
        get("/v1/events", "followTasks", "Follow all tasks that the caller sees", events::of_tasks)
            .tells::<TaskView>(),
        post("/v1/tasks/{id}/pause", "pauseTask", "Pause a prefetch that runs", tasks::pause)
            .gives::<TaskView>(),
        post("/v1/tasks/{id}/resume", "resumeTask", "Let a prefetch that is paused go on", tasks::resume)
            .gives::<TaskView>(),
        post(
            "/v1/tasks/{id}/cancel",
            "cancelTask",
            "Cancel a task that is pending, or a prefetch that runs",
            tasks::cancel,
        )
        .gives::<TaskView>(),
        get(
            "/v1/tasks/{id}/receipt",
            "getReceipt",
            "Read the certificate of a complete purge",
            tasks::receipt,
        )
        .asks::<tasks::ReceiptWait>()
        .gives::<CertificateFile>(),
        get("/v1/receipt-keys", "listReceiptKeys", "Read the keys of certificates", tasks::receipt_keys)
            .gives::<Keys>(),
        get("/v1/quota", "getQuota", "Read what is left today", tasks::quota).gives::<QuotaView>(),
        get("/v1/check", "check", "Ask every POP what a viewer would get now", tasks::check)
            .asks::<tasks::Question>()
            .gives::<CheckView>(),
        get("/v1/media", "listMedia", "List the streams of the media library", media::list)
            .asks::<media::Wanted>()
            .gives::<StreamList>(),
        post("/v1/media", "addMedia", "Add streams to the media library", media::add)
            .takes::<StreamsRequest>(),
        delete("/v1/media/{id}", "removeMedia", "Remove a medium with its streams", media::remove),
        get("/v1/media-jobs", "listMediaJobs", "List media jobs, the newest first", media_jobs::list)
            .asks::<Paging>()
            .gives::<MediaJobList>(),
        get("/v1/media-jobs/{id}", "getMediaJob", "Read a media job", media_jobs::one).gives::<MediaJob>(),
        get("/v1/callbacks", "listCallbacks", "List callbacks and what became of them", callbacks::list)
            .asks::<Paging>()
            .gives::<CallbackList>(),
        get(
            "/v1/callback-secret",
            "getCallbackSecret",
            "Read what callbacks are signed with",
            callbacks::secret,
        )
        .gives::<CallbackSecretView>(),
        get("/v1/pops", "listPops", "List POPs", pops::list).asks::<Paging>().gives::<PopList>(),
        post("/v1/pops", "addPop", "Register a POP (admins)", pops::add)
            .takes::<PopRequest>()
            .gives::<NewPop>(),
        delete("/v1/pops/{id}", "removePop", "Remove a POP (admins)", pops::remove).asks::<pops::Removal>(),
        get("/v1/accounts", "listAccounts", "List accounts (admins)", accounts::list)
            .asks::<Paging>()
            .gives::<AccountList>(),
        post("/v1/accounts", "addAccount", "Add an account (admins)", accounts::add)
            .takes::<AccountRow>()
            .gives::<AccountRow>(),
        get("/v1/accounts/{name}", "getAccount", "Read an account", accounts::one).gives::<AccountRow>(),
        put(
            "/v1/accounts/{name}/limits",
            "setLimits",
            "Change an account's limits (admins)",
            accounts::set_limits,
        )
        .takes::<Limits>()
        .gives::<AccountRow>(),
        get("/v1/accounts/{name}/notify", "getNotify", "Read where ends of tasks are told", accounts::notify)
            .gives::<NotifyView>(),
        put(
            "/v1/accounts/{name}/notify",
            "setNotify",
            "Change where ends of tasks are told",
            accounts::set_notify,
        )
        .takes::<NotifyView>(),
        get("/v1/users", "listUsers", "List who may sign in to the console (admins)", users::list)
            .gives::<UserList>(),
        post("/v1/users", "addUser", "Add somebody who may sign in (admins)", users::add)
            .takes::<UserRequest>()
            .gives::<NewUser>(),
        delete("/v1/users/{name}", "removeUser", "Remove somebody who may sign in (admins)", users::remove),
        put(
            "/v1/users/{name}/password",
            "setPassword",
            "Give somebody another password (admins)",
            users::set_password,
        )
        .takes::<PasswordRequest>()
        .gives::<NewUser>(),
        get("/v1/keys", "listKeys", "List keys without their secrets", accounts::list_keys)
            .asks::<accounts::WantedKeys>()
            .gives::<KeyList>(),
        post("/v1/keys", "addKey", "Make an access key", accounts::add_key)
            .takes::<KeyRequest>()
            .gives::<NewKey>(),
        post("/v1/tokens", "addToken", "Make temporary credentials", accounts::add_token)
            .takes::<TokenRequest>()
            .gives::<NewToken>(),
        post("/v1/bearer-tokens", "addBearerToken", "Make a bearer token", accounts::add_bearer)
            .takes::<TokenRequest>()
            .gives::<NewBearerToken>(),
        post("/v1/keys/{id}/disable", "disableKey", "Disable a key or a bearer token", accounts::disable_key),
        get("/v1/domains", "listDomains", "List domains", domains::list)
            .asks::<domains::Wanted>()
            .gives::<DomainList>(),
        post("/v1/domains", "addDomain", "Add a domain (admins)", domains::add)
            .takes::<DomainRow>()
            .gives::<DomainRow>(),
        get("/v1/domains/{name}", "getDomain", "Read a domain's settings", domains::one).gives::<DomainRow>(),
        put("/v1/domains/{name}", "setDomain", "Change a domain's settings", domains::set)
            .takes::<DomainRow>()
            .gives::<DomainRow>(),
        delete("/v1/domains/{name}", "removeDomain", "Remove a domain", domains::remove),
        get(CERTIFICATE, "getCertificate", "Read a domain's certificate", domains::certificate)
            .gives::<ServerCertificateView>(),
        put(CERTIFICATE, "setCertificate", "Set the certificate of a domain", domains::set_certificate)
            .takes::<ServerCertificateRequest>()
            .gives::<ServerCertificateView>(),
        delete(
            CERTIFICATE,
            "removeCertificate",
            "Remove a domain's certificate",
            domains::remove_certificate,
        ),
        get("/v1/domains/{name}/traffic", "getTraffic", "Read a domain's traffic", traffic::of)
            .asks::<traffic::Wanted>()
            .gives::<TrafficView>(),
    ]
}

pub(crate) fn routes() -> Router<Api> {
    openapi::routed(operations())
        .route("/v1/openapi.json", routing::get(openapi::serve))
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
