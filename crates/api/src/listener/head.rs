//! Heads of requests before the HTTP library sees them: it knows targets of up to 64 KiB, and answers those that are
//! longer without a body. The vendor's SDKs put purge lists into the query, and take an answer only in the vendor's form.
//!
//! So a long query is taken out of the head and goes beside it, and a head that cannot be is put in place of by one that
//! [`Beside::refused`] explains. Everything else passes as it is.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longer targets have their query taken out. The library's own limit is 65,534.
const TARGET_BYTES_MAX: usize = 60_000;
/// The longest head, in bytes: a purge list of 1,000 URLs of about 1,000 bytes each, encoded.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// The same without its target.
pub(super) const FIELDS_BYTES_MAX: usize = 128 << 10;
/// A head of that many bytes needs no place.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// How much of a longer head is read and dropped, so that its sender gets to read the refusal.
const DROPPED_BYTES_MAX: usize = 32 << 20;
/// Fields of a head; the library's own limit is the same.
const FIELDS_MAX: usize = 100;
const READ_BYTES: usize = 16 << 10;

/// What goes beside a head.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside {
    /// The query that was taken out of it.
    pub(crate) query: Option<Arc<str>>,
    /// Why the head is not what was sent.
    pub(crate) refused: Option<Unfit>,
}

/// Why a head is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Longer than [`HEAD_BYTES_MAX`], or more fields than there may be.
    TooLarge,
    /// No head of HTTP/1.1.
    Malformed,
    /// Too many long ones at this time.
    NoPlace,
}

/// What goes beside the heads that were read, in their order: one for each request that the library will see.
pub(super) type Besides = Arc<Mutex<VecDeque<Beside>>>;

/// A connection whose heads are looked at.
pub(super) struct Heads<S> {
    socket: S,
    besides: Besides,
    places: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
    /// Read and not yet looked at.
    unread: BytesMut,
    /// Looked at and not yet passed on.
    ready: Bytes,
    /// Where in `unread` the search for the head's end goes on.
    searched: usize,
    at: At,
}

enum At {
    /// In a head.
    Head,
    /// In a body with so many bytes to come.
    Body(u64),
    /// In a head that will be refused for that, of which so much was dropped.
    Dropping(usize, Unfit),
    /// Where heads are not looked at any more: behind a body of unknown length, or behind a refusal.
    Rest,
}

impl<S> Heads<S> {
    pub(super) fn new(socket: S, besides: Besides, places: Arc<Semaphore>) -> Heads<S> {
        let (unread, ready) = (BytesMut::new(), Bytes::new());
        Heads { socket, besides, places, place: None, unread, ready, searched: 0, at: At::Head }
    }

    /// Looks at what was read; true where more must be read first.
    fn look(&mut self) -> bool {
        match self.at {
            At::Head => self.look_at_head(),
            At::Body(left) => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.unread.len());
                self.ready = self.unread.split_to(here).freeze();
                let left = left - here as u64;
                self.at = if left == 0 { At::Head } else { At::Body(left) };
                here == 0 && left > 0
            }
            At::Dropping(dropped, why) => {
                let end = head_end(&self.unread, 0);
                let dropped = dropped + self.unread.len();
                if end.is_some() || dropped > DROPPED_BYTES_MAX {
                    self.refuse(why);
                    return false;
                }
                // The last bytes may be the beginning of the end.
                self.unread.advance(self.unread.len().saturating_sub(3));
                self.at = At::Dropping(dropped, why);
                true
            }
            At::Rest => {
                self.ready = self.unread.split().freeze();
                self.ready.is_empty()
            }
        }
    }

    fn look_at_head(&mut self) -> bool {
        if let Some(end) = head_end(&self.unread, self.searched) {
            let head = self.unread.split_to(end).freeze();
            (self.searched, self.place) = (0, None);
            match Head::read(&head) {
                Ok(Some(read)) => {
                    self.at = read.body;
                    self.besides.lock().push_back(Beside { query: read.query, refused: None });
                    self.ready = read.rewritten.unwrap_or(head);
                }
                // Empty lines before the head.
                Ok(None) => {}
                Err(unfit) => self.refuse(unfit),
            }
            return false;
        }
        self.searched = self.unread.len().saturating_sub(2);
        if self.unread.len() > HEAD_BYTES_MAX {
            (self.searched, self.place, self.at) = (0, None, At::Dropping(0, Unfit::TooLarge));
            return false;
        }
        if self.unread.len() > SMALL_BYTES_MAX && self.place.is_none() {
            match self.places.clone().try_acquire_owned() {
                Ok(place) => self.place = Some(place),
                Err(_) => {
                    (self.searched, self.at) = (0, At::Dropping(0, Unfit::NoPlace));
                    return false;
                }
            }
        }
        true
    }

    fn refuse(&mut self, why: Unfit) {
        self.besides.lock().push_back(Beside { query: None, refused: Some(why) });
        self.ready = Bytes::from_static(b"GET /-/refused HTTP/1.1\r\nconnection: close\r\n\r\n");
        self.unread.clear();
        self.at = At::Rest;
    }
}

