//! `freshen task`: what was submitted, and how far it is.

use super::connection::{ClientError, Connection, encode, print_json};
use super::counts;
use super::moment;
use super::outcome::Outcome;
use crate::say::say;
use clap::Subcommand;
use freshen_api::v1::wire::{OriginView, TaskList, TaskView};
use freshen_model::certificate::CertificateFile;
use freshen_model::count::Counts;
use freshen_model::order::Steer;
use freshen_model::refill::Bound;
use freshen_model::task::{Holds, Progress, Status, Step, StepState, Task};
use http::Method;
use serde::Serialize;

/// What may be asked of tasks.
#[derive(Subcommand)]
pub enum TaskCommand {
    /// The newest tasks.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 20, value_parser = super::rows)]
        limit: usize,
        /// Only these: url, directory, query, regex, tag, host or prefetch.
        #[arg(long = "type")]
        kind: Option<String>,
        /// Only these: pending, running, complete or failed.
        #[arg(long)]
        status: Option<String>,
        /// Only those with a line of this domain.
        #[arg(long)]
        domain: Option<String>,
        /// Only those with exactly this line.
        #[arg(long)]
        url: Option<String>,
        /// Only those with a line that has this in it.
        #[arg(long)]
        text: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Pause a prefetch: what is being fetched is finished, and nothing more begun.
    Pause(Steered),
    /// Let a prefetch that is paused go on.
    Resume(Steered),
    /// Cancel a task that has not begun (`--not-before`), or a prefetch that runs; what it brought stays.
    Cancel(Steered),
    /// One task, POP by POP.
    Show {
        /// Its number.
        id: u64,
        #[command(flatten)]
        connection: Connection,
    },
    /// The certificate of a complete purge: what every POP signed of it. `freshen receipt verify` verifies it.
    Receipt {
        /// Its number.
        id: u64,
        /// The most seconds to wait for signatures and counts, up to 30.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=30))]
        wait: u64,
        #[command(flatten)]
        connection: Connection,
    },
}

/// A task that is to go on otherwise.
#[derive(clap::Args)]
pub struct Steered {
    /// Its number.
    id: u64,
    #[command(flatten)]
    connection: Connection,
}

impl Steered {
    async fn go_on(self, steer: Steer) -> Result<(), ClientError> {
        let path = format!("/v1/tasks/{}/{}", self.id, steer.as_str());
        let view: TaskView = self.connection.open()?.call(Method::POST, &path, None::<&()>).await?;
        if self.connection.json {
            return print_json(&view.task);
        }
        print_task(&view);
        Ok(())
    }
}

/// A task with its counts, as it is printed for programs.
#[derive(Serialize)]
pub struct Counted<'a> {
    #[serde(flatten)]
    task: &'a Task,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<&'a Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a OriginView>,
}

impl Counted<'_> {
    /// Of that view.
    pub fn of(view: &TaskView) -> Counted<'_> {
        Counted { task: &view.task, counts: view.counts.as_ref(), origin: view.origin.as_ref() }
    }
}

impl TaskCommand {
    /// Asks control and prints.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            TaskCommand::List { limit, kind, status, domain, url, text, connection } => {
                let mut path = "/v1/tasks?".to_owned();
                let filters =
                    [("type", kind), ("status", status), ("domain", domain), ("url", url), ("text", text)];
                for (name, value) in filters {
                    if let Some(value) = value {
                        path.push_str(&format!("{name}={}&", encode(&value)));
                    }
                }
                let open = |list: TaskList| (list.tasks, list.next);
                let (tasks, more) = connection.open()?.list(&path, limit, open).await?;
                let list = TaskList { tasks, next: None };
                if connection.json {
                    print_json(&list)?;
                } else {
                    for task in &list.tasks {
                        say(&summary(task));
                    }
                    if more {
                        say("… and older ones; --limit shows them");
                    }
                }
            }
            TaskCommand::Pause(task) => task.go_on(Steer::Pause).await?,
            TaskCommand::Resume(task) => task.go_on(Steer::Resume).await?,
            TaskCommand::Cancel(task) => task.go_on(Steer::Cancel).await?,
            TaskCommand::Show { id, connection } => {
                let view: TaskView = connection.open()?.get(&format!("/v1/tasks/{id}")).await?;
                if connection.json {
                    print_json(&Counted::of(&view))?;
                } else {
                    print_task(&view);
                }
            }
            TaskCommand::Receipt { id, wait, connection } => {
                let path = format!("/v1/tasks/{id}/receipt?wait_ms={}", wait * 1_000);
                let certificate: CertificateFile = connection.open()?.get(&path).await?;
                print_json(&certificate)?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// Prints a task, POP by POP.
pub fn print_task(view: &TaskView) {
    let task = &view.task;
    say(&summary(task));
    if let Some(line) = links(task) {
        say(&line);
    }
    if !task.terms.headers.is_empty() {
        say(&format!("  for viewers with {}", task.terms.headers));
    }
    if let Some(reason) = &task.reason {
        say(&format!("  {reason}"));
    }
    for step in &task.pops {
        let of_pop =
            |counts: &Counts| counts.pops.iter().find(|pop| pop.pop == step.pop).map(|pop| pop.counted);
        let counted = view.counts.as_ref().and_then(of_pop).filter(|_| step.state.ended());
        let counted = counted.and_then(|counted| counts::of_pop(&counted));
        let counted = counted.map_or(String::new(), |counted| format!("; {counted}"));
        say(&format!("  {:<16} {}{counted}", step.pop.as_str(), state(step)));
        if let StepState::Failed { failures, .. } = &step.state {
            for failure in failures.iter().take(20) {
                let url = failure.url.as_ref().map(|url| format!("{url}: ")).unwrap_or_default();
                say(&format!("    line {}: {url}{}", failure.line, failure.reason));
            }
            if failures.len() > 20 {
                say(&format!("    … and {} more; --json has them all", failures.len() - 20));
            }
        }
    }
    if let Some(line) = view.origin.as_ref().and_then(origin_line) {
        say(&line);
    }
    if let Some(counts) = view.counts.as_ref().filter(|_| task.status.ended()) {
        say(&counts::line(counts));
        if let Some(warning) = counts::warning(counts) {
            eprintln!("{warning}");
        }
    }
}

/// Which task it goes with.
pub fn links(task: &Task) -> Option<String> {
    if let Some(then) = task.then {
        return Some(format!("  then task {then}: prefetch"));
    }
    let after = task.after?;
    let what = task.refill.map_or(String::new(), |Bound { objects, bytes }| {
        let objects = objects.map(|objects| format!("{objects} objects"));
        let bytes = bytes.map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6));
        let most: Vec<_> = objects.into_iter().chain(bytes).collect();
        format!(", refills the hottest of what that matched: at each POP at most {}", most.join(" and "))
    });
    Some(format!("  follows task {after}{what}"))
}

