//! A fill: one request to the origin, its body streamed to everybody who waits for it and into the store.
//!
//! A fill runs on its own, whoever leaves; those who joined read what has arrived from memory or from the slices already
//! written, so that a slow reader holds up nobody.

use crate::Pop;
use crate::clock;
use crate::origin::OriginError;
use crate::policy::storing::{self, NotStored, Vary};
use crate::policy::{conditional, fields};
use crate::store::Stored;
use crate::store::body::{Body, FillId, SLICE_BYTES, SMALL_BYTES_MAX};
use crate::store::record::{Head, Selector, Variant};
use bytes::Bytes;
use freshen_model::key::Key;
use freshen_model::protocol::fill::FillStart;
use freshen_model::protocol::follower::Domain;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// What a fill is to ask, fixed at its start.
pub struct Question {
    /// The domain with the settings as of the start.
    pub domain: Arc<Domain>,
    /// The key; its path and query are what the origin is asked for.
    pub key: Key,
    /// Whether gzip is asked for.
    pub gzip: bool,
    /// The fields to send, without conditions.
    pub headers: HeaderMap,
    /// A copy whose validators are sent along.
    pub stale: Option<Arc<Variant>>,
    /// Whether that copy may be served when the origin fails.
    pub stale_if_error: bool,
}

/// One fill under way.
pub struct Fill {
    /// What was fixed when it started.
    pub start: FillStart,
    progress: watch::Sender<Progress>,
    growing: Mutex<Growing>,
    id: FillId,
    /// Keeps the slices' files until the last reader is done.
    finished: OnceLock<Arc<Body>>,
    /// Set where the object was changed at the origin while this fill ran.
    overtaken: AtomicBool,
}

/// How far a fill is.
#[derive(Clone, Default)]
pub struct Progress {
    /// What the origin's answer came to, once its head is there.
    pub outcome: Option<Outcome>,
    /// Body bytes that have arrived.
    pub bytes: u64,
    /// Set at the end: whether the body is whole.
    pub ended: Option<bool>,
}

/// What the origin's answer came to.
#[derive(Clone)]
pub enum Outcome {
    /// A body that is shared and stored.
    Streaming(Arc<Head>),
    /// The copy was confirmed.
    Kept(Arc<Variant>),
    /// The origin failed, and the stale copy may be used.
    StaleServes(Arc<Variant>),
    /// The answer is for the one who asked only; he gets it directly.
    Alone(NotStored),
    /// No answer.
    Failed(OriginError),
}

/// The part of the body that is not in a written slice yet.
#[derive(Default)]
struct Growing {
    /// The slice that grows.
    slice: u32,
    chunks: Vec<Bytes>,
}

/// A body that broke off.
#[derive(Debug, thiserror::Error)]
#[error("the origin's answer broke off: {0}")]
pub struct BrokenOff(String);

impl Fill {
    /// A fill that has not begun.
    pub fn new(start: FillStart, id: FillId) -> Fill {
        Fill {
            start,
            progress: watch::Sender::new(Progress::default()),
            growing: Mutex::default(),
            id,
            finished: OnceLock::new(),
            overtaken: AtomicBool::new(false),
        }
    }

    /// Notes that the object was changed at the origin: what this fill brings serves those who asked, and is not kept.
    pub fn overtake(&self) {
        self.overtaken.store(true, Ordering::SeqCst);
    }

    /// Follows how far it is.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Bytes of the body from `offset`, as many as are at hand in one piece; `None` at its end.
    pub async fn read(
        &self,
        pop: &Pop,
        progress: &mut watch::Receiver<Progress>,
        offset: u64,
    ) -> Result<Option<Bytes>, BrokenOff> {
        loop {
            let (bytes, ended) = {
                let progress = progress.borrow_and_update();
                (progress.bytes, progress.ended)
            };
            if offset < bytes {
                return self.read_arrived(pop, offset).await.map(Some);
            }
            match ended {
                Some(true) => return Ok(None),
                Some(false) => return Err(BrokenOff("before its end".into())),
                None => progress.changed().await.map_err(|_| BrokenOff("this POP is stopping".into()))?,
            }
        }
    }

