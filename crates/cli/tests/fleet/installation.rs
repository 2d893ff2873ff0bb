//! An installation: control in this process, POPs as processes of their own.

use crate::origin::{Held, Origin};
use crate::peers::{Twist, Twisted};
use crate::slow_line::SlowLine;
use crate::viewer::{Got, Viewer};
use freshen_control::{Config, Control, SubmitRequest, Terms};
use freshen_fleet::Hub;
use freshen_ledger::{Ledger, SqliteLedger};
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::follow::Follow;
use freshen_model::ids::TaskId;
use freshen_model::location::Scheme;
use freshen_model::task::{PrefetchTerms, Step, StepState, Task, TaskKind};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The account and domain that every installation has.
pub const ACCOUNT: &str = "video";
pub const DOMAIN: &str = "a.example";

/// Between two questions to a process that tells nothing unasked.
const POLL: Duration = Duration::from_millis(20);

/// How an installation is to be.
pub struct Plan {
    pub pops: usize,
    pub lease_ms: u64,
    pub sweep_interval_ms: u64,
    pub sweep_patience_ms: u64,
    pub settings: Box<dyn FnOnce(Settings) -> Settings>,
    /// What the POPs may take of the disk.
    pub disk_bytes_max: Option<u64>,
    /// What the POPs leave free on the disk.
    pub disk_reserve_bytes: Option<u64>,
    /// Certificates that the POPs trust origins by, PEM.
    pub origin_ca: Option<String>,
    /// What else the POPs' configurations say.
    pub pop: Box<dyn Fn(&mut freshen_pop::Config)>,
    /// Control's answers to heartbeats come this much later; the line is then [`Installation::line`].
    pub answers_late: Option<Duration>,
    /// The POPs answer each other.
    pub homes: bool,
    /// What they are told of each other, if it is not what control says.
    pub twist: Option<Twist>,
    /// Each POP has a line of its own to control, in [`Installation::lines`].
    pub own_lines: bool,
    /// Control serves POPs by TLS only.
    pub tls_required: bool,
    /// The region of each POP, by its place.
    pub region: fn(usize) -> &'static str,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            pops: 1,
            lease_ms: 10_000,
            sweep_interval_ms: 3_600_000,
            sweep_patience_ms: 600_000,
            settings: Box::new(|settings| settings),
            disk_bytes_max: None,
            disk_reserve_bytes: None,
            origin_ca: None,
            pop: Box::new(|_| {}),
            answers_late: None,
            homes: false,
            twist: None,
            own_lines: false,
            tls_required: false,
            region: |_| "test",
        }
    }
}

pub struct Installation {
    pub control: Arc<Control>,
    pub origin: Origin,
    pub pops: Vec<PopProcess>,
    pub folder: TempDir,
    /// The slow line between control and the POPs, where there is one.
    pub line: Option<SlowLine>,
    /// Each POP's own line, where they have one.
    pub lines: Vec<SlowLine>,
    twist: Option<Twist>,
    config: Config,
    fleet_stop: Option<oneshot::Sender<()>>,
    fleet: Option<tokio::task::JoinHandle<()>>,
}

/// A POP's process; killed with its handle.
pub struct PopProcess {
    pub name: String,
    config: PathBuf,
    viewers: u16,
    admin: u16,
    /// Where other POPs connect.
    peers: Option<String>,
    /// Where viewers connect by TLS.
    tls: Option<String>,
    child: Option<Child>,
}

