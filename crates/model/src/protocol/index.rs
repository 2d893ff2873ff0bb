//! The purge index: every live rule, so that a look-up costs the length of the key whatever is cached.

use super::copy::Provenance;
use crate::ids::{Epoch, Seq};
use crate::key::Key;
use crate::rule::{Matcher, Mode, Rule};
use std::collections::HashMap;

/// The newest orders that match something, one number for each mode.
///
/// Two numbers, since an `expire` that comes after an `evict` must not hide it: a 304 would revive what the evict
/// forbade for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The newest `expire`.
    pub expire: Seq,
    /// The newest `evict`.
    pub evict: Seq,
}

impl Marks {
    /// The newest of either mode.
    pub fn newest(&self) -> Seq {
        self.expire.max(self.evict)
    }

    /// Takes in what another place of the index says.
    pub fn merge(&mut self, other: &Marks) {
        self.expire = self.expire.max(other.expire);
        self.evict = self.evict.max(other.evict);
    }

    /// What a sweep in the epoch `epoch` makes of a copy, before the rules that these marks speak of are dropped.
    pub fn fate(&self, copy: &Provenance, epoch: Epoch) -> Fate {
        if copy.epoch < epoch || self.evict > copy.filled {
            Fate::Deleted
        } else if self.expire > copy.confirmed && !copy.expired {
            Fate::Marked
        } else {
            Fate::Stays
        }
    }

    fn raise(&mut self, mode: Mode, seq: Seq) {
        let number = match mode {
            Mode::Expire => &mut self.expire,
            Mode::Evict => &mut self.evict,
        };
        *number = (*number).max(seq);
    }

    /// Forgets orders up to `seq`; true where nothing is left.
    fn drop_up_to(&mut self, seq: Seq) -> bool {
        for number in [&mut self.expire, &mut self.evict] {
            if *number <= seq {
                *number = Seq::ZERO;
            }
        }
        *self == Marks::default()
    }

    fn is_empty(&self) -> bool {
        *self == Marks::default()
    }
}

/// What becomes of a copy that a sweep comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: no rule matches it.
    Stays,
    /// It keeps the mark `expired`, which outlives the rule.
    Marked,
    /// It goes.
    Deleted,
}

/// Every live rule of a POP.
#[derive(Debug)]
pub struct PurgeIndex {
    urls: HashMap<Key, Marks>,
    directories: HashMap<Box<str>, Directory>,
    spaces: HashMap<Box<str>, Marks>,
    everything: Marks,
    places: usize,
    places_max: usize,
}

/// One directory of the trie by path segment.
#[derive(Debug, Default)]
struct Directory {
    marks: Marks,
    children: HashMap<Box<str>, Directory>,
}

impl PurgeIndex {
    /// An empty index that holds at most `places_max` URLs and directories; a rule over that evicts its cache space.
    pub fn new(places_max: usize) -> PurgeIndex {
        PurgeIndex {
            urls: HashMap::new(),
            directories: HashMap::new(),
            spaces: HashMap::new(),
            everything: Marks::default(),
            places: 0,
            places_max,
        }
    }

    /// Takes in a rule of the order `seq`. Returns false where it had to be widened to its cache space.
    pub fn insert(&mut self, rule: &Rule, seq: Seq) -> bool {
        match &rule.matcher {
            Matcher::Url { key } => {
                if !self.urls.contains_key(key) {
                    if self.places >= self.places_max {
                        self.space(key.space()).raise(Mode::Evict, seq);
                        return false;
                    }
                    self.places += 1;
                    self.urls.insert(key.clone(), Marks::default());
                }
                if let Some(marks) = self.urls.get_mut(key) {
                    marks.raise(rule.mode, seq);
                }
            }
            Matcher::Directory { key } => {
                if self.places >= self.places_max {
                    self.space(key.space()).raise(Mode::Evict, seq);
                    return false;
                }
                let mut directory = self.directories.entry(key.space().into()).or_default();
                for segment in segments(key.path()) {
                    directory = directory.children.entry(segment.into()).or_default();
                }
                self.places += usize::from(directory.marks.is_empty());
                directory.marks.raise(rule.mode, seq);
            }
            Matcher::Space { space } => self.space(space).raise(rule.mode, seq),
            Matcher::Everything => self.everything.raise(rule.mode, seq),
        }
        true
    }

    fn space(&mut self, space: &str) -> &mut Marks {
        self.spaces.entry(space.into()).or_default()
    }

    /// The newest rules that match the object.
    pub fn marks(&self, key: &Key) -> Marks {
        let mut marks = self.everything;
        if let Some(space) = self.spaces.get(key.space()) {
            marks.merge(space);
        }
        if let Some(url) = self.urls.get(key) {
            marks.merge(url);
        }
        if let Some(mut directory) = self.directories.get(key.space()) {
            marks.merge(&directory.marks);
            for segment in segments(key.path()) {
                let Some(child) = directory.children.get(segment) else { break };
                directory = child;
                marks.merge(&directory.marks);
            }
        }
        marks
    }