    async fn read_arrived(&self, pop: &Pop, offset: u64) -> Result<Bytes, BrokenOff> {
        let slice = (offset / SLICE_BYTES) as u32;
        let within = offset % SLICE_BYTES;
        {
            let growing = self.growing.lock();
            if slice >= growing.slice {
                let mut start = 0;
                for chunk in &growing.chunks {
                    let end = start + chunk.len() as u64;
                    if within < end {
                        return Ok(chunk.slice((within - start) as usize..));
                    }
                    start = end;
                }
            }
        }
        let bytes =
            pop.store.written_slice(self.id, slice).await.map_err(|error| BrokenOff(error.to_string()))?;
        if within >= bytes.len() as u64 {
            return Err(BrokenOff("a slice is shorter than it was".into()));
        }
        Ok(bytes.slice(within as usize..))
    }

    fn settle(&self, outcome: Outcome, ended: Option<bool>) {
        self.progress.send_modify(|progress| {
            progress.outcome = Some(outcome);
            progress.ended = ended;
        });
    }
}

impl Pop {
    /// Runs a fill to its end. An answer that cannot be shared goes to `alone`.
    pub async fn run_fill(
        self: &Arc<Pop>,
        fill: &Arc<Fill>,
        question: Question,
        alone: oneshot::Sender<Response<Incoming>>,
    ) {
        let outcome = self.ask(fill, &question, alone).await;
        let (head, body) = match outcome {
            Ok(streaming) => streaming,
            Err(settled) => return fill.settle(settled, Some(true)),
        };
        fill.settle(Outcome::Streaming(Arc::new(head.clone())), None);
        let silence_max = self.config.origin_silence_max(&question.domain.settings);
        let whole = self.pump(fill, body, silence_max).await;
        let size = match whole {
            Ok(body) => {
                let size = body.size();
                let _ = fill.finished.set(body.clone());
                let stored = self.store.commit(&self.follower, &question.key, fill.start, head, body).await;
                self.note_stored(&stored);
                // Looked at after the commit, so that the change is either seen here or forgets what was stored.
                if fill.overtaken.load(Ordering::SeqCst) {
                    self.store.forget(&question.key).await;
                }
                Some(size)
            }
            Err(error) => {
                tracing::debug!(%error, key = %question.key, "a fill broke off");
                self.metrics.origin_errors.increment(1);
                self.store.abandon_body(fill.id, fill.growing.lock().slice + 1);
                None
            }
        };
        fill.progress.send_modify(|progress| {
            progress.bytes = size.unwrap_or(progress.bytes);
            progress.ended = Some(size.is_some());
        });
    }

    /// Asks the origin; gives the head and body of an answer that will be shared, or what it came to otherwise.
    async fn ask(
        self: &Arc<Pop>,
        fill: &Arc<Fill>,
        question: &Question,
        alone: oneshot::Sender<Response<Incoming>>,
    ) -> Result<(Head, Incoming), Outcome> {
        let settings = &question.domain.settings;
        let mut validators =
            question.stale.as_ref().and_then(|copy| conditional::validators(&copy.head.headers));
        loop {
            let mut headers = question.headers.clone();
            let conditional = validators.is_some();
            for (name, value) in validators.take().unwrap_or_default() {
                headers.insert(name, value);
            }
            let asked = clock::now();
            let body = Either::Left(Empty::new());
            let path = question.key.path_and_query();
            let answer = self.origin.send(&question.domain, Method::GET, path, headers, body, None).await;
            let received = clock::now();
            let response = match answer {
                Ok(response) => response,
                Err(error) => {
                    return Err(match &question.stale {
                        Some(copy) if question.stale_if_error => Outcome::StaleServes(copy.clone()),
                        _ => Outcome::Failed(error),
                    });
                }
            };
            if let Some(copy) = &question.stale {
                if conditional && response.status() == StatusCode::NOT_MODIFIED {
                    if !conditional::confirms(response.headers(), &copy.head.headers) {
                        // The origin confirms another version than the one we have: ask for it, whole.
                        continue;
                    }
                    let mut headers = copy.head.headers.clone();
                    fields::freshen(&mut headers, response.headers());
                    let head = Head::new(
                        copy.head.status,
                        headers,
                        copy.head.selector,
                        asked.wall,
                        received.wall,
                        settings.default_ttl_s,
                    );
                    let key = &question.key;
                    let (fresh, stored) =
                        self.store.freshen(&self.follower, key, fill.start, copy, head).await;
                    self.note_stored(&stored);
                    return Err(Outcome::Kept(fresh));
                }
                let failing = matches!(response.status().as_u16(), 500 | 502 | 503 | 504);
                if failing && question.stale_if_error {
                    return Err(Outcome::StaleServes(copy.clone()));
                }
            }
            return match self.judge_answer(question, &response) {
                Ok(vary) => {
                    let selector = match vary {
                        Vary::Nothing => Selector::Everybody,
                        Vary::AcceptEncoding => Selector::Gzip(question.gzip),
                    };
                    let (parts, body) = response.into_parts();
                    let mut headers = parts.headers;
                    fields::strip_hop_by_hop(&mut headers);
                    let ttl = settings.default_ttl_s;
                    Ok((Head::new(parts.status, headers, selector, asked.wall, received.wall, ttl), body))
                }
                Err(why) => {
                    self.metrics.not_stored(why);
                    // Nobody may be waiting any more; then the answer is dropped, and its connection closed.
                    let _ = alone.send(response);
                    Err(Outcome::Alone(why))
                }
            };
        }
    }

