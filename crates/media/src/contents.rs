//! What a playlist names.

use crate::reference::Url;
use std::collections::HashSet;

/// The most bytes of all addresses that are kept of one playlist; an ordinary one needs a thousandth of it.
const ADDRESS_BYTES_MAX: usize = 16 << 20;
/// The most addresses that are looked at, those that are named again and again included.
const LOOKS_MAX: usize = 1_000_000;

/// The sort of a playlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP Live Streaming (RFC 8216), a master or a media playlist.
    Hls,
    /// Dynamic Adaptive Streaming over HTTP (ISO/IEC 23009-1), a media presentation description.
    Dash,
}

/// What something is that a playlist names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A playlist, which names more.
    Playlist,
    /// What a player needs before the first segment.
    Init,
    /// A key to decrypt segments with.
    Key,
    /// A media segment, or the whole file that segments are ranges of.
    Segment,
    /// Data that goes with the stream.
    Data,
}

/// One thing that a playlist names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it is.
    pub role: Role,
    /// Where it is.
    pub url: Url,
}

/// All that a playlist names, as far as it is wanted.
#[derive(Clone, Debug)]
pub struct Contents {
    /// In the order in which it is to be fetched, each address once.
    pub named: Vec<Named>,
    /// How many more it names that are wanted, beyond what was to be kept.
    pub over: u64,
    seen: HashSet<Url>,
    address_bytes: usize,
    looks: usize,
    names_max: usize,
}

impl Contents {
    /// Nothing yet, and at most `names_max`.
    pub(crate) fn new(names_max: usize) -> Contents {
        Contents { named: Vec::new(), over: 0, seen: HashSet::new(), address_bytes: 0, looks: 0, names_max }
    }

    /// Whether another name would only be counted.
    pub(crate) fn is_full(&self) -> bool {
        self.named.len() >= self.names_max
            || self.address_bytes >= ADDRESS_BYTES_MAX
            || self.looks >= LOOKS_MAX
    }

    /// Adds one, unless it is there.
    pub(crate) fn push(&mut self, role: Role, url: Url) {
        self.looks = self.looks.saturating_add(1);
        if self.seen.contains(&url) {
            return;
        }
        if self.is_full() {
            self.over = self.over.saturating_add(1);
            return;
        }
        self.address_bytes += url.len();
        self.seen.insert(url.clone());
        self.named.push(Named { role, url });
    }
}
