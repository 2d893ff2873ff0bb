//! Counting: what a purge order matched at a POP, as of the moment at which it was applied there.
//!
//! Nothing waits for a count. A walk over what was held shows the [`Counter`] each object once; the counter holds the
//! copies against the rules of all orders that were applied together.

use crate::ids::{Epoch, PopId, Seq};
use crate::key::Key;
use crate::pattern::Pattern;
use crate::protocol::copy::Provenance;
use crate::rule::{Matcher, Mode, Rule};
use crate::tag::Tags;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// What an order matched at one POP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// Objects of which some copy matched.
    pub objects: u64,
    /// Copies that matched: variants of those objects.
    pub copies: u64,
    /// Bytes of these copies' bodies, as far as they were there.
    pub bytes: u64,
    /// Objects of which some copy may never be used again; the others wait for the origin's word.
    pub evicted_objects: u64,
    /// Body bytes of copies that may never be used again.
    pub evicted_bytes: u64,
    /// False where the numbers are told as «at least».
    pub exact: bool,
}

impl Count {
    /// Adds what was counted elsewhere, or of another order; exact only if both are.
    pub fn add(&mut self, other: &Count) {
        self.objects += other.objects;
        self.copies += other.copies;
        self.bytes += other.bytes;
        self.evicted_objects += other.evicted_objects;
        self.evicted_bytes += other.evicted_bytes;
        self.exact &= other.exact;
    }

    fn copy(&mut self, bytes: u64, evicted: bool) {
        self.copies += 1;
        self.bytes += bytes;
        self.evicted_bytes += if evicted { bytes } else { 0 };
    }
}

/// A copy that was held when the orders were applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCopy {
    /// Where it came from.
    pub provenance: Provenance,
    /// Its tags.
    pub tags: Tags,
    /// Bytes of its body that were there.
    pub bytes: u64,
}

/// An order's place among those that are counted, with the mode of one of its rules.
type Hit = (usize, Mode);

/// Which modes of each order's rules match.
#[derive(Clone, Default)]
struct Hits(Vec<(usize, Modes)>);

#[derive(Clone, Copy, Default)]
struct Modes {
    expire: bool,
    evict: bool,
}

impl Hits {
    fn add(&mut self, (at, mode): Hit) {
        let place = self.0.iter().position(|(order, _)| *order == at).unwrap_or_else(|| {
            self.0.push((at, Modes::default()));
            self.0.len() - 1
        });
        match mode {
            Mode::Expire => self.0[place].1.expire = true,
            Mode::Evict => self.0[place].1.evict = true,
        }
    }

    fn add_all(&mut self, hits: Option<&Vec<Hit>>) {
        hits.into_iter().flatten().for_each(|hit| self.add(*hit));
    }
}

/// Counts for orders that were applied together.
pub struct Counter {
    epoch: Epoch,
    orders: Vec<(Seq, Count)>,
    /// Rules for one object each.
    urls: HashMap<Key, Vec<Hit>>,
    /// Rules for all queries of a path, by the text of its key.
    queries: HashMap<String, Vec<Hit>>,
    /// Rules for all that lies in a range, by the beginning that its keys have in common.
    ranges: HashMap<String, Vec<Hit>>,
    /// By cache space.
    patterns: HashMap<String, Vec<(Hit, Pattern)>>,
    /// By cache space and tag.
    tags: HashMap<String, HashMap<String, Vec<Hit>>>,
    /// What of the keys has to be walked, as beginnings of their text.
    walks: BTreeSet<String>,
}

