//! A reader of a body: gives a viewer the bytes he wants, from memory, from disk, from a run under way, or from a run that it
//! starts. At any time it holds one block, however slowly his viewer reads.

use crate::Pop;
use crate::pump::Supply;
use crate::store::Open;
use crate::store::body::{BLOCK_BYTES, Body as StoredBody, Place, ReadBy, Reading, SLICE_BYTES};
use crate::store::run::{Arrived, Broken};
use crate::traffic::FromOrigin;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How far before a gap its bytes are asked for, so that a reader does not wait for each of them.
const LOOK_AHEAD_BYTES: u64 = 2 * SLICE_BYTES;
/// Times that bytes are asked for again before a reader gives up, while nothing of them comes.
const TRIES_MAX: u32 = 3;

/// Why bytes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What is stored is damaged, and cannot be mended.
    #[error("the copy is damaged: {0}")]
    Damaged(io::Error),
    /// What is missing did not come.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Something to be sent.
#[derive(Debug)]
pub enum Piece {
    /// These bytes.
    Text(Bytes),
    /// The body's bytes from `at` to `last`; `u64::MAX` means its end.
    Range {
        /// The next byte.
        at: u64,
        /// The last byte.
        last: u64,
    },
}

/// How often the same bytes have been asked for.
#[derive(Debug, Default)]
pub struct Tries {
    at: u64,
    count: u32,
}

impl Tries {
    /// One more for the bytes at `at`.
    pub fn again(&mut self, at: u64) -> Result<(), Broken> {
        self.failed(Broken::Origin("it sends nothing of what is missing".into()), at)
    }

    /// A run for the bytes at `at` failed; the error where there is no use in another.
    pub fn failed(&mut self, broken: Broken, at: u64) -> Result<(), Broken> {
        if at != self.at {
            *self = Tries { at, count: 0 };
        }
        self.count += 1;
        match broken {
            Broken::Origin(_) if self.count <= TRIES_MAX => Ok(()),
            broken => Err(broken),
        }
    }
}

/// What a reader gets next.
enum Next {
    /// Bytes of the body.
    Bytes(Bytes),
    /// It ended.
    End,
    /// The rest comes from the origin, past the store.
    Directly(Incoming, Option<FromOrigin>),
}

type Waiting = Pin<Box<dyn Future<Output = (Result<Next, ReadError>, Open)> + Send>>;

/// A body, or parts of it, on the way to a viewer.
pub struct Reader {
    pop: Arc<Pop>,
    supply: Arc<Supply>,
    body: Arc<StoredBody>,
    pieces: VecDeque<Piece>,
    open: Open,
    reading: Arc<Reading>,
    waiting: Option<Waiting>,
    directly: Option<(Incoming, Option<FromOrigin>)>,
}

