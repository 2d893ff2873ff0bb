//! Server-sent events (HTML Living Standard, 9.2): one task to its end, or all that the caller sees.
//!
//! `task` has a [`TaskView`](super::wire::TaskView), and as its id the number of the task's newest change. What changes
//! often is told at most ten times a second, as it is then. Who comes back with `Last-Event-ID` goes on from there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use freshen_control::changes::Stream as Place;
use freshen_control::{Feed, TaskWatch, Told};
use freshen_model::ids::TaskId;
use freshen_model::rights::Right;
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::error::ApiError;
use super::signed::{Name, SignedRequest};
use super::tasks::{counted_within, task_id, view};
use super::wire::{ErrorCode, EventsMissed, EventsReady, TaskView};
use crate::gate::Caller;
use crate::router::Api;

/// Between two looks at what changes all the time.
const PACE: Duration = Duration::from_millis(100);
/// Events of a task that are told as fast as they come; most tasks have ended by then.
const AT_ONCE: u32 = 8;
/// A comment goes out that often where there is no event, and the caller's key is looked at again.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long an ended purge's counts are waited for, where that is asked.
const COUNTED_MAX: Duration = Duration::from_secs(60);
/// The id of the last event of a task's stream. Who comes back with it is told that nothing more comes.
const END: &str = "end";

/// Somebody who listens.
struct Listener {
    api: Api,
    caller: Caller,
    heartbeat: Interval,
    _place: Place,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Whether the counts of an ended purge are waited for.
    #[serde(default)]
    counted: bool,
}

pub(super) async fn of_task(
    State(api): State<Api>,
    Name(id): Name,
    request: SignedRequest,
) -> Result<Response, ApiError> {
    let Wanted { counted } = request.query()?;
    let task = task_id(&id)?;
    let caller = request.may(Right::Read)?.clone();
    if request.field("last-event-id") == Some(END) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let seen = last_seen(&request)?;
    let watch = api.control.watch(task);
    // Refused with a status, not in the stream.
    drop(view(&api, &caller, task).await?);
    let listener = Listener::new(api, caller)?;
    // The first event says how it is now, unless that was seen.
    let seen = seen.filter(|seen| *seen == watch.number());
    let following = OfTask { listener, task, watch, seen, told: 0, counted };
    Ok(events(stream::unfold(Some(following), |following| async {
        let mut following = following?;
        let (event, last) = following.next().await?;
        Some((Ok(event), (!last).then_some(following)))
    })))
}

pub(super) async fn of_tasks(State(api): State<Api>, request: SignedRequest) -> Result<Response, ApiError> {
    let caller = request.may(Right::Read)?.clone();
    let seen = last_seen(&request)?;
    let feed = api.control.feed(caller.confines(), seen);
    let first = id(Event::default().event("ready"), feed.seen()).json_data(EventsReady {});
    let first = first.map_err(|error| ApiError::internal(&error))?;
    let listener = Listener::new(api, caller)?;
    let following = OfTasks { listener, feed, ready: VecDeque::from([first]) };
    Ok(events(stream::unfold(Some(following), |following| async {
        let mut following = following?;
        let (event, last) = following.next().await?;
        Some((Ok(event), (!last).then_some(following)))
    })))
}

fn last_seen(request: &SignedRequest) -> Result<Option<u64>, ApiError> {
    let Some(text) = request.field("last-event-id").filter(|text| !text.is_empty()) else { return Ok(None) };
    let unreadable = || {
        let message = "last-event-id: send the id of an event that this path gave, or leave it out";
        ApiError::new(ErrorCode::Malformed, message).of_field("last-event-id")
    };
    text.parse().map(Some).map_err(|_| unreadable())
}

fn events(stream: impl stream::Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    // Proxies that gather answers would keep events back.
    let unbuffered = [("x-accel-buffering", "no")];
    (unbuffered, Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT))).into_response()
}

fn id(event: Event, number: u64) -> Event {
    event.id(number.to_string())
}