impl Counter {
    /// A counter for these orders' rules at a POP that is in `epoch`.
    pub fn new<'a>(epoch: Epoch, orders: impl IntoIterator<Item = (Seq, &'a [Rule])>) -> Counter {
        let mut counter = Counter {
            epoch,
            orders: Vec::new(),
            urls: HashMap::new(),
            queries: HashMap::new(),
            ranges: HashMap::new(),
            patterns: HashMap::new(),
            tags: HashMap::new(),
            walks: BTreeSet::new(),
        };
        for (seq, rules) in orders {
            let at = counter.orders.len();
            counter.orders.push((seq, Count { exact: true, ..Count::default() }));
            rules.iter().for_each(|rule| counter.take(&rule.matcher, (at, rule.mode)));
        }
        counter
    }

    fn take(&mut self, matcher: &Matcher, hit: Hit) {
        let walk = matcher.prefix();
        match matcher {
            Matcher::Url { key } => return self.urls.entry(key.clone()).or_default().push(hit),
            Matcher::Directory { .. } | Matcher::Space { .. } | Matcher::Everything => {
                self.ranges.entry(walk.clone()).or_default().push(hit);
            }
            Matcher::Query { .. } => self.queries.entry(walk.clone()).or_default().push(hit),
            Matcher::Regex { space, pattern } => {
                self.patterns.entry(space.clone()).or_default().push((hit, pattern.clone()));
            }
            Matcher::Tag { space, tag } => {
                self.tags.entry(space.clone()).or_default().entry(tag.clone()).or_default().push(hit);
            }
        }
        self.walks.insert(walk);
    }

    /// The ranges of keys to be walked, as beginnings of their text: none lies in another.
    pub fn ranges(&self) -> Vec<String> {
        let mut ranges: Vec<String> = self.walks.iter().cloned().collect();
        ranges.dedup_by(|range, before| range.starts_with(before.as_str()));
        ranges
    }

    /// The objects to be looked at that lie in none of `ranges`, in order.
    pub fn objects_beside(&self, ranges: &[String]) -> Vec<Key> {
        let walked = |key: &Key| {
            let before = ranges.partition_point(|range| range.as_str() <= key.as_str());
            before.checked_sub(1).is_some_and(|at| key.as_str().starts_with(ranges[at].as_str()))
        };
        let mut keys: Vec<Key> = self.urls.keys().filter(|key| !walked(key)).cloned().collect();
        keys.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        keys
    }

    /// Takes in an object; to be called once for each. Its copies are asked for only where some rule may match them, and
    /// an error there is the caller's own.
    pub fn see<E>(&mut self, key: &Key, copies: impl FnOnce() -> Result<Vec<HeldCopy>, E>) -> Result<(), E> {
        let by_key = self.hits_of(key);
        let tags = self.tags.get(key.space());
        if by_key.0.is_empty() && tags.is_none() {
            return Ok(());
        }
        // Which orders matched some copy, and whether they evict one.
        let mut matched: Vec<(usize, bool)> = Vec::new();
        for copy in copies()?.iter().filter(|copy| copy.provenance.epoch == self.epoch) {
            let mut hits = by_key.clone();
            if let Some(tags) = tags {
                add_tagged(&mut hits, tags, &copy.tags);
            }
            for (at, modes) in hits.0 {
                let (seq, count) = &mut self.orders[at];
                let evicts = modes.evict && copy.provenance.filled < *seq;
                let expires = modes.expire && copy.provenance.confirmed < *seq;
                if !(evicts || expires) {
                    continue;
                }
                count.copy(copy.bytes, evicts);
                match matched.iter_mut().find(|(order, _)| *order == at) {
                    Some((_, evicted)) => *evicted |= evicts,
                    None => matched.push((at, evicts)),
                }
            }
        }
        for (at, evicted) in matched {
            let count = &mut self.orders[at].1;
            count.objects += 1;
            count.evicted_objects += u64::from(evicted);
        }
        Ok(())
    }

    /// What matches whatever copy of the object.
    fn hits_of(&self, key: &Key) -> Hits {
        let mut hits = Hits::default();
        hits.add_all(self.urls.get(key));
        if !self.queries.is_empty() {
            hits.add_all(self.queries.get(key.as_str_without_query()));
        }
        ranges_around(key).for_each(|range| hits.add_all(self.ranges.get(range)));
        for (hit, pattern) in self.patterns.get(key.space()).into_iter().flatten() {
            // One that does not compile is no rule of its own: the index has widened it.
            if pattern.matches(key.path_and_query()) {
                hits.add(*hit);
            }
        }
        hits
    }

    /// Each order's count.
    pub fn finish(self) -> Vec<(Seq, Count)> {
        self.orders
    }
}

fn add_tagged(hits: &mut Hits, rules: &HashMap<String, Vec<Hit>>, tags: &Tags) {
    match tags.any() {
        true => rules.values().for_each(|rules| hits.add_all(Some(rules))),
        false => tags.names().for_each(|tag| hits.add_all(rules.get(tag))),
    }
}

/// The ranges that an object lies in: everything, its space, and each directory from the root down.
fn ranges_around(key: &Key) -> impl Iterator<Item = &str> {
    let text = key.as_str();
    let begin = key.space().len() + 1;
    let directories = key.path().match_indices('/').map(move |(at, _)| &text[..=begin + at]);
    ["", &text[..begin]].into_iter().chain(directories)
}

