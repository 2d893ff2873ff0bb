//! A dry run's part at this POP: the walk that a sweep would take, looking only.

use crate::Pop;
use crate::clock;
use crate::policy::conditional;
use crate::store::journal::JournalError;
use crate::store::record::{ObjectRecord, VariantRecord};
use freshen_fleet::wire::Answered;
use freshen_model::ids::{Epoch, Seq};
use freshen_model::key::{Key, space_prefix};
use freshen_model::preview::{Cost, HOTTEST_MAX, Hot, Preview, PreviewQuestion};
use freshen_model::protocol::index::PurgeIndex;
use freshen_model::protocol::marks::{Fate, Marks};
use freshen_model::rule::{Matcher, Rule};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one look may take; what it has not come to then is not counted.
const LOOK_MAX: Duration = Duration::from_secs(8);
/// Objects between two looks at the clock.
const CLOCK_EVERY: u64 = 256;

impl Pop {
    /// What these rules would match here; changes nothing. One at a time, beside the traffic.
    pub async fn preview(self: &Arc<Pop>, question: PreviewQuestion) -> Result<Answered, String> {
        let Ok(turn) = self.previewing.clone().try_acquire_owned() else {
            return Err("another dry run is under way there, try again in a few seconds".into());
        };
        let pop = self.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            pop.look(&question.rules)
        });
        looking.await.map_err(|_| "stopping".to_owned())?.map_err(|error| error.to_string())
    }

    fn look(&self, rules: &[Rule]) -> Result<Answered, JournalError> {
        let (watermark, epoch) = {
            let follower = self.follower.read();
            (follower.saved().watermark, follower.saved().epoch)
        };
        let mut index = PurgeIndex::new(rules.len());
        for rule in rules {
            // Any place will do, above that of no copy: what is there is matched.
            index.insert(rule, Seq(u64::MAX));
        }
        let mut look = Look {
            pop: self,
            rules: index,
            epoch,
            wall: clock::now().wall,
            until: Instant::now() + LOOK_MAX,
            found: Preview { whole: true, bytes_held: self.store.content_bytes(), ..Preview::default() },
        };
        for place in places(rules) {
            let ended = match place {
                Place::Under(prefix) => self.journal.walk(&prefix, |key, object| look.see(&key, &object))?,
                Place::At(key) => match self.journal.object(&key)? {
                    Some(object) => look.see(&key, &object),
                    None => ControlFlow::Continue(()),
                },
            };
            if ended.is_break() {
                look.found.whole = false;
                break;
            }
        }
        look.found.keep_hottest();
        Ok(Answered::Preview { watermark, found: look.found })
    }
}

/// Where there may be something that a rule matches.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// This key.
    At(Key),
    /// Every key that begins so.
    Under(String),
}

/// The places of all rules, none of them twice.
pub fn places(rules: &[Rule]) -> Vec<Place> {
    let mut prefixes = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for rule in rules {
        match &rule.matcher {
            Matcher::Url { key } => drop(keys.insert(key)),
            Matcher::Directory { key } => drop(prefixes.insert(key.as_str().to_owned())),
            Matcher::Query { key } => {
                keys.insert(key);
                prefixes.insert(format!("{}?", key.as_str()));
            }
            Matcher::Space { space } | Matcher::Regex { space, .. } | Matcher::Tag { space, .. } => {
                prefixes.insert(space_prefix(space));
            }
            Matcher::Everything => drop(prefixes.insert(String::new())),
        }
    }
    let mut places: Vec<String> = Vec::new();
    // In order, so that what lies in another comes right behind it.
    for prefix in prefixes {
        if !places.last().is_some_and(|last| prefix.starts_with(last.as_str())) {
            places.push(prefix);
        }
    }
    let alone = |key: &&Key| {
        let behind = places.partition_point(|prefix| prefix.as_str() <= key.as_str());
        !places[..behind].last().is_some_and(|prefix| key.as_str().starts_with(prefix.as_str()))
    };
    let keys: Vec<Place> = keys.into_iter().filter(alone).cloned().map(Place::At).collect();
    keys.into_iter().chain(places.into_iter().map(Place::Under)).collect()
}

