//! A POP's disk: one journal of batches, of which a process may crash without losing any, and a machine may lose or tear
//! those that were not synced.

use crate::pop::store::Object;
use crate::sights::{Sight, Sights};
use crate::world::Chance;
use freshen_model::domain::Settings;
use freshen_model::ids::{DataId, OrderId, Seq};
use freshen_model::protocol::follower::{Plan, Saved};
use freshen_model::rule::Rule;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a journal has.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// How many times it was opened.
    pub boot_number: u64,
    /// The follower's own part.
    pub saved: Saved,
    /// Live rules.
    pub rules: BTreeMap<Seq, Vec<Rule>>,
    /// Domains.
    pub domains: BTreeMap<String, Settings>,
    /// The orders that led here; known to nobody but the invariants.
    pub names: BTreeSet<OrderId>,
    /// Entries by key's number.
    pub objects: BTreeMap<usize, Object>,
}

/// Changes that come back together or not at all.
#[derive(Clone, Debug)]
pub enum Batch {
    /// One more start.
    Opened,
    /// Orders or a snapshot, and the orders in it.
    Applied(Box<Plan>, Vec<OrderId>),
    /// The follower's state by itself; rules up to `dropped` go.
    Saved(Saved),
    /// What is kept of one key.
    Changed(usize, Option<Object>),
}

/// One data folder.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its identity.
    pub data: DataId,
    /// What a power cut leaves.
    pub durable: Content,
    /// What a reader sees.
    pub content: Content,
    unsynced: VecDeque<Batch>,
    written: u64,
}

impl Disk {
    /// An empty folder.
    pub fn new(data: DataId) -> Disk {
        let (durable, content) = (Content::default(), Content::default());
        Disk { data, durable, content, unsynced: VecDeque::new(), written: 0 }
    }

    /// Writes a batch; gives the place up to which a sync carries it.
    pub fn write(&mut self, batch: Batch) -> u64 {
        self.content.take(&batch);
        self.unsynced.push_back(batch);
        self.written += 1;
        self.written
    }

    /// Everything written up to that place is durable.
    pub fn sync(&mut self, place: u64) {
        while self.written - (self.unsynced.len() as u64) < place {
            let Some(batch) = self.unsynced.pop_front() else { return };
            self.durable.take(&batch);
        }
    }

    /// The machine loses its power: a beginning of what was not synced survives.
    pub fn cut_power(&mut self, chance: &mut Chance, sights: &mut Sights) {
        let survive = chance.below(self.unsynced.len() as u64 + 1) as usize;
        if survive < self.unsynced.len() {
            sights.saw(Sight::LostBatches);
            // The first one lost may have reached the disk in part; its checksum tells, and it does not count.
            if chance.percent(50) {
                sights.saw(Sight::TornBatch);
            }
            if self.unsynced.range(survive..).any(|batch| matches!(batch, Batch::Applied(..))) {
                sights.saw(Sight::LostApply);
            }
        }
        for batch in self.unsynced.drain(..survive) {
            self.durable.take(&batch);
        }
        self.forget_unsynced();
    }

    /// The folder is put back to an earlier content of it.
    pub fn roll_back(&mut self, content: Content) {
        self.durable = content;
        self.forget_unsynced();
    }

    fn forget_unsynced(&mut self) {
        self.unsynced.clear();
        self.content = self.durable.clone();
    }
}

impl Content {
    fn take(&mut self, batch: &Batch) {
        match batch {
            Batch::Opened => self.boot_number += 1,
            Batch::Applied(plan, names) => {
                self.names.extend(names);
                if plan.starts_over {
                    self.rules.clear();
                    self.domains.clear();
                }
                self.rules.extend(plan.rules.iter().cloned());
                for (name, settings) in &plan.domains {
                    match settings {
                        Some(settings) => self.domains.insert(name.clone(), settings.clone()),
                        None => self.domains.remove(name),
                    };
                }
                self.saved = plan.saved;
            }
            Batch::Saved(saved) => {
                self.rules.retain(|seq, _| *seq > saved.dropped);
                self.saved = *saved;
            }
            Batch::Changed(key, Some(object)) => {
                self.objects.insert(*key, object.clone());
            }
            Batch::Changed(key, None) => {
                self.objects.remove(key);
            }
        }
    }
}
