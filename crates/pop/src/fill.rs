//! A fill: one request to the origin, or to the home POP, for an object, judged, and its body streamed into the store and to everybody who waits.
//!
//! A fill runs on its own, whoever leaves. A large body of a version that can be told apart is entered as soon as its head
//! is there, and may be completed later (`pump.rs`); any other is entered once it is whole.

use crate::Pop;
use crate::clock;
use crate::origin::{self, OriginError};
use crate::peers::{Asking, Way};
use crate::policy::cache_control::Directives;
use crate::policy::range::{self, ContentRange};
use crate::policy::storing::{self, NotStored};
use crate::policy::vary::VaryBy;
use crate::policy::{conditional, fields, tags};
use crate::prefetcher::Pace;
use crate::pump::{Source, byte_range};
use crate::store::Stored;
use crate::store::body::{Body, FillId, SLICE_BYTES, SMALL_BYTES_MAX};
use crate::store::record::{Head, Variant};
use crate::store::run::{Broken, Run};
use crate::traffic::FromOrigin;
use bytes::Bytes;
use freshen_model::domain::{Lifetimes, Ranges};
use freshen_model::key::Key;
use freshen_model::protocol::fill::{FillStart, Source as FillSource};
use freshen_model::protocol::follower::Domain;
use freshen_model::tag::Tags;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
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
    /// The fields to send, without conditions.
    pub headers: HeaderMap,
    /// The slices' bytes that are needed first, from the beginning of one to the end of one; `None` for all.
    pub part: Option<(u64, Option<u64>)>,
    /// What the one who asks wants, as he said it: an answer with just that is good enough for him.
    pub range: Option<range::Opening>,
    /// A copy whose validators are sent along.
    pub stale: Option<Arc<Variant>>,
    /// Whether that copy may be served when the origin fails.
    pub stale_if_error: bool,
    /// What is done with interim answers.
    pub interim: Option<origin::Interim>,
    /// Whether the object's home POP may be asked first.
    pub way: Way,
    /// How fast it may come; absent for viewers.
    pub pace: Option<Pace>,
}

impl Question {
    fn lifetimes(&self) -> Lifetimes {
        self.domain.settings.lifetimes_for(self.key.path())
    }

    /// Whether a body of that length, with these fields, can be entered before it is whole and completed later.
    fn completable(&self, size: Option<u64>, headers: &HeaderMap) -> bool {
        size.is_some_and(|size| size > SLICE_BYTES)
            && self.domain.settings.ranges == Ranges::Slices
            && range::strong_validator(headers).is_some()
    }
}

/// One fill under way.
pub struct Fill {
    /// What was fixed when it started. Where it is to ask another POP, it may come to ask the origin after all.
    pub start: FillStart,
    progress: watch::Sender<Progress>,
    /// Its name, and that of the body it brings.
    pub id: FillId,
    /// Set where the object was changed at the origin while this fill ran.
    overtaken: AtomicBool,
    /// The fields that nobody gets but the one who asked.
    for_the_asker: OnceLock<HeaderMap>,
    /// Those of what it brings, once its head is there.
    tags: OnceLock<Tags>,
}

/// How far a fill is.
#[derive(Clone, Default)]
pub struct Progress {
    /// What the origin's answer came to, once its head is there.
    pub outcome: Option<Outcome>,
    /// Whether nothing more happens: what it brought is stored, or will not be.
    pub ended: bool,
}

/// What the origin's answer came to.
#[derive(Clone)]
pub enum Outcome {
    /// A body that is shared and stored.
    Streaming(Arc<Head>, Arc<Body>),
    /// The copy was confirmed.
    Kept(Arc<Variant>),
    /// The origin failed, and the stale copy may be used.
    StaleServes(Arc<Variant>),
    /// The answer is for the one who asked only; he gets it directly.
    Alone(NotStored),
    /// No answer.
    Failed(OriginError),
}

