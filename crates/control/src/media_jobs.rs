//! Media jobs: from the ids of media to one task for each of them.
//!
//! A job is durable before it is answered for, with the addresses that were selected; each part gets its task in the
//! transaction that makes the task, so that no crash submits a medium twice or loses one. What a part came to is told to
//! the submitter where he wants that, in words that whoever took the job knows ([`MediaTeller`]).

use crate::control::Control;
use crate::resolver::ResolverError;
use crate::secret;
use crate::submit::{SubmitError, SubmitRequest, Terms};
use freshen_ledger::{Error, Found, MediaJobRecord, NewMediaJob, PartPlace};
use freshen_model::callback::{NewCallback, check_url};
use freshen_model::expand::ExpandQuestion;
use freshen_model::follow::{DOMAINS_MAX, First, Follow};
use freshen_model::location::{Location, Scheme};
use freshen_model::media::{Stream, is_media_id};
use freshen_model::media_job::{
    MEDIA_MAX, MediaJob, MediaPart, MediaRequest, NOTE_BYTES_MAX, PartFailure, PartState, SEGMENTS_MAX,
};
use freshen_model::order::PrefetchItem;
use freshen_model::task::TaskKind;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tracing::error;

/// After a failure of the ledger, and while too many callbacks wait.
const REST: Duration = Duration::from_secs(1);
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 1_000;

/// Who finds the words for what a part came to.
pub trait MediaTeller: Send + Sync + 'static {
    /// What happened, in one word, and the body of the callback, JSON.
    fn told(&self, job: &MediaJob, part: &MediaPart) -> (&'static str, String);
}

/// What media jobs need besides.
#[derive(Default)]
pub(crate) struct MediaJobs {
    teller: OnceLock<Arc<dyn MediaTeller>>,
    unfinished: Arc<Notify>,
}

/// What became of a request for a media job.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaSubmitted {
    /// The job; absent where none of the media is left for it.
    pub job: Option<MediaJob>,
    /// Media that neither the account's library nor a resolver knows.
    pub unknown: Vec<String>,
    /// Media with an address that the caller does not reach.
    pub forbidden: Vec<String>,
}

/// Why there is no job.
#[derive(Debug, thiserror::Error)]
pub enum MediaJobError {
    /// None, or too many.
    #[error("{0} media, name 1 to {MEDIA_MAX}")]
    Count(usize),
    /// Something wanted that cannot be.
    #[error("{field}: {reason}")]
    Unfit {
        /// What.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The ledger refused or failed.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// The resolver could not say whether there are such media.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    NoRandom(#[from] crate::secret::NoRandom),
}

impl Control {
    /// Makes a job of what is wanted of some media, and submits its tasks. The job is durable once this returns `Ok`, and its
    /// parts have ended but where the ledger failed meanwhile; then they do later.
    pub async fn submit_media(
        self: &Arc<Control>,
        account: &str,
        within: Option<&BTreeSet<String>>,
        media: &[String],
        request: MediaRequest,
    ) -> Result<MediaSubmitted, MediaJobError> {
        look_over(&request)?;
        let mut wanted: Vec<String> = Vec::new();
        for id in media {
            if !wanted.contains(id) {
                wanted.push(id.clone());
            }
        }
        if !(1..=MEDIA_MAX).contains(&wanted.len()) {
            return Err(MediaJobError::Count(wanted.len()));
        }
        let ids = wanted.iter().filter(|id| is_media_id(id)).cloned().collect();
        let mut known = self.known(account, ids).await?;
        let mut submitted = MediaSubmitted { job: None, unknown: Vec::new(), forbidden: Vec::new() };
        let reached: BTreeSet<String> =
            self.ledger.domains(Some(account)).await?.into_iter().map(|domain| domain.name).collect();
        let reached =
            |host: &String| reached.contains(host) && within.is_none_or(|within| within.contains(host));
        let mut parts = Vec::new();
        for id in wanted {
            let Some(place) = known.iter().position(|(media, _)| *media == id) else {
                submitted.unknown.push(id);
                continue;
            };
            let (_, streams) = known.swap_remove(place);
            let selected = request.select(&streams);
            match selected.iter().all(|stream| host_of(stream).as_ref().is_some_and(reached)) {
                true => parts.push((id, selected.iter().map(|stream| stream.url.clone()).collect())),
                false => submitted.forbidden.push(id),
            }
        }
        if !parts.is_empty() {
            let id = secret::token()?[..32].to_owned();
            let (account, within) = (account.to_owned(), within.cloned());
            let at_ms = self.clock.wall_ms();
            let new = NewMediaJob { id: id.clone(), account, request, within, parts, at_ms };
            self.ledger.add_media_job(new).await?;
            submitted.job = self.work_off(&id).await?;
        }
        Ok(submitted)
    }

