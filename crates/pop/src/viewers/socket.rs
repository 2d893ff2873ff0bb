//! A viewer's socket: it gives up on a viewer who does not do his part, writes interim answers, and closes so that the
//! last answer arrives.

use super::exchange::{Exchange, Waits};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes that are read and thrown away, and the time for it, while a viewer reads our last answer.
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER_MAX: Duration = Duration::from_secs(2);

/// How long a viewer may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the head of a request, from when it may begin.
    pub head: Duration,
    /// Between two steps of a transfer, either way.
    pub silence: Duration,
}

/// A viewer's socket.
pub struct ViewerSocket<S> {
    io: TokioIo<S>,
    exchange: Arc<Exchange>,
    patience: Patience,
    /// With HTTP/2 reads belong to no request; its connection looks after them.
    multiplexed: bool,
    /// What is waited for, and since when.
    waiting: Option<(Waits, Instant)>,
    /// Set once for many waits: it is not moved while each of them ends in time, and looked at when it fires.
    timer: Option<Pin<Box<Sleep>>>,
    /// Interim answers under way, and how much of them is written.
    interim: (Vec<u8>, usize),
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> ViewerSocket<S> {
    /// For a connection of HTTP/1.1.
    pub fn new(io: S, exchange: Arc<Exchange>, patience: Patience) -> ViewerSocket<S> {
        ViewerSocket {
            io: TokioIo::new(io),
            exchange,
            patience,
            multiplexed: false,
            waiting: None,
            timer: None,
            interim: (Vec::new(), 0),
            lingering: None,
        }
    }

    /// For a connection of HTTP/2.
    pub fn multiplexed(io: S, exchange: Arc<Exchange>, patience: Patience) -> ViewerSocket<S> {
        ViewerSocket { multiplexed: true, ..ViewerSocket::new(io, exchange, patience) }
    }

    /// Called while nothing moves; an error once that has lasted too long.
    fn wait(&mut self, what: Waits, context: &mut Context<'_>) -> io::Result<()> {
        let since = match self.waiting {
            Some((before, since)) if before == what => since,
            _ => Instant::now(),
        };
        self.waiting = Some((what, since));
        let patience = match what {
            Waits::Head => self.patience.head,
            Waits::Upload | Waits::Take => self.patience.silence,
        };
        let due = since + patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(context).is_ready() {
            if timer.deadline() >= due {
                return Err(io::Error::new(io::ErrorKind::TimedOut, TooSlow(what)));
            }
            timer.as_mut().reset(due);
        }
        Ok(())
    }

    fn moved(&mut self, what: Waits) {
        if self.waiting.is_some_and(|(waits, _)| waits == what) {
            self.waiting = None;
        }
    }
}

/// A viewer did not do his part in time.
#[derive(Debug, thiserror::Error)]
#[error("the viewer took too long ({0:?})")]
struct TooSlow(Waits);

impl<S: AsyncRead + AsyncWrite + Unpin> ViewerSocket<S> {
    /// Writes what there is of interim answers.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (bytes, written) = &mut self.interim;
        while *written < bytes.len() {
            match ready!(Pin::new(self.io.inner_mut()).poll_write(context, &bytes[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *written += count,
            }
        }
        // The room is given back: most connections see no interim answer.
        self.interim = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// What is common to all writes: interim answers before, and patience after.
    fn poll_written<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<S>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let done = if self.interim.0.is_empty() {
            write(Pin::new(&mut self.io), context)
        } else {
            match self.poll_interim(context) {
                Poll::Ready(Ok(())) => write(Pin::new(&mut self.io), context),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        };
        if done.is_pending() {
            self.wait(Waits::Take, context)?;
        } else {
            // Whoever takes an answer is not late with the next request yet.
            self.waiting = None;
        }
        done
    }

    /// What the library writes, behind the interim answers that came before.
    fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<S>>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let exchange = self.exchange.clone();
        let mut writing = exchange.write_begins()?;
        self.interim.0.extend(writing.interim());
        let written = ready!(self.poll_written(context, write))?;
        writing.wrote(written);
        Poll::Ready(Ok(written))
    }

    /// The library may have read last before it wrote, when it was not the viewer's turn yet, and reads again only when
    /// something comes: from here on it is waited for.
    fn turn_ends(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.multiplexed {
            return Ok(());
        }
        match self.exchange.awaited() {
            Some(Waits::Head) => self.wait(Waits::Head, context),
            // Only to be woken: told by the read, it becomes an answer.
            Some(what) => self.wait(what, context).or(Ok(())),
            None => Ok(()),
        }
    }

    /// Reads and forgets until the viewer closes, for a while: a socket closed on unread bytes would take back what the
    /// viewer has not read yet of the last answer.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (timer, read) =
            self.lingering.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER_MAX)), 0));
        let mut space = [0; 4096];
        while *read < LINGER_BYTES_MAX && timer.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(self.io.inner_mut()).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *read += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for ViewerSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let done = Pin::new(&mut socket.io).poll_read(context, buffer);
        if done.is_ready() {
            // A head is wanted whole: its single bytes gain no time.
            socket.moved(Waits::Upload);
        } else if !socket.multiplexed {
            match socket.exchange.awaited() {
                Some(what) => socket.wait(what, context)?,
                None => socket.moved(Waits::Upload),
            }
        }
        done
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for ViewerSocket<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_bytes(context, |io, context| io.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_bytes(context, |io, context| io.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        // What a viewer does not take is not added to.
        let interim = socket.exchange.flush_begins(socket.interim.0.is_empty(), context.waker());
        socket.interim.0.extend(interim);
        if socket.interim.0.is_empty() {
            // Called at each turn of the connection: it is no sign that something moved.
            let done = {
                let _writing = socket.exchange.rest_goes()?;
                Pin::new(&mut socket.io).poll_flush(context)
            };
            if done.is_pending() {
                socket.wait(Waits::Take, context)?;
                return done;
            }
            socket.moved(Waits::Take);
            return Poll::Ready(socket.turn_ends(context));
        }
        let exchange = socket.exchange.clone();
        let _writing = exchange.rest_goes()?;
        socket.poll_written(context, |io, context| io.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if socket.lingering.is_none() {
            let exchange = socket.exchange.clone();
            let _writing = exchange.rest_goes()?;
            ready!(socket.poll_written(context, |io, context| io.poll_shutdown(context)))?;
        }
        socket.poll_linger(context)
    }
}
