//! `freshen purge` and `freshen prefetch`: submit, and wait if asked.

use super::connection::{ClientError, Connection, Control, print_json};
use super::events::Events;
use super::outcome::Outcome;
use super::task::{self, Counted, print_task};
use super::{bar, dry_run, file, moment};
use crate::say::say;
use freshen_api::v1::wire::{DryRunView, PrefetchRequest, PurgeRequest, TaskView};
use freshen_model::area::Area;
use freshen_model::expand::PrefetchDryRun;
use freshen_model::follow::{First, Follow, Renditions};
use freshen_model::refill::Bound;
use freshen_model::task::{Status, StepState, Task, TaskKind};
use freshen_model::variants::Variants;
use freshen_model::window::Window;
use http::Method;
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A list is read up to here; far above what a submission may have.
const LIST_BYTES_MAX: u64 = 16 << 20;
/// How long control holds a request that waits for news.
const WAIT_MS: u128 = 10_000;
/// How long a prefetch is waited for, if not said.
const PREFETCH_WAIT: Duration = Duration::from_secs(30 * 60);
/// How long the counts of a complete purge are waited for unless it is asked for.
const COUNTS_MAX: Duration = Duration::from_secs(1);
/// Between tries while control is away, or is asked too often for the account.
const AWAY_PAUSE: Duration = Duration::from_millis(300);

/// Purges.
#[derive(clap::Args)]
pub struct Purge {
    /// URLs; or with one of the options below directories, patterns, tags, hosts.
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    #[command(flatten)]
    what: What,
    /// With --tag: only in this domain of the account; may be given several times [default: in all of them].
    #[arg(long, value_name = "DOMAIN", requires = "tag")]
    domain: Vec<String>,
    /// Fetch anew even where the origin would confirm the copy (URL purges always do).
    #[arg(long)]
    force: bool,
    /// Ask the origin before the next use, and keep the copy if it confirms it (directory purges do so unasked).
    #[arg(long, conflicts_with = "force")]
    soft: bool,
    /// Break off answers under way, too: nothing more of what is matched is sent once the task is complete.
    #[arg(long)]
    cut: bool,
    /// Prefetch these URLs behind the purge: one submission, two tasks, and nothing old is fetched.
    #[arg(long, conflicts_with = "what")]
    then_prefetch: bool,
    /// Fetch the hottest of what is matched again behind the purge, at each POP: so many objects, or bytes such as 200MB.
    #[arg(long, value_name = "N|BYTES", conflicts_with = "then_prefetch")]
    refill: Option<Bound>,
    /// Submit nothing; show what would be matched, POP by POP, and what it would cost.
    #[arg(long, conflicts_with_all = ["wait", "not_before", "cut", "then_prefetch", "refill"])]
    dry_run: bool,
    /// With --dry-run, warn where a POP would lose more than this share of its cache, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, requires = "dry_run")]
    warn_above: f64,
    /// Wait until the task has ended, and until every POP has counted what it matched.
    #[arg(long)]
    wait_counted: bool,
    #[command(flatten)]
    submit: Submit,
}

/// What the lines of a purge are; URLs, unless said.
#[derive(clap::Args)]
#[group(id = "what", multiple = false)]
struct What {
    /// Purge whole directories; each ends with `/`.
    #[arg(long)]
    dir: bool,
    /// Purge URLs whatever their query; none is written.
    #[arg(long)]
    query: bool,
    /// Purge what patterns match, `http://host/PATTERN`: a regular expression for the whole of path and query.
    #[arg(long)]
    regex: bool,
    /// Purge what the origin gave these tags.
    #[arg(long)]
    tag: bool,
    /// Purge all of these hosts, and of the domains that share their caches.
    #[arg(long)]
    host: bool,
}

impl What {
    fn kind(&self) -> TaskKind {
        let said = [
            (self.dir, TaskKind::Directory),
            (self.query, TaskKind::Query),
            (self.regex, TaskKind::Regex),
            (self.tag, TaskKind::Tag),
            (self.host, TaskKind::Host),
        ];
        said.into_iter().find(|(said, _)| *said).map_or(TaskKind::Url, |(_, kind)| kind)
    }
}

