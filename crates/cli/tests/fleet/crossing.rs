//! The lines between two POPs that ask each other: what one asks gets there when the other has asked, too.

use crate::peers::Twist;
use freshen_model::peers::Peers;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::sync::watch;

/// Both lines.
pub struct Crossing {
    /// To the POP of that name.
    lines: HashMap<&'static str, Arc<Line>>,
}

/// One of them.
struct Line {
    address: String,
    /// Where it leads; control says that later.
    home: watch::Sender<Option<String>>,
    /// Set while the next question waits for that of the other.
    waits: AtomicBool,
    both: Arc<Barrier>,
}

impl Crossing {
    /// Lines that let everything pass at once.
    pub async fn between(pops: [&'static str; 2]) -> Crossing {
        let both = Arc::new(Barrier::new(2));
        let mut lines = HashMap::new();
        for pop in pops {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let line = Arc::new(Line {
                address: listener.local_addr().unwrap().to_string(),
                home: watch::Sender::new(None),
                waits: AtomicBool::new(false),
                both: both.clone(),
            });
            lines.insert(pop, line.clone());
            tokio::spawn(async move {
                while let Ok((asker, _)) = listener.accept().await {
                    tokio::spawn(line.clone().lead(asker));
                }
            });
        }
        Crossing { lines }
    }

    /// Tells each that the other is to be asked on its line, and alone.
    pub fn twist(&self) -> Twist {
        let lines = self.lines.clone();
        Arc::new(move |_, mut peers: Peers| {
            for peer in &mut peers.peers {
                let line = &lines[peer.pop.as_str()];
                if let Some(home) = peer.address.replace(line.address.clone()) {
                    line.home.send_replace(Some(home));
                }
            }
            Peers { asked: false, ..peers }
        })
    }

    /// The next question of each waits for that of the other.
    pub fn next_together(&self) {
        self.lines.values().for_each(|line| line.waits.store(true, Ordering::SeqCst));
    }
}

impl Line {
    async fn lead(self: Arc<Line>, asker: TcpStream) {
        let home = self.home.subscribe().wait_for(Option::is_some).await.unwrap().clone().unwrap();
        let Ok(home) = TcpStream::connect(home).await else { return };
        let (mut questions, mut answers_to) = asker.into_split();
        let (mut answers, mut questions_to) = home.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut answers_to).await });
        let mut said = vec![0; 65_536];
        while let Ok(count @ 1..) = questions.read(&mut said).await {
            if self.waits.swap(false, Ordering::SeqCst) {
                self.both.wait().await;
            }
            if questions_to.write_all(&said[..count]).await.is_err() {
                return;
            }
        }
    }
}
