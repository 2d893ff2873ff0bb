//! Refilling: a POP chooses what to fetch again, the hottest of what a purge matched here.
//!
//! What is hot is known in memory only, so it is chosen once, when the order begins, and kept with it. Until then the sweep
//! leaves what the purge matched where it is.

use super::{Going, Prefetcher};
use crate::Pop;
use crate::preview::{Place, places};
use crate::store::journal::{JournalError, PrefetchJob};
use crate::store::record::ObjectRecord;
use freshen_model::ids::Seq;
use freshen_model::key::Key;
use freshen_model::order::{PrefetchItem, PrefetchOrder};
use freshen_model::protocol::index::PurgeIndex;
use freshen_model::protocol::marks::Marks;
use freshen_model::refill::{Bound, OBJECTS_MAX, Refill};
use freshen_model::rule::Rule;
use freshen_model::tag::Tags;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one look may take; the hottest of what it has come to then are chosen.
const LOOK_MAX: Duration = Duration::from_secs(30);
/// Objects between two looks at the clock.
const CLOCK_EVERY: u64 = 256;

/// An object that was used.
#[derive(Debug, PartialEq, Eq)]
struct Hot {
    uses: u64,
    bytes: u64,
    key: Key,
}

impl Prefetcher {
    /// The first purge of which it is yet to be chosen what is fetched again.
    pub fn first_unchosen(&self) -> Option<Seq> {
        let jobs = self.jobs.lock();
        let unchosen = jobs.iter().find(|(_, job)| job.state.lock().choosing);
        // The purge is the order before.
        unchosen.map(|(seq, _)| seq.previous())
    }
}