impl Reader {
    /// A reader of `pieces`, with their first bytes at hand: an error here can still become another answer.
    pub async fn begin(
        pop: &Arc<Pop>,
        supply: Arc<Supply>,
        body: &Arc<StoredBody>,
        mut pieces: VecDeque<Piece>,
    ) -> Result<Reader, ReadError> {
        let wanted = pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Range { at, last } => Some((*at, *last)),
        });
        let (first, last) = wanted.fold((u64::MAX, 0), |all, one| (all.0.min(one.0), all.1.max(one.1)));
        let reader = if supply.way.is_of_prefetching_pop() { ReadBy::Asker } else { ReadBy::Viewer };
        let reading = body.reading(reader, first, last);
        let mut open = Open::default();
        let place = pieces.iter().position(|piece| matches!(piece, Piece::Range { .. }));
        let mut directly = None;
        if let Some(place) = place
            && let Piece::Range { at, last } = pieces[place]
        {
            match next(pop, &supply, body, at, last, &mut open).await? {
                Next::Bytes(bytes) => {
                    let bytes = cut(bytes, at, last);
                    let behind = at + bytes.len() as u64;
                    pieces[place] = Piece::Text(bytes);
                    if behind <= last {
                        pieces.insert(place + 1, Piece::Range { at: behind, last });
                    }
                }
                Next::End => drop(pieces.remove(place)),
                Next::Directly(incoming, counted) => directly = Some((incoming, counted)),
            }
        }
        let pop = pop.clone();
        Ok(Reader { pop, supply, body: body.clone(), pieces, open, reading, waiting: None, directly })
    }

    /// `count` bytes were given from the range in front.
    fn gave(&mut self, count: u64) {
        let Some(Piece::Range { at, last }) = self.pieces.front_mut() else { return };
        let (before, last) = (*at, *last);
        *at += count;
        let at = *at;
        self.reading.moved(at);
        if at > last {
            self.pieces.pop_front();
        } else if at / SLICE_BYTES != before / SLICE_BYTES {
            self.look_ahead(at + LOOK_AHEAD_BYTES, last);
        }
    }

    /// Has a gap fetched that is not reached yet. Where that fails, it is seen when it is reached.
    fn look_ahead(&self, at: u64, last: u64) {
        let within = at <= last && self.body.size().is_some_and(|size| at < size);
        if within && self.supply.validator.is_some() && matches!(self.body.locate(at), Place::Missing) {
            let _ = self.pop.start_run(&self.supply, &self.body, at, last);
        }
    }

    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Next, ReadError>>> {
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(None) };
        let (next, open) = ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        self.open = open;
        Poll::Ready(Some(next))
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let this = &mut *self;
        loop {
            let Some(front) = this.pieces.front() else { return Poll::Ready(None) };
            let Piece::Range { at, last } = *front else {
                let Some(Piece::Text(bytes)) = this.pieces.pop_front() else { return Poll::Ready(None) };
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            };
            if let Some((incoming, counted)) = &mut this.directly {
                let bytes = match ready!(Pin::new(incoming).poll_frame(context)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) => {
                            if let Some(counted) = counted {
                                counted.came(bytes.len() as u64);
                            }
                            cut(bytes, at, last)
                        }
                        Err(_trailers) => continue,
                    },
                    Some(Err(error)) => {
                        return Poll::Ready(Some(Err(Broken::Origin(error.to_string()).into())));
                    }
                    None => {
                        let short = Broken::Origin("shorter than it said".into());
                        return Poll::Ready(Some(Err(short.into())));
                    }
                };
                if at + bytes.len() as u64 > last {
                    this.directly = None;
                }
                this.gave(bytes.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let waited = ready!(this.poll_waiting(context));
            let bytes = match waited {
                Some(Ok(Next::Bytes(bytes))) => bytes,
                Some(Ok(Next::End)) => {
                    this.pieces.pop_front();
                    continue;
                }
                Some(Ok(Next::Directly(incoming, counted))) => {
                    this.directly = Some((incoming, counted));
                    continue;
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => match at_hand(&this.pop, &this.body, at, &mut this.open) {
                    Some(bytes) => bytes,
                    None => {
                        let (pop, supply, body) = (this.pop.clone(), this.supply.clone(), this.body.clone());
                        let mut open = std::mem::take(&mut this.open);
                        this.waiting = Some(Box::pin(async move {
                            let next = next(&pop, &supply, &body, at, last, &mut open).await;
                            (next, open)
                        }));
                        continue;
                    }
                },
            };
            let bytes = cut(bytes, at, last);
            this.gave(bytes.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// No more than what is wanted.
fn cut(mut bytes: Bytes, at: u64, last: u64) -> Bytes {
    let wanted = (last - at).saturating_add(1);
    bytes.truncate(wanted.min(bytes.len() as u64) as usize);
    bytes
}

/// Bytes from `at` on, where they can be had without waiting.
fn at_hand(pop: &Pop, body: &StoredBody, at: u64, open: &mut Open) -> Option<Bytes> {
    if !matches!(body.locate(at), Place::Here) {
        return None;
    }
    let bytes = pop.store.block_now(body, at / BLOCK_BYTES, open)?.ok()?;
    Some(bytes.slice((at % BLOCK_BYTES) as usize..))
}

/// Bytes from `at` on, as many as come in one piece. A body that they cannot be had of, now or later, is forgotten.
async fn next(
    pop: &Arc<Pop>,
    supply: &Arc<Supply>,
    body: &Arc<StoredBody>,
    at: u64,
    last: u64,
    open: &mut Open,
) -> Result<Next, ReadError> {
    let next = find(pop, supply, body, at, last, open).await;
    if matches!(next, Err(ReadError::Damaged(_) | ReadError::Broken(Broken::Lost | Broken::Changed))) {
        pop.store.forget_body(&supply.key, body).await;
    }
    next
}

async fn find(
    pop: &Arc<Pop>,
    supply: &Arc<Supply>,
    body: &Arc<StoredBody>,
    at: u64,
    last: u64,
    open: &mut Open,
) -> Result<Next, ReadError> {
    let mut tries = Tries::default();
    let mut damaged = 0;
    loop {
        if body.size().is_some_and(|size| at >= size) {
            return Ok(Next::End);
        }
        match body.locate(at) {
            Place::Here => match pop.store.block(body, at / BLOCK_BYTES, open).await {
                Ok(bytes) => return Ok(Next::Bytes(bytes.slice((at % BLOCK_BYTES) as usize..))),
                Err(error) => {
                    pop.store.lose_slice(&supply.key, body, (at / SLICE_BYTES) as u32).await;
                    damaged += 1;
                    if damaged == TRIES_MAX || supply.validator.is_none() {
                        return Err(ReadError::Damaged(error));
                    }
                }
            },
            Place::Coming(run) => {
                let mut progress = run.watch();
                match run.read(at) {
                    Some(Arrived::Bytes(bytes)) => return Ok(Next::Bytes(bytes)),
                    Some(Arrived::InFile(file, offset, length)) => {
                        let length = length.min(BLOCK_BYTES) as usize;
                        let read = tokio::task::spawn_blocking(move || {
                            let mut bytes = vec![0; length];
                            file.read_exact_at(&mut bytes, offset).map(|()| Bytes::from(bytes))
                        });
                        let read = read.await.unwrap_or_else(|_| Err(io::Error::other("stopping")));
                        return read.map(Next::Bytes).map_err(ReadError::Damaged);
                    }
                    None => {}
                }
                let now = progress.borrow_and_update().clone();
                match now.ended {
                    Some(Ok(())) if now.arrived <= at && body.size().is_none() => return Ok(Next::End),
                    Some(Err(Broken::Disk(_))) if supply.validator.is_some() => {
                        return directly(pop, supply, body, at, last).await;
                    }
                    Some(Err(broken)) => tries.failed(broken, at)?,
                    // The one who asks may be the one whom that run waits for.
                    None if now.arrived <= at && !supply.way.may_wait_for(run.level()) => {
                        return directly(pop, supply, body, at, last).await;
                    }
                    None if now.arrived <= at => drop(progress.changed().await),
                    // What had not come a moment ago has.
                    None | Some(Ok(())) => {}
                }
            }
            Place::Missing => {
                tries.again(at)?;
                match pop.start_run(supply, body, at, last) {
                    Err(Broken::Disk(_)) if supply.validator.is_some() => {
                        return directly(pop, supply, body, at, last).await;
                    }
                    started => started?,
                }
            }
        }
    }
}

async fn directly(
    pop: &Arc<Pop>,
    supply: &Supply,
    body: &StoredBody,
    at: u64,
    last: u64,
) -> Result<Next, ReadError> {
    let last = last.min(body.size().map_or(last, |size| size - 1));
    let (incoming, counted) = pop.ask_directly(supply, body, at, last).await?;
    Ok(Next::Directly(incoming, counted))
}
