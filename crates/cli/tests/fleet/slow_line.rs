//! A line between POPs and control on which answers to heartbeats are late, and which can be cut.

use freshen_fleet::wire::HEARTBEAT_PATH;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct SlowLine {
    pub address: String,
    cut: watch::Sender<bool>,
    /// When the last heartbeat was sent whose answer got through.
    answered: Arc<Mutex<Option<Instant>>>,
}

impl SlowLine {
    pub async fn start(control: String, late: Duration) -> SlowLine {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cut = watch::Sender::new(false);
        let answered = Arc::new(Mutex::new(None));
        let (watching, noting) = (cut.subscribe(), answered.clone());
        tokio::spawn(async move {
            loop {
                let (pop, _) = listener.accept().await.unwrap();
                if *watching.borrow() {
                    continue;
                }
                let control = TcpStream::connect(&control).await.unwrap();
                let mut cut = watching.clone();
                let answered = noting.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(pop, control, late, answered) => {}
                        _ = cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        SlowLine { address, cut, answered }
    }

    /// Nothing gets through any more. Tells when the last heartbeat was sent whose answer got through.
    pub fn cut(&self) -> Instant {
        self.cut.send_replace(true);
        self.answered.lock().expect("no heartbeat was answered")
    }
}

async fn carry(
    mut pop: TcpStream,
    mut control: TcpStream,
    late: Duration,
    answered: Arc<Mutex<Option<Instant>>>,
) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    let mut sent = None;
    loop {
        tokio::select! {
            read = pop.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                if up[..count].windows(HEARTBEAT_PATH.len()).any(|part| part == HEARTBEAT_PATH.as_bytes()) {
                    sent = Some(Instant::now());
                }
                control.write_all(&up[..count]).await.unwrap();
            }
            read = control.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if sent.is_some() {
                    tokio::time::sleep(late).await; // tidy: allow-sleep, the lateness itself is what is tested
                }
                pop.write_all(&down[..count]).await.unwrap();
                if sent.is_some() {
                    *answered.lock() = sent;
                }
            }
        }
    }
}