/// A look under way.
struct Look<'a> {
    pop: &'a Pop,
    rules: PurgeIndex,
    epoch: Epoch,
    wall: Duration,
    until: Instant,
    found: Preview,
}

impl Look<'_> {
    fn see(&mut self, key: &Key, object: &ObjectRecord) -> ControlFlow<()> {
        self.found.looked_at += 1;
        if self.found.looked_at.is_multiple_of(CLOCK_EVERY) && Instant::now() >= self.until {
            return ControlFlow::Break(());
        }
        let (uses, again) = self.pop.store.uses(key);
        let mut hot = Hot { url: key.to_string(), uses, bytes: 0 };
        let mut copies = 0;
        for variant in &object.variants {
            let (copy, tags) = (&variant.provenance, &variant.head.tags);
            let would = self.rules.marks(key, tags, Seq::ZERO);
            if would == Marks::default() {
                continue;
            }
            let is = self.pop.follower.read().marks(key, tags, Seq::ZERO);
            if is.fate(copy, self.epoch) == Fate::Deleted {
                continue;
            }
            copies += 1;
            hot.bytes += self.pop.store.stored_bytes(&variant.body);
            let purged = copy.expired || is.expire > copy.confirmed;
            self.expires(variant, purged);
            let cost = cost(variant, would.evict > Seq::ZERO);
            self.found.cost.add(&cost);
            if again {
                self.found.cost_soon.add(&cost);
            }
        }
        if copies > 0 {
            self.found.objects += 1;
            self.found.copies += copies;
            self.found.bytes += hot.bytes;
            self.found.hottest.push(hot);
            if self.found.hottest.len() == 16 * HOTTEST_MAX {
                self.found.keep_hottest();
            }
        }
        ControlFlow::Continue(())
    }

    /// Counts in when a copy is stale without a purge.
    fn expires(&mut self, variant: &VariantRecord, purged: bool) {
        let ttl_s = u64::try_from(variant.head.ttl_s(self.wall)).unwrap_or(0);
        if ttl_s == 0 || purged {
            self.found.stale += 1;
            return;
        }
        self.found.first_expires_s = Some(self.found.first_expires_s.map_or(ttl_s, |first| first.min(ttl_s)));
        self.found.last_expires_s = self.found.last_expires_s.max(Some(ttl_s));
    }
}

/// What it costs the origin when this copy is asked for again.
fn cost(variant: &VariantRecord, evict: bool) -> Cost {
    let size = variant.body.size;
    if !evict && conditional::validators(&variant.head.headers).is_some() {
        return Cost { requests: 1, conditional: 1, bytes: 0, bytes_if_changed: size };
    }
    Cost { requests: 1, conditional: 0, bytes: size, bytes_if_changed: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::rule::Mode;

    #[test]
    fn no_place_is_walked_twice() {
        let key = |path: &str| Key::from_parts("s", path, None);
        let rule = |matcher| Rule::new(matcher, Mode::Expire);
        let rules = [
            rule(Matcher::Directory { key: key("/d/e/") }),
            rule(Matcher::Url { key: key("/d/x") }),
            rule(Matcher::Directory { key: key("/d/") }),
            rule(Matcher::Url { key: key("/dx") }),
            rule(Matcher::Url { key: key("/dx") }),
            rule(Matcher::Directory { key: key("/dd/") }),
            rule(Matcher::Query { key: key("/q") }),
        ];
        assert_eq!(
            places(&rules),
            [
                Place::At(key("/dx")),
                Place::At(key("/q")),
                Place::Under("s\0/d/".into()),
                Place::Under("s\0/dd/".into()),
                Place::Under("s\0/q?".into())
            ]
        );
        let space = [rule(Matcher::Space { space: "s".into() }), rules[0].clone(), rules[1].clone()];
        assert_eq!(places(&space), [Place::Under("s\0".into())]);
    }
}
