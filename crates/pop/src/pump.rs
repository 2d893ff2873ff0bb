//! Runs: what is missing of a body is asked for, and its slices are filled as they arrive.
//!
//! Every slice of a body is of one version: parts are asked for with If-Range, and what comes must carry the body's own
//! strong validator and length. A body keeps the numbers of the fill that began it, which are never higher than those of
//! its later slices: a purge that covers the oldest of them covers the body.

use crate::Pop;
use crate::origin::{Interim, OriginError};
use crate::peers::{Asking, Way};
use crate::policy::range::{self, ContentRange};
use crate::policy::tags;
use crate::prefetcher::{Cost, Pace};
use crate::reading::Tries;
use crate::store::SliceFile;
use crate::store::body::{Body, Place, ReadBy, SLICE_BYTES, SMALL_BYTES_MAX};
use crate::store::run::{Broken, Run};
use crate::traffic::FromOrigin;
use bytes::Bytes;
use freshen_model::key::Key;
use freshen_model::protocol::fill::{self, FillStart};
use freshen_model::protocol::follower::Domain;
use freshen_model::tag::Tags;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::{Body as _, Incoming};
use metrics::Counter;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a run brings on after nobody needs it any more, so that the rest of a file that is nearly there comes too.
const READ_ON_BYTES: u64 = 4 * SLICE_BYTES;

/// Where more of a body comes from.
pub struct Supply {
    /// The domain, with the settings as of the request.
    pub domain: Arc<Domain>,
    /// The body's key.
    pub key: Key,
    /// The fields to send, without conditions.
    pub headers: HeaderMap,
    /// Whether its home POP may be asked first.
    pub way: Way,
    /// What tells the body's version from all others; without one, nothing more of it can be had.
    pub validator: Option<HeaderValue>,
    /// What the origin has called the body so far.
    pub tags: Tags,
    /// How fast it may come; absent for viewers.
    pub pace: Option<Pace>,
}

/// What is to be pumped into a body.
pub struct Source {
    /// The answer's body.
    pub incoming: Incoming,
    /// Where its first byte belongs; the beginning of a slice.
    pub from: u64,
    /// One behind its last byte, as far as the origin says; `u64::MAX` for the body's end.
    pub until: u64,
    /// How long the origin may be silent.
    pub silence_max: Duration,
    /// How fast it may come.
    pub pace: Option<Pace>,
    /// Where its bytes are counted.
    pub receipt: Receipt,
    /// Where it is counted for its domain, if an origin sends it.
    pub counted: Option<FromOrigin>,
}

/// Where bytes that come are counted: by who sends them, and those of the origin for the prefetch that they are for.
pub struct Receipt {
    received: Counter,
    cost: Option<Arc<Cost>>,
}

impl Receipt {
    fn of(&self, bytes: u64) {
        self.received.increment(bytes);
        if let Some(cost) = &self.cost {
            cost.received(bytes);
        }
    }
}

/// A slice that a run is writing.
pub struct Writing {
    slice: u32,
    file: Option<SliceFile>,
}

impl Pop {
    /// Has the bytes of `body` from `at` on fetched, as far as they are missing and at most to `last`.
    pub fn start_run(
        self: &Arc<Pop>,
        supply: &Arc<Supply>,
        body: &Arc<Body>,
        at: u64,
        last: u64,
    ) -> Result<(), Broken> {
        let (Some(size), Some(validator)) = (body.size(), supply.validator.clone()) else {
            return Err(Broken::Lost);
        };
        if !self.store.has_room(SLICE_BYTES) {
            return Err(Broken::Disk("it has no room".into()));
        }
        let Some(place) = self.fills.place() else {
            return Err(Broken::Origin("too many fetches at this moment".into()));
        };
        let slice = (at / SLICE_BYTES) as u32;
        let end = (last.min(size - 1) / SLICE_BYTES) as u32 + 1;
        let until = (u64::from(body.missing_until(slice, end).max(slice + 1)) * SLICE_BYTES).min(size);
        let start = self.source_of_parts(&supply.domain, &supply.key, &supply.headers, supply.way);
        let run = Run::new(u64::from(slice) * SLICE_BYTES, until, true, start.source.level());
        body.enter(&run);
        let (pop, supply, body) = (self.clone(), supply.clone(), body.clone());
        tokio::spawn(async move {
            let ended = pop.fetch_run(&supply, start, &validator, &body, &run).await;
            if ended == Err(Broken::Changed) {
                pop.store.forget_body(&supply.key, &body).await;
            }
            run.end(run.arrived(), ended);
            body.leave(&run);
            drop(place);
        });
        Ok(())
    }

