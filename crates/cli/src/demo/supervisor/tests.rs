//! The supervisor with true children: shells and small Python programs.

use std::net::SocketAddr;

use super::*;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A supervisor at work, and what it says.
struct Supervised {
    logs: TempDir,
    events: mpsc::UnboundedReceiver<Event>,
    stop: oneshot::Sender<()>,
    run: JoinHandle<anyhow::Result<()>>,
}

impl Supervised {
    fn start(parts: Vec<Part>, change: impl FnOnce(&mut Settings)) -> Self {
        let logs = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(logs.path().to_path_buf());
        change(&mut settings);
        let (stop, stopped) = oneshot::channel();
        let (tell, events) = mpsc::unbounded_channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let run = tokio::spawn(run(parts, settings, stopped, tell));
        Self { logs, events, stop, run }
    }

    async fn event(&mut self) -> Event {
        self.events.recv().await.expect("the supervisor is at work")
    }

    /// Waits for the next part to become ready and returns its process id.
    async fn ready(&mut self) -> u32 {
        match self.event().await {
            Event::Ready { pid, .. } => pid,
            other => panic!("{other}"),
        }
    }

    async fn stop(self) -> Vec<Event> {
        let Self { mut events, stop, run, .. } = self;
        stop.send(()).unwrap();
        run.await.unwrap().unwrap();
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(log_path(self.logs.path(), name)).unwrap()
    }
}

/// A shell that counts as ready at once, because the test itself listens where it is asked.
fn shell(name: &str, script: &str, ready: &TcpListener) -> Part {
    Part {
        name: name.to_owned(),
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into(), name.into()],
        ready: ReadyProbe::Tcp(ready.local_addr().unwrap()),
    }
}

