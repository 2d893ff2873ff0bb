//! Purges by the method PURGE at a POP's admin listener, for the clients that exist: plug-ins of content management
//! systems, and scripts.
//!
//! A POP purges nothing by itself. What is asked here goes to control as any client's purge does, with the one access key
//! that the POP's configuration names, and is for the whole fleet. The answer says whether the purge is complete.

mod asked;

use crate::client::connection::{ClientError, Control};
use crate::client::submit::wait;
use crate::client::task::pops_lines;
use asked::Asked;
use bytes::Bytes;
use freshen_api::v1::wire::{ErrorCode, PurgeRequest, TaskView};
use freshen_model::task::{Status, Task, TaskKind};
use freshen_pop::admin::AnswerPurge;
use freshen_pop::config::PurgeMethod as Config;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use indicatif::ProgressBar;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Purges under way at one time; each of them waits for control.
const PURGES_MAX: usize = 128;
/// How long control may take to accept a purge.
const SUBMIT_MAX: Duration = Duration::from_secs(10);
/// The task that was made of a purge.
const TASK_FIELD: &str = "freshen-task";

/// Answers requests with the method PURGE.
pub struct PurgeMethod {
    config: Config,
    control: Control,
    places: Semaphore,
}

/// Why nothing was purged, or nobody knows whether it was.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    /// What is wrong, and what to do instead.
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal { status, text: text.into() }
    }

    fn bad(text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }
}

impl PurgeMethod {
    /// With that key, at that control; an error where the endpoint cannot be.
    pub fn new(config: Config) -> anyhow::Result<PurgeMethod> {
        let (id, secret) = (config.access_key_id.clone(), config.access_key_secret.0.clone());
        let control = Control::at(&config.endpoint, id, secret);
        let control = control.map_err(|error| anyhow::anyhow!("purge_method.endpoint: {error}"))?;
        Ok(PurgeMethod { config, control, places: Semaphore::new(PURGES_MAX) })
    }

    /// As the POP calls it.
    pub fn hook(self) -> AnswerPurge {
        let this = Arc::new(self);
        Arc::new(move |head, from| {
            let this = this.clone();
            Box::pin(async move { this.answer(&head, from).await })
        })
    }

    async fn answer(&self, head: &Parts, from: IpAddr) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let json = accepts_json(&head.headers);
        let (status, task, text) = match self.purge(head, from, began).await {
            Ok(task) => {
                let (status, text) = tell(&task, began.elapsed());
                let body = if json { serde_json::to_string(&task).unwrap_or_default() } else { text };
                (status, Some(task.id), body)
            }
            Err(Refusal { status, text }) if json => {
                (status, None, serde_json::json!({ "error": { "message": text } }).to_string())
            }
            Err(Refusal { status, text }) => (status, None, format!("{text}\n")),
        };
        tracing::info!(%from, target = %head.uri, status = status.as_u16(), task = task.map(|id| id.0), "PURGE");
        metrics::counter!("freshen_pop_purge_requests_total", "status" => status.as_u16().to_string())
            .increment(1);
        let mut response = Response::new(Full::new(text.into()));
        *response.status_mut() = status;
        let kind = if json { "application/json" } else { "text/plain; charset=utf-8" };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(value) = task.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
            headers.insert(TASK_FIELD, value);
        }
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }

    /// Lets in, reads, submits, waits: the task as it is then.
    async fn purge(&self, head: &Parts, from: IpAddr, began: Instant) -> Result<Task, Refusal> {
        self.admit(&head.headers, from)?;
        let request = match asked::read(head)? {
            Asked::Line { line, directory, soft } => {
                let kind = if directory { TaskKind::Directory } else { TaskKind::Url };
                let (force, soft) = (directory && !soft, soft && !directory);
                PurgeRequest { force, soft, ..PurgeRequest::of(kind, vec![line]) }
            }
            Asked::Tags { host, tags, soft } => {
                PurgeRequest { force: !soft, domains: vec![host], ..PurgeRequest::of(TaskKind::Tag, tags) }
            }
        };
        let Ok(_place) = self.places.try_acquire() else {
            let why = format!("{PURGES_MAX} purges wait here already; try again");
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
        };
        let submitting = self.control.call(Method::POST, "/v1/purge", Some(&request));
        let task: TaskView = match tokio::time::timeout(SUBMIT_MAX, submitting).await {
            Ok(submitted) => submitted.map_err(refused)?,
            Err(_) => {
                let why =
                    format!("control did not answer within {SUBMIT_MAX:?}; the purge may have been accepted");
                return Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, why));
            }
        };
        let left = Duration::from_millis(self.config.wait_ms).saturating_sub(began.elapsed());
        let accepted = task.task.clone();
        // It is accepted: whatever happens to the waiting, it goes on.
        let waited =
            tokio::time::timeout(left, wait(&self.control, task, left, &ProgressBar::hidden())).await;
        Ok(waited.ok().and_then(Result::ok).unwrap_or(accepted))
    }

    fn admit(&self, headers: &HeaderMap, from: IpAddr) -> Result<(), Refusal> {
        if !self.config.lets_in(from) {
            let why = format!("{from} may not purge here; add it to purge_method.from of this POP");
            return Err(Refusal::new(StatusCode::FORBIDDEN, why));
        }
        let Some(secret) = &self.config.secret else { return Ok(()) };
        let bearer =
            headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let given =
            bearer.or_else(|| headers.get("fastly-key").map(HeaderValue::as_bytes)).unwrap_or_default();
        if bool::from(given.ct_eq(secret.0.as_bytes())) {
            return Ok(());
        }
        let why = "give the POP's purge_method.secret, as Authorization: Bearer … or Fastly-Key: …";
        Err(Refusal::new(StatusCode::UNAUTHORIZED, why))
    }
}

/// What control's refusal comes to here.
fn refused(error: ClientError) -> Refusal {
    let status = match &error {
        ClientError::Unreachable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        ClientError::Usage(_) | ClientError::Failed(_) => StatusCode::BAD_GATEWAY,
        ClientError::Refused(view) => match view.code {
            ErrorCode::OverQuota | ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::NoPops => StatusCode::CONFLICT,
            ErrorCode::Unauthenticated | ErrorCode::Forbidden => {
                let why = format!("control refuses this POP's access key (purge_method): {}", view.message);
                return Refusal::new(StatusCode::BAD_GATEWAY, why);
            }
            _ => StatusCode::BAD_REQUEST,
        },
    };
    Refusal::new(status, error.to_string())
}

/// Complete or going on, and POP by POP.
fn tell(task: &Task, took: Duration) -> (StatusCode, String) {
    let (id, ms) = (task.id, took.as_millis());
    let (status, first) = match task.status {
        Status::Complete => (StatusCode::OK, format!("complete: task {id} in {ms} ms")),
        Status::Failed => (StatusCode::BAD_GATEWAY, format!("failed: task {id}")),
        Status::Pending | Status::Running => {
            let goes_on = format!(
                "accepted: task {id} is not complete after {ms} ms and goes on; freshen task show {id}"
            );
            (StatusCode::ACCEPTED, goes_on)
        }
    };
    (status, format!("{first}\n{}\n", pops_lines(task).join("\n")))
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    })
}
