//! The segments of a representation.

use super::element::Element;
use super::template::Template;
use crate::BadPlaylist;
use crate::contents::{Contents, Role};
use crate::reference::Base;
use freshen_model::follow::First;

/// A duration in a description is rounded; less than this behind a segment's end is no further segment.
const ROUNDING_S: f64 = 1e-3;

/// How far a live stream is, counted from the beginning of a period.
#[derive(Clone, Copy)]
pub struct Live {
    /// Seconds since then.
    pub elapsed: f64,
    /// Seconds that a segment stays there; absent: for good.
    pub depth: Option<f64>,
}

/// What of a period is wanted.
pub struct Span {
    /// Its length in seconds, where that is known.
    pub duration: Option<f64>,
    /// Where it is live.
    pub live: Option<Live>,
    /// What is left of the policy's limit.
    pub first: Option<First>,
}

/// One rendition of one part of a stream.
pub struct Representation<'a> {
    /// Bits per second; those that don't say come last.
    pub bandwidth: u64,
    /// What its addresses are relative to.
    pub base: Base,
    /// Itself, its adaptation set, its period.
    pub levels: [Element<'a>; 3],
}

/// Information that levels inherit from those above, the nearest first.
struct Inherited<'a>(Vec<Element<'a>>);

/// Segments in a row of the same length.
struct Run {
    number: u64,
    time: u64,
    step: u64,
    count: u64,
}

impl<'a> Inherited<'a> {
    fn of(levels: &[Element<'a>], name: &'static str) -> Option<Inherited<'a>> {
        let found: Vec<Element<'a>> = levels.iter().filter_map(|level| level.child(name)).collect();
        (!found.is_empty()).then_some(Inherited(found))
    }

    /// The nearest, to be named in errors.
    fn nearest(&self) -> Element<'a> {
        self.0[0]
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|element| element.get(name))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, BadPlaylist> {
        let has = self.0.iter().find(|element| element.get(name).is_some());
        has.map_or(Ok(None), |element| element.number(name))
    }

    fn child(&self, name: &'static str) -> Option<Element<'a>> {
        self.0.iter().find_map(|element| element.child(name))
    }

    fn timescale(&self) -> Result<u64, BadPlaylist> {
        match self.number("timescale")?.unwrap_or(1) {
            0 => Err(self.nearest().bad("timescale is 0")),
            timescale => Ok(timescale),
        }
    }
}