/// What is known of one POP's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "counted", rename_all = "snake_case")]
pub enum Counted {
    /// It is counting, or has not begun.
    Counting,
    /// It has counted.
    Done {
        /// What matched.
        #[serde(flatten)]
        count: Count,
        /// Objects whose bytes the sweep has given back: those evicted, once it has been there.
        reclaimed_objects: u64,
        /// Their bytes.
        reclaimed_bytes: u64,
    },
    /// It started over since: everything that it held is void.
    Everything,
    /// It is fenced or removed, or the task is from before there were counts: nothing is known.
    Unknown,
}

impl Counted {
    /// A count, with what was given back where the sweep `has_swept`.
    pub fn done(count: Count, has_swept: bool) -> Counted {
        let (reclaimed_objects, reclaimed_bytes) =
            if has_swept { (count.evicted_objects, count.evicted_bytes) } else { (0, 0) };
        Counted::Done { count, reclaimed_objects, reclaimed_bytes }
    }
}

/// One POP's count of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PopCount {
    /// The POP.
    pub pop: PopId,
    /// What is known.
    #[serde(flatten)]
    pub counted: Counted,
}

/// The counts of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Whether no POP is still counting.
    pub settled: bool,
    /// The sum over the POPs that have counted; exact only where each POP in scope has, exactly.
    pub total: Count,
    /// True where every POP in scope has counted, and none had anything that matched: surely a slip.
    pub nothing_matched: bool,
    /// Each POP in scope.
    pub pops: Vec<PopCount>,
}

