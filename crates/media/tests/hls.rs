//! What HLS playlists name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use freshen_media::{BadPlaylist, Base, FILES_MAX, Role, read};
use freshen_model::follow::{First, Follow, Renditions};

fn try_names(text: &str, follow: &Follow) -> Result<Vec<(Role, String)>, BadPlaylist> {
    let base = Base::of("a.example", "/v/master.m3u8?token=1").unwrap();
    let contents = read(text.as_bytes(), &base, follow, 0, FILES_MAX)?;
    let short = |url: String| url.replace("http://a.example", "");
    Ok(contents.named.into_iter().map(|named| (named.role, short(named.url.to_string()))).collect())
}

fn names(text: &str, follow: &Follow) -> Vec<String> {
    try_names(text, follow).unwrap().into_iter().map(|(role, url)| format!("{role:?} {url}")).collect()
}

fn first(first: First) -> Follow {
    Follow { first: Some(first), ..Follow::default() }
}

const MASTER: &str = r#"#EXTM3U
#EXT-X-VERSION:6
#EXT-X-SESSION-KEY:METHOD=AES-128,URI="keys/session.key"
#EXT-X-SESSION-DATA:DATA-ID="title",URI="title.json"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="hi",NAME="en",URI="audio/hi.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="lo",NAME="en",URI="audio/lo.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="en",URI="subs/en.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="en",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=5000000,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="hi",SUBTITLES="subs"
high.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO="lo",SUBTITLES="subs"
low.m3u8?x=1
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,URI="iframes.m3u8"
"#;

#[test]
fn a_master_names_every_rendition_and_the_lowest_comes_first() {
    assert_eq!(
        names(MASTER, &Follow::default()),
        [
            "Key /v/keys/session.key",
            "Data /v/title.json",
            "Playlist /v/low.m3u8?x=1",
            "Playlist /v/audio/hi.m3u8",
            "Playlist /v/audio/lo.m3u8",
            "Playlist /v/subs/en.m3u8",
            "Playlist /v/high.m3u8",
            "Playlist /v/iframes.m3u8",
        ]
    );
}

#[test]
fn the_lowest_comes_with_its_own_audio_and_subtitles_only() {
    let lowest = Follow { renditions: Renditions::Lowest, ..Follow::default() };
    assert_eq!(
        names(MASTER, &lowest)[2..],
        [
            "Playlist /v/low.m3u8?x=1",
            "Playlist /v/audio/lo.m3u8",
            "Playlist /v/subs/en.m3u8",
            "Playlist /v/iframes.m3u8",
        ]
    );
}

const MEDIA: &str = "#EXTM3U\r
#EXT-X-TARGETDURATION:4\r
#EXT-X-MAP:URI=\"init.mp4\"\r
#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\r
#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://k1\",KEYFORMAT=\"com.apple\"\r
#EXTINF:4.0,first, with a title\r
0.m4s\r
#EXTINF:4,\r
1.m4s\r
#EXT-X-KEY:METHOD=AES-128,URI=\"https://b.example/k2\"\r
#EXTINF:4,\r
#EXT-X-GAP\r
2.m4s\r
#EXTINF:1.5\r
//b.example/3.m4s\r
#EXT-X-PART:DURATION=0.3,URI=\"4.part\"\r
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"5.part\"\r
#EXT-X-ENDLIST\r
";

#[test]
fn a_media_playlist_names_segments_with_what_they_need_before_them() {
    assert_eq!(
        names(MEDIA, &Follow::default()),
        [
            "Init /v/init.mp4",
            "Key /v/k1",
            "Segment /v/0.m4s",
            "Segment /v/1.m4s",
            "Key http://b.example/k2",
            "Segment http://b.example/3.m4s",
        ]
    );
}

#[test]
fn the_first_segments_or_seconds_are_enough_where_asked_for() {
    let two = ["Init /v/init.mp4", "Key /v/k1", "Segment /v/0.m4s", "Segment /v/1.m4s"];
    assert_eq!(names(MEDIA, &first(First::Segments(2))), two);
    assert_eq!(names(MEDIA, &first(First::Seconds(8))), two);
    assert_eq!(names(MEDIA, &first(First::Seconds(9))), two, "the segment of second 8 is a gap");
    assert_eq!(names(MEDIA, &first(First::Seconds(4)))[2..], ["Segment /v/0.m4s"]);
    assert_eq!(names(MEDIA, &first(First::Seconds(13))).len(), 6);
    assert!(names(MEDIA, &first(First::Segments(0))).is_empty());
}

#[test]
fn byte_ranges_name_their_file_once() {
    let text = "#EXTM3U\n#EXT-X-MAP:URI=\"a.mp4\",BYTERANGE=\"600@0\"\n#EXTINF:4,\n#EXT-X-BYTERANGE:1000@600\na.mp4\n\
                #EXTINF:4,\n#EXT-X-BYTERANGE:1000\na.mp4\n";
    assert_eq!(names(text, &Follow::default()), ["Init /v/a.mp4"]);
}

#[test]
fn variables_are_put_in() {
    let text = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"dir\",VALUE=\"s/d\"\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n\
                #EXTINF:4,\n{$dir}/0.ts?t={$token}\n";
    assert_eq!(names(text, &Follow::default()), ["Segment /v/s/d/0.ts?t=1"]);
}

#[test]
fn what_is_malformed_is_told_by_its_line() {
    for (text, line, what) in [
        ("#EXTM3U\n#EXTINF:soon,\na.ts\n", 2, "EXTINF without a duration in seconds"),
        ("#EXTM3U\n#EXTINF:-1,\na.ts\n", 2, "EXTINF without a duration in seconds"),
        ("#EXTM3U\n\n#EXT-X-MAP:BYTERANGE=\"1@0\"\n", 3, "EXT-X-MAP without URI"),
        ("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\n", 2, "a quotation mark that is not closed"),
        ("#EXTM3U\n#EXTINF:1,\n100%.ts\n", 3, "a % without two hexadecimal digits behind it, write %25"),
        ("#EXTM3U\n#EXTINF:1,\nhttp:///x.ts\n", 3, "no host"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", 2, "the playlist ends before the address of a variant"),
        ("#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"a\"\n", 2, "EXT-X-DEFINE with IMPORT is not understood"),
        ("#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n{$b}.ts\n", 3, "the variable b is not defined"),
    ] {
        let bad = BadPlaylist::Line { line, what: what.into() };
        assert_eq!(try_names(text, &Follow::default()).unwrap_err(), bad, "{text:?}");
    }
    assert_eq!(try_names("just text", &Follow::default()), Err(BadPlaylist::NoPlaylist));
    let base = Base::of("a.example", "/").unwrap();
    let latin = read(b"#EXTM3U\n\xe9.ts", &base, &Follow::default(), 0, 10);
    assert_eq!(latin.unwrap_err(), BadPlaylist::NotUtf8(8));
}

#[test]
fn what_is_over_the_limit_is_counted() {
    let mut text = String::from("#EXTM3U\n");
    for number in 0..100 {
        text.push_str(&format!("#EXTINF:1,\n{number}.ts\n"));
    }
    let base = Base::of("a.example", "/").unwrap();
    let contents = read(text.as_bytes(), &base, &Follow::default(), 0, 30).unwrap();
    assert_eq!((contents.named.len(), contents.over), (30, 70));
    let long = format!("#EXTM3U\n{}", "#\n".repeat(3 << 20));
    assert_eq!(read(long.as_bytes(), &base, &Follow::default(), 0, 30).unwrap_err(), BadPlaylist::TooLong);
}
