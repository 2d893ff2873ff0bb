//! What a connection's socket and its requests tell each other: whether a request is being answered, and interim
//! answers (1xx) on their way.
//!
//! The HTTP library cannot send interim answers. They are slipped in below it, by the socket, between two of its writes.
//! That is safe under two conditions, both judged under one lock. The request must still wait for the head of its answer,
//! for then the library writes nothing of its own but a whole `100 Continue`. And nothing of the answer before may wait in
//! the library's buffer: it flushes its socket exactly when that buffer is empty.

use super::cuts::{Claim, Cuts};
use http::{HeaderMap, StatusCode, header};
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::Notify;

/// Bytes of interim answers that may wait for a viewer; more are dropped.
const INTERIM_BYTES_MAX: usize = 16 << 10;

/// Requests whose answers may be under way at once, as far as each is known by itself; of what is over that, any cut is
/// taken to match one.
const CLAIMS_MAX: usize = 128;

/// One connection, as its socket and its requests share it.
#[derive(Default)]
pub struct Exchange {
    state: Mutex<State>,
    cuts: Arc<Cuts>,
    /// With HTTP/2 one answer can be broken off by itself.
    multiplexed: bool,
    /// Told when the connection is to be closed.
    closing: Notify,
    /// Told when an answer that was cut has ended.
    ended: Notify,
}

struct State {
    /// Requests so far.
    requests: u64,
    /// Requests whose answer is not wholly handed over.
    open: usize,
    /// The newest request waits for the head of its answer, and may get interim ones.
    headless: bool,
    /// The newest request has a body.
    uploads: bool,
    /// The library holds no byte that it has not written.
    clean: bool,
    /// Bytes written to the viewer.
    written: u64,
    /// Interim answers that wait for the socket.
    interim: Vec<u8>,
    /// The connection's task.
    task: Option<Waker>,
    /// What the requests under way are for; and those whose answers may not be wholly written yet.
    claims: Vec<Claimed>,
    /// Some were too many to be known.
    unclaimed: bool,
    /// Nothing more is written.
    closed: bool,
}

struct Claimed {
    request: u64,
    claim: Claim,
    cut: bool,
    /// Who waits for more of its body, with HTTP/2.
    body: Option<Waker>,
}

impl Default for State {
    fn default() -> State {
        State {
            requests: 0,
            open: 0,
            headless: false,
            uploads: false,
            clean: true,
            written: 0,
            interim: Vec::new(),
            task: None,
            claims: Vec::new(),
            unclaimed: false,
            closed: false,
        }
    }
}

/// What a connection is waiting for its viewer to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// To send a request's head.
    Head,
    /// To send some of a request's body.
    Upload,
    /// To take some of an answer.
    Take,
}

impl Exchange {
    /// A connection that those cuts reach.
    pub fn new(cuts: Arc<Cuts>, multiplexed: bool) -> Arc<Exchange> {
        Arc::new(Exchange { cuts, multiplexed, ..Exchange::default() })
    }

    /// A request begins.
    pub fn begin(self: &Arc<Exchange>, uploads: bool) -> Viewing {
        let mut state = self.state.lock();
        state.requests += 1;
        state.open += 1;
        state.headless = true;
        state.uploads = uploads;
        Viewing { exchange: self.clone(), request: state.requests, takes_interim: !self.multiplexed }
    }

    /// The head of the newest request's answer is there; interim answers are too late.
    pub fn head_is_there(&self) {
        self.state.lock().headless = false;
    }

    /// An answer was handed over to its last byte, or given up.
    pub fn end(&self, request: u64) {
        let mut state = self.state.lock();
        state.open = state.open.saturating_sub(1);
        if self.multiplexed {
            let known = state.claims.iter().position(|claimed| claimed.request == request);
            if known.is_some_and(|place| state.claims.remove(place).cut) {
                self.ended.notify_waiters();
            }
            if state.open == 0 {
                state.claims.clear();
                state.unclaimed = false;
            }
        }
    }

    // ---- cuts ----

    /// A request is for that. What it said before does not count any more.
    fn claim(&self, request: u64, mut claim: Claim) {
        let mut state = self.state.lock();
        state.claims.retain(|claimed| claimed.request != request);
        if state.claims.len() == CLAIMS_MAX {
            state.claims.remove(0);
            state.unclaimed = true;
        }
        // Under the lock that a cut takes once it can be found: it either finds the claim, or is found here.
        let cut = self.cuts.forbid(&mut claim);
        state.claims.push(Claimed { request, claim, cut, body: None });
        if cut && !self.multiplexed {
            self.close(&mut state);
        }
    }