    /// The streams of these media: from the library, else from the resolver. Media that neither knows are left out.
    async fn known(
        &self,
        account: &str,
        ids: Vec<String>,
    ) -> Result<Vec<(String, Vec<Stream>)>, MediaJobError> {
        let mut known = self.ledger.media_of(account, ids.clone()).await?;
        let here = |id: &String| known.iter().any(|(media, _)| media == id);
        let elsewhere: Vec<String> = ids.into_iter().filter(|id| !here(id)).collect();
        if let Some(resolver) = self.resolver.as_ref().filter(|_| !elsewhere.is_empty()) {
            known.extend(resolver.streams(account, elsewhere).await?);
        }
        Ok(known)
    }

    /// Submits a new job's tasks. On a task of its own: a caller who hangs up must not leave half of it for later.
    async fn work_off(self: &Arc<Control>, id: &str) -> Result<Option<MediaJob>, Error> {
        let (control, name) = (self.clone(), id.to_owned());
        let working = async move {
            match control.ledger.media_job(None, &name).await {
                Ok(Some(record)) => control.finish(record).await,
                Ok(None) => true,
                Err(error) => {
                    error!(%error, "a media job could not be read, it is tried again");
                    false
                }
            }
        };
        if !tokio::spawn(working).await.unwrap_or(false) {
            self.media_jobs.unfinished.notify_one();
        }
        Ok(self.ledger.media_job(None, id).await?.map(|record| record.job))
    }

    /// Ends what waits of a job, then tells of it where that is wanted; says whether nothing is left.
    async fn finish(&self, mut record: MediaJobRecord) -> bool {
        let waiting = (1..).zip(&record.job.parts).filter(|(_, part)| !part.state.ended());
        let ended = join_all(waiting.map(|(place, part)| self.finish_part(&record, place, part))).await;
        if ended.contains(&false) {
            return false;
        }
        let Some(teller) = self.media_jobs.teller.get() else { return true };
        let Some(url) = record.job.request.callback.clone() else { return true };
        let told = async {
            if let Some(now) = self.ledger.media_job(None, &record.job.id).await? {
                record = now;
            }
            let callbacks = (1..).zip(&record.job.parts).map(|(place, part): (u32, _)| {
                let (event, body) = teller.told(&record.job, part);
                NewCallback {
                    id: format!("media-{}-{place}", record.job.id),
                    account: record.account.clone(),
                    event: event.to_owned(),
                    url: url.clone(),
                    body,
                    at_ms: part.changed_ms,
                }
            });
            self.ledger.media_job_told(record.number, callbacks.collect()).await
        };
        match told.await {
            Ok(()) => {
                self.callbacks.changed();
                true
            }
            Err(error) => {
                error!(job = record.job.id, %error, "callbacks could not be queued, it is tried again");
                false
            }
        }
    }

    /// Ends one waiting part: with its task, or with the reason why there is none. Says whether that could be written.
    async fn finish_part(&self, record: &MediaJobRecord, place: u32, part: &MediaPart) -> bool {
        let part_place = PartPlace { job: record.number, place };
        let (why, reason) = 'failed: {
            if part.urls.is_empty() {
                break 'failed (PartFailure::NoStream, "none of its streams is as was wanted".to_owned());
            }
            let mut request = request_of(&record.job.request, &part.urls);
            if let Some(follow) = request.follow.take_if(|_| request.kind.is_purge()) {
                match self.segments_of(record, follow, &part.urls).await {
                    Ok(lines) => request.lines = lines,
                    Err(reason) => break 'failed (PartFailure::Unread, reason),
                }
            }
            let terms = Terms { part: Some(part_place), ..Terms::default() };
            match self.submit_within(&record.account, record.within.as_ref(), request, terms).await {
                Ok(_) => return true,
                Err(SubmitError::Ledger(Error::Engine(error))) => {
                    error!(job = record.job.id, %error, "a medium could not be submitted, it is tried again");
                    return false;
                }
                Err(refused) => (failure_of(&refused), refused.to_string()),
            }
        };
        let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        let state = PartState::Failed { why, reason };
        match self.ledger.end_media_part(part_place, state, self.clock.wall_ms()).await {
            // Refused: it has ended already.
            Ok(()) | Err(Error::Refused(_)) => true,
            Err(error) => {
                error!(job = record.job.id, %error, "what became of a medium could not be written");
                false
            }
        }
    }

