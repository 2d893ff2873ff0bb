//! The purge index: every live rule, so that a look-up costs the length of the key whatever is cached.

use super::marks::Marks;
use super::places::{Kind, Places, TABLES};
use crate::ids::Seq;
use crate::key::Key;
use crate::pattern::{Pattern, Patterns};
use crate::rule::{Matcher, Mode, Rule};
use crate::tag::Tags;
use foldhash::fast::RandomState;
use std::sync::OnceLock;

/// Patterns of one cache space; a rule over that evicts the space.
pub const PATTERNS_MAX: usize = 100;
/// Patterns of all cache spaces, for the memory that they take.
const PATTERNS_IN_ALL_MAX: usize = 1_000;
/// Patterns that are held against a text together.
const TOGETHER_MAX: usize = 25;
/// Places after which [`PurgeIndex::drop_some`] lets others at the index: a millisecond or some.
const DROPPED_TOGETHER: usize = 10_000;

/// Only those who may purge put names in, so that nobody else can choose ones that collide.
type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// Every live rule of a POP.
#[derive(Debug)]
pub struct PurgeIndex {
    spaces: HashMap<Box<str>, Space>,
    everything: Marks,
    places: usize,
    patterns: usize,
    places_max: usize,
    dropping: Dropping,
}

/// Rules that are to be forgotten still.
#[derive(Debug, Default)]
struct Dropping {
    /// Those of orders up to this one.
    seq: Seq,
    /// In these cache spaces, from this table of their places on.
    spaces: Vec<(Box<str>, usize)>,
}

/// The rules of one cache space.
#[derive(Debug, Default)]
struct Space {
    /// Of all that is in it.
    whole: Marks,
    places: Places,
    /// The newest of all tags, for copies that any tag matches.
    any_tag: Marks,
    patterns: Vec<Together>,
    /// The newest of all these.
    newest: Seq,
}

/// Some patterns of a space, and one matcher for all of them.
#[derive(Debug, Default)]
struct Together {
    patterns: Vec<(Pattern, Marks)>,
    any: OnceLock<Patterns>,
}

impl PurgeIndex {
    /// An empty index that holds at most `places_max` URLs, directories, tags and so on; a rule over that evicts its cache
    /// space.
    pub fn new(places_max: usize) -> PurgeIndex {
        PurgeIndex {
            spaces: HashMap::default(),
            everything: Marks::default(),
            places: 0,
            patterns: 0,
            places_max,
            dropping: Dropping::default(),
        }
    }

    /// Takes in a rule of the order `seq`. Returns false where it had to be widened to its cache space.
    pub fn insert(&mut self, rule: &Rule, seq: Seq) -> bool {
        let Some(name) = rule.matcher.space() else {
            self.everything.raise(rule.mode, seq);
            return true;
        };
        let full = self.places >= self.places_max;
        let space = self.spaces.entry(name.into()).or_default();
        space.newest = space.newest.max(seq);
        let place = match &rule.matcher {
            Matcher::Url { key } => space.places.place(Kind::Url, key.path_and_query(), full),
            Matcher::Query { key } => space.places.place(Kind::Query, key.path(), full),
            Matcher::Directory { key } => space.places.place(Kind::Directory, key.path(), full),
            Matcher::Tag { tag, .. } => {
                space.any_tag.raise(rule.mode, seq);
                space.places.place(Kind::Tag, tag, full)
            }
            Matcher::Regex { pattern, .. } => {
                let full = full || self.patterns >= PATTERNS_IN_ALL_MAX;
                let place = space.pattern_place(pattern, full);
                self.patterns += usize::from(place.as_ref().is_some_and(|marks| marks.is_empty()));
                place
            }
            Matcher::Space { .. } | Matcher::Everything => {
                space.whole.raise(rule.mode, seq);
                return true;
            }
        };
        match place {
            Some(marks) => {
                self.places += usize::from(marks.is_empty());
                marks.raise(rule.mode, seq);
                true
            }
            None => {
                space.whole.raise(Mode::Evict, seq);
                false
            }
        }
    }

