//! A viewer who says what he likes, byte by byte.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// No answer of a POP on loopback takes so long unless it is lost.
const LOST: Duration = Duration::from_secs(15);

/// A connection, and what was read of it but not looked at.
pub struct Raw<S = TcpStream> {
    socket: S,
    read: Vec<u8>,
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Status line and fields, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Raw {
    pub async fn connect(address: &str) -> Raw {
        Raw::over(TcpStream::connect(address).await.unwrap())
    }

    /// For which little is kept ready by the machine, so that what it does not read is soon felt.
    pub async fn connect_narrow(address: &str) -> Raw {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        Raw::over(socket.connect(address.parse().unwrap()).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn over(socket: S) -> Raw<S> {
        Raw { socket, read: Vec::new() }
    }

    /// Sends what it can; the other side may have closed already.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).await.is_ok() && self.socket.flush().await.is_ok()
    }

    /// The next answer to anything but HEAD; `None` where the connection ends without one.
    pub async fn answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        let (status, head) = head;
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let body = if status < 200 || status == 204 || status == 304 {
            Vec::new()
        } else if let Some(length) = field("content-length:") {
            let length = length.parse().unwrap();
            while self.read.len() < length {
                assert!(self.more().await, "cut off in a body: {head}");
            }
            self.read.drain(..length).collect()
        } else if field("transfer-encoding:") == Some("chunked") {
            self.chunks().await
        } else {
            self.rest().await
        };
        Some(Answer { status, head, body })
    }

    /// The next head and its status.
    pub async fn head(&mut self) -> Option<(u16, String)> {
        let end = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                assert!(self.read.is_empty(), "cut off: {:?}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap().to_lowercase();
        assert!(head.starts_with("http/1."), "no answer begins so: {head:?}");
        Some((head[9..12].parse().unwrap(), head))
    }

    /// All bytes until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }

    /// Takes some more bytes into view; tells whether there were any.
    pub async fn more(&mut self) -> bool {
        let mut buffer = [0; 16_384];
        let read = tokio::time::timeout(LOST, self.socket.read(&mut buffer)).await.expect("nothing comes");
        // A connection that breaks has ended, too.
        let count = read.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// Forgets what was read and not looked at; tells how much it was.
    pub fn forget(&mut self) -> usize {
        std::mem::take(&mut self.read).len()
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = find(&self.read, b"\r\n") {
                    break at;
                }
                assert!(self.more().await, "cut off in a chunked body");
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.read[..line]).unwrap(), 16).unwrap();
            while self.read.len() < line + 2 + size + 2 {
                assert!(self.more().await, "cut off in a chunk");
            }
            body.extend_from_slice(&self.read[line + 2..line + 2 + size]);
            self.read.drain(..line + 2 + size + 2);
            if size == 0 {
                return body;
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
