//! What a connection's socket and its requests tell each other: whether a request is being answered, and interim
//! answers (1xx) on their way.
//!
//! The HTTP library cannot send interim answers. They are slipped in below it, by the socket, between two of its writes.
//! That is safe under two conditions, both judged under one lock. The request must still wait for the head of its answer,
//! for then the library writes nothing of its own but a whole `100 Continue`. And nothing of the answer before may wait in
//! the library's buffer: it flushes its socket exactly when that buffer is empty.

use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use std::sync::Arc;
use std::task::Waker;

/// Bytes of interim answers that may wait for a viewer; more are dropped.
const INTERIM_BYTES_MAX: usize = 16 << 10;

/// One connection, as its socket and its requests share it.
#[derive(Default)]
pub struct Exchange(Mutex<State>);

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
    /// A request begins.
    pub fn begin(self: &Arc<Exchange>, uploads: bool) -> Interim {
        let mut state = self.0.lock();
        state.requests += 1;
        state.open += 1;
        state.headless = true;
        state.uploads = uploads;
        Interim { exchange: self.clone(), request: state.requests }
    }

    /// The head of the newest request's answer is there; interim answers are too late.
    pub fn head_is_there(&self) {
        self.0.lock().headless = false;
    }

    /// An answer was handed over to its last byte, or given up.
    pub fn end(&self) {
        let mut state = self.0.lock();
        state.open = state.open.saturating_sub(1);
    }

    /// Requests under way, requests so far, and bytes written so far.
    pub fn activity(&self) -> (usize, u64, u64) {
        let state = self.0.lock();
        (state.open, state.requests, state.written)
    }

    /// What a socket waits for that has nothing to read; `None` where that is not the viewer's turn.
    pub(super) fn awaited(&self) -> Option<Waits> {
        let state = self.0.lock();
        match (state.clean, state.open, state.uploads) {
            (false, ..) => None,
            (true, 0, _) => Some(Waits::Head),
            (true, _, true) => Some(Waits::Upload),
            (true, _, false) => None,
        }
    }

    /// The library writes; gives the interim answers that must go first.
    pub(super) fn write_begins(&self) -> Vec<u8> {
        let mut state = self.0.lock();
        state.clean = false;
        std::mem::take(&mut state.interim)
    }

    /// The library has written.
    pub(super) fn wrote(&self, bytes: usize) {
        self.0.lock().written += bytes as u64;
    }

    /// The library has nothing left to write; gives the interim answers that may go now, if there is `room` for them.
    pub(super) fn flush_begins(&self, room: bool, task: &Waker) -> Vec<u8> {
        let mut state = self.0.lock();
        state.clean = true;
        if state.headless && !state.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            state.task = Some(task.clone());
        }
        if room { std::mem::take(&mut state.interim) } else { Vec::new() }
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
            let mut state = self.exchange.0.lock();
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
        String::from_utf8(exchange.write_begins()).unwrap()
    }

    #[test]
    fn an_interim_answer_goes_before_the_answer_and_speaks_of_no_body() {
        let exchange = Arc::new(Exchange::default());
        let interim = exchange.begin(false);
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
        let first = exchange.begin(false);
        first.send(StatusCode::OK, &link());
        first.send(StatusCode::SWITCHING_PROTOCOLS, &link());
        exchange.head_is_there();
        first.send(StatusCode::EARLY_HINTS, &link());
        exchange.end();
        let second = exchange.begin(false);
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
        let interim = exchange.begin(false);
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
        exchange.write_begins();
        assert_eq!(exchange.awaited(), None, "the viewer is to read");
        exchange.flush_begins(true, Waker::noop());
        exchange.end();
        assert_eq!(exchange.awaited(), Some(Waits::Head));
        exchange.begin(false);
        assert_eq!(exchange.awaited(), None, "the answer is ours to give");
    }
}