    /// Whether what a request is for was cut; who asks for more of its body is woken when it is. Only with HTTP/2: any other
    /// connection ends as a whole.
    pub fn is_cut(&self, request: u64, body: &Waker) -> bool {
        if !self.multiplexed {
            return false;
        }
        let mut state = self.state.lock();
        let Some(claimed) = state.claims.iter_mut().find(|claimed| claimed.request == request) else {
            return false;
        };
        if !claimed.body.as_ref().is_some_and(|known| known.will_wake(body)) {
            claimed.body = Some(body.clone());
        }
        claimed.cut
    }

    /// Holds what is under way against the cuts; true where some of it is to be broken off.
    pub(super) fn heed_cuts(&self) -> bool {
        let mut state = self.state.lock();
        let unclaimed = state.unclaimed;
        if unclaimed {
            self.close(&mut state);
        }
        let mut any = false;
        for claimed in &mut state.claims {
            claimed.cut = claimed.cut || self.cuts.forbid(&mut claimed.claim);
            any |= claimed.cut;
            if claimed.cut
                && let Some(body) = claimed.body.take()
            {
                body.wake();
            }
        }
        if any && !self.multiplexed {
            self.close(&mut state);
        }
        any || unclaimed
    }

    fn close(&self, state: &mut State) {
        state.closed = true;
        self.closing.notify_one();
    }

    /// Resolves when the connection is to be closed.
    pub async fn closing(&self) {
        self.closing.notified().await;
    }

    /// Resolves once no answer is under way that was cut, or none can be written any more.
    pub(super) async fn nothing_cut_is_open(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if !cut_is_open(&self.state.lock()) {
                return;
            }
            ended.await;
        }
    }

    /// Closes the connection if an answer is under way that was cut.
    pub(super) fn close_unless_ended(&self) {
        let mut state = self.state.lock();
        if cut_is_open(&state) {
            self.close(&mut state);
        }
    }

    /// Requests under way, requests so far, and bytes written so far.
    pub fn activity(&self) -> (usize, u64, u64) {
        let state = self.state.lock();
        (state.open, state.requests, state.written)
    }

    /// What a socket waits for that has nothing to read; `None` where that is not the viewer's turn.
    pub(super) fn awaited(&self) -> Option<Waits> {
        let mut state = self.state.lock();
        if state.clean && state.open == 0 {
            // All of their answers is in the socket.
            state.claims.clear();
            state.unclaimed = false;
        }
        match (state.clean, state.open, state.uploads) {
            (false, ..) => None,
            (true, 0, _) => Some(Waits::Head),
            (true, _, true) => Some(Waits::Upload),
            (true, _, false) => None,
        }
    }

    /// The library writes, as long as what is given lives.
    pub(super) fn write_begins(&self) -> io::Result<Writing<'_>> {
        let mut state = self.state.lock();
        state.clean = false;
        Writing::of(state)
    }

    /// Bytes that were written before are brought on their way, as long as what is given lives.
    pub(super) fn rest_goes(&self) -> io::Result<Writing<'_>> {
        Writing::of(self.state.lock())
    }

    /// The library has nothing left to write; gives the interim answers that may go now, if there is `room` for them.
    pub(super) fn flush_begins(&self, room: bool, task: &Waker) -> Vec<u8> {
        let mut state = self.state.lock();
        state.clean = true;
        if state.headless && !state.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            state.task = Some(task.clone());
        }
        if room { std::mem::take(&mut state.interim) } else { Vec::new() }
    }
}

fn cut_is_open(state: &State) -> bool {
    !state.closed && state.claims.iter().any(|claimed| claimed.cut)
}

/// A write to a viewer. No answer is broken off while it lasts, so that nothing follows what was told that it is.
pub(super) struct Writing<'a>(MutexGuard<'a, State>);

impl Writing<'_> {
    fn of(state: MutexGuard<'_, State>) -> io::Result<Writing<'_>> {
        match state.closed {
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "its answer is cut")),
            false => Ok(Writing(state)),
        }
    }

    /// The interim answers that must go first.
    pub(super) fn interim(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0.interim)
    }

    /// So much was written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.0.written += bytes as u64;
    }
}

/// One request, as its connection knows it.
#[derive(Clone)]
pub struct Viewing {
    exchange: Arc<Exchange>,
    request: u64,
    takes_interim: bool,
}