impl Installation {
    pub async fn start(plan: Plan) -> Installation {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin::start().await;
        let fleet = TcpListener::bind(("127.0.0.1", free_port())).await.unwrap();
        let config = Config {
            data: folder.path().join("control"),
            fleet_listen: fleet.local_addr().unwrap().to_string(),
            lease_ms: plan.lease_ms,
            fleet_tls_required: plan.tls_required,
            ..Config::default()
        };
        let control = open_control(&config).await;
        control.add_account(ACCOUNT, false).await.unwrap();
        let settings = Settings::of_origin(format!("http://{}", origin.address).parse().unwrap());
        control.add_domain(ACCOUNT, DOMAIN, &(plan.settings)(settings)).await.unwrap();
        let mut installation = Installation {
            control,
            origin,
            pops: Vec::new(),
            folder,
            line: None,
            lines: Vec::new(),
            twist: plan.twist,
            config,
            fleet_stop: None,
            fleet: None,
        };
        installation.serve_fleet(fleet);
        let mut reached_at = installation.config.fleet_listen.clone();
        if let Some(late) = plan.answers_late {
            let line = SlowLine::start(reached_at, late).await;
            reached_at = line.address.clone();
            installation.line = Some(line);
        }
        for place in 0..plan.pops {
            let name = format!("pop-{}", place + 1);
            let area = if place == 0 { Area::Domestic } else { Area::Overseas };
            let (id, region) = (name.parse().unwrap(), (plan.region)(place));
            let made = installation.control.add_pop(&id, area, region).await.unwrap();
            let (viewers, admin) = (free_port(), free_port());
            if plan.own_lines {
                let line = SlowLine::start(reached_at.clone(), Duration::ZERO).await;
                installation.lines.push(line);
            }
            let line = installation.lines.last().map_or(&reached_at, |line| &line.address);
            // A line that looks for heartbeats sees them only in the clear, as they go with tokens of before.
            let seen = plan.own_lines || installation.line.is_some();
            let token = if seen { in_the_clear(&made.token) } else { made.token };
            let mut pop = freshen_pop::Config::new(
                name.parse().unwrap(),
                name.clone().into(),
                format!("127.0.0.1:{viewers}"),
                format!("127.0.0.1:{admin}"),
                line.clone(),
                token,
            );
            pop.peer_listen = plan.homes.then(|| format!("127.0.0.1:{}", free_port()));
            pop.sweep_interval_ms = plan.sweep_interval_ms;
            pop.sweep_patience_ms = plan.sweep_patience_ms;
            if let Some(bytes) = plan.disk_bytes_max {
                (pop.disk_bytes_max, pop.object_bytes_max) = (bytes, bytes / 2);
            }
            if let Some(bytes) = plan.disk_reserve_bytes {
                pop.disk_reserve_bytes = bytes;
            }
            if let Some(pem) = &plan.origin_ca {
                let file = installation.folder.path().join("origin-ca.pem");
                std::fs::write(&file, pem).unwrap();
                pop.origin_ca_file = Some(file);
            }
            (plan.pop)(&mut pop);
            let (tls, peers) = (pop.tls_listen.clone(), pop.peer_listen.clone());
            let file = installation.folder.path().join(format!("{name}.toml"));
            std::fs::write(&file, toml::to_string(&pop).unwrap()).unwrap();
            let mut process = PopProcess { name, config: file, viewers, admin, peers, tls, child: None };
            process.start();
            installation.pops.push(process);
        }
        for pop in &installation.pops {
            pop.ready().await;
        }
        if plan.homes {
            installation.all_know_each_other().await;
        }
        installation
    }

    /// Waits until each POP was told of all others.
    pub async fn all_know_each_other(&self) {
        let others = (self.pops.len() - 1) as f64;
        for pop in &self.pops {
            pop.metric_when("freshen_pop_peers", |peers| peers == others).await;
        }
    }

    fn serve_fleet(&mut self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel::<()>();
        let hub = match &self.twist {
            None => self.control.hub(),
            Some(twist) => {
                let host = Twisted { control: self.control.host(), twist: twist.clone() };
                Hub::new(Arc::new(host), self.control.line_key(), self.config.fleet_tls_required)
            }
        };
        self.fleet = Some(tokio::spawn(hub.serve(listener, async move { drop(stopped.await) })));
        self.fleet_stop = Some(stop);
    }

