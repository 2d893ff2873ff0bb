//! The side that asks: the home POP first, or for a prefetch the POP above in the tree, and the origin when in doubt.

use super::credential::{ASK, Answered, CHECKED, Credential, Target};
use super::{Neighbours, Way};
use crate::Pop;
use crate::clock;
use crate::origin::{Interim, OriginError};
use freshen_model::domain::NoLease;
use freshen_model::ids::Seq;
use freshen_model::key::Key;
use freshen_model::peers::Peer;
use freshen_model::protocol::fill::{FillStart, Level, Source};
use freshen_model::protocol::follower::{Domain, View};
use freshen_model::protocol::home::Ask;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The first sign of life that is waited for: an answer, or that there will be one.
const FIRST_SIGN_MAX: Duration = Duration::from_secs(1);
/// The same for a prefetch, where no viewer waits, and a busy POP is better waited for than passed over.
const FIRST_SIGN_OF_PREFETCH_MAX: Duration = Duration::from_secs(5);
/// Between two signs of life; the home gives one a second.
const NEXT_SIGN_MAX: Duration = Duration::from_secs(3);
/// POPs that are tried for a prefetch, one after the other.
const ASKED_MAX: u32 = 3;
/// Between two of them: so long it takes the others to see that one is gone.
const BEFORE_THE_NEXT: Duration = Duration::from_millis(300);
/// Signs and interim answers that wait to be looked at.
const SIGNS_MAX: usize = 64;

/// What is asked for on the way to the origin.
pub struct Asking<'a> {
    /// The domain.
    pub domain: &'a Domain,
    /// The key.
    pub key: &'a Key,
    /// The fields as they shall arrive at the origin.
    pub headers: HeaderMap,
    /// What is done with interim answers.
    pub interim: Option<Interim>,
    /// For whom.
    pub way: Way,
    /// What was fixed before; says whether another POP may be asked at all.
    pub start: FillStart,
}

/// What came of asking another POP.
enum Asked {
    /// An answer that counts.
    Answered(Box<(Response<Incoming>, FillStart)>),
    /// It was not reached, and is passed over for a while.
    NotReached,
    /// Nothing that another POP would do better.
    InVain,
}

/// Why another POP's answer was none; also the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It could not be reached, or broke off.
    Unreachable,
    /// It was silent for too long.
    Silent,
    /// It said that the origin is to be asked.
    Refused,
    /// What came is not signed, or checked too early.
    NotGoodEnough,
}

impl Unanswered {
    fn as_str(self) -> &'static str {
        match self {
            Unanswered::Unreachable => "unreachable",
            Unanswered::Silent => "silent",
            Unanswered::Refused => "refused",
            Unanswered::NotGoodEnough => "not_good_enough",
        }
    }
}

impl Pop {
    /// Who delivers what a request in this view asks for: another POP only with a lease, and never where credentials of a
    /// viewer would go along.
    pub fn source(&self, view: &View, domain: &Domain, key: &Key, headers: &HeaderMap, way: Way) -> Source {
        let may = view.leased && view.member && !headers.contains_key(header::AUTHORIZATION);
        match may && self.above(domain, key, way).is_some() {
            true => Source::Pop { checked: view.seq, level: self.level(domain, key) },
            false => Source::Origin,
        }
    }

    /// The source for what is missing of a body that is here. Where validators lie, only the origin's own word counts for
    /// parts of what came from there.
    pub fn source_of_parts(&self, domain: &Domain, key: &Key, headers: &HeaderMap, way: Way) -> FillStart {
        let view = self.follower.read().view(clock::now());
        let way = if domain.settings.no_lease == NoLease::Refetch { Way::Origin } else { way };
        view.start_fill(self.source(&view, domain, key, headers, way))
    }

    /// The POP that is asked for it, if one is.
    fn above(&self, domain: &Domain, key: &Key, way: Way) -> Option<Peer> {
        let list = self.neighbours.list();
        let (me, tier) = (&self.config.id, &domain.settings.home);
        let avoided = |pop: &_| self.neighbours.is_avoided(pop);
        let order = match way {
            Way::Home => return list.home(me, tier, key, avoided).cloned(),
            Way::Tree(order) => order,
            Way::Below(asker, Some(order)) if list.level(me, tier, key) < asker => order,
            Way::Below(..) | Way::Origin => return None,
        };
        let scope = self.prefetcher.scope_of(order)?;
        list.above(me, tier, key, &scope, avoided).cloned()
    }

    fn level(&self, domain: &Domain, key: &Key) -> Level {
        self.neighbours.list().level(&self.config.id, &domain.settings.home, key)
    }

