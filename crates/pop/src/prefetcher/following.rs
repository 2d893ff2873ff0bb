//! Following: what a playlist names is warmed as if it had been submitted, level by level and within limits.

use super::Line;
use super::failure::NotWarm;
use crate::Pop;
use crate::look_up::{Found, Trace};
use crate::store::Open;
use crate::store::body::BLOCK_BYTES;
use crate::store::record::Variant;
use flate2::read::GzDecoder;
use freshen_media::{
    BadPlaylist, Base, DEPTH_MAX, Expansion, FILES_MAX, PLAYLIST_BYTES_MAX, Place, Role, Step, kind_of,
};
use freshen_model::follow::Follow;
use freshen_model::order::PrefetchItem;
use freshen_model::task::Failure;
use futures_util::StreamExt;
use http::{HeaderMap, header};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Lines followed at one time, over all prefetches: each may hold the names of [`FILES_MAX`] files.
pub(super) const LINES_AT_ONCE: usize = 2;
/// Files of one line that wait for their turn at the origin at one time.
const FILES_AT_ONCE: usize = 64;
/// Characters of an address in a failure.
const URL_CHARS_MAX: usize = 500;

impl Pop {
    /// Warms what the playlist of a line names, where it is one; the line itself is warm.
    pub(super) async fn follow_line(self: &Arc<Pop>, line: Line<'_>, item: &PrefetchItem, follow: &Follow) {
        if !line.job.goes_on().await {
            return;
        }
        let mut turn = self.prefetcher.followed.acquire().await.ok();
        let root = match Base::of(&item.domain, &item.path_and_query) {
            Ok(root) => root,
            // It was warmed, so it was a key; a path that is none fails there.
            Err(error) => return self.unreadable(line, None, &error.to_string()),
        };
        let mut expansion = Box::new(Expansion::new(follow.clone(), root.place()));
        let mut playlists = vec![root.place().clone()];
        for depth in 0..DEPTH_MAX {
            let mut files = Vec::new();
            for playlist in &playlists {
                let url = (depth > 0).then(|| shown(playlist));
                let step = match self.read_playlist(line, playlist, depth).await {
                    Ok(Some(bytes)) => take(expansion, playlist.clone(), depth, bytes).await,
                    Ok(None) => continue,
                    Err(not_warm) => {
                        self.unreadable(line, url, &not_warm.reason);
                        continue;
                    }
                };
                // Given back by the thread that read; it is lost only where the process ends.
                let Some((taken, step)) = step else { return };
                expansion = taken;
                match step {
                    Ok(step) => files.extend(self.add_to_line(line, url, step)),
                    Err(bad) => {
                        self.unreadable(line, url, &format!("this playlist cannot be followed: {bad}"))
                    }
                }
            }
            let warmed = futures_util::stream::iter(files).map(|(role, place)| async move {
                let item = item_of(&place);
                let warm = self.warm_file(line, &item, Some(shown(&place))).await;
                (warm && role == Role::Playlist).then_some(place)
            });
            // In their order, which is that of playing.
            let warmed = warmed.buffered(FILES_AT_ONCE).filter_map(std::future::ready).collect();
            let holds_nobody_up = async {
                loop {
                    line.job.stops().await;
                    drop(turn.take());
                    // Once it is over, its files end, and with them this.
                    if !line.job.goes_on().await {
                        return std::future::pending().await;
                    }
                    turn = self.prefetcher.followed.acquire().await.ok();
                }
            };
            playlists = tokio::select! {
                warmed = warmed => warmed,
                () = holds_nobody_up => return,
            };
            if playlists.is_empty() {
                return;
            }
        }
    }

    /// Adds what a playlist names to the line's account, what is left out included.
    fn add_to_line(&self, line: Line<'_>, url: Option<String>, step: Step) -> Vec<(Role, Place)> {
        let Step { files, outside, over } = step;
        line.job.change(|state| {
            let progress = &mut state.progress;
            progress.files = progress.files.saturating_add(files.len() as u64).saturating_add(over);
            progress.outside = progress.outside.saturating_add(outside.len() as u64);
        });
        if over > 0 {
            let reason = format!(
                "{over} more files are named here and were left out: of a line, {FILES_MAX} files are followed; name the \
                 first segments or seconds only, or renditions a line each"
            );
            line.job.failed(over, Failure { line: line.number, url, reason });
        }
        self.prefetcher.revision.fetch_add(1, Ordering::Relaxed);
        files
    }