    /// Forgets all rules of orders up to `seq`.
    pub fn drop_up_to(&mut self, seq: Seq) {
        let mut places = 0;
        self.urls.retain(|_, marks| !marks.drop_up_to(seq));
        places += self.urls.len();
        self.directories.retain(|_, directory| directory.drop_up_to(seq, &mut places));
        self.spaces.retain(|_, marks| !marks.drop_up_to(seq));
        self.everything.drop_up_to(seq);
        self.places = places;
    }

    /// How many URLs and directories it holds.
    pub fn len(&self) -> usize {
        self.places
    }

    /// Whether no rule is live.
    pub fn is_empty(&self) -> bool {
        self.places == 0 && self.spaces.is_empty() && self.everything.is_empty()
    }
}

impl Directory {
    /// True where something is left; adds the marked directories to `places`.
    fn drop_up_to(&mut self, seq: Seq, places: &mut usize) -> bool {
        let empty = self.marks.drop_up_to(seq);
        *places += usize::from(!empty);
        self.children.retain(|_, child| child.drop_up_to(seq, places));
        !empty || !self.children.is_empty()
    }
}

/// The directories that a path lies in, from the root down: `/d/x` lies in `d`, `/d/` too, `/d` in the root alone.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.get(1..).unwrap_or_default();
    let directories = inner.rfind('/').map(|end| &inner[..end]);
    directories.into_iter().flat_map(|directories| directories.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(path: &str) -> Key {
        Key::from_parts("s", path, None)
    }

    fn directory(path: &str, mode: Mode) -> Rule {
        Rule::new(Matcher::Directory { key: key(path) }, mode)
    }

    fn url(key: Key) -> Rule {
        Rule::new(Matcher::Url { key }, Mode::Evict)
    }

    #[test]
    fn p9_a_directory_matches_what_lies_in_it_and_nothing_else() {
        let mut index = PurgeIndex::new(100);
        index.insert(&directory("/d/", Mode::Expire), Seq(1));
        for inside in ["/d/", "/d/x", "/d/e/f", "/d//", "/d/?q"] {
            assert_eq!(
                index.marks(&Key::new("s", &Default::default(), inside).unwrap()).expire,
                Seq(1),
                "{inside}"
            );
        }
        for outside in ["/d", "/d?x", "/dd/x", "/", "/e/d/x", "//d/x"] {
            let key = Key::new("s", &Default::default(), outside).unwrap();
            assert_eq!(index.marks(&key), Marks::default(), "{outside}");
        }
        assert_eq!(index.marks(&Key::from_parts("other", "/d/x", None)), Marks::default());
    }

    #[test]
    fn p9_a_url_matches_its_own_query_only() {
        let mut index = PurgeIndex::new(100);
        index.insert(&url(Key::from_parts("s", "/a", Some("x=1"))), Seq(1));
        assert_eq!(index.marks(&Key::from_parts("s", "/a", Some("x=1"))).evict, Seq(1));
        assert_eq!(index.marks(&key("/a")), Marks::default());
        assert_eq!(index.marks(&Key::from_parts("s", "/a", Some("x=2"))), Marks::default());
    }

    #[test]
    fn p1_an_expire_does_not_hide_an_older_evict() {
        let mut index = PurgeIndex::new(100);
        index.insert(&directory("/d/", Mode::Evict), Seq(1));
        index.insert(&directory("/d/", Mode::Expire), Seq(2));
        assert_eq!(index.marks(&key("/d/x")), Marks { expire: Seq(2), evict: Seq(1) });
    }

    #[test]
    fn dropping_forgets_only_what_is_old() {
        let mut index = PurgeIndex::new(100);
        index.insert(&url(key("/a")), Seq(1));
        index.insert(&directory("/d/e/", Mode::Evict), Seq(2));
        index.insert(&directory("/d/", Mode::Expire), Seq(3));
        assert_eq!(index.len(), 3);
        index.drop_up_to(Seq(2));
        assert_eq!(index.len(), 1);
        assert_eq!(index.marks(&key("/a")), Marks::default());
        assert_eq!(index.marks(&key("/d/e/x")), Marks { expire: Seq(3), evict: Seq(0) });
        index.drop_up_to(Seq(3));
        assert!(index.is_empty());
    }

    #[test]
    fn p1_a_full_index_evicts_the_space_instead() {
        let mut index = PurgeIndex::new(1);
        assert!(index.insert(&url(key("/a")), Seq(1)));
        assert!(!index.insert(&url(key("/b")), Seq(2)));
        assert!(!index.insert(&directory("/c/", Mode::Expire), Seq(3)));
        assert!(index.insert(&url(key("/a")), Seq(4)));
        assert_eq!(index.marks(&key("/b")).evict, Seq(3));
    }

    proptest! {
        /// The trie says what a comparison of prefixes says.
        #[test]
        fn a_directory_is_a_prefix(rules in prop::collection::vec("(/[ab]{0,2}){0,3}/", 1..8), path in "(/[ab]{0,2}){1,4}") {
            let mut index = PurgeIndex::new(100);
            let mut newest = Seq::ZERO;
            for (at, rule) in rules.iter().enumerate() {
                let seq = Seq(at as u64 + 1);
                index.insert(&directory(rule, Mode::Expire), seq);
                if path.starts_with(rule.as_str()) {
                    newest = seq;
                }
            }
            prop_assert_eq!(index.marks(&key(&path)).expire, newest);
        }
    }
}