/// An answer that will be stored.
struct Answer {
    /// What was fixed when it was asked for, and who gave it.
    start: FillStart,
    head: Head,
    incoming: Incoming,
    /// Where what an origin sends is counted.
    counted: Option<FromOrigin>,
    /// Where its first byte belongs, and one behind the last; `u64::MAX` for the end.
    from: u64,
    until: u64,
    /// The length of the whole body, where it is told.
    size: Option<u64>,
    /// Whether the origin sends parts when asked for them.
    sends_parts: bool,
}

/// What remains to be done of a fill whose body is entered already.
pub struct Rest {
    run: Arc<Run>,
    body: Arc<Body>,
    key: Key,
    source: Source,
}

impl Fill {
    /// A fill that has not begun.
    pub fn new(start: FillStart, id: FillId) -> Fill {
        Fill {
            start,
            progress: watch::Sender::new(Progress::default()),
            id,
            overtaken: AtomicBool::new(false),
            for_the_asker: OnceLock::new(),
            tags: OnceLock::new(),
        }
    }

    /// Notes that the object was changed at the origin: what this fill brings serves those who asked, and is not kept.
    pub fn overtake(&self) {
        self.overtaken.store(true, Ordering::SeqCst);
    }

    /// The tags of what it brings; any, until its head is there.
    pub fn tags(&self) -> Tags {
        self.tags.get().cloned().unwrap_or_else(Tags::unknown)
    }

    /// The fields that only the one who asked gets, RFC 9111 §5.2.2.4 and §5.2.2.7. To be read once there is an outcome.
    pub fn for_the_asker(&self) -> HeaderMap {
        self.for_the_asker.get().cloned().unwrap_or_default()
    }

    fn keep_for_the_asker(&self, governing: &HeaderMap, sent: &HeaderMap) {
        let fields = fields::for_the_asker(&Directives::governing(governing), sent);
        if !fields.is_empty() {
            // A fill has one outcome, and so one such set.
            let _ = self.for_the_asker.set(fields);
        }
    }

    /// Waits until its outcome is known; `None` where this POP is stopping. Gives the way to follow it on, too.
    pub async fn outcome(&self) -> (Option<Outcome>, watch::Receiver<Progress>) {
        let mut progress = self.progress.subscribe();
        let outcome = match progress.wait_for(|progress| progress.outcome.is_some()).await {
            Ok(progress) => progress.outcome.clone(),
            Err(_) => None,
        };
        (outcome, progress)
    }

    fn settle(&self, outcome: Outcome, ended: bool) {
        self.progress.send_modify(|progress| {
            progress.outcome = Some(outcome);
            progress.ended = ended;
        });
    }

    fn end(&self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }
}

impl Pop {
    /// Runs a fill until what it brings is entered, or will not be. An answer that cannot be shared goes to `alone`.
    pub async fn run_fill(
        self: &Arc<Pop>,
        fill: &Arc<Fill>,
        question: Question,
        alone: oneshot::Sender<Response<Incoming>>,
    ) -> Option<Rest> {
        let answer = match self.ask(fill, &question, alone).await {
            Ok(answer) => answer,
            Err(settled) => {
                self.fills.over(fill);
                fill.settle(settled, true);
                return None;
            }
        };
        let Answer { start, head, incoming, counted, from, until, size, sends_parts } = answer;
        let receipt = self.receipt(start.source, question.way);
        let open = question.completable(size, &head.headers);
        let key = question.key;
        let body = self.store.new_body(fill.id, size);
        let run = Run::new(from, until, open && sends_parts, start.source.level());
        body.enter(&run);
        let shown = Arc::new(head.clone());
        let silence_max = self.config.origin_silence_max(&question.domain.settings);
        let source = Source { incoming, from, until, silence_max, receipt, counted, pace: question.pace };
        if open {
            self.enter(fill, start, &key, head, body.clone()).await;
            self.fills.over(fill);
            fill.settle(Outcome::Streaming(shown, body.clone()), true);
            return Some(Rest { run, body, key, source });
        }
        fill.settle(Outcome::Streaming(shown, body.clone()), false);
        let ended = match self.pump(&run, &body, &key, source).await {
            Ok(last) => {
                let size = body.size_or_zero();
                let small = size <= SMALL_BYTES_MAX;
                let stored =
                    if small { Arc::new(Body::small(fill.id, joined(run.waiting()))) } else { body.clone() };
                self.enter(fill, start, &key, head, stored).await;
                self.fills.over(fill);
                if let Err(broken) = self.seal(&run, &body, &key, last).await {
                    // What the disk did not take is in the run's memory, for those who asked for it.
                    tracing::debug!(error = %broken, %key, "not stored");
                    self.store.forget_body(&key, &body).await;
                    run.end(size, Ok(()));
                    fill.end();
                    return None;
                }
                Ok(size)
            }
            Err(broken) => {
                self.fills.over(fill);
                body.doom();
                Err(broken)
            }
        };
        self.end_run(&run, &body, &key, ended);
        fill.end();
        None
    }