    /// A playlist that is warm, but of no use: what it names is not known.
    fn unreadable(&self, line: Line<'_>, url: Option<String>, reason: &str) {
        line.job.not_warm_after_all(Failure { line: line.number, url, reason: reason.to_owned() });
    }

    /// The bytes of a playlist as it lies in the cache; `None` where the submitted line is something else.
    async fn read_playlist(
        self: &Arc<Pop>,
        line: Line<'_>,
        place: &Place,
        depth: u8,
    ) -> Result<Option<Vec<u8>>, NotWarm> {
        // The last is the one without gzip, where there is one.
        let Some(viewer) = line.job.viewers.last() else { return Ok(None) };
        let looked = self.look_up_item(&item_of(place), viewer, Trace::Promote).await?;
        let Found::Fresh(copy) = &looked.found else {
            return Err(NotWarm::new("evicted or purged again before it was followed", false));
        };
        self.playlist_of(place, copy, depth).await
    }

    /// The same of that copy.
    pub(crate) async fn playlist_of(
        &self,
        place: &Place,
        copy: &Variant,
        depth: u8,
    ) -> Result<Option<Vec<u8>>, NotWarm> {
        let must_be = depth > 0 || is_called_playlist(place, &copy.head.headers);
        let too_long = || NotWarm::new(BadPlaylist::TooLong.to_string(), false);
        let size = copy.body.size().unwrap_or(u64::MAX);
        if size > PLAYLIST_BYTES_MAX as u64 {
            return if must_be { Err(too_long()) } else { Ok(None) };
        }
        let mut bytes = Vec::new();
        let mut open = Open::default();
        while (bytes.len() as u64) < size {
            let block = self.store.block(&copy.body, bytes.len() as u64 / BLOCK_BYTES, &mut open).await;
            let block =
                block.map_err(|error| NotWarm::new(format!("read back from disk: {error}"), false))?;
            if block.is_empty() {
                break;
            }
            bytes.extend_from_slice(&block);
        }
        let bytes = match copy.head.headers.get(header::CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
            None | Some(b"identity") => bytes,
            Some(b"gzip") => {
                let mut plain = Vec::new();
                let read =
                    GzDecoder::new(&*bytes).take(PLAYLIST_BYTES_MAX as u64 + 1).read_to_end(&mut plain);
                match read {
                    Ok(read) if read <= PLAYLIST_BYTES_MAX => plain,
                    Ok(_) if must_be => return Err(too_long()),
                    Err(error) if must_be => return Err(NotWarm::new(format!("not gzip: {error}"), false)),
                    _ => return Ok(None),
                }
            }
            Some(_) if must_be => return Err(NotWarm::new("in a content coding other than gzip", false)),
            Some(_) => return Ok(None),
        };
        Ok((must_be || kind_of(&bytes).is_some()).then_some(bytes))
    }
}

/// Reads a playlist on a thread that may take its time over it.
pub(crate) async fn take(
    mut expansion: Box<Expansion>,
    place: Place,
    depth: u8,
    bytes: Vec<u8>,
) -> Option<(Box<Expansion>, Result<Step, BadPlaylist>)> {
    let now_ms = crate::clock::wall_ms();
    let read = tokio::task::spawn_blocking(move || {
        let step = expansion.take(&Base::at(place), depth, &bytes, now_ms);
        (expansion, step)
    });
    read.await.ok()
}

/// Whether name or type say that it is a playlist; if it then is none, that is a fault.
pub(crate) fn is_called_playlist(place: &Place, headers: &HeaderMap) -> bool {
    let path = place.path_and_query.split('?').next().unwrap_or_default().to_ascii_lowercase();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    [".m3u8", ".mpd"].iter().any(|end| path.ends_with(end))
        || kind.contains("mpegurl")
        || kind.contains("dash+xml")
}

fn item_of(place: &Place) -> PrefetchItem {
    PrefetchItem { domain: place.host.clone(), path_and_query: place.path_and_query.clone() }
}

fn shown(place: &Place) -> String {
    format!("http://{}{}", place.host, place.path_and_query).chars().take(URL_CHARS_MAX).collect()
}
