//! What a POP keeps of an object: its variants, each with head, body and provenance.

use super::body::{Body, BodyRecord};
use super::heat::Queue;
use crate::policy::terms::Terms;
use crate::policy::vary::VaryBy;
use crate::policy::{fields, freshness};
use freshen_model::domain::Lifetimes;
use freshen_model::ids::{Epoch, Seq};
use freshen_model::protocol::copy::Provenance;
use freshen_model::tag::Tags;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The longest that a field tells of in seconds: half of what an integer of RFC 9651 §3.3.1 may be, so that differences
/// of two are integers.
const TTL_S_MAX: u64 = 499_999_999_999_999;

/// What one URL names: its variants. Replaced as a whole, never changed in place.
#[derive(Debug, Default)]
pub struct Object {
    /// Its answers, no two for the same requests; the one stored last comes last.
    pub variants: Vec<Arc<Variant>>,
    /// Its place in the queues for eviction.
    pub queued: Queued,
}

impl Object {
    /// The variant that answers a request with these fields, RFC 9111 §4.1; the latest, where several do.
    pub fn select(&self, viewer: &HeaderMap) -> Option<&Arc<Variant>> {
        self.variants.iter().rev().find(|variant| variant.head.answers(viewer))
    }

    /// Bytes it takes in memory, roughly.
    pub fn memory_bytes(&self) -> u64 {
        self.variants
            .iter()
            .map(|variant| 512 + 2 * variant.head.bytes() + variant.body.memory_bytes())
            .sum::<u64>()
            + 128
    }

    /// Bytes it takes in the journal, roughly.
    pub fn index_bytes(&self) -> u64 {
        let small = |variant: &Variant| variant.body.at_hand().map_or(0, |bytes| bytes.len() as u64);
        self.variants.iter().map(|variant| 256 + variant.head.bytes() + small(variant)).sum::<u64>() + 256
    }

    /// Bytes that the files of its slices take.
    pub fn slice_bytes(&self) -> u64 {
        self.variants.iter().map(|variant| variant.body.allocated()).sum()
    }
}

/// A place in one of the two queues for eviction: higher ones are given later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Queued(pub u64);

impl Queued {
    const MAIN: u64 = 1 << 63;

    /// The place `number` of a queue.
    pub fn new(queue: Queue, number: u64) -> Queued {
        Queued(match queue {
            Queue::Probation => number,
            Queue::Main => number | Queued::MAIN,
        })
    }

    /// Its queue.
    pub fn queue(self) -> Queue {
        if self.0 & Queued::MAIN == 0 { Queue::Probation } else { Queue::Main }
    }

    /// Its number in there.
    pub fn number(self) -> u64 {
        self.0 & !Queued::MAIN
    }
}

/// One answer of an object.
#[derive(Debug)]
pub struct Variant {
    /// Status and fields.
    pub head: Head,
    /// Where it came from, for the rules.
    pub provenance: Provenance,
    /// Its body.
    pub body: Arc<Body>,
    /// The fields of its answer to a plain request, made at the first one.
    pub hit: OnceLock<HeaderMap>,
    /// No rule up to here matches it. Belongs to this very version: a commit makes a new variant with a new mark.
    checked: AtomicU64,
}

impl Variant {
    /// A variant; its mark starts at the fill_seq of its last confirmation.
    pub fn new(head: Head, provenance: Provenance, body: Arc<Body>) -> Variant {
        Variant { head, checked: AtomicU64::new(provenance.mark().0), provenance, body, hit: OnceLock::new() }
    }

    /// The same variant with more tags; `None` where it has them already. Its mark starts anew.
    pub fn with_tags(&self, tags: &Tags) -> Option<Arc<Variant>> {
        if self.head.tags.covers(tags) {
            return None;
        }
        let head = Head { tags: self.head.tags.with(tags), ..self.head.clone() };
        Some(Arc::new(Variant::new(head, self.provenance, self.body.clone())))
    }

    /// The mark.
    pub fn checked(&self) -> Seq {
        Seq(self.checked.load(Ordering::Acquire))
    }

    /// Notes that no rule up to `seq` matches, where `seq` is the watermark read *before* the look-up.
    pub fn mark(&self, seq: Seq) {
        self.checked.fetch_max(seq.0, Ordering::AcqRel);
    }
}

