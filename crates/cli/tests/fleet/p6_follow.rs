//! P6 for streams: a prefetch that follows a playlist is complete only when every file of the stream is a HIT.

use crate::installation::{ACCOUNT, Installation, Plan, only_step};
use crate::origin::Page;
use flate2::Compression;
use flate2::write::GzEncoder;
use freshen_control::{SubmitRequest, Terms};
use freshen_model::domain::Settings;
use freshen_model::expand::PrefetchDryRun;
use freshen_model::follow::{First, Follow, Renditions};
use freshen_model::location::Scheme;
use freshen_model::media::{Format, Stream, StreamType};
use freshen_model::media_job::{MediaRequest, PartFailure, PartState};
use freshen_model::task::{PrefetchTerms, Progress, Status, StepState, Task, TaskKind};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

/// What ffmpeg makes of ten seconds of picture and sound, by name.
fn packaged(arguments: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("k.key"), [7; 16]).unwrap();
    std::fs::write(folder.path().join("k.info"), "k.key\nk.key\n").unwrap();
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(folder.path()).args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc=duration=10:size=64x48:rate=10"]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=duration=9.5"]);
    ffmpeg.args(["-map", "0:v", "-map", "0:v", "-map", "1:a", "-c:v", "mpeg4", "-g", "10", "-c:a", "aac"]);
    ffmpeg.args(["-b:v:0", "40k", "-b:v:1", "80k", "-b:a", "32k"]).args(arguments);
    let made = ffmpeg.output().expect("ffmpeg is missing; type: sudo apt-get install -y ffmpeg");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    let files =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    files.filter(|(name, _)| name != "k.info").collect()
}

const HLS: [&str; 13] = [
    "-hls_time",
    "2",
    "-hls_playlist_type",
    "vod",
    "-master_pl_name",
    "master.m3u8",
    "-hls_key_info_file",
    "k.info",
    "-var_stream_map",
    "v:0,agroup:sound v:1,agroup:sound a:0,agroup:sound",
    "-hls_segment_filename",
    "%v_%03d.ts",
    "%v.m3u8",
];
const DASH: [&str; 8] = [
    "-f",
    "dash",
    "-seg_duration",
    "2",
    "-adaptation_sets",
    "id=0,streams=v id=1,streams=a",
    "-use_timeline",
    "0",
];

fn progress(task: &Task) -> Progress {
    match only_step(task) {
        StepState::Warm { progress, .. } | StepState::Failed { progress, .. } => *progress,
        other => panic!("{other:?}"),
    }
}

fn failures(task: &Task) -> Vec<(Option<&str>, &str)> {
    let StepState::Failed { failures, .. } = only_step(task) else { panic!("not failed: {task:?}") };
    failures.iter().map(|failure| (failure.url.as_deref(), failure.reason.as_str())).collect()
}

async fn every_file_is_a_hit(playlist: &str, files: BTreeMap<String, Vec<u8>>) {
    let fleet = Installation::start(Plan { pops: 2, ..Plan::default() }).await;
    for (name, bytes) in &files {
        fleet.origin.set(&format!("/v/{name}"), Page::new(bytes.clone()));
    }
    let task = fleet.follow(&[&format!("a.example/v/{playlist}")], Follow::default()).await;
    assert_eq!((task.status, task.percent), (Status::Complete, 100), "{task:?}");
    for pop in 0..2 {
        let StepState::Warm { progress, .. } = &task.pops[pop].state else { panic!("{task:?}") };
        assert_eq!((progress.files_warm, progress.files), (files.len() as u64, files.len() as u64));
        for (name, bytes) in &files {
            let got = fleet.viewer(pop).get(&format!("a.example/v/{name}")).await;
            assert_eq!((got.x_cache(), got.body.as_deref()), (Some("HIT"), Some(&bytes[..])), "{name}");
        }
    }
}

#[tokio::test]
async fn p6_of_an_encrypted_hls_stream_every_file_is_a_hit_on_every_pop() {
    let files = packaged(&HLS);
    assert_eq!(files.len(), 1 + 1 + 3 + 3 * 5, "{:?}", files.keys());
    every_file_is_a_hit("master.m3u8", files).await;
}

