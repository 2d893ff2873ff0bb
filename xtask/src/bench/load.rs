//! The load generators: h2load for hits, wrk where each request has another URL.

use super::process::{LOAD_CORE, on_core};
use anyhow::{Context as _, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The host that all requests are for.
pub const HOST: &str = "bench.test";
const CONNECTIONS: &str = "32";

/// What a run measured.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub requests: u64,
    pub seconds: f64,
    pub p50_us: u64,
    pub p99_us: u64,
}

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Plain,
    /// TLS 1.3 with HTTP/1.1.
    Tls,
    /// TLS 1.3 with HTTP/2.
    H2,
}

/// h2load for so many seconds over `urls` paths below `prefix`, each client in turn.
pub fn h2load(
    scratch: &Path,
    transport: Transport,
    port: u16,
    prefix: &str,
    urls: usize,
    seconds: u64,
) -> anyhow::Result<Run> {
    let (list, log) = (scratch.join("urls"), scratch.join("h2load.log"));
    let scheme = if transport == Transport::Plain { "http" } else { "https" };
    let lines: String = (0..urls).map(|number| format!("{scheme}://{HOST}{prefix}{number}\n")).collect();
    fs::write(&list, lines)?;
    let _ = fs::remove_file(&log);
    let mut command = on_core(LOAD_CORE, "h2load");
    match transport {
        Transport::Plain | Transport::Tls => command.args(["--h1", "-c", CONNECTIONS]),
        // As many requests under way, on fewer connections.
        Transport::H2 => command.args(["-c", "8", "-m", "4"]),
    };
    command.args(["-D", &seconds.to_string(), "--tls13-ciphers=TLS_AES_128_GCM_SHA256"]);
    command.arg(format!("--connect-to=127.0.0.1:{port}"));
    command.arg("-i").arg(&list).arg(format!("--log-file={}", log.display()));
    let said = output(&mut command)?;
    let run = from_log(&fs::read_to_string(&log)?, seconds as f64);
    run.with_context(|| format!("h2load said:\n{said}"))
}

/// Rows of start time, status and microseconds; one that is no 200 spoils the run.
fn from_log(log: &str, seconds: f64) -> anyhow::Result<Run> {
    let mut times = Vec::new();
    for row in log.lines() {
        let mut fields = row.split('\t').skip(1);
        let (status, time) = (fields.next().context("no status")?, fields.next().context("no time")?);
        ensure!(status == "200", "a request was answered {status}");
        times.push(time.parse::<u64>()?);
    }
    ensure!(!times.is_empty(), "no request was answered");
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Ok(Run { requests: times.len() as u64, seconds, p50_us: at(50), p99_us: at(99) })
}

/// Which URLs wrk asks for: numbers from 0 behind a prefix.
#[derive(Clone, Copy)]
pub enum Urls {
    /// Each once.
    Each,
    /// Drawn at random, up to this one.
    Random(u64),
}

/// wrk for so many seconds.
pub fn wrk(root: &Path, port: u16, prefix: &str, urls: Urls, seconds: u64) -> anyhow::Result<Run> {
    let (mode, last) = match urls {
        Urls::Each => ("next", 0),
        Urls::Random(last) => ("random", last),
    };
    let mut command = on_core(LOAD_CORE, "wrk");
    command.args(["-t1", "-c", CONNECTIONS, "--timeout", "30s", "-d", &format!("{seconds}s"), "-s"]);
    command.arg(root.join("bench/urls.lua")).arg(format!("http://127.0.0.1:{port}/")).arg("--");
    command.args([mode, prefix, &last.to_string(), HOST]);
    let said = output(&mut command)?;
    from_script(&said).with_context(|| format!("wrk said:\n{said}"))
}

/// The line that `bench/urls.lua` writes.
fn from_script(said: &str) -> anyhow::Result<Run> {
    let line =
        said.lines().find_map(|line| line.strip_prefix("measured ")).context("no line of the script")?;
    let value = |name: &str| -> anyhow::Result<u64> {
        let mut pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        Ok(pairs.find(|(found, _)| *found == name).context(name.to_owned())?.1.parse()?)
    };
    ensure!(value("errors")? == 0 && value("requests")? > 0, "requests failed");
    let seconds = value("duration_us")? as f64 / 1e6;
    Ok(Run { requests: value("requests")?, seconds, p50_us: value("p50_us")?, p99_us: value("p99_us")? })
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?} cannot be started"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{said}{error}", output.status);
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_from_the_log_and_errors_spoil_it() {
        let log: String = (1..=100).rev().map(|time| format!("17000\t200\t{time}\n")).collect();
        let run = from_log(&log, 2.0).unwrap();
        assert_eq!((run.requests, run.p50_us, run.p99_us), (100, 50, 99));
        assert!(from_log("17000\t503\t1\n", 2.0).is_err());
        assert!(from_log("", 2.0).is_err());
    }

    #[test]
    fn the_script_s_line_is_read() {
        let said = "Running\nmeasured requests=10 duration_us=2000000 bytes=5 p50_us=3 p99_us=4 errors=0\n";
        let run = from_script(said).unwrap();
        assert_eq!((run.requests, run.seconds, run.p50_us, run.p99_us), (10, 2.0, 3, 4));
        assert!(from_script(&said.replace("errors=0", "errors=1")).is_err());
    }
}
