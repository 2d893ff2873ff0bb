//! Processes that are not this one's children: found, signalled, and awaited.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::time::Duration;

/// No event of these tests takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between questions to a process that tells nothing by itself.
const PAUSE: Duration = Duration::from_millis(30);

/// Awaits an event.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}

/// Asks again and again until there is an answer.
pub async fn asked_until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(PAUSE).await; // tidy: allow-sleep, another process tells of this only when asked
        }
    };
    within(what, asking).await
}

/// A process by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(Pid);

impl Process {
    pub fn of(number: u32) -> Process {
        Process(Pid::from_raw(number.cast_signed()).unwrap())
    }

    pub fn signal(self, signal: Signal) {
        kill_process(self.0, signal).unwrap();
    }

    /// Done once the process has ended; at once where there is none.
    pub async fn gone(self) {
        let Ok(handle) = pidfd_open(self.0, PidfdFlags::empty()) else { return };
        let ended = tokio::task::spawn_blocking(move || {
            let patience = Timespec::try_from(PATIENCE).unwrap();
            poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&patience)).unwrap()
        });
        assert_eq!(ended.await.unwrap(), 1, "{self:?} does not end");
    }

    /// The processes that this one has started, each with its command line.
    pub fn children(self) -> Vec<(Process, String)> {
        let numbers = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let number: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            (parent(number)? == self).then_some(number)
        });
        numbers.filter_map(|number| Some((Process::of(number), command_line(number)?))).collect()
    }
}

fn parent(number: u32) -> Option<Process> {
    let status = std::fs::read_to_string(format!("/proc/{number}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    (parent != 0).then(|| Process::of(parent))
}

fn command_line(number: u32) -> Option<String> {
    let words = std::fs::read(format!("/proc/{number}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&words).replace('\0', " "))
}