impl Representation<'_> {
    /// Adds what the span wants of it; gives the number of segments.
    pub fn read(&self, span: &Span, contents: &mut Contents) -> Result<u32, BadPlaylist> {
        if let Some(template) = Inherited::of(&self.levels, "SegmentTemplate") {
            return self.by_template(&template, span, contents);
        }
        if let Some(list) = Inherited::of(&self.levels, "SegmentList") {
            return self.by_list(&list, span, contents);
        }
        if let Some(one) = Inherited::of(&self.levels, "SegmentBase") {
            self.initialise(&one, contents)?;
            if let Some(index) = one.child("RepresentationIndex").and_then(|index| index.get("sourceURL")) {
                self.push(Role::Data, index, one.nearest(), contents)?;
            }
        }
        if self.levels.iter().all(|level| level.child("BaseURL").is_none()) {
            return Err(self.levels[0].bad("names no segments, and no BaseURL of its own"));
        }
        // Segments are ranges of it, which its own index tells.
        contents.push(Role::Segment, self.base.itself());
        Ok(1)
    }

    fn by_template(
        &self,
        inherited: &Inherited<'_>,
        span: &Span,
        contents: &mut Contents,
    ) -> Result<u32, BadPlaylist> {
        let element = inherited.nearest();
        let id = self.levels[0].get("id").unwrap_or_default();
        let bandwidth = self.levels[0].get("bandwidth").unwrap_or_default();
        let parse = |text| Template::parse(text, id, bandwidth).map_err(|what| element.bad(&what));
        let timescale = inherited.timescale()?;
        let runs = runs(inherited, timescale, span)?;
        match inherited.get("initialization") {
            Some(text) => self.push(Role::Init, &parse(text)?.fill(0, 0), element, contents)?,
            None => self.initialise(inherited, contents)?,
        }
        let Some(media) = inherited.get("media") else {
            return Err(element.bad("names no media"));
        };
        let media = parse(media)?;
        let origin = runs.first().map_or(0, |run| run.time);
        let mut taken: u64 = 0;
        for run in &runs {
            let wanted = run.wanted(span.first, taken, origin, timescale);
            for place in 0..wanted {
                if contents.is_full() {
                    contents.over = contents.over.saturating_add(wanted - place);
                    break;
                }
                let number = run.number.saturating_add(place);
                let time = run.time.saturating_add(place.saturating_mul(run.step));
                self.push(Role::Segment, &media.fill(number, time), element, contents)?;
            }
            taken = taken.saturating_add(wanted);
        }
        Ok(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    fn by_list(
        &self,
        inherited: &Inherited<'_>,
        span: &Span,
        contents: &mut Contents,
    ) -> Result<u32, BadPlaylist> {
        self.initialise(inherited, contents)?;
        let timescale = inherited.timescale()?;
        let has_segments = |element: &&Element<'_>| element.child("SegmentURL").is_some();
        let Some(list) = inherited.0.iter().find(has_segments) else {
            return Err(inherited.nearest().bad("names no segments"));
        };
        let step = inherited.number("duration")?;
        let mut starts = match inherited.child("SegmentTimeline") {
            Some(_) => runs(inherited, timescale, span)?,
            None => vec![Run { number: 0, time: 0, step: step.unwrap_or(0), count: u64::MAX }],
        }
        .into_iter()
        .flat_map(|run| {
            (0..run.count).map(move |place| run.time.saturating_add(place.saturating_mul(run.step)))
        });
        let (mut taken, mut origin) = (0, None);
        for segment in list.children("SegmentURL") {
            let start = starts.next().unwrap_or(u64::MAX);
            let seconds = start.saturating_sub(*origin.get_or_insert(start)) as f64 / timescale as f64;
            let wanted = match span.first {
                None => true,
                Some(First::Segments(count)) => taken < count,
                Some(First::Seconds(most)) => seconds < f64::from(most),
            };
            if !wanted {
                break;
            }
            taken = taken.saturating_add(1);
            match segment.get("media") {
                Some(media) => self.push(Role::Segment, media, segment, contents)?,
                // A range of the file itself.
                None => contents.push(Role::Segment, self.base.itself()),
            }
        }
        Ok(taken)
    }

    /// The initialisation, where an element names it.
    fn initialise(&self, inherited: &Inherited<'_>, contents: &mut Contents) -> Result<(), BadPlaylist> {
        let element = inherited.child("Initialization").or_else(|| inherited.child("Initialisation"));
        match element.and_then(|element| Some((element, element.get("sourceURL")?))) {
            Some((element, url)) => self.push(Role::Init, url, element, contents),
            None => Ok(()),
        }
    }

    fn push(
        &self,
        role: Role,
        reference: &str,
        element: Element<'_>,
        contents: &mut Contents,
    ) -> Result<(), BadPlaylist> {
        let url = self.base.resolve(reference).map_err(|why| element.bad(&why.to_string()))?;
        contents.push(role, url);
        Ok(())
    }
}

impl Run {
    /// How many of its segments the policy wants, where `taken` were taken before and the first began at `origin`.
    fn wanted(&self, first: Option<First>, taken: u64, origin: u64, timescale: u64) -> u64 {
        match first {
            None => self.count,
            Some(First::Segments(most)) => self.count.min(u64::from(most).saturating_sub(taken)),
            Some(First::Seconds(most)) => {
                let end = u128::from(most) * u128::from(timescale) + u128::from(origin);
                match end.saturating_sub(u128::from(self.time)) {
                    0 => 0,
                    _ if self.step == 0 => self.count,
                    left => self
                        .count
                        .min(u64::try_from(left.div_ceil(u128::from(self.step))).unwrap_or(u64::MAX)),
                }
            }
        }
    }
}

/// All segments that are there, whatever is wanted of them.
fn runs(inherited: &Inherited<'_>, timescale: u64, span: &Span) -> Result<Vec<Run>, BadPlaylist> {
    let number = inherited.number("startNumber")?.unwrap_or(1);
    if let Some(timeline) = inherited.child("SegmentTimeline") {
        let offset = inherited.number("presentationTimeOffset")?.unwrap_or(0);
        return timeline_runs(timeline, number, offset, timescale, span);
    }
    let element = inherited.nearest();
    let step = match inherited.number("duration")? {
        // Neither says more: there is one segment.
        None => return Ok(vec![Run { number, time: 0, step: 0, count: 1 }]),
        Some(0) => return Err(element.bad("duration is 0")),
        Some(step) => step,
    };
    let steps = |seconds: f64| seconds * timescale as f64 / step as f64;
    let of_period = span.duration.map(|duration| steps(duration - ROUNDING_S).ceil().max(0.0) as u64);
    // A segment is there once it is over.
    let so_far = span.live.map(|live| steps(live.elapsed).floor().max(0.0) as u64);
    let of_number = inherited.number("endNumber")?.map(|end| end.saturating_add(1).saturating_sub(number));
    let Some(count) = [of_period, so_far, of_number].into_iter().flatten().min() else {
        return Err(element.bad("nothing says how many segments there are: the period has no duration"));
    };
    let gone = span.live.and_then(|live| Some(live.elapsed - live.depth?)).unwrap_or(0.0);
    let gone = (steps(gone).floor().max(0.0) as u64).min(count);
    let (number, time) = (number.saturating_add(gone), gone.saturating_mul(step));
    Ok(vec![Run { number, time, step, count: count - gone }])
}

fn timeline_runs(
    timeline: Element<'_>,
    mut number: u64,
    offset: u64,
    timescale: u64,
    span: &Span,
) -> Result<Vec<Run>, BadPlaylist> {
    let mut runs = Vec::new();
    let mut next = 0;
    let mut entries = timeline.children("S").peekable();
    while let Some(entry) = entries.next() {
        let time = entry.number("t")?.unwrap_or(next);
        let step =
            entry.number("d")?.filter(|step| *step > 0).ok_or_else(|| entry.bad("d is missing or 0"))?;
        let repeats = entry.get("r").unwrap_or("0");
        let repeats: i64 = repeats.parse().map_err(|_| entry.bad("r is no whole number"))?;
        number = entry.number("n")?.unwrap_or(number);
        let count = match u64::try_from(repeats) {
            Ok(repeats) => repeats.saturating_add(1),
            // Up to the next entry, or to the end.
            Err(_) => {
                let ticks =
                    |seconds: f64| offset.saturating_add((seconds * timescale as f64).max(0.0) as u64);
                let end = match entries.peek() {
                    Some(behind) => behind.number("t")?,
                    None => None,
                };
                let span_end = span.duration.map(|duration| ticks(duration - ROUNDING_S));
                let so_far = span.live.map(|live| ticks(live.elapsed).saturating_sub(step));
                let end = end.or(match (span_end, so_far) {
                    (Some(end), Some(so_far)) => Some(end.min(so_far)),
                    (end, so_far) => end.or(so_far),
                });
                let end = end.ok_or_else(|| entry.bad("r is negative, and nothing says where it ends"))?;
                end.saturating_sub(time).div_ceil(step)
            }
        };
        runs.push(Run { number, time, step, count });
        number = number.saturating_add(count);
        let end = step.checked_mul(count).and_then(|length| time.checked_add(length));
        next = end.ok_or_else(|| entry.bad("its times are beyond any clock"))?;
    }
    Ok(runs)
}