#[tokio::test]
async fn p6_of_an_hls_stream_in_fragments_every_file_is_a_hit_on_every_pop() {
    let named = HLS.map(|argument| match argument {
        "-hls_key_info_file" => "-hls_segment_type",
        "k.info" => "fmp4",
        "%v_%03d.ts" => "%v_%03d.m4s",
        argument => argument,
    });
    let mut files = packaged(&named);
    files.remove("k.key");
    // The master, and of each rendition its playlist, what stands before the first segment, and five segments.
    assert_eq!(files.len(), 1 + 3 * (1 + 1 + 5), "{:?}", files.keys());
    every_file_is_a_hit("master.m3u8", files).await;
}

#[tokio::test]
async fn p6_of_a_dash_stream_every_file_is_a_hit_on_every_pop() {
    let mut files = packaged(&[&DASH[..], &["stream.mpd"]].concat());
    files.remove("k.key");
    assert_eq!(files.len(), 1 + 3 + 3 * 5, "{:?}", files.keys());
    every_file_is_a_hit("stream.mpd", files).await;
}

/// Numbered by a template, by a timeline, as a list, and as parts of one file for each representation.
#[tokio::test]
async fn p6_of_dash_streams_of_every_addressing_every_file_is_a_hit_on_every_pop() {
    for addressing in [
        ["-use_template", "1", "-use_timeline", "1"],
        ["-use_template", "0", "-use_timeline", "0"],
        ["-single_file", "1", "-use_template", "0"],
    ] {
        let mut files = packaged(&[&DASH[..6], &addressing, &["stream.mpd"]].concat());
        files.remove("k.key");
        let single = addressing[0] == "-single_file";
        assert_eq!(files.len(), 1 + if single { 3 } else { 3 + 3 * 5 }, "{:?}", files.keys());
        every_file_is_a_hit("stream.mpd", files).await;
    }
}

/// Segments that are byte ranges of one file, which is fetched once and whole.
#[tokio::test]
async fn p6_of_an_hls_stream_of_byte_ranges_every_file_is_a_hit_on_every_pop() {
    let named = HLS.map(|argument| match argument {
        "-hls_key_info_file" => "-hls_flags",
        "k.info" => "single_file",
        "%v_%03d.ts" => "%v.ts",
        argument => argument,
    });
    let mut files = packaged(&named);
    files.remove("k.key");
    assert_eq!(files.len(), 1 + 3 * 2, "{:?}", files.keys());
    every_file_is_a_hit("master.m3u8", files).await;
}

/// Beside the picture's and the sound's, the playlist of the subtitles and what that names.
#[tokio::test]
async fn p6_of_an_hls_stream_the_alternative_audio_and_subtitles_are_hits_too() {
    let fleet = Installation::start(Plan::default()).await;
    let master = "#EXTM3U\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"fr\",URI=\"fr.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"t\",NAME=\"de\",URI=\"de.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"s\",SUBTITLES=\"t\"\nlow.m3u8\n";
    fleet.origin.set("/v/master.m3u8", Page::new(master));
    for (name, segment) in [("low", "low.ts"), ("fr", "fr.aac"), ("de", "de.vtt")] {
        fleet.origin.set(&format!("/v/{name}.m3u8"), Page::new(media(&[segment])));
        fleet.origin.set(&format!("/v/{segment}"), Page::new(segment));
    }
    let task = fleet.follow(&["a.example/v/master.m3u8"], Follow::default()).await;
    assert_eq!((task.status, progress(&task).files_warm), (Status::Complete, 7), "{task:?}");
    for segment in ["low.ts", "fr.aac", "de.vtt"] {
        assert_eq!(fleet.viewer(0).get(&format!("a.example/v/{segment}")).await.both(), ("HIT", segment));
    }
}

/// A description of two periods, one that counts by a template and one that lists, each below a base of its own.
#[tokio::test]
async fn p6_of_a_dash_stream_of_several_periods_every_file_is_a_hit() {
    let fleet = Installation::start(Plan::default()).await;
    let mpd = r#"<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT8S">
        <Period duration="PT4S"><BaseURL>one/</BaseURL><AdaptationSet><Representation id="a" bandwidth="1">
          <SegmentTemplate initialization="i.mp4" media="$Number$.m4s" duration="2" startNumber="1"/>
        </Representation></AdaptationSet></Period>
        <Period duration="PT4S"><BaseURL>two/</BaseURL><AdaptationSet><Representation id="b" bandwidth="1">
          <SegmentList duration="2"><Initialization sourceURL="i.mp4"/><SegmentURL media="x.m4s"/><SegmentURL media="y.m4s"/></SegmentList>
        </Representation></AdaptationSet></Period></MPD>"#;
    fleet.origin.set("/v/a.mpd", Page::new(mpd));
    let files = ["one/i.mp4", "one/1.m4s", "one/2.m4s", "two/i.mp4", "two/x.m4s", "two/y.m4s"];
    for file in files {
        fleet.origin.set(&format!("/v/{file}"), Page::new(file));
    }
    let task = fleet.follow(&["a.example/v/a.mpd"], Follow::default()).await;
    assert_eq!((task.status, progress(&task).files_warm), (Status::Complete, 7), "{task:?}");
    for file in files {
        assert_eq!(fleet.viewer(0).get(&format!("a.example/v/{file}")).await.both(), ("HIT", file));
    }
}

