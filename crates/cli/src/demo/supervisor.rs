//! Runs the demo's parts as processes of their own: starts them in order, brings back what dies, stops them together.
//!
//! The life of a part: starting → ready → (died → started again)* → stopping → gone.

mod probe;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::probe::ReadyProbe;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A part that ran this long before it died is restarted without more patience than the first time.
const STEADY: Duration = Duration::from_secs(30);
const LOG_TAIL_LINES: usize = 20;

/// One process of the demo.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    pub program: PathBuf,
    /// `--die-with-parent <pid>` is added to these when the part is started.
    pub args: Vec<OsString>,
    pub ready: ReadyProbe,
}

/// How the parts are run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Each part appends what it prints to `<log_dir>/<name>.log`.
    pub log_dir: PathBuf,
    /// Whether a part that dies is started again.
    pub restart: bool,
    /// How long a part may take to become ready at the start.
    pub ready_timeout: Duration,
    /// How long the parts may take to stop before they are killed.
    pub stop_timeout: Duration,
}

impl Settings {
    pub fn new(log_dir: PathBuf) -> Self {
        let (ready_timeout, stop_timeout) = (Duration::from_secs(30), Duration::from_secs(10));
        Self { log_dir, restart: true, ready_timeout, stop_timeout }
    }
}

/// What happens to the parts; displayed, it is the line to print.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Ready { name: String, pid: u32 },
    AllReady,
    Restarted { name: String, end: End, pid: u32 },
    StaysDown { name: String, end: End },
    CannotStart { name: String, error: String, retry: Duration },
    Killed { name: String, after: Duration },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End(pub ExitStatus);

/// Runs the parts until `stop` is done, then stops them all; tells what happens through `events`.
///
/// The parts are started in the given order, each when the one before is ready. Fails when one does not become ready;
/// those started before are stopped first.
///
/// Runs on a current-thread runtime only, driven by the main thread: a part is killed when the *thread* that spawned
/// it ends, and a worker thread may end long before the process.
pub async fn run(
    parts: Vec<Part>,
    settings: Settings,
    stop: impl Future<Output = ()>,
    events: mpsc::UnboundedSender<Event>,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread,
        "parts are started from a current-thread runtime only"
    );
    let stopping = CancellationToken::new();
    let mut keepers = JoinSet::new();
    let start = start_all(parts, &settings, &stopping, &events, &mut keepers);
    tokio::pin!(stop);
    let started = tokio::select! {
        started = start => started,
        () = &mut stop => {
            stopping.cancel();
            Ok(())
        }
    };
    if started.is_ok() && !stopping.is_cancelled() {
        let _ = events.send(Event::AllReady);
        stop.await;
    }
    stopping.cancel();
    while keepers.join_next().await.is_some() {}
    started
}

/// Done at the first SIGINT or SIGTERM. To be made before the first part is started, so that no signal is missed.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

async fn start_all(
    parts: Vec<Part>,
    settings: &Settings,
    stopping: &CancellationToken,
    events: &mpsc::UnboundedSender<Event>,
    keepers: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    for part in parts {
        let mut running = Running::spawn(&part, &settings.log_dir)
            .with_context(|| format!("{} cannot be started", part.name))?;
        let became_ready = tokio::select! {
            () = part.ready.wait() => Ok(()),
            end = running.child.wait() => Err(format!("{} before it was ready", End(end?))),
            () = tokio::time::sleep(settings.ready_timeout) => {
                Err(format!("not ready after {} s", settings.ready_timeout.as_secs()))
            }
        };
        if let Err(what) = became_ready {
            running.stop(settings.stop_timeout).await;
            let log = log_path(&settings.log_dir, &part.name);
            anyhow::bail!("{}: {what}; the end of {}:\n{}", part.name, log.display(), tail(&log));
        }
        let _ = events.send(Event::Ready { name: part.name.clone(), pid: running.pid });
        let keeper = Keeper { part, settings: settings.clone(), events: events.clone() };
        keepers.spawn(keeper.keep(running, stopping.clone()));
    }
    Ok(())
}