    /// The newest rules that match an object's copy with these tags.
    ///
    /// Those up to `checked` may be passed over: the caller knows that none of them says anything new of this copy.
    pub fn marks(&self, key: &Key, tags: &Tags, checked: Seq) -> Marks {
        let mut marks = self.everything;
        let Some(space) = self.spaces.get(key.space()).filter(|space| space.newest > checked) else {
            return marks;
        };
        marks.merge(&space.whole);
        space.places.merge_key(&mut marks, key);
        if space.any_tag.newest() > checked {
            if tags.any() {
                marks.merge(&space.any_tag);
            }
            space.places.merge_tags(&mut marks, tags);
        }
        for together in &space.patterns {
            together.merge_into(&mut marks, key.path_and_query(), checked);
        }
        marks
    }

    /// Forgets all rules of orders up to `seq`.
    pub fn drop_up_to(&mut self, seq: Seq) {
        self.begin_drop(seq);
        while self.drop_some() {}
    }

    /// Begins to forget all rules of orders up to `seq`, which nobody needs any more; [`PurgeIndex::drop_some`] does it.
    pub fn begin_drop(&mut self, seq: Seq) {
        self.everything.drop_up_to(seq);
        self.dropping = Dropping { seq, spaces: self.spaces.keys().map(|name| (name.clone(), 0)).collect() };
    }

    /// Forgets a part of what is to be forgotten, so that a million rules stop nobody for long. True where there is more.
    pub fn drop_some(&mut self) -> bool {
        let seq = self.dropping.seq;
        let mut seen = 0;
        while seen < DROPPED_TOGETHER {
            let Some((name, table)) = self.dropping.spaces.pop() else { return false };
            let Some(space) = self.spaces.get_mut(&name) else { continue };
            let before = space.places.len();
            seen += 1 + space.places.drop_up_to(table, seq);
            self.places -= before - space.places.len();
            if table + 1 < TABLES {
                self.dropping.spaces.push((name, table + 1));
                continue;
            }
            let patterns = space.pattern_count();
            let empty = space.drop_rest(seq);
            let patterns = patterns - space.pattern_count();
            self.places -= patterns;
            self.patterns -= patterns;
            if empty {
                self.spaces.remove(&name);
            }
        }
        true
    }

    /// How many things its rules name: URLs, directories, tags, whole spaces and so on.
    pub fn len(&self) -> usize {
        let wholes = self.spaces.values().filter(|space| !space.whole.is_empty()).count();
        self.places + wholes + usize::from(!self.everything.is_empty())
    }

    /// Whether no rule is live.
    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty() && self.everything.is_empty()
    }
}

impl Together {
    /// Adds what is said by those that match; patterns up to `checked` are passed over.
    fn merge_into(&self, marks: &mut Marks, text: &str, checked: Seq) {
        let newer = || self.patterns.iter().filter(|(_, said)| said.newest() > checked);
        let any = || self.any.get_or_init(|| Patterns::new(self.patterns.iter().map(|(pattern, _)| pattern)));
        if newer().next().is_none() || !any().may_match(text) {
            return;
        }
        newer().filter(|(pattern, _)| pattern.matches(text)).for_each(|(_, said)| marks.merge(said));
    }

    fn drop_up_to(&mut self, seq: Seq) {
        let before = self.patterns.len();
        self.patterns.retain_mut(|(_, marks)| !marks.drop_up_to(seq));
        if self.patterns.len() != before {
            self.any = OnceLock::new();
        }
    }
}

impl Space {
    fn pattern_count(&self) -> usize {
        self.patterns.iter().map(|together| together.patterns.len()).sum()
    }

