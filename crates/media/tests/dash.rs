//! What DASH descriptions name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use freshen_media::{BadPlaylist, Base, Contents, FILES_MAX, read};
use freshen_model::follow::{First, Follow, Renditions};

/// 1970-01-01T00:00:30Z.
const NOW_MS: i64 = 30_000;

fn contents(text: &str, follow: &Follow) -> Result<Contents, BadPlaylist> {
    let base = Base::of("a.example", "/v/m.mpd").unwrap();
    read(text.as_bytes(), &base, follow, NOW_MS, FILES_MAX)
}

fn names(text: &str, follow: &Follow) -> Vec<String> {
    let named = contents(text, follow).unwrap().named.into_iter();
    named.map(|named| named.url.to_string().replace("http://a.example/v/", "")).collect()
}

fn all(text: &str) -> Vec<String> {
    names(text, &Follow::default())
}

/// A description with one period and one adaptation set.
fn mpd(attributes: &str, inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" {attributes}>\
         <Period><AdaptationSet>{inside}</AdaptationSet></Period></MPD>"
    )
}

#[test]
fn a_template_counts_up_to_the_end_of_the_period() {
    let text = mpd(
        "mediaPresentationDuration=\"PT9S\"",
        r#"<SegmentTemplate initialization="$RepresentationID$/init.mp4" media="$RepresentationID$/$Number%03d$.m4s"
              startNumber="5" duration="4000" timescale="1000"/>
           <Representation id="hi" bandwidth="900"/><Representation id="lo" bandwidth="100"/>"#,
    );
    let expected = [
        "lo/init.mp4",
        "lo/005.m4s",
        "lo/006.m4s",
        "lo/007.m4s",
        "hi/init.mp4",
        "hi/005.m4s",
        "hi/006.m4s",
        "hi/007.m4s",
    ];
    assert_eq!(all(&text), expected);
    let lowest = Follow { renditions: Renditions::Lowest, ..Follow::default() };
    assert_eq!(names(&text, &lowest), expected[..4]);
    let two = Follow { first: Some(First::Segments(2)), ..Follow::default() };
    assert_eq!(names(&text, &two), [&expected[..3], &expected[4..7]].concat());
    let seconds = Follow { first: Some(First::Seconds(5)), ..Follow::default() };
    assert_eq!(names(&text, &seconds), [&expected[..3], &expected[4..7]].concat());
}

#[test]
fn a_timeline_repeats_and_a_negative_repeat_goes_on_to_what_comes_next() {
    let text = mpd(
        "mediaPresentationDuration=\"PT20S\"",
        r#"<Representation id="v" bandwidth="7"><SegmentTemplate media="$Bandwidth$-$Time$.m4s" timescale="10">
             <SegmentTimeline><S t="0" d="20" r="1"/><S d="10"/><S d="30" r="-1"/><S t="140" d="25" r="-1"/></SegmentTimeline>
           </SegmentTemplate></Representation>"#,
    );
    assert_eq!(
        all(&text),
        [
            "7-0.m4s",
            "7-20.m4s",
            "7-40.m4s",
            "7-50.m4s",
            "7-80.m4s",
            "7-110.m4s",
            "7-140.m4s",
            "7-165.m4s",
            "7-190.m4s"
        ]
    );
    let five = Follow { first: Some(First::Seconds(5)), ..Follow::default() };
    assert_eq!(names(&text, &five), ["7-0.m4s", "7-20.m4s", "7-40.m4s"]);
}