impl Counts {
    /// Adds up what the POPs say.
    pub fn of(pops: Vec<PopCount>) -> Counts {
        let settled = pops.iter().all(|pop| pop.counted != Counted::Counting);
        let mut total = Count { exact: true, ..Count::default() };
        for pop in &pops {
            match &pop.counted {
                Counted::Done { count, .. } => total.add(count),
                _ => total.exact = false,
            }
        }
        Counts {
            settled,
            nothing_matched: !pops.is_empty() && total.exact && total.objects == 0,
            total,
            pops,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    fn key(path: &str) -> Key {
        Key::from_parts("s", path, None)
    }

    fn copy(filled: u64, confirmed: u64, bytes: u64) -> HeldCopy {
        let provenance = Provenance {
            epoch: Epoch(1),
            filled: Seq(filled),
            confirmed: Seq(confirmed),
            expired: false,
            delivered_at: None,
            confirmed_at: None,
            asked_at: None,
        };
        HeldCopy { provenance, tags: Tags::default(), bytes }
    }

    fn see(counter: &mut Counter, key: &Key, copies: Vec<HeldCopy>) {
        let Ok(()) = counter.see(key, || Ok::<_, Infallible>(copies));
    }

    fn url(path: &str) -> Rule {
        Rule::new(Matcher::Url { key: key(path) }, Mode::Evict)
    }

    fn directory(path: &str, mode: Mode) -> Rule {
        Rule::new(Matcher::Directory { key: key(path) }, mode)
    }

    fn counter(orders: &[(u64, Vec<Rule>)]) -> Counter {
        Counter::new(Epoch(1), orders.iter().map(|(seq, rules)| (Seq(*seq), rules.as_slice())))
    }

    #[test]
    fn an_order_counts_an_object_once_and_each_of_its_copies() {
        let mut counter = counter(&[(5, vec![url("/d/a"), url("/d/a"), directory("/d/", Mode::Expire)])]);
        see(&mut counter, &key("/d/a"), vec![copy(1, 4, 10), copy(4, 4, 20), copy(5, 5, 40)]);
        see(&mut counter, &key("/d/b"), vec![copy(1, 5, 80)]);
        see(&mut counter, &key("/d/c"), vec![copy(1, 4, 160)]);
        let Ok(()) = counter.see(&key("/e"), || -> Result<_, Infallible> { panic!("nobody asks for it") });
        let due =
            Count { objects: 2, copies: 3, bytes: 190, evicted_objects: 1, evicted_bytes: 30, exact: true };
        assert_eq!(counter.finish(), [(Seq(5), due)]);
    }

    #[test]
    fn an_evict_counts_by_the_bytes_and_an_expire_by_the_last_confirmation() {
        let orders = [(5, vec![directory("/", Mode::Evict)]), (6, vec![directory("/", Mode::Expire)])];
        let mut counter = counter(&orders);
        see(&mut counter, &key("/a"), vec![copy(4, 6, 1)]);
        let counts: Vec<u64> = counter.finish().iter().map(|(_, count)| count.objects).collect();
        assert_eq!(counts, [1, 0], "a 304 lifts a copy over an expire, and never over an evict");
    }

    #[test]
    fn queries_patterns_and_tags_count_what_they_match_and_nothing_beside() {
        let space = || "s".to_owned();
        let expire = |matcher| vec![Rule::new(matcher, Mode::Expire)];
        let orders = [
            (5, expire(Matcher::Query { key: key("/a") })),
            (6, expire(Matcher::Regex { space: space(), pattern: Pattern::new("/.*[.]jpg") })),
            (7, expire(Matcher::Tag { space: space(), tag: "t".into() })),
            (8, expire(Matcher::Space { space: "other".into() })),
        ];
        let mut counter = counter(&orders);
        assert_eq!(counter.ranges(), ["other\0", "s\0"]);
        let tagged = |tags| vec![HeldCopy { tags, ..copy(1, 1, 1) }, copy(1, 1, 10)];
        see(&mut counter, &Key::from_parts("s", "/a", Some("q")), tagged(Tags::default()));
        see(&mut counter, &key("/ab"), tagged(Tags::of(["t", "u"])));
        see(&mut counter, &key("/c.jpg"), tagged(Tags::unknown()));
        let counts: Vec<_> =
            counter.finish().iter().map(|(_, count)| (count.objects, count.copies, count.bytes)).collect();
        assert_eq!(counts, [(1, 2, 11), (1, 2, 11), (2, 2, 2), (0, 0, 0)]);
    }

    #[test]
    fn a_copy_of_an_older_epoch_was_gone_already() {
        let mut counter = Counter::new(Epoch(2), [(Seq(5), [url("/a")].as_slice())]);
        see(&mut counter, &key("/a"), vec![copy(1, 1, 10)]);
        assert_eq!(counter.finish()[0].1.objects, 0);
    }

    #[test]
    fn nothing_matched_is_said_only_when_every_pop_has_counted() {
        let none = Counted::done(Count { exact: true, ..Count::default() }, true);
        let counts = |second| {
            let pop = |id: &str, counted| PopCount { pop: id.parse().unwrap(), counted };
            Counts::of(vec![pop("a", none), pop("b", second)])
        };
        assert!(counts(none).nothing_matched && counts(none).settled);
        for (second, settled) in
            [(Counted::Counting, false), (Counted::Unknown, true), (Counted::Everything, true)]
        {
            let counts = counts(second);
            assert!(!counts.nothing_matched);
            assert_eq!((counts.settled, counts.total.exact), (settled, false));
        }
    }

    proptest! {
        /// Ranges and single objects together name what a look at every object would find, and each object once.
        #[test]
        fn a_walk_of_the_ranges_finds_what_a_look_at_everything_finds(
            rules in prop::collection::vec((any::<bool>(), any::<bool>(), "(/[ab]{0,1}){0,2}/"), 1..8),
            held in prop::collection::btree_map("(/[ab]{0,1}){1,3}", (0u64..9, 0u64..9), 0..12),
        ) {
            let rules: Vec<Rule> = rules.iter().map(|(wide, evict, path)| {
                let mode = if *evict { Mode::Evict } else { Mode::Expire };
                let key = key(path);
                Rule::new(if *wide { Matcher::Directory { key } } else { Matcher::Url { key } }, mode)
            }).collect();
            let orders: Vec<(u64, Vec<Rule>)> =
                rules.chunks(2).zip(3..).map(|(rules, seq)| (seq, rules.to_vec())).collect();
            let copies = |path: &str| held.get(path).map(|(filled, more)| vec![copy(*filled, filled + more, 7)]);
            let mut all = counter(&orders);
            held.keys().for_each(|path| see(&mut all, &key(path), copies(path).unwrap()));

            let mut walked = counter(&orders);
            let ranges = walked.ranges();
            let mut seen: Vec<Key> = Vec::new();
            for range in &ranges {
                seen.extend(held.keys().map(|path| key(path)).filter(|key| key.as_str().starts_with(range.as_str())));
            }
            seen.extend(walked.objects_beside(&ranges));
            for key in &seen {
                see(&mut walked, key, copies(key.path()).unwrap_or_default());
            }
            let mut once = seen.clone();
            once.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            once.dedup();
            prop_assert_eq!(once.len(), seen.len());
            prop_assert_eq!(walked.finish(), all.finish());
        }
    }
}