impl Viewing {
    /// Its number on its connection.
    pub fn request(&self) -> u64 {
        self.request
    }

    /// Without interim answers, which its viewer would not understand.
    pub fn without_interim(self) -> Viewing {
        Viewing { takes_interim: false, ..self }
    }

    /// Where interim answers to it go, if it takes any.
    pub fn interim(&self) -> Option<Interim> {
        self.takes_interim.then(|| Interim { exchange: self.exchange.clone(), request: self.request })
    }

    /// Says what it is for, so that a purge can break it off. To be said before anything is answered.
    pub fn claim(&self, claim: Claim) {
        self.exchange.claim(self.request, claim);
    }
}

/// The way to a viewer for interim answers (1xx) to one request; each HTTP/1.1 request has one.
#[derive(Clone)]
pub struct Interim {
    exchange: Arc<Exchange>,
    request: u64,
}

impl Interim {
    /// Sends an interim answer, before the answer itself. Best effort, as interim answers are: what comes after the head
    /// of the answer, before the answer to an earlier request is wholly written, or is more than a viewer takes, is
    /// dropped. So are 101, which is no interim answer, and all that is not 1xx. RFC 9110 §15.2.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) {
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let task = {
            let mut state = self.exchange.state.lock();
            if state.requests != self.request || !state.headless || !state.clean {
                return;
            }
            let before = state.interim.len();
            write_head(&mut state.interim, status, headers);
            if state.interim.len() > INTERIM_BYTES_MAX {
                state.interim.truncate(before);
                return;
            }
            state.task.clone()
        };
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// The head of an interim answer; without the fields that would speak of a body or of the connection.
fn write_head(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("Interim").as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if matches!(
            *name,
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION | header::UPGRADE
        ) {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn link() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::LINK, HeaderValue::from_static("</a.css>; rel=preload"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
        headers
    }

    fn sent(exchange: &Exchange) -> String {
        String::from_utf8(exchange.write_begins().unwrap().interim()).unwrap()
    }

    #[test]
    fn an_interim_answer_goes_before_the_answer_and_speaks_of_no_body() {
        let exchange = Arc::new(Exchange::default());
        let interim = exchange.begin(false).interim().unwrap();
        interim.send(StatusCode::EARLY_HINTS, &link());
        interim.send(StatusCode::PROCESSING, &HeaderMap::new());
        assert_eq!(
            sent(&exchange),
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
        );
    }

    #[test]
    fn what_comes_too_late_or_is_no_interim_answer_is_dropped() {
        let exchange = Arc::new(Exchange::default());
        let first = exchange.begin(false).interim().unwrap();
        first.send(StatusCode::OK, &link());
        first.send(StatusCode::SWITCHING_PROTOCOLS, &link());
        exchange.head_is_there();
        first.send(StatusCode::EARLY_HINTS, &link());
        exchange.end(1);
        let second = exchange.begin(false).interim().unwrap();
        first.send(StatusCode::EARLY_HINTS, &link());
        assert_eq!(sent(&exchange), "");
        // Now the library is in the middle of writing the answer to the first.
        second.send(StatusCode::EARLY_HINTS, &link());
        assert_eq!(sent(&exchange), "");
        assert!(exchange.flush_begins(true, Waker::noop()).is_empty());
        second.send(StatusCode::EARLY_HINTS, &link());
        assert!(!exchange.flush_begins(true, Waker::noop()).is_empty());
    }

    #[test]
    fn a_flood_of_interim_answers_is_bounded() {
        let exchange = Arc::new(Exchange::default());
        let interim = exchange.begin(false).interim().unwrap();
        for _ in 0..10_000 {
            interim.send(StatusCode::EARLY_HINTS, &link());
        }
        let sent = sent(&exchange);
        assert!(sent.len() <= INTERIM_BYTES_MAX && sent.ends_with("\r\n\r\n"), "{}", sent.len());
    }

    #[test]
    fn whose_turn_it_is() {
        let exchange = Arc::new(Exchange::default());
        assert_eq!(exchange.awaited(), Some(Waits::Head));
        exchange.begin(true);
        assert_eq!(exchange.awaited(), Some(Waits::Upload));
        drop(exchange.write_begins().unwrap());
        assert_eq!(exchange.awaited(), None, "the viewer is to read");
        exchange.flush_begins(true, Waker::noop());
        exchange.end(1);
        assert_eq!(exchange.awaited(), Some(Waits::Head));
        exchange.begin(false);
        assert_eq!(exchange.awaited(), None, "the answer is ours to give");
    }
}