/// Watches one part from ready to gone.
struct Keeper {
    part: Part,
    settings: Settings,
    events: mpsc::UnboundedSender<Event>,
}

impl Keeper {
    async fn keep(self, mut running: Running, stopping: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let end = tokio::select! {
                end = running.child.wait() => End(end.unwrap_or_default()),
                () = stopping.cancelled() => break,
            };
            if !self.settings.restart {
                self.tell(Event::StaysDown { name: self.part.name.clone(), end });
                return;
            }
            if running.since.elapsed() >= STEADY {
                backoff = FIRST_BACKOFF;
            }
            let Some(again) = stopping.run_until_cancelled(self.start_again(&mut backoff)).await else {
                return;
            };
            running = again;
            self.tell(Event::Restarted { name: self.part.name.clone(), end, pid: running.pid });
        }
        if running.stop(self.settings.stop_timeout).await == Stopped::Killed {
            self.tell(Event::Killed { name: self.part.name.clone(), after: self.settings.stop_timeout });
        }
    }

    /// Waits, then spawns, until that succeeds; each try waits twice as long as the one before, up to a bound.
    async fn start_again(&self, backoff: &mut Duration) -> Running {
        loop {
            tokio::time::sleep(*backoff).await;
            *backoff = (*backoff * 2).min(BACKOFF_MAX);
            match Running::spawn(&self.part, &self.settings.log_dir) {
                Ok(running) => return running,
                Err(error) => self.tell(Event::CannotStart {
                    name: self.part.name.clone(),
                    error: format!("{error:#}"),
                    retry: *backoff,
                }),
            }
        }
    }

    fn tell(&self, event: Event) {
        // Who no longer listens does not want to know.
        let _ = self.events.send(event);
    }
}

/// A part's process.
struct Running {
    child: Child,
    pid: u32,
    since: Instant,
}

#[derive(PartialEq, Eq)]
enum Stopped {
    ByItself,
    Killed,
}

impl Running {
    fn spawn(part: &Part, log_dir: &Path) -> anyhow::Result<Self> {
        let log = log_path(log_dir, &part.name);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("the log file {}", log.display()))?;
        let child = Command::new(&part.program)
            .args(&part.args)
            .args(["--die-with-parent".to_owned(), std::process::id().to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C at the terminal reaches the supervisor alone, which then stops the parts.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| part.program.display().to_string())?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { child, pid, since: Instant::now() })
    }

    /// SIGTERM, then patience, then SIGKILL.
    async fn stop(mut self, patience: Duration) -> Stopped {
        // No id means it has been waited for: the number may be another process's by now.
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let Some(id) = id else { return Stopped::ByItself };
        let _ = kill_process(id, Signal::TERM);
        if tokio::time::timeout(patience, self.child.wait()).await.is_ok() {
            return Stopped::ByItself;
        }
        let _ = self.child.kill().await;
        Stopped::Killed
    }
}

impl Part {
    /// The command that starts this part alone, to be pasted into a shell.
    pub fn command_line(&self) -> String {
        let words =
            std::iter::once(self.program.as_os_str()).chain(self.args.iter().map(OsString::as_os_str));
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn log_path(log_dir: &Path, name: &str) -> PathBuf {
    log_dir.join(format!("{name}.log"))
}

/// The last lines of a log file; empty when there is none.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { name, pid } => write!(f, "{name} is ready (process {pid})"),
            Self::AllReady => write!(f, "all parts are ready"),
            Self::Restarted { name, end, .. } => write!(f, "{name} died ({end}), restarted"),
            Self::StaysDown { name, end } => write!(f, "{name} died ({end}), stays down"),
            Self::CannotStart { name, error, retry } => {
                write!(f, "{name} cannot be started ({error}), next try in {} ms", retry.as_millis())
            }
            Self::Killed { name, after } => write!(f, "{name} did not stop within {after:?}, killed"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.signal(), self.0.code()) {
            (Some(signal), _) => write!(f, "signal {signal}"),
            (None, code) => write!(f, "exit status {}", code.unwrap_or_default()),
        }
    }
}