/// Behind the empty line that ends a head; `from` is where no end was found before.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut feeds = bytes.iter().enumerate().skip(from).filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    feeds.find_map(|at| match bytes.get(at + 1..) {
        Some([b'\n', ..]) => Some(at + 2),
        Some([b'\r', b'\n', ..]) => Some(at + 3),
        _ => None,
    })
}

/// A head, as far as it matters here.
struct Head {
    body: At,
    query: Option<Arc<str>>,
    rewritten: Option<Bytes>,
}

impl Head {
    /// Reads a whole head; nothing where there are only empty lines.
    fn read(bytes: &Bytes) -> Result<Option<Head>, Unfit> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Unfit::TooLarge),
            Err(_) => return Err(Unfit::Malformed),
        }
        let body = body_of(request.headers)?;
        let target = request.path.unwrap_or_default();
        if bytes.len() > HEAD_BYTES_MAX || bytes.len() - target.len() > FIELDS_BYTES_MAX {
            return Err(Unfit::TooLarge);
        }
        if target.len() <= TARGET_BYTES_MAX {
            return Ok(Some(Head { body, query: None, rewritten: None }));
        }
        let (path, query) = target.split_once('?').ok_or(Unfit::TooLarge)?;
        if path.len() > TARGET_BYTES_MAX {
            return Err(Unfit::TooLarge);
        }
        // The target is a part of these bytes: what is cut out is known by its place.
        let at = target.as_ptr() as usize - bytes.as_ptr() as usize;
        let mut rewritten = BytesMut::with_capacity(bytes.len() - query.len());
        rewritten.extend_from_slice(&bytes[..at + path.len()]);
        rewritten.extend_from_slice(&bytes[at + target.len()..]);
        Ok(Some(Head { body, query: Some(query.into()), rewritten: Some(rewritten.freeze()) }))
    }
}

