//! What a real packager writes: every file that ffmpeg made is named by its playlists, and nothing else is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use freshen_media::{Base, Expansion, Place, Role};
use freshen_model::follow::{First, Follow, Renditions};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Makes a stream of ten seconds in two sizes, with sound for a little less, as `arguments` say.
fn packaged(arguments: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(folder.path()).args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc=duration=10:size=64x48:rate=10"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=duration=9.5"]);
    ffmpeg.args(["-map", "0:v", "-map", "0:v", "-map", "1:a", "-c:v", "mpeg4", "-g", "10", "-c:a", "aac"]);
    ffmpeg.args(["-b:v:0", "40k", "-b:v:1", "80k", "-b:a", "32k"]).args(arguments);
    let made = ffmpeg.output().expect("ffmpeg is missing; type: sudo apt-get install -y ffmpeg");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}

fn files_in(folder: &Path) -> BTreeSet<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    std::fs::read_dir(folder).unwrap().map(name).collect()
}

/// All that the playlist leads to, itself included.
fn expanded(folder: &Path, playlist: &str, follow: Follow) -> BTreeSet<String> {
    let follow = Follow { domains: ["a.example".to_owned()].into(), ..follow };
    let root = Base::of("a.example", &format!("/{playlist}")).unwrap();
    let mut expansion = Expansion::new(follow, root.place());
    let mut found = BTreeSet::from([playlist.to_owned()]);
    let mut playlists = VecDeque::from([(root.place().clone(), 0)]);
    while let Some((Place { host, path_and_query }, depth)) = playlists.pop_front() {
        let bytes = std::fs::read(folder.join(&path_and_query[1..])).unwrap();
        let at = Base::of(&host, &path_and_query).unwrap();
        let step = expansion.take(&at, depth, &bytes, 0).unwrap();
        assert_eq!((step.over, step.outside.len()), (0, 0));
        for (role, place) in step.files {
            found.insert(place.path_and_query[1..].to_owned());
            if role == Role::Playlist {
                playlists.push_back((place, depth + 1));
            }
        }
    }
    found
}

const HLS: [&str; 8] =
    ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8"];
const HLS_STREAMS: [&str; 3] =
    ["-var_stream_map", "v:0,agroup:sound v:1,agroup:sound a:0,agroup:sound", "%v.m3u8"];

#[test]
fn hls_with_several_renditions_and_sound_of_its_own() {
    let folder = packaged(&[&HLS[..], &["-hls_segment_filename", "%v_%03d.ts"], &HLS_STREAMS].concat());
    let made = files_in(folder.path());
    assert_eq!(made.len(), 1 + 3 + 3 * 5, "{made:?}");
    assert_eq!(expanded(folder.path(), "master.m3u8", Follow::default()), made);
    let two = Follow { first: Some(First::Segments(2)), ..Follow::default() };
    assert_eq!(expanded(folder.path(), "master.m3u8", two).len(), 1 + 3 + 3 * 2);
    let three =
        Follow { first: Some(First::Seconds(3)), renditions: Renditions::Lowest, ..Follow::default() };
    let lowest = expanded(folder.path(), "master.m3u8", three);
    assert_eq!(lowest.len(), 1 + 2 + 2 * 2);
    assert!(lowest.contains("0.m3u8") && !lowest.contains("1.m3u8"), "{lowest:?}");
}

#[test]
fn hls_encrypted() {
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("k"), [7; 16]).unwrap();
    let info = format!("stream.key\n{}\n", keys.path().join("k").display());
    std::fs::write(keys.path().join("info"), info).unwrap();
    let info = keys.path().join("info").display().to_string();
    let folder = packaged(&[&HLS[..], &["-hls_key_info_file", &info], &HLS_STREAMS].concat());
    let mut made = files_in(folder.path());
    assert!(made.insert("stream.key".into()), "the packager does not write it");
    assert_eq!(expanded(folder.path(), "master.m3u8", Follow::default()), made);
}

#[test]
fn hls_of_fragmented_mp4_and_as_ranges_of_single_files() {
    let fmp4 = ["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init_%v.mp4"];
    let folder = packaged(&[&HLS[..], &fmp4, &HLS_STREAMS].concat());
    let made = files_in(folder.path());
    assert_eq!(made.len(), 1 + 3 + 3 + 3 * 5, "{made:?}");
    assert_eq!(expanded(folder.path(), "master.m3u8", Follow::default()), made);

    let folder = packaged(&[&HLS[..], &fmp4, &["-hls_flags", "single_file"], &HLS_STREAMS].concat());
    let made = files_in(folder.path());
    assert_eq!(expanded(folder.path(), "master.m3u8", Follow::default()), made);
}

#[test]
fn dash_by_timeline_by_duration_as_a_list_and_as_single_files() {
    let dash = ["-f", "dash", "-seg_duration", "2", "-adaptation_sets", "id=0,streams=v id=1,streams=a"];
    for addressing in [
        ["-use_template", "1", "-use_timeline", "1"],
        ["-use_template", "1", "-use_timeline", "0"],
        ["-use_template", "0", "-use_timeline", "0"],
        ["-single_file", "1", "-use_template", "0"],
    ] {
        let folder = packaged(&[&dash[..], &addressing, &["stream.mpd"]].concat());
        let made = files_in(folder.path());
        assert_eq!(expanded(folder.path(), "stream.mpd", Follow::default()), made, "{addressing:?}");
        if addressing[0] == "-use_template" {
            let one = Follow { first: Some(First::Segments(1)), ..Follow::default() };
            assert_eq!(expanded(folder.path(), "stream.mpd", one).len(), 1 + 3 * 2, "{addressing:?}");
        }
    }
}
