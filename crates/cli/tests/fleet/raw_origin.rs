//! An origin that writes what it likes: for what no HTTP library would send.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What it does with a request.
#[derive(Clone)]
pub enum Act {
    /// Writes this and closes.
    Write(String),
    /// Writes this and leaves the connection open.
    WriteAndStay(String),
    /// Writes this, then the other again and again until the client has enough.
    WriteForever(String, String),
    /// Says nothing, and closes.
    Close,
    /// Says nothing until the client has enough.
    Hang,
}

pub struct RawOrigin {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    /// Told of each client that had enough.
    pub left: mpsc::UnboundedReceiver<()>,
}

impl RawOrigin {
    /// Does with each request the next of `acts`, and the last one with all that follow.
    pub async fn start(acts: Vec<Act>) -> RawOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (leaving, left) = mpsc::unbounded_channel();
        let origin = RawOrigin { address: listener.local_addr().unwrap(), heads: Arc::default(), left };
        let heads = origin.heads.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(converse(socket, acts.clone(), heads.clone(), leaving.clone()));
            }
        });
        origin
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }
}

async fn converse(
    mut socket: TcpStream,
    acts: Vec<Act>,
    heads: Arc<Mutex<Vec<String>>>,
    leaving: mpsc::UnboundedSender<()>,
) {
    while let Some(head) = read_head(&mut socket).await {
        let act = {
            let mut heads = heads.lock();
            heads.push(head);
            acts[(heads.len() - 1).min(acts.len() - 1)].clone()
        };
        match act {
            Act::Write(text) => {
                let _ = socket.write_all(text.as_bytes()).await;
                return;
            }
            Act::WriteAndStay(text) => {
                let _ = socket.write_all(text.as_bytes()).await;
            }
            Act::WriteForever(first, again) => {
                let _ = socket.write_all(first.as_bytes()).await;
                while socket.write_all(again.as_bytes()).await.is_ok() {}
                let _ = leaving.send(());
                return;
            }
            Act::Close => return,
            Act::Hang => {
                let _ = socket.read(&mut [0; 1]).await;
                let _ = leaving.send(());
                return;
            }
        }
    }
}

async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