    /// Asks the home POP where the start says so, else or after that the origin; tells who answered.
    pub async fn ask_upstream(
        &self,
        asking: Asking<'_>,
    ) -> Result<(Response<Incoming>, FillStart), OriginError> {
        let began = Instant::now();
        if asking.start.source != Source::Origin {
            for attempt in 1.. {
                match Box::pin(self.try_home(&asking)).await {
                    Asked::Answered(answered) => return Ok(*answered),
                    // Where no viewer waits, the next POP is given the time to see it, too, and is asked then.
                    Asked::NotReached if asking.way.order().is_some() && attempt < ASKED_MAX => {
                        tokio::time::sleep(BEFORE_THE_NEXT).await;
                    }
                    Asked::NotReached | Asked::InVain => break,
                }
            }
        }
        let Asking { domain, key, headers, interim, way, start } = asking;
        let start = FillStart { source: Source::Origin, ..start };
        let cost = self.prefetcher.cost_of(way.order());
        cost.inspect(|cost| cost.requested());
        let response = self.ask_origin(domain, key, headers, interim, began).await?;
        Ok((response, start))
    }

    async fn try_home(&self, asking: &Asking<'_>) -> Asked {
        let Asking { domain, key, start, way, .. } = asking;
        let Some(home) = self.above(domain, key, *way) else { return Asked::InVain };
        let Some(ask) = self.follower.read().ask(clock::now()) else { return Asked::InVain };
        let head_max = self.config.origin_head_max(&domain.settings);
        let asked = tokio::time::timeout(head_max, self.ask_home(&home, ask, asking)).await;
        let accepted = asked.unwrap_or(Err(Unanswered::Silent)).and_then(|(response, checked)| {
            ask.accept(start, checked).map(|start| (response, start)).ok_or(Unanswered::NotGoodEnough)
        });
        self.metrics.peer_asked(accepted.as_ref().map_or_else(|why| why.as_str(), |_| "answered"));
        match accepted {
            Ok(answered) => Asked::Answered(Box::new(answered)),
            Err(why) => {
                tracing::debug!(home = %home.pop, %key, why = why.as_str(), "it gave no answer");
                match why {
                    Unanswered::Unreachable | Unanswered::Silent => {
                        self.neighbours.avoid(&home.pop);
                        Asked::NotReached
                    }
                    Unanswered::Refused | Unanswered::NotGoodEnough => Asked::InVain,
                }
            }
        }
    }

    async fn ask_home(
        &self,
        home: &Peer,
        ask: Ask,
        asking: &Asking<'_>,
    ) -> Result<(Response<Incoming>, Seq), Unanswered> {
        let Asking { domain, key, headers, interim, way, start } = asking;
        let credential = Credential {
            asker: self.config.id.clone(),
            ask,
            level: start.source.level(),
            order: way.order(),
            number: self.neighbours.next_number(),
            newer_than: self.neighbours.changed_ago(key, &clock::now()),
        };
        let path_and_query = key.path_and_query();
        let target = Target { home: &home.pop, host: &domain.name, path_and_query };
        let request = request(home, &credential.sign(&home.key, target), target, headers.clone());
        let request = request.ok_or(Unanswered::Unreachable)?;
        let patience = way.order().map_or(FIRST_SIGN_MAX, |_| FIRST_SIGN_OF_PREFETCH_MAX);
        let mut response = self.neighbours.send(request, interim.clone(), patience).await?;
        let status = response.status().as_u16();
        let answered =
            Answered { home: &home.pop, asker: &self.config.id, number: credential.number, status };
        let said = response.headers_mut().remove(&CHECKED);
        let checked = said.as_ref().and_then(|said| answered.verify(&home.key, said.to_str().ok()?));
        match checked {
            Some(checked) => {
                response.headers_mut().remove(HeaderName::from_static("x-cache"));
                Ok((response, checked))
            }
            None if said.is_none() && status == StatusCode::MISDIRECTED_REQUEST.as_u16() => {
                Err(Unanswered::Refused)
            }
            None => Err(Unanswered::NotGoodEnough),
        }
    }
}

fn request(
    home: &Peer,
    credential: &str,
    target: Target<'_>,
    headers: HeaderMap,
) -> Option<Request<Empty<bytes::Bytes>>> {
    let uri = Uri::builder().scheme("http").authority(home.address.as_deref()?);
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri.path_and_query(target.path_and_query).build().ok()?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(target.host).ok()?);
    request.headers_mut().insert(&ASK, HeaderValue::from_str(credential).ok()?);
    Some(request)
}

impl Neighbours {
    /// Sends a request and waits for its answer's head as long as the other gives signs of life.
    async fn send(
        &self,
        mut request: Request<Empty<bytes::Bytes>>,
        interim: Option<Interim>,
        mut patience: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        let (sign, mut signs) = mpsc::channel(SIGNS_MAX);
        hyper::ext::on_informational(&mut request, move |answer| {
            // One that finds no room is no sign of life that would be missed.
            let _ = sign.try_send(());
            let own = matches!(answer.status(), StatusCode::PROCESSING | StatusCode::CONTINUE);
            if let Some(tell) = interim.as_ref().filter(|_| !own) {
                tell(answer.status(), answer.headers().clone());
            }
        });
        let mut answer = std::pin::pin!(self.client.request(request));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|_| Unanswered::Unreachable),
                Some(()) = signs.recv() => patience = NEXT_SIGN_MAX,
                () = tokio::time::sleep(patience) => return Err(Unanswered::Silent),
            }
        }
    }
}
