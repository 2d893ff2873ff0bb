//! Expansions: from one playlist to all it leads to; and that no input makes one panic or run away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use freshen_media::{Base, DEPTH_MAX, Expansion, FILES_MAX, PLAYLISTS_MAX, Role, kind_of, read};
use freshen_model::follow::{First, Follow, Renditions};
use proptest::prelude::*;

fn follow() -> Follow {
    Follow { domains: ["a.example".to_owned()].into(), ..Follow::default() }
}

fn base(path: &str) -> Base {
    Base::of("a.example", path).unwrap()
}

#[test]
fn what_was_named_before_is_not_named_again() {
    let mut expansion = Expansion::new(follow(), base("/m.m3u8").place());
    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2\nb.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n";
    let step = expansion.take(&base("/m.m3u8"), 0, master.as_bytes(), 0).unwrap();
    let paths = |files: &[(Role, freshen_media::Place)]| -> Vec<String> {
        files.iter().map(|(_, place)| place.path_and_query.clone()).collect()
    };
    assert_eq!(paths(&step.files), ["/a.m3u8", "/b.m3u8"]);
    let media = "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\nx.ts\n#EXTINF:1,\n../m.m3u8\n";
    let step = expansion.take(&base("/a.m3u8"), 1, media.as_bytes(), 0).unwrap();
    assert_eq!(paths(&step.files), ["/k", "/x.ts"]);
    assert!(expansion.take(&base("/b.m3u8"), 1, media.as_bytes(), 0).unwrap().files.is_empty());
    assert_eq!(expansion.files(), 5);
}

#[test]
fn what_lies_outside_is_told_and_not_followed() {
    let mut expansion = Expansion::new(follow(), base("/m.m3u8").place());
    let media = "#EXTM3U\n#EXT-X-MAP:URI=\"data:video/mp4;base64,AA\"\n#EXTINF:1,\nx.ts\n#EXTINF:1,\n\
                 http://b.example/y.ts\n#EXTINF:1,\nhttp://10.0.0.1/z.ts\n#EXTINF:1,\nfile:///etc/passwd\n";
    let step = expansion.take(&base("/m.m3u8"), 0, media.as_bytes(), 0).unwrap();
    let outside: Vec<String> = step.outside.iter().map(ToString::to_string).collect();
    assert_eq!(outside, ["http://b.example/y.ts", "http://10.0.0.1/z.ts", "file:///etc/passwd"]);
    assert_eq!(step.files.len(), 1);
}

#[test]
fn masters_that_name_masters_end_and_are_told() {
    let master = |next: usize| format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{next}.m3u8\n");
    let mut expansion = Expansion::new(follow(), base("/0.m3u8").place());
    for depth in 0..DEPTH_MAX {
        let at = base(&format!("/{depth}.m3u8"));
        let step = expansion.take(&at, depth, master(usize::from(depth) + 1).as_bytes(), 0).unwrap();
        let last = depth + 1 == DEPTH_MAX;
        assert_eq!((step.files.len(), step.over), if last { (0, 1) } else { (1, 0) });
    }
}

#[test]
fn what_is_over_the_limits_is_counted() {
    let mut expansion = Expansion::new(follow(), base("/m.m3u8").place());
    let mut master = String::from("#EXTM3U\n");
    for place in 0..PLAYLISTS_MAX + 9 {
        master.push_str(&format!("#EXT-X-STREAM-INF:BANDWIDTH=1\n{place}.m3u8\n"));
    }
    let step = expansion.take(&base("/m.m3u8"), 0, master.as_bytes(), 0).unwrap();
    assert_eq!((step.files.len(), step.over), (PLAYLISTS_MAX - 1, 10));
    let mut media = String::from("#EXTM3U\n");
    for place in 0..FILES_MAX - PLAYLISTS_MAX + 7 {
        media.push_str(&format!("#EXTINF:1,\n{place}.ts\n"));
    }
    let step = expansion.take(&base("/0.m3u8"), 1, media.as_bytes(), 0).unwrap();
    assert_eq!((step.files.len(), step.over), (FILES_MAX - PLAYLISTS_MAX, 7));
    assert_eq!(expansion.files(), FILES_MAX);
}

fn any_follow() -> impl Strategy<Value = Follow> {
    let first = prop_oneof![
        Just(None),
        any::<u32>().prop_map(|count| Some(First::Segments(count))),
        any::<u32>().prop_map(|count| Some(First::Seconds(count))),
    ];
    (first, any::<bool>()).prop_map(|(first, lowest)| Follow {
        first,
        renditions: if lowest { Renditions::Lowest } else { Renditions::All },
        ..follow()
    })
}