/// What a prefetch has cost the origin, once anything of it is there.
fn origin_line(OriginView { cost, price }: &OriginView) -> Option<String> {
    let share = cost.origin_share?;
    let requests = if cost.origin_requests == 1 { "request" } else { "requests" };
    Some(format!(
        "  from the origin: {:.1} MB in {} {requests}, {share:.2} of the {:.1} MB that each POP shall have{price}",
        cost.origin_bytes as f64 / 1e6,
        cost.origin_requests,
        cost.object_bytes as f64 / 1e6
    ))
}

/// The POPs of a task, a line each.
pub fn pops_lines(task: &Task) -> Vec<String> {
    task.pops.iter().map(|step| format!("{}: {}", step.pop, state(step))).collect()
}

/// The POPs of a task on one line, behind what holds it.
pub fn pops_line(task: &Task) -> String {
    let mut parts = pops_lines(task);
    parts.splice(0..0, held(task));
    parts.join(" · ")
}

/// What keeps a running prefetch from beginning anything.
fn held(task: &Task) -> Option<String> {
    let Holds { paused, outside_window } = task.holds;
    match (task.status, task.terms.window) {
        (Status::Running, _) if paused => Some("paused".into()),
        (Status::Running, Some(window)) if outside_window => Some(format!("outside of its window {window}")),
        _ => None,
    }
}

fn summary(task: &Task) -> String {
    let took = match task.ended_ms {
        Some(ended) => format!(" in {:.2} s", (ended - task.submitted_ms).max(0) as f64 / 1_000.0),
        None => String::new(),
    };
    if let (Status::Pending, Some(at_ms)) = (task.status, task.not_before_ms) {
        let at = moment::show(at_ms.div_euclid(1_000));
        return format!("task {}: {} pending, not before {at}", task.id, task.kind.as_str());
    }
    let lines = if task.lines == 1 { "1 line".to_owned() } else { format!("{} lines", task.lines) };
    let held = held(task).map_or(String::new(), |held| format!(", {held}"));
    format!(
        "task {}: {} {}{held} ({}), {} % at {}{took}",
        task.id,
        task.kind.as_str(),
        task.status.as_str(),
        lines,
        task.percent,
        moment::clock(task.submitted_ms)
    )
}

fn state(step: &Step) -> String {
    match &step.state {
        StepState::Waiting => "waiting".into(),
        StepState::Confirmed { fenced_at_ms: None, .. } => "confirmed".into(),
        StepState::Confirmed { fenced_at_ms: Some(at), .. } => {
            format!("confirmed, after it was fenced at {}", moment::clock(*at))
        }
        StepState::Fenced { last_contact_ms: Some(at), .. } => {
            format!("fenced, no contact since {}", moment::clock(*at))
        }
        StepState::Fenced { last_contact_ms: None, .. } => "fenced, no contact yet".into(),
        StepState::Fetching { progress } => format!("fetching, {}", amount(progress)),
        StepState::Warm { progress, .. } => format!("warm, {}", amount(progress)),
        StepState::Failed { progress, .. } => {
            format!("failed, {}, {} failed", amount(progress), progress.files_failed)
        }
        StepState::Overdue { progress, .. } => format!("not done by the deadline, {}", amount(progress)),
        StepState::Cancelled { progress, .. } => format!("cancelled, {}", amount(progress)),
        StepState::Removed { .. } => "removed".into(),
    }
}

fn amount(progress: &Progress) -> String {
    let outside = match progress.outside {
        0 => String::new(),
        count => format!(", {count} named outside of your domains and not fetched"),
    };
    let origin = match progress.origin_requests {
        0 => String::new(),
        _ => format!(", {:.1} MB of it from the origin", progress.origin_bytes as f64 / 1e6),
    };
    format!(
        "{} of {} files, {:.1} of {:.1} MB{origin}{outside}",
        progress.files_warm,
        progress.files,
        progress.bytes as f64 / 1e6,
        progress.bytes_expected as f64 / 1e6
    )
}