    /// The place of a pattern, made where there is none; `None` where it has none, or does not compile here.
    fn pattern_place(&mut self, pattern: &Pattern, full: bool) -> Option<&mut Marks> {
        let known = self.patterns.iter().enumerate().find_map(|(at, together)| {
            Some((at, together.patterns.iter().position(|(known, _)| known == pattern)?))
        });
        let (at, place) = match known {
            Some(known) => known,
            None if full || self.pattern_count() >= PATTERNS_MAX || pattern.compile().is_err() => {
                return None;
            }
            None => {
                let room = self.patterns.iter().position(|together| together.patterns.len() < TOGETHER_MAX);
                let at = room.unwrap_or_else(|| {
                    self.patterns.push(Together::default());
                    self.patterns.len() - 1
                });
                let together = &mut self.patterns[at];
                together.any = OnceLock::new();
                together.patterns.push((pattern.clone(), Marks::default()));
                (at, together.patterns.len() - 1)
            }
        };
        Some(&mut self.patterns[at].patterns[place].1)
    }

    /// Forgets orders up to `seq` everywhere but in the places; true where nothing is left.
    fn drop_rest(&mut self, seq: Seq) -> bool {
        self.any_tag.drop_up_to(seq);
        self.patterns.iter_mut().for_each(|together| together.drop_up_to(seq));
        self.patterns.retain(|together| !together.patterns.is_empty());
        self.whole.drop_up_to(seq) && self.places.len() == 0 && self.patterns.is_empty()
    }
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