const MASTER: &str =
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n";

fn media(names: &[&str]) -> String {
    let segments = names.iter().map(|name| format!("#EXTINF:2,\n{name}\n"));
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{}#EXT-X-ENDLIST\n", segments.collect::<String>())
}

/// An origin with a stream of two renditions of three segments, and one POP.
async fn with_a_stream() -> Installation {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/v/master.m3u8", Page::new(MASTER));
    for rendition in ["low", "high"] {
        let names: Vec<String> = (0..3).map(|number| format!("{rendition}-{number}.ts")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        fleet.origin.set(&format!("/v/{rendition}.m3u8"), Page::new(media(&names)));
        for name in names {
            fleet.origin.set(&format!("/v/{name}"), Page::new(name.to_owned()));
        }
    }
    fleet
}

#[tokio::test]
async fn p6_only_the_beginning_of_the_lowest_is_fetched_where_that_is_asked_for() {
    let fleet = with_a_stream().await;
    let first = Some(First::Segments(2));
    let follow = Follow { renditions: Renditions::Lowest, first, ..Follow::default() };
    let task = fleet.follow(&["a.example/v/master.m3u8"], follow).await;
    assert_eq!(task.status, Status::Complete, "{task:?}");
    let mut asked: Vec<String> = fleet.origin.all().into_iter().map(|arrived| arrived.path).collect();
    asked.sort();
    assert_eq!(asked, ["/v/low-0.ts", "/v/low-1.ts", "/v/low.m3u8", "/v/master.m3u8"]);
    // The rest, now; and what is there is not fetched again.
    let task = fleet.follow(&["a.example/v/master.m3u8"], Follow::default()).await;
    assert_eq!((task.status, progress(&task).files_warm), (Status::Complete, 9), "{task:?}");
    assert_eq!(fleet.origin.all().len(), 9);
}

#[tokio::test]
async fn p6_without_follow_a_playlist_is_a_file_like_any_other() {
    let fleet = with_a_stream().await;
    let task = fleet.prefetch(&["a.example/v/master.m3u8"]).await;
    assert_eq!((task.status, progress(&task).files), (Status::Complete, 1), "{task:?}");
    assert_eq!(fleet.origin.all().len(), 1);
}

#[tokio::test]
async fn p6_what_a_stream_lacks_is_told_by_its_url() {
    let fleet = with_a_stream().await;
    fleet.origin.set("/v/high-1.ts", Page::new("no").status(404));
    fleet.origin.set("/v/low.m3u8", Page::new("#EXTM3U\n#EXTINF:soon,\nlow-0.ts\n"));
    let task = fleet.follow(&["a.example/v/master.m3u8"], Follow::default()).await;
    assert_eq!(task.status, Status::Failed);
    let mut told = failures(&task);
    told.sort();
    assert_eq!(
        told,
        [
            (Some("http://a.example/v/high-1.ts"), "Origin Return StatusCode 404"),
            (
                Some("http://a.example/v/low.m3u8"),
                "this playlist cannot be followed: line 2: EXTINF without a duration in seconds"
            ),
        ]
    );
    let Progress { files, files_warm, files_failed, .. } = progress(&task);
    assert_eq!((files, files_warm, files_failed), (6, 4, 2));
}

#[tokio::test]
async fn p6_a_page_in_place_of_a_playlist_is_no_stream() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/master.m3u8", Page::new("<html>please log in</html>"));
    fleet.origin.set("/film.mp4", Page::new("a film"));
    let task = fleet.follow(&["a.example/film.mp4", "a.example/master.m3u8"], Follow::default()).await;
    assert_eq!(task.status, Status::Failed);
    let [(None, reason)] = failures(&task)[..] else { panic!("{task:?}") };
    assert!(reason.contains("neither an HLS playlist"), "{reason}");
    assert_eq!(progress(&task).files_warm, 1, "the film is a file, and warm");
}

