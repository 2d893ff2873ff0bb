//! The stage of the tests: control on a real ledger and a clock that is moved by hand, POPs over loopback.

use freshen_control::{Clock, Config, Control, ManualClock, SubmitRequest, Submitted};
use freshen_fleet::{Event, HttpLink, Link};
use freshen_ledger::{Ledger, SqliteLedger};
use freshen_model::area::Area;
use freshen_model::domain::{NoLease, Settings};
use freshen_model::ids::{BootId, DataId, PopId, Seq, TaskId};
use freshen_model::location::Scheme;
use freshen_model::protocol::follower::{Follower, Identity, Saved};
use freshen_model::protocol::heartbeat::{Answer, PrefetchReport, Standing};
use freshen_model::protocol::now::Now;
use freshen_model::task::{Failure, Progress, StepState, Task, TaskKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// 2026-11-22T12:00:00Z.
pub const NOON_MS: i64 = 1_795_348_800_000;
/// What is awaited comes far sooner; a test that would hang says so instead.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    pub control: Arc<Control>,
    pub clock: Arc<ManualClock>,
    pub ledger: Arc<SqliteLedger>,
    pub address: String,
    process: Process,
    folder: TempDir,
}

/// What control's tasks run on; ends them all at once wherever they are, and closes their sockets, as kill -9 does.
struct Process(Option<Runtime>);

impl Process {
    fn start() -> Process {
        Process(Some(Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()))
    }

    async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.0.as_ref().unwrap().spawn(future).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

impl Stage {
    /// Control with account `ann`, who owns `a.example`, and account `bob`, who owns `b.example`; no POPs.
    pub async fn set() -> Stage {
        Stage::set_with(|_| ()).await
    }

    pub async fn set_with(change: impl FnOnce(&mut Config)) -> Stage {
        let folder = TempDir::new().unwrap();
        let stage = Stage::raise(folder, NOON_MS, change).await;
        for (account, domain) in [("ann", "a.example"), ("bob", "b.example")] {
            stage.control.add_account(account, false).await.unwrap();
            stage.control.add_domain(account, domain, &settings()).await.unwrap();
        }
        stage
    }

    async fn raise(folder: TempDir, wall_ms: i64, change: impl FnOnce(&mut Config)) -> Stage {
        let mut config = Config { data: folder.path().into(), ..Config::default() };
        change(&mut config);
        let clock = Arc::new(ManualClock::new(wall_ms));
        let ledger = Arc::new(SqliteLedger::open(&ledger_path(&folder)).unwrap());
        let process = Process::start();
        let (on_ledger, by_clock) = (ledger.clone(), clock.clone());
        let (control, address) = process
            .run(async move {
                let control = Control::start_with(on_ledger, &config, by_clock).await.unwrap();
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap().to_string();
                tokio::spawn(control.hub().serve(listener, std::future::pending()));
                (control, address)
            })
            .await;
        Stage { control, clock, ledger, address, process, folder }
    }

    /// Control dies as by kill -9, between two steps of its own, and starts again on the same folder,
    /// at the same time by the wall clock; its steady clock starts anew.
    pub async fn restart(self) -> Stage {
        self.restart_with(|_| ()).await
    }

