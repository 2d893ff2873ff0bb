//! An expansion: from one playlist to all it leads to, step by step, within its limits.

use crate::contents::Role;
use crate::reference::{Base, Place, Url};
use crate::{BadPlaylist, read};
use freshen_model::follow::Follow;
use std::collections::HashSet;

/// Playlists on the way from the submitted one to a segment; HLS needs two.
pub const DEPTH_MAX: u8 = 3;
/// The longest playlist that is read, in bytes.
pub const PLAYLIST_BYTES_MAX: usize = 4 << 20;
/// Playlists that one submitted line may lead to.
pub const PLAYLISTS_MAX: usize = 200;
/// Files that one submitted line may lead to, playlists included.
pub const FILES_MAX: usize = 20_000;

/// The expansion of one submitted line.
#[derive(Debug)]
pub struct Expansion {
    follow: Follow,
    seen: HashSet<Place>,
    playlists: usize,
}

/// What one playlist adds to an expansion.
#[derive(Debug, Default)]
pub struct Step {
    /// What is to be fetched, in this order, and was not named before.
    pub files: Vec<(Role, Place)>,
    /// What lies outside of the domains, and is not fetched.
    pub outside: Vec<Url>,
    /// How many more are named than the limits allow.
    pub over: u64,
}

impl Expansion {
    /// Begins with the line itself, which counts as a file.
    pub fn new(follow: Follow, root: &Place) -> Expansion {
        Expansion { follow, seen: HashSet::from([root.clone()]), playlists: 1 }
    }

    /// Reads a playlist that was fetched; `depth` is 0 for the submitted one. `now_ms` as for [`read`].
    pub fn take(&mut self, at: &Base, depth: u8, bytes: &[u8], now_ms: i64) -> Result<Step, BadPlaylist> {
        // What was named before may be named again, so that this alone is no bound yet.
        let contents = read(bytes, at, &self.follow, now_ms, FILES_MAX)?;
        let mut step = Step { over: contents.over, ..Step::default() };
        for named in contents.named {
            let place = match named.url {
                Url::Web(place) if self.follow.domains.contains(&place.host) => place,
                // It is here already, inside the playlist.
                Url::Other(text) if text.starts_with("data:") => continue,
                outside => {
                    step.outside.push(outside);
                    continue;
                }
            };
            if self.seen.contains(&place) {
                continue;
            }
            let playlist = named.role == Role::Playlist;
            let too_many = playlist && (self.playlists == PLAYLISTS_MAX || depth + 1 >= DEPTH_MAX);
            if too_many || self.seen.len() == FILES_MAX {
                step.over = step.over.saturating_add(1);
                continue;
            }
            self.playlists += usize::from(playlist);
            self.seen.insert(place.clone());
            step.files.push((named.role, place));
        }
        Ok(step)
    }

    /// How many files it has led to so far, the submitted line included.
    pub fn files(&self) -> usize {
        self.seen.len()
    }
}
