//! What the POP counts of each domain's traffic: since its process started, for control's books.

use bytes::Bytes;
use freshen_model::traffic::{Counted, REPORTED_MAX, Traffic};
use hyper::body::Frame;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of every domain that had traffic; those of removed ones stay as long as the process runs.
#[derive(Default)]
pub struct Counts(RwLock<HashMap<String, Arc<DomainCounts>>>);

/// The counts of one domain, in the order of [`Traffic::counts`].
#[derive(Default)]
pub struct DomainCounts([AtomicU64; 9]);

const REQUESTS: usize = 0;
const BYTES: usize = 1;
const TLS_BYTES: usize = 2;
const HITS: usize = 3;
const HIT_BYTES: usize = 4;
const TLS_HIT_BYTES: usize = 5;
const ORIGIN_REQUESTS: usize = 6;
const ORIGIN_BYTES: usize = 7;
const ORIGIN_TLS_BYTES: usize = 8;

impl DomainCounts {
    fn add(&self, count: usize, more: u64) {
        self.0[count].fetch_add(more, Ordering::Relaxed);
    }

    fn total(&self) -> Traffic {
        Traffic::of_counts(self.0.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }
}

impl Counts {
    /// The counts of a domain that is served here.
    pub fn of(&self, domain: &str) -> Arc<DomainCounts> {
        if let Some(known) = self.known(domain) {
            return known;
        }
        self.0.write().entry(domain.to_owned()).or_default().clone()
    }

    /// The counts of a host, if it had traffic before.
    pub fn known(&self, host: &str) -> Option<Arc<DomainCounts>> {
        self.0.read().get(host).cloned()
    }

    /// What has changed since it was last told, for one heartbeat.
    pub fn to_tell(&self, told: &HashMap<String, Traffic>) -> Vec<Counted> {
        let counts = self.0.read();
        let totals = counts.iter().map(|(domain, counts)| (domain, counts.total()));
        let news = totals.filter(|(domain, total)| told.get(*domain).copied().unwrap_or_default() != *total);
        news.take(REPORTED_MAX).map(|(domain, total)| Counted { domain: domain.clone(), total }).collect()
    }
}

/// One answer to a viewer, as it is counted.
#[derive(Clone)]
pub struct Answered {
    counts: Arc<DomainCounts>,
    tls: bool,
    hit: bool,
}

impl Answered {
    /// Counts an answer; its bytes are still to come.
    pub fn new(counts: Arc<DomainCounts>, tls: bool, hit: bool) -> Answered {
        counts.add(REQUESTS, 1);
        if hit {
            counts.add(HITS, 1);
        }
        Answered { counts, tls, hit }
    }

    /// So much of its body is handed over.
    pub fn gave(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.counts.add(BYTES, bytes);
        if self.tls {
            self.counts.add(TLS_BYTES, bytes);
        }
        if self.hit {
            self.counts.add(HIT_BYTES, bytes);
        }
        if self.tls && self.hit {
            self.counts.add(TLS_HIT_BYTES, bytes);
        }
    }

    /// The same for what a body gives next.
    pub fn gave_frame<E>(answered: Option<&Answered>, frame: &Option<Result<Frame<Bytes>, E>>) {
        if let (Some(answered), Some(Ok(frame))) = (answered, frame) {
            answered.gave(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
    }
}

/// An answer of an origin, as it is counted; goes with the answer as an extension.
#[derive(Clone)]
pub struct FromOrigin {
    counts: Arc<DomainCounts>,
    tls: bool,
}

impl FromOrigin {
    /// Counts a request; its answer is still to come.
    pub fn asked(counts: Arc<DomainCounts>, tls: bool) -> FromOrigin {
        counts.add(ORIGIN_REQUESTS, 1);
        FromOrigin { counts, tls }
    }

    /// So much of the answer's body came.
    pub fn came(&self, bytes: u64) {
        self.counts.add(ORIGIN_BYTES, bytes);
        if self.tls {
            self.counts.add(ORIGIN_TLS_BYTES, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let counts = Counts::default();
        assert!(counts.known("a.example").is_none());
        Answered::new(counts.of("a.example"), true, true).gave(10);
        Answered::new(counts.of("a.example"), false, false).gave(5);
        FromOrigin::asked(counts.of("b.example"), true).came(7);
        let mut news = counts.to_tell(&HashMap::new());
        news.sort_by(|one, other| one.domain.cmp(&other.domain));
        assert_eq!(news[0].total.counts(), [2, 15, 10, 1, 10, 10, 0, 0, 0]);
        assert_eq!(news[1].total.counts(), [0, 0, 0, 0, 0, 0, 1, 7, 7]);
        let mut told: HashMap<_, _> = news.into_iter().map(|news| (news.domain, news.total)).collect();
        assert_eq!(counts.to_tell(&told), []);
        counts.of("b.example").add(ORIGIN_BYTES, 1);
        let news = counts.to_tell(&told);
        assert_eq!((news.len(), news[0].domain.as_str(), news[0].total.origin_bytes), (1, "b.example", 8));
        told.insert(news[0].domain.clone(), news[0].total);
        assert_eq!(counts.to_tell(&told), []);
    }
}