    fn marks(index: &PurgeIndex, key: &Key) -> Marks {
        index.marks(key, &Tags::default(), Seq::ZERO)
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
                marks(&index, &Key::new("s", &Default::default(), inside).unwrap()).expire,
                Seq(1),
                "{inside}"
            );
        }
        for outside in ["/d", "/d?x", "/dd/x", "/", "/e/d/x", "//d/x"] {
            let key = Key::new("s", &Default::default(), outside).unwrap();
            assert_eq!(marks(&index, &key), Marks::default(), "{outside}");
        }
        assert_eq!(marks(&index, &Key::from_parts("other", "/d/x", None)), Marks::default());
    }

    #[test]
    fn p9_a_url_matches_its_own_query_only() {
        let mut index = PurgeIndex::new(100);
        index.insert(&url(Key::from_parts("s", "/a", Some("x=1"))), Seq(1));
        assert_eq!(marks(&index, &Key::from_parts("s", "/a", Some("x=1"))).evict, Seq(1));
        assert_eq!(marks(&index, &key("/a")), Marks::default());
        assert_eq!(marks(&index, &Key::from_parts("s", "/a", Some("x=2"))), Marks::default());
    }

    #[test]
    fn p1_an_expire_does_not_hide_an_older_evict() {
        let mut index = PurgeIndex::new(100);
        index.insert(&directory("/d/", Mode::Evict), Seq(1));
        index.insert(&directory("/d/", Mode::Expire), Seq(2));
        assert_eq!(marks(&index, &key("/d/x")), Marks { expire: Seq(2), evict: Seq(1) });
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
        assert_eq!(marks(&index, &key("/a")), Marks::default());
        assert_eq!(marks(&index, &key("/d/e/x")), Marks { expire: Seq(3), evict: Seq(0) });
        index.drop_up_to(Seq(3));
        assert!(index.is_empty());
        index.insert(&directory("/d/e/", Mode::Evict), Seq(4));
        assert_eq!(marks(&index, &key("/d/e/x")).evict, Seq(4), "what is empty takes in rules again");
    }

    #[test]
    fn p1_between_two_parts_of_a_drop_nothing_newer_is_missed() {
        let mut index = PurgeIndex::new(1_000_000);
        let name = |number: u64| key(&format!("/{number}"));
        let (old, all) = (2 * DROPPED_TOGETHER as u64, 3 * DROPPED_TOGETHER as u64);
        for number in 1..=all {
            assert!(index.insert(&url(name(number)), Seq(number)));
        }
        index.insert(&pattern("/x"), Seq(old));
        index.begin_drop(Seq(old));
        let mut parts = 1;
        let mut newest = all;
        while index.drop_some() {
            parts += 1;
            // Rules come meanwhile, for a place that is being forgotten, too.
            newest += 1;
            index.insert(&url(name(1)), Seq(newest));
            assert_eq!(marks(&index, &name(1)).evict, Seq(newest));
            assert!((old + 1..=all).all(|number| marks(&index, &name(number)).evict == Seq(number)));
        }
        assert!(parts > 2, "{parts} parts");
        assert!((2..=old).all(|number| marks(&index, &name(number)) == Marks::default()));
        assert_eq!(index.len() as u64, all - old + 1);
        assert!(!index.drop_some());
    }

    #[test]
    fn p1_a_full_index_evicts_the_space_instead() {
        let mut index = PurgeIndex::new(1);
        assert!(index.insert(&url(key("/a")), Seq(1)));
        assert!(!index.insert(&url(key("/b")), Seq(2)));
        assert!(!index.insert(&directory("/c/", Mode::Expire), Seq(3)));
        assert!(index.insert(&url(key("/a")), Seq(4)), "what has a place keeps it");
        assert_eq!(marks(&index, &key("/b")).evict, Seq(3));
    }

    #[test]
    fn p9_a_path_matches_with_any_query_and_nothing_else() {
        let mut index = PurgeIndex::new(100);
        index.insert(&Rule::new(Matcher::Query { key: key("/a") }, Mode::Expire), Seq(1));
        for query in [None, Some(""), Some("x=1")] {
            assert_eq!(marks(&index, &Key::from_parts("s", "/a", query)).expire, Seq(1), "{query:?}");
        }
        for other in [key("/a/"), key("/ab"), key("/"), Key::from_parts("other", "/a", None)] {
            assert_eq!(marks(&index, &other), Marks::default(), "{other}");
        }
    }

    #[test]
    fn p1_a_tag_matches_what_has_it_and_what_may_have_it() {
        let tag = |tag: &str| Rule::new(Matcher::Tag { space: "s".into(), tag: tag.into() }, Mode::Evict);
        let mut index = PurgeIndex::new(100);
        index.insert(&tag("t"), Seq(1));
        index.insert(&tag("u"), Seq(2));
        let of = |index: &PurgeIndex, tags: &Tags| index.marks(&key("/a"), tags, Seq::ZERO).evict;
        assert_eq!(of(&index, &Tags::of(["t", "v"])), Seq(1));
        assert_eq!(of(&index, &Tags::of(["v"])), Seq::ZERO);
        assert_eq!(of(&index, &Tags::default()), Seq::ZERO);
        assert_eq!(of(&index, &Tags::unknown()), Seq(2));
        index.insert(&tag("t"), Seq(3));
        index.drop_up_to(Seq(2));
        assert_eq!((of(&index, &Tags::unknown()), index.len()), (Seq(3), 1));
        index.drop_up_to(Seq(3));
        assert_eq!(of(&index, &Tags::unknown()), Seq::ZERO);
        assert!(index.is_empty());
    }

    fn pattern(text: &str) -> Rule {
        Rule::new(Matcher::Regex { space: "s".into(), pattern: Pattern::new(text) }, Mode::Expire)
    }

    #[test]
    fn p9_a_pattern_matches_path_and_query_as_a_whole() {
        let mut index = PurgeIndex::new(100);
        assert!(index.insert(&pattern("/[0-9]+[.]jpg"), Seq(1)));
        assert_eq!(marks(&index, &key("/12.jpg")).expire, Seq(1));
        for other in [key("/12.jpg/x"), key("/x/12.jpg"), Key::from_parts("s", "/12.jpg", Some("x"))] {
            assert_eq!(marks(&index, &other), Marks::default(), "{other}");
        }
        assert_eq!(index.marks(&key("/12.jpg"), &Tags::default(), Seq(1)), Marks::default());
    }

    #[test]
    fn p1_a_pattern_that_has_no_place_or_cannot_be_read_evicts_the_space() {
        let mut index = PurgeIndex::new(1_000);
        assert!(!index.insert(&pattern("/("), Seq(1)));
        assert_eq!(marks(&index, &key("/a")).evict, Seq(1));
        for number in 0..PATTERNS_MAX {
            assert!(index.insert(&pattern(&format!("/{number}")), Seq(2)));
        }
        assert!(!index.insert(&pattern("/x"), Seq(3)));
        assert!(index.insert(&pattern("/7"), Seq(4)), "one that has a place keeps it");
        assert_eq!(marks(&index, &key("/7")), Marks { expire: Seq(4), evict: Seq(3) });
        index.drop_up_to(Seq(3));
        assert_eq!(index.len(), 1);
        assert!(index.insert(&pattern("/x"), Seq(5)));
    }

    /// Whether a rule matches, said without an index.
    fn matches(matcher: &Matcher, key: &Key, tags: &Tags) -> bool {
        match matcher {
            Matcher::Url { key: url } => url == key,
            Matcher::Directory { key: directory } => key.as_str().starts_with(directory.as_str()),
            Matcher::Query { key: path } => *path == key.without_query(),
            Matcher::Regex { space, pattern } => {
                space == key.space() && pattern.compile().unwrap().is_match(key.path_and_query().as_bytes())
            }
            Matcher::Tag { space, tag } => space == key.space() && tags.matches(tag),
            Matcher::Space { space } => space == key.space(),
            Matcher::Everything => true,
        }
    }

    fn any_key() -> impl Strategy<Value = Key> {
        ("[st]", "(/[ab]{0,2}){1,3}", prop::option::of("[xy]?"))
            .prop_map(|(space, path, query)| Key::from_parts(&space, &path, query.as_deref()))
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let space = || "[st]";
        let matcher = prop_oneof![
            4 => any_key().prop_map(|key| Matcher::Url { key }),
            4 => (space(), "(/[ab]{0,2}){0,2}/")
                .prop_map(|(space, path)| Matcher::Directory { key: Key::from_parts(&space, &path, None) }),
            4 => any_key().prop_map(|key| Matcher::Query { key: key.without_query() }),
            4 => (space(), "/(a|b|[.]|[.][*]|[?]){0,4}").prop_filter_map("no pattern", |(space, text)| {
                let pattern = Pattern::new(&text);
                pattern.compile().is_ok().then_some(Matcher::Regex { space, pattern })
            }),
            4 => (space(), "[tuv]").prop_map(|(space, tag)| Matcher::Tag { space, tag }),
            1 => space().prop_map(|space| Matcher::Space { space }),
            1 => Just(Matcher::Everything),
        ];
        (matcher, any::<bool>())
            .prop_map(|(matcher, evict)| Rule::new(matcher, if evict { Mode::Evict } else { Mode::Expire }))
    }

    proptest! {
        /// Whatever was inserted and dropped, the index says what holding the copy against each rule says.
        #[test]
        fn p1_p9_the_index_says_what_each_rule_says(
            rules in prop::collection::vec(any_rule(), 1..20),
            dropped in 0u64..20,
            checked in 0u64..20,
            keys in prop::collection::vec((any_key(), prop::collection::vec("[tuv]", 0..3), prop::bool::weighted(0.1)), 1..20),
        ) {
            let mut index = PurgeIndex::new(1_000);
            let live = || (1..).map(Seq).zip(&rules).filter(|(seq, _)| *seq > Seq(dropped));
            for (seq, rule) in (1..).map(Seq).zip(&rules) {
                prop_assert!(index.insert(rule, seq));
            }
            index.drop_up_to(Seq(dropped));
            prop_assert_eq!(index.is_empty(), live().next().is_none());
            for (key, tags, unknown) in &keys {
                let tags = if *unknown { Tags::unknown() } else { Tags::of(tags.iter().map(String::as_str)) };
                let mut said = Marks::default();
                for (seq, rule) in live().filter(|(_, rule)| matches(&rule.matcher, key, &tags)) {
                    said.raise(rule.mode, seq);
                }
                prop_assert_eq!(index.marks(key, &tags, Seq::ZERO), said);
                // What is newer than `checked` is said in any case.
                let newer = index.marks(key, &tags, Seq(checked));
                for (newer, said) in [(newer.expire, said.expire), (newer.evict, said.evict)] {
                    prop_assert_eq!(newer.max(Seq(checked)), said.max(Seq(checked)));
                }
            }
        }

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
            prop_assert_eq!(marks(&index, &key(&path)).expire, newest);
        }
    }
}
