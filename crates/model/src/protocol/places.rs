//! What the rules of a cache space name: URLs, paths, directories and tags, in one table.

use super::marks::Marks;
use crate::ids::Seq;
use crate::key::Key;
use crate::tag::Tags;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::{BuildHasher, Hasher};

/// Hash tables that the places of a cache space are in, so that growing and forgetting take one of them at a time.
pub(super) const TABLES: usize = 32;

/// The named places of a cache space, with what is said of each.
///
/// An object asks for a dozen names, and nearly always none of them is here. What answers «not here» is a byte for each
/// place: those stay in the processor's second cache where the places, and the nodes of a tree, would not.
#[derive(Debug, Default)]
pub(super) struct Places {
    tables: [HashTable<Place>; TABLES],
    len: usize,
    /// Slashes of the deepest directory since there was no place: nothing is asked of deeper ones, however many slashes a
    /// viewer sends.
    deepest: usize,
    /// Only those who may purge put names in, so that nobody else can choose ones that collide.
    hashes: RandomState,
}

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Path and query.
    Url,
    /// A path, whatever its query.
    Query,
    /// A path up to a slash.
    Directory,
    /// A tag.
    Tag,
}

#[derive(Debug)]
struct Place {
    hash: u64,
    name: Box<str>,
    kind: Kind,
    marks: Marks,
}

impl Places {
    /// The place of a name, made where there is none; `None` where it would have to be, and there is no room for it. Of a
    /// directory's name counts what is before its last slash.
    pub(super) fn place(&mut self, kind: Kind, name: &str, full: bool) -> Option<&mut Marks> {
        let (hash, name) = match kind {
            Kind::Url | Kind::Query | Kind::Tag => (self.hash(name), name),
            Kind::Directory => {
                let (depth, directory) = (1..).zip(self.directories(name)).last()?;
                self.deepest = self.deepest.max(depth);
                directory
            }
        };
        match self.tables[table_of(hash)].entry(hash, |place| place.is(kind, hash, name), |place| place.hash)
        {
            Entry::Occupied(place) => Some(&mut place.into_mut().marks),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(room) => {
                self.len += 1;
                let place = Place { hash, name: name.into(), kind, marks: Marks::default() };
                Some(&mut room.insert(place).into_mut().marks)
            }
        }
    }

    /// Adds what is said of a key: of its URL, its path, and the directories that it lies in.
    pub(super) fn merge_key(&self, marks: &mut Marks, key: &Key) {
        let (url, path) = (key.path_and_query(), key.path());
        self.merge(marks, Kind::Url, (self.hash(url), url));
        self.merge(marks, Kind::Query, (self.hash(path), path));
        for directory in self.directories(path).take(self.deepest) {
            self.merge(marks, Kind::Directory, directory);
        }
    }

    /// Adds what is said of a copy's tags.
    pub(super) fn merge_tags(&self, marks: &mut Marks, tags: &Tags) {
        tags.names().for_each(|tag| self.merge(marks, Kind::Tag, (self.hash(tag), tag)));
    }

    fn merge(&self, marks: &mut Marks, kind: Kind, (hash, name): (u64, &str)) {
        if let Some(place) = self.tables[table_of(hash)].find(hash, |place| place.is(kind, hash, name)) {
            marks.merge(&place.marks);
        }
    }

    /// Forgets orders up to `seq` in one of the [`TABLES`], with the places of which nothing more is said. Gives how many
    /// places it has looked at.
    pub(super) fn drop_up_to(&mut self, table: usize, seq: Seq) -> usize {
        let places = &mut self.tables[table];
        let before = places.len();
        places.retain(|place| !place.marks.drop_up_to(seq));
        self.len -= before - places.len();
        if places.len() < places.capacity() / 4 {
            places.shrink_to_fit(|place| place.hash);
        }
        if self.len == 0 {
            self.deepest = 0;
        }
        before
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn hash(&self, name: &str) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write(name.as_bytes());
        hasher.finish()
    }

    /// Each directory that a path lies in, from the root down, under its hash, which grows with the path: so all of them
    /// cost one reading of it. `/d/x` and `/d/` lie in `/` and `/d/`, `/d` in `/` alone.
    fn directories<'p>(&self, path: &'p str) -> impl Iterator<Item = (u64, &'p str)> {
        let mut hasher = self.hashes.build_hasher();
        let mut from = 0;
        memchr::memchr_iter(b'/', path.as_bytes()).map(move |at| {
            hasher.write(&path.as_bytes()[from..=at]);
            from = at + 1;
            (hasher.finish(), &path[..=at])
        })
    }
}

/// By bits that neither choose a place within a table nor are kept in its bytes.
fn table_of(hash: u64) -> usize {
    (hash >> 48) as usize % TABLES
}

impl Place {
    fn is(&self, kind: Kind, hash: u64, name: &str) -> bool {
        self.hash == hash && self.kind == kind && *self.name == *name
    }
}
