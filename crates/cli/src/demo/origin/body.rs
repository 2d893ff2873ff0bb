//! Bodies of the origin's answers; what leaves through one is counted.

use std::io::{self, SeekFrom, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::mpsc;

use super::representation::{Coding, FileVersion, Representation};
use super::stats::PathStats;

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks read ahead of the connection.
const CHUNKS_AHEAD: usize = 2;

type Chunk = io::Result<Bytes>;

/// A body that counts its bytes when they are handed to the connection.
pub struct Body {
    source: Source,
    counted: Option<Arc<PathStats>>,
}

enum Source {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Chunk>),
}

impl Body {
    pub fn empty() -> Self {
        Self { source: Source::Whole(None), counted: None }
    }

    pub fn whole(bytes: Bytes, counted: Arc<PathStats>) -> Self {
        Self { source: Source::Whole(Some(bytes)), counted: Some(counted) }
    }

    /// `length` bytes of the file from `first` on, in the representation's coding, read as fast as they are taken.
    pub fn stream(found: Representation, first: u64, length: u64, counted: Arc<PathStats>) -> Self {
        let (chunks, taken) = mpsc::channel(CHUNKS_AHEAD);
        tokio::spawn(async move {
            let mut reader = Reader { file: found.file, version: found.version, left: length };
            let sent = match reader.file.seek(SeekFrom::Start(first)).await {
                Ok(_) => match found.coding {
                    Coding::Identity => send_plain(&mut reader, &chunks).await,
                    Coding::Gzip => send_gzip(&mut reader, &chunks).await,
                },
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                // The connection is cut; a shorter body would look like the whole one.
                let _ = chunks.send(Err(error)).await;
            }
        });
        Self { source: Source::Stream(taken), counted: Some(counted) }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let body = self.get_mut();
        let chunk = match &mut body.source {
            Source::Whole(bytes) => bytes.take().map(Ok),
            Source::Stream(chunks) => ready!(chunks.poll_recv(cx)),
        };
        if let (Some(Ok(bytes)), Some(counted)) = (&chunk, &body.counted) {
            counted.note_bytes(bytes.len());
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Whole(None))
    }
}

struct Reader {
    file: File,
    version: FileVersion,
    left: u64,
}

impl Reader {
    /// The next chunk, `None` after the last one.
    ///
    /// Before the last one leaves, the file must still be the version whose ETag has been promised: a body of two
    /// versions under one strong ETag would be kept by every cache on the way.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let wanted = CHUNK_BYTES.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let mut chunk = BytesMut::with_capacity(wanted);
        if (&mut self.file).take(wanted as u64).read_buf(&mut chunk).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= chunk.len() as u64;
        if self.left == 0 && FileVersion::of(&self.file.metadata().await?) != self.version {
            return Err(io::Error::other("the file was changed while it was sent"));
        }
        Ok(Some(chunk.freeze()))
    }
}

async fn send_plain(reader: &mut Reader, chunks: &mpsc::Sender<Chunk>) -> io::Result<()> {
    while let Some(chunk) = reader.next().await? {
        if chunks.send(Ok(chunk)).await.is_err() {
            break; // the client has gone
        }
    }
    Ok(())
}

async fn send_gzip(reader: &mut Reader, chunks: &mpsc::Sender<Chunk>) -> io::Result<()> {
    // No time stamp in the gzip header: one version of the file has one gzip body.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    while let Some(chunk) = reader.next().await? {
        encoder.write_all(&chunk)?;
        let compressed = std::mem::take(encoder.get_mut());
        if !compressed.is_empty() && chunks.send(Ok(compressed.into())).await.is_err() {
            return Ok(()); // the client has gone
        }
    }
    let _ = chunks.send(Ok(encoder.finish()?.into())).await;
    Ok(())
}
