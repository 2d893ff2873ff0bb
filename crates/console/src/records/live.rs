//! What changes while somebody looks, as server-sent events with parts of pages.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use freshen_control::changes::Stream as Place;
use freshen_control::{Feed, TaskWatch, Told};
use freshen_model::ids::TaskId;
use futures_util::stream;
use serde::Deserialize;
use tokio::time::sleep;

use super::record;
use crate::Console;
use crate::person::Person;
use crate::records;
use crate::refused::Refused;

/// Between two looks at what changes all the time.
const PACE: Duration = Duration::from_millis(200);
/// How often it is looked whether the session still stands; a comment keeps the connection open as often.
const SESSION_CHECK: Duration = Duration::from_secs(15);
/// How long counts of an ended purge are waited for.
const COUNTED_MAX: Duration = Duration::from_secs(60);
/// Rows of a list that are followed.
const ROWS_MAX: usize = 100;

/// One record, whole, whenever it changed.
pub(crate) async fn record(
    State(console): State<Console>,
    Path(id): Path<String>,
    person: Person,
) -> Result<Response, Refused> {
    let watch = console.control().watch(record::own(&console, &person, &id).await?.task.id);
    let place = place(&console, &person)?;
    let (seen, over, actions, next) = (None, false, String::new(), None);
    let following = Record { console, person, id, watch, seen, over, actions, next, _place: place };
    Ok(events(stream::unfold(following, |mut following| async {
        let event = following.next().await?;
        Some((Ok(event), following))
    })))
}

/// The states of a list's rows.
pub(crate) async fn list(
    State(console): State<Console>,
    Query(wanted): Query<Wanted>,
    person: Person,
) -> Result<Response, Refused> {
    let ids = wanted.ids.split(',').filter_map(|id| id.parse().ok()).map(TaskId).take(ROWS_MAX);
    let ids: Vec<TaskId> = ids.collect();
    let feed = console.control().feed(person.confines(), None);
    let place = place(&console, &person)?;
    // What changed between the page and this is looked at first.
    let following = List { console, person, feed, looks: ids.clone(), ids, over: false, _place: place };
    Ok(events(stream::unfold(following, |mut following| async {
        let event = following.next().await?;
        Some((Ok(event), following))
    })))
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    ids: String,
}

fn place(console: &Console, person: &Person) -> Result<Place, Refused> {
    let open = console.control().open_stream(&person.user.account);
    open.map_err(|error| Refused::Unfit(error.to_string()))
}

fn events(stream: impl stream::Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    // Proxies that gather answers would keep events back.
    let unbuffered = [("x-accel-buffering", "no")];
    let alive = KeepAlive::new().interval(SESSION_CHECK);
    (StatusCode::OK, unbuffered, Sse::new(stream).keep_alive(alive)).into_response()
}

/// Waits for news as long as the session stands and control runs.
async fn until<T>(console: &Console, person: &Person, news: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(news);
    loop {
        tokio::select! {
            there = &mut news => return Some(there),
            () = console.0.stop.cancelled() => return None,
            () = sleep(SESSION_CHECK) => if !person.stays(console.control()).await { return None },
        }
    }
}

/// The last event: the page asks no more.
fn end() -> Event {
    Event::default().event("end").data("over")
}

struct Record {
    console: Console,
    person: Person,
    id: String,
    watch: TaskWatch,
    /// The change that was told last.
    seen: Option<u64>,
    over: bool,
    /// What could be done with it when it was told last.
    actions: String,
    /// What is told next.
    next: Option<Event>,
    _place: Place,
}

impl Record {
    async fn next(&mut self) -> Option<Event> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        if self.over {
            // Whoever is told the end closes; who does not is not told again.
            return self.seen.take().map(|_| end());
        }
        if let Some(seen) = self.seen {
            let watch = &mut self.watch;
            let paced = async {
                sleep(PACE).await;
                watch.changed_after(seen).await;
            };
            until(&self.console, &self.person, paced).await?;
        }
        self.seen = Some(self.watch.number());
        let operation = record::own(&self.console, &self.person, &self.id).await.ok()?;
        let control = self.console.control();
        let mut counts = control.counts(&operation.task).await.ok()?;
        if operation.task.status.ended() && counts.as_ref().is_some_and(|counts| !counts.settled) {
            let counted = control.counts_within(&operation.task, COUNTED_MAX);
            counts = until(&self.console, &self.person, counted).await?.ok()?;
        }
        self.over = operation.task.status.ended();
        let actions = record::actions(&self.person, &operation).into_string();
        if actions != self.actions {
            self.next = Some(Event::default().event("actions").data(&actions));
            self.actions = actions;
        }
        let part = record::changing(&self.console, &operation, counts.as_ref()).into_string();
        Some(Event::default().event("progress").data(part))
    }
}

struct List {
    console: Console,
    person: Person,
    feed: Feed,
    /// Those that have not ended.
    ids: Vec<TaskId>,
    /// Those that are to be looked at.
    looks: Vec<TaskId>,
    over: bool,
    _place: Place,
}

impl List {
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(id) = self.looks.pop() {
                let operation = self.console.control().operation(self.person.confines(), id).await.ok()?;
                let Some(operation) = operation else { continue };
                if operation.task.status.ended() {
                    self.ids.retain(|known| *known != id);
                }
                let state = records::state(&operation.task).into_string();
                return Some(Event::default().event(format!("task-{id}")).data(state));
            }
            if self.ids.is_empty() {
                return (!std::mem::replace(&mut self.over, true)).then(end);
            }
            let feed = &mut self.feed;
            let paced = async {
                sleep(PACE).await;
                feed.next().await
            };
            match until(&self.console, &self.person, paced).await? {
                Told::Missed(_) => self.looks.clone_from(&self.ids),
                Told::Changed(changes) => {
                    let changed = changes.iter().map(|change| change.task);
                    self.looks = changed.filter(|task| self.ids.contains(task)).collect();
                }
            }
        }
    }
}