    /// Serves users at `address`, as the role does, until the guard is dropped; and gives the account an access key if it has none.
    pub async fn serve_users(&self, address: &str, key: (&str, &str)) -> DropGuard {
        if self.control.keys(ACCOUNT).await.unwrap().is_empty() {
            self.control.add_key(ACCOUNT, Some(key.0.into()), Some(key.1.into())).await.unwrap();
        }
        let stop = CancellationToken::new();
        let router =
            freshen_api::router(self.control.clone(), &self.config.data, Arc::new(String::new), stop.clone());
        let router = router.unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::spawn(freshen_api::serve(listener, router, stop.clone()));
        stop.drop_guard()
    }

    /// Control is away from now on: nothing of it answers, and its connections break.
    pub async fn cut_off_control(&mut self) {
        drop(self.fleet_stop.take());
        self.fleet.take().unwrap().await.unwrap();
    }

    /// Control is reached again, where it was.
    pub async fn restore_control(&mut self) {
        let listener = TcpListener::bind(&self.config.fleet_listen).await.unwrap();
        self.serve_fleet(listener);
    }

    /// Control starts again on a copy of its data folder that was made earlier.
    pub async fn restore_ledger(&mut self, backup: &Path) {
        self.cut_off_control().await;
        self.control.stop().await;
        self.config.data = backup.to_owned();
        self.control = open_control(&self.config).await;
        self.restore_control().await;
    }

    /// Control starts again, with all that it has written.
    pub async fn restart_control(&mut self) {
        self.cut_off_control().await;
        self.control.stop().await;
        // The engine of before may still hold the folder.
        let copy = self.config.data.join("again");
        copy_files(&self.config.data, &copy);
        self.config.data = copy;
        self.control = open_control(&self.config).await;
        self.restore_control().await;
    }

    /// Control starts again, and has forgotten every order but the newest.
    pub async fn prune(&mut self) {
        let pruned = self.folder.path().join("pruned");
        copy_folder(&self.config.data, &pruned);
        let ledger = SqliteLedger::open(&pruned.join("ledger.sqlite")).unwrap();
        ledger.prune(self.control.log_end()).await.unwrap();
        drop(ledger);
        self.restore_ledger(&pruned).await;
    }

    pub fn viewer(&self, pop: usize) -> Viewer {
        Viewer::of(format!("127.0.0.1:{}", self.pops[pop].viewers))
    }

    /// A viewer of the first POP asks for `path`, and his request waits at the origin.
    pub async fn get_held(&self, path: &str) -> (JoinHandle<Got>, Held) {
        let held = self.origin.hold(path);
        let (viewer, url) = (self.viewer(0), format!("{DOMAIN}{path}"));
        let early = tokio::spawn(async move { viewer.get(&url).await });
        (early, held.await.unwrap())
    }

    /// The same for a viewer who accepts gzip.
    pub async fn get_held_gzip(&self, path: &str) -> (JoinHandle<Got>, Held) {
        let held = self.origin.hold(path);
        let (viewer, url) = (self.viewer(0), format!("{DOMAIN}{path}"));
        let early = tokio::spawn(async move { viewer.get_gzip(&url).await });
        (early, held.await.unwrap())
    }

    pub async fn submit(&self, kind: TaskKind, force: bool, urls: &[&str]) -> TaskId {
        let of = |url: &&str| if kind == TaskKind::Tag { (*url).to_owned() } else { format!("http://{url}") };
        let (lines, domains) = (urls.iter().map(of).collect(), Vec::new());
        let (soft, area, scheme) = (false, None, Scheme::Required);
        let request = SubmitRequest { kind, force, soft, area, lines, domains, scheme, follow: None };
        self.control.submit(ACCOUNT, request).await.unwrap().task
    }