#[test]
fn lists_and_whole_files() {
    let text = mpd(
        "",
        r#"<Representation id="l" bandwidth="1"><SegmentList duration="4"><Initialization sourceURL="i.mp4"/>
             <SegmentURL media="0.m4s"/><SegmentURL media="1.m4s"/><SegmentURL media="2.m4s"/></SegmentList></Representation>
           <Representation id="r" bandwidth="2"><BaseURL>ranges.mp4</BaseURL><SegmentList>
             <Initialization range="0-99"/><SegmentURL mediaRange="100-199"/><SegmentURL mediaRange="200-299"/>
             </SegmentList></Representation>
           <Representation id="b" bandwidth="3"><BaseURL>whole.mp4</BaseURL>
             <SegmentBase indexRange="100-200"><Initialization range="0-99"/></SegmentBase></Representation>
           <Representation id="t" bandwidth="4"><BaseURL>text.vtt</BaseURL></Representation>"#,
    );
    assert_eq!(all(&text), ["i.mp4", "0.m4s", "1.m4s", "2.m4s", "ranges.mp4", "whole.mp4", "text.vtt"]);
    let seconds = Follow { first: Some(First::Seconds(8)), ..Follow::default() };
    assert_eq!(names(&text, &seconds), ["i.mp4", "0.m4s", "1.m4s", "ranges.mp4", "whole.mp4", "text.vtt"]);
}

#[test]
fn base_urls_build_on_each_other_and_of_several_ours_counts() {
    let text = r#"<MPD mediaPresentationDuration="PT1S"><BaseURL>//elsewhere.example/x/</BaseURL>
        <BaseURL>http://b.example/x/</BaseURL>
        <Period><BaseURL>p/</BaseURL><AdaptationSet><BaseURL>s/</BaseURL>
          <Representation bandwidth="1"><BaseURL>r/</BaseURL>
            <SegmentTemplate media="$Number$.m4s" duration="1"/></Representation>
        </AdaptationSet></Period></MPD>"#;
    let ours = Follow { domains: ["b.example".to_owned()].into(), ..Follow::default() };
    assert_eq!(names(text, &ours), ["http://b.example/x/p/s/r/1.m4s"]);
    assert_eq!(all(text), ["http://elsewhere.example/x/p/s/r/1.m4s"]);
}

#[test]
fn periods_follow_each_other_and_the_limit_is_of_the_whole() {
    let period = |name: &str, attributes: &str| {
        format!(
            "<Period {attributes}><AdaptationSet><SegmentTemplate media=\"{name}$Number$\" duration=\"2\"/>\
             <Representation bandwidth=\"1\"/></AdaptationSet></Period>"
        )
    };
    let text = format!(
        "<MPD mediaPresentationDuration=\"PT14S\">{}{}{}</MPD>",
        period("a", ""),
        period("b", "start=\"PT4S\" duration=\"PT6S\""),
        period("c", ""),
    );
    assert_eq!(all(&text), ["a1", "a2", "b1", "b2", "b3", "c1", "c2"]);
    let three = Follow { first: Some(First::Segments(3)), ..Follow::default() };
    assert_eq!(names(&text, &three), ["a1", "a2", "b1"]);
    let seven = Follow { first: Some(First::Seconds(7)), ..Follow::default() };
    assert_eq!(names(&text, &seven), ["a1", "a2", "b1", "b2"]);
}

#[test]
fn of_a_live_stream_only_what_is_there_now() {
    let live = |depth: &str, inside: &str| {
        mpd(&format!("type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:10Z\" {depth}"), inside)
    };
    let template = r#"<SegmentTemplate media="$Number$" duration="4"/><Representation bandwidth="1"/>"#;
    assert_eq!(all(&live("", template)), ["1", "2", "3", "4", "5"]);
    assert_eq!(all(&live("timeShiftBufferDepth=\"PT9S\"", template)), ["3", "4", "5"]);
    let timeline = r#"<SegmentTemplate media="t$Time$"><SegmentTimeline><S t="6" d="4" r="-1"/></SegmentTimeline>
        </SegmentTemplate><Representation bandwidth="1"/>"#;
    assert_eq!(all(&live("", timeline)), ["t6", "t10", "t14"], "the one of 18 to 22 is not over yet");
}