/// Prefetches.
#[derive(clap::Args)]
pub struct Prefetch {
    /// URLs of files.
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// Only the POPs of this area: domestic or overseas.
    #[arg(long)]
    area: Option<Area>,
    /// Fetch what playlists (HLS, DASH) among them name, too: renditions, segments, keys.
    #[arg(long)]
    follow: bool,
    /// Which renditions of a stream: all, the lowest first, or only the lowest.
    #[arg(long, value_name = "all|lowest", requires = "follow", default_value = "all")]
    renditions: Renditions,
    /// Only the first N segments of each rendition.
    #[arg(long, value_name = "N", requires = "follow", conflicts_with = "seconds")]
    segments: Option<u32>,
    /// Only the segments that begin in the first S seconds.
    #[arg(long, value_name = "S", requires = "follow")]
    seconds: Option<u32>,
    /// When a POP that has not finished makes the task failed: seconds, or with a unit (90s, 5m, 2h), after it began [default:
    /// as control is configured, a day].
    #[arg(long, value_name = "TIME", value_parser = moment::duration)]
    deadline: Option<Duration>,
    /// Begin files only in these hours of each day: `02:00-06:00+08:00`, or `22:30-05:00Z` over midnight. What is being
    /// fetched when they end is finished.
    #[arg(long, value_name = "HH:MM-HH:MM±HH:MM")]
    window: Option<Window>,
    /// Only the POPs of this region; may be given several times.
    #[arg(long)]
    region: Vec<String>,
    /// Warm the variants for viewers who send this header, `Accept-Language: de`; may be given several times: each
    /// combination of the values is a variant, at most 8 [default: gzip and identity].
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<Variants>,
    /// Submit nothing; show what the lines lead to, with counts and, where the origin tells, bytes.
    #[arg(long, conflicts_with_all = ["wait", "not_before"])]
    dry_run: bool,
    #[command(flatten)]
    submit: Submit,
}

#[derive(clap::Args)]
struct Submit {
    /// Tell this address when the task has ended, a signed POST [default: the account's].
    #[arg(long, value_name = "URL")]
    notify: Option<String>,
    /// Read URLs from this file, one a line; `-` is standard input.
    #[arg(long, value_name = "LIST", conflicts_with = "urls")]
    file: Option<PathBuf>,
    /// Begin then, not now: `+2h`, `02:00` (UTC), or `2026-12-24T02:00:00Z`.
    #[arg(long, value_name = "TIME", conflicts_with = "wait")]
    not_before: Option<String>,
    /// Wait until the task has ended.
    #[arg(long)]
    wait: bool,
    /// How long to wait: seconds, or with a unit (90s, 5m, 2h) [default: 60s for purges, 30m for prefetches].
    #[arg(long, value_parser = moment::duration)]
    timeout: Option<Duration>,
    /// What of the purge's own flags goes beyond a prefetch's.
    #[arg(skip)]
    wait_counted: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Purge {
    /// Submits, and waits if asked.
    pub async fn run(mut self) -> Result<Outcome, ClientError> {
        self.submit.wait |= self.wait_counted;
        self.submit.wait_counted = self.wait_counted;
        let control = self.submit.connection.open()?;
        let lines = self.submit.lines(self.urls)?;
        let request = PurgeRequest {
            notify: self.submit.notify.clone(),
            kind: self.what.kind(),
            force: self.force,
            soft: self.soft,
            domains: self.domain,
            cut: self.cut,
            not_before_ms: self.submit.not_before_ms()?,
            then_prefetch: self.then_prefetch,
            refill: self.refill,
            lines,
        };
        if self.dry_run {
            return dry_run(&control, &request, self.warn_above / 100.0, self.submit.connection.json).await;
        }
        self.submit.submit(&control, "/v1/purge", &request, Duration::from_secs(60)).await
    }
}

impl Prefetch {
    /// Submits, and waits if asked.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        let control = self.submit.connection.open()?;
        let lines = self.submit.lines(self.urls)?;
        let not_before_ms = self.submit.not_before_ms()?;
        let first = match (self.segments, self.seconds) {
            (Some(count), _) => Some(First::Segments(count)),
            (None, seconds) => seconds.map(First::Seconds),
        };
        let follow = self.follow.then(|| Follow { renditions: self.renditions, first, ..Follow::default() });
        let deadline_s = self.deadline.map(|after| u32::try_from(after.as_secs()).unwrap_or(u32::MAX));
        let request = PrefetchRequest {
            area: self.area,
            not_before_ms,
            notify: self.submit.notify.clone(),
            lines,
            follow,
            deadline_s,
            window: self.window,
            regions: self.region.into_iter().collect(),
            headers: self.header.into_iter().fold(Variants::default(), Variants::and),
        };
        if self.dry_run {
            let view: PrefetchDryRun =
                control.call(Method::POST, "/v1/prefetch/dry-run", Some(&request)).await?;
            if self.submit.connection.json {
                print_json(&view)?;
            } else {
                dry_run::print_prefetch(&view, &request.lines);
            }
            warn(&view.warnings);
            return Ok(if view.pop.is_some() { Outcome::Done } else { Outcome::Failed });
        }
        self.submit.submit(&control, "/v1/prefetch", &request, PREFETCH_WAIT).await
    }
}

