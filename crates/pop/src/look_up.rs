//! The look-up that every request takes: a viewer's, a check's, and the read-back of a prefetch.

use crate::Pop;
use crate::clock;
use crate::store::record::Variant;
use freshen_model::ids::Seq;
use freshen_model::key::{BadPath, Key};
use freshen_model::protocol::copy::{Doubt, Verdict};
use freshen_model::protocol::follower::{Domain, View};
use http::HeaderMap;
use std::sync::Arc;

/// Times that a look-up starts over because the sweep retired rules meanwhile; each needs a whole sweep to happen.
const REREADS_MAX: usize = 8;

/// What a look-up found, with the view it was made in.
pub struct Looked {
    /// The view; what is fetched now is fetched in it.
    pub view: View,
    /// The domain, its settings not older than the view.
    pub domain: Arc<Domain>,
    /// The key.
    pub key: Key,
    /// What is there.
    pub found: Found,
    /// How many fills of the key had ended before.
    pub fills_ended: u64,
}

/// What is in the cache for a request.
pub enum Found {
    /// A copy to answer with.
    Fresh(Arc<Variant>),
    /// A copy that the origin must confirm first.
    Stale {
        /// The copy.
        copy: Arc<Variant>,
        /// Why the protocol doubts it; `None` where it is only too old.
        doubt: Option<Doubt>,
    },
    /// A copy that may not be used at all, nor its validators.
    Gone(Seq),
    /// Nothing.
    Absent {
        /// Whether there are variants, but for other requests.
        varies: bool,
    },
}

/// Why there is no look-up.
pub enum NoLookUp {
    /// The host is no domain.
    UnknownHost,
    /// The path cannot be a key.
    BadPath(BadPath),
}

/// Whether a look-up leaves a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// Found objects are promoted to memory and count as used.
    Promote,
    /// Nothing changes.
    None,
}

impl Pop {
    /// Looks up what a viewer would get: lease, then watermark, then settings, then object, then index.
    pub async fn look_up(
        &self,
        host: &str,
        path_and_query: &str,
        viewer: &HeaderMap,
        trace: Trace,
    ) -> Result<Looked, NoLookUp> {
        let mut rereads = 0;
        loop {
            let (view, domain) = {
                let now = clock::now();
                let follower = self.follower.read();
                (follower.view(now), follower.domain(host).ok_or(NoLookUp::UnknownHost)?)
            };
            let key =
                Key::in_domain(&domain.name, &domain.settings, path_and_query).map_err(NoLookUp::BadPath)?;
            let fills_ended = self.fills.ended(&key);
            let object = match trace {
                // A POP that is no member may not touch its cache.
                _ if !view.member => None,
                Trace::Promote => match self.store.look_up_in_memory(&key) {
                    Some(object) => Some(object),
                    None => Box::pin(self.store.look_up_on_disk(&key)).await,
                },
                Trace::None => Box::pin(self.store.peek(&key)).await,
            };
            let varies = object.is_some();
            let found = match object.as_ref().and_then(|object| object.select(viewer)).cloned() {
                None => Found::Absent { varies },
                Some(copy) => match self.judge(&view, &domain, &key, &copy) {
                    Verdict::Usable if copy.head.fresh(view.now.wall) => Found::Fresh(copy),
                    Verdict::Usable => Found::Stale { copy, doubt: None },
                    Verdict::Revalidate(doubt) => Found::Stale { copy, doubt: Some(doubt) },
                    Verdict::Reread if rereads < REREADS_MAX => {
                        rereads += 1;
                        continue;
                    }
                    Verdict::Gone | Verdict::Reread => Found::Gone(copy.provenance.filled),
                },
            };
            return Ok(Looked { view, domain, key, found, fills_ended });
        }
    }

    fn judge(&self, view: &View, domain: &Domain, key: &Key, copy: &Variant) -> Verdict {
        let checked = copy.checked();
        if view.settles(&copy.provenance, checked) {
            return Verdict::Usable;
        }
        let verdict = self.follower.read().judge(
            view,
            key,
            &copy.head.tags,
            &copy.provenance,
            checked,
            domain.settings.no_lease,
        );
        if verdict == Verdict::Usable {
            // Everything up to the view's watermark was in the index when it was asked.
            copy.mark(view.seq);
        }
        verdict
    }
}