    fn judge_answer(&self, question: &Question, response: &Response<Incoming>) -> Result<Vary, NotStored> {
        let headers = response.headers();
        let vary = storing::may_store(
            &question.headers,
            response.status(),
            headers,
            question.domain.settings.default_ttl_s,
        )?;
        let coding =
            headers.get(header::TRANSFER_ENCODING).map(|coding| coding.as_bytes().to_ascii_lowercase());
        let length = response.body().size_hint().exact();
        match (coding, length) {
            (Some(coding), _) if coding != b"chunked" => Err(NotStored::TransferCoding),
            (None, None) => Err(NotStored::EndUnknown),
            (_, Some(length)) if length > self.config.object_bytes_max => Err(NotStored::TooLarge),
            (_, length) if !self.store.has_room(length.unwrap_or(0)) => Err(NotStored::NoRoom),
            _ => Ok(vary),
        }
    }

    /// Reads the body, slice by slice, into the store; gives it once it is whole.
    ///
    /// The last bytes are not shown to readers before the body is stored: who has the whole answer finds it cached.
    async fn pump(
        self: &Arc<Pop>,
        fill: &Arc<Fill>,
        mut body: Incoming,
        silence_max: Duration,
    ) -> Result<Arc<Body>, BrokenOff> {
        let length = body.size_hint().exact();
        let mut sums = Vec::new();
        let mut size = 0u64;
        loop {
            let frame = tokio::time::timeout(silence_max, body.frame())
                .await
                .map_err(|_| BrokenOff(format!("nothing came for {silence_max:?}")))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| BrokenOff(error.to_string()))?;
            let Ok(mut chunk) = frame.into_data() else { continue };
            self.metrics.origin_bytes.increment(chunk.len() as u64);
            if size + chunk.len() as u64 > self.config.object_bytes_max {
                return Err(BrokenOff("longer than this POP stores".into()));
            }
            while !chunk.is_empty() {
                let room = SLICE_BYTES - size % SLICE_BYTES;
                let piece = chunk.split_to((room as usize).min(chunk.len()));
                size += piece.len() as u64;
                fill.growing.lock().chunks.push(piece);
                if size.is_multiple_of(SLICE_BYTES) {
                    sums.push(self.finish_slice(fill).await?);
                }
                if length != Some(size) {
                    fill.progress.send_modify(|progress| progress.bytes = size);
                }
            }
        }
        if size <= SMALL_BYTES_MAX {
            let bytes: Bytes = match fill.growing.lock().chunks.as_slice() {
                [only] => only.clone(),
                chunks => chunks.concat().into(),
            };
            return Ok(Arc::new(Body::small(fill.id, bytes)));
        }
        if !size.is_multiple_of(SLICE_BYTES) {
            sums.push(self.finish_slice(fill).await?);
        }
        Ok(self.store.finish_body(fill.id, size, sums))
    }

    /// Writes the slice that has grown; only then is it taken out of memory.
    async fn finish_slice(self: &Arc<Pop>, fill: &Arc<Fill>) -> Result<u32, BrokenOff> {
        let (slice, chunks) = {
            let growing = fill.growing.lock();
            (growing.slice, growing.chunks.clone())
        };
        let sum = self.store.write_slice(fill.id, slice, chunks).await;
        let sum = sum.map_err(|error| {
            self.metrics.disk_errors.increment(1);
            BrokenOff(format!("the disk failed: {error}"))
        })?;
        *fill.growing.lock() = Growing { slice: slice + 1, ..Growing::default() };
        Ok(sum)
    }

    fn note_stored(&self, stored: &Stored) {
        match stored {
            Stored::Kept => {}
            Stored::TooEarly => self.metrics.fills_too_early.increment(1),
            Stored::Failed(error) => {
                tracing::warn!(%error, "an answer could not be stored");
                self.metrics.disk_errors.increment(1);
            }
        }
    }
}