    pub async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Stage {
        let Stage { control, clock, ledger, process, folder, .. } = self;
        drop(process);
        drop(control);
        // Its tasks end where they next would await.
        within(async {
            while Arc::strong_count(&ledger) > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(ledger);
        Stage::raise(folder, clock.wall_ms(), change).await
    }

    /// Registers a POP; it joins, and has confirmed the log so far.
    pub async fn pop(&self, name: &str) -> Pop {
        let id: PopId = name.parse().unwrap();
        let new = self.control.add_pop(&id, Area::Domestic, "north").await.unwrap();
        let mut pop = Pop::new(self, id, new.token, 1);
        pop.confirm(new.record.joined).await;
        pop
    }

    pub async fn submit(&self, kind: TaskKind, lines: &[&str]) -> Submitted {
        self.control.submit("ann", request(kind, lines)).await.unwrap()
    }

    pub async fn purge(&self, url: &str) -> Submitted {
        self.submit(TaskKind::Url, &[url]).await
    }

    pub async fn task(&self, id: TaskId) -> Task {
        self.control.task(None, id).await.unwrap().unwrap()
    }

    /// The task once it has ended.
    pub async fn ended(&self, id: TaskId) -> Task {
        within(async {
            loop {
                let mut watch = self.control.watch(id);
                let seen = watch.number();
                let task = self.task(id).await;
                if task.status.ended() {
                    return task;
                }
                watch.changed_after(seen).await;
            }
        })
        .await
    }

    /// Returns once the task looks like that.
    pub async fn until(&self, id: TaskId, looks: impl Fn(&Task) -> bool) -> Task {
        within(async {
            loop {
                let task = self.task(id).await;
                if looks(&task) {
                    return task;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

fn ledger_path(folder: &TempDir) -> PathBuf {
    folder.path().join("ledger.sqlite")
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("what is awaited does not come")
}

pub fn settings() -> Settings {
    Settings::of_origin("http://127.0.0.1:8090".parse().unwrap())
}

pub fn serving() -> Settings {
    Settings { no_lease: NoLease::Serve, ..settings() }
}

pub fn request(kind: TaskKind, lines: &[&str]) -> SubmitRequest {
    SubmitRequest {
        kind,
        force: false,
        soft: false,
        area: None,
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        scheme: Scheme::Required,
        follow: None,
        domains: Vec::new(),
    }
}

pub fn state<'a>(task: &'a Task, pop: &str) -> &'a StepState {
    &task.pops.iter().find(|step| step.pop.as_str() == pop).unwrap().state
}

/// A POP: the protocol's own follower, without a cache.
pub struct Pop {
    pub link: HttpLink,
    pub follower: Follower,
    pub token: String,
    /// Whether it knows the questions that POPs of before do not.
    pub expands: bool,
    events: Option<mpsc::Receiver<Event>>,
    boot: Duration,
}

impl Pop {
    /// A POP with a data folder of its own, named by `data`, in its first boot.
    pub fn new(stage: &Stage, id: PopId, token: String, data: u8) -> Pop {
        let mut name = [data; 16];
        for (place, byte) in id.as_str().bytes().enumerate() {
            name[place % 16] ^= byte;
        }
        let (data, boot) = (DataId(name), BootId(name));
        let identity = Identity { pop: id, data, boot, boot_number: 1 };
        let follower = Follower::restore(identity, Saved::default(), [], [], 1_000);
        let link = HttpLink::new(stage.address.clone(), &token).unwrap();
        Pop { link, follower, token, expands: true, events: None, boot: Duration::ZERO }
    }

    /// The same process, once control is back at another address.
    pub fn reconnect(&mut self, stage: &Stage) {
        self.link = HttpLink::new(stage.address.clone(), &self.token).unwrap();
        self.events = None;
    }

    pub fn id(&self) -> PopId {
        self.follower.identity().pop.clone()
    }

    /// Applies the log up to `seq`, saying nothing about it.
    pub async fn apply(&mut self, seq: Seq) {
        within(async {
            while self.follower.saved().watermark < seq {
                match self.event().await {
                    Event::Snapshot(snapshot) => {
                        let plan = self.follower.plan_snapshot(&snapshot);
                        self.follower.commit(&plan);
                    }
                    Event::Orders(log, orders) => {
                        let plan = self.follower.plan(log, &orders).unwrap();
                        self.follower.commit(&plan);
                    }
                    other => panic!("{other:?}"),
                }
            }
        })
        .await;
    }

    pub async fn event(&mut self) -> Event {
        if self.events.is_none() {
            let saved = *self.follower.saved();
            let position = freshen_fleet::wire::Position {
                pop: self.id(),
                log: saved.log,
                watermark: saved.watermark,
                watermark_id: saved.watermark_id,
                takes_peers: false,
                takes_certificates: false,
                expands: self.expands,
            };
            self.events = Some(self.link.follow(&position).await.unwrap());
        }
        self.events.as_mut().unwrap().recv().await.unwrap()
    }

    /// Sends a heartbeat as things stand.
    pub async fn beat(&mut self) -> Answer {
        self.report(Vec::new()).await
    }

    pub async fn report(&mut self, reports: Vec<PrefetchReport>) -> Answer {
        self.boot += Duration::from_millis(1);
        let now = Now { boot: self.boot, wall: self.boot };
        let beat = self.follower.heartbeat(now, reports);
        let answer = self.link.heartbeat(&beat).await.unwrap();
        self.follower.answered(&answer);
        answer
    }

    /// Applies the log up to `seq` and nothing behind it, and confirms that.
    pub async fn confirm_only(&mut self, seq: Seq) {
        within(async {
            while self.follower.saved().watermark < seq {
                let Event::Orders(log, mut orders) = self.event().await else { continue };
                orders.retain(|order| order.seq <= seq);
                let plan = self.follower.plan(log, &orders).unwrap();
                self.follower.commit(&plan);
            }
        })
        .await;
        // What came behind it has to come again.
        self.events = None;
        let answer = self.beat().await;
        assert!(matches!(answer.standing, Standing::Confirmed { .. }), "{answer:?}");
    }

    /// Applies the log up to `seq` and confirms it.
    pub async fn confirm(&mut self, seq: Seq) {
        self.apply(seq).await;
        let answer = self.beat().await;
        assert!(matches!(answer.standing, Standing::Confirmed { .. }), "{answer:?}");
    }
}

/// A report on a prefetch of one line of 100 bytes.
pub fn report(seq: Seq, bytes: u64, ended: bool, failures: Vec<Failure>) -> PrefetchReport {
    let warm = u64::from(ended && failures.is_empty());
    let progress = Progress {
        files: 1,
        files_warm: warm,
        files_failed: failures.len() as u64,
        bytes,
        bytes_expected: 100,
        ..Progress::default()
    };
    PrefetchReport { seq, progress, ended, variants: 0, failures }
}

pub fn noted(answer: &Answer) -> Vec<Seq> {
    match &answer.standing {
        Standing::Confirmed { noted, .. } => noted.clone(),
        other => panic!("{other:?}"),
    }
}

/// The ledger's own word on a task.
pub async fn in_ledger(stage: &Stage, id: TaskId) -> freshen_ledger::TaskRecord {
    stage.ledger.task(id, None).await.unwrap().unwrap()
}
