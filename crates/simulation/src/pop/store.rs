//! A POP's cache: memory before disk. Entries change under the stripe of their key.

use super::Process;
use crate::disk::{Batch, Disk};
use crate::invariants::{Bytes, both};
use crate::origin::tags_of;
use freshen_model::ids::Seq;
use freshen_model::protocol::copy::Provenance;
use freshen_model::protocol::now::Now;
use freshen_model::tag::Tags;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Stripes; keys that share one wait for each other.
const STRIPES: usize = 4;

/// One stored answer.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Which requests it answers.
    pub gzip: bool,
    /// Where it came from.
    pub provenance: Provenance,
    /// The body's name.
    pub body: u64,
    /// Until when it is fresh, by the wall clock.
    pub fresh_until: Duration,
    /// What the origin calls it, or called it.
    pub tags: Tags,
    /// What is true of it.
    pub bytes: Bytes,
    checked: Cell<Seq>,
}

impl Variant {
    /// A variant; its mark begins where its provenance says.
    pub fn new(
        gzip: bool,
        provenance: Provenance,
        body: u64,
        fresh_until: Duration,
        bytes: Bytes,
    ) -> Variant {
        let tags = tags_of(bytes.tagged);
        Variant { gzip, provenance, body, fresh_until, tags, bytes, checked: Cell::new(provenance.mark()) }
    }

    /// The mark.
    pub fn checked(&self) -> Seq {
        self.checked.get()
    }

    /// Moves the mark.
    pub fn mark(&self, seq: Seq) {
        self.checked.set(self.checked.get().max(seq));
    }

    /// Whether it is fresh by the origin's word.
    pub fn fresh(&self, now: &Now) -> bool {
        now.wall < self.fresh_until
    }

    /// The same with more tags; its mark starts anew.
    pub fn with_tags(&self, others: &Variant) -> Variant {
        let bytes = Bytes { tagged: both(self.bytes.tagged, others.bytes.tagged), ..self.bytes };
        let tags = self.tags.with(&others.tags);
        Variant { tags, ..Variant::new(self.gzip, self.provenance, self.body, self.fresh_until, bytes) }
    }

    /// What a journal gives back of it: no mark, and no times of this process.
    fn restored(&self) -> Variant {
        let provenance = Provenance { delivered_at: None, confirmed_at: None, ..self.provenance };
        Variant::new(self.gzip, provenance, self.body, self.fresh_until, self.bytes)
    }
}

/// What is kept of one key.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// Its variants.
    pub variants: Vec<Rc<Variant>>,
}

impl Object {
    /// The variant for such requests.
    pub fn select(&self, gzip: bool) -> Option<&Rc<Variant>> {
        self.variants.iter().find(|variant| variant.gzip == gzip)
    }
}

/// Which stripes are held.
#[derive(Clone, Debug, Default)]
pub struct Stripes([bool; STRIPES]);

impl Stripes {
    /// Takes the stripe of a key, or says that somebody has it.
    pub fn take(&mut self, key: usize) -> bool {
        !std::mem::replace(&mut self.0[key % STRIPES], true)
    }

    /// Gives it back.
    pub fn give(&mut self, key: usize) {
        self.0[key % STRIPES] = false;
    }

    /// Whether nobody has it.
    pub fn free(&self, key: usize) -> bool {
        !self.0[key % STRIPES]
    }
}

impl Process {
    /// The object as it is now: in memory, else on disk.
    pub fn current(&self, disk: &Disk, key: usize) -> Option<Rc<Object>> {
        self.memory.get(&key).cloned().or_else(|| read(disk, key))
    }

    /// Puts an object in the place of what is there; to be called under the key's stripe.
    pub fn replace(&mut self, disk: &mut Disk, key: usize, after: Option<Object>) {
        match after.filter(|object| !object.variants.is_empty()) {
            Some(object) => {
                disk.write(Batch::Changed(key, Some(object.clone())));
                self.memory.insert(key, Rc::new(object));
            }
            None => {
                disk.write(Batch::Changed(key, None));
                self.memory.remove(&key);
            }
        }
    }
}

/// The object as the journal has it.
pub fn read(disk: &Disk, key: usize) -> Option<Rc<Object>> {
    let record = disk.content.objects.get(&key)?;
    let variants = record.variants.iter().map(|variant| Rc::new(variant.restored())).collect();
    Some(Rc::new(Object { variants }))
}