    /// Submits a prefetch to the POPs of an area.
    pub async fn submit_to(&self, area: Option<Area>, lines: Vec<String>) -> TaskId {
        let (kind, scheme, follow) = (TaskKind::Prefetch, Scheme::Required, None);
        let (force, soft, domains) = (false, false, Vec::new());
        let request = SubmitRequest { kind, force, soft, area, lines, domains, scheme, follow };
        self.control.submit(ACCOUNT, request).await.unwrap().task
    }

    /// Submits a prefetch on these terms.
    pub async fn submit_on(&self, lines: Vec<String>, prefetch: PrefetchTerms) -> TaskId {
        let (kind, scheme, follow) = (TaskKind::Prefetch, Scheme::Required, None);
        let (force, soft, area, domains) = (false, false, None, Vec::new());
        let request = SubmitRequest { kind, force, soft, area, lines, domains, scheme, follow };
        let terms = Terms { prefetch, ..Terms::default() };
        self.control.submit_on(ACCOUNT, request, terms).await.unwrap().submitted.task
    }

    /// Submits a URL purge and waits until it is complete.
    pub async fn purge(&self, urls: &[&str]) -> Task {
        let task = self.submit(TaskKind::Url, false, urls).await;
        self.ended(task).await
    }

    pub async fn purge_directory(&self, url: &str, force: bool) -> Task {
        let task = self.submit(TaskKind::Directory, force, &[url]).await;
        self.ended(task).await
    }

    /// Submits a prefetch that follows playlists and waits until it has ended.
    pub async fn follow(&self, urls: &[&str], follow: Follow) -> Task {
        let task = self.submit_following(urls, follow).await;
        self.ended(task).await
    }

    pub async fn submit_following(&self, urls: &[&str], follow: Follow) -> TaskId {
        let lines = urls.iter().map(|url| format!("http://{url}")).collect();
        let (kind, scheme, follow) = (TaskKind::Prefetch, Scheme::Required, Some(follow));
        let (force, soft, area, domains) = (false, false, None, Vec::new());
        let request = SubmitRequest { kind, force, soft, area, lines, domains, scheme, follow };
        self.control.submit(ACCOUNT, request).await.unwrap().task
    }

    pub async fn prefetch(&self, urls: &[&str]) -> Task {
        let task = self.submit(TaskKind::Prefetch, false, urls).await;
        self.ended(task).await
    }

    pub async fn task(&self, task: TaskId) -> Task {
        self.control.task(Some(ACCOUNT), task).await.unwrap().unwrap()
    }

    /// The task once it has ended.
    pub async fn ended(&self, task: TaskId) -> Task {
        self.task_when(task, |task| task.status.ended()).await
    }

    /// The task once it is as wanted; woken by each change.
    pub async fn task_when(&self, id: TaskId, wanted: impl Fn(&Task) -> bool) -> Task {
        task_when(&self.control, id, wanted).await
    }
}