/// How a body goes on behind the head (RFC 9112, section 6.3). The library judges what is said in two ways.
fn body_of(fields: &[httparse::Header<'_>]) -> Result<At, Unfit> {
    let named = |name: &'static str| fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    if named("transfer-encoding").next().is_some() || named("upgrade").next().is_some() {
        return Ok(At::Rest);
    }
    let mut length = None;
    for field in named("content-length") {
        let text = std::str::from_utf8(field.value).map_err(|_| Unfit::Malformed)?.trim();
        let number: u64 = text.parse().map_err(|_| Unfit::Malformed)?;
        if length.is_some_and(|before| before != number) {
            return Err(Unfit::Malformed);
        }
        length = Some(number);
    }
    Ok(match length {
        None | Some(0) => At::Head,
        Some(length) => At::Body(length),
    })
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.ready.is_empty() {
                let here = this.ready.len().min(out.remaining());
                out.put_slice(&this.ready.split_to(here));
                return Poll::Ready(Ok(()));
            }
            if !this.unread.is_empty() && !this.look() {
                continue;
            }
            let mut chunk = [MaybeUninit::uninit(); READ_BYTES];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            ready!(Pin::new(&mut this.socket).poll_read(context, &mut chunk))?;
            if chunk.filled().is_empty() {
                // The end, within a head or not: the library knows what to make of it.
                this.at = At::Rest;
                if this.unread.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            this.unread.extend_from_slice(chunk.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    /// What passes on, and beside it, when it arrives in pieces of so many bytes.
    fn passed(sent: &[u8], piece: usize) -> (Vec<u8>, Vec<Beside>) {
        let besides = Besides::default();
        let mut socket = in_pieces(sent, piece);
        let passed = block_on(async {
            let mut heads = Heads::new(&mut socket, besides.clone(), Arc::new(Semaphore::new(1)));
            let mut all = Vec::new();
            heads.read_to_end(&mut all).await.map(|_| all)
        });
        let besides = besides.lock().iter().cloned().collect();
        (passed.expect("a socket that ends well"), besides)
    }

    /// A socket that gives `sent` in pieces.
    fn in_pieces(sent: &[u8], piece: usize) -> impl AsyncRead + Unpin {
        struct Pieces(VecDeque<Vec<u8>>);
        impl AsyncRead for Pieces {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _context: &mut Context<'_>,
                out: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                out.put_slice(&self.0.pop_front().unwrap_or_default());
                Poll::Ready(Ok(()))
            }
        }
        Pieces(sent.chunks(piece.min(READ_BYTES)).map(<[u8]>::to_vec).collect())
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    fn long_query() -> String {
        "a=".to_owned() + &"x".repeat(TARGET_BYTES_MAX)
    }

    #[test]
    fn a_long_query_goes_beside_its_head_and_all_else_passes_as_it_is() {
        let query = long_query();
        let sent = format!(
            "POST /?b=1 HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello\
             POST /p?{query} HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi\
             \r\nGET /?c=2 HTTP/1.1\r\n\r\n"
        );
        let expected = "POST /?b=1 HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello\
             POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi\
             \r\nGET /?c=2 HTTP/1.1\r\n\r\n";
        for piece in [1, 7, 1_000, READ_BYTES] {
            let (passed, besides) = passed(sent.as_bytes(), piece);
            assert_eq!(String::from_utf8(passed).unwrap(), expected, "pieces of {piece}");
            let queries: Vec<Option<&str>> = besides.iter().map(|beside| beside.query.as_deref()).collect();
            assert_eq!(queries, [None, Some(query.as_str()), None]);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_ends_the_connection() {
        let long = "x".repeat(HEAD_BYTES_MAX + 1);
        let fields = "a: b\r\n".repeat(FIELDS_MAX + 1);
        for (sent, unfit) in [
            (format!("GET /?{long} HTTP/1.1\r\n\r\n"), Unfit::TooLarge),
            (format!("GET / HTTP/1.1\r\n{fields}\r\n"), Unfit::TooLarge),
            (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(TARGET_BYTES_MAX)), Unfit::TooLarge),
            ("nonsense\r\n\r\n".to_owned(), Unfit::Malformed),
            ("GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), Unfit::Malformed),
        ] {
            let (passed, besides) = passed(sent.as_bytes(), READ_BYTES);
            assert!(passed.starts_with(b"GET /-/refused HTTP/1.1\r\n"), "{unfit:?}");
            assert_eq!(besides.last().and_then(|beside| beside.refused), Some(unfit));
        }
    }

    proptest! {
        #[test]
        fn bodies_are_no_heads_wherever_the_pieces_end(body: Vec<u8>, piece in 1..50_usize) {
            let mut sent = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
            sent.extend(&body);
            sent.extend(b"GET /2 HTTP/1.1\r\n\r\n");
            let (passed, besides) = passed(&sent, piece);
            prop_assert_eq!(passed, sent);
            prop_assert_eq!(besides.len(), 2);
        }

        #[test]
        fn nothing_panics(sent: Vec<u8>, piece in 1..50_usize) {
            let _ = passed(&sent, piece);
        }
    }
}
