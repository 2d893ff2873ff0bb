//! An HLS stream as a cache sees it: playlists that change hands often, segments that never change.
//!
//! The segments are framed as MPEG transport streams and hold null packets: players find nothing to show.

use std::fmt::Write as _;

use super::package::noise;

pub const SEGMENTS: usize = 6;
const SEGMENT_SECONDS: usize = 6;
const PACKETS_PER_SEGMENT: usize = 2_000;
const PACKET_BYTES: usize = 188;

pub fn segment_name(number: usize) -> String {
    format!("segment-{number}.ts")
}

/// The playlist of the one quality there is (RFC 8216, 4.3.4).
pub fn master_playlist() -> String {
    let bandwidth = PACKETS_PER_SEGMENT * PACKET_BYTES * 8 / SEGMENT_SECONDS;
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION=640x360\nmedia.m3u8\n"
    )
}

/// The playlist of the segments, complete from the start (RFC 8216, 4.3.3).
pub fn media_playlist() -> String {
    let mut playlist = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    );
    for number in 0..SEGMENTS {
        let _ = write!(playlist, "#EXTINF:{SEGMENT_SECONDS}.0,\n{}\n", segment_name(number));
    }
    playlist.push_str("#EXT-X-ENDLIST\n");
    playlist
}

/// Null packets (PID 0x1FFF), each with a payload of its own.
pub fn segment(number: usize) -> Vec<u8> {
    let mut stream = noise(PACKETS_PER_SEGMENT * PACKET_BYTES, number as u64);
    for packet in stream.chunks_exact_mut(PACKET_BYTES) {
        packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_playlist_names_every_segment() {
        let playlist = media_playlist();
        let uris: Vec<&str> = playlist.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(uris, (0..SEGMENTS).map(segment_name).collect::<Vec<_>>());
        assert!(playlist.starts_with("#EXTM3U\n") && playlist.ends_with("#EXT-X-ENDLIST\n"));
        assert!(master_playlist().ends_with("\nmedia.m3u8\n"));
    }

    #[test]
    fn segments_are_packets_and_differ() {
        let (first, second) = (segment(0), segment(1));
        assert_ne!(first, second);
        assert_eq!(first.len() % PACKET_BYTES, 0);
        assert!(first.chunks(PACKET_BYTES).all(|packet| packet[0] == 0x47));
    }
}
