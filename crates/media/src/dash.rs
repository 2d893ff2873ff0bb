//! DASH descriptions (ISO/IEC 23009-1): periods, adaptation sets, representations, and the segments of each.

mod element;
mod segments;
mod template;
mod times;

use crate::BadPlaylist;
use crate::contents::Contents;
use crate::reference::Base;
use element::Element;
use freshen_model::follow::{First, Follow, Renditions};
use segments::{Live, Representation, Span};

/// Elements of one description; a day of two-second segments, each with a line of its own, has half as many.
const NODES_MAX: u32 = 200_000;
/// Representations of one period; a rich stream has thirty.
const REPRESENTATIONS_MAX: usize = 500;
/// What stands for «leave this out» in place of a remote element.
const RESOLVE_TO_ZERO: &str = "urn:mpeg:dash:resolve-to-zero:2013";

/// Reads a description.
pub fn read(
    text: &str,
    base: &Base,
    follow: &Follow,
    now_ms: i64,
    names_max: usize,
) -> Result<Contents, BadPlaylist> {
    let options = roxmltree::ParsingOptions { nodes_limit: NODES_MAX, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options);
    let document = document.map_err(|error| BadPlaylist::Xml(error.to_string()))?;
    let mpd = Element(document.root_element());
    if mpd.name() != "MPD" {
        return Err(BadPlaylist::NoPlaylist);
    }
    let live = if mpd.get("type") == Some("dynamic") { Some(live(mpd, now_ms)?) } else { None };
    let mut reader = Reader { follow, contents: Contents::new(names_max) };
    let base = reader.base(base, mpd)?;
    let periods: Vec<Element<'_>> = mpd.children("Period").collect();
    let (mut first, mut end_before) = (follow.first, 0.0);
    for (period, place) in periods.iter().zip(1..) {
        if first.is_some_and(is_over) {
            break;
        }
        let start = period.seconds("start")?.unwrap_or(end_before);
        let end = match periods.get(place) {
            Some(next) => next.seconds("start")?,
            None => mpd.seconds("mediaPresentationDuration")?,
        };
        let duration = match period.seconds("duration")? {
            None => end.map(|end| end - start),
            known => known,
        };
        let duration = duration.map(|duration| duration.max(0.0));
        let live = live.map(|live| Live { elapsed: live.elapsed - start, ..live });
        let segments = reader.period(&base, *period, &Span { duration, live, first })?;
        end_before = start + duration.unwrap_or(0.0);
        first = first.map(|first| match first {
            First::Segments(count) => First::Segments(count.saturating_sub(segments)),
            First::Seconds(seconds) => First::Seconds(seconds.saturating_sub(duration.unwrap_or(0.0) as u32)),
        });
    }
    Ok(reader.contents)
}

fn is_over(first: First) -> bool {
    matches!(first, First::Segments(0) | First::Seconds(0))
}

/// How far a live stream is.
fn live(mpd: Element<'_>, now_ms: i64) -> Result<Live, BadPlaylist> {
    let began = mpd.get("availabilityStartTime").and_then(times::unix_seconds);
    let began = began.ok_or_else(|| mpd.bad("dynamic, and without a readable availabilityStartTime"))?;
    Ok(Live { elapsed: now_ms as f64 / 1_000.0 - began, depth: mpd.seconds("timeShiftBufferDepth")? })
}

struct Reader<'a> {
    follow: &'a Follow,
    contents: Contents,
}

impl Reader<'_> {
    /// Reads a period; gives the number of segments taken of the representation of which most were.
    fn period(&mut self, base: &Base, period: Element<'_>, span: &Span) -> Result<u32, BadPlaylist> {
        if !is_here(period)? {
            return Ok(0);
        }
        let base = self.base(base, period)?;
        let mut representations = Vec::new();
        for set in period.children("AdaptationSet") {
            if !is_here(set)? {
                continue;
            }
            let base = self.base(&base, set)?;
            let mut of_set = Vec::new();
            for representation in set.children("Representation") {
                if representations.len() + of_set.len() == REPRESENTATIONS_MAX {
                    return Err(representation.bad("one too many: 500 representations of a period are read"));
                }
                of_set.push(Representation {
                    bandwidth: representation.number("bandwidth")?.unwrap_or(u64::MAX),
                    base: self.base(&base, representation)?,
                    // The nearest level counts.
                    levels: [representation, set, period],
                });
            }
            of_set.sort_by_key(|representation| representation.bandwidth);
            if self.follow.renditions == Renditions::Lowest {
                of_set.truncate(1);
            }
            representations.extend(of_set);
        }
        representations.sort_by_key(|representation| representation.bandwidth);
        let mut most = 0;
        for representation in &representations {
            most = most.max(representation.read(span, &mut self.contents)?);
        }
        Ok(most)
    }

    /// The base of what is inside `element`. Of several, which are alternatives, the first within the domains counts.
    fn base(&self, outer: &Base, element: Element<'_>) -> Result<Base, BadPlaylist> {
        let mut chosen: Option<Base> = None;
        for child in element.children("BaseURL") {
            let joined = outer.join(child.text()).map_err(|why| child.bad(&why.to_string()))?;
            let Some(base) = joined else { continue };
            if self.follow.domains.contains(&base.place().host) {
                return Ok(base);
            }
            chosen.get_or_insert(base);
        }
        Ok(chosen.unwrap_or_else(|| outer.clone()))
    }
}

/// Whether the element is here, and not to be fetched from elsewhere first.
fn is_here(element: Element<'_>) -> Result<bool, BadPlaylist> {
    match element.link() {
        None => Ok(true),
        Some(RESOLVE_TO_ZERO) => Ok(false),
        Some(_) => Err(element.bad("elements that lie elsewhere (xlink:href) are not followed")),
    }
}