    async fn fetch_run(
        self: &Arc<Pop>,
        supply: &Supply,
        start: FillStart,
        validator: &HeaderValue,
        body: &Arc<Body>,
        run: &Arc<Run>,
    ) -> Result<(), Broken> {
        let (from, until) = (run.arrived(), run.until());
        let (mut response, same, start) = self.ask_part(supply, start, validator, from, until - 1).await?;
        let tags = tags::take(response.headers_mut(), &supply.domain.settings, start.source);
        if same && !supply.tags.covers(&tags) {
            self.store.add_tags(&supply.key, body, tags).await;
        }
        let (from, until) = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let part = ContentRange::of(response.headers());
                let part = part.ok_or_else(|| Broken::Origin("a part that does not say which".into()))?;
                if !same || part.total != body.size() {
                    return Err(Broken::Changed);
                }
                if part.first != from || part.last >= until {
                    return Err(Broken::Origin("another part than asked for".into()));
                }
                (from, part.last + 1)
            }
            StatusCode::OK if same && response.body().size_hint().exact() == body.size() => {
                run.goes_all_the_way();
                (0, u64::MAX)
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Broken::Origin(format!("it answered {status}")));
            }
            _ => return Err(Broken::Changed),
        };
        let silence_max = self.config.origin_silence_max(&supply.domain.settings);
        let counted = response.extensions_mut().remove();
        let incoming = response.into_body();
        let receipt = self.receipt(start.source, supply.way);
        let source =
            Source { incoming, from, until, silence_max, receipt, counted, pace: supply.pace.clone() };
        let last = self.pump(run, body, &supply.key, source).await?;
        self.seal(run, body, &supply.key, last).await
    }

    /// Where the bytes of an answer are counted.
    pub fn receipt(&self, source: fill::Source, way: Way) -> Receipt {
        match source {
            fill::Source::Origin => {
                let cost = self.prefetcher.cost_of(way.order());
                Receipt { received: self.metrics.origin_bytes.clone(), cost }
            }
            fill::Source::Pop { .. } => Receipt { received: self.metrics.peer_bytes.clone(), cost: None },
        }
    }

    /// Asks the origin directly for the bytes from `at` to `last`, past the store; for when the disk takes no more.
    pub async fn ask_directly(
        self: &Arc<Pop>,
        supply: &Supply,
        body: &Body,
        at: u64,
        last: u64,
    ) -> Result<(Incoming, Option<FromOrigin>), Broken> {
        let validator = supply.validator.as_ref().ok_or_else(|| Broken::Disk("it takes no more".into()))?;
        let start = self.source_of_parts(&supply.domain, &supply.key, &supply.headers, Way::Origin);
        let (mut response, same, _) = self.ask_part(supply, start, validator, at, last).await?;
        let part = ContentRange::of(response.headers());
        let fits = response.status() == StatusCode::PARTIAL_CONTENT
            && same
            && part.is_some_and(|part| (part.first, part.last, part.total) == (at, last, body.size()));
        let counted = response.extensions_mut().remove();
        if fits { Ok((response.into_body(), counted)) } else { Err(Broken::Changed) }
    }

    /// Asks for bytes of a version; gives the answer, whether that is of the same version, and who gave it.
    async fn ask_part(
        &self,
        supply: &Supply,
        start: FillStart,
        validator: &HeaderValue,
        first: u64,
        last: u64,
    ) -> Result<(Response<Incoming>, bool, FillStart), Broken> {
        let mut headers = supply.headers.clone();
        headers.insert(header::RANGE, byte_range(first, Some(last)));
        headers.insert(header::IF_RANGE, validator.clone());
        let Supply { domain, key, way, .. } = supply;
        let asked = |start| {
            let asking = Asking { domain, key, headers: headers.clone(), interim: None, way: *way, start };
            async move {
                let asked = self.ask_upstream(asking).await;
                let (response, start) = asked.map_err(|error| Broken::Origin(error.to_string()))?;
                let same = range::strong_validator(response.headers()).as_ref() == Some(validator);
                Ok((response, same, start))
            }
        };
        let answered = asked(start).await?;
        match answered {
            // Another POP may have another version. Whether this one is still good, only the origin can say.
            (_, false, FillStart { source: fill::Source::Pop { .. }, .. }) => {
                asked(FillStart { source: fill::Source::Origin, ..start }).await
            }
            answered => Ok(answered),
        }
    }

    /// Asks the origin for content, with fields as they shall arrive there, within the time for a head since `began`.
    pub async fn ask_origin(
        &self,
        domain: &Domain,
        key: &Key,
        headers: HeaderMap,
        interim: Option<Interim>,
        began: Instant,
    ) -> Result<Response<Incoming>, OriginError> {
        let nothing = Either::Left(Empty::new());
        self.origin.send(domain, (Method::GET, key.path_and_query()), headers, nothing, interim, began).await
    }

    /// Reads what an origin sends into the slices of a body, until it ends or nobody needs more of it; gives the last slice,
    /// which is still to be sealed.
    pub async fn pump(
        self: &Arc<Pop>,
        run: &Arc<Run>,
        body: &Arc<Body>,
        key: &Key,
        source: Source,
    ) -> Result<Option<Writing>, Broken> {
        let _counted = self.store.count_run();
        let mut writing = None;
        let pumped = self.pump_slices(run, body, key, source, &mut writing).await;
        if let (Err(_), Some(Writing { slice, .. })) = (&pumped, &writing) {
            body.unclaim(*slice);
        }
        pumped.map(|()| writing)
    }

    /// Writes the last slice. What turned out to be small is left in the run's memory.
    pub async fn seal(
        self: &Arc<Pop>,
        run: &Arc<Run>,
        body: &Arc<Body>,
        key: &Key,
        mut last: Option<Writing>,
    ) -> Result<(), Broken> {
        match body.size_or_zero() > SMALL_BYTES_MAX {
            true => self.flush(run, body, key, &mut last, true).await,
            false => Ok(()),
        }
    }

    async fn pump_slices(
        self: &Arc<Pop>,
        run: &Arc<Run>,
        body: &Arc<Body>,
        key: &Key,
        source: Source,
        writing: &mut Option<Writing>,
    ) -> Result<(), Broken> {
        let Source { mut incoming, from, until, silence_max, receipt, counted, pace } = source;
        let end = body.size();
        // What comes behind a part that the origin has named is nothing it has vouched for.
        let limit = end.unwrap_or(self.config.object_bytes_max).min(until);
        let mut at = from;
        let mut unneeded = 0;
        while let Some(mut chunk) = next_chunk(&mut incoming, silence_max).await? {
            let came = chunk.len() as u64;
            receipt.of(came);
            if let Some(counted) = &counted {
                counted.came(came);
            }
            if at + chunk.len() as u64 > limit {
                return Err(Broken::Origin("longer than it may be".into()));
            }
            while !chunk.is_empty() {
                if at.is_multiple_of(SLICE_BYTES) {
                    let slice = (at / SLICE_BYTES) as u32;
                    let ours = body.claim(slice);
                    unneeded = if body.needed(at) { 0 } else { unneeded + SLICE_BYTES };
                    if at > from && run.stops() && (!ours || unneeded > READ_ON_BYTES) {
                        if ours {
                            body.unclaim(slice);
                        }
                        return Ok(());
                    }
                    run.next_slice(slice, !ours);
                    *writing = ours.then_some(Writing { slice, file: None });
                }
                let room = SLICE_BYTES - at % SLICE_BYTES;
                let piece = chunk.split_to((room as usize).min(chunk.len()));
                at += piece.len() as u64;
                if writing.is_some() {
                    let waiting = run.push(piece);
                    let whole = at.is_multiple_of(SLICE_BYTES) && end != Some(at);
                    if whole || waiting > self.store.run_bytes_max() {
                        self.flush(run, body, key, writing, whole).await?;
                    }
                }
                // The end is kept from readers until it is sealed: who has the whole answer shall find it cached.
                if end != Some(at) {
                    run.show(at);
                }
            }
            if let Some(pace) = &pace {
                pace.came(came, || body.hurries(at)).await;
            }
        }
        if end.is_some_and(|end| at < end.min(run.until())) {
            return Err(Broken::Origin("shorter than it said".into()));
        }
        if end.is_none() {
            body.set_size(at);
        }
        Ok(())
    }

    /// Writes what waits of the growing slice; only then is it taken out of memory.
    async fn flush(
        self: &Arc<Pop>,
        run: &Arc<Run>,
        body: &Arc<Body>,
        key: &Key,
        writing: &mut Option<Writing>,
        whole: bool,
    ) -> Result<(), Broken> {
        let Some(Writing { slice, file }) = writing.take() else { return Ok(()) };
        let written = self.store.write_slice(key, body, slice, file, run.waiting(), whole).await;
        match written {
            Ok(Some(file)) => {
                run.wrote(file.handle());
                *writing = Some(Writing { slice, file: Some(file) });
            }
            Ok(None) => {}
            Err(error) => {
                self.metrics.disk_errors.increment(1);
                body.unclaim(slice);
                return Err(Broken::Disk(error.to_string()));
            }
        }
        Ok(())
    }

    /// Has all of a body brought here; tells each byte up to which it is there.
    pub async fn bring_whole(
        self: &Arc<Pop>,
        supply: &Arc<Supply>,
        body: &Arc<Body>,
        mut there: impl FnMut(u64),
    ) -> Result<(), Broken> {
        let reading = body.reading(ReadBy::Prefetch, 0, u64::MAX);
        let mut at = 0;
        let mut tries = Tries::default();
        while body.size().is_none_or(|size| at < size) {
            match body.locate(at) {
                Place::Here => at = (at / SLICE_BYTES + 1) * SLICE_BYTES,
                Place::Coming(run) => {
                    let mut progress = run.watch();
                    let (arrived, ended) = {
                        let progress = progress.borrow_and_update();
                        (progress.arrived, progress.ended.clone())
                    };
                    reading.moved(arrived);
                    there(arrived);
                    match ended {
                        // All has come, and is written, or small.
                        Some(Ok(())) if body.size().is_none_or(|size| arrived >= size) => break,
                        Some(Ok(())) => {}
                        Some(Err(broken)) => tries.failed(broken, at)?,
                        None => drop(progress.changed().await),
                    }
                }
                Place::Missing => {
                    there(at);
                    reading.moved(at);
                    tries.again(at)?;
                    self.start_run(supply, body, at, u64::MAX)?;
                }
            }
        }
        there(body.size().unwrap_or(at));
        Ok(())
    }
}

