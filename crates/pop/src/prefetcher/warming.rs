//! Warming one file: looked up, fetched where it is missing, looked up again, and read back.

use super::failure::NotWarm;
use super::places::{Pace, Place};
use super::scheduler::{Ending, Wish};
use super::variants::AsViewer;
use super::{Going, Job, LOOKED_UP_AGAIN_MAX, Line, Warm};
use crate::fill::{Outcome, Question};
use crate::fills::Part;
use crate::look_up::{Found, Looked, NoLookUp, Trace};
use crate::peers::Way;
use crate::pump::Supply;
use crate::store::record::{Head, Variant};
use crate::store::run::Broken;
use crate::{Pop, clock};
use freshen_model::order::PrefetchItem;
use freshen_model::task::Failure;
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Why what was there is none that a task may call warm.
const EVICTED: &str = "evicted again before completion";

/// What one file has added to its job's bytes; taken back unless it is kept.
struct Counted<'a> {
    job: &'a Job,
    bytes: u64,
    expected: u64,
}

impl Counted<'_> {
    fn expect(&mut self, bytes: u64) {
        self.job.change(|state| {
            state.progress.bytes_expected = state.progress.bytes_expected - self.expected + bytes;
        });
        self.expected = bytes;
    }

    fn there(&mut self, bytes: u64) {
        if bytes > self.expected {
            self.expect(bytes);
        }
        self.job.change(|state| state.progress.bytes = state.progress.bytes - self.bytes + bytes);
        self.bytes = bytes;
    }

    fn keep(mut self) {
        (self.bytes, self.expected) = (0, 0);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.job.change(|state| {
            state.progress.bytes -= self.bytes;
            state.progress.bytes_expected -= self.expected;
        });
    }
}

impl Pop {
    /// Warms one file, with every variant the origin has for it; `url` where it is not the line itself. Tells whether it is
    /// warm.
    pub(super) async fn warm_file(
        self: &Arc<Pop>,
        line: Line<'_>,
        item: &PrefetchItem,
        url: Option<String>,
    ) -> bool {
        let Line { job, number } = line;
        // Whatever is being fetched is broken off where it is over: what is there of it stays.
        let outcome = tokio::select! {
            biased;
            () = job.is_over() => return false,
            outcome = self.warm_by_tries(job, item) => outcome,
        };
        let warm = outcome.is_ok();
        match outcome {
            Ok(varies) => job.change(|state| {
                state.progress.files_warm += 1;
                if state.warm.len() < LOOKED_UP_AGAIN_MAX {
                    state.warm.push(Warm { line: number, url, item: item.clone(), varies });
                }
            }),
            Err(not_warm) => job.failed(1, Failure { line: number, url, reason: not_warm.reason }),
        }
        self.prefetcher.revision.fetch_add(1, Ordering::Relaxed);
        self.confirm.notify_one();
        warm
    }

