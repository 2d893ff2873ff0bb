//! A trial: whether this POP reaches the origin of a domain that is about to be added.
//!
//! It is the one time that a POP asks an origin which no order named. Control asks for it only for an admin, who may name
//! any origin anyhow; nothing of the answer is kept, and no body is read.

use crate::Pop;
use crate::origin::{UpstreamBody, upstream_headers};
use freshen_model::check::{Tried, TryQuestion};
use freshen_model::protocol::follower::Domain;
use http::{HeaderMap, Method};
use http_body_util::Empty;
use tokio::time::Instant;

/// How long the origin may take, milliseconds; control waits a little longer.
const HEAD_MS_MAX: u32 = 4_000;

impl Pop {
    /// Asks for the head of `/`, once.
    pub(crate) async fn try_origin(&self, question: TryQuestion) -> Tried {
        let TryQuestion { domain: name, mut settings } = question;
        settings.retries = 0;
        settings.origin_head_ms_max =
            Some(settings.origin_head_ms_max.unwrap_or(HEAD_MS_MAX).min(HEAD_MS_MAX));
        let domain = Domain { name, settings };
        let headers = upstream_headers(&HeaderMap::new(), self.config.id.as_str());
        let (began, nothing) = (Instant::now(), UpstreamBody::Left(Empty::new()));
        let answer = self.origin.send(&domain, (Method::HEAD, "/"), headers, nothing, None, began).await;
        let tried_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match answer {
            Ok(answer) => Tried { tried_ms, status: Some(answer.status().as_u16()), error: None },
            Err(error) => Tried { tried_ms, status: None, error: Some(error.to_string()) },
        }
    }
}