/// The task once it is as wanted; woken by each change.
pub async fn task_when(control: &Control, id: TaskId, wanted: impl Fn(&Task) -> bool) -> Task {
    let waiting = async {
        loop {
            let mut watch = control.watch(id);
            let seen = watch.number();
            let task = control.task(Some(ACCOUNT), id).await.unwrap().unwrap();
            if wanted(&task) {
                return task;
            }
            assert!(!task.status.ended(), "the task ended otherwise: {task:?}");
            watch.changed_after(seen).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the task does not come that far")
}

async fn open_control(config: &Config) -> Arc<Control> {
    std::fs::create_dir_all(&config.data).unwrap();
    let ledger = SqliteLedger::open(&config.data.join("ledger.sqlite")).unwrap();
    Control::start(Arc::new(ledger), config).await.unwrap()
}

impl PopProcess {
    pub fn start(&mut self) {
        let log = self.config.with_extension("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_freshen"))
            .args(["pop".as_ref(), "--config".as_ref(), self.config.as_os_str()])
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Where viewers connect.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.viewers)
    }

    /// Where other POPs connect.
    pub fn peer_address(&self) -> &str {
        self.peers.as_deref().expect("this POP answers no others")
    }

    /// The sum of a metric's lines now; zero where there is none yet.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.ask_admin("/-/metrics").await.expect("its admin listener answers").1;
        metric(&text, name).unwrap_or(0.0)
    }

    /// Where viewers connect by TLS.
    pub fn tls_address(&self) -> &str {
        self.tls.as_deref().expect("this POP has no TLS listener")
    }

    /// What the process has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default()
    }

    /// Waits until the process has logged that.
    pub async fn logs(&self, text: &str) {
        let reading = async {
            while !self.log().contains(text) {
                tokio::time::sleep(POLL).await; // tidy: allow-sleep, a file tells nothing unasked
            }
        };
        if tokio::time::timeout(Duration::from_secs(15), reading).await.is_err() {
            panic!("{} does not log {text:?}; its log:\n{}", self.name, self.log());
        }
    }

    /// Changes its configuration, for its next start.
    pub fn configure(&self, change: impl FnOnce(&mut freshen_pop::Config)) {
        let mut config = toml::from_str(&std::fs::read_to_string(&self.config).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&self.config, toml::to_string(&config).unwrap()).unwrap();
    }

    /// Waits until the POP answers its readiness probe.
    pub async fn ready(&self) {
        self.admin_when("/-/ready", |status, _| status == 200).await;
    }

    /// Waits until the sum of a metric's lines is as wanted.
    pub async fn metric_when(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        self.admin_when("/-/metrics", |_, text| metric(text, name).is_some_and(&wanted)).await;
    }

    async fn admin_when(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) {
        let asking = async {
            loop {
                if let Some((status, text)) = self.ask_admin(path).await
                    && wanted(status, &text)
                {
                    return;
                }
                tokio::time::sleep(POLL).await; // tidy: allow-sleep, another process tells of this only when asked
            }
        };
        if tokio::time::timeout(Duration::from_secs(15), asking).await.is_err() {
            panic!("{} does not come that far ({path}); its log:\n{}", self.name, self.log());
        }
    }

    /// Asks where health and metrics are.
    pub fn admin(&self) -> Viewer {
        Viewer::of(format!("127.0.0.1:{}", self.admin))
    }

    async fn ask_admin(&self, path: &str) -> Option<(u16, String)> {
        let got = self.admin().try_get(&format!("pop{path}")).await?;
        Some((got.status.as_u16(), got.text().to_owned()))
    }

    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The most memory it has held so far, bytes.
    pub fn peak_rss(&self) -> u64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks the process to stop, and waits until it has; tells whether it did so in order.
    pub async fn stop(&mut self) -> bool {
        self.signal(Signal::TERM);
        let mut child = self.child.take().unwrap();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .expect("it does not stop")
            .unwrap()
            .success()
    }

    pub fn folder(&self) -> PathBuf {
        self.config.with_extension("")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for PopProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The sum of a metric's lines.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| {
        let rest = &line[name.len()..];
        (rest.starts_with([' ', '{'])).then(|| line.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// A port that no other test takes while this process lives: claimed by its UDP twin, and below those that the system hands
/// out by itself.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 10_000;
    static CLAIMS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let start = std::process::id().wrapping_mul(31) % PORTS;
    for offset in 0..PORTS {
        let port = (FIRST + (start + offset) % PORTS) as u16;
        let Ok(claim) = UdpSocket::bind(("127.0.0.1", port)) else { continue };
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            CLAIMS.lock().push(claim);
            return port;
        }
    }
    panic!("no free port");
}

/// A POP's token as it was before tokens had pins.
pub fn in_the_clear(token: &str) -> String {
    token.split('.').next().unwrap().to_owned()
}

/// The step of the only POP.
pub fn only_step(task: &Task) -> &StepState {
    let [Step { state, .. }] = task.pops.as_slice() else { panic!("not one POP: {task:?}") };
    state
}

/// Copies a folder as it is, for tests that put an old state back.
fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
