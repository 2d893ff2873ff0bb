//! What reached the origin, path by path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use serde::Serialize;

const PATHS_MAX: usize = 100_000;
const PATH_BYTES_MAX: usize = 2048;
/// Where requests are counted whose path is too long, or one too many.
const OTHER: &str = "(other)";

/// Counters of every path asked for, as asked for: raw, with the query.
#[derive(Debug, Default)]
pub struct Stats {
    paths: Mutex<BTreeMap<String, Arc<PathStats>>>,
}

/// Counters of one path. Bytes are body bytes handed to connections.
#[derive(Debug, Default, Serialize)]
pub struct PathStats {
    requests: AtomicU64,
    not_modified: AtomicU64,
    bytes: AtomicU64,
}

impl Stats {
    /// Counts one request and returns the counters its answer adds to.
    pub fn count(&self, path: &str) -> Arc<PathStats> {
        let mut paths = self.paths.lock();
        let known = paths.contains_key(path);
        let has_room = paths.len() < PATHS_MAX && path.len() <= PATH_BYTES_MAX;
        let key = if known || has_room { path } else { OTHER };
        let counted = Arc::clone(paths.entry(key.to_owned()).or_default());
        counted.requests.fetch_add(1, Relaxed);
        counted
    }

    /// `{"paths":{"/a.txt":{"requests":3,"not_modified":1,"bytes":12}}}`, sorted by path.
    pub fn to_json(&self) -> String {
        let paths = self.paths.lock();
        serde_json::json!({ "paths": &*paths }).to_string()
    }
}

impl PathStats {
    pub fn note_not_modified(&self) {
        self.not_modified.fetch_add(1, Relaxed);
    }

    pub fn note_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_paths_is_bounded() {
        let stats = Stats::default();
        for n in 0..PATHS_MAX + 10 {
            stats.count(&format!("/{n}"));
        }
        stats.count("/0");
        stats.count(&"x".repeat(PATH_BYTES_MAX + 1));

        let requests = |path| stats.paths.lock()[path].requests.load(Relaxed);
        assert_eq!(stats.paths.lock().len(), PATHS_MAX + 1);
        assert_eq!(requests("/0"), 2);
        assert_eq!(requests(OTHER), 11);
    }
}
