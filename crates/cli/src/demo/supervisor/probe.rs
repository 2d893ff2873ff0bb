//! How a part tells that it is ready.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PAUSE: Duration = Duration::from_millis(50);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a part answers, and where, when it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyProbe {
    /// `GET /-/ready` is answered 200.
    Http(SocketAddr),
    /// A connection is accepted.
    Tcp(SocketAddr),
}

impl ReadyProbe {
    /// Asks until the part is ready.
    pub async fn wait(self) {
        loop {
            if let Ok(Ok(true)) = tokio::time::timeout(PROBE_TIMEOUT, self.is_ready()).await {
                return;
            }
            // A process says nothing when it begins to listen: asking again is the only way to know.
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn is_ready(self) -> io::Result<bool> {
        match self {
            Self::Tcp(address) => TcpStream::connect(address).await.map(|_| true),
            Self::Http(address) => {
                let mut stream = TcpStream::connect(address).await?;
                let request =
                    format!("GET /-/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).await?;
                let mut status = [0; 12];
                stream.read_exact(&mut status).await?;
                Ok(&status == b"HTTP/1.1 200")
            }
        }
    }
}