    /// Pumps what comes behind the head of a body that is entered.
    pub async fn run_rest(self: &Arc<Pop>, rest: Rest) {
        let Rest { run, body, key, source } = rest;
        let ended = match self.pump(&run, &body, &key, source).await {
            Ok(last) => self.seal(&run, &body, &key, last).await,
            Err(broken) => Err(broken),
        };
        self.end_run(&run, &body, &key, ended.map(|()| run.arrived()));
    }

    /// Ends a run: with all bytes before the number given, or with an error.
    fn end_run(&self, run: &Arc<Run>, body: &Body, key: &Key, ended: Result<u64, Broken>) {
        match ended {
            Ok(arrived) => run.end(arrived, Ok(())),
            Err(broken) => {
                tracing::debug!(error = %broken, %key, "a fill broke off");
                self.metrics.origin_errors.increment(1);
                run.end(run.arrived(), Err(broken));
            }
        }
        // What is small stays in the run's memory, for those who still read it.
        if body.size_or_zero() > SMALL_BYTES_MAX {
            body.leave(run);
        }
    }

    /// Enters what a fill brings, and notes what became of it.
    async fn enter(self: &Arc<Pop>, fill: &Fill, start: FillStart, key: &Key, head: Head, body: Arc<Body>) {
        let stored = self.store.commit(&self.follower, key, start, head, body).await;
        self.note_stored(&stored);
        // Looked at after the commit, so that the change is either seen here or forgets what was stored.
        if fill.overtaken.load(Ordering::SeqCst) {
            self.store.forget(key).await;
        }
    }

