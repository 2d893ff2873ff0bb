//! The side that answers: requests of other POPs, from the store or from the origin.

use super::Way;
use super::credential::{ASK, Answered, CHECKED, Credential, Seen, Target};
use crate::answer::{Asked, How, Payload};
use crate::fill::Outcome;
use crate::look_up::{Found, Looked, Trace};
use crate::request::{Again, Fetched, JOINS_MAX, path_and_query, requested_host};
use crate::viewers::{Interim, Protocols};
use crate::{Pop, Viewing, clock};
use freshen_model::ids::Seq;
use freshen_model::peers::PairKey;
use freshen_model::protocol::home::{Admission, CATCH_UP_MAX, CATCH_UP_PREFETCH_MAX, NotHome};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// Connections of other POPs at one time.
const CONNECTIONS_MAX: usize = 4_096;
/// Before the first sign of life: most answers are there by then.
const FIRST_SIGN: Duration = Duration::from_millis(200);
/// Between two of them.
const NEXT_SIGN: Duration = Duration::from_secs(1);
/// How long to wait for descriptors to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

static NOT_HOME: HeaderName = HeaderName::from_static("freshen-not-home");

/// Why a request of another POP is not answered with content; also the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declined {
    /// Not signed, signed by nobody who is named, or sent once more.
    Stranger,
    /// The protocol forbids it.
    NotHome(NotHome),
    /// The origin gives no answer, or only a stale copy could be given.
    NoOrigin,
    /// Nothing that another POP asks for: the domain is unknown, what was found cannot be read.
    NotHere,
}

impl Declined {
    fn as_str(self) -> &'static str {
        match self {
            Declined::Stranger => "stranger",
            Declined::NotHome(why) => why.as_str(),
            Declined::NoOrigin => "no_origin",
            Declined::NotHere => "not_here",
        }
    }
}

impl Pop {
    /// Answers other POPs until the process stops.
    pub async fn serve_peers(self: Arc<Pop>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let protocols = Arc::new(Protocols::new(&self.config, self.cuts.clone()));
        let (_stopping, stop) = watch::channel(false);
        loop {
            // A place first: connections over the limit wait in the kernel's queue.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok((socket, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let _ = socket.set_nodelay(true);
            let (pop, protocols, stop) = (self.clone(), protocols.clone(), stop.clone());
            tokio::spawn(async move {
                let answer = |request, viewing| pop.clone().answer_peer(request, viewing);
                protocols.serve_http1(socket, answer, stop).await;
                drop(place);
            });
        }
    }

    async fn answer_peer(self: Arc<Pop>, request: Request<Incoming>, viewing: Viewing) -> Response<Payload> {
        let answered = self.try_answer_peer(request, viewing).await;
        let why = answered.as_ref().err().copied();
        self.metrics.peer_answered(why.map_or("answered", Declined::as_str));
        answered.unwrap_or_else(|why| match why {
            Declined::Stranger => {
                self.answer_plainly(StatusCode::FORBIDDEN, "other POPs of this fleet are answered here", None)
            }
            why => {
                let text = "ask the origin yourself";
                let mut answer = self.answer_plainly(StatusCode::MISDIRECTED_REQUEST, text, None);
                answer.headers_mut().insert(&NOT_HOME, HeaderValue::from_static(why.as_str()));
                answer
            }
        })
    }

    async fn try_answer_peer(
        self: &Arc<Pop>,
        request: Request<Incoming>,
        viewing: Viewing,
    ) -> Result<Response<Payload>, Declined> {
        let (mut parts, body) = request.into_parts();
        let said = parts.headers.remove(&ASK).ok_or(Declined::Stranger)?;
        let host = requested_host(&parts).map_err(|_| Declined::Stranger)?.into_owned();
        if parts.method != Method::GET || !body.is_end_stream() {
            return Err(Declined::Stranger);
        }
        let path = path_and_query(&parts.uri);
        let target = Target { home: &self.config.id, host: &host, path_and_query: path };
        let (credential, key) = self.authenticate(said.to_str().ok(), target).ok_or(Declined::Stranger)?;
        let signs = viewing.interim();
        let way = Way::Below(credential.level, credential.order);
        let asked = Asked { method: &Method::GET, headers: &parts.headers, viewing, way };
        let answering = async {
            self.wait_to_catch_up(&credential).await.map_err(Declined::NotHome)?;
            self.answer_as_home(&host, path, &asked, &credential).await
        };
        let (mut answer, checked) = with_signs(answering, signs).await?;
        let status = answer.status().as_u16();
        let (home, asker, number) = (&self.config.id, &credential.asker, credential.number);
        let value = Answered { home, asker, number, status }.sign(&key, checked);
        let value = HeaderValue::from_str(&value).map_err(|_| Declined::NotHere)?;
        answer.headers_mut().insert(&CHECKED, value);
        Ok(answer)
    }

