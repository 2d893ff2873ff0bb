//! A POP as viewers reach it: what it answers, and whether that is old.

use crate::client::connection::ClientError;
use bytes::Bytes;
use freshen_fleet::causes;
use freshen_model::ids::PopId;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// What is probed is small.
const BODY_BYTES_MAX: usize = 16 << 20;
/// A POP that is silent for so long is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// A POP and where viewers reach it.
pub struct Edge {
    /// Its name.
    pub pop: PopId,
    /// `host:port`.
    address: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// An answer, as far as it tells old from new.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The first word of X-Cache.
    pub x_cache: String,
    /// Which body it is: the digest of its bytes and its entity tag.
    pub content: [u8; 32],
    /// Seconds since the origin said so.
    age: Option<u64>,
}

/// How old is told from new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// The origin gives another body each time: what was seen before the purge is old.
    Content,
    /// Any object: a HIT that is not younger than the purge is old.
    Cache,
}

impl Edge {
    /// A POP at `host:port`.
    pub fn new(pop: PopId, address: String) -> Edge {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Edge { pop, address, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Asks for `http://host/path` as a viewer does; what goes wrong is told with the POP's name.
    pub async fn ask(&self, url: &http::Uri) -> Result<Answer, ClientError> {
        let failed = |why: String| ClientError::Failed(format!("{} at {}: {why}", self.pop, self.address));
        let host = url.authority().map_or("", |authority| authority.as_str());
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        let request = Request::get(format!("http://{}{target}", self.address))
            .header(header::HOST, host)
            .body(Empty::new())
            .map_err(|error| failed(error.to_string()))?;
        let answered = tokio::time::timeout(ANSWER_MAX, async {
            let answer = self.client.request(request).await.map_err(|error| failed(causes(&error)))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            Ok((head, body.map_err(|error| failed(error.to_string()))?.to_bytes()))
        });
        let (head, body) =
            answered.await.unwrap_or_else(|_| Err(failed(format!("no answer within {ANSWER_MAX:?}"))))?;
        if head.status != StatusCode::OK {
            return Err(failed(format!("it answers {} where 200 is needed", head.status)));
        }
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let x_cache = text("x-cache").ok_or_else(|| failed("no X-Cache, so it is no POP".into()))?;
        let mut words = x_cache.split(' ');
        let x_cache = words.next().unwrap_or_default().to_owned();
        // An address given for the wrong POP would make another's answers count as this one's.
        match words.nth(1) {
            Some(from) if from == self.pop.as_str() => {}
            other => return Err(failed(format!("{} answers there", other.unwrap_or("somebody else")))),
        }
        Ok(Answer {
            x_cache,
            content: content(&head.headers, &body),
            age: text("age").and_then(|age| age.parse().ok()),
        })
    }
}

fn content(headers: &HeaderMap, body: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(headers.get(header::ETAG).map_or(&[][..], |tag| tag.as_bytes()));
    // Neither can take bytes of the other.
    digest.update([0]);
    digest.update(body);
    digest.finalize().into()
}

/// What was there before the purge.
pub struct Before {
    telling: Telling,
    seen: HashSet<[u8; 32]>,
    /// When the last copy had been seen.
    primed: Instant,
}

impl Before {
    /// Nothing was seen yet.
    pub fn new(telling: Telling) -> Before {
        Before { telling, seen: HashSet::new(), primed: Instant::now() }
    }

    /// Takes in an answer that a POP gave before the purge.
    pub fn note(&mut self, answer: &Answer) {
        self.seen.insert(answer.content);
        self.primed = Instant::now();
    }

    /// Whether this answer, to a request sent after the purge was, is what was there before.
    ///
    /// `new_at`: when this POP first gave something new. By content that is of no interest; without it, what is younger than
    /// that is taken for the new copy, so that an old one that comes back within a second is not noticed.
    pub fn has(&self, answer: &Answer, new_at: Option<Instant>) -> bool {
        if self.telling == Telling::Content {
            return self.seen.contains(&answer.content);
        }
        let from_cache = matches!(answer.x_cache.as_str(), "HIT" | "STALE");
        // Ages are whole seconds; before there was a new copy, one that could be as old as the old ones counts as old.
        from_cache
            && answer.age.is_none_or(|age| match new_at {
                None => age + 1 >= self.primed.elapsed().as_secs(),
                Some(new_at) => age > new_at.elapsed().as_secs() + 1,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(x_cache: &str, body: &str, age: u64) -> Answer {
        Answer {
            x_cache: x_cache.into(),
            content: content(&HeaderMap::new(), body.as_bytes()),
            age: Some(age),
        }
    }

    #[test]
    fn by_content_whatever_was_seen_at_any_pop_is_old() {
        let mut before = Before::new(Telling::Content);
        before.note(&answer("HIT", "1", 0));
        before.note(&answer("HIT", "2", 0));
        assert!(before.has(&answer("HIT", "1", 0), None) && before.has(&answer("EXPIRED", "2", 0), None));
        assert!(before.has(&answer("HIT", "1", 0), Some(Instant::now())), "it came back");
        assert!(!before.has(&answer("HIT", "3", 0), None));
    }

    #[test]
    fn by_cache_a_hit_that_may_be_as_old_as_the_copies_is_old() {
        let mut before = Before::new(Telling::Cache);
        before.note(&answer("HIT", "1", 0));
        assert!(before.has(&answer("HIT", "1", 0), None) && before.has(&answer("STALE", "1", 9), None));
        assert!(!before.has(&answer("EXPIRED", "1", 0), None) && !before.has(&answer("MISS", "1", 0), None));
        before.primed -= Duration::from_secs(10);
        assert!(before.has(&answer("HIT", "1", 9), None) && !before.has(&answer("HIT", "1", 8), None));
        let just_now = Some(Instant::now());
        assert!(before.has(&answer("HIT", "1", 10), just_now), "it came back");
        assert!(!before.has(&answer("HIT", "1", 0), just_now), "the new copy");
    }
}
