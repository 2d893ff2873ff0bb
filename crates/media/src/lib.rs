//! Playlists of media: what the text of an HLS or DASH playlist names, and how far a prefetch follows it.
//!
//! **Invariant:** nothing here fetches, reads a clock or holds a lock. A playlist comes in as bytes, the time as a value, and
//! out goes a list of what to fetch: only within the domains given, and never more than the limits say. What is over them is
//! counted, and told.

mod contents;
mod dash;
mod expansion;
mod hls;
mod reference;

pub use contents::{Contents, Kind, Named, Role};
pub use expansion::{DEPTH_MAX, Expansion, FILES_MAX, PLAYLIST_BYTES_MAX, PLAYLISTS_MAX, Step};
pub use reference::{BadReference, Base, Place, Url};

use freshen_model::follow::Follow;

/// Why a playlist cannot be read; the text names the line or the element.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPlaylist {
    /// A line of an HLS playlist.
    #[error("line {line}: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// An element of a DASH description.
    #[error("<{element}> in line {line}: {what}")]
    Element {
        /// Its name.
        element: String,
        /// The line it begins in, from 1.
        line: u32,
        /// What is wrong with it.
        what: String,
    },
    /// Not XML.
    #[error("not well-formed XML: {0}")]
    Xml(String),
    /// Not text.
    #[error("not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// Longer than [`PLAYLIST_BYTES_MAX`].
    #[error("longer than 4 MiB, the most that is read of a playlist")]
    TooLong,
    /// Named as a playlist, and is something else.
    #[error("neither an HLS playlist (it does not begin with #EXTM3U) nor a DASH description (<MPD>)")]
    NoPlaylist,
}

/// What sort of playlist these bytes begin, if any: HLS by its first line, DASH by its root element.
pub fn kind_of(bytes: &[u8]) -> Option<Kind> {
    // A prologue with comments may come before the root element, but not more than this.
    const PROLOGUE_BYTES_MAX: usize = 4_096;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"#EXTM3U") {
        return Some(Kind::Hls);
    }
    let head = bytes.trim_ascii_start();
    let head = &head[..head.len().min(PROLOGUE_BYTES_MAX)];
    let is_mpd = head.starts_with(b"<") && head.windows(4).any(|four| four == b"<MPD" || four == b":MPD");
    is_mpd.then_some(Kind::Dash)
}

/// Reads a playlist found at `base`: what `follow` wants of it, in the order in which it is to be fetched.
///
/// `now_ms` is the wall clock in milliseconds since 1970, which decides what of a live DASH stream is there. At most
/// `names_max` names are kept; [`Contents::over`] counts those beyond.
pub fn read(
    bytes: &[u8],
    base: &Base,
    follow: &Follow,
    now_ms: i64,
    names_max: usize,
) -> Result<Contents, BadPlaylist> {
    if bytes.len() > PLAYLIST_BYTES_MAX {
        return Err(BadPlaylist::TooLong);
    }
    let kind = kind_of(bytes).ok_or(BadPlaylist::NoPlaylist)?;
    let text = std::str::from_utf8(bytes).map_err(|error| BadPlaylist::NotUtf8(error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match kind {
        Kind::Hls => hls::read(text, base, follow, names_max),
        Kind::Dash => dash::read(text, base, follow, now_ms, names_max),
    }
}