#[tokio::test]
async fn p6_what_a_limit_leaves_out_is_told() {
    let fleet = Installation::start(Plan::default()).await;
    // A master that names one playlist more than are followed.
    let variants = (0..200).map(|number| format!("#EXT-X-STREAM-INF:BANDWIDTH=1\np.m3u8?{number}\n"));
    fleet.origin.set("/wide.m3u8", Page::new(format!("#EXTM3U\n{}", variants.collect::<String>())));
    for number in 0..200 {
        fleet.origin.set(&format!("/p.m3u8?{number}"), Page::new("#EXTM3U\n"));
    }
    let task = fleet.follow(&["a.example/wide.m3u8"], Follow::default()).await;
    assert_eq!(task.status, Status::Failed, "{task:?}");
    let [(None, reason)] = failures(&task)[..] else { panic!("{task:?}") };
    assert!(reason.starts_with("1 more files are named here and were left out"), "{reason}");
    assert_eq!((progress(&task).files, progress(&task).files_warm), (201, 200));
}

#[tokio::test]
async fn p8_a_playlist_leads_to_no_domain_of_another_account() {
    let fleet = Installation::start(Plan::default()).await;
    let settings = || Settings::of_origin(format!("http://{}", fleet.origin.address).parse().unwrap());
    fleet.control.add_domain(ACCOUNT, "second.example", &settings()).await.unwrap();
    fleet.control.add_account("other", false).await.unwrap();
    fleet.control.add_domain("other", "other.example", &settings()).await.unwrap();
    let origin = fleet.origin.address;
    let names =
        ["http://second.example/ours.ts", "http://other.example/theirs.ts", "http://nobody.example/x.ts"];
    let own = format!("http://{origin}/direct.ts");
    fleet.origin.set("/m.m3u8", Page::new(media(&[names[0], names[1], names[2], &own])));
    for path in ["/ours.ts", "/theirs.ts", "/x.ts", "/direct.ts"] {
        fleet.origin.set(path, Page::new("segment"));
    }
    // Domains that a user names himself count for nothing.
    let domains = ["other.example".to_owned()].into();
    let task = fleet.follow(&["a.example/m.m3u8"], Follow { domains, ..Follow::default() }).await;
    assert_eq!(
        (task.status, progress(&task).files, progress(&task).outside),
        (Status::Complete, 2, 3),
        "{task:?}"
    );
    let asked: Vec<String> = fleet.origin.all().into_iter().map(|arrived| arrived.path).collect();
    assert_eq!(asked, ["/m.m3u8", "/ours.ts"]);
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// What a playlist names is asked for by the same viewers; here by none who takes it plain.
#[tokio::test]
async fn p6_what_a_playlist_names_is_warmed_for_the_viewers_that_are_named() {
    let fleet = Installation::start(Plan::default()).await;
    fleet.origin.set("/a.m3u8", Page::new("<html>plain").gzip(gzipped(&media(&["a.ts"]))));
    fleet.origin.set("/a.ts", Page::new("plain").gzip("zipped"));
    let headers = [("Accept-Encoding", "gzip")].into_iter().collect();
    let terms = Terms { prefetch: PrefetchTerms { headers, ..PrefetchTerms::default() }, ..Terms::default() };
    let request = SubmitRequest {
        kind: TaskKind::Prefetch,
        force: false,
        soft: false,
        area: None,
        lines: vec!["http://a.example/a.m3u8".into()],
        domains: Vec::new(),
        scheme: Scheme::Required,
        follow: Some(Follow::default()),
    };
    let submitted = fleet.control.submit_on(ACCOUNT, request, terms).await.unwrap().submitted;
    let task = fleet.ended(submitted.task).await;
    assert_eq!((task.status, progress(&task).files_warm), (Status::Complete, 2), "{task:?}");
    assert_eq!(fleet.origin.all().len(), 2);
    assert_eq!(fleet.viewer(0).get_gzip("a.example/a.ts").await.both(), ("HIT", "zipped"));
}

#[tokio::test]
async fn p6_a_playlist_that_comes_as_gzip_is_read() {
    let fleet = Installation::start(Plan::default()).await;
    let gzip = gzipped(&media(&["a.ts"]));
    fleet.origin.set("/always.m3u8", Page::new(gzip.clone()).with("content-encoding", "gzip"));
    fleet.origin.set("/varies.m3u8", Page::new(media(&["a.ts"])).gzip(gzip));
    fleet.origin.set("/a.ts", Page::new("segment"));
    for playlist in ["a.example/always.m3u8", "a.example/varies.m3u8"] {
        let task = fleet.follow(&[playlist], Follow::default()).await;
        assert_eq!((task.status, progress(&task).files), (Status::Complete, 2), "{task:?}");
    }
}

#[tokio::test]
async fn p6_a_stream_goes_on_after_a_kill_without_fetching_again_what_is_there() {
    let mut fleet = with_a_stream().await;
    let held = fleet.origin.hold("/v/high-2.ts");
    let task = fleet.submit_following(&["a.example/v/master.m3u8"], Follow::default()).await;
    let held = held.await.unwrap();
    fleet
        .task_when(
            task,
            |task| matches!(only_step(task), StepState::Fetching { progress } if progress.files_warm == 8),
        )
        .await;
    fleet.pops[0].kill();
    drop(held);
    fleet.pops[0].start();
    let task = fleet.ended(task).await;
    assert_eq!((task.status, progress(&task).files_warm), (Status::Complete, 9), "{task:?}");
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    fleet.origin.all().into_iter().for_each(|arrived| *times.entry(arrived.path).or_default() += 1);
    let again: Vec<(String, u32)> = times.into_iter().filter(|(_, times)| *times > 1).collect();
    assert_eq!(again, [("/v/high-2.ts".to_owned(), 2)]);
}

async fn dry_run(fleet: &Installation, lines: &[&str], follow: Option<Follow>) -> PrefetchDryRun {
    let request = SubmitRequest {
        kind: TaskKind::Prefetch,
        force: false,
        soft: false,
        area: None,
        lines: lines.iter().map(|line| format!("http://{line}")).collect(),
        domains: Vec::new(),
        scheme: Scheme::Required,
        follow,
    };
    fleet.control.dry_run_prefetch(ACCOUNT, None, request).await.unwrap()
}

#[tokio::test]
async fn a_dry_run_shows_what_a_stream_leads_to_and_changes_nothing() {
    let fleet = with_a_stream().await;
    let (end, quota) = (fleet.control.log_end(), fleet.control.quota(ACCOUNT).await.unwrap());
    let run = dry_run(&fleet, &["a.example/v/master.m3u8"], Some(Follow::default())).await;
    assert_eq!((run.error, &run.warnings[..]), (None, &[][..]));
    let [line] = &run.lines[..] else { panic!("{:?}", run.lines) };
    let listed: Vec<&str> = line.listed.iter().map(|file| file.url.as_str()).collect();
    let stream = ["low", "high"].map(|name| format!("a.example/v/{name}.m3u8"));
    let segments =
        ["low", "high"].map(|name| (0..3).map(move |number| format!("a.example/v/{name}-{number}.ts")));
    let segments = segments.into_iter().flatten();
    let all: Vec<String> =
        ["a.example/v/master.m3u8".to_owned()].into_iter().chain(stream).chain(segments).collect();
    assert_eq!(listed, all);
    assert_eq!((line.files, line.sized), (9, 9));
    assert_eq!(line.listed[0].bytes, Some(MASTER.len() as u64));
    for url in &all {
        let there = fleet.control.check(ACCOUNT, &format!("http://{url}"), false).await.unwrap();
        assert_eq!(there[0].answer.as_ref().map(|answer| answer.x_cache.as_str()), Some("MISS"), "{url}");
    }
    assert_eq!((fleet.control.log_end(), fleet.control.quota(ACCOUNT).await.unwrap()), (end, quota));

    // It says what the prefetch then does.
    let task = fleet.follow(&["a.example/v/master.m3u8"], Follow::default()).await;
    let StepState::Warm { progress, .. } = only_step(&task) else { panic!("{task:?}") };
    assert_eq!((progress.files, progress.bytes), (line.files, line.bytes));
    // And says the same of what is there, without asking the origin again.
    let asked = fleet.origin.all().len();
    let again = dry_run(&fleet, &["a.example/v/master.m3u8"], Some(Follow::default())).await;
    assert_eq!((&again.lines, fleet.origin.all().len()), (&run.lines, asked));
    let without = dry_run(&fleet, &["a.example/v/master.m3u8"], None).await;
    assert_eq!((without.lines[0].files, without.lines[0].sized), (1, 1));
}

#[tokio::test]
async fn a_media_job_that_purges_finds_the_segments_of_its_playlists() {
    let fleet = with_a_stream().await;
    let stream = Stream {
        media: "film".into(),
        url: "http://a.example/v/master.m3u8".into(),
        format: Format::M3u8,
        definition: "AUTO".into(),
        kind: StreamType::Video,
        duration_s: None,
    };
    fleet.control.add_streams(ACCOUNT, vec![stream]).await.unwrap();
    fleet.follow(&["a.example/v/master.m3u8"], Follow::default()).await;
    let job = |kind, segments| {
        let request = MediaRequest {
            kind,
            formats: Vec::new(),
            definitions: Vec::new(),
            stream_types: Vec::new(),
            multiple: false,
            segments: Some(segments),
            callback: None,
            note: None,
        };
        let control = fleet.control.clone();
        async move { control.submit_media(ACCOUNT, None, &["film".into()], request).await.unwrap().job.unwrap() }
    };
    let purged = job(TaskKind::Url, 2).await;
    let PartState::Submitted { task } = purged.parts[0].state else { panic!("{purged:?}") };
    assert_eq!(fleet.ended(task).await.lines, 1 + 2 + 2 * 2);
    let hit = async |name: &str| {
        let url = format!("http://a.example/v/{name}");
        let rows = fleet.control.check(ACCOUNT, &url, false).await.unwrap();
        rows[0].answer.as_ref().unwrap().x_cache == "HIT"
    };
    for name in ["master.m3u8", "low.m3u8", "high.m3u8", "low-0.ts", "low-1.ts", "high-0.ts", "high-1.ts"] {
        assert!(!hit(name).await, "{name} is purged");
    }
    assert!(hit("low-2.ts").await && hit("high-2.ts").await, "and nothing else is");
    let warmed = job(TaskKind::Prefetch, 2).await;
    let PartState::Submitted { task } = warmed.parts[0].state else { panic!("{warmed:?}") };
    assert_eq!(fleet.ended(task).await.status, Status::Complete);
    assert!(hit("master.m3u8").await && hit("low-1.ts").await);
    // Where the playlist cannot be read nothing is submitted, and that is told.
    fleet.origin.set("/v/master.m3u8", Page::new("gone").status(404));
    fleet.purge(&["a.example/v/master.m3u8"]).await;
    let failed = job(TaskKind::Url, 2).await;
    let PartState::Failed { why, reason } = &failed.parts[0].state else { panic!("{failed:?}") };
    assert_eq!(*why, PartFailure::Unread);
    assert!(reason.contains("Origin Return StatusCode 404"), "{reason}");
}

#[tokio::test]
async fn a_dry_run_leaves_out_nothing_silently() {
    let fleet = Installation::start(Plan::default()).await;
    let names: Vec<String> = (0..20_100).map(|number| format!("{number}.ts")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fleet.origin.set("/long.m3u8", Page::new(media(&names)));
    fleet.origin.set("/mixed.m3u8", Page::new(media(&["http://other.example/1.ts", "2.ts"])));
    fleet.origin.set("/broken.m3u8", Page::new("hello"));
    let mut limits = fleet.control.account(ACCOUNT).await.unwrap().unwrap().limits;
    limits.prefetch = 3;
    fleet.control.set_limits(ACCOUNT, limits).await.unwrap();
    let lines =
        ["long.m3u8", "mixed.m3u8", "broken.m3u8", "none.m3u8"].map(|name| format!("a.example/{name}"));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let run = dry_run(&fleet, &lines, Some(Follow::default())).await;
    let [long, mixed, broken, none] = &run.lines[..] else { panic!("{:?}", run.error) };
    assert_eq!((long.files, long.over, long.listed.len()), (20_000, 101, 5_000));
    assert_eq!((mixed.files, mixed.outside), (2, 1));
    assert_eq!(mixed.outside_urls, ["other.example/1.ts"]);
    assert!(broken.unread[0].reason.contains("#EXTM3U"), "{broken:?}");
    assert_eq!((none.unread[0].url.as_str(), none.unread_count), ("a.example/none.m3u8", 1));
    assert_eq!(none.unread[0].reason, "Origin Return StatusCode 404");
    let warnings = run.warnings.join("\n");
    for said in [
        "4 lines, but 3 of 3",
        "line 1: 101 more files",
        "line 2: 1 addresses are outside",
        "line 4: 1 playlists",
    ] {
        assert!(warnings.contains(said), "{said:?} is not in {warnings}");
    }
}