    async fn warm_by_tries(self: &Arc<Pop>, job: &Arc<Job>, item: &PrefetchItem) -> Result<bool, NotWarm> {
        let mut tries = 0;
        loop {
            job.goes_on().await;
            tries += 1;
            match self.warm_variants(job, item).await {
                Ok(varies) => return Ok(varies),
                Err(not_warm) => match not_warm.pause_after(tries, self.config.prefetch_tries_max) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(not_warm),
                },
            }
        }
    }

    /// Warms the file for each viewer as whom it is asked for; tells whether other viewers get other answers.
    async fn warm_variants(self: &Arc<Pop>, job: &Arc<Job>, item: &PrefetchItem) -> Result<bool, NotWarm> {
        let mut read: Vec<Arc<Variant>> = Vec::new();
        for viewer in &job.viewers {
            let copy = self.warm(job, item, viewer, &read).await.map_err(|why| viewer.lacks(why))?;
            if read.is_empty() && copy.head.vary.is_nothing() {
                return Ok(false);
            }
            read.push(copy);
        }
        match read.is_empty() {
            true => {
                Err(NotWarm::new("this POP cannot ask with the headers that were named, upgrade it", false))
            }
            false => Ok(true),
        }
    }

    /// Makes sure that a viewer would get a HIT: looks up, fetches where needed, looks up again, and reads it back; but not
    /// once more what was read for others, just now.
    async fn warm(
        self: &Arc<Pop>,
        job: &Arc<Job>,
        item: &PrefetchItem,
        viewer: &AsViewer,
        read: &[Arc<Variant>],
    ) -> Result<Arc<Variant>, NotWarm> {
        let mut counted = Counted { job, bytes: 0, expected: 0 };
        self.wait_for_lease().await;
        let mut looked = self.look_up_to_read(item, viewer).await?;
        if let Found::Fresh(copy) = &looked.found
            && copy.body.is_whole()
            && read.iter().any(|other| other.body.id() == copy.body.id())
        {
            return Ok(copy.clone());
        }
        if !is_there(&looked) {
            let place = self.place_for(job, &looked).await?;
            // It may have waited long: what it fetches now is fetched in a view of now.
            self.wait_for_lease().await;
            looked = self.look_up_item(item, viewer, Trace::Promote).await?;
            let began = Instant::now();
            let fetched = match is_there(&looked) {
                true => Ok(None),
                false => self.fetch_missing(&mut counted, &looked, viewer, began).await,
            };
            place.ended(match &fetched {
                Ok(head) => Ending::Answered(*head),
                Err(not_warm) => not_warm.ending(),
            });
            fetched?;
            looked = self.look_up_to_read(item, viewer).await?;
        }
        match &looked.found {
            Found::Fresh(copy) if copy.body.is_whole() => {
                counted.there(copy.body.size().unwrap_or(0));
                self.read_back(&looked, copy).await?;
                counted.keep();
                Ok(copy.clone())
            }
            Found::Stale { .. } => {
                Err(NotWarm::new("not fresh any more once it had arrived", !looked.view.leased))
            }
            Found::Gone(_) => Err(NotWarm::new("purged again while it was fetched", true)),
            Found::Fresh(_) | Found::Absent { .. } => Err(NotWarm::new(EVICTED, true)),
        }
    }

    /// Waits for the file's turn at its origin; while its job is paused it takes no part.
    async fn place_for(&self, job: &Job, looked: &Looked) -> Result<Place, NotWarm> {
        let settings = &looked.domain.settings;
        let wish = Wish {
            origin: settings.origin.address.as_str().into(),
            domain: looked.domain.name.as_str().into(),
            requests_per_s: settings.prefetch_requests_per_s,
            bytes_per_s: settings.prefetch_bytes_per_s,
        };
        loop {
            job.goes_on().await;
            tokio::select! {
                biased;
                () = job.stops() => {}
                place = self.prefetcher.places.take(&wish) => {
                    return place.map_err(|reason| NotWarm::given_up(&reason));
                }
            }
        }
    }

    /// Looks up, but not for too many files at a time.
    async fn look_up_to_read(&self, item: &PrefetchItem, viewer: &AsViewer) -> Result<Looked, NotWarm> {
        // Never closed.
        let _reading = self.prefetcher.reading.acquire().await;
        self.look_up_item(item, viewer, Trace::Promote).await
    }

    pub(super) async fn look_up_item(
        &self,
        item: &PrefetchItem,
        viewer: &AsViewer,
        trace: Trace,
    ) -> Result<Looked, NotWarm> {
        let looked = self.look_up(&item.domain, &item.path_and_query, &viewer.headers, trace).await;
        let looked = looked.map_err(|no| match no {
            NoLookUp::UnknownHost => NotWarm::new("the domain was removed", false),
            NoLookUp::BadPath(why) => NotWarm::new(why.to_string(), false),
        })?;
        match looked.domain.settings.stopped {
            true => Err(NotWarm::new("the domain is stopped", false)),
            false => Ok(looked),
        }
    }

    /// Has fetched what is missing of a file; tells how long the origin took for its head, where it was asked for it.
    async fn fetch_missing(
        self: &Arc<Pop>,
        counted: &mut Counted<'_>,
        looked: &Looked,
        viewer: &AsViewer,
        began: Instant,
    ) -> Result<Option<Duration>, NotWarm> {
        if let Found::Fresh(copy) = &looked.found {
            return self.bring(looked, copy, viewer, counted).await.map(|()| None);
        }
        if !looked.view.member {
            return Err(NotWarm::new("this POP is not a member of the fleet", false));
        }
        let headers = &viewer.headers;
        let pace = Some(self.pace_of(looked));
        let way = counted.job.way();
        let question = || Question { way, pace, ..self.question(looked, headers) };
        let (fill, own) = match self.take_part(looked, (way, true), question, headers) {
            Part::Leads(fill, own) => (fill, Some(own)),
            Part::Joins(fill) => (fill, None),
            Part::LooksAgain => return Ok(None),
            Part::Refused => return Err(NotWarm::new("too many fetches at this moment", true)),
        };
        let (outcome, mut progress) = fill.outcome().await;
        let head_after = own.is_some().then(|| began.elapsed());
        match outcome {
            Some(Outcome::Streaming(head, body)) => {
                if !head.status.is_success() {
                    return Err(NotWarm::refused(head.status, &head.headers, clock::now().wall));
                }
                if !head.answers(headers) {
                    return Err(NotWarm::new("another variant of it was on its way", true));
                }
                counted.expect(head.length().unwrap_or(0));
                let supply = self.slow_supply(looked, headers, &head, way);
                let brought = self.bring_whole(&supply, &body, |bytes| counted.there(bytes)).await;
                brought.map_err(|broken| NotWarm::broken(&broken))?;
                // Only now is it entered, where it is no body that can be completed later.
                let ended = progress.wait_for(|progress| progress.ended).await;
                ended.map(|_| head_after).map_err(|_| NotWarm::new("this POP is stopping", true))
            }
            Some(Outcome::Kept(copy)) => {
                self.bring(looked, &copy, viewer, counted).await.map(|()| head_after)
            }
            Some(Outcome::Failed(error)) => Err(NotWarm::unanswered(&error)),
            Some(Outcome::Alone(why)) => {
                // Somebody else has the answer, and this file the next.
                let Some(own) = own else {
                    return Err(NotWarm::new(format!("not cacheable: {}", why.as_str()), true));
                };
                Err(match own.await.ok() {
                    Some(answer) if !answer.status().is_success() => {
                        NotWarm::refused(answer.status(), answer.headers(), clock::now().wall)
                    }
                    Some(answer) => {
                        NotWarm::new(format!("not cacheable: {}", why.explain(answer.headers())), false)
                    }
                    None => NotWarm::new(format!("not cacheable: {}", why.as_str()), false),
                })
            }
            Some(Outcome::StaleServes(_)) => Err(NotWarm::new("the origin fails", true)),
            None => Err(NotWarm::new("this POP is stopping", true)),
        }
    }

    fn pace_of(&self, looked: &Looked) -> Pace {
        Pace::new(&self.prefetcher.places, looked.domain.name.as_str().into())
    }

    /// The pace at which something may come that is fetched for such a request; none for viewers.
    pub fn pace_for(&self, looked: &Looked, way: Way) -> Option<Pace> {
        way.is_of_prefetching_pop().then(|| self.pace_of(looked))
    }

    /// Where more of a body comes from, at the pace of prefetches.
    fn slow_supply(&self, looked: &Looked, viewer: &HeaderMap, head: &Head, way: Way) -> Arc<Supply> {
        let supply = self.supply(looked, viewer, head, way);
        Arc::new(Supply { pace: Some(self.pace_of(looked)), ..supply })
    }

    /// Has what is missing of a copy fetched.
    async fn bring(
        self: &Arc<Pop>,
        looked: &Looked,
        copy: &Variant,
        viewer: &AsViewer,
        counted: &mut Counted<'_>,
    ) -> Result<(), NotWarm> {
        counted.expect(copy.body.size().unwrap_or(0));
        if copy.body.is_whole() {
            return Ok(());
        }
        let supply = self.slow_supply(looked, &viewer.headers, &copy.head, counted.job.way());
        let brought = self.bring_whole(&supply, &copy.body, |bytes| counted.there(bytes)).await;
        if matches!(brought, Err(Broken::Lost | Broken::Changed)) {
            self.store.forget_body(&looked.key, &copy.body).await;
        }
        brought.map_err(|broken| NotWarm::broken(&broken))
    }

    /// Reads the whole body from disk and compares its checksums; a damaged one is forgotten.
    async fn read_back(&self, looked: &Looked, copy: &Arc<Variant>) -> Result<(), NotWarm> {
        // Never closed.
        let _reading = self.prefetcher.reading.acquire().await;
        if !copy.head.status.is_success() {
            return Err(NotWarm::refused(copy.head.status, &copy.head.headers, clock::now().wall));
        }
        if let Err(error) = self.store.read_back(&looked.key, &copy.body).await {
            // What is missing of one in slices is fetched again.
            if copy.body.at_hand().is_some() {
                self.store.forget_body(&looked.key, &copy.body).await;
            }
            return Err(NotWarm::new(format!("read back from disk: {error}"), true));
        }
        Ok(())
    }

    /// Looks once more whether what was warm is still there, before a job is called done.
    pub(super) async fn look_up_again(&self, job: &Job) {
        let warm = std::mem::take(&mut job.state.lock().warm);
        for file in warm {
            if job.going() == Going::Over {
                return;
            }
            let viewers =
                if file.varies { &job.viewers[..] } else { job.viewers.get(..1).unwrap_or_default() };
            for viewer in viewers {
                if self.is_evicted(&file.item, viewer).await {
                    let NotWarm { reason, .. } = viewer.lacks(NotWarm::new(EVICTED, false));
                    job.not_warm_after_all(Failure { line: file.line, url: file.url, reason });
                    break;
                }
            }
        }
    }

    /// Whether nothing is there of it any more, or not all. What a purge took was there to be taken.
    async fn is_evicted(&self, item: &PrefetchItem, viewer: &AsViewer) -> bool {
        let looked = self.look_up_item(item, viewer, Trace::None).await;
        looked.is_ok_and(|looked| match looked.found {
            Found::Absent { .. } => looked.view.member,
            Found::Fresh(copy) => !copy.body.is_whole(),
            Found::Stale { .. } | Found::Gone(_) => false,
        })
    }

    /// Without a lease nothing counts as a HIT, and what is here would be asked for once more.
    async fn wait_for_lease(&self) {
        let mut leased = self.leased.subscribe();
        // The channel lives as long as the POP.
        let _ = leased.wait_for(|leased| *leased).await;
    }
}

/// Whether all of it is there, and fresh.
fn is_there(looked: &Looked) -> bool {
    matches!(&looked.found, Found::Fresh(copy) if copy.body.is_whole())
}
