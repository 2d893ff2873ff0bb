//! Freshen as a side: control and one POP, each a process, the POP with one worker thread on its core.

use super::get;
use super::load::HOST;
use super::process::{LOAD_CORE, Process, SERVER_CORE, on_core};
use super::sides::{certificate, free_port};
use anyhow::{Context as _, ensure};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// As many lines as one submission may have.
const PURGE_LINES_MAX: u64 = 1_000;

/// An installation with one domain.
pub struct Freshen {
    program: PathBuf,
    folder: PathBuf,
    pub port: u16,
    pub admin_port: u16,
    /// Control's listener for users, and for POPs.
    pub users_port: u16,
    pub fleet_port: u16,
    pub tls_port: Option<u16>,
    pub pop: Option<Process>,
    _control: Process,
}

impl Freshen {
    /// Sets an installation up in `folder`; its POP does not run yet.
    pub fn set_up(program: &Path, folder: PathBuf, origin_port: u16) -> anyhow::Result<Freshen> {
        fs::create_dir_all(&folder)?;
        let (port, admin_port, users_port, fleet_port) =
            (free_port()?, free_port()?, free_port()?, free_port()?);
        let mut command = on_core(LOAD_CORE, path(program)?);
        command.arg("serve").arg("--data").arg(&folder);
        for (option, port) in [
            ("--listen", port),
            ("--admin-listen", admin_port),
            ("--control-listen", users_port),
            ("--fleet-listen", fleet_port),
        ] {
            command.arg(option).arg(format!("127.0.0.1:{port}"));
        }
        let mut serve = Process::start(&mut command, folder.join("serve.log"))?;
        serve.wait_until(|| is_ready(admin_port))?;
        lift_limits(program, &folder, "admin")?;
        let origin = format!("http://127.0.0.1:{origin_port}");
        freshen(program, &folder, &["domain", "add", HOST, "--origin", &origin])?;
        drop(serve);

        let mut command = on_core(LOAD_CORE, path(program)?);
        command.arg("control").arg("--config").arg(folder.join("control.toml"));
        let mut control = Process::start(&mut command, folder.join("control.log"))?;
        control.wait_until(|| is_ready(users_port))?;
        let program = program.to_owned();
        Ok(Freshen {
            program,
            folder,
            port,
            admin_port,
            users_port,
            fleet_port,
            tls_port: None,
            pop: None,
            _control: control,
        })
    }

    /// Starts the POP, or starts it anew, with these fields of `pop.toml`; gives the time until it was ready.
    pub fn start_pop(&mut self, fields: &[(&str, toml::Value)]) -> anyhow::Result<Duration> {
        self.pop = None;
        let file = self.folder.join("pop.toml");
        let mut config: toml::Table = fs::read_to_string(&file)?.parse()?;
        for (name, value) in fields {
            config.insert((*name).to_owned(), value.clone());
        }
        fs::write(&file, toml::to_string(&config)?)?;
        let mut command = on_core(SERVER_CORE, path(&self.program)?);
        command.env("TOKIO_WORKER_THREADS", "1").arg("pop").arg("--config").arg(&file);
        let mut pop = Process::start(&mut command, self.folder.join("pop.log"))?;
        let admin_port = self.admin_port;
        let took = pop.wait_until(|| is_ready(admin_port))?;
        self.pop = Some(pop);
        Ok(took)
    }

    /// Stops the POP; gives its data folder.
    pub fn stop_pop(&mut self) -> anyhow::Result<PathBuf> {
        self.pop = None;
        let config: toml::Table = fs::read_to_string(self.folder.join("pop.toml"))?.parse()?;
        let data = config.get("data").and_then(toml::Value::as_str).context("pop.toml has no data")?;
        Ok(self.folder.join(data))
    }

    /// Starts the POP with TLS.
    pub fn start_pop_with_tls(&mut self, scratch: &Path) -> anyhow::Result<()> {
        let port = free_port()?;
        let (key, certificate) = certificate(scratch);
        let pair = [("cert_file", certificate), ("key_file", key)];
        let pair = pair.map(|(name, path)| (name.to_owned(), path.display().to_string().into()));
        let certificates = vec![toml::Value::Table(pair.into_iter().collect())];
        self.start_pop(&[
            ("tls_listen", format!("127.0.0.1:{port}").into()),
            ("certificates", certificates.into()),
        ])?;
        self.tls_port = Some(port);
        Ok(())
    }

    /// A client command, as the installation's admin; gives its standard output.
    pub fn client(&self, arguments: &[&str]) -> anyhow::Result<String> {
        freshen(&self.program, &self.folder, arguments)
    }

    /// The admin's access key.
    pub fn key(&self) -> anyhow::Result<(String, String)> {
        let config: toml::Table = fs::read_to_string(self.folder.join("client.toml"))?.parse()?;
        let field = |name: &str| config.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        let key = field("access_key_id").zip(field("access_key_secret"));
        key.context("client.toml has no access key")
    }

    /// Purges `count` URLs, each other than those that are measured, and waits until the POP has confirmed them.
    pub fn purge(&self, count: u64) -> anyhow::Result<()> {
        let list = self.folder.join("purges");
        for first in (0..count).step_by(PURGE_LINES_MAX as usize) {
            let mut lines = String::new();
            for number in first..count.min(first + PURGE_LINES_MAX) {
                writeln!(lines, "http://{HOST}/1k/purged/{number}")?;
            }
            fs::write(&list, lines)?;
            let file = list.to_str().context("the folder's name is UTF-8")?;
            freshen(&self.program, &self.folder, &["purge", "--wait", "--file", file])?;
        }
        Ok(())
    }
}

fn is_ready(admin_port: u16) -> bool {
    get::whole(admin_port, "localhost", "/-/ready").is_ok_and(|(head, _)| get::status(&head) == "200")
}

/// A client command, with the key of `folder`'s client.toml; gives its standard output.
pub fn freshen(program: &Path, folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).env("FRESHEN_CONFIG", folder.join("client.toml"));
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Lets an account submit and ask as much as it likes: what is measured is the fleet, not its limits.
pub fn lift_limits(program: &Path, folder: &Path, account: &str) -> anyhow::Result<()> {
    let mut arguments = vec!["account", "limits", account, "--requests-per-s", "1000000"];
    for limit in ["--url", "--directory", "--urls-per-minute", "--directories-per-minute"] {
        arguments.extend([limit, "100000000"]);
    }
    freshen(program, folder, &arguments).map(drop)
}

fn path(program: &Path) -> anyhow::Result<&str> {
    program.to_str().context("the program's path is UTF-8")
}
