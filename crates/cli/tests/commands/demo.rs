//! A demo that runs: its processes, its command line, its viewers and its origin.

use crate::command::{Ended, Running, freshen, run};
use crate::ports::Ports;
use crate::process::{Process, asked_until, within};
use crate::viewer::Viewer;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStdout;

/// The POPs, in the order of their ports.
pub const POPS: [&str; 3] = ["pop-asia", "pop-europe", "pop-america"];

/// How a demo is to be started.
#[derive(Clone, Copy, Default)]
pub struct Plan {
    /// The lease, where it is not the default of 10 s.
    pub lease_ms: Option<u64>,
    /// Without restarts of parts that die.
    pub no_restart: bool,
    /// With the test's own files; else with the sample site.
    pub own_files: bool,
    /// Without a data folder of the user's.
    pub temporary: bool,
}

pub struct Demo {
    plan: Plan,
    ports: Arc<Ports>,
    folder: Arc<TempDir>,
    process: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// What it printed until all parts were ready.
    pub welcome: Vec<String>,
}

impl Demo {
    pub async fn start() -> Demo {
        Demo::planned(Plan::default()).await
    }

    pub async fn planned(plan: Plan) -> Demo {
        let folder = tempfile::tempdir().unwrap();
        for name in ["files", "data", "temporary"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        if let Some(lease_ms) = plan.lease_ms {
            // As a user would who edits what an earlier start had written.
            let config = format!("data = \"control\"\nlease_ms = {lease_ms}\n");
            std::fs::write(folder.path().join("data/control.toml"), config).unwrap();
        }
        Demo::open(plan, Ports::claim().into(), folder.into()).await
    }

    /// Starts where `folder` has the state.
    async fn open(plan: Plan, ports: Arc<Ports>, folder: Arc<TempDir>) -> Demo {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freshen"));
        command.args(["demo", "--port-base", &ports.base.to_string()]);
        if plan.temporary {
            command.env("TMPDIR", folder.path().join("temporary"));
        } else {
            command.arg("--data").arg(folder.path().join("data"));
        }
        if plan.own_files {
            command.arg("--origin-dir").arg(folder.path().join("files"));
        }
        if plan.no_restart {
            command.arg("--no-restart");
        }
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = ChildStdout::from_std(process.stdout.take().unwrap()).unwrap();
        let stdout = BufReader::new(stdout).lines();
        let mut demo = Demo { plan, ports, folder, process, stdout, welcome: Vec::new() };
        while demo.welcome.last().is_none_or(|line| line != "Ctrl-C stops all.") {
            let line = demo.next_line().await.expect("the demo ended at its start");
            demo.welcome.push(line);
        }
        demo
    }

    /// Killed with -9, and started again with the same data.
    pub async fn start_again(self) -> Demo {
        let (plan, ports, folder) = (self.plan, self.ports.clone(), self.folder.clone());
        let parts = self.process().children();
        drop(self);
        for (part, _) in parts {
            part.gone().await;
        }
        Demo::open(plan, ports, folder).await
    }

    /// Waits for a line that has this in it.
    pub async fn says(&mut self, text: &str) -> String {
        loop {
            let line = self.next_line().await.unwrap_or_else(|| panic!("ended without saying {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    async fn next_line(&mut self) -> Option<String> {
        within("the demo says something", self.stdout.next_line()).await.unwrap()
    }

    pub fn process(&self) -> Process {
        Process::of(self.process.id())
    }

    /// Kills the demo's own process with -9.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The exit code, once it has ended by itself.
    pub async fn exited(&mut self) -> Option<i32> {
        self.process().gone().await;
        self.process.wait().unwrap().code()
    }

    /// A part's process: origin, control or a POP.
    pub fn part(&self, name: &str) -> Process {
        let file = if name == "origin" { "demo-origin".to_owned() } else { format!("/{name}.toml") };
        let found = self.process().children().into_iter().find(|(_, command)| command.contains(&file));
        found.unwrap_or_else(|| panic!("{name} does not run")).0
    }

    /// The command that the welcome shows for one part.
    pub fn shown_command(&self, name: &str) -> &str {
        let end = format!("/{name}.toml");
        self.welcome.iter().find(|line| line.ends_with(&end)).expect("no such command is shown").trim()
    }

    /// `freshen` with these arguments, connected to this demo by its environment.
    pub fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = freshen(arguments);
        command
            .env("FRESHEN_ENDPOINT", format!("http://{}", self.ports.at(0)))
            .env("FRESHEN_ACCESS_KEY_ID", "demo")
            .env("FRESHEN_ACCESS_KEY_SECRET", "demo-secret");
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments)).await
    }

    /// Runs a command beside the test.
    pub fn begin(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Runs a command with a list in a file.
    pub async fn run_list(&self, arguments: &[&str], list: impl AsRef<[u8]>) -> Ended {
        let file = self.folder.path().join("list.txt");
        std::fs::write(&file, list).unwrap();
        self.run(&[arguments, &["--file", file.to_str().unwrap()]].concat()).await
    }

    /// The task once it is as wanted.
    pub async fn task_when(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        asked_until(&format!("task {id}"), async || {
            let shown = self.run(&["task", "show", "--json", id]).await;
            // Control may be away for a moment.
            (shown.code == Some(0)).then(|| shown.json()).filter(&wanted)
        })
        .await
    }

    pub async fn ended(&self, id: &str) -> Value {
        self.task_when(id, |task| task["status"] == "complete" || task["status"] == "failed").await
    }

    pub fn viewer(&self, pop: usize) -> Viewer {
        Viewer::of(self.ports.at(1 + pop as u16))
    }

    pub fn viewers(&self) -> [Viewer; 3] {
        [0, 1, 2].map(|pop| self.viewer(pop))
    }

    /// A visitor of control's own pages.
    pub fn control(&self) -> Viewer {
        Viewer::of(self.ports.at(0))
    }

    /// Who watches a POP's health.
    pub fn admin(&self, pop: usize) -> Viewer {
        Viewer::of(self.ports.at(5 + pop as u16))
    }

    /// Waits until a POP is caught up and has a lease.
    pub async fn ready(&self, pop: &str) {
        let place = POPS.iter().position(|name| *name == pop).unwrap();
        asked_until(&format!("{pop} is ready"), async || {
            let answer = self.admin(place).try_get("pop/-/ready").await?;
            (answer.status == 200).then_some(())
        })
        .await
    }

    /// Waits until each POP was told of the two others.
    pub async fn pops_know_each_other(&self) {
        for pop in 0..POPS.len() {
            asked_until("each POP knows the others", async || {
                let metrics = self.admin(pop).get("pop/-/metrics").await;
                metrics.text().lines().any(|line| line == "freshen_pop_peers 2").then_some(())
            })
            .await;
        }
    }

    /// From now on each POP asks the origin itself, so that what each of them does can be counted.
    pub async fn each_pop_for_itself(&self) {
        self.run(&["domain", "set", "demo.localhost", "--home", "off"]).await.with(0);
        // Complete once the settings before it are applied, too.
        self.run(&["purge", "--wait", "http://demo.localhost/no-such-page"]).await.with(0);
    }

    pub fn port_base(&self) -> u16 {
        self.ports.base
    }

    pub fn origin_address(&self) -> String {
        self.ports.at(10)
    }

    /// Where the origin's file of this name is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(if self.plan.own_files { "files" } else { "data/site" }).join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// What is left where temporary files are put.
    pub fn temporary_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("temporary")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// What reached the origin for a path: requests, of which not modified, and body bytes.
    pub async fn reached(&self, path: &str) -> (u64, u64, u64) {
        let stats = Viewer::of(self.origin_address()).get("origin/_origin/stats").await;
        let stats: Value = serde_json::from_str(stats.text()).unwrap();
        let count = |what: &str| stats["paths"][path][what].as_u64().unwrap_or(0);
        (count("requests"), count("not_modified"), count("bytes"))
    }

    /// What is left of today's quotas: URLs, directories, prefetches.
    pub async fn quota(&self) -> [u64; 3] {
        let quota = self.run(&["quota", "--json"]).await.with(0).json();
        [0, 1, 2].map(|kind| quota["quotas"][kind]["remaining"].as_u64().unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Its parts die with it, which a test of its own shows.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