/// The event that says why a stream breaks off.
fn broken(error: ApiError) -> Event {
    // It has no text that could not be written.
    Event::default().event("error").json_data(error.0).unwrap_or_default()
}

impl Listener {
    fn new(api: Api, caller: Caller) -> Result<Listener, ApiError> {
        let place = api.control.open_stream(&caller.account)?;
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.reset();
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Listener { api, caller, heartbeat, _place: place })
    }

    /// Waits for `news`; fails once the caller may not listen any more, and is `None` when control stops.
    async fn until<T>(&mut self, news: impl Future<Output = T>) -> Result<Option<T>, ApiError> {
        tokio::pin!(news);
        loop {
            tokio::select! {
                there = &mut news => return Ok(Some(there)),
                () = self.api.stop.cancelled() => return Ok(None),
                _ = self.heartbeat.tick() => {
                    if !self.api.gate.keeps(&self.caller).await? {
                        let message = "the access key is disabled or has expired, sign in with another";
                        return Err(ApiError::new(ErrorCode::Unauthenticated, message));
                    }
                }
            }
        }
    }
}

/// One task to its end.
struct OfTask {
    listener: Listener,
    task: TaskId,
    watch: TaskWatch,
    /// The number that was told last, and how many were.
    seen: Option<u64>,
    told: u32,
    counted: bool,
}

impl OfTask {
    /// The next event, and whether it is the last.
    async fn next(&mut self) -> Option<(Event, bool)> {
        self.look().await.unwrap_or_else(|error| Some((broken(error), true)))
    }

    async fn look(&mut self) -> Result<Option<(Event, bool)>, ApiError> {
        if let Some(seen) = self.seen {
            let watch = &mut self.watch;
            let pace = if self.told < AT_ONCE { Duration::ZERO } else { PACE };
            let paced = async {
                sleep(pace).await;
                watch.changed_after(seen).await;
            };
            if self.listener.until(paced).await?.is_none() {
                return Ok(None);
            }
        }
        let number = self.watch.number();
        let Listener { api, caller, .. } = &self.listener;
        let Json(mut shown) = view(api, caller, self.task).await?;
        let ended = shown.task.status.ended();
        if ended && self.counted {
            Json(shown) = counted_within(api, Json(shown), COUNTED_MAX).await?;
        }
        (self.seen, self.told) = (Some(number), self.told.saturating_add(1));
        let event = Event::default().event("task");
        let event = if ended { event.id(END) } else { id(event, number) };
        Ok(Some((written(event, &shown)?, ended)))
    }
}

/// All tasks that the caller sees.
struct OfTasks {
    listener: Listener,
    feed: Feed,
    /// Read, and not sent yet.
    ready: VecDeque<Event>,
}

impl OfTasks {
    async fn next(&mut self) -> Option<(Event, bool)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((event, false));
            }
            match self.look().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some((broken(error), true)),
            }
        }
    }

    /// Reads what is new; false when control stops.
    async fn look(&mut self) -> Result<bool, ApiError> {
        let feed = &mut self.feed;
        let paced = async {
            sleep(PACE).await;
            feed.next().await
        };
        let Some(told) = self.listener.until(paced).await? else { return Ok(false) };
        let Listener { api, caller, .. } = &self.listener;
        match told {
            Told::Missed(number) => {
                let message = "what changed before is not known here any more, list the tasks anew".into();
                let event = id(Event::default().event("missed"), number).json_data(EventsMissed { message });
                self.ready.push_back(event.map_err(|error| ApiError::internal(&error))?);
            }
            Told::Changed(changes) => {
                for change in changes {
                    match view(api, caller, change.task).await {
                        Ok(Json(shown)) => {
                            self.ready.push_back(written(
                                id(Event::default().event("task"), change.number),
                                &shown,
                            )?);
                        }
                        // Of domains that this key does not reach.
                        Err(error) if error.0.code == ErrorCode::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(true)
    }
}

fn written(event: Event, shown: &TaskView) -> Result<Event, ApiError> {
    event.json_data(shown).map_err(|error| ApiError::internal(&error))
}