/// Shows what a purge would do.
async fn dry_run(
    control: &Control,
    request: &PurgeRequest,
    warn_above: f64,
    json: bool,
) -> Result<Outcome, ClientError> {
    let view: DryRunView = control.call(Method::POST, "/v1/purge/dry-run", Some(request)).await?;
    if json {
        print_json(&view)?;
    } else {
        dry_run::print(&view);
    }
    warn(&dry_run::warnings(&view, warn_above));
    let unasked = view.pops.iter().any(|row| row.found.is_none());
    Ok(if unasked { Outcome::Failed } else { Outcome::Done })
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

impl Submit {
    /// When it is to begin, wall-clock milliseconds since 1970.
    fn not_before_ms(&self) -> Result<Option<i64>, ClientError> {
        let read = |text: &String| moment::parse(text, moment::now_s()).map_err(ClientError::Usage);
        Ok(self.not_before.as_ref().map(read).transpose()?.map(|at_s| at_s * 1_000))
    }

    /// The lines, from the command line or the list; empty lines of a list keep their number and are left to control.
    fn lines(&self, urls: Vec<String>) -> Result<Vec<String>, ClientError> {
        let Some(path) = &self.file else { return Ok(urls) };
        let bytes = file::read(path, LIST_BYTES_MAX)?;
        // What is not UTF-8 is refused by control as any raw non-ASCII is: with the number of its line.
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }

    /// Submits; then waits, if asked, for at most `timeout` unless another was given.
    async fn submit(
        &self,
        control: &Control,
        path: &str,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Result<Outcome, ClientError> {
        if self.timeout.is_some() && !self.wait {
            return Err(ClientError::Usage("--timeout says how long to wait: give --wait too".into()));
        }
        let mut interrupt = interrupts()?;
        let task: TaskView = tokio::select! {
            submitted = control.call(Method::POST, path, Some(request)) => submitted?,
            _ = interrupt.recv() => return Err(ClientError::Failed(
                "interrupted before control had answered; `freshen task list` shows whether it was submitted".into(),
            )),
        };
        warn(&task.warnings);
        if !self.wait {
            self.print(&task)?;
            return Ok(Outcome::Done);
        }
        let then = task.task.then;
        let outcome = self.follow(control, task, self.timeout.unwrap_or(timeout), interrupt).await?;
        match (then, outcome) {
            (Some(then), Outcome::Done) => {
                let view = control.get(&format!("/v1/tasks/{then}")).await?;
                let timeout = self.timeout.unwrap_or(PREFETCH_WAIT);
                self.follow(control, view, timeout, interrupts()?).await
            }
            (_, outcome) => Ok(outcome),
        }
    }

    async fn follow(
        &self,
        control: &Control,
        task: TaskView,
        timeout: Duration,
        mut interrupt: Signal,
    ) -> Result<Outcome, ClientError> {
        let id = task.task.id;
        let bar = bar::of(&self.connection, 100, "%");
        if bar.is_hidden() {
            // Whoever finds this in a log, after the wait was cut off in whatever way, can ask for the task.
            eprintln!("task {id} is submitted");
        }
        let waiting = async {
            let began = Instant::now();
            let view = watched(control, task, timeout, &bar).await?;
            let patience =
                if self.wait_counted { timeout.saturating_sub(began.elapsed()) } else { COUNTS_MAX };
            counted(control, view, patience, &bar).await
        };
        let waited = tokio::select! {
            waited = waiting => waited,
            _ = interrupt.recv() => {
                bar.finish_and_clear();
                eprintln!("task {id} goes on; `freshen task show {id}` tells how far it is");
                return Ok(Outcome::StillRunning);
            }
        };
        bar.finish_and_clear();
        let view = waited?;
        let task = &view.task;
        for step in &task.pops {
            if let StepState::Fenced { last_contact_ms, .. } = &step.state {
                let contact = last_contact_ms
                    .map_or("no contact yet".into(), |ms| format!("no contact since {}", moment::clock(ms)));
                eprintln!("{}: fenced, {contact}; confirms when it returns", step.pop);
            }
        }
        self.print(&view)?;
        let counting = view.counts.as_ref().is_some_and(|counts| !counts.settled);
        Ok(match task.status {
            Status::Complete if self.wait_counted && counting => Outcome::StillRunning,
            Status::Complete => Outcome::Done,
            Status::Failed => Outcome::Failed,
            Status::Pending | Status::Running => {
                eprintln!("task {id} is still running and goes on");
                Outcome::StillRunning
            }
        })
    }

    fn print(&self, view: &TaskView) -> Result<(), ClientError> {
        if self.connection.json {
            return print_json(&Counted::of(view));
        }
        if self.wait {
            print_task(view);
        } else {
            let task = &view.task;
            say(&format!("task {}: {}", task.id, task.status.as_str()));
            if let Some(line) = task::links(task) {
                say(&line);
            }
        }
        Ok(())
    }
}

/// Waits until the task ends or `timeout` has passed. Control may go away and come back meanwhile.
pub async fn wait(
    control: &Control,
    view: TaskView,
    timeout: Duration,
    bar: &ProgressBar,
) -> Result<Task, ClientError> {
    watched(control, view, timeout, bar).await.map(|view| view.task)
}

/// The same, with what beside the task is told of it.
async fn watched(
    control: &Control,
    mut view: TaskView,
    timeout: Duration,
    bar: &ProgressBar,
) -> Result<TaskView, ClientError> {
    let over = tokio::time::sleep(timeout);
    tokio::pin!(over);
    let id = view.task.id.to_string();
    let mut last = None;
    loop {
        show(bar, &view);
        if view.task.status.ended() {
            return Ok(view);
        }
        let listening = listen(control, &id, &mut last, &mut view, bar);
        let trouble = tokio::select! {
            heard = listening => match heard {
                Ok(()) => continue,
                Err(ClientError::Unreachable { reason, .. }) => {
                    format!("control is away ({reason}); the task goes on")
                }
                Err(error) if error.is_too_often() => "control is asked too often; the task goes on".into(),
                Err(error) => return Err(error),
            },
            () = &mut over => return Ok(view),
        };
        bar.set_message(trouble);
        tokio::select! {
            () = tokio::time::sleep(AWAY_PAUSE) => {}
            () = &mut over => return Ok(view),
        }
    }
}

/// Follows a task's events until it ends, or control ends them.
async fn listen(
    control: &Control,
    id: &str,
    last: &mut Option<String>,
    view: &mut TaskView,
    bar: &ProgressBar,
) -> Result<(), ClientError> {
    let mut events = Events::of(control, id, last.clone()).await?;
    while let Some(news) = events.next(control).await? {
        *last = events.last();
        *view = news;
        show(bar, view);
        if view.task.status.ended() {
            return Ok(());
        }
    }
    Err(control.unreachable("it ended the events".into()))
}

fn show(bar: &ProgressBar, view: &TaskView) {
    bar.set_position(u64::from(view.task.percent));
    bar.set_message(task::pops_line(&view.task));
}

/// Waits until every POP has counted what an ended purge matched, or `patience` is over.
async fn counted(
    control: &Control,
    mut view: TaskView,
    patience: Duration,
    bar: &ProgressBar,
) -> Result<TaskView, ClientError> {
    let began = Instant::now();
    loop {
        let left = patience.saturating_sub(began.elapsed());
        let counting = view.counts.as_ref().is_some_and(|counts| !counts.settled);
        if !view.task.status.ended() || !counting || left.is_zero() {
            return Ok(view);
        }
        bar.set_message("complete; counting…");
        let wait_ms = left.as_millis().clamp(1, WAIT_MS);
        match control.get(&format!("/v1/tasks/{}?wait_ms={wait_ms}&counted=true", view.task.id)).await {
            Ok(news) => view = news,
            Err(ClientError::Unreachable { .. }) => tokio::time::sleep(AWAY_PAUSE.min(left)).await,
            Err(error) if error.is_too_often() => tokio::time::sleep(AWAY_PAUSE.min(left)).await,
            Err(error) => return Err(error),
        }
    }
}

/// Ctrl-C, from now on told instead of ending the process.
fn interrupts() -> Result<Signal, ClientError> {
    signal(SignalKind::interrupt()).map_err(|error| ClientError::Failed(error.to_string()))
}