async fn next_chunk(incoming: &mut Incoming, silence_max: Duration) -> Result<Option<Bytes>, Broken> {
    loop {
        let frame = tokio::time::timeout(silence_max, incoming.frame())
            .await
            .map_err(|_| Broken::Origin(format!("nothing came for {silence_max:?}")))?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame.map_err(|error| Broken::Origin(error.to_string()))?;
        if let Ok(chunk) = frame.into_data() {
            return Ok(Some(chunk));
        }
    }
}

/// A Range field for one range; without `last` to the end.
pub fn byte_range(first: u64, last: Option<u64>) -> HeaderValue {
    let text = match last {
        Some(last) => format!("bytes={first}-{last}"),
        None => format!("bytes={first}-"),
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("bytes=0-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::member;
    use freshen_model::domain::Settings;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;

    const SIZE: usize = 1_500_000;

    /// The one thread that does the disk's work is kept busy when the last byte comes.
    #[test]
    fn p9_the_end_of_a_body_is_shown_once_its_last_slice_is_recorded() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let viewers = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = viewers.local_addr().unwrap();
            let settings = format!("http://{}", origin.local_addr().unwrap()).parse().map(Settings::of_origin);
            let pop = member(folder.path(), [("a.example".to_owned(), settings.unwrap())].into());
            tokio::spawn(pop.serve_viewers(viewers, None, std::future::pending()));

            let mut viewer = TcpStream::connect(at).await.unwrap();
            viewer.write_all(b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
            let (mut asked, _) = origin.accept().await.unwrap();
            assert_ne!(asked.read(&mut [0; 4_096]).await.unwrap(), 0);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: \"1\"\r\nCache-Control: max-age=60\r\n\r\n"
            );
            asked.write_all(head.as_bytes()).await.unwrap();
            asked.write_all(&vec![b'x'; SIZE - 1]).await.unwrap();
            let mut got = Vec::new();
            while body_bytes(&got) < SIZE - 1 {
                assert_ne!(viewer.read_buf(&mut got).await.unwrap(), 0);
            }

            let (busy, is_busy) = oneshot::channel();
            let (free, is_free) = std::sync::mpsc::channel::<()>();
            tokio::task::spawn_blocking(move || {
                busy.send(()).unwrap();
                is_free.recv().unwrap();
            });
            is_busy.await.unwrap();
            asked.write_all(b"x").await.unwrap();
            let early = tokio::time::timeout(Duration::from_millis(300), viewer.read_buf(&mut got)).await;
            assert!(early.is_err(), "the end came before its slice was recorded");
            free.send(()).unwrap();
            viewer.read_buf(&mut got).await.unwrap();
            assert_eq!(body_bytes(&got), SIZE);
        });
    }

    fn body_bytes(answer: &[u8]) -> usize {
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
        head.map_or(0, |head| answer.len() - head - 4)
    }
}