    /// Who asks, if it is a POP that control named, and this is the first time.
    fn authenticate(&self, said: Option<&str>, target: Target<'_>) -> Option<(Credential, PairKey)> {
        let (credential, signature) = Credential::read(said?)?;
        let key = self.neighbours.list().get(&credential.asker)?.key.clone();
        if !credential.verifies(&key, target, &signature) {
            return None;
        }
        let mut seen = self.neighbours.seen.lock();
        let seen = seen.entry(credential.asker.clone()).or_insert_with(|| Seen::new(key.clone()));
        if !seen.is_of(&key) {
            *seen = Seen::new(key.clone());
        }
        seen.take(credential.number).then_some((credential, key))
    }

    /// Waits until this POP may answer one who stands there.
    async fn wait_to_catch_up(&self, credential: &Credential) -> Result<(), NotHome> {
        let patience = if credential.order.is_some() { CATCH_UP_PREFETCH_MAX } else { CATCH_UP_MAX };
        let deadline = Instant::now() + patience;
        let mut applied = self.applied.subscribe();
        loop {
            applied.borrow_and_update();
            let admission = self.follower.read().admit(&credential.ask, clock::now());
            match admission {
                Admission::Admitted(_) => return Ok(()),
                Admission::Refused(why) => return Err(why),
                Admission::Behind => {}
            }
            match tokio::time::timeout_at(deadline, applied.changed()).await {
                Ok(Ok(())) => {}
                _ => return Err(NotHome::Behind),
            }
        }
    }

    /// The answer, and the watermark up to which no rule matches it.
    async fn answer_as_home(
        self: &Arc<Pop>,
        host: &str,
        path: &str,
        asked: &Asked<'_>,
        credential: &Credential,
    ) -> Result<(Response<Payload>, Seq), Declined> {
        let mut joins = 0;
        loop {
            let looked = self.look_up(host, path, asked.headers, Trace::Promote).await;
            let mut looked = looked.map_err(|_| Declined::NotHere)?;
            let checked = credential.ask.checked_in(&looked.view);
            let checked = checked.ok_or(Declined::NotHome(NotHome::NoLease))?;
            outdate(&mut looked, credential.newer_than);
            asked.viewing.claim(looked.claim(looked.tags()));
            let answered = match &looked.found {
                Found::Fresh(copy) => self.answer_from_copy(asked, &looked, copy, How::HIT).await,
                _ => {
                    // What was changed since must not come from a fill that began before.
                    let may_join = joins < JOINS_MAX && credential.newer_than.is_none();
                    match self.fetch_for(asked, &looked, may_join).await {
                        // A stale copy, and what this POP says itself, is for its own viewers.
                        Fetched::Shared(Outcome::StaleServes(_) | Outcome::Failed(_), ..)
                        | Fetched::Refused => return Err(Declined::NoOrigin),
                        fetched => self.answer_fetched(asked, &looked, fetched).await,
                    }
                }
            };
            match answered {
                Ok(answer) => return Ok((answer, checked)),
                Err(Again::Joined) => joins += 1,
                Err(Again::Unreadable(_)) => return Err(Declined::NotHere),
            }
        }
    }
}

/// Makes a fresh copy one to be confirmed, where the asker knows that the object was changed since.
fn outdate(looked: &mut Looked, newer_than: Option<Duration>) {
    if let (Found::Fresh(copy), Some(newer_than)) = (&looked.found, newer_than)
        && copy.head.age(looked.view.now.wall) >= newer_than
    {
        looked.found = Found::Stale { copy: copy.clone(), doubt: None };
    }
}

/// Tells the one who asks, now and then, that somebody is at work.
async fn with_signs<T>(answering: impl Future<Output = T>, interim: Option<Interim>) -> T {
    let mut answering = std::pin::pin!(answering);
    let mut next = FIRST_SIGN;
    loop {
        tokio::select! {
            biased;
            answer = &mut answering => return answer,
            () = tokio::time::sleep(next) => {
                if let Some(interim) = &interim {
                    interim.send(StatusCode::PROCESSING, &HeaderMap::new());
                }
                next = NEXT_SIGN;
            }
        }
    }
}
