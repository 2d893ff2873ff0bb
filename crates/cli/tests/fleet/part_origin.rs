//! An origin that knows ranges, and answers each request as a test decides: honestly, or not.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A request, as far as it matters.
#[derive(Clone, Debug)]
pub struct Ask {
    pub path: String,
    /// Whether only the head is wanted.
    head: bool,
    /// How many were there for this path before.
    pub before: usize,
    pub fields: HashMap<String, String>,
}

impl Ask {
    /// The one range that is wanted: first byte, and last if it is said.
    pub fn range(&self) -> Option<(usize, Option<usize>)> {
        let (first, last) = self.fields.get("range")?.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()))
    }

    /// A field's value; empty where it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// A version of a file.
#[derive(Clone)]
pub struct File {
    pub bytes: Bytes,
    /// Its ETag, quotes included.
    pub tag: String,
}

impl File {
    /// As RFC 9110 has it.
    pub fn honest(&self, ask: &Ask) -> Reply {
        if ask.field("if-none-match") == self.tag {
            return Reply::new(304, Bytes::new()).with("ETag", &self.tag).without("Content-Length");
        }
        let same = ["", &self.tag].contains(&ask.field("if-range"));
        match ask.range() {
            Some((first, last)) if same && first < self.bytes.len() => {
                let end = self.bytes.len() - 1;
                self.part(first, last.map_or(end, |last| last.min(end)))
            }
            _ => self.whole(),
        }
    }

    pub fn whole(&self) -> Reply {
        Reply::new(200, self.bytes.clone())
            .with("ETag", &self.tag)
            .with("Accept-Ranges", "bytes")
            .with("Cache-Control", "public, max-age=86400")
    }

    /// The bytes from `first` to `last`.
    pub fn part(&self, first: usize, last: usize) -> Reply {
        Reply { status: 206, ..self.whole() }
            .body(self.bytes.slice(first..=last))
            .with("Content-Range", format!("bytes {first}-{last}/{}", self.bytes.len()))
    }
}

/// What goes back.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Bytes,
    /// Before it begins.
    delay: Duration,
    /// So many bytes of the body are sent, then the connection ends.
    cut: Option<usize>,
    /// So many bytes of the body are sent, the rest once a place is given.
    held: Option<(usize, Arc<Semaphore>)>,
}

impl Reply {
    pub fn new(status: u16, body: Bytes) -> Reply {
        let nothing = Bytes::new();
        Reply { status, fields: Vec::new(), body: nothing, delay: Duration::ZERO, cut: None, held: None }
            .body(body)
    }

    /// Another body, with its length.
    pub fn body(mut self, body: Bytes) -> Reply {
        self.body = body;
        let length = self.body.len();
        self.with("Content-Length", length.to_string())
    }

    pub fn status(self, status: u16) -> Reply {
        Reply { status, ..self }
    }

    pub fn with(self, name: &'static str, value: impl Into<String>) -> Reply {
        let mut reply = self.without(name);
        reply.fields.push((name, value.into()));
        reply
    }

    pub fn without(mut self, name: &str) -> Reply {
        self.fields.retain(|(there, _)| *there != name);
        self
    }

    /// In one chunk, without a length.
    pub fn chunked(self) -> Reply {
        let mut body = format!("{:x}\r\n", self.body.len()).into_bytes();
        body.extend_from_slice(&self.body);
        body.extend_from_slice(b"\r\n0\r\n\r\n");
        self.body(body.into()).without("Content-Length").with("Transfer-Encoding", "chunked")
    }

    /// Ends after so many bytes of the body; after none, not even the head is sent.
    pub fn cut(self, bytes: usize) -> Reply {
        Reply { cut: Some(bytes), ..self }
    }

    /// Something comes behind the body whose length was told.
    pub fn trailed_by(self, bytes: Bytes) -> Reply {
        let length = self.body.len();
        let both: Bytes = [self.body.as_ref(), &bytes].concat().into();
        if length == 0 { self } else { self.body(both).with("Content-Length", length.to_string()) }
    }

    pub fn late(self, delay: Duration) -> Reply {
        Reply { delay, ..self }
    }

    /// Stops after `bytes` of the body until `rest` has a place.
    pub fn held(self, bytes: usize, rest: &Arc<Semaphore>) -> Reply {
        Reply { held: Some((bytes, rest.clone())), ..self }
    }

    async fn send(self, socket: &mut TcpStream) -> std::io::Result<bool> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await; // tidy: allow-sleep, a slow origin is slow
        }
        if self.cut == Some(0) {
            return Ok(false);
        }
        let mut head = format!("HTTP/1.1 {} Told\r\n", self.status);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        socket.write_all(head.as_bytes()).await?;
        let sent = self.cut.unwrap_or(self.body.len()).min(self.body.len());
        let (first, rest) = self.body[..sent].split_at(self.held.as_ref().map_or(sent, |(first, _)| *first));
        socket.write_all(first).await?;
        if let Some((_, wait)) = &self.held {
            wait.acquire().await.unwrap().forget();
        }
        socket.write_all(rest).await?;
        Ok(self.cut.is_none())
    }
}

/// What to answer.
type Answers = Arc<dyn Fn(&Ask) -> Reply + Send + Sync>;

#[derive(Clone)]
pub struct PartOrigin {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Ask>>>,
    answers: Answers,
}

impl PartOrigin {
    pub async fn start(answers: impl Fn(&Ask) -> Reply + Send + Sync + 'static) -> PartOrigin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = PartOrigin { address, asked: Arc::default(), answers: Arc::new(answers) };
        let serving = origin.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let origin = serving.clone();
                tokio::spawn(async move {
                    // A POP that has enough of an answer leaves.
                    let _ = origin.converse(socket).await;
                });
            }
        });
        origin
    }

    /// The requests for `path` so far.
    pub fn requests(&self, path: &str) -> Vec<Ask> {
        self.asked.lock().iter().filter(|ask| ask.path == path).cloned().collect()
    }

    async fn converse(&self, mut socket: TcpStream) -> std::io::Result<()> {
        socket.set_nodelay(true)?;
        while let Some((head, path, fields)) = read_head(&mut socket).await? {
            let ask = {
                let mut asked = self.asked.lock();
                let before = asked.iter().filter(|ask| ask.path == path).count();
                asked.push(Ask { path, head, before, fields });
                asked[asked.len() - 1].clone()
            };
            let mut reply = (self.answers)(&ask);
            if ask.head {
                reply.body = Bytes::new();
            }
            if !reply.send(&mut socket).await? {
                break;
            }
        }
        Ok(())
    }
}

/// Whether it is a HEAD, path and fields of the next request; `None` where there is none.
async fn read_head(
    socket: &mut TcpStream,
) -> std::io::Result<Option<(bool, String, HashMap<String, String>)>> {
    // No request is sent before the last one is answered, so nothing is lost with the buffer.
    let mut lines = BufReader::new(socket).lines();
    let Some(first) = lines.next_line().await? else { return Ok(None) };
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let mut fields = HashMap::new();
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        fields.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Ok(Some((first.starts_with("HEAD "), path, fields)))
}