/// Lines that mean something, and lines that don't.
fn hls_line() -> impl Strategy<Value = String> {
    let tag = prop::sample::select(vec![
        "#EXTINF:",
        "#EXT-X-KEY:",
        "#EXT-X-MAP:",
        "#EXT-X-STREAM-INF:",
        "#EXT-X-MEDIA:",
        "#EXT-X-DEFINE:",
        "#EXT-X-GAP",
        "#EXT-X-I-FRAME-STREAM-INF:",
        "#EXT-X-SESSION-KEY:",
        "#EXT-X-BYTERANGE:",
        "#",
        "",
        "{$a}",
    ]);
    let value = prop_oneof![
        Just("NAME=\"a\",VALUE=\"{$a}{$a}\"".to_owned()),
        Just("URI=\"x\",METHOD=AES-128,TYPE=AUDIO,GROUP-ID=\"g\",BANDWIDTH=1".to_owned()),
        Just("4.0,".to_owned()),
        "[ -~\u{e9}]{0,20}",
    ];
    (tag, value).prop_map(|(tag, value)| format!("{tag}{value}\n"))
}

fn xml_attributes() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "duration",
        "timescale",
        "startNumber",
        "endNumber",
        "media",
        "initialization",
        "t",
        "d",
        "r",
        "n",
        "start",
        "id",
        "bandwidth",
        "type",
        "availabilityStartTime",
        "timeShiftBufferDepth",
        "mediaPresentationDuration",
        "sourceURL",
        "presentationTimeOffset",
    ]);
    let value = prop::sample::select(vec![
        "0",
        "1",
        "-1",
        "7",
        "18446744073709551615",
        "99999999999999999999",
        "PT5S",
        "P9999999999Y",
        "dynamic",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "$Number%020d$",
        "$Time$-$RepresentationID$",
        "$",
        "x.mp4",
        "%",
        "",
    ]);
    prop::collection::btree_map(name, value, 0..6).prop_map(|attributes| {
        attributes.into_iter().map(|(name, value)| format!(" {name}=\"{value}\"")).collect()
    })
}

fn element(name: &'static str, inside: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (xml_attributes(), prop::collection::vec(inside, 0..3))
        .prop_map(move |(attributes, inside)| format!("<{name}{attributes}>{}</{name}>", inside.concat()))
        .boxed()
}

fn mpd() -> BoxedStrategy<String> {
    let leaf = |name| element(name, Just(String::new()).boxed());
    let timeline = element("SegmentTimeline", leaf("S"));
    let list = element("SegmentList", prop_oneof![leaf("SegmentURL"), timeline.clone()].boxed());
    let addressing = prop_oneof![
        element("SegmentTemplate", timeline),
        list,
        element("SegmentBase", leaf("Initialization")),
        Just("<BaseURL>b/</BaseURL>".to_owned()),
    ]
    .boxed();
    let representation = element("Representation", addressing.clone());
    let set = element("AdaptationSet", prop_oneof![addressing.clone(), representation].boxed());
    let period = element("Period", prop_oneof![addressing, set].boxed());
    element("MPD", period)
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), follow in any_follow()) {
        for begin in ["#EXTM3U\n", "<MPD>", "\u{feff}#EXTM3U"] {
            let whole = [begin.as_bytes(), &bytes].concat();
            let _ = kind_of(&whole);
            if let Ok(contents) = read(&whole, &base("/m"), &follow, 0, 50) {
                prop_assert!(contents.named.len() <= 50);
            }
        }
    }

    #[test]
    fn no_hls_lines_make_it_panic_or_run_away(
        lines in prop::collection::vec(hls_line(), 0..60),
        follow in any_follow(),
    ) {
        let text = format!("#EXTM3U\n{}", lines.concat());
        if let Ok(contents) = read(text.as_bytes(), &base("/m"), &follow, 0, 20) {
            prop_assert!(contents.named.len() <= 20);
        }
    }

    #[test]
    fn no_dash_elements_make_it_panic_or_run_away(
        text in mpd(),
        follow in any_follow(),
        now_ms in any::<i64>(),
    ) {
        if let Ok(contents) = read(text.as_bytes(), &base("/m"), &follow, now_ms, 20) {
            prop_assert!(contents.named.len() <= 20);
        }
    }
}
