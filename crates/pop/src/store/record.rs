//! What a POP keeps of an object: its variants, each with head, body and provenance.

use super::body::{Body, BodyRecord, FillId, SMALL_BYTES_MAX};
use crate::policy::freshness;
use freshen_model::ids::{Epoch, Seq};
use freshen_model::protocol::copy::Provenance;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one URL names: its variants. Replaced as a whole, never changed in place.
#[derive(Debug, Default)]
pub struct Object {
    /// At most one for each [`Selector`]; a variant that answers everybody stands alone.
    pub variants: Vec<Arc<Variant>>,
    /// Its place in the queue for eviction.
    pub queued: u64,
}

impl Object {
    /// The variant that answers a viewer who does or does not accept gzip.
    pub fn select(&self, gzip: bool) -> Option<&Arc<Variant>> {
        self.variants.iter().find(|variant| variant.head.selector.answers(gzip))
    }

    /// Bytes it takes in memory, roughly.
    pub fn memory_bytes(&self) -> u64 {
        self.variants
            .iter()
            .map(|variant| 512 + variant.head.bytes() + variant.body.small_bytes())
            .sum::<u64>()
            + 128
    }

    /// Bytes it takes on disk, roughly; never less than its bodies.
    pub fn disk_bytes(&self) -> u64 {
        self.variants.iter().map(|variant| disk_bytes(&variant.head, variant.body.size())).sum::<u64>() + 256
    }
}

/// Which requests a variant answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selector {
    /// All of them.
    Everybody,
    /// Those that accept gzip, or those that do not.
    Gzip(bool),
}

impl Selector {
    /// Whether it answers a viewer who does or does not accept gzip.
    pub fn answers(self, gzip: bool) -> bool {
        match self {
            Selector::Everybody => true,
            Selector::Gzip(accepted) => accepted == gzip,
        }
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
    /// No rule up to here matches it. Belongs to this very version: a commit makes a new variant with a new mark.
    checked: AtomicU64,
}

impl Variant {
    /// A variant; its mark starts at the fill_seq of its last confirmation.
    pub fn new(head: Head, provenance: Provenance, body: Arc<Body>) -> Variant {
        Variant {
            head,
            checked: AtomicU64::new(provenance.confirmed.0.min(provenance.filled.0)),
            provenance,
            body,
        }
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
    #[serde(with = "fields")]
    pub headers: HeaderMap,
    /// Which requests it answers.
    pub selector: Selector,
    /// When it was received, wall-clock time since 1970; freshness outlives restarts, so no other clock will do.
    pub received: Duration,
    /// Its age when it was received.
    pub initial_age: Duration,
    /// How old it may get.
    pub lifetime: Duration,
}

impl Head {
    /// A head as received: `asked` and `received` are wall-clock times since 1970.
    pub fn new(
        status: StatusCode,
        headers: HeaderMap,
        selector: Selector,
        asked: Duration,
        received: Duration,
        default_ttl_s: Option<u32>,
    ) -> Head {
        let initial_age = freshness::initial_age(&headers, asked, received);
        let lifetime = freshness::lifetime(status, &headers, default_ttl_s, received);
        Head { status, headers, selector, received, initial_age, lifetime }
    }

    /// Its age at `wall`.
    pub fn age(&self, wall: Duration) -> Duration {
        self.initial_age + wall.saturating_sub(self.received)
    }

    /// Whether it may be used at `wall` without asking the origin.
    pub fn fresh(&self, wall: Duration) -> bool {
        self.age(wall) < self.lifetime
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
        self.headers.iter().map(|(name, value)| (name.as_str().len() + value.len() + 32) as u64).sum()
    }
}

/// An object as the journal keeps it.
#[derive(Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Its variants.
    pub variants: Vec<VariantRecord>,
    /// Its place in the queue for eviction.
    pub queued: u64,
}

/// A variant as the journal keeps it.
#[derive(Serialize, Deserialize)]
pub struct VariantRecord {
    head: Head,
    provenance: Provenance,
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
    /// The fills its bodies came from.
    pub fn fills(&self) -> impl Iterator<Item = FillId> {
        self.variants.iter().map(|variant| variant.body.id)
    }

    /// The fills of bodies that lie in slices.
    pub fn large_bodies(&self) -> impl Iterator<Item = FillId> {
        self.variants.iter().filter(|variant| !variant.body.is_small()).map(|variant| variant.body.id)
    }

    /// The oldest epoch that a variant was filled in.
    pub fn oldest_epoch(&self) -> Option<Epoch> {
        self.variants.iter().map(|variant| variant.provenance.epoch).min()
    }

    /// What [`Object::disk_bytes`] says of it.
    pub fn disk_bytes(&self) -> u64 {
        self.variants.iter().map(|variant| disk_bytes(&variant.head, variant.body.size)).sum::<u64>() + 256
    }
}

/// Bytes that a variant takes on disk: large bodies in whole blocks of their files.
fn disk_bytes(head: &Head, size: u64) -> u64 {
    let body = if size > SMALL_BYTES_MAX { size.next_multiple_of(4_096) } else { size };
    256 + head.bytes() + body
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

mod fields {
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