#[test]
fn an_endless_description_costs_no_more_than_its_limit() {
    let text = mpd(
        "mediaPresentationDuration=\"P99999Y\"",
        r#"<SegmentTemplate media="$Number$" duration="1" timescale="1000000"/><Representation bandwidth="1"/>"#,
    );
    let contents = contents(&text, &Follow::default()).unwrap();
    assert_eq!(contents.named.len(), FILES_MAX);
    assert!(contents.over > 1_000_000_000);
    let many = mpd(
        "",
        r#"<SegmentTemplate media="$Time$"><SegmentTimeline><S d="1" r="9000000000"/><S d="1" r="9000000000"/>
           </SegmentTimeline></SegmentTemplate><Representation bandwidth="1"/>"#,
    );
    assert_eq!(contents_over(&many), 18_000_000_002 - FILES_MAX as u64);
    // The same address again and again.
    let one = mpd(
        "",
        r#"<SegmentTemplate media="x.m4s"><SegmentTimeline><S d="1" r="9000000000"/></SegmentTimeline></SegmentTemplate>
           <Representation bandwidth="1"/><Representation bandwidth="2"/>"#,
    );
    assert!(contents_over(&one) > 17_000_000_000);
    let wide = mpd("", &"<Representation/>".repeat(1_000));
    assert!(matches!(contents_error(&wide), BadPlaylist::Element { .. }));
    let deep = format!("<MPD>{}</MPD>", "<a>".repeat(150_000));
    assert!(matches!(contents_error(&deep), BadPlaylist::Xml(_)));
    let wide = format!("<MPD>{}</MPD>", "<a/>".repeat(300_000));
    assert!(matches!(contents_error(&wide), BadPlaylist::Xml(_)));
    let laughs = "<!DOCTYPE MPD [<!ENTITY a \"ha\">]><MPD>&a;</MPD>";
    assert!(matches!(contents_error(laughs), BadPlaylist::Xml(_)));
}

fn contents_over(text: &str) -> u64 {
    contents(text, &Follow::default()).unwrap().over
}

fn contents_error(text: &str) -> BadPlaylist {
    contents(text, &Follow::default()).unwrap_err()
}

#[test]
fn what_is_malformed_is_told_by_its_element() {
    let of_template =
        |template: &str| mpd("", &format!("\n{template}<Representation id=\"v\" bandwidth=\"1\"/>"));
    for (text, element, line, what) in [
        (
            mpd("", "<Representation id=\"v\"/>"),
            "Representation",
            2,
            "names no segments, and no BaseURL of its own",
        ),
        (
            of_template("<SegmentTemplate media=\"$Number$\" duration=\"1\"/>"),
            "SegmentTemplate",
            3,
            "nothing says how many segments there are: the period has no duration",
        ),
        (of_template("<SegmentTemplate media=\"$Nr$\"/>"), "SegmentTemplate", 3, "$Nr$ is not understood"),
        (of_template("<SegmentTemplate duration=\"0\"/>"), "SegmentTemplate", 3, "duration is 0"),
        (
            of_template("<SegmentTemplate timescale=\"-1\"/>"),
            "SegmentTemplate",
            3,
            "timescale is no whole number",
        ),
        (
            of_template(
                "<SegmentTemplate media=\"x\"><SegmentTimeline>\n<S t=\"0\"/></SegmentTimeline></SegmentTemplate>",
            ),
            "S",
            4,
            "d is missing or 0",
        ),
        (
            of_template(
                "<SegmentTemplate media=\"x\"><SegmentTimeline>\n<S d=\"1\" r=\"-1\"/></SegmentTimeline></SegmentTemplate>",
            ),
            "S",
            4,
            "r is negative, and nothing says where it ends",
        ),
        (mpd("mediaPresentationDuration=\"soon\"", ""), "MPD", 2, "mediaPresentationDuration is no duration"),
        (mpd("type=\"dynamic\"", ""), "MPD", 2, "dynamic, and without a readable availabilityStartTime"),
        (
            "<MPD xmlns:x=\"http://www.w3.org/1999/xlink\">\n<Period x:href=\"p.xml\"/></MPD>".into(),
            "Period",
            2,
            "elements that lie elsewhere (xlink:href) are not followed",
        ),
    ] {
        let bad = BadPlaylist::Element { element: element.into(), line, what: what.into() };
        assert_eq!(contents_error(&text), bad, "{text}");
    }
    assert!(matches!(contents_error("<MPD><Period></MPD>"), BadPlaylist::Xml(_)));
}