    /// The addresses of a part and of the segments that they lead to: a purge follows nothing by itself.
    async fn segments_of(
        &self,
        record: &MediaJobRecord,
        follow: Follow,
        urls: &[String],
    ) -> Result<Vec<String>, String> {
        let domains = self.ledger.domains(Some(&record.account)).await.map_err(|error| error.to_string())?;
        let domains = domains.into_iter().map(|domain| domain.name);
        let reached = |name: &String| record.within.as_ref().is_none_or(|within| within.contains(name));
        let follow = Follow { domains: domains.filter(reached).take(DOMAINS_MAX).collect(), ..follow };
        let items = urls.iter().filter_map(|url| {
            let Location { host, path_and_query } = Location::parse(url, Scheme::Required).ok()?;
            Some(PrefetchItem { domain: host, path_and_query })
        });
        let question = ExpandQuestion { items: items.collect(), follow: Some(follow), sizes: false };
        let (_, found) = self.expand(None, question).await?;
        let mut lines = urls.to_vec();
        for line in found {
            if let Some(unread) = line.unread.first() {
                return Err(format!("{} could not be read: {}", unread.url, unread.reason));
            }
            if line.cut_short || line.over > 0 || line.listed.len() as u64 != line.files {
                return Err(
                    "its playlists name more than could be read in time, purge their directory".into()
                );
            }
            // The first is the line itself.
            lines.extend(line.listed.into_iter().skip(1).map(|file| format!("http://{}", file.url)));
        }
        Ok(lines)
    }

    /// Finishes all jobs that are not; says whether nothing is left.
    async fn finish_all(&self) -> Result<bool, Error> {
        let mut finished = true;
        for record in self.ledger.unfinished_media_jobs().await? {
            finished &= self.finish(record).await;
        }
        Ok(finished)
    }

    /// From now on `teller` finds the words for callbacks of media jobs. The first one stays.
    pub fn tell_media_by(&self, teller: Arc<dyn MediaTeller>) {
        if self.media_jobs.teller.set(teller).is_ok() {
            self.media_jobs.unfinished.notify_one();
        }
    }

    /// One job of an account.
    pub async fn media_job(&self, account: &str, id: &str) -> Result<Option<MediaJob>, Error> {
        Ok(self.ledger.media_job(Some(account), id).await?.map(|record| record.job))
    }

    /// Some of an account's media jobs, the newest first, behind a place.
    pub async fn media_jobs(
        &self,
        account: &str,
        behind: Option<u64>,
        limit: u64,
    ) -> Result<Found<MediaJob, u64>, Error> {
        self.ledger.media_jobs(account, behind, limit).await
    }
}

/// Finishes jobs that were left: by a process before this one, or since the ledger failed.
pub(crate) async fn finish_in_time(control: Weak<Control>, mut stop: watch::Receiver<bool>) {
    loop {
        let Some(here) = control.upgrade() else { return };
        let finished = here.finish_all().await.unwrap_or_else(|error| {
            error!(%error, "media jobs cannot be read, it is tried again");
            false
        });
        let (unfinished, clock) = (here.media_jobs.unfinished.clone(), here.clock.clone());
        // Whoever holds the last handle may let go of it while nothing is to be done.
        drop(here);
        let again = clock.now() + REST;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = unfinished.notified() => {}
            () = clock.until(again), if !finished => {}
        }
    }
}

fn look_over(request: &MediaRequest) -> Result<(), MediaJobError> {
    let unfit = |field, reason: String| Err(MediaJobError::Unfit { field, reason });
    if !matches!(request.kind, TaskKind::Url | TaskKind::Prefetch) {
        return unfit("type", "a media job purges URLs or prefetches".into());
    }
    if request.segments.is_some_and(|count| !(1..=SEGMENTS_MAX).contains(&count)) {
        return unfit("segments", format!("write 1 to {SEGMENTS_MAX}"));
    }
    if request.note.as_ref().is_some_and(|note| note.len() > NOTE_BYTES_MAX) {
        return unfit("note", format!("at most {NOTE_BYTES_MAX} bytes"));
    }
    match request.callback.as_deref().map(check_url) {
        Some(Err(why)) => unfit("callback", why.to_string()),
        _ => Ok(()),
    }
}

fn host_of(stream: &Stream) -> Option<String> {
    Location::parse(&stream.url, Scheme::Required).ok().map(|location| location.host)
}

/// What a part is submitted as.
fn request_of(request: &MediaRequest, urls: &[String]) -> SubmitRequest {
    let first = request.segments.map(First::Segments);
    SubmitRequest {
        kind: request.kind,
        force: false,
        soft: false,
        area: None,
        lines: urls.to_vec(),
        domains: Vec::new(),
        scheme: Scheme::Required,
        follow: first.map(|first| Follow { first: Some(first), ..Follow::default() }),
    }
}

fn failure_of(refused: &SubmitError) -> PartFailure {
    match refused {
        SubmitError::OverQuota(..) => PartFailure::OverQuota,
        SubmitError::TooFast { .. } => PartFailure::TooFast,
        SubmitError::QueueFull { .. } => PartFailure::QueueFull,
        SubmitError::NoPops(_) => PartFailure::NoPops,
        _ => PartFailure::Unfit,
    }
}
