//! A check: the look-up a viewer's request takes, answered only from what is here.

use crate::Pop;
use crate::look_up::{Found, NoLookUp, Trace};
use crate::metrics::XCache;
use crate::store::record::Variant;
use freshen_model::check::{CheckAnswer, CheckQuestion};
use freshen_model::protocol::copy::Doubt;

impl Pop {
    /// What a viewer would get now; changes neither cache nor counters.
    pub async fn check(&self, question: &CheckQuestion) -> CheckAnswer {
        let view = self.follower.read().view(crate::clock::now());
        let mut answer = CheckAnswer {
            x_cache: XCache::Miss.as_str().into(),
            why: None,
            status: None,
            age: None,
            etag: None,
            size: None,
            fill_seq: None,
            watermark: view.seq,
            leased: view.leased,
        };
        let viewer = crate::policy::fields::asking(question.gzip);
        let looked =
            match self.look_up(&question.domain, &question.path_and_query, &viewer, Trace::None).await {
                Ok(looked) => looked,
                Err(NoLookUp::UnknownHost) => {
                    answer.why = Some("this POP does not know the domain (yet)".into());
                    return answer;
                }
                Err(NoLookUp::BadPath(why)) => {
                    answer.why = Some(why.to_string());
                    return answer;
                }
            };
        answer.watermark = looked.view.seq;
        answer.leased = looked.view.leased;
        let (x_cache, why, copy): (_, _, Option<&Variant>) = match &looked.found {
            _ if !looked.view.member => {
                (XCache::Bypass, Some("not a member of the fleet (yet)".to_owned()), None)
            }
            Found::Fresh(copy) if copy.body.is_whole() => (XCache::Hit, None, Some(copy)),
            Found::Fresh(copy) => {
                (XCache::Miss, Some("only some of it is here: the rest is fetched".to_owned()), Some(copy))
            }
            Found::Stale { copy, doubt } => {
                let why = match doubt {
                    Some(Doubt::Purged) => "purged: the origin is asked before its next use",
                    Some(Doubt::NoLease) => "no lease: the origin is asked before its next use",
                    None => "stale: the origin is asked before its next use",
                };
                (XCache::Expired, Some(why.to_owned()), Some(copy))
            }
            Found::Gone(seq) => {
                (XCache::Miss, Some(format!("purged: its copy of fill_seq {seq} is not used again")), None)
            }
            Found::Absent { .. } => (XCache::Miss, None, None),
        };
        answer.x_cache = x_cache.as_str().into();
        answer.why = why;
        if let Some(copy) = copy {
            answer.status = Some(copy.head.status.as_u16());
            answer.age = Some(copy.head.age(looked.view.now.wall).as_secs());
            answer.etag = copy.head.etag().map(str::to_owned);
            answer.size = copy.body.size();
            answer.fill_seq = Some(copy.provenance.filled);
        }
        answer
    }
}