/// A program that listens at a port of its own when it has run its first lines.
fn python(name: &str, first: &str, address: SocketAddr) -> Part {
    let script = format!(
        "import signal, socket\n{first}\ns = socket.create_server(('127.0.0.1', {}))\nwhile True: signal.pause()",
        address.port()
    );
    Part {
        name: name.to_owned(),
        program: "python3".into(),
        args: vec!["-c".into(), script.into()],
        ready: ReadyProbe::Tcp(address),
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn free_address() -> SocketAddr {
    listener().await.local_addr().unwrap()
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

fn is_alive(pid: u32) -> bool {
    rustix::process::test_kill_process(Pid::from_raw(pid.cast_signed()).unwrap()).is_ok()
}

#[tokio::test]
async fn a_part_that_dies_is_restarted_and_a_line_says_so() {
    let port = listener().await;
    let mut demo = Supervised::start(vec![shell("pop-asia", "exec sleep 1000", &port)], |_| {});
    let first = demo.ready().await;
    assert_eq!(demo.event().await, Event::AllReady);

    kill(first);
    let restarted = demo.event().await;
    assert_eq!(restarted.to_string(), "pop-asia died (signal 9), restarted");
    let Event::Restarted { pid: second, .. } = restarted else { panic!("{restarted}") };
    assert!(second != first && is_alive(second));

    assert_eq!(demo.stop().await, []);
    assert!(!is_alive(second), "parts do not outlive the supervisor");
}

#[tokio::test]
async fn without_restart_a_part_stays_down_and_the_others_stay_up() {
    let port = listener().await;
    let parts = vec![shell("dies", "exec sleep 1000", &port), shell("lives", "exec sleep 1000", &port)];
    let mut demo = Supervised::start(parts, |settings| settings.restart = false);
    let (dies, lives) = (demo.ready().await, demo.ready().await);
    assert_eq!(demo.event().await, Event::AllReady);

    kill(dies);
    assert_eq!(demo.event().await.to_string(), "dies died (signal 9), stays down");
    assert!(is_alive(lives));
    assert_eq!(demo.stop().await, []);
    assert!(!is_alive(lives));
}

#[tokio::test]
async fn a_part_that_keeps_dying_is_restarted_ever_more_slowly() {
    let port = listener().await;
    // The first time it stays; from the second on it dies at once.
    let mark = tempfile::tempdir().unwrap();
    let script = format!("[ -e {0}/again ] && exit 3; : > {0}/again; exec sleep 1000", mark.path().display());
    let mut demo = Supervised::start(vec![shell("weak", &script, &port)], |_| {});
    let first = demo.ready().await;
    assert_eq!(demo.event().await, Event::AllReady);
    while !mark.path().join("again").exists() {
        tokio::task::yield_now().await;
    }
    kill(first);

    let mut died = vec![(demo.event().await.to_string(), Instant::now())];
    for _ in 0..3 {
        died.push((demo.event().await.to_string(), Instant::now()));
    }
    assert_eq!(died[0].0, "weak died (signal 9), restarted");
    assert_eq!(died[1].0, "weak died (exit status 3), restarted");
    // 200, 400, 800 ms and the start of a shell; only the lower bound is promised.
    for (pair, wait_ms) in died.windows(2).zip([200, 400, 800]) {
        assert!(pair[1].1 - pair[0].1 >= Duration::from_millis(wait_ms));
    }
    // Stopped while it waits for its next start.
    demo.stop().await;
}

#[tokio::test]
async fn parts_start_in_order_each_when_the_one_before_is_ready() {
    let (first, second) = (free_address().await, free_address().await);
    let must_be_there = format!("socket.create_connection(('127.0.0.1', {}))", first.port());
    let mut demo =
        Supervised::start(vec![python("one", "", first), python("two", &must_be_there, second)], |_| {});
    assert!(matches!(demo.event().await, Event::Ready { name, .. } if name == "one"));
    assert!(matches!(demo.event().await, Event::Ready { name, .. } if name == "two"));
    assert_eq!(demo.event().await, Event::AllReady);
    assert_eq!(demo.stop().await, []);
}

#[tokio::test]
async fn a_part_deaf_to_sigterm_is_killed() {
    let address = free_address().await;
    let deaf = python("deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", address);
    let mut demo =
        Supervised::start(vec![deaf], |settings| settings.stop_timeout = Duration::from_millis(200));
    let pid = demo.ready().await;
    assert_eq!(demo.event().await, Event::AllReady);
    let said: Vec<String> = demo.stop().await.iter().map(Event::to_string).collect();
    assert_eq!(said, ["deaf did not stop within 200ms, killed"]);
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_part_that_fails_to_start_stops_the_others_and_shows_its_log() {
    let port = listener().await;
    let nowhere = free_address().await;
    let mut broken = shell("broken", "echo the port is taken >&2; exit 2", &port);
    broken.ready = ReadyProbe::Tcp(nowhere);
    let mut demo = Supervised::start(vec![shell("fine", "exec sleep 1000", &port), broken], |_| {});
    let fine = demo.ready().await;

    let error = (&mut demo.run).await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("broken: exit status 2 before it was ready; "), "{error}");
    assert!(error.ends_with("the port is taken"), "{error}");
    assert!(!is_alive(fine));
    assert_eq!(demo.log("broken"), "the port is taken\n");
}

#[tokio::test]
async fn a_part_that_is_never_ready_is_given_up() {
    let port = listener().await;
    let mut mute = shell("mute", "exec sleep 1000", &port);
    mute.ready = ReadyProbe::Tcp(free_address().await);
    let demo = Supervised::start(vec![mute], |settings| settings.ready_timeout = Duration::from_millis(200));
    let error = demo.run.await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("mute: not ready after"), "{error}");
}

#[tokio::test]
async fn a_stop_during_the_start_leaves_nothing_behind() {
    let port = listener().await;
    let mut mute = shell("mute", "exec sleep 1000", &port);
    mute.ready = ReadyProbe::Tcp(free_address().await);
    let mut demo = Supervised::start(vec![shell("fine", "exec sleep 1000", &port), mute], |_| {});
    let fine = demo.ready().await;
    assert_eq!(demo.stop().await, []);
    assert!(!is_alive(fine));
}

#[tokio::test]
async fn a_part_is_told_its_parent() {
    let port = listener().await;
    let mut demo =
        Supervised::start(vec![shell("child", "echo \"$@\" $PPID; exec sleep 1000", &port)], |_| {});
    demo.ready().await;
    let me = std::process::id();
    let expected = format!("--die-with-parent {me} {me}\n");
    while demo.log("child").len() < expected.len() {
        tokio::task::yield_now().await;
    }
    assert_eq!(demo.log("child"), expected);
    demo.stop().await;
}

#[tokio::test]
async fn an_http_part_is_ready_when_it_answers_200() {
    let port = listener().await;
    let probe = ReadyProbe::Http(port.local_addr().unwrap());
    let part = async {
        for status in ["503 Service Unavailable", "404 Not Found", "200 OK"] {
            let (mut stream, _): (TcpStream, _) = port.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            assert!(asked.starts_with(b"GET /-/ready HTTP/1.1\r\n"));
            stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await.unwrap();
        }
    };
    // Both end: the probe asked exactly as often as it had to.
    tokio::join!(part, probe.wait());
}

#[tokio::test]
async fn sigterm_is_a_stop_signal() {
    let stop = stop_signal().unwrap();
    kill_process(rustix::process::getpid(), Signal::TERM).unwrap();
    stop.await;
}

#[test]
fn the_printed_command_survives_a_shell() {
    let part = Part {
        name: "pop".to_owned(),
        program: "/bin/freshen".into(),
        args: vec!["pop".into(), "--config".into(), "/tmp/it's here/pop.toml".into(), "".into()],
        ready: ReadyProbe::Tcp(([127, 0, 0, 1], 1).into()),
    };
    assert_eq!(part.command_line(), r"/bin/freshen pop --config '/tmp/it'\''s here/pop.toml' ''");
}
