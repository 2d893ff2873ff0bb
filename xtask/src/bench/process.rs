//! The processes of a benchmark: on a core of their own, accounted for, and gone when the benchmark is.

use anyhow::{Context as _, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the load comes from, with the origin and whatever else is not measured.
pub const LOAD_CORE: usize = 0;
/// Where the server under test runs, alone.
pub const SERVER_CORE: usize = 1;

/// Microseconds in a tick of `/proc/PID/stat`: USER_HZ is 100 on every Linux.
const TICK_US: u64 = 10_000;
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);

/// A command that runs on `core` only and ends when this process does, however that comes about.
pub fn on_core(core: usize, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string(), "setpriv", "--pdeathsig", "TERM", program]);
    command
}

/// The same on any core.
pub fn on_any_core(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", program]);
    command
}

/// A server, stopped when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it, with its output in `log`.
    pub fn start(command: &mut Command, log: PathBuf) -> anyhow::Result<Process> {
        let out = File::create(&log)?;
        command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        let child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        Ok(Process { child, log })
    }

    /// Waits until `ready` holds; an error with its output when it ends before.
    pub fn wait_until(&mut self, ready: impl Fn() -> bool) -> anyhow::Result<Duration> {
        let started = Instant::now();
        while !ready() {
            let ended = self.child.try_wait()?;
            ensure!(
                ended.is_none() && started.elapsed() < START_MAX,
                "a server did not get ready:\n{}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
            pause(Duration::from_millis(5));
        }
        Ok(started.elapsed())
    }

    /// Processor time of it and all its descendants so far, microseconds, user and system, in
    /// steps of the kernel's tick. Threads that have ended are in it.
    pub fn cpu_us(&self) -> anyhow::Result<u64> {
        let family = self.family()?;
        let stats = family.iter().filter_map(|pid| Stat::read(Path::new(&format!("/proc/{pid}"))));
        Ok(stats.map(|stat| stat.ticks).sum::<u64>() * TICK_US)
    }

    /// It and all its descendants.
    fn family(&self) -> anyhow::Result<Vec<u32>> {
        let all: Vec<Stat> =
            fs::read_dir("/proc")?.filter_map(|entry| Stat::read(&entry.ok()?.path())).collect();
        let mut family = vec![self.child.id()];
        let mut at = 0;
        while let Some(parent) = family.get(at).copied() {
            family.extend(all.iter().filter(|stat| stat.parent == parent).map(|stat| stat.pid));
            at += 1;
        }
        Ok(family)
    }

    /// The most resident memory that it or any of its descendants has had, bytes.
    pub fn peak_rss_bytes(&self) -> anyhow::Result<u64> {
        let peak = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        Ok(self.family()?.iter().filter_map(peak).max().unwrap_or(0) * 1024)
    }

    /// Its resident memory, bytes.
    pub fn rss_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let asked = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && asked.elapsed() < STOP_MAX {
            pause(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `/proc/PID/stat` tells of a process.
struct Stat {
    pid: u32,
    parent: u32,
    /// Its own and those of children it has waited for.
    ticks: u64,
}

impl Stat {
    fn read(folder: &Path) -> Option<Stat> {
        let pid = folder.file_name()?.to_str()?.parse().ok()?;
        Stat::parse(pid, &fs::read_to_string(folder.join("stat")).ok()?)
    }

    /// proc(5): after the name in parentheses come the state, the parent, and as 14th to 17th of all the ticks.
    fn parse(pid: u32, text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
        Some(Stat { pid, parent: fields.get(1)?.parse().ok()?, ticks })
    }
}

/// A folder that goes with this process, also when that is killed: a shell waits for the end of its input for that.
pub struct Scratch {
    pub path: PathBuf,
    _remover: Child,
}

impl Scratch {
    /// Makes it where temporary files are kept (`TMPDIR`).
    pub fn new() -> anyhow::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("freshen-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        // Servers that end at the same time may still write there: again until it is gone.
        let script = r#"trap "" INT TERM HUP; cat; until rm -rf -- "$1"; do sleep 1; done"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "remover"]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Scratch { _remover: command.stderr(Stdio::null()).spawn()?, path })
    }
}

/// Gives back the room of a folder's files, and moves it aside until the scratch folder goes as a whole. Deleting them now
/// would be paid for by the next side: ext4 looks long for the place of a new file where many have gone in the last minutes.
pub fn empty(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    truncate_all(folder)?;
    let aside = (0_u32..).map(|number| folder.with_extension(format!("spent-{number}")));
    let aside = aside.take(100_000).find(|path| !path.exists()).context("no name is left")?;
    Ok(fs::rename(folder, aside)?)
}

fn truncate_all(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            truncate_all(&path)?;
        } else if path.is_file() {
            File::create(path)?;
        }
    }
    Ok(())
}

/// Waits for what gives no event: another program's readiness, or its end.
#[allow(clippy::disallowed_methods, reason = "other programs are waited for, and tell nobody")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_behind_any_name() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 99";
        let stat = Stat::parse(42, line).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.ticks), (42, 7, 124));
        assert!(Stat::parse(42, "42 (a").is_none());
    }
}
