//! A part of the demo ends when the process that started it does.

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Makes the kernel kill this process when the process `ppid`, its parent, ends, in whatever way.
///
/// To be called first thing in a child: it exits at once when the parent has ended already. Strictly, the signal comes
/// when the parent's *thread* that made the child ends, so the supervisor spawns from its main thread.
pub fn die_with_parent(ppid: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that died before the line above sends no signal; an orphan is recognised by its new parent.
    if Pid::as_raw(getppid()) != ppid {
        std::process::exit(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    const ROLE: &str = "FRESHEN_TEST_ROLE";
    const PARENT: &str = "FRESHEN_TEST_PARENT";

    /// This test binary again, in another role of the conversation.
    fn start(role: &str, stdout: Stdio) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "demo::parent::tests::other_roles", "--nocapture"])
            .env(ROLE, role)
            .env(PARENT, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }

    /// Does nothing by itself: the tests below start it with a role.
    #[test]
    fn other_roles() {
        match std::env::var(ROLE).as_deref() {
            Ok("parent") => {
                let mut child = start("child", Stdio::inherit());
                child.wait().unwrap();
            }
            Ok("child") => {
                die_with_parent(std::env::var(PARENT).unwrap().parse().unwrap()).unwrap();
                println!("child is armed");
                std::thread::park_timeout(Duration::from_secs(30));
                println!("child outlived its parent");
            }
            Ok("orphan") => {
                die_with_parent(1).unwrap();
                println!("orphan lives");
            }
            _ => {}
        }
    }

    #[test]
    fn a_child_ends_with_its_parent_killed() {
        let mut parent = start("parent", Stdio::piped());
        let mut lines = BufReader::new(parent.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("child is armed") {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child did not start");
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        // Both hold the pipe's other end: it ends when the last of them has.
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("outlived"), "{rest}");
    }

    #[test]
    fn a_child_that_comes_too_late_exits() {
        let orphan = start("orphan", Stdio::piped()).wait_with_output().unwrap();
        assert_eq!(orphan.status.code(), Some(1));
        assert!(!String::from_utf8_lossy(&orphan.stdout).contains("orphan lives"));
    }
}