/// Status and fields of a stored response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    /// The status.
    #[serde(with = "status")]
    pub status: StatusCode,
    /// The fields, without those of the hop.
    #[serde(with = "header_map")]
    pub headers: HeaderMap,
    /// The request's fields that it depends on.
    pub vary: VaryBy,
    /// Their values in the request it answered.
    pub selecting: String,
    /// When it was received, wall-clock time since 1970; freshness outlives restarts, so no other clock will do.
    pub received: Duration,
    /// Its age when it was received.
    pub initial_age: Duration,
    /// How old it may get, and what may be done with it then.
    pub terms: Terms,
    /// What the origin has called it.
    pub tags: Tags,
}

impl Head {
    /// A head as the origin sent it, made what is stored of it. `asked` and `received` are wall-clock times since 1970.
    pub fn new(
        status: StatusCode,
        mut headers: HeaderMap,
        (vary, selecting): (VaryBy, String),
        (asked, received): (Duration, Duration),
        lifetimes: &Lifetimes,
        tags: Tags,
    ) -> Head {
        let initial_age = freshness::initial_age(&headers, asked, received);
        let terms = Terms::of(status, &headers, lifetimes, received);
        fields::stamp(&mut headers, received);
        fields::prepare(&mut headers);
        Head { status, headers, vary, selecting, received, initial_age, terms, tags }
    }

    /// Whether it answers a request with these fields.
    pub fn answers(&self, viewer: &HeaderMap) -> bool {
        self.vary.is_nothing() || self.vary.select(viewer) == self.selecting
    }

    /// Its age at `wall`.
    pub fn age(&self, wall: Duration) -> Duration {
        self.initial_age + wall.saturating_sub(self.received)
    }

    /// Whether it may be used at `wall` without asking the origin.
    pub fn fresh(&self, wall: Duration) -> bool {
        self.terms.fresh(self.age(wall))
    }

    /// The seconds for which it stays fresh at `wall`; below zero since it is not any more. RFC 9211 §2.4.
    pub fn ttl_s(&self, wall: Duration) -> i64 {
        let seconds = |time: Duration| time.as_secs().min(TTL_S_MAX) as i64;
        seconds(self.terms.lifetime) - seconds(self.age(wall))
    }

    /// The length of its body, where the origin told it.
    pub fn length(&self) -> Option<u64> {
        self.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Its ETag, as text.
    pub fn etag(&self) -> Option<&str> {
        self.headers.get(header::ETAG)?.to_str().ok()
    }

    fn bytes(&self) -> u64 {
        self.headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 32) as u64).sum::<u64>()
            + self.tags.bytes()
    }
}

/// An object as the journal keeps it.
#[derive(Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Its variants.
    pub variants: Vec<VariantRecord>,
    /// Its place in the queues for eviction.
    pub queued: Queued,
}

/// A variant as the journal keeps it.
#[derive(Serialize, Deserialize)]
pub struct VariantRecord {
    /// Status and fields.
    pub head: Head,
    /// Where it came from.
    pub provenance: Provenance,
    /// Its body.
    pub body: BodyRecord,
}

impl ObjectRecord {
    /// What to keep of an object.
    pub fn of(object: &Object) -> ObjectRecord {
        let record = |variant: &Arc<Variant>| VariantRecord {
            head: variant.head.clone(),
            provenance: variant.provenance,
            body: variant.body.record(),
        };
        ObjectRecord { variants: object.variants.iter().map(record).collect(), queued: object.queued }
    }

    /// The object again; `body` finds the bodies, and variants whose bodies are lost are left out.
    pub fn restore(self, mut body: impl FnMut(BodyRecord) -> Option<Arc<Body>>) -> Object {
        let variants = self
            .variants
            .into_iter()
            .filter_map(|record| {
                Some(Arc::new(Variant::new(record.head, record.provenance, body(record.body)?)))
            })
            .collect();
        Object { variants, queued: self.queued }
    }
}

impl ObjectRecord {
    /// The oldest epoch that a variant was filled in.
    pub fn oldest_epoch(&self) -> Option<Epoch> {
        self.variants.iter().map(|variant| variant.provenance.epoch).min()
    }
}

mod status {
    use http::StatusCode;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(status.as_u16())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

mod header_map {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        pairs.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderMap, D::Error> {
        let pairs = Vec::<(String, Vec<u8>)>::deserialize(deserializer)?;
        let mut headers = HeaderMap::with_capacity(pairs.len());
        for (name, value) in pairs {
            let name: HeaderName = name.parse().map_err(serde::de::Error::custom)?;
            headers.append(name, HeaderValue::from_bytes(&value).map_err(serde::de::Error::custom)?);
        }
        Ok(headers)
    }
}