impl Pop {
    /// The order with what this POP chose to refill, durably; any other order as it is.
    pub(super) async fn chosen(self: &Arc<Pop>, seq: Seq, order: PrefetchOrder) -> PrefetchOrder {
        let Some(refill) = order.refill.clone().filter(|_| order.items.is_empty()) else { return order };
        let pop = self.clone();
        let looked = tokio::task::spawn_blocking(move || pop.hottest(&refill)).await;
        let items = match looked {
            Ok(Ok(items)) => items,
            failed => {
                tracing::warn!(%seq, ?failed, "what was hot could not be looked up, and is not fetched again");
                Vec::new()
            }
        };
        let going = self.prefetcher.going(seq);
        let chosen = PrefetchOrder { items, paused: going == Going::Paused, ..order };
        // What was cancelled meanwhile is not kept again.
        if going == Going::Over {
            return chosen;
        }
        let kept = PrefetchJob { order: chosen.clone(), outcome: None, cost: Default::default() };
        let journal = self.journal.clone();
        let written = tokio::task::spawn_blocking(move || journal.keep_prefetch(seq, &kept)).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!(%seq, "what is fetched again could not be kept; a restart forgets it");
        }
        chosen
    }

    fn hottest(&self, refill: &Refill) -> Result<Vec<PrefetchItem>, JournalError> {
        let matched = matcher(&refill.rules);
        let (until, mut looked_at) = (Instant::now() + LOOK_MAX, 0_u64);
        let mut hottest = Hottest::new(refill.bound);
        let mut see = |key: Key, object: &ObjectRecord| {
            looked_at += 1;
            let (uses, used) = self.store.uses(&key);
            let is_matched = |tags: &Tags| matched.marks(&key, tags, Seq::ZERO) != Marks::default();
            if (used || uses > 0) && object.variants.iter().any(|copy| is_matched(&copy.head.tags)) {
                let bytes = object.variants.iter().map(|copy| copy.body.size).sum();
                hottest.push(Hot { uses, bytes, key });
            }
            match looked_at.is_multiple_of(CLOCK_EVERY) && Instant::now() >= until {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        for place in places(&refill.rules) {
            let ended = match place {
                Place::Under(prefix) => self.journal.walk(&prefix, |key, object| see(key, &object))?,
                Place::At(key) => match self.journal.object(&key)? {
                    Some(object) => see(key, &object),
                    None => ControlFlow::Continue(()),
                },
            };
            if ended.is_break() {
                break;
            }
        }
        Ok(hottest.chosen().into_iter().map(|hot| item_of(&hot.key)).collect())
    }
}

/// The hottest so far.
struct Hottest {
    bound: Bound,
    objects_max: usize,
    found: Vec<Hot>,
}

impl Hottest {
    fn new(bound: Bound) -> Hottest {
        let objects_max = bound.objects.unwrap_or(OBJECTS_MAX).min(OBJECTS_MAX) as usize;
        Hottest { bound, objects_max, found: Vec::new() }
    }

    fn push(&mut self, hot: Hot) {
        // One that is too large by itself takes no other's place.
        if self.bound.bytes.is_some_and(|bytes| hot.bytes > bytes) {
            return;
        }
        self.found.push(hot);
        if self.found.len() >= 4 * self.objects_max {
            self.keep_hottest();
        }
    }

    /// Among those used alike the smaller first.
    fn keep_hottest(&mut self) {
        self.found.sort_unstable_by(|one, other| {
            (other.uses, one.bytes, one.key.as_str()).cmp(&(one.uses, other.bytes, other.key.as_str()))
        });
        self.found.truncate(self.objects_max);
    }

    fn chosen(mut self) -> Vec<Hot> {
        self.keep_hottest();
        let mut left = self.bound.bytes.unwrap_or(u64::MAX);
        self.found.retain(|hot| match left.checked_sub(hot.bytes) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
        self.found
    }
}

/// Says by which line a key is matched: rule by rule from 1.
fn matcher(rules: &[Rule]) -> PurgeIndex {
    let mut index = PurgeIndex::new(rules.len());
    for (rule, line) in rules.iter().zip(1..) {
        index.insert(rule, Seq(line));
    }
    index
}

/// The lines of the purge that the items of an order belong to; those of other orders are lines themselves.
pub(super) fn lines_of(order: &PrefetchOrder) -> Vec<u32> {
    let Some(refill) = &order.refill else { return (1..).take(order.items.len()).collect() };
    let matched = matcher(&refill.rules);
    let line = |item: &PrefetchItem| {
        let (path, query) = match item.path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (item.path_and_query.as_str(), None),
        };
        let key = Key::from_parts(&item.domain, path, query);
        let newest = matched.marks(&key, &Tags::unknown(), Seq::ZERO).newest();
        u32::try_from(newest.0).unwrap_or(1).max(1)
    };
    order.items.iter().map(line).collect()
}

/// A cache space has the name of the domain that it belongs to, and a key's path and query make the same key again.
fn item_of(key: &Key) -> PrefetchItem {
    PrefetchItem { domain: key.space().to_owned(), path_and_query: key.path_and_query().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefetcher::Spent;
    use crate::stage::{LOG, member};
    use freshen_model::ids::{OrderId, TaskId};
    use freshen_model::order::{Body, Order};
    use freshen_model::rule::{Matcher, Mode};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(path: &str) -> Key {
        Key::from_parts("a.example", path, None)
    }

    proptest! {
        #[test]
        fn the_hottest_are_chosen_and_no_more_than_fits(
            all in proptest::collection::vec((1..50_u64, 0..1_000_u64), 0..200),
            objects in proptest::option::of(1..50_u32),
            bytes in proptest::option::of(1..5_000_u64),
        ) {
            let mut hottest = Hottest::new(Bound { objects, bytes });
            for (number, (uses, bytes)) in all.iter().enumerate() {
                hottest.push(Hot { uses: *uses, bytes: *bytes, key: key(&format!("/{number}")) });
            }
            let chosen = hottest.chosen();
            let most = objects.unwrap_or(OBJECTS_MAX) as usize;
            prop_assert!(chosen.len() <= most);
            prop_assert!(chosen.iter().map(|hot| hot.bytes).sum::<u64>() <= bytes.unwrap_or(u64::MAX));
            prop_assert!(chosen.is_sorted_by_key(|hot| std::cmp::Reverse(hot.uses)));
            if bytes.is_none() {
                let coldest = chosen.last().map_or(0, |hot| hot.uses);
                let hotter = all.iter().filter(|(uses, _)| *uses > coldest).count();
                prop_assert!(hotter <= chosen.len() && chosen.len() == all.len().min(most));
            }
        }
    }

    /// However soon it comes: what the purge matched is still there to be chosen from.
    #[tokio::test]
    async fn p5_the_sweep_leaves_what_is_yet_to_be_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let pop = member(folder.path(), BTreeMap::new());
        let rules = vec![Rule::new(Matcher::Directory { key: key("/d/") }, Mode::Expire)];
        let bound = Bound { objects: Some(1), bytes: None };
        let prefetch = Body::Prefetch {
            task: TaskId(2),
            area: None,
            items: Vec::new(),
            follow: None,
            refill: Some(Refill { bound, rules: rules.clone() }),
            pops: None,
            headers: Default::default(),
            paused: false,
        };
        let purge = Body::Purge { task: Some(TaskId(1)), rules, cut: false };
        let order =
            |(body, number): (Body, u8)| Order { seq: Seq(number.into()), id: OrderId([number; 16]), body };
        let orders = [(purge, 2), (prefetch, 3)].map(order);
        let plan = pop.follower.read().plan(LOG, &orders).unwrap();
        for (seq, order) in &plan.prefetches {
            pop.prefetcher.enlist(*seq, order, Spent::default());
        }
        pop.follower.write().commit(&plan);

        let floor = || pop.follower.read().saved().floor;
        pop.sweep().await.unwrap();
        assert!(floor() < Seq(2), "{} is above the purge", floor());
        let job = pop.prefetcher.jobs.lock()[&Seq(3)].clone();
        job.change(|state| state.choosing = false);
        pop.sweep().await.unwrap();
        assert!(floor() >= Seq(2), "nothing is to be waited for any more");
    }

    #[test]
    fn what_is_refilled_belongs_to_the_line_that_matched_it() {
        let rule = |path: &str| Rule::new(Matcher::Directory { key: key(path) }, Mode::Expire);
        let item = |path: &str| PrefetchItem { domain: "a.example".into(), path_and_query: path.into() };
        let bound = Bound { objects: Some(1), bytes: None };
        let refill = Some(Refill { bound, rules: vec![rule("/a/"), rule("/b/")] });
        let items = vec![item("/b/x?y"), item("/a/x"), item("/else")];
        let order = PrefetchOrder {
            task: TaskId(1),
            area: None,
            items,
            follow: None,
            refill,
            pops: None,
            headers: Default::default(),
            paused: false,
        };
        assert_eq!(lines_of(&order), [2, 1, 1]);
        assert_eq!(lines_of(&PrefetchOrder { refill: None, ..order }), [1, 2, 3]);
    }
}