    /// Asks the home POP or the origin; gives an answer that will be shared, or what it came to otherwise.
    async fn ask(
        self: &Arc<Pop>,
        fill: &Arc<Fill>,
        question: &Question,
        alone: oneshot::Sender<Response<Incoming>>,
    ) -> Result<Answer, Outcome> {
        let lifetimes = question.lifetimes();
        let mut part = question.part;
        let mut validators =
            question.stale.as_ref().and_then(|copy| conditional::validators(&copy.head.headers));
        loop {
            let mut headers = question.headers.clone();
            let conditional = validators.is_some();
            for (name, value) in validators.take().unwrap_or_default() {
                headers.insert(name, value);
            }
            if let Some((first, last)) = part {
                headers.insert(header::RANGE, byte_range(first, last));
            }
            let asked = clock::now();
            let Question { domain, key, interim, .. } = question;
            let (interim, start) = (interim.clone(), fill.start);
            let way = question.way;
            let answer = self.ask_upstream(Asking { domain, key, headers, interim, way, start }).await;
            let received = clock::now();
            let (response, start) = match answer {
                Ok(answered) => answered,
                Err(error) => {
                    return Err(match &question.stale {
                        Some(copy) if question.stale_if_error => Outcome::StaleServes(copy.clone()),
                        _ => Outcome::Failed(error),
                    });
                }
            };
            if let Some(copy) = &question.stale {
                if conditional && response.status() == StatusCode::NOT_MODIFIED {
                    let confirms = match start.source {
                        FillSource::Origin => conditional::confirms,
                        FillSource::Pop { .. } => conditional::names,
                    };
                    if !confirms(response.headers(), &copy.head.headers) {
                        // Another version is confirmed than the one we have: ask for it, whole.
                        continue;
                    }
                    let times = (asked.wall, received.wall);
                    return Err(Outcome::Kept(
                        self.confirm((fill, start), question, copy, response.headers(), times).await,
                    ));
                }
                let failing = matches!(response.status().as_u16(), 500 | 502 | 503 | 504);
                if failing && question.stale_if_error {
                    return Err(Outcome::StaleServes(copy.clone()));
                }
            }
            let told = match (part.take(), response.status()) {
                (Some(asked), StatusCode::PARTIAL_CONTENT) => match Told::part(question, asked, &response) {
                    Some(told) => told,
                    None if answers_as_asked(question, &response) => Told::whole(&response),
                    // A part that cannot be stored, nor given to the viewer: the whole, then.
                    None => continue,
                },
                // Where a part was asked for, 416 speaks of that part only.
                (Some(_), StatusCode::RANGE_NOT_SATISFIABLE) => {
                    self.metrics.not_stored(NotStored::Partial);
                    let _ = alone.send(response);
                    return Err(Outcome::Alone(NotStored::Partial));
                }
                // Neither means anything to a viewer who gets it for a request without conditions and ranges.
                (None, status @ (StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT))
                | (Some(_), status @ StatusCode::NOT_MODIFIED) => {
                    let origin = question.domain.settings.origin.address.clone();
                    return Err(Outcome::Failed(OriginError::Refused(origin, format!("{status}, unasked"))));
                }
                _ => Told::whole(&response),
            };
            return match self.judge_answer(question, &lifetimes, &told, &response) {
                Ok(vary) => {
                    let sends_parts = told.is_part || accepts_ranges(response.headers());
                    let (mut parts, incoming) = response.into_parts();
                    let counted = parts.extensions.remove();
                    let mut headers = parts.headers;
                    let tags = tags::take(&mut headers, &question.domain.settings, start.source);
                    // A fill has one outcome, and so one such set.
                    let _ = fill.tags.set(tags.clone());
                    fill.keep_for_the_asker(&headers, &headers);
                    if told.is_part {
                        headers.remove(header::CONTENT_RANGE);
                        headers.remove(header::CONTENT_LENGTH);
                        if let Some(size) = told.size {
                            headers.insert(header::CONTENT_LENGTH, size.into());
                        }
                    }
                    let selecting = vary.select(&question.headers);
                    let times = (asked.wall, received.wall);
                    let head = Head::new(told.status, headers, (vary, selecting), times, &lifetimes, tags);
                    let Told { from, until, size, .. } = told;
                    Ok(Answer { start, head, incoming, counted, from, until, size, sends_parts })
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

    /// Takes a 304 in: gives the copy with the fields it has now.
    async fn confirm(
        self: &Arc<Pop>,
        (fill, start): (&Fill, FillStart),
        question: &Question,
        copy: &Arc<Variant>,
        sent: &HeaderMap,
        times: (Duration, Duration),
    ) -> Arc<Variant> {
        let mut update = sent.clone();
        // The bytes are those that the old tags were given to.
        let tags = copy.head.tags.with(&tags::take(&mut update, &question.domain.settings, start.source));
        let _ = fill.tags.set(tags.clone());
        let sent = update.clone();
        fields::stamp(&mut update, times.1);
        let mut headers = copy.head.headers.clone();
        fields::freshen(&mut headers, &update);
        fill.keep_for_the_asker(&headers, &sent);
        let (status, lifetimes) = (copy.head.status, question.lifetimes());
        match storing::judge(&question.headers, status, &headers, &lifetimes) {
            Ok(vary) => {
                let selecting = vary.select(&question.headers);
                let head = Head::new(status, headers, (vary, selecting), times, &lifetimes, tags);
                let (fresh, stored) =
                    self.store.freshen(&self.follower, &question.key, start, copy, head).await;
                self.note_stored(&stored);
                fresh
            }
            // It may not be kept any longer. This once it is good.
            Err(why) => {
                self.metrics.not_stored(why);
                self.store.forget_body(&question.key, &copy.body).await;
                copy.clone()
            }
        }
    }

    fn judge_answer(
        &self,
        question: &Question,
        lifetimes: &Lifetimes,
        told: &Told,
        response: &Response<Incoming>,
    ) -> Result<VaryBy, NotStored> {
        let headers = response.headers();
        let vary = storing::judge(&question.headers, told.status, headers, lifetimes)?;
        match told.size {
            // A transfer coding that is there is `chunked`: others were refused.
            None if !headers.contains_key(header::TRANSFER_ENCODING) => Err(NotStored::EndUnknown),
            Some(length) if length > self.config.object_bytes_max => Err(NotStored::TooLarge),
            // Room is made slice by slice.
            size if !self.store.has_room(SLICE_BYTES.min(size.unwrap_or(0))) => Err(NotStored::NoRoom),
            _ => Ok(vary),
        }
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

/// What an answer says of the body it brings.
struct Told {
    /// The status of the whole: 200 for a part.
    status: StatusCode,
    is_part: bool,
    size: Option<u64>,
    from: u64,
    until: u64,
}

impl Told {
    fn whole(response: &Response<Incoming>) -> Told {
        let size = response.body().size_hint().exact();
        Told { status: response.status(), is_part: false, size, from: 0, until: u64::MAX }
    }

    /// A part that can be stored: the slices that were asked for, or the whole of a body that has no more; of a version
    /// that can be told from others unless it is the whole.
    fn part(
        question: &Question,
        (first, last): (u64, Option<u64>),
        response: &Response<Incoming>,
    ) -> Option<Told> {
        let part = ContentRange::of(response.headers())?;
        let size = part.total?;
        let length = part.last - part.first + 1;
        let told = response.body().size_hint().exact().is_none_or(|exact| exact == length);
        let asked = part.first == first && part.last == last.map_or(size - 1, |last| last.min(size - 1));
        let whole = part.first == 0 && part.last == size - 1;
        let open = question.completable(Some(size), response.headers());
        (told && asked && (whole || open)).then_some(Told {
            status: StatusCode::OK,
            is_part: true,
            size: Some(size),
            from: first,
            until: if part.last == size - 1 { u64::MAX } else { part.last + 1 },
        })
    }
}

/// Whether a part is just what the viewer asked for, so that he can have it as it is.
fn answers_as_asked(question: &Question, response: &Response<Incoming>) -> bool {
    let part = ContentRange::of(response.headers());
    match (part, question.range) {
        (Some(part), Some(range::Opening::First { first, last })) => {
            let end = part.total.map(|total| total.saturating_sub(1));
            part.first == first && (Some(part.last) == last || (Some(part.last) == end && last >= end))
        }
        _ => false,
    }
}

fn accepts_ranges(headers: &HeaderMap) -> bool {
    let units = headers.get(header::ACCEPT_RANGES).and_then(|units| units.to_str().ok());
    units.is_some_and(|units| units.split(',').any(|unit| unit.trim().eq_ignore_ascii_case("bytes")))
}

fn joined(chunks: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(chunks) {
        Ok([only]) => only,
        Err(chunks) => chunks.concat().into(),
    }
}
