//! One `freshen` command, and how it ended.

use crate::process::Process;
use serde_json::Value;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Fails, with all that was said, unless the exit code is this.
    #[track_caller]
    pub fn with(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output: one line that is one JSON object.
    #[track_caller]
    pub fn json(&self) -> Value {
        let line = self.stdout.strip_suffix('\n').unwrap_or(&self.stdout);
        assert!(!line.contains('\n'), "not one line: {}", self.stdout);
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object(), "{value}");
        value
    }
}

/// `freshen` with these arguments, and nothing of this machine's user.
pub fn freshen(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freshen"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FRESHEN_") {
            command.env_remove(name);
        }
    }
    command.env_remove("XDG_CONFIG_HOME").env("HOME", "/nonexistent").kill_on_drop(true);
    command
}

/// A command that runs beside the test.
pub struct Running(Child);

impl Running {
    pub fn start(mut command: Command) -> Running {
        Running(command.spawn().unwrap())
    }

    pub fn process(&self) -> Process {
        Process::of(self.0.id().expect("it has ended"))
    }

    /// A line of standard error that has this in it, and nothing before it.
    pub async fn complains(&mut self, text: &str) -> String {
        use tokio::io::AsyncReadExt;
        let stderr = self.0.stderr.as_mut().unwrap();
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).lines().any(|line| line.contains(text))
            || !said.ends_with(b"\n")
        {
            assert_ne!(stderr.read_buf(&mut said).await.unwrap(), 0, "{}", String::from_utf8_lossy(&said));
        }
        String::from_utf8(said).unwrap()
    }

    pub async fn ended(self) -> Ended {
        let output = self.0.wait_with_output().await.unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a command to its end.
pub async fn run(command: Command) -> Ended {
    Running::start(command).ended().await
}
